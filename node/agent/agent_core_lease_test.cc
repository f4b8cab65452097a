// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent_core_fixture.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(AgentCoreLeaseTest, AMovableContainerRunsUnderALeaseOnly) {
  World world;
  world.Want(1, {Movable("m"), Pinned("p")});
  world.Run();
  EXPECT_FALSE(world.Runs("m"));
  EXPECT_TRUE(world.Runs("p"));
  EXPECT_THAT(world.Seen("m").reason, HasSubstr("waits for a lease"));

  world.Lease(seconds(120));
  EXPECT_TRUE(world.Runs("m"));
  EXPECT_EQ(world.core->NextWake(world.now), world.now + seconds(120));
  EXPECT_THAT(world.core->movable_running(), ElementsAre(Id("c-m")));

  world.Pass(seconds(119));
  EXPECT_TRUE(world.Runs("m"));
  world.Pass(seconds(1));
  EXPECT_FALSE(world.Runs("m"));
  EXPECT_TRUE(world.Runs("p"));

  world.Lease(seconds(1));
  EXPECT_FALSE(world.Runs("m")) << "too little left to start";
  world.Lease(seconds(60));
  EXPECT_TRUE(world.Runs("m"));
}

TEST(AgentCoreLeaseTest, AfterALapseAFreshLeaseAloneStartsNothingThatMayRunElsewhere) {
  World world;
  world.Want(1, {Movable("m")});
  world.Lease(seconds(60));
  world.core->OnSession(world.now);
  world.Exit("c-m", 1);
  world.Pass(seconds(1));
  EXPECT_TRUE(world.Runs("m")) << "under a lease that never lapsed it cannot be elsewhere";

  world.Pass(seconds(60));
  EXPECT_FALSE(world.Runs("m"));
  world.core->OnSession(world.now);
  world.Lease(seconds(60));
  EXPECT_FALSE(world.Runs("m"));
  world.Want(2, {Movable("m")});
  world.Run();
  EXPECT_TRUE(world.Runs("m"));
}

TEST(AgentCoreLeaseTest, TheStopAfterALostLeaseIsShorterThanTheKill) {
  World world;
  api::NodeContainer m = Movable("m");
  m.spec.stop_grace_s = 600;
  world.Want(1, {m});
  world.Lease(seconds(10));
  world.now += seconds(10);
  const std::vector<Action> actions = world.core->TakeActions(world.now);
  ASSERT_THAT(actions, SizeIs(1));
  EXPECT_EQ(actions[0].grace, seconds(20));
}

TEST(AgentCoreLeaseTest, ABootForgetsTheLease) {
  World world;
  world.Want(1, {Movable("m")});
  world.Lease(seconds(120));
  world.Boot();
  world.Run();
  EXPECT_FALSE(world.Runs("m"));
}

TEST(AgentCoreLeaseTest, WithoutALeaseHolderNothingMovableRuns) {
  World world;
  world.Want(1, {Movable("m"), Movable("n")});
  world.Lease(seconds(120));
  world.core->OnLeaseHolder(false, world.now);
  EXPECT_THAT(world.core->conditions(), SizeIs(1));

  world.Pass(seconds(14));
  EXPECT_TRUE(world.Runs("m")) << "it may come back";
  world.Exit("c-n", 1);
  world.Pass(milliseconds(999));
  EXPECT_FALSE(world.Runs("n"));
  world.Pass(seconds(1));
  EXPECT_FALSE(world.Runs("m"));
  EXPECT_THAT(world.Seen("m").reason, HasSubstr("lease-holder"));

  world.core->OnLeaseHolder(true, world.now);
  world.Run();
  EXPECT_TRUE(world.Runs("m"));
}

TEST(AgentCoreLeaseTest, AnAgentThatComesBackLeavesWhatRunsToTheHolderUntilItAnswers) {
  World world;
  world.Want(1, {Movable("m")});
  world.Lease(seconds(120));
  world.Run();
  ASSERT_TRUE(world.Runs("m"));
  const BootTime start = world.now;
  const auto come_back = [&] {
    auto core = std::make_unique<AgentCore>(world.options);
    core->Restore(world.journal_version, world.journal_desired, {});
    core->RestoreNotes(world.notes);
    core->Recover({world.held.begin()->second}, world.images, start);
    return core;
  };

  const auto answered = come_back();
  EXPECT_THAT(answered->TakeActions(start), IsEmpty()) << "the lease is not known yet";
  answered->OnLease(start + seconds(60), start);
  answered->OnLeaseHolder(true, start + seconds(1));
  EXPECT_THAT(answered->TakeActions(start + seconds(59)), IsEmpty());
  EXPECT_THAT(answered->TakeActions(start + seconds(60)), SizeIs(1));

  const auto alone = come_back();
  EXPECT_EQ(alone->NextWake(start), start + seconds(15));
  EXPECT_THAT(alone->TakeActions(start + seconds(14)), IsEmpty());
  EXPECT_THAT(alone->TakeActions(start + seconds(15)), SizeIs(1)) << "there is no holder";
}

}  // namespace
}  // namespace bramble::node
