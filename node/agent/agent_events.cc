// SPDX-License-Identifier: Apache-2.0
// The events of AgentCore: what comes in from controller, runtime, images and lease.
#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "node/agent/agent_core.h"

namespace bramble::node {
namespace {

// How long a failed stop, freeze, limit change or delete waits until it is tried again.
constexpr std::chrono::seconds kActionRetry{5};

std::string Seconds(std::chrono::milliseconds duration) {
  return StrCat((duration.count() + 999) / 1000, " s");
}

}  // namespace

void AgentCore::Restore(api::Version version, std::vector<api::NodeContainer> desired,
                        std::vector<ContainerId> tombstones) {
  version_ = version;
  durable_ = version;
  for (const api::NodeContainer& container : desired) {
    Put(container);
  }
  for (const ContainerId& id : tombstones) {
    entries_[id].tombstone = version;  // whether it is here, Recover tells
  }
}

void AgentCore::RestoreNotes(const std::map<ContainerId, ContainerNotes>& notes) {
  for (const auto& [id, note] : notes) {
    if (auto it = entries_.find(id); it != entries_.end()) {
      it->second.notes = note;
      it->second.noted = true;
    }
  }
}

void AgentCore::Recover(std::vector<HeldContainer> held, std::set<std::string> images,
                        BootTime now) {
  images_ = std::move(images);
  recovered_ = now;
  for (HeldContainer& container : held) {
    Entry& entry = entries_[container.definition.id];
    entry.phase = container.frozen    ? Phase::kFrozen
                  : container.running ? Phase::kRunning
                                      : Phase::kStopped;
    entry.held = std::move(container);
    entry.may_exist = true;
    entry.notes.ran = entry.notes.ran || !entry.noted;  // when nobody knows, it may have
    if (MayRun(entry.phase)) {
      entry.started = now;
      entry.notes.started = true;
    }
  }
  for (auto& [id, entry] : entries_) {
    if (MayRun(entry.phase) || !entry.desired.has_value()) {
      continue;
    }
    if (entry.notes.gave_up) {
      Apply(entry, PhaseEvent::kGiveUp);
    } else if (entry.notes.retry_at.has_value()) {
      Apply(entry, PhaseEvent::kWait);
    } else if (entry.notes.started && entry.held.has_value()) {
      Exited(entry, Ended{}, now);  // while no agent watched
    }
  }
}

Acceptance AgentCore::OnDesired(const api::Desired& desired, BootTime now) {
  if (desired.version < version_) {
    return Acceptance::kOlder;
  }
  if (!desired.full && desired.version != version_ && desired.base != version_) {
    return Acceptance::kNeedsFull;
  }
  needs_sync_ = needs_sync_ && !desired.full;
  bool changed = desired.version != version_;
  version_ = desired.version;
  if (desired.full || changed) {
    for (const api::NodeContainer& container : desired.containers) {
      changed = Put(container) || changed;
    }
  }
  if (desired.full) {
    std::set<ContainerId> listed;
    for (const api::NodeContainer& container : desired.containers) {
      listed.insert(container.id);
    }
    for (auto it = entries_.begin(); it != entries_.end();) {
      Entry& entry = it->second;
      const bool dropped = entry.desired.has_value() && !listed.contains(it->first);
      if (dropped) {
        changed = true;
        entry.desired.reset();
      }
      ++it;
    }
  }
  for (const ContainerId& id : desired.tombstones) {
    const bool wanted = std::any_of(desired.containers.begin(), desired.containers.end(),
                                    [&](const auto& container) { return container.id == id; });
    if (!wanted) {
      changed = Tombstone(id) || changed;
    }
  }
  (void)now;
  return changed ? Acceptance::kApplied : Acceptance::kDuplicate;
}

// True when something changed.
bool AgentCore::Put(const api::NodeContainer& container) {
  Entry& entry = entries_[container.id];
  removed_.erase(container.id);
  if (entry.desired == container && !entry.tombstone.has_value()) {
    return false;
  }
  if (!entry.desired.has_value()) {
    entry.notes.generation = container.generation;
  }
  entry.tombstone.reset();
  entry.not_before.reset();
  entry.desired = container;
  return true;
}

bool AgentCore::Tombstone(const ContainerId& id) {
  // Also of what was never here, or is gone already: the controller waits for the word, which
  // counts from when this order is durable.
  Entry& entry = entries_[id];
  if (entry.tombstone.has_value()) {
    return false;
  }
  entry.tombstone = version_;
  entry.desired.reset();
  entry.not_before.reset();
  return true;
}

void AgentCore::OnTold(const ContainerId& id, std::vector<api::Condition> told) {
  const auto it = entries_.find(id);
  if (it != entries_.end() && it->second.held.has_value()) {
    it->second.held->told = std::move(told);
  }
}

void AgentCore::OnJournaled(api::Version version) { durable_ = std::max(durable_, version); }

void AgentCore::OnDone(const ContainerId& id, ActionKind kind, const absl::Status& status,
                       const Started& started, BootTime now) {
  if (actions_in_flight_ > 0) {
    --actions_in_flight_;
  }
  auto it = entries_.find(id);
  if (it == entries_.end()) {
    return;
  }
  Entry& entry = it->second;
  if (!entry.pending.has_value() || entry.pending->kind != kind) {
    return;
  }
  const Action action = *std::move(entry.pending);
  entry.pending.reset();
  if (!InFlight(entry.phase)) {
    return;  // its init ended meanwhile: that counts
  }
  if (!status.ok() && !(kind == ActionKind::kStop && entry.exited_in_stop)) {
    Failed(entry, action, status, now);
    return;
  }
  Apply(entry, PhaseEvent::kDone);
  Succeeded(entry, action, started, now);
}

void AgentCore::Succeeded(Entry& entry, const Action& action, const Started& started,
                          BootTime now) {
  entry.notes.reason.clear();
  switch (action.kind) {
    case ActionKind::kStart:
      entry.held = HeldContainer{.definition = action.container,
                                 .running = true,
                                 .started_at = started.started_at,
                                 .disk_limit_mode = started.disk_limit_mode,
                                 .lacking = started.lacking,
                                 .told = started.told};
      entry.started = now;
      entry.notes.started = true;
      entry.notes.ran = true;
      entry.notes.exit_code.reset();
      break;
    case ActionKind::kStop:
      entry.started.reset();
      entry.held->running = entry.held->frozen = false;
      entry.held->started_at.reset();
      entry.notes = {.exit_code = entry.notes.exit_code,
                     .ran = entry.notes.ran,
                     .generation = entry.notes.generation};
      break;
    case ActionKind::kAdjust:
      entry.held->definition.spec.limits = action.container.spec.limits;
      entry.held->definition.spec.cpu_weight = action.container.spec.cpu_weight;
      entry.held->definition.spec.swap = action.container.spec.swap;
      if (!started.disk_limit_mode.empty()) {
        entry.held->disk_limit_mode = started.disk_limit_mode;
        entry.held->lacking = started.lacking;
      }
      break;
    case ActionKind::kFreeze:
    case ActionKind::kThaw:
      entry.held->frozen = action.kind == ActionKind::kFreeze;
      break;
    case ActionKind::kRebuild:
      entry.held->definition = action.container;
      break;
    case ActionKind::kDelete:
      entry.held.reset();
      entry.may_exist = false;
      break;
    case ActionKind::kFetch:
      break;
  }
}

// Says what failed, and when it is tried again.
void AgentCore::Failed(Entry& entry, const Action& action, const absl::Status& status,
                       BootTime now) {
  const ActionKind kind = action.kind;
  Apply(entry, PhaseEvent::kError);
  entry.notes.reason = std::string(MessageOf(status));
  // How far it got is not known.
  entry.notes.ran =
      entry.notes.ran || (kind == ActionKind::kStart &&
                          (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)));
  if (kind == ActionKind::kStart || kind == ActionKind::kRebuild) {
    ++entry.notes.failures;
    WaitOrGiveUp(entry, now);
    return;
  }
  if (kind == ActionKind::kAdjust) {
    // It runs on as it was, which may be for long: whoever waits for this change is told.
    entry.settled_generation = entry.notes.generation = action.container.generation;
  }
  entry.not_before = now + kActionRetry;
}

