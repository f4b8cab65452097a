// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/drain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/strings.h"

namespace bramble::controller {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr BootTime kNow{seconds(1000)};

LeavingContainer Movable(const std::string& name, LeaveState state = LeaveState::kHere) {
  return {.id = ContainerId::Trusted(name),
          .name = ContainerName::Trusted(name),
          .placement_class = api::PlacementClass::kMovable,
          .state = state};
}

LeavingContainer Pinned(const std::string& name, LeaveState state = LeaveState::kHere) {
  LeavingContainer container = Movable(name, state);
  container.placement_class = api::PlacementClass::kPinned;
  return container;
}

DrainQuery Query(std::vector<LeavingContainer> containers) {
  return {.node = NodeName::Trusted("pi-3"), .containers = std::move(containers)};
}

std::vector<std::string> Names(const std::vector<ContainerId>& ids) {
  std::vector<std::string> names;
  for (const ContainerId& id : ids) {
    names.push_back(id.str());
  }
  return names;
}

TEST(DrainTest, AnEmptyNodeIsDrained) {
  const DrainStep step = PlanDrain(Query({}), kNow);

  EXPECT_TRUE(step.drained);
  EXPECT_EQ(step.percent, 100);
}

TEST(DrainTest, MovableOnesGoFirstAndAtMostSoManyAtOnce) {
  DrainStep step = PlanDrain(Query({Pinned("a"), Movable("c"), Movable("b"), Movable("d")}), kNow);
  EXPECT_THAT(Names(step.stop), ElementsAre("b", "c"));
  EXPECT_THAT(step.cold_move, IsEmpty());
  EXPECT_FALSE(step.drained);

  step = PlanDrain(Query({Pinned("a"), Movable("c", LeaveState::kStopping),
                          Movable("b", LeaveState::kThere), Movable("d")}),
                   kNow);
  EXPECT_THAT(Names(step.stop), ElementsAre("d"));

  step = PlanDrain(Query({Pinned("a"), Movable("b", LeaveState::kThere),
                          Movable("c", LeaveState::kStarting), Movable("d", LeaveState::kThere)}),
                   kNow);
  EXPECT_THAT(Names(step.cold_move), ElementsAre("a"));
  EXPECT_EQ(step.percent, 50);
}

TEST(DrainTest, ItIsStoppedHereBeforeItIsPlacedElsewhere) {
  EXPECT_THAT(PlanDrain(Query({Movable("a")}), kNow).place, IsEmpty());
  EXPECT_THAT(PlanDrain(Query({Movable("a", LeaveState::kStopping)}), kNow).place, IsEmpty());
  EXPECT_THAT(Names(PlanDrain(Query({Movable("a", LeaveState::kStopped)}), kNow).place),
              ElementsAre("a"));
}

TEST(DrainTest, LeavePinnedStopsShortOfThePinned) {
  DrainQuery query = Query({Pinned("db"), Movable("web", LeaveState::kThere)});
  query.leave_pinned = true;

  const DrainStep step = PlanDrain(query, kNow);

  EXPECT_TRUE(step.drained);
  EXPECT_EQ(step.percent, 100);
  EXPECT_THAT(Names(step.stay), ElementsAre("db"));
  EXPECT_EQ(step.message, "drain of node \"pi-3\": 1 of 1 containers moved; stays: db (pinned)");
}

TEST(DrainTest, WhatHasNowhereToGoIsNotStoppedAndTheNodeIsNotDrained) {
  LeavingContainer web = Movable("web");
  web.blocked = "no node has 1GiB free";
  LeavingContainer cam = Pinned("cam");
  cam.node_pinned = true;

  const DrainStep step = PlanDrain(Query({web, cam}), kNow);

  EXPECT_THAT(step.stop, IsEmpty());
  EXPECT_THAT(step.cold_move, IsEmpty());
  EXPECT_FALSE(step.drained);
  EXPECT_EQ(step.message,
            "drain of node \"pi-3\": 0 of 2 containers moved; stays: web (no node has 1GiB free), "
            "cam (may only run there)");
}

TEST(DrainTest, PastTheDeadlineNothingNewIsBegunAndWhatIsDownIsBroughtUp) {
  DrainQuery query = Query({Movable("a", LeaveState::kStopped), Movable("b"), Pinned("c")});
  query.at_once = 10;
  query.deadline = kNow;

  EXPECT_FALSE(PlanDrain(query, kNow - seconds(1)).overdue);
  const DrainStep step = PlanDrain(query, kNow);

  EXPECT_TRUE(step.overdue);
  EXPECT_THAT(step.stop, IsEmpty());
  EXPECT_THAT(step.cold_move, IsEmpty());
  EXPECT_THAT(Names(step.place), ElementsAre("a"));
}

TEST(DrainTest, ADrainedNodeIsNotOverdue) {
  DrainQuery query = Query({Movable("a", LeaveState::kThere)});
  query.deadline = kNow;

  EXPECT_FALSE(PlanDrain(query, kNow + seconds(9)).overdue);
}

TEST(DrainTest, RestoreBringsBackAtTheSamePace) {
  const DrainStep step = PlanRestore(
      Query({Movable("a"), Movable("b"), Movable("c"), Movable("d", LeaveState::kStopped)}), kNow);

  EXPECT_THAT(Names(step.stop), ElementsAre("a"));
  EXPECT_THAT(Names(step.place), ElementsAre("d"));
  EXPECT_EQ(step.message, "restore of node \"pi-3\": 0 of 4 containers moved, 1 under way");
}

// Carried out step by step, in any order of confirmations, a drain ends, keeps its pace, and never
// has a container in two places.
TEST(DrainTest, CarriedOutItEndsAndKeepsItsPace) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SeededRandom random(seed);
    DrainQuery query = Query({});
    query.at_once = 1 + static_cast<int64_t>(random.Below(4));
    const auto count = static_cast<int>(random.Below(20));
    for (int i = 0; i < count; ++i) {
      query.containers.push_back(random.Below(2) == 0 ? Movable(StrCat("c", i))
                                                      : Pinned(StrCat("c", i)));
    }
    const auto find = [&](const ContainerId& id) -> LeaveState& {
      return std::find_if(query.containers.begin(), query.containers.end(),
                          [&](const auto& container) { return container.id == id; })
          ->state;
    };
    int steps = 0;
    for (DrainStep step = PlanDrain(query, kNow); !step.drained; step = PlanDrain(query, kNow)) {
      ASSERT_LT(++steps, 1000);
      for (const ContainerId& id : step.stop) {
        find(id) = LeaveState::kStopping;
      }
      for (const ContainerId& id : step.cold_move) {
        find(id) = LeaveState::kCopying;
      }
      for (const ContainerId& id : step.place) {
        ASSERT_EQ(find(id), LeaveState::kStopped);
        find(id) = LeaveState::kStarting;
      }
      int64_t under_way = 0;
      for (LeavingContainer& container : query.containers) {
        const bool moving =
            container.state != LeaveState::kHere && container.state != LeaveState::kThere;
        under_way += moving ? 1 : 0;
        if (moving && random.Below(2) == 0) {
          container.state = container.state == LeaveState::kStopping  ? LeaveState::kStopped
                            : container.state == LeaveState::kStopped ? LeaveState::kStopped
                                                                      : LeaveState::kThere;
        }
      }
      ASSERT_LE(under_way, query.at_once);
    }
  }
}

}  // namespace
}  // namespace bramble::controller
