// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who is silent, and what follows from it: states of nodes, leases, the mass-loss breaker, and
// movable containers that are placed again.

#include <map>

#include "controller/fleet.h"
#include "controller/operation_tracker.h"
#include "controller/reconcile/lease.h"
#include "controller/reconcile/liveness.h"
#include "controller/reconcile/mass_loss.h"

namespace bramble::controller {

class NodeHealth {
 public:
  struct Settings {
    Timing timing;
    MassLossOptions mass_loss;
  };
  NodeHealth(Ledger& ledger, Fleet& fleet, OperationTracker& operations, Settings settings);

  // From the model, as it was read.  `started`: when this controller did.
  void Rebuild(BootTime started);

  // Any message of the node.  True: it had been silent; its state was written in `change` if given.
  void OnHeard(const NodeId& node);
  // The node asks for its lease: whether it gets one.
  bool GrantLease(const NodeRecord& node);
  // The node is to be watched from now on, or no longer (removed, held, off).
  void Watch(const NodeRecord& node);
  void Forget(const NodeId& node);

  // For how long a node that is not connected may still run a movable container that it has; 0: it
  // has none, or their lease has ended.
  std::chrono::seconds MovableMayRunFor(const NodeRecord& node) const;

  void Tick();
  // A person says that the losses are real.
  void AllowMoves();
  std::string FrozenText() const { return breaker_.StatusText(); }
  std::chrono::milliseconds Heartbeat() const;
  const Timing& timing() const { return settings_.timing; }
  std::optional<BootTime> LastHeard(const NodeId& node) const { return liveness_.LastHeard(node); }
  // Called when a node that had been silent is heard again.
  void OnBack(std::function<void(const NodeId&)> hook) { on_back_ = std::move(hook); }

 private:
  bool LostLongAgo(const NodeRecord& node) const;
  void Apply(Change& change, const LivenessChange& liveness);
  void SetUnknown(Change& change, const NodeId& node);
  void AdvanceBreaker();
  void FailOver();
  bool FailOverOne(Change& change, const ContainerRecord& record);
  FailoverQuery QueryFor(const ContainerRecord& record, const NodeRecord& node) const;
  LeaseFacts LeaseFactsOf(const NodeId& node) const;

  Ledger& ledger_;
  Fleet& fleet_;
  OperationTracker& operations_;
  const Settings settings_;
  LivenessTracker liveness_;
  MassLossBreaker breaker_;
  MovePace pace_;
  BootTime started_{};
  std::map<NodeId, BootTime> renewals_;
  std::function<void(const NodeId&)> on_back_;
};

}  // namespace bramble::controller
