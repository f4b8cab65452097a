// SPDX-License-Identifier: Apache-2.0
// What holds of every placement, on random clusters, against a plain reading of the rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "controller/scheduler/scheduler.h"
#include "controller/scheduler/scheduler_fixture.h"

namespace bramble::controller {
namespace {

struct Cluster {
  std::vector<api::Node> nodes;
  std::vector<std::pair<PlacedContainer, api::Placement>> containers;
  ClusterView view;
};

std::string Pick(Random& random, std::initializer_list<const char*> choices) {
  return *(choices.begin() + random.Below(choices.size()));
}

api::Node RandomNode(Random& random, int number) {
  api::Node node = TestNode(StrCat("n", number), 128 + static_cast<int64_t>(random.Below(2048)),
                            1 + static_cast<int64_t>(random.Below(4)));
  node.inventory.architecture = Pick(random, {"arm64", "armhf", "amd64"});
  node.inventory.also_runs.clear();
  if (node.inventory.architecture == "arm64" && random.Below(2) == 0) {
    node.inventory.also_runs = {"armhf"};
  }
  node.inventory.capacity.disk = {static_cast<int64_t>(random.Below(8)) * kGiB};
  node.inventory.capacity.pids = static_cast<int64_t>(random.Below(3)) * 1000;
  node.cordoned = random.Below(8) == 0;
  node.drain = random.Below(10) == 0 ? api::DrainState::kDraining : api::DrainState::kNone;
  node.state = static_cast<api::NodeState>(random.Below(4) == 0 ? random.Below(6) : 1);
  node.pool = Pick(random, {"default", "lab"});
  if (random.Below(2) == 0) {
    node.labels["disk"] = Pick(random, {"ssd", "sd"});
  }
  if (random.Below(6) == 0) {
    node.conditions = {{"x", Pick(random, {"info", "warning", "critical"}), ""}};
  }
  if (random.Below(2) == 0) {
    node.images = {Pick(random, {"d-arm64", "d-amd64"})};
  }
  return node;
}

PlacementRequest RandomRequest(Random& random, int number) {
  PlacementRequest request =
      TestRequest(StrCat("c", number), 16 + static_cast<int64_t>(random.Below(512)),
                  100 + static_cast<int64_t>(random.Below(3000)));
  request.limits.disk = {static_cast<int64_t>(random.Below(3)) * kGiB};
  request.limits.pids = static_cast<int64_t>(random.Below(3)) * 256;
  if (random.Below(3) == 0) {
    request.placement.required = {
        api::ParseLabelTerm(Pick(random, {"disk=ssd", "disk!=ssd", "disk", "!disk", "pool=lab"}))
            .value()};
  }
  if (random.Below(3) == 0) {
    request.placement.preferred = {api::ParseLabelTerm("disk=ssd").value()};
  }
  if (random.Below(3) == 0) {
    request.placement.avoid = {StrCat("c", random.Below(60))};
  }
  if (random.Below(3) == 0) {
    request.placement.spread = {{"app", Pick(random, {"web", "db"})}};
  }
  if (random.Below(12) == 0) {
    request.placement.node = StrCat("n", random.Below(8));
  }
  return request;
}

bool LabelHolds(const api::Node& node, const api::LabelTerm& term) {
  api::Labels labels = node.labels;
  labels["pool"] = node.pool;
  const auto label = labels.find(term.key);
  const bool exists = label != labels.end();
  const bool listed = exists && std::count(term.values.begin(), term.values.end(), label->second);
  switch (term.op) {
    case api::LabelOperator::kIn:
      return listed;
    case api::LabelOperator::kNotIn:
      return !listed;
    case api::LabelOperator::kExists:
      return exists;
    case api::LabelOperator::kNotExists:
      return !exists;
  }
  return false;
}

// The rules once more, as plainly as they can be written.
bool Allowed(const Cluster& cluster, const api::Node& node, const PlacementRequest& request,
             const SchedulerOptions& options) {
  api::Resources used = request.limits;
  for (const auto& [container, placement] : cluster.containers) {
    const auto names = [](const std::vector<std::string>& list, const ContainerName& name) {
      return std::count(list.begin(), list.end(), name.str()) > 0;
    };
    if (container.node != node.id || container.name == request.name) {
      continue;
    }
    if (names(request.placement.avoid, container.name) || names(placement.avoid, request.name)) {
      return false;
    }
    used.cpu += container.limits.cpu;
    used.memory += container.limits.memory;
    used.disk += container.limits.disk;
    used.pids += container.limits.pids;
  }
  const api::Resources& capacity = node.inventory.capacity;
  const std::string& arch = node.inventory.architecture;
  const bool runs = arch != "armhf";  // the image of TestRequest has arm64 and amd64
  return (request.placement.node.empty() || request.placement.node == node.name.str()) &&
         (node.state == api::NodeState::kReady || node.state == api::NodeState::kSuspect) &&
         !node.cordoned && node.drain == api::DrainState::kNone && runs &&
         (node.conditions.empty() || node.conditions[0].severity != "critical") &&
         std::all_of(request.placement.required.begin(), request.placement.required.end(),
                     [&](const auto& term) { return LabelHolds(node, term); }) &&
         used.memory + options.memory_reserve <= capacity.memory &&
         used.cpu.count <= capacity.cpu.count * options.cpu_overcommit &&
         (capacity.disk.count == 0 || request.limits.disk.count == 0 ||
          used.disk <= capacity.disk) &&
         (capacity.pids == 0 || request.limits.pids == 0 ||
          used.pids <= capacity.pids * options.pids_overcommit);
}

class SchedulerPropertyTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SchedulerPropertyTest, PlacesWhereTheRulesAllowAndOnlyThere) {
  SeededRandom random(GetParam());
  SchedulerOptions options;
  options.packing = random.Below(2) == 0 ? Packing::kSpread : Packing::kBinPack;
  Cluster cluster;
  const auto count = static_cast<int>(1 + random.Below(8));
  for (int i = 0; i < count; ++i) {
    cluster.nodes.push_back(RandomNode(random, i));
    cluster.view.PutNode(cluster.nodes.back());
  }
  for (int i = 0; i < 60; ++i) {
    const PlacementRequest request = RandomRequest(random, i);
    const PlacementExplanation explanation = Explain(cluster.view, request, options);
    const PlacementResult result = Place(cluster.view, request, options);
    ASSERT_EQ(result.choice.has_value(), explanation.result.choice.has_value());

    double best = -1e18;
    for (const NodeVerdict& verdict : explanation.nodes) {
      const api::Node& node =
          *std::find_if(cluster.nodes.begin(), cluster.nodes.end(),
                        [&](const api::Node& other) { return other.id == verdict.node; });
      EXPECT_EQ(verdict.fits, Allowed(cluster, node, request, options)) << verdict.name;
      EXPECT_EQ(verdict.fits, verdict.reasons.empty());
      best = verdict.fits ? std::max(best, verdict.score) : best;
    }
    if (!result.choice.has_value()) {
      EXPECT_FALSE(result.reason.empty());
      EXPECT_EQ(best, -1e18);
      continue;
    }
    EXPECT_EQ(result.choice->score, best);
    EXPECT_EQ(result.choice->node, explanation.nodes[0].node);
    PlacedContainer placed =
        TestContainer(request, result.choice->node, {{"app", Pick(random, {"web", "db"})}});
    ASSERT_TRUE(cluster.view.PutContainer(placed));
    cluster.containers.emplace_back(placed, request.placement);
  }
}

TEST_P(SchedulerPropertyTest, TheOrderInWhichTheViewWasBuiltDoesNotMatter) {
  SeededRandom random(GetParam());
  std::vector<api::Node> nodes;
  for (int i = 0; i < 8; ++i) {
    nodes.push_back(RandomNode(random, i));
  }
  ClusterView forward;
  ClusterView backward;
  for (size_t i = 0; i < nodes.size(); ++i) {
    forward.PutNode(nodes[i]);
    backward.PutNode(nodes[nodes.size() - 1 - i]);
  }
  backward.PutNode(TestNode("gone"));
  backward.RemoveNode(TestNode("gone").id);
  for (int i = 0; i < 40; ++i) {
    const PlacementRequest request = RandomRequest(random, i);
    const PlacementResult one = Place(forward, request, {});
    const PlacementResult other = Place(backward, request, {});
    ASSERT_EQ(one.choice.has_value(), other.choice.has_value());
    EXPECT_EQ(one.reason, other.reason);
    if (one.choice.has_value()) {
      EXPECT_EQ(one.choice->node_name, other.choice->node_name);
      EXPECT_EQ(one.choice->score, other.choice->score);
      forward.PutContainer(TestContainer(request, one.choice->node, {{"app", "web"}}));
      backward.PutContainer(TestContainer(request, one.choice->node, {{"app", "web"}}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerPropertyTest, testing::Range<uint64_t>(0, 200));

}  // namespace
}  // namespace bramble::controller
