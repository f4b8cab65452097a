// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/desired.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/strings.h"

namespace bramble::controller {
namespace {

using api::Version;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

ContainerId Id(const std::string& text) { return ContainerId::Trusted(text); }

api::NodeContainer Container(const std::string& id, uint64_t generation = 1) {
  return {.id = Id(id), .name = ContainerName::Trusted(id), .generation = generation};
}

TEST(NodeDesiredStateTest, SendsWhatChangedSinceANodesVersion) {
  NodeDesiredState state;
  state.Put(Container("a"), {1, 1});
  state.Put(Container("b"), {1, 2});
  state.Put(Container("a", 2), {1, 3});

  const std::optional<api::Desired> since = state.Since({1, 2});

  ASSERT_TRUE(since.has_value());
  EXPECT_FALSE(since->full);
  EXPECT_EQ(since->base, (Version{1, 2}));
  EXPECT_EQ(since->version, (Version{1, 3}));
  EXPECT_THAT(since->containers, ElementsAre(Container("a", 2)));
  EXPECT_FALSE(state.Since({1, 3}).has_value()) << "it is there already";
}

TEST(NodeDesiredStateTest, UnchangedContentIsNoChange) {
  NodeDesiredState state;
  EXPECT_TRUE(state.Put(Container("a"), {1, 1}));
  EXPECT_FALSE(state.Put(Container("a"), {1, 2}));
  EXPECT_EQ(state.version(), (Version{1, 1}));
}

TEST(NodeDesiredStateTest, SendsAllWhereADeltaCannotSayIt) {
  NodeDesiredState state(Version{3, 10});
  state.Put(Container("a"), {3, 10});
  state.Put(Container("b"), {3, 11});
  for (const Version applied :
       {Version{0, 0}, Version{2, 99}, Version{3, 9}, Version{3, 12}, Version{4, 1}}) {
    const std::optional<api::Desired> since = state.Since(applied);
    ASSERT_TRUE(since.has_value());
    EXPECT_TRUE(since->full) << applied.epoch << " " << applied.generation;
    EXPECT_THAT(since->containers, SizeIs(2));
  }
  EXPECT_FALSE(state.Since({3, 10})->full);
}

TEST(NodeDesiredStateTest, ATombstoneIsSentUntilItIsConfirmed) {
  NodeDesiredState state;
  state.Put(Container("a"), {1, 1});
  state.Bury(Id("a"), {1, 2});
  state.Bury(Id("a"), {1, 3});
  EXPECT_EQ(state.version(), (Version{1, 2})) << "burying twice is once";

  EXPECT_THAT(state.Since({1, 1})->tombstones, ElementsAre(Id("a")));
  EXPECT_THAT(state.Full().tombstones, ElementsAre(Id("a")));
  EXPECT_THAT(state.Full().containers, IsEmpty());

  state.OnRemoved(Id("a"));
  EXPECT_THAT(state.Full().tombstones, IsEmpty());
}

TEST(NodeDesiredStateTest, AContainerThatComesBackHasNoTombstone) {
  NodeDesiredState state;
  state.Put(Container("a"), {1, 1});
  state.Bury(Id("a"), {1, 2});

  EXPECT_TRUE(state.Put(Container("a"), {1, 3}));

  EXPECT_THAT(state.Since({1, 2})->tombstones, IsEmpty());
  EXPECT_THAT(state.Since({1, 2})->containers, SizeIs(1));
}

TEST(NodeDesiredStateTest, DroppingDestroysNothing) {
  NodeDesiredState state;
  state.Put(Container("a"), {1, 1});
  state.Put(Container("b"), {1, 2});

  state.Drop(Id("a"), {1, 3});

  const std::optional<api::Desired> since = state.Since({1, 2});
  EXPECT_TRUE(since->full) << "absence can only be said by saying all";
  EXPECT_THAT(since->tombstones, IsEmpty());
  EXPECT_THAT(since->containers, ElementsAre(Container("b")));
}

TEST(EpochTest, OpensOneAboveWhatANodeHasSeen) {
  EXPECT_EQ(EpochAbove({1, 5}, {1, 5}), std::nullopt);
  EXPECT_EQ(EpochAbove({1, 5}, {1, 4}), std::nullopt);
  EXPECT_EQ(EpochAbove({2, 0}, {1, 99}), std::nullopt);
  EXPECT_EQ(EpochAbove({1, 5}, {1, 6}), 2u) << "rolled back within the epoch";
  EXPECT_EQ(EpochAbove({1, 5}, {4, 1}), 5u) << "restored more than once";
  EXPECT_EQ(EpochAbove({1, 5}, {UINT64_MAX, 1}), std::nullopt) << "no node may use the epochs up";
}

TEST(ReportTest, TellsUnknownMissingAndBuried) {
  NodeDesiredState state;
  state.Put(Container("here"), {1, 1});
  state.Put(Container("lost"), {1, 2});
  state.Put(Container("dead"), {1, 3});
  state.Bury(Id("dead"), {1, 4});
  api::Report report{.full = true};
  for (const char* id : {"here", "dead", "stranger"}) {
    report.containers.push_back({.id = Id(id)});
  }

  const ReportDifference difference = CompareReport(state, report);

  ASSERT_THAT(difference.unknown, SizeIs(1));
  EXPECT_EQ(difference.unknown[0].id, Id("stranger"));
  EXPECT_THAT(difference.missing, ElementsAre(Id("lost")));
  EXPECT_THAT(difference.buried, ElementsAre(Id("dead")));

  report.full = false;
  EXPECT_THAT(CompareReport(state, report).missing, IsEmpty());
}

// A node that applies what it is sent, sometimes from an old version, ends with the desired state,
// and loses only what was buried.
TEST(NodeDesiredStateTest, AnyHistoryConvergesAndDestroysOnlyByTombstone) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SeededRandom random(seed);
    NodeDesiredState state;
    std::map<ContainerId, api::NodeContainer> node;
    Version applied;
    Version version{1, 0};
    for (int step = 0; step < 200; ++step) {
      const std::string id = StrCat("c", random.Below(8));
      version.generation = state.version().generation + 1;
      switch (random.Below(6)) {
        case 0:
        case 1:
          state.Put(Container(id, random.Below(5)), version);
          break;
        case 2:
          state.Bury(Id(id), version);
          break;
        case 3:
          state.Drop(Id(id), version);
          break;
        default: {
          const std::optional<api::Desired> sent = state.Since(applied);
          if (!sent.has_value()) {
            break;
          }
          ASSERT_TRUE(sent->full || sent->base == applied);
          ASSERT_GT(sent->version, applied);
          for (const ContainerId& buried : sent->tombstones) {
            node.erase(buried);
            state.OnRemoved(buried);
          }
          if (sent->full) {
            std::erase_if(node, [&](const auto& entry) {
              return std::none_of(sent->containers.begin(), sent->containers.end(),
                                  [&](const auto& c) { return c.id == entry.first; });
            });
          }
          for (const api::NodeContainer& container : sent->containers) {
            node[container.id] = container;
          }
          applied = sent->version;
          std::map<ContainerId, api::NodeContainer> wanted;
          state.ForEach([&](const api::NodeContainer& c) { wanted[c.id] = c; });
          ASSERT_EQ(node, wanted);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bramble::controller
