// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent_core.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool WantsToRun(const std::optional<api::NodeContainer>& desired) {
  return desired.has_value() && desired->spec.desired != api::DesiredState::kStopped;
}

bool IsMovable(const api::NodeContainer& container) {
  return container.spec.placement.placement_class == api::PlacementClass::kMovable;
}

// What the runtime is given to start.  The image changes only with a rebuild: the writable layer
// belongs to the tree below it.
api::NodeContainer DefinitionToStart(const api::NodeContainer& desired,
                                     const std::optional<HeldContainer>& held) {
  api::NodeContainer definition = desired;
  if (held.has_value() && !NeedsRebuild(held->definition, desired)) {
    definition.image_digest = held->definition.image_digest;
    definition.image_size = held->definition.image_size;
    definition.architecture = held->definition.architecture;
  }
  return definition;
}

}  // namespace

bool NeedsRebuild(const api::NodeContainer& held, const api::NodeContainer& wanted) {
  return wanted.spec.rebuild_count > held.spec.rebuild_count;
}

// A lower counter is a controller that was set back: no reason to touch what runs.
bool NeedsRestart(const api::NodeContainer& held, const api::NodeContainer& wanted) {
  // Init found its address set, and keeps it to its end.
  const bool moved = !wanted.address.empty() && !held.address.empty() &&
                     (held.address != wanted.address || held.mac != wanted.mac);
  return moved || wanted.spec.restart_count > held.spec.restart_count || NeedsRebuild(held, wanted);
}

bool NeedsAdjust(const api::NodeContainer& held, const api::NodeContainer& wanted) {
  return held.spec.limits != wanted.spec.limits || held.spec.cpu_weight != wanted.spec.cpu_weight ||
         held.spec.swap != wanted.spec.swap;
}

// ---- the next step of one container

std::optional<AgentCore::Step> AgentCore::NextStep(Entry& entry, BootTime now) {
  if (entry.pending.has_value() || entry.phase == Phase::kGone ||
      (entry.not_before.has_value() && now < *entry.not_before)) {
    return std::nullopt;
  }
  if (entry.tombstone.has_value()) {
    return StepToDeleted(entry);
  }
  const bool up = entry.phase == Phase::kRunning || entry.phase == Phase::kFrozen;
  if (up && !LeaseCovers(entry, now)) {
    const milliseconds grace = std::min<milliseconds>(
        seconds(entry.held->definition.spec.stop_grace_s), options_.stop_after_lease * 2 / 3);
    return Step{PhaseEvent::kStop, ActionKind::kStop, grace};
  }
  if (!entry.desired.has_value()) {
    return std::nullopt;  // an orphan
  }
  const bool restart =
      entry.held.has_value() && NeedsRestart(entry.held->definition, *entry.desired);
  if (up && (restart || !WantsToRun(entry.desired))) {
    return Step{PhaseEvent::kStop, ActionKind::kStop, seconds(entry.desired->spec.stop_grace_s)};
  }
  if (WantsToRun(entry.desired)) {
    return StepToRunning(entry, now);
  }
  if (entry.phase == Phase::kStopped && entry.held.has_value() &&
      NeedsRebuild(entry.held->definition, *entry.desired)) {
    return Step{PhaseEvent::kRebuild, ActionKind::kRebuild};
  }
  return std::nullopt;
}

