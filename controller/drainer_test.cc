// SPDX-License-Identifier: Apache-2.0
// What a drain takes for "it does not run there any more", and what becomes of what it had begun.
#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using api::ContainerState;
using testing::HasSubstr;

class DrainerTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddImage();
    AddNode("pi-1");
    ASSERT_TRUE(Create(Request("web", /*movable=*/true)).ok());
    ReportAll("pi-1");
    AddNode("pi-2");
  }
  absl::StatusOr<Written> Drain(const std::string& name, DrainRequest request = {}) {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Drain(Admin(), name, request, {}, std::move(done));
    });
  }
  std::string IdOf(const std::string& name) { return Container(name).id.str(); }
  // What `node` says of `container`, having applied `applied`.
  void Say(const std::string& node, const api::NodeContainer& container, ContainerState state,
           api::Version applied) {
    coordinator_->sessions().OnMessage(
        nodes_[node].link,
        api::Report{.version = applied, .containers = {Observed(container, state)}});
    Settle();
    Pass(std::chrono::seconds(3));
  }
  void SayRemoved(const std::string& node, const std::string& id, api::Version applied) {
    coordinator_->sessions().OnMessage(
        nodes_[node].link, api::Report{.version = applied, .removed = {ContainerId::Trusted(id)}});
    Settle();
  }
  bool Told(const std::string& node, const std::string& id, api::DesiredState desired) {
    const auto& containers = nodes_[node].containers;
    const auto found = containers.find(id);
    return found != containers.end() && found->second.spec.desired == desired;
  }
};

TEST_F(DrainerTest, AReportFromBeforeTheStopOrderConfirmsNothing) {
  const std::string id = IdOf("web");
  const api::NodeContainer running = nodes_["pi-1"].containers.at(id);
  const api::Version before = nodes_["pi-1"].version;
  ASSERT_TRUE(Drain("pi-1").ok());
  ASSERT_TRUE(Told("pi-1", id, api::DesiredState::kStopped));
  ASSERT_GT(nodes_["pi-1"].version, before);

  // Its init ended, and the node is about to start it again: it has not seen the order yet.
  for (const ContainerState state : {ContainerState::kFailed, ContainerState::kStopped}) {
    Say("pi-1", running, state, before);
    EXPECT_EQ(Container("web").status.node, "pi-1") << "it may be started there once more";
    EXPECT_TRUE(nodes_["pi-2"].containers.empty());
  }
  Say("pi-1", running, ContainerState::kStarting, before);
  EXPECT_TRUE(nodes_["pi-2"].containers.empty());

  Say("pi-1", nodes_["pi-1"].containers.at(id), ContainerState::kStopped, nodes_["pi-1"].version);
  EXPECT_EQ(Container("web").status.node, "pi-2");
}

TEST_F(DrainerTest, AfterARestartOfTheControllerTheNodeIsAskedAgain) {
  const std::string id = IdOf("web");
  ASSERT_TRUE(Drain("pi-1").ok());
  ReportState("pi-1", id, ContainerState::kStopping);
  Restart();
  Pass(std::chrono::seconds(3));
  EXPECT_TRUE(nodes_["pi-2"].containers.empty()) << "nobody has said anything to this controller";

  Connect("pi-2");
  Connect("pi-1");
  Pass(std::chrono::seconds(3));
  EXPECT_EQ(Container("web").status.node, "pi-2");
}

TEST_F(DrainerTest, AnOrderToStopIsNotTakenForAStop) {
  const std::string id = IdOf("web");
  // The node is silent when a person stops the container, and when its node is drained.
  ASSERT_TRUE(Act("web", ContainerVerb::kStop).ok());
  ASSERT_TRUE(Drain("pi-1").ok());
  Pass(std::chrono::seconds(3));
  EXPECT_EQ(Container("web").status.node, "pi-1");
  EXPECT_TRUE(nodes_["pi-2"].containers.empty());

  ReportAll("pi-1", /*full=*/false);
  Pass(std::chrono::seconds(3));
  EXPECT_EQ(Container("web").status.node, "pi-2");
  EXPECT_TRUE(Told("pi-2", id, api::DesiredState::kStopped));
}

TEST_F(DrainerTest, WhatHadNotStoppedByTheDeadlineGoesOnWhereItIs) {
  const std::string id = IdOf("web");
  const auto drain = Drain("pi-1", {.deadline = std::chrono::seconds(10)});
  ASSERT_TRUE(Told("pi-1", id, api::DesiredState::kStopped));
  PassWithHeartbeats(std::chrono::seconds(15), {"pi-1", "pi-2"});

  EXPECT_EQ(Operation(drain->operation_id).state, api::OperationState::kFailed);
  EXPECT_TRUE(Told("pi-1", id, api::DesiredState::kRunning));
  ReportAll("pi-1");
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
  EXPECT_EQ(Container("web").status.node, "pi-1");
}

TEST_F(DrainerTest, WhatHadStoppedByTheDeadlineIsStartedElsewhere) {
  const std::string id = IdOf("web");
  ASSERT_TRUE(Drain("pi-1", {.deadline = std::chrono::seconds(10)}).ok());
  clock_.Advance(std::chrono::seconds(11));
  Heartbeat("pi-1");
  Heartbeat("pi-2");
  coordinator_->sessions().OnMessage(
      nodes_["pi-1"].link, api::Report{.version = nodes_["pi-1"].version,
                                       .containers = {Observed(nodes_["pi-1"].containers.at(id),
                                                               ContainerState::kStopped)}});
  Pass(std::chrono::seconds(3));
  EXPECT_EQ(Container("web").status.node, "pi-2");
  EXPECT_TRUE(Told("pi-2", id, api::DesiredState::kRunning));
}

TEST_F(DrainerTest, ARestoreLetsGoOfWhatTheDrainWasStopping) {
  const std::string id = IdOf("web");
  ASSERT_TRUE(Drain("pi-1").ok());
  ASSERT_TRUE(Told("pi-1", id, api::DesiredState::kStopped));
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->nodes().Restore(Admin(), "pi-1", {}, std::move(done));
              }).ok());
  Pass(std::chrono::seconds(3));
  EXPECT_TRUE(Told("pi-1", id, api::DesiredState::kRunning));
}

TEST_F(DrainerTest, ARemovalThatWasReportedBeforeItWasOrderedIsAnEarlierOne) {
  const std::string id = IdOf("web");
  const api::Version before = nodes_["pi-1"].version;
  ASSERT_TRUE(Delete("web").ok());
  SayRemoved("pi-1", id, before);
  EXPECT_TRUE(Exists("web")) << "its node has not seen the tombstone";
  SayRemoved("pi-1", id, nodes_["pi-1"].version);
  EXPECT_FALSE(Exists("web"));
}

TEST_F(DrainerTest, TheClassOfARunningContainerDoesNotChange) {
  auto update = [&](const char* patch) {
    return Do([&](WriteDone done) {
      coordinator_->containers().Update(Admin(), {"web"}, json::parse(patch), {}, std::move(done));
    });
  };
  const char* pinned = R"({"placement":{"class":"pinned"}})";
  EXPECT_THAT(std::string(update(pinned).status().message()), HasSubstr("stop it first"));
  ASSERT_TRUE(Act("web", ContainerVerb::kStop).ok());
  EXPECT_FALSE(update(pinned).ok()) << "ordered, not confirmed";
  ReportAll("pi-1");
  EXPECT_TRUE(update(pinned).ok()) << update(pinned).status();
}

}  // namespace
}  // namespace bramble::controller
