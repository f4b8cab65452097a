// SPDX-License-Identifier: Apache-2.0
#include "controller/scheduler/cluster_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/scheduler/scheduler_fixture.h"

namespace bramble::controller {
namespace {

class ClusterViewTest : public testing::Test {
 protected:
  ClusterViewTest() {
    view_.PutNode(a_);
    view_.PutNode(b_);
  }

  int64_t MemoryOn(const api::Node& node) { return view_.AllocatedOn(node.id).memory.count / kMiB; }

  const api::Node a_ = TestNode("a");
  const api::Node b_ = TestNode("b");
  ClusterView view_;
};

TEST_F(ClusterViewTest, SumsWhatContainersMayUse) {
  ASSERT_TRUE(view_.PutContainer(TestContainer(TestRequest("x", 100), a_.id)));
  ASSERT_TRUE(view_.PutContainer(TestContainer(TestRequest("y", 200), a_.id)));

  EXPECT_EQ(MemoryOn(a_), 300);
  EXPECT_EQ(view_.AllocatedOn(a_.id).cpu.count, 2000);
  EXPECT_EQ(MemoryOn(b_), 0);
  EXPECT_EQ(view_.container_count(), 2u);
}

TEST_F(ClusterViewTest, PuttingAContainerAgainReplacesItAndMovesIt) {
  view_.PutContainer(TestContainer(TestRequest("x", 100), a_.id));

  view_.PutContainer(TestContainer(TestRequest("x", 150), a_.id));
  EXPECT_EQ(MemoryOn(a_), 150);

  view_.PutContainer(TestContainer(TestRequest("x", 150), b_.id));
  EXPECT_EQ(MemoryOn(a_), 0);
  EXPECT_EQ(MemoryOn(b_), 150);
  EXPECT_EQ(view_.container_count(), 1u);
}

TEST_F(ClusterViewTest, RefusesAContainerOfAnUnknownNode) {
  view_.PutContainer(TestContainer(TestRequest("x", 100), a_.id));

  EXPECT_FALSE(view_.PutContainer(TestContainer(TestRequest("x"), NodeId::Trusted("nowhere"))));

  EXPECT_EQ(MemoryOn(a_), 100) << "nothing changed";
}

TEST_F(ClusterViewTest, RemovingTwiceIsHarmless) {
  view_.PutContainer(TestContainer(TestRequest("x", 100), a_.id));

  view_.RemoveContainer(ContainerId::Trusted("c-x"));
  view_.RemoveContainer(ContainerId::Trusted("c-x"));
  view_.RemoveNode(NodeId::Trusted("nowhere"));

  EXPECT_EQ(MemoryOn(a_), 0);
  EXPECT_EQ(view_.container_count(), 0u);
}

TEST_F(ClusterViewTest, PuttingANodeAgainKeepsItsContainers) {
  view_.PutContainer(TestContainer(TestRequest("x", 100), a_.id));
  api::Node renamed = a_;
  renamed.name = NodeName::Trusted("renamed");

  view_.PutNode(renamed);

  EXPECT_EQ(MemoryOn(a_), 100);
  EXPECT_EQ(view_.NodeNamed("a"), -1);
  EXPECT_GE(view_.NodeNamed("renamed"), 0);
  EXPECT_EQ(view_.node_count(), 2u);
}

TEST_F(ClusterViewTest, RemovingANodeForgetsItsContainersAndTheirLabels) {
  PlacementRequest request = TestRequest("x");
  request.placement.avoid = {"y", "y"};
  view_.PutContainer(TestContainer(request, a_.id, {{"app", "web"}}));
  ASSERT_GE(view_.LabelNumber("app", "web"), 0);
  ASSERT_NE(view_.AvoidersOf(request.project, "y"), nullptr);

  view_.RemoveNode(a_.id);

  EXPECT_EQ(view_.container_count(), 0u);
  EXPECT_EQ(view_.LabelNumber("app", "web"), -1);
  EXPECT_EQ(view_.AvoidersOf(request.project, "y"), nullptr);
  EXPECT_EQ(view_.ContainerNamed(request.project, "x"), -1);
}

// The view after any history equals one built at once from what is left.
TEST_F(ClusterViewTest, AnyHistoryGivesTheSumsOfWhatIsLeft) {
  SeededRandom random(7);
  std::map<std::string, std::pair<int64_t, int>> left;  // container -> memory, node
  const std::vector<api::Node> nodes = {a_, b_, TestNode("c")};
  view_.PutNode(nodes[2]);
  for (int step = 0; step < 5000; ++step) {
    const std::string name = StrCat("x", random.Below(40));
    if (random.Below(3) == 0) {
      view_.RemoveContainer(ContainerId::Trusted(StrCat("c-", name)));
      left.erase(name);
      continue;
    }
    const auto memory = static_cast<int64_t>(1 + random.Below(100));
    const auto node = static_cast<int>(random.Below(nodes.size()));
    PlacementRequest request = TestRequest(name, memory);
    request.placement.avoid = {StrCat("x", random.Below(40))};
    view_.PutContainer(TestContainer(request, nodes[node].id, {{"app", StrCat(random.Below(3))}}));
    left[name] = {memory, node};
  }

  std::vector<int64_t> sums(nodes.size());
  for (const auto& [name, where] : left) {
    sums[where.second] += where.first;
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    EXPECT_EQ(MemoryOn(nodes[i]), sums[i]);
  }
  EXPECT_EQ(view_.container_count(), left.size());
  size_t labelled = 0;
  for (const char* value : {"0", "1", "2"}) {
    for (const ClusterView::Bearer bearer : view_.BearersOf(view_.LabelNumber("app", value))) {
      EXPECT_EQ(view_.container(bearer.container).node, bearer.node);
      ++labelled;
    }
  }
  EXPECT_EQ(labelled, left.size());
}

}  // namespace
}  // namespace bramble::controller
