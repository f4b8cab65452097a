// SPDX-License-Identifier: Apache-2.0
#pragma once

// Mass loss is not failure: when many nodes of a pool go silent together (the end of the school
// day, a switch without power), nothing is moved.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace bramble::controller {

struct MassLossOptions {
  int64_t percent = 30;   // more than this share, and
  int64_t min_nodes = 3;  // at least so many nodes
  std::chrono::seconds window{600};
  // Thaws once at most half of `percent`, or half of `min_nodes`, are still missing for this long.
  std::chrono::seconds calm{300};
};

struct MassLossChange {
  std::string pool;
  bool frozen = false;
  std::string text;  // for the event: what happened and what a person can do
};

// One breaker per pool.  The share is of the nodes that were there when the window began: a node
// that has been away for longer counts neither way.
class MassLossBreaker {
 public:
  explicit MassLossBreaker(const MassLossOptions& options = {}) : options_(options) {}

  // `node` belongs to `pool`; unreachable or not is told separately.  May be repeated.
  void Put(const NodeId& node, const std::string& pool);
  // The node was removed, held, or shut down on a person's order: it counts neither way.
  void Remove(const NodeId& node);

  void OnUnreachable(const NodeId& node, BootTime now);
  void OnBack(const NodeId& node);
  // `node` was unreachable for longer than the window before this breaker began: it counts neither
  // way until it is back.
  void Forgive(const NodeId& node, BootTime now);
  // A person says that this loss is real: what is away now no longer counts.
  void Thaw(const std::string& pool);

  // Opens and closes what is due.  Call after every event, before any move, and at NextChange().
  std::vector<MassLossChange> Advance(BootTime now);
  std::optional<BootTime> NextChange() const;

  bool Frozen(const std::string& pool) const;
  // For `cluster status`; empty when no pool is frozen.
  std::string StatusText() const;

 private:
  struct Member {
    std::string pool;
    std::optional<BootTime> lost_at;
    bool counts = true;  // false: lost before the window, or forgiven
  };
  struct Pool {
    std::map<NodeId, Member> members;
    bool frozen = false;
    bool thawed_by_hand = false;
    std::optional<BootTime> calm_since;
    int64_t missing = 0;  // at the last Advance
    int64_t present = 0;  // of so many that were there when the window began
  };

  void AdvancePool(const std::string& name, Pool& pool, BootTime now,
                   std::vector<MassLossChange>& changes);

  std::string PoolText(const std::string& name, const Pool& pool) const;

  MassLossOptions options_;
  std::map<std::string, Pool> pools_;
  std::map<NodeId, std::string> pool_of_;
};

}  // namespace bramble::controller