void AgentCore::WaitOrGiveUp(Entry& entry, BootTime now) {
  const api::RestartRule rule =
      entry.desired.has_value() ? entry.desired->spec.restart : api::RestartRule{};
  const auto most = static_cast<uint64_t>(rule.max_retries);
  if (most > 0 && entry.notes.failures > most) {
    entry.notes.gave_up = true;
    entry.notes.reason = StrCat(entry.notes.reason, "; gave up after ", most, " retries");
    Apply(entry, PhaseEvent::kGiveUp);
    return;
  }
  const std::chrono::milliseconds wait = options_.back_off.After(entry.notes.failures);
  entry.notes.retry_at = now + wait;
  entry.notes.reason = StrCat(entry.notes.reason, "; tried again after ", Seconds(wait));
  Apply(entry, PhaseEvent::kWait);
}

void AgentCore::OnFetched(const std::string& digest, const absl::Status& status, BootTime now) {
  fetching_.erase(digest);
  if (status.ok()) {
    images_.insert(digest);
  }
  for (auto& [id, entry] : entries_) {
    if (entry.phase != Phase::kFetching) {
      continue;
    }
    if (!entry.desired.has_value()) {
      Apply(entry, PhaseEvent::kRetry);
      continue;
    }
    const bool same = entry.desired->image_digest == digest ||
                      (entry.held.has_value() && entry.held->definition.image_digest == digest);
    if (!same) {
      continue;
    }
    if (status.ok()) {
      entry.notes.reason.clear();
      Apply(entry, PhaseEvent::kFetched);
      continue;
    }
    ++entry.notes.failures;
    const std::chrono::milliseconds wait = options_.back_off.After(entry.notes.failures);
    entry.notes.retry_at = now + wait;
    entry.notes.reason = StrCat("image \"", entry.desired->spec.image, "\": ", MessageOf(status),
                                "; tried again after ", Seconds(wait));
    Apply(entry, PhaseEvent::kWait);
  }
}

