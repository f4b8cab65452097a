// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_nodes.h"

#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using api::ContainerState;
using api::DrainState;
using api::NodeState;
using api::OperationState;
using testing::HasSubstr;

class NodesTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddImage();
    AddNode("pi-1");
  }
  absl::StatusOr<Written> Update(const std::string& name, const std::string& patch,
                                 WriteOptions options = {}) {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Update(Admin(), name, json::parse(patch), options, std::move(done));
    });
  }
  absl::StatusOr<Written> Drain(const std::string& name, DrainRequest request = {}) {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Drain(Admin(), name, request, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> Remove(const std::string& name, bool force) {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Remove(Admin(), name, force, {}, std::move(done));
    });
  }
  // Nodes do what they are told, and time passes, until nothing changes.
  void Work(int rounds = 20) {
    for (int i = 0; i < rounds; ++i) {
      clock_.Advance(std::chrono::seconds(1));
      Settle();
      for (auto& [name, node] : nodes_) {
        if (!node.id.empty() && !links_->closed.contains(node.link)) {
          ReportAll(name, false);
          Heartbeat(name);
        }
      }
    }
    Settle();
  }
};

TEST_F(NodesTest, ACordonedNodeGetsNothingNew) {
  ASSERT_TRUE(Update("pi-1", R"({"cordoned":true})").ok());
  ASSERT_TRUE(Create(Request("web")).ok());

  EXPECT_EQ(Container("web").status.state, ContainerState::kPending);
  EXPECT_THAT(Container("web").status.reason, HasSubstr("cordoned"));
  ASSERT_TRUE(Update("pi-1", R"({"cordoned":false})").ok());
  Settle();
  EXPECT_EQ(Container("web").status.node, "pi-1");
}

TEST_F(NodesTest, LabelsMergeAndBadOnesAreRefused) {
  ASSERT_TRUE(Update("pi-1", R"({"labels":{"disk":"ssd","rack":"2"}})").ok());
  ASSERT_TRUE(Update("pi-1", R"({"labels":{"rack":null}})").ok());
  EXPECT_EQ(Node("pi-1").labels, (api::Labels{{"disk", "ssd"}}));

  for (const char* patch :
       {R"({"labels":{"A B":"x"}})", R"({"labels":{"a":1}})", R"({"colour":"red"})",
        R"({"name":"Not A Name"})", R"({"name":"../x"})", R"({"pool":"\n"})", R"([1])"}) {
    EXPECT_EQ(Update("pi-1", patch).status().code(), absl::StatusCode::kInvalidArgument) << patch;
  }
  EXPECT_EQ(Update("pi-1", R"({"cordoned":true})", {.if_match = 1}).status().code(),
            absl::StatusCode::kAborted);
}

TEST_F(NodesTest, ARenamedNodeIsFoundByItsNewNameAndItsContainersFollow) {
  ASSERT_TRUE(Create(Request("web")).ok());
  AddNode("pi-2");
  EXPECT_EQ(Update("pi-1", R"({"name":"pi-2"})").status().code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Update(Container("web").status.node, R"({"name":"front"})").ok());

  EXPECT_EQ(Container("web").status.node, "front");
  EXPECT_TRUE(coordinator_->nodes().Get(Admin(), "front").ok());
}

TEST_F(NodesTest, ADrainStopsMovableContainersHereAndStartsThemElsewhereAndRestoreBringsThemBack) {
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Create(Request(name, /*movable=*/true)).ok());
  }
  ASSERT_TRUE(Create(Request("pinned")).ok());
  ReportAll("pi-1");
  AddNode("pi-2");

  const auto drain = Drain("pi-1", {.leave_pinned = true});
  ASSERT_TRUE(drain.ok()) << drain.status();
  int stopping = 0;
  for (const auto& [id, container] : nodes_["pi-1"].containers) {
    stopping += container.spec.desired == api::DesiredState::kStopped;
  }
  EXPECT_EQ(stopping, 2) << "two at once";
  EXPECT_TRUE(nodes_["pi-2"].containers.empty()) << "not before it has stopped here";
  Work();

  EXPECT_EQ(Node("pi-1").drain, DrainState::kDrained);
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kSucceeded);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(Container(name).status.node, "pi-2");
    EXPECT_EQ(Container(name).status.state, ContainerState::kRunning);
  }
  EXPECT_EQ(Container("pinned").status.node, "pi-1");
  EXPECT_EQ(nodes_["pi-1"].containers.size(), 1u) << "the copies that moved are gone";

  const auto restore = Do(
      [&](WriteDone done) { coordinator_->nodes().Restore(Admin(), "pi-1", {}, std::move(done)); });
  ASSERT_TRUE(restore.ok()) << restore.status();
  Work();
  EXPECT_EQ(Node("pi-1").drain, DrainState::kNone);
  EXPECT_EQ(Operation(restore->operation_id).state, OperationState::kSucceeded);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(Container(name).status.node, "pi-1");
    EXPECT_EQ(Container(name).status.state, ContainerState::kRunning);
  }
}

