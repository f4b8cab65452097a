// SPDX-License-Identifier: Apache-2.0
#include "controller/node_health.h"

#include <algorithm>

namespace bramble::controller {
namespace {

bool Watched(const NodeRecord& node) {
  return node.api.state == api::NodeState::kReady || node.api.state == api::NodeState::kSuspect ||
         node.api.state == api::NodeState::kUnreachable;
}

bool IsMovable(const ContainerRecord& record) {
  return record.api.spec.placement.placement_class == api::PlacementClass::kMovable;
}

// Its last run is over and its rule does not begin another: elsewhere it would run a second time.
bool HasEnded(const ContainerRecord& record) {
  const api::ContainerStatus& status = record.api.status;
  const api::RestartPolicy policy = record.api.spec.restart.policy;
  if (status.started_at.has_value() || !status.exit_code.has_value() ||
      status.observed_generation < record.api.generation) {
    return false;
  }
  return policy == api::RestartPolicy::kNever ||
         (policy == api::RestartPolicy::kOnFailure && *status.exit_code == 0);
}

}  // namespace

NodeHealth::NodeHealth(Ledger& ledger, Fleet& fleet, OperationTracker& operations,
                       Settings settings)
    : ledger_(ledger),
      fleet_(fleet),
      operations_(operations),
      settings_(settings),
      liveness_(settings_.timing),
      breaker_(settings_.mass_loss),
      pace_(settings_.timing) {}

void NodeHealth::Rebuild(BootTime started) {
  started_ = started;
  for (const auto& [id, entry] : ledger_.state().nodes().entries()) {
    const NodeRecord& node = entry.record;
    if (Watched(node) && !liveness_.LastHeard(node.api.id).has_value()) {
      Watch(node);
      if (LostLongAgo(node)) {
        breaker_.Forgive(node.api.id, started);
      }
    } else if (!Watched(node)) {
      Forget(node.api.id);
    }
  }
}

// Unreachable for longer than the window when this controller started, and not held by the breaker
// then: its loss is no part of what may be going on now.
bool NodeHealth::LostLongAgo(const NodeRecord& node) const {
  const auto& frozen = ledger_.state().cluster().frozen_pools;
  return node.api.state == api::NodeState::kUnreachable && !frozen.contains(node.api.pool) &&
         node.api.last_seen_at.has_value() &&
         *node.api.last_seen_at + settings_.mass_loss.window + settings_.timing.lost_after <=
             ledger_.clock().Wall();
}

void NodeHealth::Watch(const NodeRecord& node) {
  liveness_.Watch(node.api.id, ledger_.clock().Boot());
  breaker_.Put(node.api.id, node.api.pool);
}

void NodeHealth::Forget(const NodeId& node) {
  liveness_.Forget(node);
  breaker_.Remove(node);
  pace_.Forget(node);
}

std::chrono::milliseconds NodeHealth::Heartbeat() const {
  return HeartbeatInterval(settings_.timing, ledger_.state().nodes().size());
}

bool NodeHealth::GrantLease(const NodeRecord& node) {
  if (node.api.state != api::NodeState::kReady) {
    return false;
  }
  const auto& on_node = ledger_.state().ContainersOn(node.api.id);
  const bool movable = std::any_of(on_node.begin(), on_node.end(), [&](const std::string& id) {
    return IsMovable(*ledger_.state().containers().Find(id));
  });
  if (movable) {
    renewals_[node.api.id] = ledger_.clock().Boot();
  }
  return movable;
}

void NodeHealth::OnHeard(const NodeId& node) {
  const auto change = liveness_.OnHeard(node, ledger_.clock().Boot());
  if (!change.has_value()) {
    return;
  }
  breaker_.OnBack(node);
  pace_.Forget(node);
  if (ledger_.Writable().ok()) {
    const Principal system = Principal::System();
    Change written(ledger_, system, "node.heard");
    Apply(written, *change);
    ledger_.Commit(std::move(written), nullptr);
  }
  if (on_back_) {
    on_back_(node);
  }
}

void NodeHealth::Apply(Change& change, const LivenessChange& liveness) {
  const NodeRecord* found = ledger_.state().nodes().Find(liveness.node.str());
  if (found == nullptr || !Watched(*found)) {
    return;
  }
  NodeRecord node = *found;
  switch (liveness.to) {
    case Liveness::kReady:
      node.api.state = api::NodeState::kReady;
      node.api.reason.clear();
      break;
    case Liveness::kSuspect:
      if (node.api.state == api::NodeState::kUnreachable) {
        return;  // as it was before this controller started
      }
      node.api.state = api::NodeState::kSuspect;
      node.api.reason = "silent";
      break;
    case Liveness::kUnreachable:
      node.api.state = api::NodeState::kUnreachable;
      node.api.reason = "silent; check its power, cable and card";
      break;
  }
  const api::ObjectReference reference = ReferenceTo(node);
  const std::string_view state = api::kNodeStateNames[static_cast<size_t>(node.api.state)];
  fleet_.Put(change, std::move(node));
  change.AddEvent(StrCat("node.", state), reference, "");
  if (liveness.to == Liveness::kUnreachable) {
    SetUnknown(change, liveness.node);
  }
}

void NodeHealth::SetUnknown(Change& change, const NodeId& node) {
  const std::set<std::string> ids = ledger_.state().ContainersOn(node);
  for (const std::string& id : ids) {
    ContainerRecord record = *ledger_.state().containers().Find(id);
    if (record.api.deleting) {
      continue;
    }
    record.api.status.state = api::ContainerState::kUnknown;
    const NodeRecord& on = *ledger_.state().nodes().Find(node.str());
    record.api.status.reason =
        DecideFailover(QueryFor(record, on), settings_.timing, ledger_.clock().Boot()).reason;
    fleet_.Put(change, std::move(record));
  }
}

void NodeHealth::Tick() {
  if (!ledger_.Writable().ok()) {
    return;
  }
  const BootTime now = ledger_.clock().Boot();
  const std::vector<LivenessChange> changes = liveness_.Advance(now);
  if (!changes.empty()) {
    const Principal system = Principal::System();
    Change change(ledger_, system, "node.silent");
    for (const LivenessChange& liveness : changes) {
      if (liveness.to == Liveness::kUnreachable) {
        breaker_.OnUnreachable(liveness.node, now);
      }
      Apply(change, liveness);
    }
    ledger_.Commit(std::move(change), nullptr);
  }
  AdvanceBreaker();
  FailOver();
}

void NodeHealth::AdvanceBreaker() {
  const std::vector<MassLossChange> changes = breaker_.Advance(ledger_.clock().Boot());
  if (changes.empty() || !ledger_.Writable().ok()) {
    return;
  }
  const Principal system = Principal::System();
  Change change(ledger_, system, "cluster.moves");
  ClusterRecord cluster = ledger_.state().cluster();
  for (const MassLossChange& mass : changes) {
    change.AddEvent(mass.frozen ? "cluster.moves_frozen" : "cluster.moves_allowed",
                    {"cluster", ledger_.state().cluster().id.str(), mass.pool, ""}, mass.text);
    if (mass.frozen) {
      cluster.frozen_pools.insert(mass.pool);
    } else {
      cluster.frozen_pools.erase(mass.pool);
    }
  }
  change.Put(std::move(cluster));
  ledger_.Commit(std::move(change), nullptr);
}

void NodeHealth::AllowMoves() {
  std::set<std::string> pools;
  for (const auto& [id, entry] : ledger_.state().nodes().entries()) {
    pools.insert(entry.record.api.pool);
  }
  for (const std::string& pool : pools) {
    breaker_.Thaw(pool);
  }
}

FailoverQuery NodeHealth::QueryFor(const ContainerRecord& record, const NodeRecord& node) const {
  FailoverQuery query;
  query.movable = IsMovable(record);
  query.wanted_running =
      record.api.spec.desired == api::DesiredState::kRunning && !HasEnded(record);
  query.node_unreachable =
      node.api.state == api::NodeState::kUnreachable || node.api.state == api::NodeState::kOff;
  query.pool_frozen = breaker_.Frozen(node.api.pool);
  query.adopting = ledger_.state().cluster().adopting;
  query.facts = LeaseFactsOf(node.api.id);
  return query;
}

LeaseFacts NodeHealth::LeaseFactsOf(const NodeId& node) const {
  LeaseFacts facts{
      .controller_start = started_,
      .previous_lost_after = std::chrono::milliseconds(ledger_.state().cluster().lost_after_ms)};
  if (const auto renewal = renewals_.find(node); renewal != renewals_.end()) {
    facts.last_renewal = renewal->second;
  }
  return facts;
}

std::chrono::seconds NodeHealth::MovableMayRunFor(const NodeRecord& node) const {
  const std::set<std::string>& ids = ledger_.state().ContainersOn(node.api.id);
  const bool any = std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
    return IsMovable(*ledger_.state().containers().Find(id));
  });
  const auto left =
      MayPlaceAgainAt(LeaseFactsOf(node.api.id), settings_.timing) - ledger_.clock().Boot();
  return any && left.count() > 0 ? std::chrono::ceil<std::chrono::seconds>(left)
                                 : std::chrono::seconds(0);
}

