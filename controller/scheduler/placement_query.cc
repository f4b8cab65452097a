// SPDX-License-Identifier: Apache-2.0
#include "controller/scheduler/placement_query.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::controller {
namespace {

// What a part of the score may reach, in thousandths of a point.  A node in good health is always
// preferred; then what the person asked for, then how full nodes are, then whether the image has to
// be fetched.
constexpr int64_t kPackingPoints = 100'000;
constexpr int64_t kPreferredPoints = 300'000;
constexpr int64_t kSpreadPoints = 200'000;
constexpr int64_t kImagePoints = 25'000;
constexpr int64_t kNativePoints = 10'000;
constexpr int64_t kWarningPoints = -1'000'000;
constexpr int64_t kSuspectPoints = -2'000'000;

// The share of `whole` that is used, in thousandths, once `part` is.
int64_t Share(int64_t part, int64_t whole) {
  return whole <= 0 ? 0 : std::clamp<int64_t>(part * 1000 / whole, 0, 1000);
}

bool Contains(const std::vector<int32_t>& sorted, int32_t number) {
  return std::binary_search(sorted.begin(), sorted.end(), number);
}

}  // namespace

PlacementQuery::PlacementQuery(const ClusterView& view, const PlacementRequest& request,
                               const SchedulerOptions& options)
    : view_(view),
      request_(request),
      options_(options),
      self_(view.ContainerNamed(request.project, request.name.str())) {
  const api::Placement& placement = request.placement;
  if (!placement.node.empty()) {
    only_ = view.NodeNamed(placement.node);
  }
  for (const NodeId& node : request.exclude) {
    excluded_.push_back(view.NodeWithId(node));
  }
  for (const std::string& name : placement.avoid) {
    if (const int32_t row = view.ContainerNamed(request.project, name); row >= 0 && row != self_) {
      avoided_.emplace_back(view.container(row).node, row);
    }
  }
  if (const auto* avoiders = view.AvoidersOf(request.project, request.name.str())) {
    for (const int32_t row : *avoiders) {
      if (row != self_) {
        avoided_.emplace_back(view.container(row).node, row);
      }
    }
  }
  for (const api::ImageVariant& variant : request.variants) {
    architectures_.push_back(view.words().Find(variant.architecture));
    digests_.push_back(view.words().Find(variant.digest));
  }
  for (const api::LabelTerm& term : placement.required) {
    required_.push_back(Compile(term));
  }
  for (const api::LabelTerm& term : placement.preferred) {
    preferred_.push_back(Compile(term));
    preferred_weight_ += term.weight;
  }
  if (!placement.spread.empty()) {
    CountAlike(placement.spread);
  }
}

PlacementQuery::Term PlacementQuery::Compile(const api::LabelTerm& term) const {
  Term compiled{.op = term.op, .key = view_.words().Find(term.key), .weight = term.weight};
  for (const std::string& value : term.values) {
    compiled.values.push_back(view_.words().Find(value));  // 0, which no label has, when unknown
  }
  return compiled;
}

bool PlacementQuery::Matches(const NodeRow& node, const Term& term) {
  const auto label = std::lower_bound(
      node.labels.begin(), node.labels.end(), term.key,
      [](const ClusterView::Label& entry, int32_t key) { return entry.first < key; });
  const bool exists = term.key != 0 && label != node.labels.end() && label->first == term.key;
  const auto is_one_of = [&] {
    return std::find(term.values.begin(), term.values.end(), label->second) != term.values.end();
  };
  switch (term.op) {
    case api::LabelOperator::kIn:
      return exists && is_one_of();
    case api::LabelOperator::kNotIn:
      return !exists || !is_one_of();
    case api::LabelOperator::kExists:
      return exists;
    case api::LabelOperator::kNotExists:
      return !exists;
  }
  return false;
}

int32_t PlacementQuery::FailedTerm(const NodeRow& node) const {
  for (size_t i = 0; i < required_.size(); ++i) {
    if (!Matches(node, required_[i])) {
      return static_cast<int32_t>(i);
    }
  }
  return -1;
}

int32_t PlacementQuery::VariantFor(const NodeRow& node) const {
  for (const int32_t architecture : node.architectures) {
    for (size_t i = 0; i < architectures_.size(); ++i) {
      if (architectures_[i] == architecture && architecture != 0) {
        return static_cast<int32_t>(i);
      }
    }
  }
  return -1;
}

bool PlacementQuery::Holds(const NodeRow& node, int32_t variant) const {
  return digests_[variant] != 0 && Contains(node.images, digests_[variant]);
}

api::Resources PlacementQuery::FreeOn(int32_t row) const {
  const NodeRow& node = view_.nodes()[row];
  const bool own = self_ >= 0 && view_.container(self_).node == row;
  const api::Resources mine = own ? view_.container(self_).limits : api::Resources();
  const auto left = [](int64_t have, int64_t promised) {
    return std::max<int64_t>(0, have - promised);
  };
  api::Resources free;
  free.memory.count = left(node.capacity.memory.count - options_.memory_reserve.count,
                           node.allocated.memory.count - mine.memory.count);
  free.cpu.count = left(node.capacity.cpu.count * options_.cpu_overcommit,
                        node.allocated.cpu.count - mine.cpu.count);
  free.disk.count = left(node.capacity.disk.count, node.allocated.disk.count - mine.disk.count);
  free.pids = left(node.capacity.pids * options_.pids_overcommit, node.allocated.pids - mine.pids);
  return free;
}