TEST_F(NodesTest, ADrainedNodeGetsNothingNewAndADrainWithNowhereToGoEndsByItsDeadline) {
  ASSERT_TRUE(Create(Request("a", true)).ok());
  ReportAll("pi-1");
  const auto drain = Drain("pi-1", {.deadline = std::chrono::seconds(20)});
  ASSERT_TRUE(drain.ok());
  Work(40);

  EXPECT_NE(Operation(drain->operation_id).state, OperationState::kRunning);
  EXPECT_EQ(Container("a").status.node, "pi-1") << "it goes on where it is";
  EXPECT_EQ(Container("a").status.state, ContainerState::kRunning);
}

TEST_F(NodesTest, ACancelledDrainLeavesTheNodeInUse) {
  ASSERT_TRUE(Create(Request("a", true)).ok());
  ReportAll("pi-1");
  const auto drain = Drain("pi-1", {.deadline = std::chrono::seconds(600)});
  ASSERT_TRUE(drain.ok());
  const auto state = Operation(drain->operation_id).state;
  if (state == OperationState::kRunning) {
    ASSERT_TRUE(Do([&](WriteDone done) {
                  coordinator_->operations().Cancel(Admin(), drain->operation_id.str(), {},
                                                    std::move(done));
                }).ok());
    EXPECT_EQ(Node("pi-1").drain, DrainState::kNone);
  }
}

TEST_F(NodesTest, ANodeWithContainersIsRemovedOnlyByForceAndItsCertificateIsThenWorthless) {
  ASSERT_TRUE(Create(Request("web")).ok());
  ReportAll("pi-1");
  const NodeId id = nodes_["pi-1"].id;
  EXPECT_TRUE(coordinator_->AuthenticateNode(id, Sha256("key-pi-1").Hex()).ok());

  EXPECT_EQ(Remove("pi-1", false).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Remove("pi-1", true).ok());

  EXPECT_FALSE(Exists("web"));
  EXPECT_FALSE(coordinator_->AuthenticateNode(id, Sha256("key-pi-1").Hex()).ok());
  EXPECT_TRUE(links_->closed.contains(nodes_["pi-1"].link)) << "its connection is ended at once";
  Restart();
  EXPECT_FALSE(coordinator_->AuthenticateNode(id, Sha256("key-pi-1").Hex()).ok());
}

TEST_F(NodesTest, ANewCardTakesOverTheNameAddressAndContainersOfADeadOne) {
  ASSERT_TRUE(Create(Request("web")).ok());
  ReportAll("pi-1");
  const std::string address = Node("pi-1").address;
  const std::string web_address = Container("web").status.address;
  AddNode("fresh");
  auto replace = [&] {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Replace(Admin(), "pi-1", "fresh", {}, std::move(done));
    });
  };
  EXPECT_EQ(replace().status().code(), absl::StatusCode::kFailedPrecondition)
      << "the old one is on";
  PassWithHeartbeats(std::chrono::seconds(70), {"fresh"});

  const auto replaced = replace();
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  nodes_.erase("pi-1");
  Connect("fresh");

  EXPECT_EQ(coordinator_->state().nodes().size(), 1u);
  EXPECT_EQ(Node("pi-1").id, nodes_["fresh"].id);
  EXPECT_EQ(Node("pi-1").address, address);
  EXPECT_EQ(Container("web").status.address, web_address);
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
}

TEST_F(NodesTest, ASilentNodeIsReplacedOnlyWhenItsMovableContainersHaveSurelyEnded) {
  ASSERT_TRUE(Create(Request("web", /*movable=*/true)).ok());
  ReportAll("pi-1");
  Heartbeat("pi-1");  // which renews their lease
  AddNode("fresh");
  auto replace = [&] {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Replace(Admin(), "pi-1", "fresh", {}, std::move(done));
    });
  };
  PassWithHeartbeats(std::chrono::seconds(40), {"fresh"});
  ASSERT_EQ(Node("pi-1").state, NodeState::kSuspect);
  EXPECT_THAT(std::string(replace().status().message()),
              HasSubstr("may still run movable containers, until their lease has surely ended in"));
  EXPECT_TRUE(nodes_["fresh"].containers.empty());
  // An order that it has not heard ends nothing; but what is not to run does not fail over either.
  ASSERT_TRUE(Act("web", ContainerVerb::kStop).ok());

  const auto lost_after = settings_.timing.lost_after;
  PassWithHeartbeats(std::chrono::ceil<std::chrono::seconds>(lost_after) - std::chrono::seconds(45),
                     {"fresh"});
  EXPECT_FALSE(replace().ok());
  PassWithHeartbeats(std::chrono::seconds(10), {"fresh"});
  const auto replaced = replace();
  EXPECT_TRUE(replaced.ok()) << replaced.status();
}

