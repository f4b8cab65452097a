// SPDX-License-Identifier: Apache-2.0
#pragma once

// What node and controller say to each other on 8444: JSON text messages on one WebSocket at
// /v1/node, each {"type": …}.  The node dials.  Delivery is at least once and may repeat; desired
// state is ordered by (epoch, generation) and a node refuses an older pair.
//
//   node        -> Hello, Heartbeat, Report, CommandResult, Resync
//   controller  -> Welcome, HeartbeatReply, Desired, NodeNetwork, Names, OpenStream, Command, Held
//
// NodeNetwork and Names are in api/node_network.h.
//
// Joining uses POST /v1/join and /v1/renew on the same port, with the bodies at the end.

#include <variant>

#include "api/container.h"
#include "api/labels.h"
#include "api/node.h"
#include "api/node_network.h"

namespace bramble::api {

inline constexpr int kNodeProtocolVersion = 1;
inline constexpr size_t kMaxNodeMessageBytes = 8 << 20;
inline constexpr size_t kMaxContainersPerNode = 1000;

// One container as its node needs to know it: everything resolved.
struct NodeContainer {
  ContainerId id;
  ContainerName name;
  ProjectName project;
  uint64_t generation = 1;
  ContainerSpec spec;  // limits filled in
  // Its writable layer comes, or came, by this move: without it the container does not start.
  // Empty: it has or makes its own.
  std::string layer_move;
  // What it is told at its first start, to be had at GET /v1/contexts/ID; empty: nothing.  It never
  // changes: another one has another id.
  std::string context;
  ContextMode context_mode = ContextMode::kFindOut;
  std::string image_digest;
  Bytes image_size;
  std::string architecture;
  std::string address;  // "172.16.0.64/24"; empty: no network
  std::string mac;
  std::string gateway;
  std::vector<std::string> dns;  // its node's address first: the node answers
  std::string search_domain;
  // Further addresses of the container, which its node announces (gratuitous ARP) when they come
  // and takes from the running container when they go; neither restarts it.  Nor does a change of
  // `firewall` or of the spec's bandwidth.  A change of `address` (the prefix was changed) is
  // applied to a running container if the node can, otherwise by starting it anew.
  std::vector<Ipv4> floating_addresses;
  // Absent: the controller knows no firewalls, and nothing is filtered but spoofing.
  std::optional<ContainerFirewall> firewall;

  friend bool operator==(const NodeContainer&, const NodeContainer&) = default;
};

// One container as its node sees it.
struct ObservedContainer {
  ContainerId id;
  ContainerName name;
  ProjectName project;
  uint64_t generation = 0;  // of the desired state it was brought to
  uint64_t restart_count = 0;
  uint64_t rebuild_count = 0;
  ContainerState state = ContainerState::kStopped;
  std::string reason;
  std::optional<int64_t> exit_code;
  std::optional<WallTime> started_at;
  uint64_t restarts = 0;
  bool ran = false;  // its init was started on the writable layer that it has now, or may have been
  std::string disk_limit_mode;
  std::vector<Condition> conditions;  // what it runs without
  // Of a container that the controller may not know: what is needed to adopt it.
  std::optional<NodeContainer> definition;

