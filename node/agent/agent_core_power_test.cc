// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent_core_fixture.h"

namespace bramble::node {
namespace {

using std::chrono::seconds;
using testing::IsEmpty;

// A day of a node, step by step; returns what must hold at its end.
void LiveADay(World& world) {
  const auto settle = [&world] {
    world.Run();
    world.Pass(seconds(2));  // a back-off that an interruption may have caused
    world.Pass(seconds(5));
  };
  api::NodeContainer a = Pinned("a");
  api::NodeContainer b = Pinned("b");
  api::NodeContainer gone = Pinned("gone");
  const auto want = [&](uint64_t generation, std::vector<api::NodeContainer> containers,
                        std::vector<ContainerId> tombstones = {}) {
    world.Want(generation, containers, tombstones);
    settle();
    // The power may have taken the message before it was durable: the controller sends it again
    // when the node connects.
    world.Want(generation, containers, tombstones);
    settle();
  };
  want(1, {a, b, gone});
  a.spec.restart_count = 1;
  want(2, {a, b, gone});
  b.spec.desired = api::DesiredState::kFrozen;
  want(3, {a, b, gone});
  a.spec.rebuild_count = 1;
  a.image_digest = kOtherDigest;
  want(4, {a, b}, {gone.id});
  b.spec.desired = api::DesiredState::kStopped;
  a.spec.limits.memory.count = kMiB;
  want(5, {a, b});
}

void ExpectTheEndOfTheDay(World& world) {
  EXPECT_TRUE(world.Runs("a"));
  EXPECT_FALSE(world.Runs("b"));
  EXPECT_TRUE(world.held.contains(Id("c-b")));
  EXPECT_FALSE(world.held.contains(Id("c-gone")));
  EXPECT_EQ(world.held[Id("c-a")].definition.spec.restart_count, 1u);
  EXPECT_EQ(world.held[Id("c-a")].definition.spec.rebuild_count, 1u);
  EXPECT_EQ(world.held[Id("c-a")].definition.image_digest, kOtherDigest);
  EXPECT_EQ(world.held[Id("c-a")].definition.spec.limits.memory.count, kMiB);
  EXPECT_EQ(world.layers[Id("c-b")], 1) << "a layer was lost without a rebuild";
  EXPECT_EQ(world.Seen("a").state, api::ContainerState::kRunning);
  EXPECT_EQ(world.Seen("b").state, api::ContainerState::kStopped);
}

TEST(AgentCorePowerTest, EndsTheSameWhereverThePowerFails) {
  World calm;
  LiveADay(calm);
  ExpectTheEndOfTheDay(calm);
  ASSERT_GT(calm.steps, 30);

  for (int cut = 0; cut < calm.steps; ++cut) {
    SCOPED_TRACE(testing::Message() << "power fails at boundary " << cut);
    World world;
    world.power_fails_at = cut;
    LiveADay(world);
    ExpectTheEndOfTheDay(world);
    if (HasFailure()) {
      return;
    }
  }
}

TEST(AgentCorePowerTest, TheAgentMayDieAtAnyBoundaryAndContainersDoNotNotice) {
  World world;
  world.Want(1, {Pinned("a"), Pinned("b")});
  world.Run();
  world.TakeDone();
  for (int i = 0; i < 5; ++i) {
    world.StartAgent();
    world.Run();
  }
  EXPECT_THAT(world.done, IsEmpty());
}

TEST(AgentCorePowerTest, ALostJournalIsRebuiltFromTheRuntimeAndTheController) {
  World world;
  world.Want(5, {Pinned("a")});
  world.Run();
  world.journal_version = {};
  world.journal_desired.clear();
  world.StartAgent();
  world.Run();
  EXPECT_TRUE(world.Runs("a"));
  EXPECT_TRUE(world.Seen("a").definition.has_value()) << "an orphan until the controller speaks";

  EXPECT_EQ(world.Want(5, {Pinned("a")}), Acceptance::kApplied);
  world.TakeDone();
  world.Run();
  EXPECT_THAT(world.done, IsEmpty());
  EXPECT_FALSE(world.Seen("a").definition.has_value());
}

}  // namespace
}  // namespace bramble::node
