// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_nodes.h"

#include <algorithm>

#include "base/status.h"
#include "controller/node_service.h"

namespace bramble::controller {
namespace {

std::string Field(const NodeRecord& record, std::string_view key) {
  const api::Node& node = record.api;
  if (key == "name") return node.name.str();
  if (key == "id") return node.id.str();
  if (key == "pool") return node.pool;
  if (key == "address") return node.address;
  if (key == "architecture") return node.inventory.architecture;
  if (key == "cordoned") return node.cordoned ? "true" : "false";
  if (key == "drain") return std::string(api::kDrainStateNames[static_cast<size_t>(node.drain)]);
  return std::string(api::kNodeStateNames[static_cast<size_t>(node.state)]);
}

Listing<NodeRecord> NodeListing() {
  return {.keys = {"name", "id", "state", "pool", "address", "architecture", "cordoned", "drain"},
          .field = Field,
          .labels = [](const NodeRecord& record) { return &record.api.labels; },
          .order = [](const NodeRecord& record) { return record.api.name.str(); }};
}

std::string Quoted(const NodeRecord& record) {
  return StrCat("node \"", record.api.name.str(), "\"");
}

}  // namespace

LedgerNodes::LedgerNodes(Parts parts) : parts_(parts), list_(NodeListing()) {}

absl::StatusOr<const NodeRecord*> LedgerNodes::Find(const Principal& who, Access access,
                                                    const std::string& key) const {
  const NodeRecord* record = parts_.ledger.state().FindNode(key);
  if (record == nullptr || !May(who, access, "")) {
    return NotFound("node", key);
  }
  return record;
}

absl::StatusOr<Rendered> LedgerNodes::Get(const Principal& who, const std::string& key) {
  BRAMBLE_ASSIGN_OR_RETURN(const NodeRecord* record, Find(who, Access::kRead, key));
  return Rendered{parts_.ledger.Body(parts_.ledger.state().nodes(), record->api.id.str()),
                  record->api.generation};
}

absl::StatusOr<Rendered> LedgerNodes::List(const Principal& who, const ListQuery& query) {
  return list_.Page(parts_.ledger, parts_.ledger.state().nodes(), who, query);
}

void LedgerNodes::Write(const Principal& who, std::string_view action, const std::string& key,
                        const WriteOptions& options, WriteDone done, const ApplyToNode& apply) {
  auto find_and_apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const NodeRecord* record, Find(who, Access::kWrite, key));
    BRAMBLE_RETURN_IF_ERROR(
        CheckIfMatch(options, record->api.generation, "node", record->api.name.str()));
    return apply(change, *record);
  };
  parts_.ledger.Write(who, action, options, std::move(done), find_and_apply);
}

Written LedgerNodes::Put(Change& change, NodeRecord record, const OperationId& operation) {
  const std::string id = record.api.id.str();
  ++record.api.generation;
  const uint64_t generation = record.api.generation;
  parts_.fleet.Put(change, std::move(record));
  const State& state = parts_.ledger.state();
  Written written{.object = parts_.ledger.Body(state.nodes(), id), .generation = generation};
  if (!operation.empty()) {
    written.operation = parts_.ledger.Body(state.operations(), operation.str());
    written.operation_id = operation;
  }
  return written;
}

OperationId LedgerNodes::Done(Change& change, std::string kind,
                              const api::ObjectReference& object) {
  const OperationId id =
      parts_.operations.Begin(change, {.kind = std::move(kind), .object = object});
  parts_.operations.Finish(change, id, absl::OkStatus());
  return id;
}

void LedgerNodes::Approve(const Principal& who, const std::string& key, std::string code,
                          WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    if (found.api.state != api::NodeState::kPending) {
      return absl::FailedPreconditionError(StrCat(Quoted(found), " does not wait for approval"));
    }
    if (code != found.api.code) {
      return absl::FailedPreconditionError(
          StrCat(Quoted(found), ": the code differs; another machine may be posing as it"));
    }
    NodeRecord record = found;
    record.api.state = api::NodeState::kSuspect;
    record.api.reason = "was approved and has not connected yet";
    record.api.code.clear();
    record.approved_by = who.Actor();
    change.AddEvent("node.joined", ReferenceTo(record), "approved");
    parts_.health.Watch(record);
    return Put(change, std::move(record));
  };
  Write(who, "node.approve", key, options, std::move(done), apply);
}

