// SPDX-License-Identifier: Apache-2.0
#include "controller/scheduler/scheduler.h"

#include <algorithm>

#include "controller/scheduler/placement_query.h"

namespace bramble::controller {
namespace {

constexpr double kPoint = 1000;  // scores are kept in thousandths

struct Candidates {
  std::vector<int32_t> rows;
  PlacementQuery::SpreadRange range;
};

Candidates FindCandidates(const PlacementQuery& query) {
  Candidates found;
  const std::vector<ClusterView::NodeRow>& nodes = query.view().nodes();
  for (int32_t row = 0; row < static_cast<int32_t>(nodes.size()); ++row) {
    if (nodes[row].used && query.Refuse(row, /*all=*/false).empty()) {
      found.rows.push_back(row);
    }
  }
  if (query.wants_spread() && !found.rows.empty()) {
    found.range = {.min = INT64_MAX, .max = 0};
    for (const int32_t row : found.rows) {
      const int64_t count = query.SpreadCount(row);
      found.range.min = std::min(found.range.min, count);
      found.range.max = std::max(found.range.max, count);
    }
  }
  return found;
}

PlacementResult Choose(const PlacementQuery& query, const Candidates& candidates) {
  const std::vector<ClusterView::NodeRow>& nodes = query.view().nodes();
  int32_t best = -1;
  int64_t best_score = 0;
  for (const int32_t row : candidates.rows) {
    const int64_t score = query.Score(row, candidates.range).total();
    if (best < 0 || score > best_score ||
        (score == best_score && nodes[row].name < nodes[best].name)) {
      best = row;
      best_score = score;
    }
  }
  if (best < 0) {
    return {.reason = RefusalText(query)};
  }
  const int32_t variant = query.VariantFor(nodes[best]);
  const api::ImageVariant& image = query.request().variants[variant];
  PlacementChoice choice{.node = nodes[best].id,
                         .node_name = nodes[best].name,
                         .architecture = image.architecture,
                         .image_digest = image.digest,
                         .image_held = query.Holds(nodes[best], variant),
                         .score = static_cast<double>(best_score) / kPoint};
  return {.choice = std::move(choice)};
}

void AddPart(NodeVerdict& verdict, std::string name, int64_t points, std::string detail) {
  if (points != 0) {
    verdict.parts.push_back(
        {std::move(name), static_cast<double>(points) / kPoint, std::move(detail)});
  }
}

// The parts of the score of the node in `row`, which fits.
void AddScore(const PlacementQuery& query, int32_t row, PlacementQuery::SpreadRange range,
              NodeVerdict& verdict) {
  const ClusterView::NodeRow& node = query.view().nodes()[row];
  const NodeScore score = query.Score(row, range);
  verdict.score = static_cast<double>(score.total()) / kPoint;
  const api::Resources free = query.FreeOn(row);
  AddPart(
      verdict, "packing", score.packing,
      StrCat(ToString(free.memory), " and ", ToString(free.cpu), " CPUs to give, ",
             query.options().packing == Packing::kSpread ? "emptier" : "fuller", " nodes first"));
  AddPart(verdict, "preferred", score.preferred, "labels that were preferred");
  AddPart(verdict, "spread", score.spread,
          StrCat(query.SpreadCount(row), " containers alike are here"));
  AddPart(verdict, "image", score.image,
          query.Holds(node, query.VariantFor(node)) ? "holds the image"
                                                    : "runs the image's architecture itself");
  std::string health = node.state == api::NodeState::kSuspect ? "not heard lately" : "";
  for (const api::Condition& condition : node.conditions) {
    health = StrCat(health, health.empty() ? "" : ", ", condition.type);
  }
  AddPart(verdict, "health", score.health, health);
}

}  // namespace

PlacementResult Place(const ClusterView& view, const PlacementRequest& request,
                      const SchedulerOptions& options) {
  const PlacementQuery query(view, request, options);
  return Choose(query, FindCandidates(query));
}

PlacementExplanation Explain(const ClusterView& view, const PlacementRequest& request,
                             const SchedulerOptions& options) {
  const PlacementQuery query(view, request, options);
  const Candidates candidates = FindCandidates(query);
  PlacementExplanation explanation{.result = Choose(query, candidates)};
  for (int32_t row = 0; row < static_cast<int32_t>(view.nodes().size()); ++row) {
    if (!view.nodes()[row].used) {
      continue;
    }
    NodeVerdict verdict{.node = view.nodes()[row].id, .name = view.nodes()[row].name};
    verdict.reasons = RefusalTexts(query, row);
    verdict.fits = verdict.reasons.empty();
    if (verdict.fits) {
      AddScore(query, row, candidates.range, verdict);
    }
    explanation.nodes.push_back(std::move(verdict));
  }
  std::sort(explanation.nodes.begin(), explanation.nodes.end(),
            [](const NodeVerdict& a, const NodeVerdict& b) {
              if (a.fits != b.fits) {
                return a.fits;
              }
              return a.score != b.score ? a.score > b.score : a.name < b.name;
            });
  return explanation;
}

}  // namespace bramble::controller
