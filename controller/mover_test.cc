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
  std::string NameOf(const NodeId& id) {
    return coordinator_->state().nodes().Find(id.str())->api.name.str();
  }
  void ConnectAll() {
    for (auto& [name, node] : nodes_) {
      Connect(name);
    }
  }
  // As a virtual machine is set back: the nodes have seen more than the controller remembers.
  void RollBackTo(const MemoryStore::Copy& snapshot) {
    store_.Restore(snapshot, /*as_backup=*/false);
    Restart();
    ConnectAll();  // the first of them tells it, and all are to dial again
    ConnectAll();
    Pass(std::chrono::seconds(5));
    ASSERT_GT(coordinator_->state().cluster().epoch, 1u);
    ASSERT_FALSE(coordinator_->state().cluster().adopting);
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

TEST_F(MoverTest, AFullDiskThereIsNoReasonToStayWhereAnotherNodeHasRoom) {
  AddNode("pi-3");
  const auto drain = Drain("pi-1");
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(1));
  const std::string full = NameOf(copier_.begun[0].target);
  const std::string other = full == "pi-2" ? "pi-3" : "pi-2";
  copier_.Finish(absl::ResourceExhaustedError("No space left on device"), /*at_target=*/true);
  Settle();
  EXPECT_THAT(EventTypes(), testing::Contains("container.move_redirected"));
  Restart();  // it knows which one has refused
  ConnectAll();
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(2));
  EXPECT_EQ(NameOf(copier_.begun[1].target), other);
  EXPECT_NE(copier_.begun[1].move, copier_.begun[0].move);
  EXPECT_EQ(Wanted(full), std::nullopt) << "what it had is removed";
  copier_.Finish(absl::OkStatus());
  Work();
  EXPECT_TRUE(Runs(other));
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kSucceeded);
  EXPECT_EQ(Operation(drain->operation_id).result.at("moved").at("db").as_string(), other)
      << "the operation says where it is";
}

TEST_F(MoverTest, WhereAllRefuseItStaysWhereItIs) {
  AddNode("pi-3");
  const auto drain = Drain("pi-1");
  for (int target = 1; target <= 2; ++target) {
    Work();
    ASSERT_THAT(copier_.begun, SizeIs(target));
    copier_.Finish(absl::ResourceExhaustedError("No space left on device"), /*at_target=*/true);
  }
  Work();
  EXPECT_THAT(copier_.begun, SizeIs(2));
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_EQ(Wanted("pi-2"), std::nullopt);
  EXPECT_EQ(Wanted("pi-3"), std::nullopt);
  EXPECT_THAT(Operation(drain->operation_id).error, HasSubstr("db (No space left on device)"));
}

TEST_F(MoverTest, WhatCannotStartThereIsTriedElsewhere) {
  AddNode("pi-3");
  const auto drain = Drain("pi-1");
  Work();
  const std::string bad = NameOf(copier_.begun.at(0).target);
  const std::string other = bad == "pi-2" ? "pi-3" : "pi-2";
  copier_.Finish(absl::OkStatus());
  Settle();
  SayCannotStart(bad);
  for (int i = 0; i <= kStartPatience.count(); ++i) {
    clock_.Advance(std::chrono::seconds(1));
    for (const char* name : {"pi-1", "pi-2", "pi-3"}) {
      Heartbeat(name);
    }
    Settle();
  }
  EXPECT_EQ(Wanted(bad), DesiredState::kStopped);
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(2));
  EXPECT_EQ(NameOf(copier_.begun[1].target), other);
  EXPECT_EQ(Wanted(bad), std::nullopt);
  EXPECT_EQ(Wanted("pi-1"), DesiredState::kStopped);
  copier_.Finish(absl::OkStatus());
  Work();
  EXPECT_TRUE(Runs(other));
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
  EXPECT_EQ(Operation(drain->operation_id).state, OperationState::kSucceeded);
}

