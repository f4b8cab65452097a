// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/condition.h"
#include "api/context.h"
#include "api/labels.h"
#include "api/resources.h"

namespace bramble::api {

// pinned: its data lives on its node, the cluster never moves it by itself.  movable: may be
// restarted elsewhere from its image, under a lease.
enum class PlacementClass { kPinned, kMovable };
inline constexpr std::string_view kPlacementClassNames[] = {"pinned", "movable"};

// What a person wants a container to do.
enum class DesiredState { kRunning, kStopped, kFrozen };
inline constexpr std::string_view kDesiredStateNames[] = {"running", "stopped", "frozen"};

// What a container does, as far as the controller knows.  Persisted by name: never rename, only
// append.
//   pending   no node holds it yet; `reason` says why
//   placed    a node was chosen and has not reported it yet
//   unknown   its node is unreachable
//   orphaned  a node runs it and the controller had not known it (adopted)
enum class ContainerState {
  kPending,
  kPlaced,
  kStarting,
  kRunning,
  kStopping,
  kStopped,
  kFrozen,
  kFailed,
  kDeleting,
  kUnknown,
  kOrphaned
};
inline constexpr std::string_view kContainerStateNames[] = {
    "pending", "placed", "starting", "running", "stopping", "stopped",
    "frozen",  "failed", "deleting", "unknown", "orphaned"};

enum class RestartPolicy { kAlways, kOnFailure, kNever };
inline constexpr std::string_view kRestartPolicyNames[] = {"always", "on-failure", "never"};

// One condition on a node's labels.  `in` with several values is an or; `exists` takes none.
enum class LabelOperator { kIn, kNotIn, kExists, kNotExists };
inline constexpr std::string_view kLabelOperatorNames[] = {"in", "not-in", "exists", "not-exists"};
struct LabelTerm {
  std::string key;
  LabelOperator op = LabelOperator::kIn;
  std::vector<std::string> values;
  int64_t weight = 1;  // of a preference, 1 to 100

  friend bool operator==(const LabelTerm&, const LabelTerm&) = default;
};
// "disk=ssd", "disk!=ssd", "disk in a|b", "disk", "!disk": as the CLI takes it.
absl::StatusOr<LabelTerm> ParseLabelTerm(std::string_view text);
std::string ToString(const LabelTerm& term);

// Where a container may or should go.
struct Placement {
  PlacementClass placement_class = PlacementClass::kPinned;
  std::string node;  // only there (a node's name); empty: anywhere
  std::vector<LabelTerm> required;
  std::vector<LabelTerm> preferred;
  std::vector<std::string> avoid;  // not on a node that holds one of these containers (names)
  Labels spread;                   // prefer nodes with few containers that bear all these labels

  friend bool operator==(const Placement&, const Placement&) = default;
};

struct RestartRule {
  RestartPolicy policy = RestartPolicy::kAlways;
  int64_t max_retries = 0;  // 0: no limit; back-off doubles from 1 s to 5 min

  friend bool operator==(const RestartRule&, const RestartRule&) = default;
};

// Limits of a container's traffic in bits per second; 0: none.
struct Bandwidth {
  int64_t in_bps = 0;
  int64_t out_bps = 0;

  friend bool operator==(const Bandwidth&, const Bandwidth&) = default;
};
inline constexpr int64_t kMinBandwidthBps = 8'000;
inline constexpr int64_t kMaxBandwidthBps = 100'000'000'000;

// What a person asks for.  Field by field the body of POST /v1/containers (flat, with `name`).
struct ContainerSpec {
  std::string image;         // "name" or "name:tag"
  std::string flavor;        // empty: the default
  Resources limits;          // what the flavor gives, or what was set since
  int64_t cpu_weight = 100;  // 1 to 10000, as cgroup v2's cpu.weight
  Bytes swap;                // beyond memory
  DesiredState desired = DesiredState::kRunning;
  Placement placement;
  RestartRule restart;
  int64_t autostart_order = 0;  // after a boot, lower first
  int64_t stop_grace_s = 10;
  Labels labels;
  std::map<std::string, std::string> environment;
  std::vector<std::string> groups;  // security groups of its project; none: `default` alone
  Bandwidth bandwidth;
  uint64_t restart_count = 0;  // raised by "restart"
  uint64_t rebuild_count = 0;  // raised by "rebuild": a fresh writable layer

  friend bool operator==(const ContainerSpec&, const ContainerSpec&) = default;
};

struct ContainerStatus {
  ContainerState state = ContainerState::kPending;
  std::string reason;  // why it is not as desired; empty when it is
  NodeId node_id;
  std::string node;     // the node's name
  std::string address;  // "172.16.0.64"; empty: none yet
  std::vector<std::string> floating_ips;
  std::string mac;
  std::string image_digest;  // SHA-256 of the variant in use
  std::string architecture;
  std::optional<WallTime> started_at;
  std::optional<int64_t> exit_code;
  uint64_t restarts = 0;  // by the restart policy, since it was last started by a person
  uint64_t observed_generation = 0;
  std::string disk_limit_mode;  // "project-quota", "loop-file" or "none"
  // What it runs without, since its node could not give it: "apparmor", "swap", "disk" …
  std::vector<Condition> conditions;

  friend bool operator==(const ContainerStatus&, const ContainerStatus&) = default;
};

struct Container {
  ContainerId id;
  ContainerName name;
  ProjectName project;
  uint64_t generation = 1;  // of the spec; the ETag
  WallTime created_at{};
  bool deleting = false;                  // a tombstone was written; gone when its node confirms
  std::optional<ContextSummary> context;  // of what it was made with
  ContainerSpec spec;
  ContainerStatus status;
};

inline constexpr int64_t kMaxStopGraceSeconds = 600;
inline constexpr size_t kMaxEnvironment = 256;

// Fields that people may write; the controller fills limits from the flavor where they are absent
// (`limits` keys: cpu_milli, memory_bytes, disk_bytes, pids).
absl::StatusOr<ContainerSpec> ContainerSpecFromJson(const json::value& value, std::string path,
                                                    UnknownKeys unknown);
json::object ToJson(const ContainerSpec& spec);
json::object ToJson(const ContainerStatus& status);
// {"id", "name", "project", "generation", "created_at", "deleting", "context": {…}, "spec": {…},
// "status": {…}}
json::object ToJson(const Container& container);
absl::StatusOr<Container> ContainerFromJson(const json::value& value,
                                            std::string path = "container",
                                            UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
