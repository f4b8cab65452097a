// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent_core_fixture.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(AgentCoreRestartTest, RestartsWithABackOffThatGrowsAndHeals) {
  World world;
  world.Want(1, {Pinned("a")});
  world.Run();

  milliseconds expected = seconds(1);
  for (int i = 0; i < 12; ++i) {
    world.Exit("c-a", 1);
    EXPECT_EQ(world.Seen("a").state, api::ContainerState::kFailed);
    EXPECT_EQ(*world.core->NextWake(world.now) - world.now, expected) << i;
    EXPECT_THAT(world.Seen("a").reason, HasSubstr("init ended with 1"));
    world.Pass(expected - milliseconds(1));
    EXPECT_FALSE(world.Runs("a"));
    world.Pass(milliseconds(1));
    EXPECT_TRUE(world.Runs("a"));
    expected = std::min<milliseconds>(expected * 2, seconds(300));
  }
  EXPECT_EQ(world.Seen("a").restarts, 12u);

  world.Pass(seconds(301));
  world.Exit("c-a", 1);
  EXPECT_EQ(*world.core->NextWake(world.now) - world.now, seconds(1)) << "it had been healthy";
}

TEST(AgentCoreRestartTest, TheRestartPolicyIsKept) {
  struct Row {
    api::RestartPolicy policy;
    std::optional<int64_t> code;
    bool again;
  };
  const Row rows[] = {
      {api::RestartPolicy::kAlways, 0, true},     {api::RestartPolicy::kAlways, 1, true},
      {api::RestartPolicy::kOnFailure, 0, false}, {api::RestartPolicy::kOnFailure, 1, true},
      {api::RestartPolicy::kOnFailure, {}, true}, {api::RestartPolicy::kNever, 0, false},
      {api::RestartPolicy::kNever, 1, false},
  };
  for (const Row& row : rows) {
    World world;
    api::NodeContainer a = Pinned("a");
    a.spec.restart.policy = row.policy;
    world.Want(1, {a});
    world.Run();
    world.Exit("c-a", row.code);
    world.Pass(seconds(1));
    EXPECT_EQ(world.Runs("a"), row.again);
    EXPECT_EQ(world.Seen("a").exit_code.has_value(), !row.again && row.code.has_value());

    world.StartAgent();
    world.Run();
    EXPECT_EQ(world.Runs("a"), row.again) << "a restart of the agent changes nothing";
    world.Boot();
    world.Run();
    EXPECT_TRUE(world.Runs("a")) << "a boot starts what is wanted";
  }
}

TEST(AgentCoreRestartTest, ARebootFromInsideStartsAtOnceWhateverThePolicy) {
  World world;
  api::NodeContainer a = Pinned("a");
  a.spec.restart.policy = api::RestartPolicy::kNever;
  world.Want(1, {a});
  world.Run();
  world.now += seconds(60);
  world.core->OnExited(a.id, {.reboot = true}, world.now);
  world.Run();
  EXPECT_TRUE(world.Runs("a"));

  world.core->OnExited(a.id, {.reboot = true}, world.now);
  EXPECT_EQ(*world.core->NextWake(world.now) - world.now, seconds(1)) << "rebooting in a loop";
}

TEST(AgentCoreRestartTest, GivesUpAfterTheRetriesAndAPersonStartsItAnew) {
  World world;
  api::NodeContainer a = Pinned("a");
  a.spec.restart.max_retries = 2;
  world.Want(1, {a});
  world.Run();
  for (int i = 0; i < 3; ++i) {
    world.Exit("c-a", 1);
    world.Pass(seconds(400 * (i == 2)) + seconds(4));
  }
  EXPECT_FALSE(world.Runs("a"));
  EXPECT_THAT(world.Seen("a").reason, HasSubstr("gave up after 2 retries"));
  EXPECT_FALSE(world.core->NextWake(world.now).has_value());

  a.generation = 2;
  a.spec.restart_count = 1;
  world.Want(2, {a});
  world.Run();
  EXPECT_TRUE(world.Runs("a"));
  EXPECT_EQ(world.Seen("a").restarts, 0u);
}

TEST(AgentCoreRestartTest, AFailedStartCarriesItsReasonAndIsTriedAgain) {
  World world;
  world.failures["start c-a"] = absl::InternalError("container \"a\": no id range is left");
  world.Want(1, {Pinned("a")});
  world.Run();
  EXPECT_EQ(world.Seen("a").state, api::ContainerState::kFailed);
  EXPECT_THAT(world.Seen("a").reason, HasSubstr("no id range is left; tried again after 1 s"));

  world.failures.clear();
  world.Pass(seconds(1));
  EXPECT_TRUE(world.Runs("a"));
  EXPECT_EQ(world.Seen("a").reason, "");
}

TEST(AgentCoreRestartTest, AFailedFetchNamesTheImageAndIsTriedAgain) {
  World world;
  api::NodeContainer a = Pinned("a");
  a.image_digest = kOtherDigest;
  world.failures[std::string("fetch ") + kOtherDigest] = absl::UnavailableError("no route");
  world.Want(1, {a});
  world.Run();
  EXPECT_THAT(world.Seen("a").reason, HasSubstr("image \"busybox\": no route"));
  world.failures.clear();
  world.Pass(seconds(1));
  EXPECT_TRUE(world.Runs("a"));
}

}  // namespace
}  // namespace bramble::node
