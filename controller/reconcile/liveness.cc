// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/liveness.h"

#include <algorithm>

namespace bramble::controller {

Liveness LivenessAfter(BootClock::duration silence, const Timing& timing) {
  if (silence >= timing.unreachable_after) {
    return Liveness::kUnreachable;
  }
  return silence >= timing.suspect_after ? Liveness::kSuspect : Liveness::kReady;
}

void LivenessTracker::Unschedule(const NodeId& node, Entry& entry) {
  if (entry.due.has_value()) {
    due_.erase({*entry.due, node});
    entry.due.reset();
  }
}

void LivenessTracker::Schedule(const NodeId& node, Entry& entry) {
  Unschedule(node, entry);
  if (entry.state != Liveness::kUnreachable) {
    entry.due = entry.last_heard + (entry.state == Liveness::kReady ? timing_.suspect_after
                                                                    : timing_.unreachable_after);
    due_.insert({*entry.due, node});
  }
}

void LivenessTracker::Watch(const NodeId& node, BootTime since) {
  Entry& entry = entries_[node];
  Unschedule(node, entry);
  entry = {.last_heard = since};
  Schedule(node, entry);
}

void LivenessTracker::Forget(const NodeId& node) {
  const auto entry = entries_.find(node);
  if (entry != entries_.end()) {
    Unschedule(node, entry->second);
    entries_.erase(entry);
  }
}

std::optional<LivenessChange> LivenessTracker::OnHeard(const NodeId& node, BootTime now) {
  const auto found = entries_.find(node);
  if (found == entries_.end()) {
    Watch(node, now);
    return std::nullopt;
  }
  Entry& entry = found->second;
  entry.last_heard = std::max(entry.last_heard, now);
  if (entry.state == Liveness::kReady) {
    return std::nullopt;
  }
  const LivenessChange change{.node = node, .from = entry.state, .to = Liveness::kReady};
  entry.state = Liveness::kReady;
  Schedule(node, entry);
  return change;
}

std::vector<LivenessChange> LivenessTracker::Advance(BootTime now) {
  std::vector<std::pair<BootTime, LivenessChange>> changes;
  while (!due_.empty() && due_.begin()->first <= now) {
    const NodeId node = due_.begin()->second;
    Entry& entry = entries_.find(node)->second;
    const Liveness state = LivenessAfter(now - entry.last_heard, timing_);
    if (state != entry.state) {
      changes.push_back({entry.last_heard, {.node = node, .from = entry.state, .to = state}});
      entry.state = state;
    }
    Schedule(node, entry);
  }
  std::sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.node < b.second.node;
  });
  std::vector<LivenessChange> sorted;
  for (auto& [heard, change] : changes) {
    sorted.push_back(std::move(change));
  }
  return sorted;
}

std::optional<BootTime> LivenessTracker::NextChange() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

std::optional<BootTime> LivenessTracker::LastHeard(const NodeId& node) const {
  const auto entry = entries_.find(node);
  return entry == entries_.end() ? std::nullopt : std::optional(entry->second.last_heard);
}

Liveness LivenessTracker::StateOf(const NodeId& node) const {
  const auto entry = entries_.find(node);
  return entry == entries_.end() ? Liveness::kUnreachable : entry->second.state;
}

}  // namespace bramble::controller
