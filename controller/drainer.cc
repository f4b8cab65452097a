// SPDX-License-Identifier: Apache-2.0
#include "controller/drainer.h"

namespace bramble::controller {
namespace {

constexpr std::chrono::seconds kEvery{1};
constexpr size_t kPlacedAtOnce = 200;

using api::ContainerState;

}  // namespace

void Drainer::Tick() {
  const BootTime now = ledger_.clock().Boot();
  if (!ledger_.Writable().ok() || (!awake_ && now < next_)) {
    return;
  }
  awake_ = false;
  next_ = now + kEvery;
  PlacePending();
  std::vector<NodeId> nodes;
  for (const auto& [id, entry] : ledger_.state().nodes().entries()) {
    if (entry.record.api.drain == api::DrainState::kDraining || entry.record.restoring) {
      nodes.push_back(entry.record.api.id);
    }
  }
  for (const NodeId& id : nodes) {
    if (const NodeRecord* node = ledger_.state().nodes().Find(id.str());
        node != nullptr && ledger_.Writable().ok()) {
      Advance(*node);
    }
  }
  if (ledger_.Writable().ok()) {
    LetGo();
  }
}

// What was told to stop for a drain or restore that is over (its deadline passed, it was cancelled)
// goes on where it is.
void Drainer::LetGo() {
  const State& state = ledger_.state();
  std::vector<std::string> left;
  for (const auto& [id, entry] : state.containers().entries()) {
    const ContainerRecord& record = entry.record;
    if (!record.moving || record.move.has_value()) {
      continue;
    }
    const NodeRecord* here = state.nodes().Find(record.api.status.node_id.str());
    const NodeRecord* home = state.nodes().Find(record.home.str());
    const bool draining = here != nullptr && here->api.drain == api::DrainState::kDraining;
    const bool restoring = home != nullptr && home->restoring && home != here;
    if (!draining && !restoring) {
      left.push_back(id);
    }
  }
  if (left.empty()) {
    return;
  }
  const Principal system = Principal::System();
  Change change(ledger_, system, "container.stay");
  for (const std::string& id : left) {
    ContainerRecord record = *state.containers().Find(id);
    record.moving = false;
    if (record.home == record.api.status.node_id) {
      record.home = NodeId();
    }
    record.api.status.reason = "was not moved: the drain ended before it had stopped";
    fleet_.Put(change, std::move(record));
  }
  ledger_.Commit(std::move(change), nullptr);
}

void Drainer::PlacePending() {
  const Principal system = Principal::System();
  Change change(ledger_, system, "container.place");
  size_t placed = 0;
  for (const std::string& id : ledger_.state().Pending()) {
    if (placed == kPlacedAtOnce) {
      awake_ = true;
      break;
    }
    const ContainerRecord& found = *ledger_.state().containers().Find(id);
    ContainerRecord record = found;
    const bool fits = fleet_.Place(record);
    if (!fits && record.api.status.reason == found.api.status.reason) {
      continue;
    }
    if (fits) {
      ++placed;
      change.AddEvent("container.placed", ReferenceTo(record),
                      StrCat("on node \"", record.api.status.node, "\""));
    }
    fleet_.Put(change, std::move(record));
    operations_.OnContainer(change, *ledger_.state().containers().Find(id));
  }
  if (!change.empty()) {
    ledger_.Commit(std::move(change), nullptr);
  }
}

LeaveState Drainer::StateOf(const ContainerRecord& record, const NodeId& node) const {
  const api::ContainerStatus& status = record.api.status;
  if (record.move.has_value()) {
    switch (record.move->phase) {
      case MovePhase::kStopping:
        return LeaveState::kStopping;
      case MovePhase::kCopying:
        return LeaveState::kCopying;
      case MovePhase::kStarting:
      case MovePhase::kReturning:
        return LeaveState::kStarting;
    }
  }
  if (record.moving) {
    return stopped_(status.node_id, record.api.id) ? LeaveState::kStopped : LeaveState::kStopping;
  }
  if (status.node_id == node) {
    return LeaveState::kHere;
  }
  return status.state == ContainerState::kPlaced || status.state == ContainerState::kStarting ||
                 status.state == ContainerState::kPending
             ? LeaveState::kStarting
             : LeaveState::kThere;
}

void Drainer::Describe(const NodeRecord& node, const ContainerRecord& record,
                       LeavingContainer& leaving) {
  leaving.gave_up = record.move_failed;
  leaving.doing = mover_.Doing(record);
  // Seen from where it is: in a restore that is another node.
  leaving.state = StateOf(record, node.restoring ? record.api.status.node_id : node.api.id);
  if (leaving.state != LeaveState::kHere) {
    return;
  }
  if (leaving.placement_class == api::PlacementClass::kPinned) {
    const bool stays = leaving.node_pinned || (!node.restoring && node.drain_leaves_pinned);
    if (!stays && leaving.gave_up.empty()) {
      const absl::StatusOr<NodeId> target =
          fleet_.FindMoveTarget(record, node.restoring ? node.api.id : NodeId());
      leaving.blocked = target.ok() ? "" : std::string(target.status().message());
    }
  } else if (!node.restoring) {
    ContainerRecord trial = record;
    Fleet::Unplace(trial, "");
    if (!fleet_.Place(trial, {node.api.id})) {
      leaving.blocked = trial.api.status.reason;
    }
  }
}

DrainQuery Drainer::QueryFor(const NodeRecord& node) {
  DrainQuery query{.node = node.api.name,
                   .at_once = node.drain_pace,
                   .leave_pinned = !node.restoring && node.drain_leaves_pinned};
  for (const auto& [id, entry] : ledger_.state().containers().entries()) {
    const ContainerRecord& record = entry.record;
    const bool here = record.api.status.node_id == node.api.id;
    const bool ours = record.home == node.api.id;
    // On its way back to where it came from, but not there yet.
    const bool arriving = record.move.has_value() && record.move->target == node.api.id;
    if (record.api.deleting || record.orphaned || (!here && !ours)) {
      continue;
    }
    if (node.restoring ? here && !arriving : arriving) {
      continue;
    }
    LeavingContainer leaving{
        .id = record.api.id,
        .name = record.api.name,
        .placement_class = record.api.spec.placement.placement_class,
        .node_pinned = !node.restoring && record.api.spec.placement.node == node.api.name.str()};
    Describe(node, record, leaving);
    query.containers.push_back(std::move(leaving));
  }
  if (node.api.drain_deadline.has_value()) {
    query.deadline = ledger_.clock().Boot() + (*node.api.drain_deadline - ledger_.clock().Wall());
  }
  return query;
}

void Drainer::CarryOut(Change& change, const NodeRecord& node, const DrainStep& step) {
  const NodeId from = node.api.id;
  const bool restoring = node.restoring;
  const std::string name = node.api.name.str();
  for (const ContainerId& id : step.stop) {
    ContainerRecord record = *ledger_.state().containers().Find(id.str());
    record.moving = true;
    if (!restoring) {
      record.home = from;
    }
    record.api.status.reason = "is being moved";
    if (record.api.status.state != ContainerState::kStopped) {
      record.api.status.state = ContainerState::kStopping;
    }
    fleet_.Put(change, std::move(record));
  }
  for (const ContainerId& id : step.cold_move) {
    if (!mover_.Begin(change, id, restoring ? node.api.id : NodeId()).ok()) {
      awake_ = true;  // what it was to go to was taken by the one before: asked again, and told why
    }
  }
  for (const ContainerId& id : step.place) {
    ContainerRecord record = *ledger_.state().containers().Find(id.str());
    const NodeId left = record.api.status.node_id;
    if (restoring) {
      record.home = NodeId();
    }
    Fleet::Unplace(record, "");
    const std::string wanted = record.api.spec.placement.node;
    if (restoring) {
      record.api.spec.placement.node = name;
    }
    const bool placed = fleet_.Place(record, {left}) || fleet_.Place(record);
    record.api.spec.placement.node = wanted;
    change.AddEvent(
        "container.moved", ReferenceTo(record),
        placed ? StrCat("to node \"", record.api.status.node, "\"") : record.api.status.reason);
    fleet_.Put(change, std::move(record));
    operations_.OnContainer(change, *ledger_.state().containers().Find(id.str()));
  }
}

void Drainer::End(Change& change, const NodeRecord& found, const DrainStep& step) {
  NodeRecord node = found;
  const OperationId operation = node.drain_operation;
  json::array stayed;
  std::string names;
  for (const ContainerId& id : step.stay) {
    const std::string& name = ledger_.state().containers().Find(id.str())->api.name.str();
    stayed.emplace_back(name);
    names = StrCat(names, names.empty() ? "" : ", ", name);
  }
  if (node.restoring) {
    node.restoring = false;
  } else {
    node.api.drain = step.drained ? api::DrainState::kDrained : api::DrainState::kNone;
    node.api.drain_deadline.reset();
  }
  node.drain_operation = OperationId();
  const api::ObjectReference reference = ReferenceTo(node);
  const bool was_restore = found.restoring;
  fleet_.Put(change, std::move(node));
  if (step.overdue && !step.drained) {
    operations_.Finish(change, operation,
                       absl::DeadlineExceededError(StrCat(
                           "node \"", reference.name, "\": not empty in time: ", step.message)));
    return;
  }
  if (step.stuck) {
    operations_.Finish(
        change, operation,
        absl::FailedPreconditionError(StrCat("node \"", reference.name, "\": ", step.message)));
    return;
  }
  change.AddEvent(was_restore ? "node.restore_done" : "node.drained", reference,
                  names.empty() ? "" : StrCat("these stay: ", names));
  json::object moved;
  for (const auto& [id, entry] : ledger_.state().containers().entries()) {
    const ContainerRecord& record = entry.record;
    if (record.home == found.api.id && !record.api.status.node.empty()) {
      moved[record.api.name.str()] = record.api.status.node;
    }
  }
  operations_.Finish(change, operation, absl::OkStatus(),
                     json::object{{"stayed", stayed}, {"moved", std::move(moved)}});
}

void Drainer::Advance(const NodeRecord& node) {
  const DrainQuery query = QueryFor(node);
  const NodeId query_id = node.api.id;
  const BootTime now = ledger_.clock().Boot();
  const DrainStep step = node.restoring ? PlanRestore(query, now) : PlanDrain(query, now);
  const Principal system = Principal::System();
  Change change(ledger_, system, node.restoring ? "node.restore" : "node.drain");
  operations_.Note(node.drain_operation, step.percent, step.message);
  if (!step.drained) {
    CarryOut(change, node, step);  // also past the deadline: what is down is brought up
  }
  if (step.drained || step.overdue || step.stuck) {
    End(change, *ledger_.state().nodes().Find(query_id.str()), step);
  }
  if (!change.empty()) {
    ledger_.Commit(std::move(change), nullptr);
  }
}

}  // namespace bramble::controller
