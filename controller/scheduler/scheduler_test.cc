// SPDX-License-Identifier: Apache-2.0
#include "controller/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "controller/scheduler/scheduler_fixture.h"

namespace bramble::controller {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

api::LabelTerm Term(const char* text) { return api::ParseLabelTerm(text).value(); }

class SchedulerTest : public testing::Test {
 protected:
  void Add(const api::Node& node) { view_.PutNode(node); }
  void Add(const std::string& name, const std::function<void(api::Node&)>& change = {}) {
    api::Node node = TestNode(name);
    if (change) {
      change(node);
    }
    view_.PutNode(node);
  }
  // Puts a container onto a node, whether it fits or not.
  void Fill(const std::string& node, const PlacementRequest& request,
            const api::Labels& labels = {}) {
    ASSERT_TRUE(
        view_.PutContainer(TestContainer(request, NodeId::Trusted(StrCat("id-", node)), labels)));
  }
  // The name of the node chosen, or the reason in brackets.
  std::string Where(const PlacementRequest& request) {
    const PlacementResult result = Place(view_, request, options_);
    EXPECT_NE(result.choice.has_value(), !result.reason.empty());
    return result.choice.has_value() ? result.choice->node_name.str()
                                     : StrCat("[", result.reason, "]");
  }

  ClusterView view_;
  SchedulerOptions options_;
};

TEST_F(SchedulerTest, AnEmptyClusterSaysSo) {
  EXPECT_EQ(Where(TestRequest("web")), "[the cluster has no node]");
}

TEST_F(SchedulerTest, TiesGoToTheSmallerNameWhateverTheOrder) {
  Add("c");
  Add("a");
  Add("b");

  EXPECT_EQ(Where(TestRequest("web")), "a");
}

TEST_F(SchedulerTest, RunsTheNodesOwnVariantAndElseOneThatItAlsoRuns) {
  Add("pi");
  PlacementRequest request = TestRequest("web");
  request.variants = {{.architecture = "armhf", .digest = "h"},
                      {.architecture = "arm64", .digest = "a"}};
  EXPECT_EQ(Place(view_, request, options_).choice->image_digest, "a");

  request.variants.pop_back();
  EXPECT_EQ(Place(view_, request, options_).choice->image_digest, "h");

  request.variants = {{.architecture = "amd64", .digest = "x"}};
  EXPECT_EQ(Where(request), "[1 node cannot run the image (it has only amd64)]");
  request.variants.clear();
  EXPECT_EQ(Where(request), "[1 node cannot run the image (it has no variant)]");
}

TEST_F(SchedulerTest, SaysHowMuchMemoryTheEmptiestNodeHas) {
  Add("pi-1");
  Add("pi-2");
  Add("pi-3", [](api::Node& node) { node.cordoned = true; });
  Add("pi-4", [](api::Node& node) { node.cordoned = true; });
  Fill("pi-1", TestRequest("x", 1000));
  Fill("pi-2", TestRequest("y", 824));

  EXPECT_EQ(Where(TestRequest("web", 512)),
            "[no node has 512MiB free: the most is 200MiB on pi-2; 2 nodes are cordoned]");
  EXPECT_EQ(Where(TestRequest("web", 200)), "pi-2");
}

TEST_F(SchedulerTest, KeepsAReserveOfMemoryAndPromisesCoresSeveralTimes) {
  options_.memory_reserve = {128 * kMiB};
  Add(TestNode("pi", 1024, 2));

  EXPECT_EQ(Where(TestRequest("big", 896, 8000)), "pi");
  EXPECT_THAT(Where(TestRequest("big", 897, 100)), HasSubstr("the most is 896MiB on pi"));
  EXPECT_EQ(Where(TestRequest("big", 100, 8001)),
            "[no node has 8.001 CPU free: the most is 8 CPU on pi]");
}

TEST_F(SchedulerTest, NamesEachKindOfLackWhenNodesLackDifferentThings) {
  Add(TestNode("few-cores", 8192, 1));
  Add(TestNode("small", 256, 64));

  EXPECT_EQ(Where(TestRequest("web", 1024, 8000)),
            "[1 node lacks memory (1GiB wanted, the most is 192MiB on small); "
            "1 node lacks CPU (8 CPU wanted, the most is 4 CPU on few-cores)]");
}

TEST_F(SchedulerTest, DiskIsNeverOversoldAndUnknownDiskIsNotAsked) {
  Add("pi", [](api::Node& node) { node.inventory.capacity.disk = {4 * kGiB}; });
  PlacementRequest request = TestRequest("web");
  request.limits.disk = {3 * kGiB};
  EXPECT_EQ(Where(request), "pi");
  Fill("pi", request);

  PlacementRequest next = request;
  next.name = ContainerName::Trusted("next");
  EXPECT_EQ(Where(next), "[no node has 3GiB of disk free: the most is 1GiB on pi]");

  Add("odd", [](api::Node& node) { node.inventory.capacity.disk = {}; });
  EXPECT_EQ(Where(next), "odd");
}

TEST_F(SchedulerTest, ProcessIdsAreCounted) {
  options_.pids_overcommit = 1;
  Add("pi", [](api::Node& node) { node.inventory.capacity.pids = 1000; });
  PlacementRequest request = TestRequest("web");
  request.limits.pids = 1001;

  EXPECT_EQ(Where(request), "[no node has 1001 processes free: the most is 1000 processes on pi]");
}

TEST_F(SchedulerTest, ARequiredLabelIsAPlainFilter) {
  Add("ssd", [](api::Node& node) { node.labels = {{"disk", "ssd"}}; });
  Add("card", [](api::Node& node) { node.labels = {{"disk", "sd"}, {"camera", ""}}; });
  Add("plain");
  const struct {
    const char* term;
    const char* where;
  } rows[] = {
      {"disk=ssd", "ssd"},
      {"disk in ssd|nvme", "ssd"},
      {"disk=nvme", "[3 nodes do not match disk=nvme]"},
      {"disk!=ssd", "card"},
      {"disk", "card"},
      {"!disk", "plain"},
      {"camera", "card"},
      {"unheard-of", "[3 nodes do not match unheard-of]"},
      {"!unheard-of", "card"},
      {"unheard-of!=x", "card"},
      {"node=plain", "plain"},
      {"arch=arm64", "card"},
      {"pool=default", "card"},
  };
  for (const auto& row : rows) {
    PlacementRequest request = TestRequest("web");
    request.placement.required = {Term(row.term)};
    EXPECT_EQ(Where(request), row.where) << row.term;
  }
}

TEST_F(SchedulerTest, EveryRequiredTermHasToHold) {
  Add("a", [](api::Node& node) { node.labels = {{"x", "1"}}; });
  Add("b", [](api::Node& node) { node.labels = {{"y", "1"}}; });
  PlacementRequest request = TestRequest("web");
  request.placement.required = {Term("x=1"), Term("y=1")};

  EXPECT_EQ(Where(request), "[1 node does not match x=1; 1 node does not match y=1]");
}

TEST_F(SchedulerTest, APoolIsALabel) {
  Add("a", [](api::Node& node) { node.pool = "room-1"; });
  Add("b", [](api::Node& node) { node.pool = "room-2"; });
  PlacementRequest request = TestRequest("web");
  request.placement.required = {Term("pool=room-2")};

  EXPECT_EQ(Where(request), "b");
}

TEST_F(SchedulerTest, PreferencesWeighAndNeverForbid) {
  Add("a", [](api::Node& node) { node.labels = {{"x", "1"}}; });
  Add("b", [](api::Node& node) { node.labels = {{"y", "1"}}; });
  PlacementRequest request = TestRequest("web");
  request.placement.preferred = {Term("x=1"), Term("y=1")};
  request.placement.preferred[0].weight = 10;
  request.placement.preferred[1].weight = 20;
  EXPECT_EQ(Where(request), "b");

  request.placement.preferred[1].weight = 5;
  EXPECT_EQ(Where(request), "a");

  request.placement.preferred = {Term("z=1")};
  EXPECT_EQ(Where(request), "a");
}

TEST_F(SchedulerTest, APinnedNameIsTheOnlyNodeAsked) {
  Add("a");
  Add("b");
  Add("c", [](api::Node& node) { node.cordoned = true; });
  PlacementRequest request = TestRequest("web");
  request.placement.node = "b";
  EXPECT_EQ(Where(request), "b");

  request.placement.node = "c";
  EXPECT_EQ(Where(request), "[it may only run on node \"c\": is cordoned]");
  request.placement.node = "d";
  EXPECT_EQ(Where(request), "[it may only run on node \"d\", which does not exist]");
}

TEST_F(SchedulerTest, ANodeThatCannotTakePartIsCountedUnderItsReason) {
  const struct {
    std::function<void(api::Node&)> change;
    const char* reason;
  } rows[] = {
      {[](api::Node& n) { n.state = api::NodeState::kPending; },
       "[1 node is waiting for approval]"},
      {[](api::Node& n) { n.state = api::NodeState::kUnreachable; }, "[1 node is unreachable]"},
      {[](api::Node& n) { n.state = api::NodeState::kHeld; }, "[1 node is held (a cloned card?)]"},
      {[](api::Node& n) { n.state = api::NodeState::kOff; }, "[1 node is switched off]"},
      {[](api::Node& n) { n.cordoned = true; }, "[1 node is cordoned]"},
      {[](api::Node& n) { n.drain = api::DrainState::kDraining; },
       "[1 node is drained or being drained]"},
      {[](api::Node& n) { n.drain = api::DrainState::kDrained; },
       "[1 node is drained or being drained]"},
      {[](api::Node& n) {
         n.conditions = {{"disk-full", "critical", "no block is left"}};
       },
       "[1 node is in a critical condition (pi: disk-full: no block is left)]"},
  };
  for (const auto& row : rows) {
    view_ = ClusterView();
    Add("pi", row.change);
    EXPECT_EQ(Where(TestRequest("web")), row.reason);
  }
}

TEST_F(SchedulerTest, AWarningOrASilenceIsTheLastResort) {
  Add("a", [](api::Node& node) { node.conditions = {{"throttled", "warning", ""}}; });
  Add("b", [](api::Node& node) { node.state = api::NodeState::kSuspect; });
  Add("c", [](api::Node& node) { node.conditions = {{"note", "info", ""}}; });
  Fill("c", TestRequest("x", 700));
  PlacementRequest request = TestRequest("web");
  request.placement.preferred = {Term("node=a")};
  EXPECT_EQ(Where(request), "c") << "healthy wins over all else";

  Fill("c", TestRequest("y", 300));
  EXPECT_EQ(Where(request), "a") << "a warning is better than silence";
}

TEST_F(SchedulerTest, AvoidHoldsInBothDirections) {
  Add("a");
  Add("b");
  PlacementRequest db = TestRequest("db");
  PlacementRequest web = TestRequest("web");
  web.placement.avoid = {"db"};
  Fill("a", db);
  EXPECT_EQ(Where(web), "b");

  Fill("b", web);
  view_.RemoveContainer(ContainerId::Trusted("c-db"));
  db.placement.preferred = {Term("node=b")};
  EXPECT_EQ(Where(db), "a") << "db says nothing of web, but web avoids db";

  db.placement.node = "b";
  EXPECT_EQ(Where(db), "[it may only run on node \"b\": holds default/web, to be kept apart]");
}

TEST_F(SchedulerTest, AvoidIsOfOneProject) {
  Add("a");
  PlacementRequest other = TestRequest("db");
  other.project = ProjectName::Trusted("lesson");
  Fill("a", other);
  PlacementRequest web = TestRequest("web");
  web.placement.avoid = {"db", "web"};

  EXPECT_EQ(Where(web), "a");
}

TEST_F(SchedulerTest, SpreadGoesWhereFewestAreAlike) {
  Add("a");
  Add("b");
  Add("c");
  PlacementRequest request = TestRequest("w", 16);
  request.placement.spread = {{"app", "web"}};
  Fill("a", TestRequest("w1", 16), {{"app", "web"}});
  Fill("b", TestRequest("other", 64), {{"app", "db"}});
  Fill("c", TestRequest("w3", 16), {{"app", "web"}});
  EXPECT_EQ(Where(request), "b") << "though it is the fullest";

  request.placement.spread = {{"app", "web"}, {"tier", "front"}};
  Fill("b", TestRequest("w2", 16), {{"app", "web"}, {"tier", "front"}});
  Fill("c", TestRequest("w4", 16), {{"app", "web"}, {"tier", "front"}});
  EXPECT_EQ(Where(request), "a") << "only those that bear all labels count";
}

TEST_F(SchedulerTest, PackingIsAChoice) {
  Add("a");
  Add("b");
  Fill("b", TestRequest("x", 256));
  EXPECT_EQ(Where(TestRequest("web")), "a");

  options_.packing = Packing::kBinPack;
  EXPECT_EQ(Where(TestRequest("web")), "b");
}

TEST_F(SchedulerTest, PrefersTheNodeThatHoldsTheImageButNotAtAnyPrice) {
  Add("a");
  Add("b", [](api::Node& node) { node.images = {"zzz", "d-arm64", "aaa"}; });
  const PlacementResult result = Place(view_, TestRequest("web", 64, 100), options_);
  EXPECT_EQ(result.choice->node_name.str(), "b");
  EXPECT_TRUE(result.choice->image_held);

  for (int i = 0; i < 12; ++i) {
    Fill("b", TestRequest(StrCat("x", i), 64, 100));
  }
  EXPECT_EQ(Where(TestRequest("web", 64, 100)), "a");
}

TEST_F(SchedulerTest, AContainerDoesNotCompeteWithItself) {
  Add("pi");
  const PlacementRequest request = TestRequest("web", 1000);
  Fill("pi", request);

  EXPECT_EQ(Where(request), "pi");
  EXPECT_THAT(Where(TestRequest("other", 1000)), HasSubstr("the most is 24MiB"));
}

TEST_F(SchedulerTest, AnExcludedNodeIsNotAsked) {
  Add("a");
  Add("b");
  PlacementRequest request = TestRequest("web");
  request.exclude = {NodeId::Trusted("id-a"), NodeId::Trusted("gone")};
  EXPECT_EQ(Where(request), "b");

  request.exclude.push_back(NodeId::Trusted("id-b"));
  EXPECT_EQ(Where(request), "[2 nodes are excluded]");
}

TEST_F(SchedulerTest, ExplainNamesEveryReasonAndEveryPart) {
  Add("a");
  Add("b", [](api::Node& node) {
    node.cordoned = true;
    node.labels = {{"disk", "sd"}};
  });
  Add("c", [](api::Node& node) { node.images = {"d-arm64"}; });
  Fill("b", TestRequest("x", 1000));
  PlacementRequest request = TestRequest("web");
  request.placement.required = {Term("!disk")};

  const PlacementExplanation explanation = Explain(view_, request, options_);

  ASSERT_EQ(explanation.nodes.size(), 3u);
  EXPECT_EQ(explanation.result.choice->node_name.str(), "c");
  EXPECT_EQ(explanation.nodes[0].name.str(), "c");
  EXPECT_EQ(explanation.nodes[0].score, explanation.result.choice->score);
  EXPECT_EQ(explanation.nodes[1].name.str(), "a");
  EXPECT_THAT(explanation.nodes[2].reasons, ElementsAre("is cordoned", "does not match !disk",
                                                        "has 24MiB free of the 256MiB wanted"));
  double sum = 0;
  for (const ScorePart& part : explanation.nodes[0].parts) {
    sum += part.points;
  }
  EXPECT_DOUBLE_EQ(sum, explanation.nodes[0].score);
}

}  // namespace
}  // namespace bramble::controller