void LedgerNodes::Update(const Principal& who, const std::string& key, json::value patch,
                         WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    NodeRecord record = found;
    JsonObjectReader reader(patch, "node", UnknownKeys::kRefuse);
    if (const std::optional<bool> cordoned = reader.OptionalBool("cordoned")) {
      record.api.cordoned = *cordoned;
    }
    if (const std::optional<std::string> pool = reader.OptionalString("pool", {.max = 63})) {
      BRAMBLE_RETURN_IF_ERROR(CheckName("pool", *pool));
      record.api.pool = *pool;
    }
    if (reader.Has("name")) {
      record.api.name = reader.Parsed<NodeName>("name");
      const NodeRecord* other = parts_.ledger.state().FindNode(record.api.name.str());
      if (other != nullptr && other->api.id != found.api.id) {
        return absl::AlreadyExistsError(StrCat(Quoted(*other), ": exists already"));
      }
    }
    if (const json::value* labels = reader.Find("labels"); labels != nullptr) {
      if (!labels->is_object()) {
        return absl::InvalidArgumentError("node.labels: expected an object");
      }
      for (const auto& label : labels->as_object()) {
        const std::string name(label.key());
        if (label.value().is_null()) {
          record.api.labels.erase(name);
        } else if (label.value().is_string()) {
          record.api.labels[name] = std::string(label.value().as_string());
        } else {
          return absl::InvalidArgumentError(StrCat("node.labels.", name, ": expected a text"));
        }
      }
    }
    BRAMBLE_RETURN_IF_ERROR(reader.Finish());
    BRAMBLE_RETURN_IF_ERROR(api::CheckLabels(record.api.labels, "node.labels"));
    change.AddEvent("node.updated", ReferenceTo(record), "");
    const bool renamed = record.api.name != found.api.name;
    const bool moved = record.api.pool != found.api.pool;
    const NodeId id = record.api.id;
    const std::string name = record.api.name.str();
    if (moved && parts_.health.LastHeard(id).has_value()) {
      parts_.health.Watch(record);
    }
    const Written written = Put(change, std::move(record));
    if (renamed) {
      const std::set<std::string> ids = parts_.ledger.state().ContainersOn(id);
      for (const std::string& container : ids) {
        ContainerRecord on_it = *parts_.ledger.state().containers().Find(container);
        on_it.api.status.node = name;
        parts_.fleet.Put(change, std::move(on_it));
      }
    }
    return written;
  };
  Write(who, "node.update", key, options, std::move(done), apply);
}

void LedgerNodes::Drain(const Principal& who, const std::string& key, DrainRequest request,
                        WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    if (found.api.drain == api::DrainState::kDraining) {
      return absl::FailedPreconditionError(StrCat(Quoted(found), " is being drained already"));
    }
    if (request.deadline.count() < 1 || request.deadline > std::chrono::hours(24)) {
      return absl::InvalidArgumentError("deadline_s: between 1 and 86400");
    }
    if (request.pace < 1 || request.pace > 64) {
      return absl::InvalidArgumentError("pace: between 1 and 64");
    }
    NodeRecord record = found;
    record.api.drain = api::DrainState::kDraining;
    record.api.drain_deadline = change.now() + request.deadline;
    record.drain_pace = request.pace;
    record.drain_leaves_pinned = request.leave_pinned;
    record.restoring = false;
    ForgetFailedMoves(change, record.api.id);
    record.drain_operation =
        parts_.operations.Begin(change, {.kind = "node.drain",
                                         .object = ReferenceTo(record),
                                         .deadline = request.deadline + std::chrono::minutes(1),
                                         .message = "begins"});
    change.AddEvent("node.draining", ReferenceTo(record), "");
    const OperationId operation = record.drain_operation;
    return Put(change, std::move(record), operation);
  };
  Write(who, "node.drain", key, options, std::move(done), apply);
}

