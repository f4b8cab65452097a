// SPDX-License-Identifier: Apache-2.0
#include "controller/images/blob_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"

namespace bramble::controller {
namespace {

using namespace std::chrono_literals;

constexpr char kDigest[] = "d1";

NodeId N(int number) { return NodeId::Trusted(StrCat(number < 10 ? "n0" : "n", number)); }

class BlobPlanTest : public ::testing::Test {
 protected:
  BlobPlanTest() {
    for (int i = 1; i <= 40; ++i) {
      connected_.insert(N(i));
    }
  }
  std::optional<NodeId> Ask(int node, const std::string& digest = kDigest) {
    return plan_.Choose(
        {.digest = digest, .fetcher = N(node), .connected = connected_, .holders = holders_}, now_);
  }
  void Fault(int fetcher, const NodeId& neighbour, bool wrong_bytes = false) {
    plan_.OnFault(kDigest, N(fetcher), neighbour, wrong_bytes, now_);
  }

  BlobPlan plan_;
  std::set<NodeId> connected_;
  std::set<NodeId> holders_;
  BootTime now_{1h};
};

TEST_F(BlobPlanTest, TheFirstAsksTheControllerAndTheOthersFormAChain) {
  EXPECT_EQ(Ask(1), std::nullopt);
  EXPECT_EQ(Ask(2), N(1));
  EXPECT_EQ(Ask(3), N(2));
  EXPECT_EQ(Ask(4), N(3));
}

TEST_F(BlobPlanTest, ThirtyNodesTakeOneCopyFromTheControllerAndLoadNoNodeMuch) {
  std::map<NodeId, int> children;
  int from_controller = 0;
  for (int i = 1; i <= 30; ++i) {
    const auto source = Ask(i);
    source.has_value() ? ++children[*source] : ++from_controller;
  }
  EXPECT_EQ(from_controller, 1);
  for (const auto& [node, count] : children) {
    EXPECT_LE(count, 3) << node.str();
  }
}

TEST_F(BlobPlanTest, WhoHasTheWholeIsAskedBeforeTheController) {
  holders_ = {N(7), N(8)};
  EXPECT_EQ(Ask(1), N(7));
  EXPECT_EQ(Ask(2), N(8)) << "the load is spread";
  EXPECT_EQ(Ask(3), N(1)) << "then those that are getting it";
}

TEST_F(BlobPlanTest, ANodeThatIsAwayServesNobody) {
  holders_ = {N(7)};
  connected_.erase(N(7));
  EXPECT_EQ(Ask(1), std::nullopt);
  connected_.erase(N(1));
  EXPECT_EQ(Ask(2), std::nullopt) << "whoever was getting it went away too";
}

TEST_F(BlobPlanTest, ANeighbourThatFailedIsNotGivenToThatNodeAgainAndToOthersStill) {
  holders_ = {N(7)};
  ASSERT_EQ(Ask(1), N(7));
  Fault(1, N(7));
  EXPECT_EQ(Ask(1), std::nullopt);
  EXPECT_EQ(Ask(2), N(7));
  now_ += 16min;
  EXPECT_EQ(Ask(1), N(7)) << "after a while it may again";
}

TEST_F(BlobPlanTest, ANeighbourThatGaveWrongBytesServesNobody) {
  holders_ = {N(7)};
  ASSERT_EQ(Ask(1), N(7));
  Fault(1, N(7), /*wrong_bytes=*/true);
  EXPECT_EQ(Ask(2), N(1)) << "which checks what it gets";
  EXPECT_EQ(Ask(1), std::nullopt);
}

TEST_F(BlobPlanTest, NobodyIsBelievedAboutANeighbourThatItWasNotGiven) {
  holders_ = {N(7)};
  ASSERT_EQ(Ask(1), N(7));
  Fault(2, N(7), /*wrong_bytes=*/true);
  Fault(1, N(8), /*wrong_bytes=*/true);
  EXPECT_EQ(Ask(1), N(7));
}

TEST_F(BlobPlanTest, NoNodeWaitsForItself) {
  ASSERT_EQ(Ask(1), std::nullopt);
  ASSERT_EQ(Ask(2), N(1));
  ASSERT_EQ(Ask(3), N(2));
  // The first one's controller failed it, or it started anew: those behind it are no help.
  EXPECT_EQ(Ask(1), std::nullopt);
  Fault(2, N(1));
  EXPECT_EQ(Ask(2), std::nullopt) << "the only other gets it from itself";
  EXPECT_EQ(Ask(1), N(3)) << "which now leads to the controller by the second";
  EXPECT_EQ(Ask(2), std::nullopt);
}

TEST_F(BlobPlanTest, AChainIsNotLongerThanItsLimit) {
  BlobPlan plan(BlobPlanOptions{.max_children = 2, .max_depth = 3});
  const auto ask = [&](int node) {
    return plan.Choose({.digest = kDigest, .fetcher = N(node), .connected = connected_}, now_);
  };
  EXPECT_EQ(ask(1), std::nullopt);
  EXPECT_EQ(ask(2), N(1));
  EXPECT_EQ(ask(3), N(2)) << "at depth 2: the last that may";
  EXPECT_EQ(ask(4), N(1)) << "a second one for the first";
  EXPECT_EQ(ask(5), N(4));
}

TEST_F(BlobPlanTest, BlobsHaveNothingToDoWithEachOtherAndOldFetchesAreForgotten) {
  EXPECT_EQ(Ask(1), std::nullopt);
  EXPECT_EQ(Ask(2, "d2"), std::nullopt);
  EXPECT_EQ(plan_.fetches(), 2u);
  now_ += 16min;
  EXPECT_EQ(Ask(3), std::nullopt) << "the first is not heard of any more";
  EXPECT_EQ(plan_.fetches(), 1u);
}

}  // namespace
}  // namespace bramble::controller
