// SPDX-License-Identifier: Apache-2.0
#include "controller/mover.h"

#include <set>

#include "base/status.h"

namespace bramble::controller {
namespace {

std::string NameOf(const State& state, const NodeId& node) {
  const NodeRecord* record = state.nodes().Find(node.str());
  return record == nullptr ? "a removed node" : StrCat("node \"", record->api.name.str(), "\"");
}

// Puts the container on `node`, as one that it has not reported yet.
void PutOn(ContainerRecord& record, const NodeRecord& node, std::string reason) {
  api::ContainerStatus& status = record.api.status;
  status.node_id = node.api.id;
  status.node = node.api.name.str();
  status.state = api::ContainerState::kPlaced;
  status.reason = std::move(reason);
  status.started_at.reset();
  status.exit_code.reset();
  status.observed_generation = 0;
}

}  // namespace

absl::Status Mover::Begin(Change& change, const ContainerId& id, const NodeId& home) {
  ContainerRecord record = *ledger_.state().containers().Find(id.str());
  const NodeId source = record.api.status.node_id;
  BRAMBLE_ASSIGN_OR_RETURN(const NodeId target, fleet_.FindMoveTarget(record, home));
  record.move = ContainerMove{.id = RandomIdText(ledger_.random()),
                              .source = source,
                              .target = target,
                              .restoring = !home.empty()};
  record.move_failed.clear();
  record.moving = true;
  record.api.status.reason =
      StrCat("is being moved to ", NameOf(ledger_.state(), target), " with its files");
  change.AddEvent("container.move_begun", ReferenceTo(record), record.api.status.reason);
  fleet_.Put(change, std::move(record));
  return absl::OkStatus();
}

std::string Mover::Doing(const ContainerRecord& record) const {
  if (!record.move.has_value()) {
    return "";
  }
  const auto live = live_.find(record.move->id);
  std::string text = live == live_.end() ? "" : live->second.text;
  const int64_t bytes = copier_ == nullptr ? 0 : copier_->BytesCopied(record.move->id);
  if (record.move->phase == MovePhase::kCopying && bytes > 0) {
    text = StrCat(text, ", ", ToString(Bytes{bytes / kMiB * kMiB}));
  }
  return text;
}

bool Mover::CalledOff(const ContainerRecord& record) const {
  const ContainerMove& move = *record.move;
  const NodeRecord* node =
      ledger_.state().nodes().Find((move.restoring ? move.target : move.source).str());
  if (node == nullptr) {
    return true;
  }
  return move.restoring ? !node->restoring : node->api.drain != api::DrainState::kDraining;
}

MoveFacts Mover::FactsOf(const ContainerRecord& record, Live& live) {
  const ContainerMove& move = *record.move;
  const BootTime now = ledger_.clock().Boot();
  if (live.phase != move.phase) {
    live.phase = move.phase;
    live.since = now;
  }
  const MoveNodeFacts source = facts_(move.source, record);
  const MoveNodeFacts target = facts_(move.target, record);
  const bool target_known = ledger_.state().nodes().Find(move.target.str()) != nullptr;
  const bool target_missed = move.phase == MovePhase::kCopying && live.copy == CopyState::kIdle &&
                             source.stopped && !target.stopped;
  if (!target_missed) {
    live.target_missed_since.reset();
  } else if (!live.target_missed_since.has_value()) {
    live.target_missed_since = now;
  }
  // Asked for only where it may count: it goes through all nodes.
  const bool may_need_another = !target_known || target_missed || live.copy == CopyState::kFailed ||
                                move.phase == MovePhase::kReturning;
  return {.phase = move.phase,
          .source = source,
          .target = target,
          .target_known = target_known,
          .other_target = may_need_another && FindOtherTarget(record).ok(),
          .target_missed_since = live.target_missed_since,
          .copy = live.copy,
          .copy_error = live.end.status,
          .target_failed = live.end.at_target,
          .tries = move.tries,
          .not_before = live.not_before,
          .since = live.since,
          .called_off = CalledOff(record)};
}

absl::StatusOr<NodeId> Mover::FindOtherTarget(const ContainerRecord& record) const {
  const ContainerMove& move = *record.move;
  if (move.restoring) {
    return absl::FailedPreconditionError("it is to come home");
  }
  if (ledger_.state().nodes().Find(move.source.str()) == nullptr) {
    return absl::FailedPreconditionError("the node that it comes from was removed");
  }
  if (move.refused.size() + 1 >= kMaxMoveTargets) {
    return absl::FailedPreconditionError("enough nodes were tried");
  }
  std::vector<NodeId> exclude = move.refused;
  exclude.push_back(move.source);
  exclude.push_back(move.target);
  return fleet_.FindMoveTarget(record, NodeId(), std::move(exclude));
}

void Mover::Tick() {
  if (!ledger_.Writable().ok() || ledger_.state().cluster().adopting) {
    return;
  }
  std::vector<std::string> moving;
  for (const auto& [id, entry] : ledger_.state().containers().entries()) {
    if (entry.record.move.has_value()) {
      moving.push_back(id);
    }
  }
  const Principal system = Principal::System();
  Change change(ledger_, system, "container.move");
  for (const std::string& id : moving) {
    const ContainerRecord record = *ledger_.state().containers().Find(id);
    Live& live = live_[record.move->id];
    const MoveStep step = DecideMove(FactsOf(record, live), ledger_.clock().Boot());
    live.text = step.text;
    CarryOut(change, record, step);
  }
  if (!change.empty()) {
    ledger_.Commit(std::move(change), nullptr);
  }
  ForgetEnded();
}

void Mover::CarryOut(Change& change, ContainerRecord record, const MoveStep& step) {
  ContainerMove& move = *record.move;
  Live& live = live_[move.id];
  switch (step.action) {
    case MoveAction::kWait:
      return;
    case MoveAction::kCopy:
      Copy(change, record);
      return;
    case MoveAction::kNoteRetry:
      ++move.tries;
      live.copy = CopyState::kIdle;
      live.not_before = CopyRetryAt(move.tries, ledger_.clock().Boot());
      change.AddEvent("container.move_retried", ReferenceTo(record), step.text);
      fleet_.Put(change, std::move(record));
      return;
    case MoveAction::kSwitch:
      Switch(change, std::move(record));
      return;
    case MoveAction::kTurnBack:
      move.phase = MovePhase::kReturning;
      record.moving = true;
      record.move_failed =
          StrCat("it could not start on ", NameOf(ledger_.state(), move.target), ": ", step.text);
      record.api.status.reason = record.move_failed;
      fleet_.Put(change, std::move(record));
      return;
    case MoveAction::kFinish: {
      const std::string from = NameOf(ledger_.state(), move.source);
      record.move.reset();
      record.moving = false;
      record.move_failed.clear();
      change.AddEvent("container.moved", ReferenceTo(record),
                      StrCat("from ", from, " to node \"", record.api.status.node, "\""));
      const std::string id = record.api.id.str();
      fleet_.Put(change, std::move(record));
      operations_.OnContainer(change, *ledger_.state().containers().Find(id));
      return;
    }
    case MoveAction::kElsewhere:
      GoElsewhere(change, std::move(record), step.text);
      return;
    case MoveAction::kGiveUp:
      GiveUp(change, std::move(record), step.text);
      return;
  }
}

void Mover::Copy(Change& change, const ContainerRecord& record) {
  const ContainerMove& move = *record.move;
  Live& live = live_[move.id];
  if (move.phase != MovePhase::kCopying) {
    ContainerRecord copying = record;
    copying.move->phase = MovePhase::kCopying;
    fleet_.Put(change, std::move(copying));  // it begins when that is durable, by the next turn
    return;
  }
  if (copier_ == nullptr) {
    live.copy = CopyState::kFailed;
    live.end.status = absl::InvalidArgumentError("this controller has no way to copy files");
    return;
  }
  live.copy = CopyState::kUnderWay;
  live.not_before.reset();
  const std::weak_ptr<int> alive = alive_;
  auto done = [this, alive, id = move.id](LayerCopyEnd end) {
    if (alive.expired()) {
      return;
    }
    if (const auto found = live_.find(id); found != live_.end()) {
      found->second.copy = end.status.ok() ? CopyState::kDone : CopyState::kFailed;
      found->second.end = std::move(end);
    }
  };
  copier_->Copy(
      {.move = move.id, .container = record.api.id, .source = move.source, .target = move.target},
      std::move(done));
}

void Mover::Switch(Change& change, ContainerRecord record) {
  ContainerMove& move = *record.move;
  const NodeRecord& target = *ledger_.state().nodes().Find(move.target.str());
  move.phase = MovePhase::kStarting;
  record.moving = false;
  record.home = move.restoring ? NodeId() : move.source;
  PutOn(record, target, "its files were copied and verified; it starts");
  change.AddEvent("container.move_copied", ReferenceTo(record),
                  StrCat("to node \"", target.api.name.str(), "\""));
  fleet_.Put(change, std::move(record));
}

void Mover::PutBack(ContainerRecord& record) const {
  const ContainerMove& move = *record.move;
  const NodeRecord* source = ledger_.state().nodes().Find(move.source.str());
  if (source != nullptr && record.api.status.node_id != move.source) {
    PutOn(record, *source, "");
    record.home = move.restoring ? move.target : NodeId();
  }
}

// Another move of the same container, in the record of the one before: what this target has is
// buried with it.
void Mover::GoElsewhere(Change& change, ContainerRecord record, const std::string& why) {
  const absl::StatusOr<NodeId> other = FindOtherTarget(record);
  if (!other.ok()) {
    GiveUp(change, std::move(record), why);
    return;
  }
  PutBack(record);
  ContainerMove& move = *record.move;
  const std::string failed = why.empty() ? record.move_failed : why;
  change.AddEvent("container.move_redirected", ReferenceTo(record),
                  StrCat("to ", NameOf(ledger_.state(), *other), ", not to ",
                         NameOf(ledger_.state(), move.target), ": ", failed));
  if (move.phase == MovePhase::kReturning) {
    move.phase = MovePhase::kCopying;
  }
  move.id = RandomIdText(ledger_.random());
  move.refused.push_back(move.target);
  move.target = *other;
  move.tries = 0;
  record.moving = true;
  record.move_failed.clear();
  record.api.status.reason =
      StrCat("is being moved to ", NameOf(ledger_.state(), *other), " with its files");
  fleet_.Put(change, std::move(record));
}

void Mover::OnNodeGone(Change& change, const NodeId& gone) {
  std::vector<ContainerRecord> left;
  for (const std::string& id : ledger_.state().ContainersOn(gone)) {
    const ContainerRecord& record = *ledger_.state().containers().Find(id);
    if (record.move.has_value() && record.move->target == gone && !record.api.deleting &&
        ledger_.state().nodes().Find(record.move->source.str()) != nullptr) {
      left.push_back(record);
    }
  }
  for (ContainerRecord& record : left) {
    GiveUp(change, std::move(record), "the node that it was to start on was removed");
  }
}

void Mover::GiveUp(Change& change, ContainerRecord record, const std::string& why) {
  if (!why.empty()) {
    record.move_failed = why;
  }
  if (ledger_.state().nodes().Find(record.move->source.str()) != nullptr) {
    PutBack(record);
    record.api.status.reason = StrCat("was not moved: ", record.move_failed);
  }
  record.moving = false;
  record.move.reset();
  change.AddEvent("container.move_failed", ReferenceTo(record), record.move_failed);
  fleet_.Put(change, std::move(record));
}

// Whose container was deleted, too.
void Mover::ForgetEnded() {
  std::set<std::string> open;
  for (const auto& [id, entry] : ledger_.state().containers().entries()) {
    if (entry.record.move.has_value()) {
      open.insert(entry.record.move->id);
    }
  }
  for (auto it = live_.begin(); it != live_.end();) {
    if (open.contains(it->first)) {
      ++it;
      continue;
    }
    if (it->second.copy == CopyState::kUnderWay && copier_ != nullptr) {
      copier_->Cancel(it->first);
    }
    it = live_.erase(it);
  }
}

}  // namespace bramble::controller