void LedgerNodes::Restore(const Principal& who, const std::string& key, WriteOptions options,
                          WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    NodeRecord record = found;
    parts_.operations.Cancel(change, record.drain_operation, "the node was restored");
    record.api.drain = api::DrainState::kNone;
    record.api.drain_deadline.reset();
    record.api.cordoned = false;
    record.restoring = true;
    ForgetFailedMoves(change, record.api.id);
    record.drain_operation =
        parts_.operations.Begin(change, {.kind = "node.restore", .object = ReferenceTo(record)});
    change.AddEvent("node.restored", ReferenceTo(record), "");
    const OperationId operation = record.drain_operation;
    return Put(change, std::move(record), operation);
  };
  Write(who, "node.restore", key, options, std::move(done), apply);
}

// A person asks again: what failed before may work now.
void LedgerNodes::ForgetFailedMoves(Change& change, const NodeId& node) {
  std::vector<ContainerRecord> failed;
  for (const auto& [id, entry] : parts_.ledger.state().containers().entries()) {
    const ContainerRecord& record = entry.record;
    if (!record.move_failed.empty() && (record.api.status.node_id == node || record.home == node)) {
      failed.push_back(record);
    }
  }
  for (ContainerRecord& record : failed) {
    record.move_failed.clear();
    parts_.fleet.Put(change, std::move(record));
  }
}

void LedgerNodes::GiveUpContainers(Change& change, const NodeRecord& node) {
  const std::set<std::string> ids = parts_.ledger.state().ContainersOn(node.api.id);
  for (const std::string& id : ids) {
    const ContainerRecord record = *parts_.ledger.state().containers().Find(id);
    change.AddEvent("container.deleted", ReferenceTo(record),
                    StrCat("given up with ", Quoted(node)));
    parts_.fleet.EraseContainer(change, record.api.id);
    parts_.operations.OnContainerGone(change, record);
  }
}

void LedgerNodes::Remove(const Principal& who, const std::string& key, bool force,
                         WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    const NodeRecord record = found;
    const size_t held = parts_.ledger.state().ContainersOn(record.api.id).size();
    if (held > 0 && !force) {
      return absl::FailedPreconditionError(StrCat(Quoted(record), " holds ", held,
                                                  " containers; drain it, or delete them, or give "
                                                  "them up with --force"));
    }
    parts_.mover.OnNodeGone(change, record.api.id);
    GiveUpContainers(change, record);
    const OperationId operation = Done(change, "node.remove", ReferenceTo(record));
    change.AddEvent("node.removed", ReferenceTo(record), "");
    parts_.fleet.EraseNode(change, record.api.id);
    parts_.health.Forget(record.api.id);
    change.AfterDurable([this, id = record.api.id] {
      parts_.sessions.Close(id, "this node was removed; it has to join again");
    });
    return Written{
        .operation = parts_.ledger.Body(parts_.ledger.state().operations(), operation.str()),
        .operation_id = operation};
  };
  Write(who, "node.remove", key, options, std::move(done), apply);
}

void LedgerNodes::Reset(const Principal& who, const std::string& key, WriteOptions options,
                        WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    if (found.api.state != api::NodeState::kHeld) {
      return absl::FailedPreconditionError(
          StrCat(Quoted(found), " is not held: no second card presented its key"));
    }
    NodeRecord record = found;
    record.reset = true;
    record.api.reason = "waits for both cards to connect; the second one gets a new identity";
    change.AddEvent("node.reset", ReferenceTo(record), "");
    const OperationId operation = Done(change, "node.reset", ReferenceTo(record));
    return Put(change, std::move(record), operation);
  };
  Write(who, "node.reset", key, options, std::move(done), apply);
}

