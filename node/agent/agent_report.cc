// SPDX-License-Identifier: Apache-2.0
// What AgentCore tells: reports to the controller, notes for the run directory, sets for others.
#include "base/strings.h"
#include "node/agent/agent_core.h"
#include "node/agent/lacking.h"

namespace bramble::node {
namespace {

api::ContainerState StateOf(Phase phase) {
  switch (phase) {
    case Phase::kFetching:
    case Phase::kStarting:
    case Phase::kRebuilding:
      return api::ContainerState::kStarting;
    case Phase::kRunning:
    case Phase::kAdjusting:
    case Phase::kFreezing:
      return api::ContainerState::kRunning;
    case Phase::kFrozen:
    case Phase::kThawing:
      return api::ContainerState::kFrozen;
    case Phase::kStopping:
      return api::ContainerState::kStopping;
    case Phase::kWaiting:
    case Phase::kFailed:
      return api::ContainerState::kFailed;
    case Phase::kDeleting:
    case Phase::kGone:
      return api::ContainerState::kDeleting;
    case Phase::kStopped:
      break;
  }
  return api::ContainerState::kStopped;
}

bool IsMovable(const api::NodeContainer& container) {
  return container.spec.placement.placement_class == api::PlacementClass::kMovable;
}

}  // namespace

std::optional<api::Report> AgentCore::TakeReport(bool full, BootTime now) {
  api::Report report{.full = full, .version = durable_};
  for (const auto& [id, entry] : entries_) {
    api::ObservedContainer observed = ObserveOne(id, entry, now);
    api::ObservedContainer& last = reported_[id];
    if (full || last != observed) {
      report.containers.push_back(observed);
      last = std::move(observed);
    }
  }
  report.removed.assign(removed_.begin(), removed_.end());
  removed_.clear();
  report.images_changed = full || images_ != reported_images_;
  if (report.images_changed) {
    report.images.assign(images_.begin(), images_.end());
    reported_images_ = images_;
  }
  if (!full && report.containers.empty() && report.removed.empty() && !report.images_changed &&
      durable_ == reported_version_) {
    return std::nullopt;
  }
  reported_version_ = durable_;
  return report;
}

api::ObservedContainer AgentCore::ObserveOne(const ContainerId& id, const Entry& entry,
                                             BootTime now) const {
  const api::NodeContainer* definition = entry.desired.has_value()   ? &*entry.desired
                                         : entry.held.has_value()    ? &entry.held->definition
                                         : entry.pending.has_value() ? &entry.pending->container
                                                                     : nullptr;
  api::ObservedContainer observed;
  observed.id = id;
  if (definition != nullptr) {
    observed.name = definition->name;
    observed.project = definition->project;
  }
  observed.generation = entry.settled_generation;
  observed.state = StateOf(entry.phase);
  observed.reason = entry.notes.reason;
  observed.exit_code = entry.notes.exit_code;
  observed.restarts = entry.notes.restarts;
  observed.ran = entry.notes.ran;
  if (entry.held.has_value()) {
    observed.restart_count = entry.held->definition.spec.restart_count;
    observed.rebuild_count = entry.held->definition.spec.rebuild_count;
    observed.started_at = entry.held->started_at;
    observed.disk_limit_mode = entry.held->disk_limit_mode;
    if (MayRun(entry.phase)) {
      observed.conditions = ConditionsOfLacking(entry.held->lacking);
    }
    const std::vector<api::Condition>& told = entry.held->told;
    observed.conditions.insert(observed.conditions.end(), told.begin(), told.end());
    if (!entry.desired.has_value() && !entry.tombstone.has_value()) {
      observed.definition = entry.held->definition;
    }
  }
  if (entry.phase == Phase::kStopped && entry.desired.has_value() &&
      entry.desired->spec.desired != api::DesiredState::kStopped) {
    if (!LeaseAllowsStart(entry, now)) {
      observed.reason = holder_present_
                            ? "movable: waits for a lease and the word of the controller"
                            : "movable: bramble-lease-holder does not run on this node";
    } else {
      observed.state = api::ContainerState::kStarting;
      if (!HasContext(*entry.desired) && observed.reason.empty()) {
        observed.reason =
            "waits for what it is to be told at its first start (its context), which "
            "the controller has";
      }
    }
  } else if (entry.phase == Phase::kFetching && observed.reason.empty()) {
    observed.reason = StrCat("fetching image \"", entry.desired->spec.image, "\"");
  }
  return observed;
}

std::vector<api::ObservedContainer> AgentCore::Observe(BootTime now) const {
  std::vector<api::ObservedContainer> all;
  for (const auto& [id, entry] : entries_) {
    all.push_back(ObserveOne(id, entry, now));
  }
  return all;
}

std::vector<api::NodeContainer> AgentCore::desired() const {
  std::vector<api::NodeContainer> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.desired.has_value()) {
      all.push_back(*entry.desired);
    }
  }
  return all;
}

std::vector<ContainerId> AgentCore::tombstones() const {
  std::vector<ContainerId> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.tombstone.has_value()) {
      all.push_back(id);
    }
  }
  return all;
}

std::map<ContainerId, ContainerNotes> AgentCore::notes() const {
  std::map<ContainerId, ContainerNotes> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.desired.has_value()) {
      all[id] = entry.notes;
    }
  }
  return all;
}

std::vector<ContainerId> AgentCore::movable_running() const {
  std::vector<ContainerId> all;
  for (const auto& [id, entry] : entries_) {
    // What is being started counts as it will run.
    const bool starting = entry.phase == Phase::kStarting && entry.pending.has_value();
    const api::NodeContainer* definition = starting                 ? &entry.pending->container
                                           : entry.held.has_value() ? &entry.held->definition
                                                                    : nullptr;
    if (definition != nullptr && MayRun(entry.phase) && IsMovable(*definition)) {
      all.push_back(id);
    }
  }
  return all;
}

std::set<std::string> AgentCore::images_in_use() const {
  std::set<std::string> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.desired.has_value()) {
      all.insert(entry.desired->image_digest);
    }
    if (entry.held.has_value()) {
      all.insert(entry.held->definition.image_digest);
    }
  }
  return all;
}

std::set<std::string> AgentCore::contexts_in_use() const {
  std::set<std::string> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.desired.has_value()) {
      all.insert(entry.desired->context);
    }
    if (entry.held.has_value()) {
      all.insert(entry.held->definition.context);
    }
  }
  all.erase("");
  return all;
}

std::vector<api::Condition> AgentCore::conditions() const {
  std::vector<api::Condition> all;
  if (!holder_present_) {
    all.push_back({.type = "lease-holder-absent",
                   .severity = "warning",
                   .message = "bramble-lease-holder does not run: no movable container is started "
                              "here; see `systemctl status bramble-lease-holder`"});
  }
  return all;
}

}  // namespace bramble::node
