// SPDX-License-Identifier: Apache-2.0
#pragma once

// When a movable container whose node is silent may be started elsewhere.
//
// The node counts its lease from the moment it *sent* the renewal, the controller from the moment
// it *received* it, which is never earlier.  So with clocks that differ by at most the drift, the
// node has killed the container before MayPlaceAgainAt.

#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "controller/reconcile/timing.h"

namespace bramble::controller {

struct LeaseFacts {
  std::optional<BootTime> last_renewal;  // received from the node; nullopt: none since the start
  BootTime controller_start;             // earlier leases are unknown: they count from here
  // The longest lost_after that any lease given out before the start may be subject to: the stored
  // one, when the configuration was shortened meanwhile.
  std::chrono::milliseconds previous_lost_after{0};
};

// The first moment at which no copy can be running on the silent node any more.
BootTime MayPlaceAgainAt(const LeaseFacts& facts, const Timing& timing);

enum class Failover {
  kStay,    // pinned, or not meant to run, or the node is heard: nothing to do
  kWait,    // its lease may still be held: ask again at `not_before`
  kFrozen,  // it could move, but the mass-loss breaker holds the pool
  kMove,    // place it again now
};

struct FailoverQuery {
  bool movable = false;
  bool wanted_running = false;
  bool node_unreachable = false;
  bool pool_frozen = false;
  bool adopting = false;  // after a restore: nothing is moved until nodes have reported
  LeaseFacts facts;
};

struct FailoverDecision {
  Failover verdict = Failover::kStay;
  BootTime not_before{};  // with kWait
  std::string reason;     // for the container's status; empty with kStay of a healthy one
};

FailoverDecision DecideFailover(const FailoverQuery& query, const Timing& timing, BootTime now);

// Lets the containers of at most one lost node go per Timing::move_pace.
class MovePace {
 public:
  explicit MovePace(const Timing& timing) : pace_(timing.move_pace) {}

  // True when the containers of `node` may be moved now: it was let go before, or its turn is here.
  bool Take(const NodeId& node, BootTime now);
  // The node is back, or all of its containers are elsewhere.
  void Forget(const NodeId& node) { released_.erase(node); }

 private:
  std::chrono::milliseconds pace_;
  std::set<NodeId> released_;
  std::optional<BootTime> last_;
};

}  // namespace bramble::controller
