// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/lease.h"

#include <algorithm>

namespace bramble::controller {

BootTime MayPlaceAgainAt(const LeaseFacts& facts, const Timing& timing) {
  // A renewal from before the start may have been answered in the last moment: the whole time runs
  // from the start, under whichever configuration waits longer.
  const BootTime after_start =
      facts.controller_start + std::max(timing.lost_after, facts.previous_lost_after);
  if (!facts.last_renewal.has_value()) {
    return after_start;
  }
  return std::max(*facts.last_renewal + timing.lost_after, after_start);
}

FailoverDecision DecideFailover(const FailoverQuery& query, const Timing& timing, BootTime now) {
  if (!query.node_unreachable) {
    return {};
  }
  if (!query.movable) {
    return {.reason = "its node is unreachable; it is pinned there and is back when the node is"};
  }
  if (!query.wanted_running) {
    return {.reason = "its node is unreachable"};
  }
  if (query.adopting) {
    return {.verdict = Failover::kFrozen,
            .reason =
                "its node is unreachable; after a restore nothing is moved until the nodes "
                "have reported"};
  }
  if (query.pool_frozen) {
    return {.verdict = Failover::kFrozen,
            .reason = "its node is unreachable; so many others are that nothing is moved"};
  }
  const BootTime not_before = MayPlaceAgainAt(query.facts, timing);
  if (now < not_before) {
    return {
        .verdict = Failover::kWait,
        .not_before = not_before,
        .reason = "its node is unreachable; it is placed again once its lease has surely ended"};
  }
  return {.verdict = Failover::kMove};
}

bool MovePace::Take(const NodeId& node, BootTime now) {
  if (released_.contains(node)) {
    return true;
  }
  if (last_.has_value() && now - *last_ < pace_) {
    return false;
  }
  last_ = now;
  released_.insert(node);
  return true;
}

}  // namespace bramble::controller
