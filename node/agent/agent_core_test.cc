// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kDigest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
constexpr char kOtherDigest[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

ContainerId Id(std::string text) { return ContainerId::Trusted(std::move(text)); }

api::NodeContainer Pinned(std::string name) {
  api::NodeContainer container;
  container.id = Id("c-" + name);
  container.name = ContainerName::Trusted(name);
  container.project = ProjectName::Trusted("default");
  container.spec.image = "busybox";
  container.image_digest = kDigest;
  return container;
}

api::NodeContainer Movable(std::string name) {
  api::NodeContainer container = Pinned(std::move(name));
  container.spec.placement.placement_class = api::PlacementClass::kMovable;
  return container;
}

// A node around the core: a runtime that works at once, images, a journal; what a power cut leaves
// and what it takes.
struct World {
  // ---- survives a power cut
  std::map<ContainerId, HeldContainer> held;
  std::map<ContainerId, int> layers;  // how often each writable layer was made
  std::set<std::string> images = {kDigest};
  api::Version journal_version;
  std::vector<api::NodeContainer> journal_desired;
  std::vector<ContainerId> journal_tombstones;
  // ---- does not
  std::map<ContainerId, ContainerNotes> notes;  // survives an agent's death
  std::unique_ptr<AgentCore> core;

  BootTime now{seconds(1000)};
  AgentCore::Options options;
  std::vector<std::string> done;
  std::map<std::string, absl::Status> failures;  // "start c-web" -> what it returns
  bool journal_works = true;
  int steps = 0;  // effects and boundaries so far
  int power_fails_at = -1;

  World() { Boot(); }

  void Boot() {
    for (auto& [id, container] : held) {
      container.running = container.frozen = false;
    }
    notes.clear();
    StartAgent();
  }

  void StartAgent() {
    core = std::make_unique<AgentCore>(options);
    core->Restore(journal_version, journal_desired, journal_tombstones);
    core->RestoreNotes(notes);
    std::vector<HeldContainer> all;
    for (const auto& [id, container] : held) {
      all.push_back(container);
    }
    core->Recover(all, images, now);
    core->OnLeaseHolder(true, now);
  }

  // True when the power failed at this boundary.
  bool Boundary() {
    if (steps++ != power_fails_at) {
      return false;
    }
    Boot();
    return true;
  }

  Acceptance Want(uint64_t generation, std::vector<api::NodeContainer> containers,
                  std::vector<ContainerId> tombstones = {}, uint64_t epoch = 1) {
    const Acceptance accepted = core->OnDesired({.version = {epoch, generation},
                                                 .full = true,
                                                 .containers = std::move(containers),
                                                 .tombstones = std::move(tombstones)},
                                                now);
    Journal();
    return accepted;
  }

  void Journal() {
    if (!journal_works || Boundary()) {
      return;
    }
    journal_version = core->version();
    journal_desired = core->desired();
    journal_tombstones = core->tombstones();
    core->OnJournaled(journal_version);
  }

  absl::Status Carry(const Action& action) {
    const std::string what =
        std::string(kActionNames[static_cast<size_t>(action.kind)]) + " " +
        (action.kind == ActionKind::kFetch ? action.container.image_digest : action.id.str());
    done.push_back(what);
    if (auto it = failures.find(what); it != failures.end() && !it->second.ok()) {
      return it->second;
    }
    switch (action.kind) {
      case ActionKind::kFetch:
        images.insert(action.container.image_digest);
        break;
      case ActionKind::kStart:
        layers.try_emplace(action.id, 1);
        held[action.id] = {.definition = action.container, .running = true};
        break;
      case ActionKind::kStop:
        held[action.id].running = held[action.id].frozen = false;
        break;
      case ActionKind::kFreeze:
      case ActionKind::kThaw:
        held[action.id].frozen = action.kind == ActionKind::kFreeze;
        break;
      case ActionKind::kAdjust:
        held[action.id].definition.spec.limits = action.container.spec.limits;
        break;
      case ActionKind::kRebuild:
        ++layers[action.id];
        held[action.id].definition = action.container;
        break;
      case ActionKind::kDelete:
        held.erase(action.id);
        layers.erase(action.id);
        break;
    }
    return absl::OkStatus();
  }

  // Carries actions out until there are none.
  void Run() {
    for (int round = 0; round < 1000; ++round) {
      const std::vector<Action> actions = core->TakeActions(now);
      notes = core->notes();
      if (actions.empty()) {
        return;
      }
      for (const Action& action : actions) {
        if (Boundary()) {
          break;
        }
        const absl::Status status = Carry(action);
        if (Boundary()) {
          break;
        }
        if (action.kind == ActionKind::kFetch) {
          core->OnFetched(action.container.image_digest, status, now);
        } else {
          core->OnDone(action.id, action.kind, status, {}, now);
        }
      }
    }
    FAIL() << "the agent does not come to rest";
  }

  void Exit(std::string id, std::optional<int64_t> code) {
    held[Id(id)].running = false;
    core->OnExited(Id(id), {.code = code}, now);
    Run();
  }

  void Pass(milliseconds time) {
    now += time;
    Run();
  }

  void Lease(seconds length) {
    core->OnLease(now + length, now);
    Run();
  }

  bool Runs(const std::string& name) {
    return held.contains(Id("c-" + name)) && held[Id("c-" + name)].running;
  }

  api::ObservedContainer Seen(const std::string& name) {
    for (const api::ObservedContainer& container : core->Observe(now)) {
      if (container.id == Id("c-" + name)) {
        return container;
      }
    }
    return {};
  }

  std::vector<std::string> TakeDone() { return std::exchange(done, {}); }
};

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

TEST(AgentCoreTest, RestartsWithABackOffThatGrowsAndHeals) {
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

TEST(AgentCoreTest, TheRestartPolicyIsKept) {
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

TEST(AgentCoreTest, ARebootFromInsideStartsAtOnceWhateverThePolicy) {
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

TEST(AgentCoreTest, GivesUpAfterTheRetriesAndAPersonStartsItAnew) {
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

TEST(AgentCoreTest, AFailedStartCarriesItsReasonAndIsTriedAgain) {
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

TEST(AgentCoreTest, AFailedFetchNamesTheImageAndIsTriedAgain) {
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

TEST(AgentCoreTest, AMovableContainerRunsUnderALeaseOnly) {
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

TEST(AgentCoreTest, AfterALapseAFreshLeaseAloneStartsNothingThatMayRunElsewhere) {
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

TEST(AgentCoreTest, TheStopAfterALostLeaseIsShorterThanTheKill) {
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

TEST(AgentCoreTest, ABootForgetsTheLease) {
  World world;
  world.Want(1, {Movable("m")});
  world.Lease(seconds(120));
  world.Boot();
  world.Run();
  EXPECT_FALSE(world.Runs("m"));
}

TEST(AgentCoreTest, WithoutALeaseHolderNothingMovableRuns) {
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

// ---- power loss

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