void NodeHealth::FailOver() {
  const BootTime now = ledger_.clock().Boot();
  std::vector<std::string> moving;
  std::vector<std::pair<std::string, std::string>> waiting;  // and why
  for (const auto& [id, entry] : ledger_.state().nodes().entries()) {
    const NodeRecord& node = entry.record;
    if (node.api.state != api::NodeState::kUnreachable && node.api.state != api::NodeState::kOff) {
      continue;
    }
    bool released = false;
    for (const std::string& container : ledger_.state().ContainersOn(node.api.id)) {
      const ContainerRecord& record = *ledger_.state().containers().Find(container);
      const FailoverDecision decision =
          DecideFailover(QueryFor(record, node), settings_.timing, now);
      if (record.api.deleting || record.orphaned) {
        continue;
      }
      if (decision.verdict != Failover::kMove) {
        if (record.api.status.state == api::ContainerState::kUnknown &&
            record.api.status.reason != decision.reason) {
          waiting.emplace_back(container, decision.reason);
        }
        continue;
      }
      released = released || pace_.Take(node.api.id, now);
      if (released) {
        moving.push_back(container);
      }
    }
  }
  if ((moving.empty() && waiting.empty()) || !ledger_.Writable().ok()) {
    return;
  }
  const Principal system = Principal::System();
  Change change(ledger_, system, "container.failover");
  for (const auto& [id, reason] : waiting) {
    ContainerRecord record = *ledger_.state().containers().Find(id);
    record.api.status.reason = reason;
    fleet_.Put(change, std::move(record));
  }
  for (const std::string& id : moving) {
    FailOverOne(change, *ledger_.state().containers().Find(id));
  }
  if (!change.empty()) {
    ledger_.Commit(std::move(change), nullptr);
  }
}

bool NodeHealth::FailOverOne(Change& change, const ContainerRecord& found) {
  ContainerRecord record = found;
  const NodeId lost = record.api.status.node_id;
  const std::string lost_name = record.api.status.node;
  Fleet::Unplace(record, "");
  if (!fleet_.Place(record, {lost})) {
    const std::string reason =
        StrCat("its node is unreachable, and there is no other: ", record.api.status.reason);
    if (found.api.status.reason != reason) {
      ContainerRecord waiting = found;
      waiting.api.status.reason = reason;
      fleet_.Put(change, std::move(waiting));
    }
    return false;
  }
  change.AddEvent("container.failed_over", ReferenceTo(record),
                  StrCat("from node \"", lost_name, "\" to \"", record.api.status.node, "\""));
  fleet_.Put(change, std::move(record));
  return true;
}

}  // namespace bramble::controller
