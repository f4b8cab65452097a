// SPDX-License-Identifier: Apache-2.0
#pragma once

// The controller's heart.  Requests of people and messages of nodes come in here, pure code decides
// over the model, one transaction stores what changes, and then nodes are told.  It is split by
// subject; each subject is a class of its own with a header beside this one.
//
// Single-threaded: everything is called on the loop, and every callback runs on the loop.  No asio
// here: time, random numbers, the store, the nodes' links and the address prober come from outside,
// so that a whole cluster runs in one process under virtual time.
//
// Rules that hold for every write:
//  - `done` runs exactly once, when the change is durable or refused; never from within the call
//    unless the request was refused at once.
//  - WriteOptions.if_match: kAborted when the object's generation is another.
//  - WriteOptions.idempotency_key: a repeat within 24 h and max_kept_answers later keyed writes
//    answers what the first one did; with another fingerprint it is kInvalidArgument with the code
//    "idempotency_key_reused".  Later it is a new request.
//  - What the principal may not see answers kNotFound.

#include <chrono>
#include <memory>
#include <set>

#include "base/random.h"
#include "controller/coordinator_types.h"
#include "controller/model/state.h"
#include "controller/reconcile/mass_loss.h"
#include "controller/reconcile/timing.h"
#include "controller/scheduler/scheduler.h"
#include "controller/seams.h"
#include "controller/store/store.h"

namespace bramble::controller {

class ClusterService;        // controller/coordinator_cluster.h
class ContainerService;      // controller/coordinator_containers.h
class EventService;          // controller/coordinator_events.h
class FlavorService;         // controller/coordinator_flavors.h
class FloatingIpService;     // controller/coordinator_floating_ips.h
class ImageService;          // controller/coordinator_images.h
class KeyService;            // controller/coordinator_keys.h
class NetworkService;        // controller/coordinator_network.h
class NodeService;           // controller/coordinator_nodes.h
class NodeSessions;          // controller/coordinator_sessions.h: what nodes say
class OperationService;      // controller/coordinator_operations.h
class PortForwardService;    // controller/coordinator_port_forwards.h
class SecurityGroupService;  // controller/coordinator_security_groups.h
class TokenService;          // controller/coordinator_tokens.h

struct CoordinatorSettings {
  std::string cluster_name = "bramble";
  std::string prefix = "172.16.0.0/24";     // only for a new cluster; then the stored one counts
  std::vector<std::string> node_addresses;  // "172.16.0.1:8444": into join tokens
  std::string certificate_sha256;           // of the server certificate, hex
  SchedulerOptions scheduler;
  Timing timing;  // checked by CheckTiming
  MassLossOptions mass_loss;
  std::chrono::milliseconds operation_deadline{600'000};
  std::chrono::milliseconds setup_code_valid{30 * 60'000};
  Bytes images_per_project{0};                      // 0: no limit
  size_t max_kept_answers = kMaxIdempotencyRows;    // to keyed writes
  std::set<uint16_t> own_ports = {22, 8443, 8444};  // tcp, not to be forwarded
};

struct CoordinatorParts {
  Clock* clock = nullptr;
  Random* random = nullptr;
  Store* store = nullptr;
  NodeLinks* links = nullptr;
  AddressProber* prober = nullptr;
  CertificateIssuer* issuer = nullptr;
  LayerCopier* copier = nullptr;       // none: a pinned container's move is given up
  NetworkServices* network = nullptr;  // null: this machine serves no network
};

class Coordinator {
 public:
  // The parts must outlive the coordinator.
  Coordinator(CoordinatorSettings settings, CoordinatorParts parts);
  ~Coordinator();

  // Reads the store, and makes a new cluster in an empty one.  Call once, before anything else;
  // blocks.
  absl::Status Start();

  // Passes time: call every 250 ms or so.
  void Tick();

  // OK when a write would be taken as far as the store knows, else kUnavailable with the cause: for
  // /readyz.
  absl::Status Ready() const;

  // Who bears this API token.  kUnauthenticated when nobody does.  Constant time per candidate.
  absl::StatusOr<Principal> Authenticate(std::string_view bearer) const;
  // The node whose certificate was presented on 8444, or kUnauthenticated: unknown, removed or held
  // under another key.  `key_sha256`: hex, of its SPKI.
  absl::StatusOr<Principal> AuthenticateNode(const NodeId& node, std::string_view key_sha256) const;

  ClusterService& cluster();
  ContainerService& containers();
  EventService& events();
  FlavorService& flavors();
  FloatingIpService& floating_ips();
  ImageService& images();
  KeyService& keys();
  NetworkService& network();
  NodeService& nodes();
  NodeSessions& sessions();
  OperationService& operations();
  PortForwardService& port_forwards();
  SecurityGroupService& security_groups();
  TokenService& tokens();

  const State& state() const;  // for metrics and tests

 private:
  struct Subjects;
  std::unique_ptr<Subjects> subjects_;
};

}  // namespace bramble::controller
