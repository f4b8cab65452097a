// SPDX-License-Identifier: Apache-2.0
// What survives: rolled-back snapshots, restored backups, full disks, power cuts.

#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using api::ContainerState;
using api::NodeState;
using testing::Contains;
using testing::HasSubstr;

class RestoreTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddImage();
    AddNode("pi-1");
    AddNode("pi-2");
    ASSERT_TRUE(Create(Request("old-1")).ok());
    ASSERT_TRUE(Create(Request("old-2")).ok());
    ReportAll("pi-1");
    ReportAll("pi-2");
  }
  void ReconnectAll() {
    for (int round = 0; round < 3; ++round) {
      for (auto& [name, node] : nodes_) {
        if (node.link == 0 || links_->closed.contains(node.link) || round == 0) {
          Connect(name);
        }
      }
    }
    Settle();
  }
  std::vector<std::string> Running() {
    std::vector<std::string> names;
    for (const auto& [name, node] : nodes_) {
      for (const auto& [id, container] : node.containers) {
        names.push_back(container.name.str());
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_F(RestoreTest, ARolledBackSnapshotOpensAnEpochAndDestroysNothing) {
  const MemoryStore::Copy snapshot = store_.Save();
  for (const char* name : {"new-1", "new-2", "new-3", "new-4"}) {
    ASSERT_TRUE(Create(Request(name)).ok());
  }
  ReportAll("pi-1");
  ReportAll("pi-2");
  ASSERT_TRUE(Act("old-1", ContainerVerb::kStop).ok());
  ReportAll("pi-1");
  ReportAll("pi-2");
  const std::vector<std::string> running = Running();

  store_.Restore(snapshot, /*as_backup=*/false);
  Restart();
  EXPECT_EQ(coordinator_->state().cluster().epoch, 1u);
  ReconnectAll();

  EXPECT_GT(coordinator_->state().cluster().epoch, 1u);
  EXPECT_EQ(Running(), running) << "nothing was destroyed";
  for (const char* name : {"new-1", "new-2", "new-3", "new-4"}) {
    ASSERT_TRUE(Exists(name));
    EXPECT_EQ(Container(name).status.state, ContainerState::kOrphaned);
    EXPECT_THAT(Container(name).status.reason, HasSubstr("container start"));
  }
  EXPECT_EQ(Container("old-1").spec.desired, api::DesiredState::kStopped)
      << "the later order counts";
  EXPECT_THAT(EventTypes(), Contains("cluster.epoch_opened"));
  EXPECT_EQ(Node("pi-1").state, NodeState::kReady) << "no clone";
  EXPECT_EQ(Node("pi-2").state, NodeState::kReady);
  EXPECT_FALSE(coordinator_->state().cluster().adopting) << "every node has reported";

  // A person keeps one and removes another.
  ASSERT_TRUE(Act("new-1", ContainerVerb::kStart).ok());
  ASSERT_TRUE(Delete("new-2").ok());
  ReportAll("pi-1", false);
  ReportAll("pi-2", false);
  EXPECT_EQ(Container("new-1").status.state, ContainerState::kRunning);
  EXPECT_FALSE(Exists("new-2"));
}

TEST_F(RestoreTest, ABackupRestoredTwiceOpensTwoEpochsAndDestroysNothing) {
  const MemoryStore::Copy backup = store_.Save();
  ASSERT_TRUE(Create(Request("new-1")).ok());
  ReportAll("pi-1");
  ReportAll("pi-2");

  store_.Restore(backup, /*as_backup=*/true);
  Restart();
  const uint64_t first = coordinator_->state().cluster().epoch;
  EXPECT_GT(first, 1u);
  ReconnectAll();
  ASSERT_TRUE(Create(Request("new-2")).ok());
  ReportAll("pi-1");
  ReportAll("pi-2");
  const std::vector<std::string> running = Running();
  EXPECT_THAT(running, Contains("new-1"));

  store_.Restore(backup, /*as_backup=*/true);
  Restart();
  ReconnectAll();

  EXPECT_NE(coordinator_->state().cluster().epoch, first);
  EXPECT_GE(coordinator_->state().cluster().epoch, nodes_["pi-1"].version.epoch);
  EXPECT_EQ(Running(), running);
  EXPECT_TRUE(Exists("new-1"));
  EXPECT_TRUE(Exists("new-2"));
  Restart();
  ReconnectAll();
  EXPECT_EQ(Running(), running) << "a plain restart changes nothing";
}

TEST_F(RestoreTest, WhileItTakesStockNothingIsPlaced) {
  const MemoryStore::Copy backup = store_.Save();
  store_.Restore(backup, true);
  Restart();
  ASSERT_TRUE(Create(Request("eager")).ok());
  EXPECT_EQ(Container("eager").status.state, ContainerState::kPending);
  EXPECT_THAT(Container("eager").status.reason, HasSubstr("takes stock"));

  Connect("pi-1");
  EXPECT_TRUE(coordinator_->state().cluster().adopting);
  Connect("pi-2");
  Pass(std::chrono::seconds(2));

  EXPECT_FALSE(coordinator_->state().cluster().adopting);
  EXPECT_NE(Container("eager").status.node, "");
}

TEST_F(RestoreTest, ANodeThatNeverReportsDoesNotHoldTheClusterForEver) {
  const MemoryStore::Copy backup = store_.Save();
  store_.Restore(backup, true);
  Restart();
  Connect("pi-1");
  PassWithHeartbeats(std::chrono::seconds(310), {"pi-1"});

  EXPECT_FALSE(coordinator_->state().cluster().adopting);
}

TEST_F(RestoreTest, AFullDiskFailsTheRequestClearlyAndNothingIsHalfApplied) {
  const uint64_t revision = coordinator_->state().revision();
  store_.FailWith(absl::ResourceExhaustedError("disk full"));
  auto [first, first_done] = Expect();
  auto [second, second_done] = Expect();
  coordinator_->containers().Create(Admin(), Request("a"), {}, first_done);
  coordinator_->containers().Create(Admin(), Request("b"), {}, second_done);
  store_.RunPending();

  ASSERT_TRUE(first->has_value() && second->has_value());
  EXPECT_EQ((*first)->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ((*second)->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(Exists("a"));
  EXPECT_FALSE(Exists("b"));
  EXPECT_EQ(coordinator_->state().revision(), revision);
  EXPECT_TRUE(Exists("old-1")) << "reads go on";

  store_.FailWith(absl::OkStatus());
  Pass(std::chrono::seconds(3));
  ASSERT_TRUE(coordinator_->Ready().ok());
  ASSERT_TRUE(Create(Request("c")).ok());
  Settle();
  bool told = false;
  for (const auto& [name, node] : nodes_) {
    for (const auto& [id, container] : node.containers) {
      told = told || container.name.str() == "c";
      EXPECT_NE(container.name.str(), "a");
    }
  }
  EXPECT_TRUE(told);
}

TEST_F(RestoreTest, ItIsNotReadyWhileWritesFailAndReadyAgainThoughNobodyWrites) {
  Pass(std::chrono::minutes(10));  // nothing is left to be stored
  ASSERT_TRUE(coordinator_->Ready().ok()) << coordinator_->Ready();
  store_.FailWith(absl::ResourceExhaustedError("disk full"));
  auto [answer, done] = Expect();
  coordinator_->containers().Create(Admin(), Request("a"), {}, done);
  Settle();

  const absl::Status ready = coordinator_->Ready();
  EXPECT_EQ(ready.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(ready.message()), testing::HasSubstr("disk full"));
  EXPECT_THAT(*coordinator_->cluster().Get(Admin())->body, testing::HasSubstr("disk full"));
  Pass(std::chrono::minutes(1));
  EXPECT_FALSE(coordinator_->Ready().ok()) << "it has tried, and it still fails";

  store_.FailWith(absl::OkStatus());
  Pass(std::chrono::seconds(5));
  EXPECT_TRUE(coordinator_->Ready().ok()) << coordinator_->Ready();
  EXPECT_THAT(*coordinator_->cluster().Get(Admin())->body,
              testing::Not(testing::HasSubstr("store-failed")));
}

TEST_F(RestoreTest, ListsAreRenderedAnewAfterTheStateWasReadAgain) {
  const std::string before = *coordinator_->containers().List(Admin(), {})->body;
  for (int round = 0; round < 20; ++round) {
    store_.FailWith(absl::ResourceExhaustedError("disk full"));
    for (int i = 0; i <= round; ++i) {
      auto [answer, done] = Expect();
      coordinator_->containers().Create(Admin(), Request("x" + std::to_string(i)), {}, done);
    }
    EXPECT_NE(*coordinator_->containers().List(Admin(), {})->body, before);
    store_.RunPending();
    store_.FailWith(absl::OkStatus());
    Pass(std::chrono::seconds(5));
    EXPECT_EQ(json::parse(*coordinator_->containers().List(Admin(), {})->body)
                  .at("items")
                  .as_array()
                  .size(),
              2u);
  }
}

TEST_F(RestoreTest, WhatNodesReportedWhileTheDiskWasFullIsNotLost) {
  ASSERT_TRUE(Create(Request("web")).ok());
  const std::string home = Container("web").status.node;
  store_.FailWith(absl::ResourceExhaustedError("disk full"));
  ReportAll(home, false);
  Pass(std::chrono::seconds(10));
  store_.FailWith(absl::OkStatus());
  Pass(std::chrono::seconds(10));
  if (links_->closed.contains(nodes_[home].link)) {
    Connect(home);
  }

  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
}

TEST_F(RestoreTest, APowerCutLosesNothingThatWasAcknowledgedAndTellsNobodyWhatWasNot) {
  ASSERT_TRUE(Create(Request("kept")).ok());
  auto [answer, done] = Expect();
  coordinator_->containers().Create(Admin(), Request("lost"), {}, done);
  Restart();

  EXPECT_TRUE(Exists("kept"));
  EXPECT_FALSE(Exists("lost"));
  EXPECT_FALSE(answer->has_value());
  ReconnectAll();
  for (const auto& [name, node] : nodes_) {
    for (const auto& [id, container] : node.containers) {
      EXPECT_NE(container.name.str(), "lost");
    }
  }
}

TEST_F(RestoreTest, ARestartRemembersEverythingThatTheApiShows) {
  std::map<std::string, std::string> before;
  for (const char* name : {"old-1", "old-2"}) {
    before[name] = *coordinator_->containers().Get(Admin(), {name})->body;
  }
  const std::string images = *coordinator_->images().List(Admin(), {})->body;
  const std::string operations = *coordinator_->operations().List(Admin(), {})->body;
  const std::string flavors = *coordinator_->flavors().List(Admin(), {})->body;
  Restart();

  for (const auto& [name, body] : before) {
    EXPECT_EQ(*coordinator_->containers().Get(Admin(), {name})->body, body);
  }
  EXPECT_EQ(*coordinator_->images().List(Admin(), {})->body, images);
  EXPECT_EQ(*coordinator_->operations().List(Admin(), {})->body, operations);
  EXPECT_EQ(*coordinator_->flavors().List(Admin(), {})->body, flavors);
  EXPECT_EQ(Node("pi-1").container_count + Node("pi-2").container_count, 2);
}

TEST_F(RestoreTest, ATombstoneIsRepeatedUntilTheNodeConfirms) {
  const std::string home = Container("old-1").status.node;
  const std::string id = Container("old-1").id.str();
  Disconnect(home);
  ASSERT_TRUE(Delete("old-1").ok());
  Restart();
  EXPECT_EQ(Container("old-1").status.state, ContainerState::kDeleting);
  Connect(home);
  EXPECT_FALSE(Exists("old-1"));
  EXPECT_FALSE(nodes_[home].containers.contains(id));
}

class MovedTest : public RestoreTest {
 protected:
  void SetUp() override {
    AddImage();
    AddNode("pi-1");
    ASSERT_TRUE(Create(Request("web", /*movable=*/true)).ok());
    ReportAll("pi-1");
    id_ = Container("web").id.str();
    AddNode("pi-2");
  }
  void Drain(const std::string& name) {
    ASSERT_TRUE(Do([&](WriteDone done) {
                  coordinator_->nodes().Drain(Admin(), name, {}, {}, std::move(done));
                }).ok());
  }
  // Both nodes do what they are told until "web" is told to `name`.
  void ReportUntilOn(const std::string& name, const std::string& from) {
    for (int round = 0; round < 10 && Container("web").status.node != name; ++round) {
      ReportAll(from, false);
      Pass(std::chrono::seconds(3));
    }
    ASSERT_EQ(Container("web").status.node, name);
  }
  void ReportBoth() {
    for (int round = 0; round < 3; ++round) {
      ReportAll("pi-1", false);
      ReportAll("pi-2", false);
      Pass(std::chrono::seconds(3));
    }
  }
  // The store when "web" had failed over to pi-2 and pi-1 was still to destroy its copy; since then
  // it has, and "web" is on pi-1 again.
  MemoryStore::Copy CopyFromBeforeItWasMovedBack() {
    Disconnect("pi-1");
    PassWithHeartbeats(std::chrono::minutes(10), {"pi-2"});
    EXPECT_EQ(Container("web").status.node, "pi-2");
    ReportAll("pi-2", false);
    EXPECT_FALSE(coordinator_->state().FindNode("pi-1")->tombstones.empty());
    MemoryStore::Copy copy = store_.Save();
    Connect("pi-1");
    ReportBoth();
    EXPECT_TRUE(coordinator_->state().FindNode("pi-1")->tombstones.empty());
    Drain("pi-2");
    ReportUntilOn("pi-1", "pi-2");
    ReportBoth();
    EXPECT_TRUE(nodes_["pi-1"].containers.contains(id_));
    EXPECT_FALSE(nodes_["pi-2"].containers.contains(id_));
    return copy;
  }
  void RestoreBackup(const MemoryStore::Copy& backup) {
    store_.Restore(backup, /*as_backup=*/true);
    Restart();
  }

  std::string id_;
};

TEST_F(MovedTest, ATombstoneOfTheBackupDestroysNothingThatWasMovedBack) {
  const MemoryStore::Copy backup = CopyFromBeforeItWasMovedBack();
  RestoreBackup(backup);
  ReconnectAll();
  Pass(std::chrono::seconds(5));
  ReportBoth();

  EXPECT_TRUE(nodes_["pi-1"].containers.contains(id_)) << "the only copy";
  EXPECT_FALSE(nodes_["pi-2"].containers.contains(id_)) << "no empty one is made";
  EXPECT_EQ(Container("web").status.node, "pi-1");
  EXPECT_EQ(Container("web").status.state, ContainerState::kRunning);
  EXPECT_THAT(EventTypes(), Contains("container.adopted"));
}

TEST_F(MovedTest, ATombstoneOfARolledBackSnapshotDestroysNothingThatWasMovedBack) {
  const MemoryStore::Copy snapshot = CopyFromBeforeItWasMovedBack();
  store_.Restore(snapshot, /*as_backup=*/false);
  Restart();
  ReconnectAll();
  Pass(std::chrono::seconds(5));
  ReportBoth();

  EXPECT_GT(coordinator_->state().cluster().epoch, 1u);
  EXPECT_TRUE(nodes_["pi-1"].containers.contains(id_)) << "the only copy";
  EXPECT_EQ(Container("web").status.node, "pi-1");
}

TEST_F(MovedTest, WhatWasMovedAfterTheBackupIsFollowedToWhereItIs) {
  for (const bool home_first : {true, false}) {
    const MemoryStore::Copy backup = store_.Save();
    const std::string home = Container("web").status.node;
    const std::string other = home == "pi-1" ? "pi-2" : "pi-1";
    Drain(home);
    ReportUntilOn(other, home);
    ReportBoth();
    ASSERT_FALSE(nodes_[home].containers.contains(id_));

    RestoreBackup(backup);
    ASSERT_EQ(Container("web").status.node, home);
    Connect(home_first ? home : other);
    EXPECT_FALSE(nodes_[home].containers.contains(id_)) << "not before the other has reported";
    ReconnectAll();
    Pass(std::chrono::seconds(5));

    EXPECT_EQ(Container("web").status.node, other);
    EXPECT_FALSE(nodes_[home].containers.contains(id_)) << "no second copy";
    EXPECT_TRUE(nodes_[other].containers.contains(id_));
    EXPECT_TRUE(nodes_[home].buried.empty());
    EXPECT_TRUE(nodes_[other].buried.empty());
    EXPECT_FALSE(coordinator_->state().cluster().adopting);
  }
}

TEST_F(MovedTest, AContainerThatTwoNodesHoldIsSaidAndBothAreLeftAlone) {
  const MemoryStore::Copy backup = store_.Save();
  nodes_["pi-2"].containers[id_] = nodes_["pi-1"].containers.at(id_);
  RestoreBackup(backup);
  ReconnectAll();
  Pass(std::chrono::seconds(5));
  ReportBoth();

  EXPECT_THAT(EventTypes(), Contains("container.duplicate"));
  EXPECT_EQ(Container("web").status.node, "pi-1");
  EXPECT_TRUE(nodes_["pi-1"].containers.contains(id_));
  EXPECT_TRUE(nodes_["pi-2"].containers.contains(id_));
}

TEST_F(MovedTest, AStoppedCopyBesideANodeThatIsNotHeardIsLeftAlone) {
  const MemoryStore::Copy backup = store_.Save();
  api::NodeContainer copy = nodes_["pi-1"].containers.at(id_);
  copy.spec.desired = api::DesiredState::kStopped;
  nodes_["pi-2"].containers[id_] = copy;
  RestoreBackup(backup);
  Connect("pi-2");
  PassWithHeartbeats(std::chrono::seconds(310), {"pi-2"});

  EXPECT_FALSE(coordinator_->state().cluster().adopting);
  EXPECT_THAT(EventTypes(), Contains("container.duplicate"));
  EXPECT_THAT(EventTypes(), testing::Not(Contains("container.adopted")));
}

TEST_F(MovedTest, WhatIsOnNoNodeAfterARestoreIsMadeAnewOnlyOnceAllHaveReported) {
  const MemoryStore::Copy backup = store_.Save();
  nodes_["pi-1"].containers.clear();
  RestoreBackup(backup);
  Connect("pi-1");
  EXPECT_TRUE(nodes_["pi-1"].containers.empty());
  Connect("pi-2");
  Pass(std::chrono::seconds(3));

  EXPECT_TRUE(nodes_["pi-1"].containers.contains(id_));
  EXPECT_THAT(EventTypes(), Contains("container.missing"));
}

TEST_F(RestoreTest, AnswersToKeyedWritesAreForgottenAsFastAsTheyCome) {
  for (int i = 0; i < 2500; ++i) {
    const std::string key = "key-" + std::to_string(i);
    Do([&](WriteDone done) {
      coordinator_->tokens().Create(Admin(), {.max_uses = 1}, {.idempotency_key = key},
                                    std::move(done));
    })
        .status()
        .IgnoreError();
  }
  ASSERT_GE(coordinator_->state().idempotency().entries().size(), 2000u);
  clock_.Advance(std::chrono::hours(25));
  Pass(std::chrono::seconds(3));

  EXPECT_TRUE(coordinator_->state().idempotency().entries().empty());
}

}  // namespace
}  // namespace bramble::controller
