// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "controller/fleet.h"
#include "controller/operation_tracker.h"
#include "controller/reconcile/move.h"
#include "controller/seams.h"

namespace bramble::controller {

// Carries out cold moves: asks the pure plan (reconcile/move.h) what comes next for every container
// that has a ContainerMove, and writes that.  What must survive a restart of the controller is in
// the record; a copy that was under way is begun anew, and is over at once where it had succeeded.
class Mover {
 public:
  // What the reports of `node` tell of `container`.
  using Facts = std::function<MoveNodeFacts(const NodeId& node, const ContainerRecord& container)>;

  Mover(Ledger& ledger, Fleet& fleet, OperationTracker& operations, Facts facts,
        LayerCopier* copier)
      : ledger_(ledger),
        fleet_(fleet),
        operations_(operations),
        facts_(std::move(facts)),
        copier_(copier) {}

  // Begins to move a container off its node: to `home`, if that is a node (a restore), or to one
  // that the scheduler chooses.  The caller commits.
  absl::Status Begin(Change& change, const ContainerId& id, const NodeId& home);
  // `gone` is about to be removed or replaced: what was only being started there is its source's
  // again.  The caller commits.
  void OnNodeGone(Change& change, const NodeId& gone);
  // What the container's move is doing, for people; empty: it has none.
  std::string Doing(const ContainerRecord& record) const;
  void Tick();

 private:
  // What of a move need not survive a restart.
  struct Live {
    CopyState copy = CopyState::kIdle;
    LayerCopyEnd end;
    std::optional<BootTime> not_before;
    std::optional<BootTime> target_missed_since;
    std::optional<MovePhase> phase;  // seen last, and
    BootTime since{};                // since when
    std::string text;
  };

  MoveFacts FactsOf(const ContainerRecord& record, Live& live);
  absl::StatusOr<NodeId> FindOtherTarget(const ContainerRecord& record) const;
  bool CalledOff(const ContainerRecord& record) const;
  void CarryOut(Change& change, ContainerRecord record, const MoveStep& step);
  void Copy(Change& change, const ContainerRecord& record);
  void Switch(Change& change, ContainerRecord record);
  void GoElsewhere(Change& change, ContainerRecord record, const std::string& why);
  // It is the source's alone again, as far as the record goes.
  void PutBack(ContainerRecord& record) const;
  void GiveUp(Change& change, ContainerRecord record, const std::string& why);
  void ForgetEnded();

  Ledger& ledger_;
  Fleet& fleet_;
  OperationTracker& operations_;
  const Facts facts_;
  LayerCopier* const copier_;
  std::map<std::string, Live> live_;  // by move
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace bramble::controller