std::optional<AgentCore::Step> AgentCore::StepToRunning(Entry& entry, BootTime now) {
  const api::NodeContainer& desired = *entry.desired;
  switch (entry.phase) {
    case Phase::kStopped:
      if (!LeaseAllowsStart(entry, now)) {
        return std::nullopt;
      }
      if (entry.held.has_value() && NeedsRebuild(entry.held->definition, desired)) {
        return Step{PhaseEvent::kRebuild, ActionKind::kRebuild};
      }
      if (!images_.contains(DefinitionToStart(desired, entry.held).image_digest)) {
        return Step{PhaseEvent::kFetch, ActionKind::kFetch};
      }
      if (!HasContext(desired)) {
        return std::nullopt;
      }
      if (CountIn(Phase::kStarting) >= options_.max_starts || EarlierOrderPending(entry)) {
        return std::nullopt;
      }
      return Step{PhaseEvent::kStart, ActionKind::kStart};
    case Phase::kRunning:
      if (NeedsAdjust(entry.held->definition, desired)) {
        return Step{PhaseEvent::kAdjust, ActionKind::kAdjust};
      }
      if (desired.spec.desired == api::DesiredState::kFrozen) {
        return Step{PhaseEvent::kFreeze, ActionKind::kFreeze};
      }
      return std::nullopt;
    case Phase::kFrozen:
      if (desired.spec.desired == api::DesiredState::kRunning) {
        return Step{PhaseEvent::kThaw, ActionKind::kThaw};
      }
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<AgentCore::Step> AgentCore::StepToDeleted(const Entry& entry) const {
  if (durable_ < *entry.tombstone) {
    return std::nullopt;
  }
  if (entry.phase == Phase::kRunning || entry.phase == Phase::kFrozen) {
    return Step{PhaseEvent::kStop, ActionKind::kStop, milliseconds(0)};
  }
  return Step{PhaseEvent::kDelete, ActionKind::kDelete};
}

bool AgentCore::LeaseCovers(const Entry& entry, BootTime now) const {
  if (!entry.held.has_value() || !IsMovable(entry.held->definition)) {
    return true;
  }
  if (recovered_.has_value() && now < *recovered_ + options_.holder_absence) {
    return true;
  }
  const bool holder = holder_present_ || (holder_gone_since_.has_value() &&
                                          now < *holder_gone_since_ + options_.holder_absence);
  return holder && lease_until_.has_value() && now < *lease_until_;
}

bool AgentCore::LeaseAllowsStart(const Entry& entry, BootTime now) const {
  return !IsMovable(*entry.desired) ||
         (!needs_sync_ && holder_present_ && lease_until_.has_value() &&
          now + options_.lease_margin < *lease_until_);
}

bool AgentCore::EarlierOrderPending(const Entry& entry) const {
  const int64_t order = entry.desired->spec.autostart_order;
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& pair) {
    const Entry& other = pair.second;
    if (!WantsToRun(other.desired) || other.tombstone.has_value() ||
        other.desired->spec.autostart_order >= order || IsMovable(*other.desired)) {
      return false;
    }
    return other.phase == Phase::kStarting ||
           (other.phase == Phase::kStopped && HasContext(*other.desired) &&
            images_.contains(DefinitionToStart(*other.desired, other.held).image_digest));
  });
}

size_t AgentCore::CountIn(Phase phase) const {
  return std::count_if(entries_.begin(), entries_.end(),
                       [&](const auto& pair) { return pair.second.phase == phase; });
}

// ---- actions out

std::vector<Action> AgentCore::TakeActions(BootTime now) {
  std::vector<std::pair<const ContainerId*, Entry*>> order;
  for (auto& [id, entry] : entries_) {
    RetryWhenDue(entry, now);
  }
  SettleGone();
  for (auto& [id, entry] : entries_) {
    order.emplace_back(&id, &entry);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    const auto key = [](const Entry& entry) {
      return entry.desired.has_value() ? entry.desired->spec.autostart_order : 0;
    };
    return key(*a.second) < key(*b.second);
  });
  std::vector<Action> actions;
  for (auto& [id, entry] : order) {
    const std::optional<Step> step = NextStep(*entry, now);
    if (!step.has_value()) {
      Settle(*entry);
      continue;
    }
    if (step->action == ActionKind::kFetch) {
      const std::string digest = DefinitionToStart(*entry->desired, entry->held).image_digest;
      const size_t max_fetches = std::max<size_t>(1, options_.max_starts / 2);
      const bool under_way = fetching_.contains(digest);
      if (!under_way && fetching_.size() >= max_fetches) {
        continue;
      }
      Action action = Begin(*id, *entry, *step);
      if (!under_way) {
        fetching_.insert(digest);
        actions.push_back(std::move(action));
      }
      continue;
    }
    if (actions_in_flight_ >= options_.max_actions) {
      continue;
    }
    actions.push_back(Begin(*id, *entry, *step));
  }
  return actions;
}

// Takes note that nothing is left to do for what is wanted now, or that it was tried.
void AgentCore::Settle(Entry& entry) {
  if (!entry.desired.has_value() || entry.pending.has_value() || entry.not_before.has_value() ||
      entry.phase == Phase::kFetching ||
      (entry.phase == Phase::kStopped && WantsToRun(entry.desired))) {
    return;
  }
  entry.settled_generation = entry.desired->generation;
  entry.notes.generation = entry.desired->generation;
}