TEST_F(MoverTest, AStoppedContainerDoesNotWaitForEverForASilentTarget) {
  const auto drain = Drain("pi-1");
  Work();
  Disconnect("pi-2");
  copier_.Finish(absl::UnavailableError("closed the stream"), /*at_target=*/true);
  PassWithHeartbeats(kTargetPatience - std::chrono::seconds(10), {"pi-1"});
  EXPECT_EQ(Wanted("pi-1"), DesiredState::kStopped);
  EXPECT_THAT(Operation(drain->operation_id).message,
              HasSubstr("the node that it goes to is silent"));
  PassWithHeartbeats(std::chrono::seconds(15), {"pi-1"});
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_THAT(Operation(drain->operation_id).error, HasSubstr("was not ready within 120 s"));
  Connect("pi-2");
  EXPECT_EQ(Wanted("pi-2"), std::nullopt) << "what had arrived of it goes";
}

TEST_F(MoverTest, TheTargetIsAskedOnlyOnceItHasTakenItsOrderIn) {
  ASSERT_TRUE(Drain("pi-1").ok());
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(std::chrono::seconds(1));
    ReportAll("pi-1", /*full=*/false);
  }
  EXPECT_TRUE(copier_.begun.empty());
  ReportAll("pi-2", /*full=*/false);
  Settle();
  EXPECT_THAT(copier_.begun, SizeIs(1));
}

TEST_F(MoverTest, ATargetThatIsRemovedBeforeItRanThereGivesItBack) {
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  copier_.Finish(absl::OkStatus());
  Settle();
  ASSERT_TRUE(Runs("pi-2"));
  Disconnect("pi-2");
  ASSERT_TRUE(Do([&](WriteDone done) {
                coordinator_->nodes().Remove(Admin(), "pi-2", /*force=*/true, {}, std::move(done));
              }).ok());
  nodes_.erase("pi-2");
  Work();
  EXPECT_TRUE(Exists("db"));
  EXPECT_TRUE(Runs("pi-1"));
  EXPECT_EQ(Container("db").status.state, ContainerState::kRunning);
}

TEST_F(MoverTest, WhatIsOnItsWayDoesNotChangeItsLayerOrItsClass) {
  ASSERT_TRUE(Act("db", ContainerVerb::kStop).ok());
  Work();
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  EXPECT_THAT(std::string(Act("db", ContainerVerb::kRebuild).status().message()),
              HasSubstr("cannot change while it is moved with its files"));
  const auto update = Do([&](WriteDone done) {
    coordinator_->containers().Update(
        Admin(), {"db"}, json::parse(R"({"placement":{"class":"movable"}})"), {}, std::move(done));
  });
  EXPECT_THAT(std::string(update.status().message()),
              HasSubstr("cannot change while it is moved with its files"));
}

// ---- a controller that was rolled back to the middle of a move

TEST_F(MoverTest, AControllerThatWasRolledBackIntoTheCopyCopiesAnew) {
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  const MemoryStore::Copy snapshot = store_.Save();
  for (const char* name : {"later-1", "later-2", "later-3", "later-4"}) {
    ASSERT_TRUE(Create(Request(name)).ok());
  }
  RollBackTo(snapshot);
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(2));
  EXPECT_NE(copier_.begun[1].move, copier_.begun[0].move)
      << "what the target has may be of the time that was forgotten";
  EXPECT_THAT(EventTypes(), testing::Not(testing::Contains("container.duplicate")));
  copier_.Finish(absl::OkStatus());
  Work();
  EXPECT_TRUE(Runs("pi-2"));
  EXPECT_EQ(Wanted("pi-1"), std::nullopt);
}

TEST_F(MoverTest, WhatRunsThereSinceTheSnapshotIsFollowed) {
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  const MemoryStore::Copy snapshot = store_.Save();
  copier_.Finish(absl::OkStatus());
  Settle();
  ASSERT_TRUE(Runs("pi-2"));
  RollBackTo(snapshot);
  Work();
  EXPECT_TRUE(Runs("pi-2"));
  EXPECT_FALSE(Runs("pi-1"));
  EXPECT_EQ(Container("db").status.node, "pi-2");
  EXPECT_THAT(copier_.begun, SizeIs(1)) << "nothing is copied over it";
  EXPECT_TRUE(nodes_["pi-1"].buried.empty()) << "nothing is destroyed";
}

