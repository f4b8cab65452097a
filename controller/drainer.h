// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/fleet.h"
#include "controller/mover.h"
#include "controller/operation_tracker.h"
#include "controller/reconcile/drain.h"

namespace bramble::controller {

// Carries out drains and restores, and places what is pending: asks the pure plan what comes next
// whenever something changed, and writes that.  What it begins of pinned containers, the Mover
// ends.
class Drainer {
 public:
  // Whether a node has confirmed, after its last order for a container, that it does not run.
  using Stopped = std::function<bool(const NodeId& node, const ContainerId& container)>;

  Drainer(Ledger& ledger, Fleet& fleet, OperationTracker& operations, Mover& mover, Stopped stopped)
      : ledger_(ledger),
        fleet_(fleet),
        operations_(operations),
        mover_(mover),
        stopped_(std::move(stopped)) {}

  // Something changed that may let a container be placed or moved.
  void Wake() { awake_ = true; }
  void Tick();

 private:
  void PlacePending();
  void LetGo();
  void Advance(const NodeRecord& node);
  DrainQuery QueryFor(const NodeRecord& node);
  // Where it stands, and why it cannot leave, as far as that can be known.
  void Describe(const NodeRecord& node, const ContainerRecord& record, LeavingContainer& leaving);
  LeaveState StateOf(const ContainerRecord& record, const NodeId& node) const;
  void CarryOut(Change& change, const NodeRecord& node, const DrainStep& step);
  void End(Change& change, const NodeRecord& node, const DrainStep& step);

  Ledger& ledger_;
  Fleet& fleet_;
  OperationTracker& operations_;
  Mover& mover_;
  const Stopped stopped_;
  bool awake_ = true;
  BootTime next_{};
};

}  // namespace bramble::controller