void LedgerNodes::Replace(const Principal& who, const std::string& key, std::string by,
                          WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    const NodeRecord old = found;
    BRAMBLE_ASSIGN_OR_RETURN(const NodeRecord* by_record, Find(who, Access::kWrite, by));
    NodeRecord record = *by_record;
    if (record.api.id == old.api.id) {
      return absl::InvalidArgumentError("a node cannot replace itself");
    }
    if (old.api.state == api::NodeState::kReady) {
      return absl::FailedPreconditionError(
          StrCat(Quoted(old), " is connected; drain it instead, or switch it off"));
    }
    if (record.api.state == api::NodeState::kPending) {
      return absl::FailedPreconditionError(StrCat(Quoted(record), " waits for approval first"));
    }
    if (record.api.container_count > 0) {
      return absl::FailedPreconditionError(StrCat(Quoted(record), " holds containers of its own"));
    }
    const NodeId gone = old.api.id;
    if (const std::chrono::seconds left = parts_.health.MovableMayRunFor(old); left.count() > 0) {
      return absl::FailedPreconditionError(StrCat(
          Quoted(old), " may still run movable containers, until their lease has surely ended in ",
          left.count(), " s; replace it then"));
    }
    parts_.mover.OnNodeGone(change, gone);
    const std::set<std::string> ids = parts_.ledger.state().ContainersOn(gone);
    record.api.name = old.api.name;
    record.api.labels = old.api.labels;
    record.api.pool = old.api.pool;
    record.api.address = old.api.address;
    change.AddEvent("node.replaced", ReferenceTo(old), StrCat("by ", Quoted(*by_record)));
    const OperationId operation = Done(change, "node.replace", ReferenceTo(old));
    std::vector<ContainerRecord> moved;
    for (const std::string& id : ids) {
      ContainerRecord container = *parts_.ledger.state().containers().Find(id);
      container.move.reset();
      container.moving = false;
      container.api.status.node_id = record.api.id;
      container.api.status.state = api::ContainerState::kPlaced;
      container.api.status.reason = "its node was replaced: it starts from its image";
      container.api.status.observed_generation = 0;
      moved.push_back(std::move(container));
    }
    parts_.fleet.EraseNode(change, gone);
    parts_.health.Forget(gone);
    const Written written = Put(change, std::move(record), operation);
    for (ContainerRecord& container : moved) {
      parts_.fleet.Put(change, std::move(container));
    }
    change.AfterDurable([this, gone, id = by_record->api.id] {
      parts_.sessions.Close(gone, "this node was replaced");
      parts_.sessions.Close(id, "this node has another name now; dial again");
    });
    return written;
  };
  Write(who, "node.replace", key, options, std::move(done), apply);
}

void LedgerNodes::Command(const Principal& who, const std::string& key, std::string verb,
                          json::value arguments, WriteOptions options, WriteDone done) {
  const std::string action = StrCat("node.", verb);
  auto apply = [&](Change& change, const NodeRecord& found) -> absl::StatusOr<Written> {
    if (verb != "reboot" && verb != "poweroff" && verb != "identify" && verb != "stats") {
      return absl::InvalidArgumentError(StrCat("\"", verb, "\": no such command"));
    }
    if (!parts_.sessions.Connected(found.api.id)) {
      return absl::UnavailableError(StrCat(Quoted(found), " is not connected"));
    }
    NodeRecord record = found;
    const OperationId operation = parts_.operations.Begin(
        change, {.kind = action, .object = ReferenceTo(record), .deadline = kCommandDeadline});
    const api::Command command{.command_id = operation.str(),
                               .verb = verb,
                               .arguments = arguments,
                               .not_after_ms = parts_.signed_clock.Now() +
                                               std::chrono::milliseconds(kCommandDeadline).count()};
    parts_.sessions.ExpectResult(command.command_id, operation);
    change.AddEvent(action, ReferenceTo(record), "");
    change.AfterDurable([this, id = record.api.id, command] {
      parts_.sessions.Send(id, command).IgnoreError();  // its operation ends by its deadline
    });
    if (verb == "poweroff") {
      record.api.state = api::NodeState::kOff;
      record.api.reason = "was switched off by a person";
      parts_.health.Forget(record.api.id);
    }
    return Put(change, std::move(record), operation);
  };
  Write(who, action, key, options, std::move(done), apply);
}

}  // namespace bramble::controller
