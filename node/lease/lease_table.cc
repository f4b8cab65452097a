// SPDX-License-Identifier: Apache-2.0
#include "node/lease/lease_table.h"

#include <algorithm>
#include <charconv>
#include <csignal>

#include "node/lease/lease_message.h"

namespace bramble::node {
namespace {

constexpr std::string_view kStateHeading = "bramble-lease-holder 1\n";

// Takes the number that `text` begins with and the character `end` after it.
bool TakeNumber(std::string_view& text, char end, int64_t& number) {
  const char* last = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || stop == last || *stop != end) {
    return false;
  }
  text.remove_prefix(static_cast<size_t>(stop - text.data()) + 1);
  return true;
}

// Likewise the text before the next `end`.
bool TakeText(std::string_view& text, char end, size_t most, std::string& taken) {
  const size_t at = text.find(end);
  if (at == std::string_view::npos || at == 0 || at > most) {
    return false;
  }
  taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return true;
}

}  // namespace

std::optional<int> LeaseTable::Hold(std::string_view id, int handle, int halt_signal,
                                    std::string_view group) {
  std::optional<int> old = Release(id);
  entries_.push_back({.id = std::string(id),
                      .handle = handle,
                      .halt_signal = halt_signal,
                      .group = std::string(group)});
  return old;
}

std::optional<int> LeaseTable::Release(std::string_view id) {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.id == id; });
  if (it == entries_.end()) {
    return std::nullopt;
  }
  const int handle = it->handle;
  entries_.erase(it);
  return handle == kNoHandle ? std::nullopt : std::optional<int>(handle);
}

void LeaseTable::Begin() {
  for (Entry& entry : entries_) {
    entry.named = false;
  }
}

std::vector<int> LeaseTable::End() {
  std::vector<int> handles;
  std::erase_if(entries_, [&](const Entry& entry) {
    if (!entry.named && entry.handle != kNoHandle) {
      handles.push_back(entry.handle);
    }
    return !entry.named;
  });
  return handles;
}

void LeaseTable::Renew(int64_t deadline_ns, int64_t stop_ns) {
  deadline_ns_ = std::max(deadline_ns_, deadline_ns);
  stop_ns_ = stop_ns;
}

void LeaseTable::Expire(int64_t now_ns) { deadline_ns_ = std::min(deadline_ns_, now_ns); }

std::vector<int> LeaseTable::Handles() const {
  std::vector<int> handles;
  for (const Entry& entry : entries_) {
    if (entry.handle != kNoHandle) {
      handles.push_back(entry.handle);
    }
  }
  return handles;
}

std::string LeaseTable::Format() const {
  std::string text(kStateHeading);
  text += std::to_string(deadline_ns_) + " " + std::to_string(stop_ns_) + "\n";
  for (const Entry& entry : entries_) {
    if (!entry.group.empty() && entry.group.find('\n') == std::string::npos &&
        entry.id.find_first_of(" \n") == std::string::npos) {
      text += entry.id + " " + entry.group + "\n";
    }
  }
  return text;
}

bool LeaseTable::Restore(std::string_view text) {
  if (!text.starts_with(kStateHeading)) {
    return false;
  }
  text.remove_prefix(kStateHeading.size());
  LeaseTable restored;
  if (!TakeNumber(text, ' ', restored.deadline_ns_) || !TakeNumber(text, '\n', restored.stop_ns_) ||
      restored.deadline_ns_ < 0 || restored.stop_ns_ < 0) {
    return false;
  }
  while (!text.empty()) {
    std::string id;
    std::string group;
    if (!TakeText(text, ' ', kMaxLeaseIdBytes, id) ||
        !TakeText(text, '\n', kMaxLeaseGroupBytes, group)) {
      return false;
    }
    restored.Hold(id, kNoHandle, 0, group);
    restored.entries_.back().restored = true;
  }
  *this = std::move(restored);
  return true;
}

void LeaseTable::KillWhenDue(Entry& entry, int64_t now_ns, std::vector<Signal>& signals) {
  if (now_ns < entry.kill_ns) {
    return;
  }
  if (!entry.killed && entry.handle != kNoHandle) {
    signals.push_back({entry.handle, SIGKILL});
  }
  entry.killed = true;
  if (!entry.group.empty() && now_ns >= entry.sweep_ns) {
    signals.push_back({kNoHandle, SIGKILL, entry.group});
    const bool soon = now_ns < entry.kill_ns + kSweepSoonForNs;
    entry.sweep_ns = now_ns + (soon ? kSweepNs : kSweepLaterNs);
  }
}

std::vector<LeaseTable::Signal> LeaseTable::Due(int64_t now_ns) {
  std::vector<Signal> signals;
  for (Entry& entry : entries_) {
    if (entry.kill_ns == 0 && now_ns >= deadline_ns_) {
      // Counted from the deadline, not from now: a holder that was late kills no later.
      const int64_t stop_ns = entry.handle != kNoHandle || entry.restored ? stop_ns_ : 0;
      entry.kill_ns = std::max<int64_t>(deadline_ns_ + stop_ns, 1);
      if (now_ns < entry.kill_ns && entry.handle != kNoHandle) {
        signals.push_back({entry.handle, entry.halt_signal});
      }
    }
    if (entry.kill_ns != 0) {
      KillWhenDue(entry, now_ns, signals);
    }
  }
  return signals;
}

std::optional<int64_t> LeaseTable::NextWake() const {
  std::optional<int64_t> wake;
  for (const Entry& entry : entries_) {
    if (entry.killed && entry.group.empty()) {
      continue;
    }
    const int64_t at = entry.killed         ? entry.sweep_ns
                       : entry.kill_ns != 0 ? entry.kill_ns
                                            : deadline_ns_;
    wake = wake.has_value() ? std::min(*wake, at) : at;
  }
  return wake;
}

}  // namespace bramble::node