RefusalSet PlacementQuery::Refuse(int32_t row, bool all) const {
  const NodeRow& node = view_.nodes()[row];
  RefusalSet set;
  // True when the caller has heard enough.
  const auto refuse = [&](bool condition, Refusal refusal) {
    if (condition) {
      set.Add(refusal);
    }
    return condition && !all;
  };
  const bool alive = node.state == api::NodeState::kReady || node.state == api::NodeState::kSuspect;
  const auto excluded = [&] {
    return std::find(excluded_.begin(), excluded_.end(), row) != excluded_.end();
  };
  const auto avoided = [&] {
    return std::any_of(avoided_.begin(), avoided_.end(),
                       [&](const auto& entry) { return entry.first == row; });
  };
  if (refuse(!request_.placement.node.empty() && row != only_, Refusal::kOtherNode) ||
      refuse(!excluded_.empty() && excluded(), Refusal::kExcluded) ||
      refuse(!alive, Refusal::kState) || refuse(node.cordoned, Refusal::kCordoned) ||
      refuse(node.drain != api::DrainState::kNone, Refusal::kDraining) ||
      refuse(node.critical, Refusal::kCritical) ||
      refuse(VariantFor(node) < 0, Refusal::kArchitecture) ||
      refuse(FailedTerm(node) >= 0, Refusal::kLabels) ||
      refuse(!avoided_.empty() && avoided(), Refusal::kAvoid)) {
    return set;
  }
  const api::Resources free = FreeOn(row);
  const api::Resources& want = request_.limits;
  // A node that does not say how much disk or how many processes it has is not held to it.
  const bool disk_known = node.capacity.disk.count > 0;
  const bool pids_known = node.capacity.pids > 0;
  if (refuse(want.memory > free.memory, Refusal::kMemory) ||
      refuse(want.cpu > free.cpu, Refusal::kCpu) ||
      refuse(disk_known && want.disk > free.disk, Refusal::kDisk)) {
    return set;
  }
  refuse(pids_known && want.pids > free.pids, Refusal::kPids);
  return set;
}

std::vector<std::string> PlacementQuery::AvoidedOn(int32_t row) const {
  std::vector<std::string> names;
  for (const auto& [node, container] : avoided_) {
    if (node == row) {
      names.push_back(view_.container(container).full_name);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void PlacementQuery::CountAlike(const api::Labels& spread) {
  spread_counts_.assign(view_.nodes().size(), 0);
  std::vector<int32_t> labels;
  for (const auto& [key, value] : spread) {
    labels.push_back(view_.LabelNumber(key, value));
    if (labels.back() < 0) {
      return;  // nobody bears it, so nobody bears all
    }
  }
  // Walk those that bear the rarest label, and look whether they bear the others.
  std::swap(labels.front(),
            *std::min_element(labels.begin(), labels.end(), [&](int32_t a, int32_t b) {
              return view_.BearersOf(a).size() < view_.BearersOf(b).size();
            }));
  const auto bears = [](const ClusterView::ContainerRow& container, int32_t label) {
    return std::any_of(container.labels.begin(), container.labels.end(),
                       [&](ClusterView::LabelPosition own) { return own.label == label; });
  };
  for (const ClusterView::Bearer bearer : view_.BearersOf(labels.front())) {
    const bool alike = std::all_of(labels.begin() + 1, labels.end(), [&](int32_t label) {
      return bears(view_.container(bearer.container), label);
    });
    spread_counts_[bearer.node] += alike && bearer.container != self_ ? 1 : 0;
  }
}

int64_t PlacementQuery::PackingPoints(int32_t row) const {
  const NodeRow& node = view_.nodes()[row];
  const api::Resources free = FreeOn(row);
  const int64_t memory = Share(free.memory.count - request_.limits.memory.count,
                               node.capacity.memory.count - options_.memory_reserve.count);
  const int64_t cpu = Share(free.cpu.count - request_.limits.cpu.count,
                            node.capacity.cpu.count * options_.cpu_overcommit);
  const int64_t points = (memory + cpu) * kPackingPoints / 2000;
  return options_.packing == Packing::kSpread ? points : kPackingPoints - points;
}

NodeScore PlacementQuery::Score(int32_t row, SpreadRange range) const {
  const NodeRow& node = view_.nodes()[row];
  NodeScore score{.packing = PackingPoints(row)};
  int64_t matched = 0;
  for (const Term& term : preferred_) {
    matched += Matches(node, term) ? term.weight : 0;
  }
  if (preferred_weight_ > 0) {
    score.preferred = matched * kPreferredPoints / preferred_weight_;
  }
  if (range.max > range.min) {
    score.spread = (range.max - SpreadCount(row)) * kSpreadPoints / (range.max - range.min);
  }
  const int32_t variant = VariantFor(node);
  score.image = (Holds(node, variant) ? kImagePoints : 0) +
                (architectures_[variant] == node.architectures[0] ? kNativePoints : 0);
  score.health = (node.warning ? kWarningPoints : 0) +
                 (node.state == api::NodeState::kSuspect ? kSuspectPoints : 0);
  return score;
}

}  // namespace bramble::controller
