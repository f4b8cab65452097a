// SPDX-License-Identifier: Apache-2.0
// Cold moves as the coordinator carries them out: what each node is told when, and what is left.
#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using api::ContainerState;
using api::DesiredState;
using api::OperationState;
using testing::HasSubstr;
using testing::SizeIs;

class MoverTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddImage();
    AddNode("pi-1");
    ASSERT_TRUE(Create(Request("db")).ok());
    ReportAll("pi-1");
    AddNode("pi-2");
    id_ = Container("db").id.str();
    address_ = Container("db").status.address;
  }
  absl::StatusOr<Written> Drain(const std::string& name, DrainRequest request = {}) {
    return Do([&](WriteDone done) {
      coordinator_->nodes().Drain(Admin(), name, request, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> Restore(const std::string& name) {
    return Do(
        [&](WriteDone done) { coordinator_->nodes().Restore(Admin(), name, {}, std::move(done)); });
  }
  // Both nodes do what they are told, and say so.
  void Work(int rounds = 3) {
    for (int i = 0; i < rounds; ++i) {
      clock_.Advance(std::chrono::seconds(1));
      for (auto& [name, node] : nodes_) {
        Heartbeat(name);
        ReportAll(name, /*full=*/false);
      }
    }
  }
  bool Runs(const std::string& node) { return Wanted(node) == DesiredState::kRunning; }
  std::optional<DesiredState> Wanted(const std::string& node) {
    const auto found = nodes_[node].containers.find(id_);
    return found == nodes_[node].containers.end() ? std::nullopt
                                                  : std::optional(found->second.spec.desired);
  }
  // What a node says of it that could not start it.
  void SayCannotStart(const std::string& node, bool ran = false) {
    api::ObservedContainer observed =
        Observed(nodes_[node].containers.at(id_), ContainerState::kFailed);
    observed.reason = "no such bridge";
    observed.ran = ran;
    coordinator_->sessions().OnMessage(
        nodes_[node].link, api::Report{.version = nodes_[node].version, .containers = {observed}});
    Settle();
  }

  std::string id_;
  std::string address_;
};

TEST_F(MoverTest, APinnedContainerMovesWithItsFilesAndComesBack) {
  const auto drain = Drain("pi-1");
  ASSERT_TRUE(drain.ok()) << drain.status();
  EXPECT_EQ(Wanted("pi-1"), DesiredState::kStopped);
  Settle();
  EXPECT_TRUE(copier_.begun.empty()) << "it still runs";
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(1));
  EXPECT_EQ(copier_.begun[0].source, nodes_["pi-1"].id);
  EXPECT_EQ(copier_.begun[0].target, nodes_["pi-2"].id);
  EXPECT_EQ(Wanted("pi-2"), DesiredState::kStopped) << "it waits for the files";
  EXPECT_EQ(nodes_["pi-2"].containers.at(id_).layer_move, copier_.begun[0].move);
  EXPECT_THAT(Operation(drain->operation_id).message, HasSubstr("db (copies its files, 5MiB)"));

  copier_.Finish(absl::OkStatus());
  Settle();
  EXPECT_TRUE(Runs("pi-2"));
  EXPECT_EQ(Wanted("pi-1"), DesiredState::kStopped) << "its files stay until it runs there";
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kRunning);
  Work();
  EXPECT_EQ(Wanted("pi-1"), std::nullopt) << "and then they are gone";
  EXPECT_EQ(nodes_["pi-2"].containers.at(id_).layer_move, "");
  EXPECT_EQ(Container("db").status.node, "pi-2");
  EXPECT_EQ(Container("db").status.state, ContainerState::kRunning);
  EXPECT_EQ(Container("db").status.address, address_);
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kSucceeded);
  EXPECT_EQ(Node("pi-1").drain, api::DrainState::kDrained);

  const auto restore = Restore("pi-1");
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(2));
  EXPECT_NE(copier_.begun[1].move, copier_.begun[0].move);
  copier_.Finish(absl::OkStatus());
  Work();
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
  EXPECT_EQ(Operation(restore->operation_id).state, OperationState::kSucceeded);
}

TEST_F(MoverTest, LeavePinnedLeavesIt) {
  const auto drain = Drain("pi-1", {.leave_pinned = true});
  Work();
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kSucceeded);
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_TRUE(copier_.begun.empty());
}

TEST_F(MoverTest, AStoppedContainerMovesAndStaysStopped) {
  ASSERT_TRUE(Act("db", ContainerVerb::kStop).ok());
  Work();
  const auto drain = Drain("pi-1");
  Work();
  copier_.Finish(absl::OkStatus());
  Work();
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kSucceeded);
  EXPECT_EQ(Wanted("pi-2"), DesiredState::kStopped);
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
}

