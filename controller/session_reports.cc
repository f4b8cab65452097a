// SPDX-License-Identifier: Apache-2.0
// What nodes report: states of containers, orphans to adopt, tombstones carried out.

#include <algorithm>

#include "controller/session_service.h"

namespace bramble::controller {

using api::ContainerState;

void LedgerSessions::OnReport(const NodeId& node, Session& session, api::Report report) {
  const NodeRecord* record = parts_.ledger.state().nodes().Find(node.str());
  if (record == nullptr) {
    return;
  }
  const Principal who = Principal::Node(node, record->api.name);
  Change change(parts_.ledger, who, "node.report");
  session.applied = report.version;
  if (report.network.has_value()) {
    NoteNetwork(change, *record, session, *report.network);
  }
  if (report.full) {
    session.observed.clear();
    session.reported = true;
    reported_.insert(node);
  }
  const bool images = report.full || report.images_changed;
  if (images && report.images != record->api.images) {
    NodeRecord changed = *record;
    changed.api.images = std::move(report.images);
    parts_.fleet.Put(change, std::move(changed));
  }
  for (api::ObservedContainer& observed : report.containers) {
    Observe(change, node, observed);
    const ContainerId id = observed.id;
    if (!TakingStock()) {
      observed.definition.reset();  // TakeStock may want it, nobody later
    }
    session.observed[id] = std::move(observed);
  }
  for (const ContainerId& id : report.removed) {
    session.observed.erase(id);
    OnRemoved(change, node, id, report.version);
  }
  // While stock is taken another node may hold what this one lacks: it is told nothing until then.
  const bool adopting = TakingStock();
  if (report.full) {
    NoteMissing(change, node, session);
  }
  if (report.full && !session.synced && !adopting) {
    QueueFull(change, node, session);
  }
  const bool anything = !change.empty() || session.synced;
  if (anything && (!change.empty() || report.full)) {
    if (change.empty()) {
      change.OmitAudit();
    }
    parts_.ledger.Commit(std::move(change), nullptr);
  }
}

void LedgerSessions::NoteNetwork(Change& change, const NodeRecord& node, Session& session,
                                 const api::NetworkReport& report) {
  const api::NetworkReport before = session.network.value_or(api::NetworkReport{});
  session.network = report;
  for (const api::AddressConflict& conflict : report.conflicts) {
    if (std::find(before.conflicts.begin(), before.conflicts.end(), conflict) ==
        before.conflicts.end()) {
      change.AddEvent("network.address_conflict", ReferenceTo(node),
                      StrCat(conflict.address.str(), " is also used by ", conflict.mac,
                             ", which is not the cluster's"));
    }
  }
  if (report.errors != before.errors && !report.errors.empty()) {
    change.AddEvent("node.network_failed", ReferenceTo(node), report.errors.front());
  }
  if (report.link_up != before.link_up) {
    change.AddEvent(report.link_up ? "node.link_up" : "node.link_down", ReferenceTo(node),
                    report.uplink);
  }
}

void LedgerSessions::NoteMissing(Change& change, const NodeId& node, const Session& session) {
  if (TakingStock()) {
    return;
  }
  const std::set<std::string> ids = parts_.ledger.state().ContainersOn(node);
  for (const std::string& id : ids) {
    const ContainerRecord& found = *parts_.ledger.state().containers().Find(id);
    const bool was_there = found.api.status.observed_generation > 0;
    if (found.api.deleting || !was_there || session.observed.contains(found.api.id)) {
      continue;
    }
    ContainerRecord record = found;
    if (record.orphaned) {
      record.api.status.reason =
          "its node no longer holds it; `bramble container delete` forgets it";
    } else {
      record.api.status.state = ContainerState::kPlaced;
      record.api.status.reason = "its node no longer holds it and makes it anew from its image";
      record.api.status.observed_generation = 0;
    }
    if (record.api.status == found.api.status) {
      continue;
    }
    change.AddEvent("container.missing", ReferenceTo(record), record.api.status.reason);
    parts_.fleet.Put(change, std::move(record));
  }
}

bool LedgerSessions::ConfirmedStopped(const NodeId& node, const ContainerId& container) const {
  const auto found = sessions_.find(node);
  if (found == sessions_.end() || !found->second.welcomed) {
    return false;
  }
  const Session& session = found->second;
  const auto observed = session.observed.find(container);
  const auto ordered = parts_.fleet.Desired(node).OrderedAt(container);
  return observed != session.observed.end() && ordered.has_value() && session.applied >= *ordered &&
         (observed->second.state == ContainerState::kStopped ||
          observed->second.state == ContainerState::kFailed);
}

MoveNodeFacts LedgerSessions::MoveFactsOf(const NodeId& node,
                                          const ContainerRecord& container) const {
  MoveNodeFacts facts;
  const auto found = sessions_.find(node);
  if (found == sessions_.end() || !found->second.welcomed) {
    return facts;
  }
  const Session& session = found->second;
  facts.connected = true;
  const auto observed = session.observed.find(container.api.id);
  const auto ordered = parts_.fleet.Desired(node).OrderedAt(container.api.id);
  if (observed == session.observed.end() || !ordered.has_value() || session.applied < *ordered) {
    return facts;
  }
  const api::ObservedContainer& now = observed->second;
  facts.reason = now.reason;
  facts.ran = now.ran;
  facts.stopped = ConfirmedStopped(node, container.api.id);
  facts.cannot_start = now.state == ContainerState::kFailed && !now.ran;
  facts.as_wanted = now.state == WantedState(container.api.spec.desired) &&
                    now.generation >= container.api.generation;
  return facts;
}

void LedgerSessions::OnRemoved(Change& change, const NodeId& node, const ContainerId& id,
                               api::Version applied) {
  // Of an earlier tombstone: the container was there again, and is to go again.
  const NodeDesiredState& desired = parts_.fleet.Desired(node);
  if (desired.Buried(id) && applied < *desired.OrderedAt(id)) {
    return;
  }
  const ContainerRecord* found = parts_.ledger.state().containers().Find(id.str());
  if (found != nullptr && found->api.deleting && found->api.status.node_id == node) {
    const ContainerRecord record = *found;
    change.AddEvent("container.deleted", ReferenceTo(record), "");
    parts_.fleet.EraseContainer(change, id);
    parts_.operations.OnContainerGone(change, record);
    return;
  }
  parts_.fleet.ForgetTombstone(change, node, id);
}

void LedgerSessions::Adopt(Change& change, const NodeRecord& node,
                           const api::ObservedContainer& observed) {
  if (!observed.definition.has_value()) {
    change.AddEvent(
        "container.unknown",
        {"container", observed.id.str(), observed.name.str(), observed.project.str()},
        StrCat("node \"", node.api.name.str(), "\" holds it and did not say how it is defined"));
    return;
  }
  const api::NodeContainer& definition = *observed.definition;
  ContainerRecord record;
  record.orphaned = true;
  record.api.id = observed.id;
  record.api.name = definition.name;
  record.api.project = definition.project;
  const State& state = parts_.ledger.state();
  if (state.FindContainer(definition.project.str(), definition.name.str()) != nullptr) {
    record.api.name = ContainerName::Trusted(
        StrCat(definition.name.str().substr(0, 50), "-", observed.id.str().substr(0, 8)));
  }
  record.api.generation = definition.generation;
  record.api.created_at = change.now();
  record.api.spec = definition.spec;
  record.image_size = definition.image_size;
  // Of a context that is not here only the node has the text; it has been applied.
  record.context = state.contexts().Find(definition.context) == nullptr ? "" : definition.context;
  record.context_mode = definition.context_mode;
  api::ContainerStatus& status = record.api.status;
  status.node_id = node.api.id;
  status.node = node.api.name.str();
  status.address = definition.address.substr(0, definition.address.find('/'));
  if (!state.AddressOwner(status.address).empty()) {
    status.address.clear();  // somebody else's by now: a person decides
  }
  status.mac = definition.mac;
  status.image_digest = definition.image_digest;
  status.architecture = definition.architecture;
  status.started_at = observed.started_at;
  status.observed_generation = observed.generation;
  status.state = ContainerState::kOrphaned;
  status.reason = StrCat("node \"", status.node, "\" holds it (",
                         api::kContainerStateNames[static_cast<size_t>(observed.state)],
                         ") and it was not known here; `bramble container start` keeps it, "
                         "`bramble container delete` removes it");
  change.AddEvent("container.adopted", ReferenceTo(record), status.reason);
  parts_.fleet.Put(change, std::move(record));
}

namespace {

// What the report says, put into `status`; the reason is the node's.
void CopyObserved(const api::ObservedContainer& observed, api::ContainerStatus& status) {
  status.state = observed.state;
  status.reason = observed.reason;
  status.exit_code = observed.exit_code;
  status.started_at = observed.started_at;
  status.restarts = observed.restarts;
  status.observed_generation = observed.generation;
  status.disk_limit_mode = observed.disk_limit_mode;
  status.conditions = observed.conditions;
}

}  // namespace

void LedgerSessions::TakeStock(Change& change) {
  const State& state = parts_.ledger.state();
  for (const auto& [node, session] : sessions_) {
    const NodeRecord* record = state.nodes().Find(node.str());
    if (record == nullptr) {
      continue;
    }
    for (const auto& [id, observed] : session.observed) {
      const ContainerRecord* found = state.containers().Find(id.str());
      if (found == nullptr || found->api.deleting || found->api.status.node_id == node) {
        continue;
      }
      const NodeId& recorded = found->api.status.node_id;
      const auto other = sessions_.find(recorded);
      const bool both = other != sessions_.end() && other->second.observed.contains(id);
      if (both && found->move.has_value() &&
          (node == found->move->source || node == found->move->target)) {
        TakeStockOfMove(change, *found);
        continue;
      }
      // Beside a node that nobody has heard, only a copy that runs is surely the one in use.
      const bool sure = recorded.empty() || reported_.contains(recorded) ||
                        observed.state == ContainerState::kRunning;
      if (!both && sure) {
        FollowFound(change, *record, *found, observed);
        continue;
      }
      NoteDuplicate(change, *found, *record, observed, both);
    }
  }
}

void LedgerSessions::NoteDuplicate(Change& change, const ContainerRecord& found,
                                   const NodeRecord& holder, const api::ObservedContainer& observed,
                                   bool recorded_one_is_seen) {
  change.AddEvent(
      "container.duplicate", ReferenceTo(found),
      StrCat("node \"", holder.api.name.str(), "\" holds a copy of it (",
             api::kContainerStateNames[static_cast<size_t>(observed.state)],
             ") beside that of node \"", found.api.status.node, "\"",
             recorded_one_is_seen ? "" : ", which has not reported",
             ": both are left alone; compare them, and remove the one that is not wanted"));
}

// The move may have ended either way since, and the container may have written at either end: it
// goes on only where the copy that it would take or leave behind is surely not the later one.
void LedgerSessions::TakeStockOfMove(Change& change, const ContainerRecord& found) {
  const ContainerMove& move = *found.move;
  const State& state = parts_.ledger.state();
  const NodeRecord* source = state.nodes().Find(move.source.str());
  const NodeRecord* target = state.nodes().Find(move.target.str());
  if (source == nullptr || target == nullptr) {
    return;  // the Mover ends it
  }
  const api::ObservedContainer at_source = sessions_.at(move.source).observed.at(found.api.id);
  const api::ObservedContainer at_target = sessions_.at(move.target).observed.at(found.api.id);
  const auto is_up = [](const api::ObservedContainer& observed) {
    return observed.state != ContainerState::kStopped && observed.state != ContainerState::kFailed;
  };
  const bool is_target_recorded = found.api.status.node_id == move.target;
  if (!is_target_recorded && !is_up(at_target) && !at_target.ran) {
    // By another name: a copy that an earlier try left there may be older than what is here.
    ContainerRecord record = found;
    record.move->id = RandomIdText(parts_.ledger.random());
    parts_.fleet.Put(change, std::move(record));
    return;
  }
  if (is_up(at_target) && !is_up(at_source)) {
    if (!is_target_recorded) {
      FollowFound(change, *target, found, at_target);
    }
    return;  // the Mover ends it
  }
  if (is_up(at_source) && !is_up(at_target) && is_target_recorded) {
    FollowFound(change, *source, found, at_source);
    return;
  }
  NoteDuplicate(change, found, is_target_recorded ? *source : *target,
                is_target_recorded ? at_source : at_target, /*recorded_one_is_seen=*/true);
  ContainerRecord record = found;
  record.move.reset();
  record.moving = false;
  record.move_failed = "two nodes hold a copy of it: compare them first";  // nor is it moved again
  parts_.fleet.PutWhereFound(change, std::move(record));
}

void LedgerSessions::FollowFound(Change& change, const NodeRecord& node,
                                 const ContainerRecord& found,
                                 const api::ObservedContainer& observed) {
  ContainerRecord record = found;
  api::ContainerStatus& status = record.api.status;
  const std::string before = status.node;
  status.node_id = node.api.id;
  status.node = node.api.name.str();
  record.moving = false;
  record.move.reset();
  CopyObserved(observed, status);
  if (const std::optional<api::NodeContainer>& definition = observed.definition) {
    const std::string address = definition->address.substr(0, definition->address.find('/'));
    if (!address.empty() && parts_.ledger.state().AddressOwner(address).empty()) {
      status.address = address;
    }
    status.mac = definition->mac;
    status.image_digest = definition->image_digest;
    status.architecture = definition->architecture;
    record.image_size = definition->image_size;
    if (definition->generation > record.api.generation) {
      record.api.spec = definition->spec;
      record.api.generation = definition->generation;
    }
  }
  change.AddEvent("container.adopted", ReferenceTo(record),
                  StrCat("node \"", status.node, "\" holds it; the restored state has it on ",
                         before.empty() ? "none" : StrCat("node \"", before, "\", which does not"),
                         ": it was moved after the backup"));
  parts_.fleet.PutWhereFound(change, std::move(record));
}

void LedgerSessions::Observe(Change& change, const NodeId& node,
                             const api::ObservedContainer& observed) {
  const NodeRecord* node_record = parts_.ledger.state().nodes().Find(node.str());
  const ContainerRecord* found = parts_.ledger.state().containers().Find(observed.id.str());
  if (node_record == nullptr) {
    return;
  }
  if (found == nullptr) {
    if (!parts_.fleet.Desired(node).Buried(observed.id)) {
      Adopt(change, *node_record, observed);
    }
    return;
  }
  if (found->api.status.node_id != node) {
    return;  // it lives elsewhere now; this copy has a tombstone, or TakeStock looks at it
  }
  if (found->api.deleting || found->orphaned) {
    return;
  }
  ContainerRecord record = *found;
  const ContainerState before = record.api.status.state;
  CopyObserved(observed, record.api.status);
  // The node has seen a later order than this controller, which was rolled back: that one counts.
  if (observed.definition.has_value() && observed.definition->id == record.api.id &&
      observed.definition->generation > record.api.generation) {
    record.api.spec = observed.definition->spec;
    record.api.generation = observed.definition->generation;
    change.AddEvent("container.adopted", ReferenceTo(record),
                    "its definition was taken from its node, which had a newer one");
  }
  if (record.api.status == found->api.status && record.api.generation == found->api.generation) {
    return;
  }
  const ContainerState after = record.api.status.state;
  if (before != after) {
    change.AddEvent(StrCat("container.", api::kContainerStateNames[static_cast<size_t>(after)]),
                    ReferenceTo(record), record.api.status.reason);
  }
  parts_.fleet.Put(change, std::move(record));
  parts_.operations.OnContainer(change,
                                *parts_.ledger.state().containers().Find(observed.id.str()));
}

}  // namespace bramble::controller
