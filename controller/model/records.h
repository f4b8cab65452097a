// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the controller knows of each object beyond what the API shows.  A record is what the store
// keeps: one row each.

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "api/address.h"
#include "api/cluster.h"
#include "api/container.h"
#include "api/context.h"
#include "api/flavor.h"
#include "api/floating_ip.h"
#include "api/image.h"
#include "api/key.h"
#include "api/node.h"
#include "api/node_protocol.h"
#include "api/operation.h"
#include "api/port_forward.h"
#include "api/project.h"
#include "api/security_group.h"
#include "api/token.h"
#include "controller/reconcile/move.h"

namespace bramble::controller {

// JSON text made once and shared by all who are given it.
using SharedText = std::shared_ptr<const std::string>;

// The cold move of a pinned container: reconcile/move.h says what the phases mean.  Its node is the
// source in the first two and the target then.
struct ContainerMove {
  std::string id;
  MovePhase phase = MovePhase::kStopping;
  NodeId source;
  NodeId target;
  int64_t tries = 0;            // to copy it to this target, that failed
  bool restoring = false;       // the target is its home
  std::vector<NodeId> refused;  // targets before this one that it could not be had on
};

struct ContainerRecord {
  api::Container api;
  Bytes image_size;
  bool orphaned = false;  // adopted from a node, and no person has decided about it yet
  bool moving = false;    // told to stop where it is, to be started elsewhere
  NodeId home;            // the node that a drain took it from
  std::optional<ContainerMove> move;
  // What it is told at its first start: the id of a ContextRecord, and how; empty: nothing.
  std::string context;
  api::ContextMode context_mode = api::ContextMode::kFindOut;
  std::string move_failed;  // why the last one was given up; a new drain or restore forgets it

  // Every node that holds a layer of it, or is about to.
  std::vector<NodeId> Nodes() const {
    std::vector<NodeId> nodes;
    for (const NodeId& node : {api.status.node_id, move.has_value() ? move->source : NodeId(),
                               move.has_value() ? move->target : NodeId()}) {
      if (!node.empty() && std::find(nodes.begin(), nodes.end(), node) == nodes.end()) {
        nodes.push_back(node);
      }
    }
    return nodes;
  }
};

struct NodeRecord {
  api::Node api;
  std::string key_sha256;   // hex, of the SPKI of the key that it proved to hold
  std::string approved_by;  // empty: joined by a token
  TokenId token;
  std::string session_value;  // rolling: what it has to present next time
  std::string previous_session_value;
  // Ids of containers that moved away, to destroy there until it confirms.
  std::vector<std::string> tombstones;
  api::Labels declared_labels;  // that it asked for itself
  int64_t drain_pace = 2;
  bool drain_leaves_pinned = false;
  bool restoring = false;  // a drain is being taken back
  OperationId drain_operation;
  bool reset = false;  // held: the card that is not the first has to make a new key
};

struct ImageRecord {
  api::Image api;
};

struct FlavorRecord {
  api::Flavor api;
};

// A join token.  Its secret is not kept.
struct TokenRecord {
  api::Token api;
  std::string secret_sha256;  // raw: the key of the proof's HMAC (api/node_protocol.h)
};

struct OperationRecord {
  api::Operation api;
  std::string project;
  WallTime deadline{};
  uint64_t wanted_generation = 0;  // done when its object reports this
};

struct UserRecord {
  UserId id;
  std::string name;
  std::string role;  // one of kRoleNames
  WallTime created_at{};
};

// A bearer token for the API: 256 bits, of which the SHA-256 is kept.
struct CredentialRecord {
  std::string id;
  UserId user;
  std::string secret_sha256;  // hex
  std::string label;
  WallTime created_at{};
  std::optional<WallTime> expires_at;
};

// One event as it is streamed.
struct EventRecord {
  uint64_t revision = 0;
  std::string type;
  std::string project;
  SharedText body;  // api::Event as JSON
};

// What was answered to a write with an Idempotency-Key, kept for a day.
struct IdempotencyRecord {
  std::string key;          // "user:admin/KEY"
  std::string fingerprint;  // of the request
  std::string body;
  std::string operation_body;
  std::string operation_id;
  uint64_t generation = 0;
  WallTime created_at{};
};

struct ProjectRecord {
  api::Project api;
};

struct SecurityGroupRecord {
  api::SecurityGroup api;
  // "default/web": what its row, its policy and its address set are called.
  std::string Id() const { return StrCat(api.project.str(), "/", api.name); }
};

struct FloatingIpRecord {
  api::FloatingIp api;
};

struct PortForwardRecord {
  api::PortForward api;
};

struct ReservationRecord {
  api::Reservation api;
};

struct KeyRecord {
  api::Key api;
  // "default/ada": what its row is called.
  std::string Id() const { return StrCat(api.project.str(), "/", api.name); }
};

// What a container is told at its first start, under a random id.  May hold secrets: it is shown by
// nothing, and sent to the container's node alone.
struct ContextRecord {
  std::string id;
  api::Context context;
};

// What people set of the network beside its prefix.
struct NetworkSettings {
  uint64_t generation = 1;
  api::IpRanges ranges;  // that do not follow the formula
  bool guests = false;
  bool masquerade = false;
  std::vector<Ipv4> upstream_dns;
  // The prefix before the last change, kept beside the new one until then; empty: none.
  std::string old_prefix;
  int64_t old_prefix_until_ms = 0;  // wall time
};

struct ClusterRecord {
  ClusterId id;
  std::string name = "bramble";
  uint64_t epoch = 1;
  std::string prefix = "172.16.0.0/24";
  bool initialised = false;
  bool adopting = false;
  int64_t lost_after_ms = 0;           // the longest that leases given out may be subject to
  int64_t highest_signed_time_ms = 0;  // no time above it was given out
  std::set<std::string> frozen_pools;  // in which nothing is moved: many of their nodes are silent
  NetworkSettings network;
};

}  // namespace bramble::controller