TEST_F(MoverTest, AFullDiskThereBringsItBackHereAndTheDrainSaysWhy) {
  const auto drain = Drain("pi-1");
  Work();
  copier_.Finish(absl::ResourceExhaustedError("the node that it goes to: No space left on device"));
  Work();
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
  EXPECT_EQ(Container("db").status.state, ContainerState::kRunning);
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kFailed);
  EXPECT_THAT(Operation(drain->operation_id).error,
              HasSubstr("stays: db (the node that it goes to: No space left on device)"));
  EXPECT_EQ(Node("pi-1").drain, api::DrainState::kNone);
  EXPECT_THAT(copier_.begun, SizeIs(1)) << "it is not tried again";

  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  EXPECT_THAT(copier_.begun, SizeIs(2)) << "until a person asks again";
}

TEST_F(MoverTest, WhatBrokeOffIsTriedAgainAFewTimes) {
  const auto drain = Drain("pi-1");
  for (int tries = 1; tries <= kMaxCopyTries; ++tries) {
    Work(60);
    ASSERT_THAT(copier_.begun, SizeIs(tries));
    EXPECT_EQ(copier_.begun.back().move, copier_.begun.front().move);
    EXPECT_FALSE(Runs("pi-1") || Runs("pi-2"));
    copier_.Finish(absl::DataLossError("another SHA-256"));
  }
  Work();
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_THAT(Operation(drain->operation_id).error, HasSubstr("another SHA-256"));
}

TEST_F(MoverTest, ARestartedControllerGoesOn) {
  ASSERT_TRUE(Drain("pi-1").ok());
  auto restart = [&] {
    Restart();
    Connect("pi-1");
    Connect("pi-2");
    Work();
  };
  restart();
  const size_t before = copier_.begun.size();
  ASSERT_GE(before, 1u);
  restart();
  ASSERT_THAT(copier_.begun, SizeIs(before + 1)) << "in the middle of the copy";
  EXPECT_EQ(copier_.begun.back().move, copier_.begun.front().move);
  copier_.Finish(absl::OkStatus());
  Settle();
  restart();
  EXPECT_THAT(copier_.begun, SizeIs(before + 1));
  EXPECT_TRUE(Runs("pi-2"));
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
  EXPECT_EQ(Node("pi-1").drain, api::DrainState::kDrained);
}

TEST_F(MoverTest, WhatCannotStartThereComesBack) {
  const auto drain = Drain("pi-1");
  Work();
  copier_.Finish(absl::OkStatus());
  Settle();
  ASSERT_TRUE(Runs("pi-2"));
  SayCannotStart("pi-2");
  clock_.Advance(kStartPatience);
  Heartbeat("pi-1");
  Heartbeat("pi-2");
  Settle();
  EXPECT_EQ(Wanted("pi-2"), DesiredState::kStopped);
  EXPECT_FALSE(Runs("pi-1")) << "not before the other has confirmed that it does not run";
  Work();
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
  EXPECT_THAT(Operation(drain->operation_id).error, HasSubstr("no such bridge"));
}

TEST_F(MoverTest, WhatRanThereStaysThereThoughItFails) {
  const auto drain = Drain("pi-1");
  Work();
  copier_.Finish(absl::OkStatus());
  Settle();
  SayCannotStart("pi-2", /*ran=*/true);
  Settle();
  EXPECT_EQ(Container("db").status.node, "pi-2") << "what it wrote is there";
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
}

TEST_F(MoverTest, TheDeadlineCallsOffWhatIsNotCopied) {
  const auto drain = Drain("pi-1", {.deadline = std::chrono::seconds(10)});
  Work(8);
  ASSERT_THAT(copier_.begun, SizeIs(1));
  Work(8);
  EXPECT_TRUE(copier_.under_way.empty()) << "and the copy is ended";
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kFailed);
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
}

TEST_F(MoverTest, ASilentSourceIsWaitedForAndTheDeadlineLeavesItAlone) {
  const auto drain = Drain("pi-1", {.deadline = std::chrono::seconds(20)});
  Disconnect("pi-1");
  PassWithHeartbeats(std::chrono::seconds(15), {"pi-2"});
  EXPECT_THAT(Operation(drain->operation_id).message, HasSubstr("db (its node is silent)"));
  PassWithHeartbeats(std::chrono::seconds(15), {"pi-2"});
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kFailed);
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
  Connect("pi-1");
  EXPECT_TRUE(Runs("pi-1"));
}

TEST_F(MoverTest, DeletedInTheMiddleItIsGoneFromBothNodes) {
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  ASSERT_TRUE(Delete("db").ok());
  Work();
  EXPECT_FALSE(Exists("db"));
  EXPECT_TRUE(copier_.under_way.empty());
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
}

TEST_F(MoverTest, TheTargetKeepsRoomForIt) {
  const int64_t most = 960 * kMiB;  // of 1024, less what a node keeps for itself
  ASSERT_TRUE(Drain("pi-1").ok());
  CreateContainer large = Request("large");
  large.spec.limits.memory = {most};
  ASSERT_TRUE(Create(large).ok());
  EXPECT_EQ(Container("large").status.state, ContainerState::kPending)
      << "on pi-2 there is no room beside what comes";
}

}  // namespace
}  // namespace bramble::controller