TEST_F(NodesTest, ACommandIsCarriedOutOnceAndItsResultEndsTheOperation) {
  const auto written = Do([&](WriteDone done) {
    coordinator_->nodes().Command(Admin(), "pi-1", "identify", json::object{{"seconds", 5}}, {},
                                  std::move(done));
  });
  ASSERT_TRUE(written.ok()) << written.status();
  ASSERT_EQ(nodes_["pi-1"].commands.size(), 1u);
  const api::Command command = nodes_["pi-1"].commands[0];
  EXPECT_EQ(command.verb, "identify");
  for (int i = 0; i < 2; ++i) {
    coordinator_->sessions().OnMessage(nodes_["pi-1"].link,
                                       api::CommandResult{.command_id = command.command_id});
    Settle();
  }

  EXPECT_EQ(Operation(written->operation_id).state, OperationState::kSucceeded);
  const auto bad = Do([&](WriteDone done) {
    coordinator_->nodes().Command(Admin(), "pi-1", "explode", {}, {}, std::move(done));
  });
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(NodesTest, ANodeWhoseClockWasSetIsNamedInAnEvent) {
  const uint64_t before = coordinator_->events().Newest();
  for (const int64_t step : {-3'600'000, 0}) {
    coordinator_->sessions().OnMessage(
        nodes_["pi-1"].link,
        api::Heartbeat{.sequence = 1, .version = nodes_["pi-1"].version, .clock_step_ms = step});
    Settle();
  }
  const auto events = coordinator_->events().Since(Admin(), before, 100);
  ASSERT_TRUE(events.ok() && events->size() == 1);
  EXPECT_EQ((*events)[0].type, "node.clock_stepped");
  EXPECT_THAT(*(*events)[0].body, HasSubstr("back by 3600000 ms"));
}

TEST_F(NodesTest, ASwitchedOffNodeIsNoLostNode) {
  ASSERT_TRUE(Create(Request("roaming", true)).ok());
  ReportAll("pi-1");
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->nodes().Command(Admin(), "pi-1", "poweroff", {}, {}, std::move(done));
              }).ok());
  Disconnect("pi-1");
  Pass(std::chrono::minutes(3), std::chrono::seconds(10));
  EXPECT_EQ(Node("pi-1").state, NodeState::kOff);
  Connect("pi-1");
  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
}

TEST_F(NodesTest, StrangersAndNodesLearnNothing) {
  auto& nodes = coordinator_->nodes();
  EXPECT_EQ(nodes.Get(Stranger(), "pi-1").status(), NotFound("node", "pi-1"));
  EXPECT_EQ(*nodes.List(Stranger(), {})->body, R"({"items":[]})");
  const Principal node = Principal::Node(nodes_["pi-1"].id, NodeName::Trusted("pi-1"));
  EXPECT_EQ(nodes.Get(node, "pi-1").status(), NotFound("node", "pi-1"));
  const auto removed =
      Do([&](WriteDone done) { nodes.Remove(Stranger(), "pi-1", true, {}, std::move(done)); });
  EXPECT_EQ(removed.status(), NotFound("node", "pi-1"));
}

TEST_F(NodesTest, ANodeThatCouldNotBeSwitchedOffIsBack) {
  const auto ordered = Do([&](WriteDone done) {
    coordinator_->nodes().Command(Admin(), "pi-1", "poweroff", {}, {}, std::move(done));
  });
  ASSERT_TRUE(ordered.ok());
  ASSERT_EQ(Node("pi-1").state, NodeState::kOff);
  ASSERT_FALSE(nodes_["pi-1"].commands.empty());
  coordinator_->sessions().OnMessage(
      nodes_["pi-1"].link,
      api::CommandResult{.command_id = nodes_["pi-1"].commands.back().command_id,
                         .error_code = "failed",
                         .error = "systemctl: no such unit"});
  Settle();

  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
  EXPECT_THAT(EventTypes(), testing::Contains("node.poweroff_failed"));
  PassWithHeartbeats(std::chrono::minutes(5), {});
  EXPECT_EQ(Node("pi-1").state, NodeState::kUnreachable) << "it is watched again";
}

TEST_F(NodesTest, ANodeThatIsStillHeardLongAfterItWasSwitchedOffIsBack) {
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->nodes().Command(Admin(), "pi-1", "poweroff", {}, {}, std::move(done));
              }).ok());
  PassWithHeartbeats(std::chrono::seconds(50), {"pi-1"});
  EXPECT_EQ(Node("pi-1").state, NodeState::kOff) << "it may still be going down";
  PassWithHeartbeats(std::chrono::seconds(30), {"pi-1"});

  EXPECT_EQ(Node("pi-1").state, NodeState::kReady);
  EXPECT_THAT(EventTypes(), testing::Contains("node.poweroff_failed"));
}

}  // namespace
}  // namespace bramble::controller