Action AgentCore::Begin(const ContainerId& id, Entry& entry, const Step& step) {
  Apply(entry, step.event);
  entry.exited_in_stop = false;
  entry.not_before.reset();
  Action action{.kind = step.action, .id = id, .grace = step.grace};
  if (entry.desired.has_value()) {
    action.container = step.action == ActionKind::kRebuild
                           ? *entry.desired
                           : DefinitionToStart(*entry.desired, entry.held);
  } else if (entry.held.has_value()) {
    action.container = entry.held->definition;
  }
  if (step.action == ActionKind::kStart) {
    entry.notes.generation = action.container.generation;
  }
  if (step.action != ActionKind::kFetch) {
    entry.may_exist = true;
    entry.pending = action;
    ++actions_in_flight_;
  }
  return action;
}

void AgentCore::Apply(Entry& entry, PhaseEvent event) {
  entry.phase = Next(entry.phase, event).value_or(entry.phase);
}

void AgentCore::RetryWhenDue(Entry& entry, BootTime now) {
  if (entry.not_before.has_value() && now >= *entry.not_before) {
    entry.not_before.reset();
  }
  const bool wanted = WantsToRun(entry.desired);
  if (entry.phase == Phase::kFetching && !wanted) {
    Apply(entry, PhaseEvent::kRetry);
  }
  if (entry.phase != Phase::kWaiting && entry.phase != Phase::kFailed) {
    return;
  }
  const bool due = entry.phase == Phase::kWaiting && entry.notes.retry_at.has_value() &&
                   now >= *entry.notes.retry_at;
  if (!wanted || entry.desired->generation != entry.notes.generation) {
    // A person's doing: what failed before does not count any more.
    const std::optional<int64_t> exit_code = entry.notes.exit_code;
    entry.notes = {.exit_code = exit_code, .ran = entry.notes.ran};
    entry.notes.generation = entry.desired.has_value() ? entry.desired->generation : 0;
    Apply(entry, PhaseEvent::kRetry);
  } else if (due) {
    entry.notes.retry_at.reset();
    Apply(entry, PhaseEvent::kRetry);
  }
}

// Takes out what is gone, unless it is wanted again.
void AgentCore::SettleGone() {
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    if (entry.phase == Phase::kGone && entry.desired.has_value()) {
      std::optional<api::NodeContainer> desired = std::move(entry.desired);
      entry = Entry();
      entry.notes.generation = desired->generation;
      entry.desired = std::move(desired);
    }
    const bool nothing_here =
        !entry.held.has_value() && !entry.may_exist && !entry.pending.has_value();
    const bool tombstone_due = entry.tombstone.has_value() && *entry.tombstone <= durable_;
    const bool deleted = entry.phase == Phase::kGone || (nothing_here && tombstone_due);
    const bool dropped = nothing_here && !entry.tombstone.has_value() && !entry.desired.has_value();
    if (!deleted && !dropped) {
      ++it;
      continue;
    }
    if (deleted) {
      removed_.insert(it->first);
    }
    reported_.erase(it->first);
    it = entries_.erase(it);
  }
}

std::optional<BootTime> AgentCore::NextWake(BootTime now) const {
  std::optional<BootTime> wake;
  const auto at = [&](std::optional<BootTime> time) {
    if (time.has_value() && (!wake.has_value() || *time < *wake)) {
      wake = std::max(*time, now);
    }
  };
  bool movable_up = false;
  for (const auto& [id, entry] : entries_) {
    if (entry.phase == Phase::kWaiting) {
      at(entry.notes.retry_at);
    }
    at(entry.not_before);
    movable_up = movable_up || (MayRun(entry.phase) && entry.held.has_value() &&
                                IsMovable(entry.held->definition));
  }
  if (movable_up) {
    if (lease_until_.has_value() && *lease_until_ > now) {
      at(lease_until_);
    }
    if (recovered_.has_value() && *recovered_ + options_.holder_absence > now) {
      at(*recovered_ + options_.holder_absence);
    }
    if (holder_gone_since_.has_value() && *holder_gone_since_ + options_.holder_absence > now) {
      at(*holder_gone_since_ + options_.holder_absence);
    }
  }
  return wake;
}

}  // namespace bramble::node
