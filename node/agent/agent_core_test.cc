// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent_core_fixture.h"

namespace bramble::node {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(AgentCoreTest, FetchesTheImageThenStartsAndReportsTheGeneration) {
  World world;
  world.images.clear();
  world.StartAgent();
  api::NodeContainer web = Pinned("web");
  web.generation = 7;

  EXPECT_EQ(world.Want(1, {web}), Acceptance::kApplied);
  EXPECT_EQ(world.Seen("web").state, api::ContainerState::kStarting);
  world.Run();

  EXPECT_THAT(world.done, ElementsAre(std::string("fetch ") + kDigest, "start c-web"));
  EXPECT_EQ(world.Seen("web").state, api::ContainerState::kRunning);
  EXPECT_EQ(world.Seen("web").generation, 7u);
  EXPECT_EQ(world.Seen("web").reason, "");
}

TEST(AgentCoreTest, RefusesAnOlderPairAndTakesAHigherEpochWithALowerGeneration) {
  World world;
  EXPECT_EQ(world.Want(5, {Pinned("a")}, {}, 2), Acceptance::kApplied);

  EXPECT_EQ(world.Want(4, {}, {Id("c-a")}, 2), Acceptance::kOlder);
  EXPECT_EQ(world.Want(900, {}, {Id("c-a")}, 1), Acceptance::kOlder);
  EXPECT_EQ(world.Want(5, {Pinned("a")}, {}, 2), Acceptance::kDuplicate);
  EXPECT_EQ(world.Want(1, {Pinned("b")}, {}, 3), Acceptance::kApplied);
  EXPECT_EQ(world.core->version(), (api::Version{3, 1}));
}

TEST(AgentCoreTest, ADeltaAppliesOnItsBaseOnly) {
  World world;
  world.Want(5, {Pinned("a")});
  api::Desired delta{.version = {1, 7}, .base = {1, 6}, .containers = {Pinned("b")}};

  EXPECT_EQ(world.core->OnDesired(delta, world.now), Acceptance::kNeedsFull);
  delta.base = {1, 5};
  EXPECT_EQ(world.core->OnDesired(delta, world.now), Acceptance::kApplied);
  EXPECT_EQ(world.core->OnDesired(delta, world.now), Acceptance::kDuplicate) << "sent twice";
  EXPECT_THAT(world.core->desired(), SizeIs(2));
}

TEST(AgentCoreTest, ACommandTwiceIsCarriedOutOnce) {
  World world;
  world.Want(1, {Pinned("a")});
  world.Run();
  world.TakeDone();

  world.Want(1, {Pinned("a")});
  world.Want(2, {Pinned("a")});
  world.Run();

  EXPECT_THAT(world.done, IsEmpty());
}

TEST(AgentCoreTest, KeepsAndReportsWhatNobodyAskedFor) {
  World world;
  world.Want(1, {Pinned("a"), Pinned("b")});
  world.Run();
  world.TakeDone();

  world.Want(2, {Pinned("b")});
  world.Run();

  EXPECT_THAT(world.done, IsEmpty());
  EXPECT_TRUE(world.Runs("a"));
  ASSERT_TRUE(world.Seen("a").definition.has_value());
  EXPECT_EQ(world.Seen("a").definition->name.str(), "a");
  EXPECT_FALSE(world.Seen("b").definition.has_value());
}

TEST(AgentCoreTest, DeletesOnlyOnATombstoneAndOnlyOnceItIsDurable) {
  World world;
  world.Want(1, {Pinned("a")});
  world.Run();
  world.TakeDone();

  world.journal_works = false;
  world.Want(2, {}, {Id("c-a")});
  world.Run();
  EXPECT_THAT(world.done, IsEmpty()) << "the journal does not hold the tombstone yet";

  world.journal_works = true;
  world.Journal();
  world.Run();
  EXPECT_THAT(world.done, ElementsAre("stop c-a", "delete c-a"));
  EXPECT_THAT(world.core->TakeReport(false, world.now)->removed, ElementsAre(Id("c-a")));

  world.Want(3, {}, {Id("c-a")});
  world.Run();
  EXPECT_THAT(world.core->TakeReport(false, world.now)->removed, ElementsAre(Id("c-a")))
      << "the word was lost, the tombstone came again";
}

TEST(AgentCoreTest, AContainerThatComesBackAfterItsTombstoneIsMadeAnew) {
  World world;
  world.Want(1, {Pinned("a")});
  world.Run();
  world.Want(2, {}, {Id("c-a")});
  world.Want(3, {Pinned("a")});
  world.Run();
  EXPECT_TRUE(world.Runs("a"));
  world.Want(4, {}, {Id("c-a")});
  world.Run();
  EXPECT_FALSE(world.held.contains(Id("c-a")));
  world.Want(5, {Pinned("a")});
  world.Run();
  EXPECT_TRUE(world.Runs("a"));
}

TEST(AgentCoreTest, StopsWithGraceFreezesThawsAndAdjusts) {
  World world;
  api::NodeContainer a = Pinned("a");
  world.Want(1, {a});
  world.Run();

  a.spec.desired = api::DesiredState::kFrozen;
  world.Want(2, {a});
  world.Run();
  EXPECT_EQ(world.Seen("a").state, api::ContainerState::kFrozen);
  a.spec.desired = api::DesiredState::kRunning;
  a.spec.limits.memory.count = 64 * kMiB;
  world.Want(3, {a});
  world.Run();
  a.spec.desired = api::DesiredState::kStopped;
  a.spec.stop_grace_s = 17;
  world.Want(4, {a});
  const std::vector<Action> actions = world.core->TakeActions(world.now);

  ASSERT_THAT(actions, SizeIs(1));
  EXPECT_EQ(actions[0].kind, ActionKind::kStop);
  EXPECT_EQ(actions[0].grace, seconds(17));
  EXPECT_THAT(world.done, ElementsAre("start c-a", "freeze c-a", "thaw c-a", "adjust c-a"));
}

TEST(AgentCoreTest, AnAdjustmentThatCannotBeMadeIsToldAndTriedAgain) {
  World world;
  api::NodeContainer a = Pinned("a");
  a.generation = 1;
  world.Want(1, {a});
  world.Run();
  a.generation = 2;
  a.spec.limits.memory.count = 16 * kMiB;
  world.failures["adjust c-a"] = absl::FailedPreconditionError("the container uses more");
  world.Want(2, {a});
  world.Run();
  EXPECT_EQ(world.Seen("a").state, api::ContainerState::kRunning);
  EXPECT_EQ(world.Seen("a").generation, 2u) << "whoever waits for the change need not wait on";
  EXPECT_THAT(world.Seen("a").reason, HasSubstr("uses more"));

  world.failures.clear();
  world.now += seconds(5);
  world.Run();
  EXPECT_EQ(world.Seen("a").reason, "");
  EXPECT_THAT(world.done, ElementsAre("start c-a", "adjust c-a", "adjust c-a"));
}

TEST(AgentCoreTest, TellsHowTheDiskIsLimitedAfterAnAdjustment) {
  World world;
  api::NodeContainer a = Pinned("a");
  world.Want(1, {a});
  world.Run();
  a.spec.limits.disk.count = 32 * kMiB;
  world.Want(2, {a});
  ASSERT_THAT(world.core->TakeActions(world.now), SizeIs(1));

  const Started limited{.started_at = {}, .disk_limit_mode = "project-quota"};
  world.core->OnDone(a.id, ActionKind::kAdjust, absl::OkStatus(), limited, world.now);

  EXPECT_EQ(world.Seen("a").disk_limit_mode, "project-quota");
}

TEST(AgentCoreTest, RaisedCountersRestartAndRebuildAndLowerOnesDoNot) {
  World world;
  api::NodeContainer a = Pinned("a");
  a.spec.restart_count = 3;
  world.Want(1, {a});
  world.Run();
  world.TakeDone();

  a.spec.restart_count = 4;
  world.Want(2, {a});
  world.Run();
  EXPECT_THAT(world.TakeDone(), ElementsAre("stop c-a", "start c-a"));
  EXPECT_EQ(world.Seen("a").restart_count, 4u);

  a.spec.rebuild_count = 1;
  a.image_digest = kOtherDigest;
  world.Want(3, {a});
  world.Run();
  EXPECT_THAT(world.TakeDone(), ElementsAre("stop c-a", "rebuild c-a",
                                            std::string("fetch ") + kOtherDigest, "start c-a"));

  a.spec.restart_count = 1;
  a.spec.rebuild_count = 0;
  world.Want(1, {a}, {}, 2);
  world.Run();
  EXPECT_THAT(world.TakeDone(), IsEmpty()) << "a controller set back to an older snapshot";
}

TEST(AgentCoreTest, ANewImageWaitsForARebuild) {
  World world;
  api::NodeContainer a = Pinned("a");
  world.Want(1, {a});
  world.Run();
  a.image_digest = kOtherDigest;
  a.spec.restart_count = 1;
  world.Want(2, {a});
  world.Run();
  EXPECT_EQ(world.held[a.id].definition.image_digest, kDigest);
}

TEST(AgentCoreTest, StartsAFewAtOnceAndLowerOrdersFirst) {
  World world;
  world.options.max_starts = 2;
  world.Boot();
  std::vector<api::NodeContainer> all;
  for (const auto& [name, order] :
       std::map<std::string, int>{{"a", 20}, {"b", 10}, {"c", 10}, {"d", 10}, {"e", 0}}) {
    all.push_back(Pinned(name));
    all.back().spec.autostart_order = order;
  }
  world.Want(1, all);

  std::vector<Action> actions = world.core->TakeActions(world.now);
  ASSERT_THAT(actions, SizeIs(1)) << "e alone is first";
  EXPECT_EQ(actions[0].id, Id("c-e"));
  world.core->OnDone(Id("c-e"), ActionKind::kStart, absl::OkStatus(), {}, world.now);
  EXPECT_THAT(world.core->TakeActions(world.now), SizeIs(2)) << "b and c, d waits for a place";
}

TEST(AgentCoreTest, AContainerThatCannotStartDoesNotHoldUpLaterOrders) {
  World world;
  world.failures["start c-a"] = absl::InternalError("broken");
  api::NodeContainer b = Pinned("b");
  b.spec.autostart_order = 5;
  world.Want(1, {Pinned("a"), b});
  world.Run();
  EXPECT_TRUE(world.Runs("b"));
}

TEST(AgentCoreTest, OneImageIsFetchedOnceForAll) {
  World world;
  world.images.clear();
  world.StartAgent();
  world.Want(1, {Pinned("a"), Pinned("b"), Pinned("c")});
  EXPECT_THAT(world.core->TakeActions(world.now), SizeIs(1));
}

TEST(AgentCoreTest, AnExitDuringAnActionCountsAndItsAnswerDoesNot) {
  World world;
  api::NodeContainer a = Pinned("a");
  world.Want(1, {a});
  world.Run();
  a.spec.limits.pids = 5;
  world.Want(2, {a});
  ASSERT_THAT(world.core->TakeActions(world.now), SizeIs(1));

  world.core->OnExited(a.id, {.code = 3}, world.now);
  world.now += seconds(2);
  EXPECT_THAT(world.core->TakeActions(world.now), IsEmpty()) << "one action at a time";
  world.core->OnDone(a.id, ActionKind::kAdjust, absl::InternalError("no cgroup"), {}, world.now);
  world.Run();
  EXPECT_TRUE(world.Runs("a"));
  EXPECT_EQ(world.Seen("a").reason, "");
}

TEST(AgentCoreTest, AStopThatFailsIsTriedAgainAndOneThatExitedIsDone) {
  World world;
  api::NodeContainer a = Pinned("a");
  world.Want(1, {a});
  world.Run();
  a.spec.desired = api::DesiredState::kStopped;
  world.failures["stop c-a"] = absl::DeadlineExceededError("container \"a\": still there");
  world.Want(2, {a});
  world.Run();
  EXPECT_EQ(world.Seen("a").state, api::ContainerState::kRunning);
  EXPECT_THAT(world.Seen("a").reason, HasSubstr("still there"));
  world.now += seconds(5);
  ASSERT_THAT(world.core->TakeActions(world.now), SizeIs(1));
  world.core->OnExited(a.id, {.code = 0}, world.now);
  world.core->OnDone(a.id, ActionKind::kStop, absl::InternalError("gone"), {}, world.now);
  EXPECT_EQ(world.Seen("a").state, api::ContainerState::kStopped);
}

TEST(AgentCoreTest, ReportsOnlyWhatChanged) {
  World world;
  world.Want(1, {Pinned("a"), Pinned("b")});
  world.Run();
  EXPECT_THAT(world.core->TakeReport(true, world.now)->containers, SizeIs(2));
  EXPECT_FALSE(world.core->TakeReport(false, world.now).has_value());

  world.Exit("c-a", 1);
  EXPECT_THAT(world.core->TakeReport(false, world.now)->containers, SizeIs(1));
  EXPECT_FALSE(world.core->TakeReport(false, world.now).has_value());
}

TEST(AgentCoreTest, ALayerComesInOnlyWhereItIsAwaitedAndTheContainerIsToBeStopped) {
  World world;
  api::NodeContainer db = Pinned("db");
  EXPECT_FALSE(world.core->BeginImport(db.id, "m1").ok()) << "not asked for";
  db.layer_move = "m1";
  db.spec.desired = api::DesiredState::kStopped;
  world.Want(1, {db});
  EXPECT_FALSE(world.core->BeginImport(db.id, "m2").ok()) << "another move";
  ASSERT_TRUE(world.core->BeginImport(db.id, "m1").ok());
  EXPECT_FALSE(world.core->Observe(world.now)[0].ran);

  db.spec.desired = api::DesiredState::kRunning;
  world.Want(2, {db});
  EXPECT_FALSE(world.core->BeginImport(db.id, "m1").ok()) << "it is to run";
}

TEST(AgentCoreTest, AnImportThatBrokeOffIsRemovedByATombstone) {
  World world;
  api::NodeContainer db = Pinned("db");
  db.layer_move = "m1";
  db.spec.desired = api::DesiredState::kStopped;
  world.Want(1, {db});
  ASSERT_TRUE(world.core->BeginImport(db.id, "m1").ok());
  world.Want(2, {}, {db.id});
  const std::vector<Action> actions = world.core->TakeActions(world.now);
  ASSERT_THAT(actions, SizeIs(1));
  EXPECT_EQ(actions[0].kind, ActionKind::kDelete);
}

TEST(AgentCoreTest, ATombstoneOfWhatIsNotHereIsConfirmedWhenItIsDurable) {
  World world;
  world.journal_works = false;
  world.Want(1, {}, {Id("c-gone")});
  const auto early = world.core->TakeReport(false, world.now);
  EXPECT_TRUE(!early.has_value() || early->removed.empty()) << "its report would be an older one's";
  world.core->OnJournaled({1, 1});
  world.core->TakeActions(world.now);
  const auto report = world.core->TakeReport(false, world.now);
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(report->removed, ElementsAre(Id("c-gone")));
  EXPECT_EQ(report->version, (api::Version{1, 1}));
}

}  // namespace
}  // namespace bramble::node