TEST_F(MoverTest, ACopyThatRanAndStoppedSinceTheSnapshotIsNotCopiedOver) {
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  const MemoryStore::Copy snapshot = store_.Save();
  copier_.Finish(absl::OkStatus());
  Settle();
  ASSERT_TRUE(Act("db", ContainerVerb::kStop).ok());
  nodes_["pi-2"].ran.insert(id_);
  RollBackTo(snapshot);
  Work();
  EXPECT_THAT(EventTypes(), testing::Contains("container.duplicate"));
  EXPECT_THAT(copier_.begun, SizeIs(1)) << "until a person has looked, and drains again";
  EXPECT_FALSE(Runs("pi-2"));
  EXPECT_TRUE(nodes_["pi-1"].buried.empty());
  EXPECT_TRUE(nodes_["pi-2"].buried.empty());
}

TEST_F(MoverTest, WhatCameBackSinceTheSnapshotIsFollowedToItsSource) {
  ASSERT_TRUE(Drain("pi-1").ok());
  Work();
  copier_.Finish(absl::OkStatus());
  Settle();
  const MemoryStore::Copy snapshot = store_.Save();
  nodes_["pi-2"].cannot_start[id_] = "no such bridge";
  ReportAll("pi-2", /*full=*/false);
  PassWithHeartbeats(kStartPatience, {"pi-1", "pi-2"});
  Work();
  ASSERT_TRUE(Runs("pi-1"));
  nodes_["pi-2"].containers[id_] = nodes_["pi-1"].containers.at(id_);  // not removed yet
  nodes_["pi-2"].containers[id_].spec.desired = DesiredState::kStopped;
  RollBackTo(snapshot);
  EXPECT_EQ(Container("db").status.node, "pi-1");
  EXPECT_FALSE(Runs("pi-2")) << "what is there is older";
  Work();
  ASSERT_THAT(copier_.begun, SizeIs(2)) << "the drain goes on, with what pi-1 has";
  EXPECT_EQ(copier_.begun[1].source, nodes_["pi-1"].id);
  EXPECT_NE(copier_.begun[1].move, copier_.begun[0].move);
}

// ---- kills in every phase

enum class At { kStopping, kCopying, kCopied, kStarting, kReturning };
enum class End { kArrives, kDiskIsFull, kCannotStart };
constexpr int kSource = 1;
constexpr int kTarget = 2;
constexpr int kController = 4;

struct Kill {
  At at;
  End end;
  int who;
};
std::vector<Kill> AllKills() {
  std::vector<Kill> all;
  for (int who = 1; who <= (kSource | kTarget | kController); ++who) {
    for (const At at : {At::kStopping, At::kCopying, At::kCopied, At::kStarting}) {
      all.push_back({at, End::kArrives, who});
      all.push_back({at, End::kCannotStart, who});
    }
    all.push_back({At::kStopping, End::kDiskIsFull, who});
    all.push_back({At::kCopying, End::kDiskIsFull, who});
    all.push_back({At::kReturning, End::kCannotStart, who});
  }
  return all;
}

class MoverKillTest : public MoverTest, public testing::WithParamInterface<Kill> {
 protected:
  // One second, in which the nodes do and say what they can, and a copy comes to its end.
  void Second() {
    clock_.Advance(std::chrono::seconds(1));
    for (const char* name : {"pi-1", "pi-2"}) {
      Heartbeat(name);
      ReportAll(name, /*full=*/false);
      CheckOneCopy();
    }
    const bool full = GetParam().end == End::kDiskIsFull;
    copier_.Finish(
        full ? absl::ResourceExhaustedError("No space left on device") : absl::OkStatus(),
        /*at_target=*/full);
    Settle();
    CheckOneCopy();
  }
  void CheckOneCopy() { ASSERT_FALSE(Runs("pi-1") && Runs("pi-2")) << "two copies"; }

