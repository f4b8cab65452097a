// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/condition.h"
#include "api/labels.h"
#include "api/resources.h"

namespace bramble::api {

// Persisted by name: never rename, only append.
//   pending      asked to join without a token; waits for a person's approval
//   ready        connected
//   suspect      silent for 30 s
//   unreachable  silent for 60 s
//   held         its key was seen twice (a cloned card); a person decides
//   off          shut down on a person's order
enum class NodeState { kPending, kReady, kSuspect, kUnreachable, kHeld, kOff };
inline constexpr std::string_view kNodeStateNames[] = {"pending",     "ready", "suspect",
                                                       "unreachable", "held",  "off"};

// A bank of pins that the kernel drives; programs choose it by its label, since numbers change from
// kernel to kernel.
struct GpioChip {
  std::string name;   // "gpiochip0"
  std::string label;  // "pinctrl-bcm2835"
  int64_t lines = 0;

  friend bool operator==(const GpioChip&, const GpioChip&) = default;
};
inline constexpr size_t kMaxGpioChips = 64;

// What a node says of itself when it connects, and when it changes.
struct Inventory {
  std::string architecture;            // Debian's name: amd64, arm64, armhf
  std::vector<std::string> also_runs;  // further architectures whose images run (armhf on arm64)
  std::string model;
  std::string serial;
  std::vector<std::string> macs;
  std::string kernel;
  std::string agent_version;
  std::string cgroup_layout;  // "v2" or "v1"
  std::string lsm;            // "apparmor" or "none"
  std::string boot_id;
  int64_t page_size_bytes = 0;
  std::vector<GpioChip> gpio_chips;  // at most kMaxGpioChips, by name
  Resources capacity;

  friend bool operator==(const Inventory&, const Inventory&) = default;
};

enum class DrainState { kNone, kDraining, kDrained };
inline constexpr std::string_view kDrainStateNames[] = {"none", "draining", "drained"};

struct Node {
  NodeId id;
  NodeName name;
  uint64_t generation = 1;
  NodeState state = NodeState::kPending;
  std::string reason;
  std::string code;  // of a pending node: 6 digits to compare
  bool cordoned = false;
  DrainState drain = DrainState::kNone;
  std::optional<WallTime> drain_deadline;
  std::string pool = "default";
  Labels labels;
  std::string address;  // on the cluster network, without prefix length
  Inventory inventory;
  std::vector<Condition> conditions;
  Resources allocated;  // the sum of what its containers may use
  int64_t container_count = 0;
  std::vector<std::string> images;  // digests it holds
  WallTime joined_at{};
  std::optional<WallTime> last_seen_at;
};

json::object ToJson(const Inventory& inventory);
absl::StatusOr<Inventory> InventoryFromJson(const json::value& value, std::string path);
json::object ToJson(const Node& node);
absl::StatusOr<Node> NodeFromJson(const json::value& value, std::string path = "node",
                                  UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
