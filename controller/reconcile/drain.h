// SPDX-License-Identifier: Apache-2.0
#pragma once

// What to do next to empty a node on a person's order, and to bring back what left it.  Both are
// functions from a snapshot to the next steps; the coordinator carries them out and asks again
// whenever one of the containers changed.

#include <optional>
#include <string>
#include <vector>

#include "api/container.h"
#include "base/clock.h"
#include "base/ids.h"

namespace bramble::controller {

inline constexpr int64_t kDefaultDrainAtOnce = 2;

// Where a container stands that is to leave a node.
enum class LeaveState {
  kHere,      // as it always was
  kStopping,  // was told to stop, has not confirmed
  kStopped,   // confirmed stopped here, not yet placed elsewhere
  kStarting,  // placed elsewhere, not yet as desired there
  kCopying,   // pinned: its writable layer is being copied
  kThere,     // arrived
};

struct LeavingContainer {
  ContainerId id;
  ContainerName name;
  api::PlacementClass placement_class = api::PlacementClass::kPinned;
  bool node_pinned = false;  // placement.node names this node: it can go nowhere else
  LeaveState state = LeaveState::kHere;
  std::string blocked;  // why the scheduler finds no other node; empty: it does
  std::string gave_up;  // why its move was given up: it is not begun again
  std::string doing;    // what its cold move does now
};

struct DrainQuery {
  NodeName node;
  std::vector<LeavingContainer> containers;
  int64_t at_once = kDefaultDrainAtOnce;
  bool leave_pinned = false;
  std::optional<BootTime> deadline;
};

struct DrainStep {
  std::vector<ContainerId> stop;       // stop here now (movable)
  std::vector<ContainerId> place;      // confirmed stopped: place elsewhere and start
  std::vector<ContainerId> cold_move;  // pinned: stop, copy the writable layer, start there
  std::vector<ContainerId> stay;       // will not leave: pinned with leave_pinned, or blocked
  bool drained = false;                // nothing that can or must leave is left
  bool stuck = false;                  // what has not left will not, whatever happens
  bool overdue = false;                // past the deadline: nothing new is begun
  int64_t percent = 0;
  std::string message;  // for the operation
};

// Movable ones first, by name; at most `at_once` on their way at any time.
DrainStep PlanDrain(const DrainQuery& query, BootTime now);

// `node restore`: what a drain had moved away from `node` comes back, at the same pace: stop where
// it is, then start at home.  `containers` are those whose home is the node and that are elsewhere;
// the states are seen from where they are now.  `place` means: place on the node restored.
DrainStep PlanRestore(const DrainQuery& query, BootTime now);

}  // namespace bramble::controller