void AgentCore::OnExited(const ContainerId& id, Ended ended, BootTime now) {
  auto it = entries_.find(id);
  if (it == entries_.end()) {
    return;
  }
  Entry& entry = it->second;
  if (entry.phase == Phase::kStopping) {
    entry.exited_in_stop = true;
    entry.notes.exit_code = ended.code;
    return;
  }
  if (!Next(entry.phase, PhaseEvent::kExited).has_value()) {
    return;
  }
  Apply(entry, PhaseEvent::kExited);
  Exited(entry, ended, now);
}

// Its init ended without our doing: what the restart policy says.  The entry is at kStopped.
void AgentCore::Exited(Entry& entry, Ended ended, BootTime now) {
  if (entry.held.has_value()) {
    entry.held->running = entry.held->frozen = false;
    entry.held->started_at.reset();
  }
  entry.notes.exit_code = ended.code;
  entry.notes.started = false;
  entry.notes.reason = ended.reboot             ? std::string("it restarted itself")
                       : ended.code.has_value() ? StrCat("its init ended with ", *ended.code)
                                                : std::string("its init ended");
  const auto ran = entry.started.has_value() ? now - *entry.started : std::chrono::nanoseconds(0);
  const bool stable = ran >= options_.back_off.stable;
  entry.started.reset();
  if (!entry.desired.has_value() || entry.desired->spec.desired == api::DesiredState::kStopped) {
    entry.notes.reason.clear();
    return;
  }
  if (ended.reboot && ran >= options_.quick_reboot) {
    return;  // started again at once
  }
  const api::RestartPolicy policy =
      ended.reboot ? api::RestartPolicy::kAlways : entry.desired->spec.restart.policy;
  if (policy == api::RestartPolicy::kNever ||
      (policy == api::RestartPolicy::kOnFailure && ended.code == 0)) {
    entry.notes.gave_up = true;
    entry.notes.reason = StrCat(entry.notes.reason, "; restart policy \"",
                                api::kRestartPolicyNames[static_cast<size_t>(policy)], "\"");
    Apply(entry, PhaseEvent::kGiveUp);
    return;
  }
  entry.notes.failures = stable ? 1 : entry.notes.failures + 1;
  ++entry.notes.restarts;
  WaitOrGiveUp(entry, now);
}

absl::StatusOr<api::NodeContainer> AgentCore::BeginImport(const ContainerId& id,
                                                          const std::string& move) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || !it->second.desired.has_value() ||
      it->second.desired->layer_move != move || it->second.tombstone.has_value()) {
    return absl::FailedPreconditionError(
        StrCat("container ", id.str(), ": this node does not wait for its layer"));
  }
  Entry& entry = it->second;
  if (entry.desired->spec.desired != api::DesiredState::kStopped || MayRun(entry.phase) ||
      entry.pending.has_value()) {
    return absl::FailedPreconditionError(
        StrCat("container ", id.str(), ": runs here, or is to run"));
  }
  entry.may_exist = true;
  entry.notes.ran = false;
  return *entry.desired;
}

void AgentCore::OnSession(BootTime now) {
  needs_sync_ = needs_sync_ || !lease_until_.has_value() || now >= *lease_until_;
}

void AgentCore::OnLease(BootTime until, BootTime now) {
  (void)now;
  if (!lease_until_.has_value() || until > *lease_until_) {
    lease_until_ = until;
  }
}

void AgentCore::OnLeaseHolder(bool present, BootTime now) {
  if (holder_present_ && !present) {
    holder_gone_since_ = now;
  }
  if (present) {
    holder_gone_since_.reset();
    recovered_.reset();
  }
  holder_present_ = present;
}

}  // namespace bramble::node
