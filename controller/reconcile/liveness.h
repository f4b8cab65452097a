// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "controller/reconcile/timing.h"

#include "absl/container/flat_hash_map.h"

namespace bramble::controller {

enum class Liveness { kReady, kSuspect, kUnreachable };
inline constexpr std::string_view kLivenessNames[] = {"ready", "suspect", "unreachable"};

// What a silence of that length means.
Liveness LivenessAfter(BootClock::duration silence, const Timing& timing);

struct LivenessChange {
  NodeId node;
  Liveness from = Liveness::kReady;
  Liveness to = Liveness::kReady;
  friend bool operator==(const LivenessChange&, const LivenessChange&) = default;
};

// Tells from heartbeats which nodes have fallen silent.  Pure: the caller brings the time.
class LivenessTracker {
 public:
  explicit LivenessTracker(const Timing& timing) : timing_(timing) {}

  // Watches `node` as if it had been heard at `since`: of a node known from the store that is when
  // the controller started, so that a restart grants everyone the full time.
  void Watch(const NodeId& node, BootTime since);
  // Stops watching: the node was removed, is held, or was shut down on a person's order.
  void Forget(const NodeId& node);

  // The node was heard (any message counts).  A change when it had been silent.  A node that is
  // not watched is watched from now on.
  std::optional<LivenessChange> OnHeard(const NodeId& node, BootTime now);

  // Every change that is due, one per node, longest silence first.
  std::vector<LivenessChange> Advance(BootTime now);
  // Advance has nothing to say before this.
  std::optional<BootTime> NextChange() const;

  // nullopt: not watched.
  std::optional<BootTime> LastHeard(const NodeId& node) const;
  Liveness StateOf(const NodeId& node) const;  // kUnreachable when not watched

 private:
  struct Entry {
    BootTime last_heard;
    Liveness state = Liveness::kReady;
    std::optional<BootTime> due;  // its place in due_, not after its next change
  };

  void Schedule(const NodeId& node, Entry& entry);
  void Unschedule(const NodeId& node, Entry& entry);

  Timing timing_;
  absl::flat_hash_map<NodeId, Entry> entries_;
  std::set<std::pair<BootTime, NodeId>> due_;  // hearing does not touch it: Advance looks again
};

}  // namespace bramble::controller
