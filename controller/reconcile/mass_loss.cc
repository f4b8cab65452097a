// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/mass_loss.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::controller {
namespace {

std::string Minutes(std::chrono::seconds time) {
  return time.count() % 60 == 0 ? StrCat(time.count() / 60, " minutes")
                                : StrCat(time.count(), " s");
}

}  // namespace

void MassLossBreaker::Put(const NodeId& node, const std::string& pool) {
  const auto [entry, is_new] = pool_of_.try_emplace(node, pool);
  if (is_new) {
    pools_[pool].members.try_emplace(node);
  } else if (entry->second != pool) {
    auto moved = pools_[entry->second].members.extract(node);
    pools_[pool].members.insert(std::move(moved));
    entry->second = pool;
  }
}

void MassLossBreaker::Remove(const NodeId& node) {
  const auto entry = pool_of_.find(node);
  if (entry != pool_of_.end()) {
    pools_[entry->second].members.erase(node);
    pool_of_.erase(entry);
  }
}

void MassLossBreaker::OnUnreachable(const NodeId& node, BootTime now) {
  const auto entry = pool_of_.find(node);
  if (entry == pool_of_.end()) {
    return;
  }
  Member& member = pools_[entry->second].members[node];
  if (!member.lost_at.has_value()) {
    member = {.lost_at = now};
  }
}

void MassLossBreaker::Forgive(const NodeId& node, BootTime now) {
  OnUnreachable(node, now);
  if (const auto entry = pool_of_.find(node); entry != pool_of_.end()) {
    pools_[entry->second].members[node].counts = false;
  }
}

void MassLossBreaker::OnBack(const NodeId& node) {
  const auto entry = pool_of_.find(node);
  if (entry != pool_of_.end()) {
    pools_[entry->second].members[node] = {};
  }
}

void MassLossBreaker::Thaw(const std::string& pool) {
  const auto entry = pools_.find(pool);
  if (entry == pools_.end()) {
    return;
  }
  for (auto& [node, member] : entry->second.members) {
    member.counts = !member.lost_at.has_value();
  }
  entry->second.thawed_by_hand = entry->second.frozen;
}

std::vector<MassLossChange> MassLossBreaker::Advance(BootTime now) {
  std::vector<MassLossChange> changes;
  for (auto pool = pools_.begin(); pool != pools_.end();) {
    AdvancePool(pool->first, pool->second, now, changes);
    pool =
        pool->second.members.empty() && !pool->second.frozen ? pools_.erase(pool) : std::next(pool);
  }
  return changes;
}

void MassLossBreaker::AdvancePool(const std::string& name, Pool& pool, BootTime now,
                                  std::vector<MassLossChange>& changes) {
  pool.missing = 0;
  pool.present = 0;
  for (auto& [node, member] : pool.members) {
    // While the pool is frozen a loss does not grow old: the night is longer than the window.
    if (!pool.frozen && member.lost_at.has_value() && now - *member.lost_at >= options_.window) {
      member.counts = false;
    }
    pool.missing += member.lost_at.has_value() && member.counts ? 1 : 0;
    pool.present += member.counts ? 1 : 0;
  }
  if (!pool.frozen) {
    if (pool.missing >= options_.min_nodes &&
        pool.missing * 100 > options_.percent * pool.present) {
      pool.frozen = true;
      pool.thawed_by_hand = false;
      pool.calm_since.reset();
      changes.push_back({.pool = name, .frozen = true, .text = PoolText(name, pool)});
    }
    return;
  }
  const bool calm = pool.missing * 200 <= options_.percent * pool.present ||
                    pool.missing * 2 <= options_.min_nodes;
  if (!calm) {
    pool.calm_since.reset();
    return;
  }
  pool.calm_since = pool.calm_since.value_or(now);
  if (pool.thawed_by_hand || now - *pool.calm_since >= options_.calm) {
    pool.frozen = false;
    pool.calm_since.reset();
    const std::string_view why =
        pool.thawed_by_hand ? "a person said that the loss is real" : "the nodes are back";
    changes.push_back(
        {.pool = name,
         .text = StrCat("pool \"", name, "\": ", why, "; containers are moved again")});
  }
}

std::optional<BootTime> MassLossBreaker::NextChange() const {
  std::optional<BootTime> next;
  for (const auto& [name, pool] : pools_) {
    if (pool.calm_since.has_value()) {
      const BootTime thaw = *pool.calm_since + options_.calm;
      next = std::min(next.value_or(thaw), thaw);
    }
  }
  return next;
}

bool MassLossBreaker::Frozen(const std::string& pool) const {
  const auto entry = pools_.find(pool);
  return entry != pools_.end() && entry->second.frozen;
}

std::string MassLossBreaker::PoolText(const std::string& name, const Pool& pool) const {
  return StrCat("pool \"", name, "\": ", pool.missing, " of ", pool.present,
                " nodes went silent within ", Minutes(options_.window),
                "; nothing is moved until most are back");
}

std::string MassLossBreaker::StatusText() const {
  std::string text;
  for (const auto& [name, pool] : pools_) {
    if (pool.frozen) {
      text = StrCat(text, text.empty() ? "" : "; ", PoolText(name, pool));
    }
  }
  return text;
}

}  // namespace bramble::controller