  friend bool operator==(const ObservedContainer&, const ObservedContainer&) = default;
};

// ---- node -> controller

struct Hello {
  int protocol = kNodeProtocolVersion;
  Version version;            // the highest it ever accepted
  std::string session_value;  // rolling; empty on the first session
  std::string previous_session_value;
  Inventory inventory;
  std::vector<Condition> conditions;
  std::string hostname;
  std::string address;  // in use on the cluster network; empty: none
  Labels labels;        // asked for in node.toml or bramble.toml
  std::vector<std::string> images;
  int64_t wall_time_ms = 0;  // its clock, to measure the skew
  std::optional<NetworkReport> network;
};

// Also asks for a new lease: the node counts it from `sent_boot_ns`, its own CLOCK_BOOTTIME.
struct Heartbeat {
  uint64_t sequence = 0;
  int64_t sent_boot_ns = 0;
  Version version;
  std::vector<Condition> conditions;
  int64_t clock_step_ms = 0;  // by which the node's clock was set since it last said so; 0: not
};

struct Report {
  bool full = false;  // all containers, or only those that changed
  Version version;    // applied so far
  std::vector<ObservedContainer> containers;
  std::vector<ContainerId> removed;  // tombstones carried out
  std::vector<std::string> images;   // only when `full` or changed
  bool images_changed = false;
  std::optional<NetworkReport> network;  // when it changed since Hello or the last Report
};

struct CommandResult {
  std::string command_id;
  std::string error_code;  // empty: done
  std::string error;
  json::value result;
};

// The node cannot apply a delta: send the whole desired state.
struct Resync {};

// ---- controller -> node

struct Welcome {
  uint64_t epoch = 0;
  ClusterId cluster_id;
  NodeName name;
  std::string session_value;  // to present next time
  int64_t heartbeat_ms = 10000;
  int64_t lease_ms = 120000;
  int64_t stop_ms = 30000;     // after the lease ran out, until the kill
  int64_t signed_time_ms = 0;  // never below the highest ever sent
  std::string address;         // the node's, confirmed or changed; "172.16.0.11/24"
};

struct HeartbeatReply {
  uint64_t sequence = 0;     // of the heartbeat that it answers
  int64_t sent_boot_ns = 0;  // echoed: the lease runs from here
  int64_t lease_ms = 0;      // 0: no lease is given
  int64_t heartbeat_ms = 10000;
  int64_t signed_time_ms = 0;
};

// Desired state.  `full` replaces all; otherwise it applies on top of `base` only.  A container
// that is absent from a full state is an orphan: kept, reported, never destroyed.  Tombstones
// alone destroy.
struct Desired {
  Version version;
  Version base;
  bool full = false;
  std::vector<NodeContainer> containers;
  std::vector<ContainerId> tombstones;
};

// Dial wss://…/v1/streams/<ticket> and serve this.
// export, import: the writable layer of a stopped container, from the node that it leaves to the
// one that it goes to.  An import ends at once, well, when its move has brought the layer before.
enum class StreamKind { kExec, kConsole, kLogs, kPush, kPull, kExport, kImport };
inline constexpr std::string_view kStreamKindNames[] = {"exec", "console", "logs",  "push",
                                                        "pull", "export",  "import"};
struct OpenStream {
  std::string ticket;
  StreamKind kind = StreamKind::kExec;
  ContainerId container;
  // exec
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  std::string user;
  std::string working_directory;
  bool tty = false;
  bool interactive = false;  // stdin is used
  int64_t rows = 0;
  int64_t columns = 0;
  // logs
  int64_t tail_lines = 0;  // 0: all that is kept
  bool follow = false;
  // push, pull
  std::string path;
  bool tree = false;       // a directory, as a tar archive
  int64_t mode = 0;        // of a pushed file; 0: 0644
  int64_t uid = 0;         // -1: as the archive says
  int64_t gid = 0;         // -1: as the archive says
  int64_t size_bytes = 0;  // of a pushed file; -1: not known, up to the eof frame
  // import
  std::string move;
};

// Carried out once per `command_id` (kept 24 h), not after `not_after_ms` of signed time.
struct Command {
  std::string command_id;
  std::string verb;  // "reboot", "poweroff", "identify", "stats"
  json::value arguments;
  int64_t not_after_ms = 0;
};

// This session is refused until a person decides (a cloned card); the node retries slowly.
struct Held {
  std::string reason;
  bool new_identity =
      false;  // a person decided: forget key, certificate and session, and join anew
};

using NodeMessage = std::variant<Hello, Heartbeat, Report, CommandResult, Resync>;
using ControllerMessage =
    std::variant<Welcome, HeartbeatReply, Desired, OpenStream, Command, Held, NodeNetwork, Names>;

std::string Encode(const NodeMessage& message);
std::string Encode(const ControllerMessage& message);
// kInvalidArgument: not a message; kUnimplemented: a type that this version does not know, which
// the receiver logs and ignores.
absl::StatusOr<NodeMessage> DecodeNodeMessage(std::string_view text);
absl::StatusOr<ControllerMessage> DecodeControllerMessage(std::string_view text);

json::object ToJson(const NodeContainer& container);
absl::StatusOr<NodeContainer> NodeContainerFromJson(const json::value& value, std::string path);
json::object ToJson(const ObservedContainer& container);
absl::StatusOr<ObservedContainer> ObservedContainerFromJson(const json::value& value,
                                                            std::string path);

// ---- POST /v1/join and POST /v1/renew, over TLS with no client certificate (or an expired one)

// `proof` = HMAC-SHA256(key: SHA-256 of the token's secret, data: TLS exporter value || SHA-256 of
// the node's SPKI, both raw): the controller keeps only that hash of the secret.  The exporter has
// label "EXPORTER-bramble-join-v1", no context, 32 bytes (RFC 8446, 7.5).  The body of /v1/renew is
// a JoinRequest too, of which `csr_pem` counts; the proof is the certificate presented to TLS.
// Without a token both are empty, and the node shows as pending with a code.
inline constexpr char kJoinExporterLabel[] = "EXPORTER-bramble-join-v1";
struct JoinRequest {
  std::string csr_pem;  // signed with the node's key: the proof that it holds it
  TokenId token_id;
  std::string proof;     // base64url
  std::string hostname;  // proposes a name
  Inventory inventory;
  std::string address;  // in use on the cluster network; empty: assign one
  Labels labels;
};
struct JoinReply {
  bool pending = false;  // ask again: a person has to approve the code
  // Six digits: the first 8 bytes, big-endian, of SHA-256(SHA-256 of the controller's SPKI ||
  // SHA-256 of the node's SPKI), modulo 1,000,000.  The node computes and shows its own.
  std::string code;
  int64_t retry_ms = 0;
  NodeId node_id;
  NodeName name;
  ClusterId cluster_id;
  std::string certificate_pem;
  std::string ca_pem;
  std::string address;  // "172.16.0.11/24"
  int64_t signed_time_ms = 0;
};

json::object ToJson(const JoinRequest& request);
absl::StatusOr<JoinRequest> JoinRequestFromJson(const json::value& value);
json::object ToJson(const JoinReply& reply);
absl::StatusOr<JoinReply> JoinReplyFromJson(const json::value& value);

}  // namespace bramble::api