  void Reach(At at) {
    if (at == At::kStopping) {
      return;
    }
    Work();
    ASSERT_THAT(copier_.under_way, SizeIs(1));
    if (at == At::kCopying) {
      return;
    }
    copier_.Finish(absl::OkStatus());
    if (at == At::kCopied) {
      return;  // the controller has not acted on it yet
    }
    Settle();
    ASSERT_TRUE(Runs("pi-2"));
    if (at == At::kStarting) {
      return;
    }
    ReportAll("pi-2", /*full=*/false);
    PassWithHeartbeats(kStartPatience, {"pi-1", "pi-2"});
    ASSERT_EQ(Wanted("pi-2"), DesiredState::kStopped);
    ASSERT_FALSE(Runs("pi-1"));
  }

  void KillAndBringBack(int who) {
    std::vector<std::string> alive;
    for (const auto& [bit, name] : {std::pair(kSource, "pi-1"), std::pair(kTarget, "pi-2")}) {
      if ((who & bit) == 0) {
        alive.emplace_back(name);
        continue;
      }
      Disconnect(name);
      copier_.Finish(absl::UnavailableError("closed the stream"), bit == kTarget);
      Settle();
    }
    if ((who & kController) != 0) {
      Restart();
      for (const std::string& name : alive) {
        Connect(name);
      }
    }
    CheckOneCopy();
    PassWithHeartbeats(std::chrono::seconds(20), alive);
    CheckOneCopy();
    for (const auto& [bit, name] : {std::pair(kSource, "pi-1"), std::pair(kTarget, "pi-2")}) {
      if ((who & bit) != 0) {
        Connect(name);
      }
    }
  }
};

TEST_P(MoverKillTest, OnceAllAreBackItRunsWithinTheBoundAndTheOperationSaysWhere) {
  if (GetParam().end == End::kCannotStart) {
    nodes_["pi-2"].cannot_start[id_] = "no such bridge";
  }
  const auto drain = Drain("pi-1");
  Reach(GetParam().at);
  KillAndBringBack(GetParam().who);

  // The copy takes no time here.
  const std::chrono::seconds bound =
      std::chrono::seconds(30) +
      (GetParam().end == End::kCannotStart ? kStartPatience * 2 : std::chrono::seconds(0));
  std::chrono::seconds took{0};
  const auto over = [&] { return Operation(drain->operation_id).finished(); };
  for (; !over() && took < bound; took += std::chrono::seconds(1)) {
    Second();
  }
  EXPECT_TRUE(over()) << Operation(drain->operation_id).message;
  Second();

  const bool arrives = GetParam().end == End::kArrives;
  const std::string where = arrives ? "pi-2" : "pi-1";
  EXPECT_EQ(Container("db").status.node, where);
  EXPECT_EQ(Container("db").status.state, ContainerState::kRunning);
  EXPECT_TRUE(Runs(where));
  EXPECT_EQ(Wanted(arrives ? "pi-1" : "pi-2"), std::nullopt) << "nothing is left there";
  const api::Operation& operation = Operation(drain->operation_id);
  if (arrives) {
    EXPECT_EQ(operation.state, OperationState::kSucceeded) << operation.error;
    EXPECT_EQ(operation.result.at("moved").at("db").as_string(), "pi-2");
  } else {
    EXPECT_EQ(operation.state, OperationState::kFailed);
    EXPECT_THAT(operation.error,
                HasSubstr(GetParam().end == End::kDiskIsFull ? "db (No space left on device)"
                                                             : "no such bridge"));
  }
}

std::string NameOfKill(const testing::TestParamInfo<Kill>& tested) {
  constexpr std::string_view kPhases[] = {"Stopping", "Copying", "Copied", "Starting", "Returning"};
  constexpr std::string_view kEnds[] = {"Arrives", "DiskIsFull", "CannotStart"};
  const Kill& kill = tested.param;
  return StrCat(kPhases[static_cast<size_t>(kill.at)], kEnds[static_cast<size_t>(kill.end)],
                (kill.who & kSource) != 0 ? "Source" : "",
                (kill.who & kTarget) != 0 ? "Target" : "",
                (kill.who & kController) != 0 ? "Controller" : "");
}
INSTANTIATE_TEST_SUITE_P(Phases, MoverKillTest, testing::ValuesIn(AllKills()), NameOfKill);

}  // namespace
}  // namespace bramble::controller
