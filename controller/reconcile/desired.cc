// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/desired.h"

#include <algorithm>
#include <set>

namespace bramble::controller {

void NodeDesiredState::Raise(api::Version version) { version_ = std::max(version_, version); }

bool NodeDesiredState::Put(api::NodeContainer container, api::Version version) {
  Entry& entry = containers_[container.id];
  const bool was_buried = tombstones_.erase(container.id) > 0;
  if (!was_buried && entry.container == container) {
    return false;
  }
  entry = {.container = std::move(container), .changed = version};
  Raise(version);
  return true;
}

void NodeDesiredState::Bury(const ContainerId& container, api::Version version) {
  containers_.erase(container);
  if (tombstones_.try_emplace(container, version).second) {
    Raise(version);
  }
}

void NodeDesiredState::Drop(const ContainerId& container, api::Version version) {
  if (containers_.erase(container) > 0) {
    Raise(version);
    dropped_ = std::max(dropped_, version);
  }
}

void NodeDesiredState::OnRemoved(const ContainerId& container) { tombstones_.erase(container); }

std::optional<api::Version> NodeDesiredState::OrderedAt(const ContainerId& container) const {
  if (const auto held = containers_.find(container); held != containers_.end()) {
    return held->second.changed;
  }
  const auto buried = tombstones_.find(container);
  return buried == tombstones_.end() ? std::nullopt : std::optional(buried->second);
}

api::Desired NodeDesiredState::Full() const {
  api::Desired desired{.version = version_, .full = true};
  for (const auto& [id, entry] : containers_) {
    desired.containers.push_back(entry.container);
  }
  for (const auto& [id, version] : tombstones_) {
    desired.tombstones.push_back(id);
  }
  return desired;
}

std::optional<api::Desired> NodeDesiredState::Since(api::Version applied) const {
  if (applied == version_) {
    return std::nullopt;
  }
  if (applied == api::Version{} || applied.epoch != version_.epoch || applied > version_ ||
      applied < dropped_) {
    return Full();
  }
  api::Desired desired{.version = version_, .base = applied};
  for (const auto& [id, entry] : containers_) {
    if (entry.changed > applied) {
      desired.containers.push_back(entry.container);
    }
  }
  for (const auto& [id, version] : tombstones_) {
    if (version > applied) {
      desired.tombstones.push_back(id);
    }
  }
  return desired;
}

std::optional<uint64_t> EpochAbove(api::Version ours, api::Version seen) {
  if (seen <= ours || seen.epoch - ours.epoch > kMaxEpochsAhead) {
    return std::nullopt;
  }
  return seen.epoch + 1;
}

ReportDifference CompareReport(const NodeDesiredState& desired, const api::Report& report) {
  ReportDifference difference;
  std::set<ContainerId> seen;
  for (const api::ObservedContainer& container : report.containers) {
    seen.insert(container.id);
    if (desired.Buried(container.id)) {
      difference.buried.push_back(container.id);
    } else if (!desired.Holds(container.id)) {
      difference.unknown.push_back(container);
    }
  }
  if (report.full) {
    desired.ForEach([&](const api::NodeContainer& container) {
      if (!seen.contains(container.id)) {
        difference.missing.push_back(container.id);
      }
    });
  }
  return difference;
}

}  // namespace bramble::controller
