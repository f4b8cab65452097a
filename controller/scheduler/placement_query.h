// SPDX-License-Identifier: Apache-2.0
#pragma once

// One request made ready to be asked of every node: the filter and the score of the scheduler.
// Internal to controller/scheduler.

#include <array>
#include <string>
#include <vector>

#include "controller/scheduler/scheduler.h"

namespace bramble::controller {

// Why a node will not do, in the order in which it is asked.
enum class Refusal : uint32_t {
  kOtherNode,  // the request names another node
  kExcluded,
  kState,  // pending, unreachable, held or off
  kCordoned,
  kDraining,
  kCritical,
  kArchitecture,
  kLabels,
  kAvoid,
  kMemory,
  kCpu,
  kDisk,
  kPids,
};
inline constexpr size_t kRefusals = 13;

class RefusalSet {
 public:
  void Add(Refusal refusal) { bits_ |= 1u << static_cast<uint32_t>(refusal); }
  bool Has(Refusal refusal) const { return (bits_ & 1u << static_cast<uint32_t>(refusal)) != 0; }
  bool empty() const { return bits_ == 0; }
  Refusal First() const { return static_cast<Refusal>(__builtin_ctz(bits_)); }

 private:
  uint32_t bits_ = 0;
};

// Points in thousandths, so that scores are integers and ties are ties.
struct NodeScore {
  int64_t packing = 0;
  int64_t preferred = 0;
  int64_t spread = 0;
  int64_t image = 0;
  int64_t health = 0;
  int64_t total() const { return packing + preferred + spread + image + health; }
};

// Valid while the view does not change.
class PlacementQuery {
 public:
  using NodeRow = ClusterView::NodeRow;

  PlacementQuery(const ClusterView& view, const PlacementRequest& request,
                 const SchedulerOptions& options);

  // The first refusal of the node in `row`, or with `all` every one.
  RefusalSet Refuse(int32_t row, bool all) const;

  // How many containers with the labels of Placement::spread the node holds; 0 when none are given.
  int64_t SpreadCount(int32_t row) const { return wants_spread() ? spread_counts_[row] : 0; }
  struct SpreadRange {
    int64_t min = 0;
    int64_t max = 0;
  };
  // Of a node that fits; `range` is that of SpreadCount over all that fit.
  NodeScore Score(int32_t row, SpreadRange range) const;

  // The variant that the node would run; -1: none.
  int32_t VariantFor(const NodeRow& node) const;
  bool Holds(const NodeRow& node, int32_t variant) const;
  // What is left to promise on the node, the request's own container not counted; never negative.
  api::Resources FreeOn(int32_t row) const;
  // The first required term that the node does not match; -1: it matches all.
  int32_t FailedTerm(const NodeRow& node) const;
  // The containers on the node that must not share it with the request, by "project/name".
  std::vector<std::string> AvoidedOn(int32_t row) const;

  bool wants_spread() const { return !spread_counts_.empty(); }
  const ClusterView& view() const { return view_; }
  const PlacementRequest& request() const { return request_; }
  const SchedulerOptions& options() const { return options_; }

 private:
  // A label term with its texts as the view's numbers.
  struct Term {
    api::LabelOperator op;
    int32_t key = 0;
    std::vector<int32_t> values;
    int64_t weight = 1;
  };

  Term Compile(const api::LabelTerm& term) const;
  static bool Matches(const NodeRow& node, const Term& term);
  int64_t PackingPoints(int32_t row) const;
  void CountAlike(const api::Labels& spread);

  const ClusterView& view_;
  const PlacementRequest& request_;
  const SchedulerOptions& options_;
  int32_t self_ = -1;              // the row of the container itself, when it has a node
  int32_t only_ = -1;              // the row of the node that the request names
  std::vector<int32_t> excluded_;  // rows of nodes
  std::vector<std::pair<int32_t, int32_t>> avoided_;  // row of a node, row of a container there
  std::vector<int32_t> architectures_;                // of each variant
  std::vector<int32_t> digests_;
  std::vector<Term> required_;
  std::vector<Term> preferred_;
  int64_t preferred_weight_ = 0;        // the sum
  std::vector<int32_t> spread_counts_;  // per row of a node; empty: nothing to spread
};

// Why no node takes `query`, for people: counts of what each node refused first.
std::string RefusalText(const PlacementQuery& query);
// Every reason why the node in `row` refuses, for people.
std::vector<std::string> RefusalTexts(const PlacementQuery& query, int32_t row);

}  // namespace bramble::controller
