// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/mass_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"

namespace bramble::controller {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr BootTime kStart{seconds(1000)};

NodeId Node(int number) { return NodeId::Trusted(StrCat("n", number)); }

class MassLossTest : public testing::Test {
 protected:
  void Pool(int count, const std::string& name = "default") {
    for (int i = 0; i < count; ++i) {
      breaker_.Put(Node(i), name);
    }
  }
  void Lose(int from, int to, BootTime now) {
    for (int i = from; i < to; ++i) {
      breaker_.OnUnreachable(Node(i), now);
    }
  }

  MassLossBreaker breaker_;
};

TEST_F(MassLossTest, TripsAboveBothLimitsAndNotAt) {
  const struct {
    int nodes;
    int lost;
    bool frozen;
  } rows[] = {
      {10, 3, false}, {10, 4, true}, {9, 3, true},     {3, 2, false},   {3, 3, true},
      {2, 2, false},  {4, 2, false}, {100, 30, false}, {100, 31, true},
  };
  for (const auto& row : rows) {
    breaker_ = MassLossBreaker();
    Pool(row.nodes);
    Lose(0, row.lost, kStart);
    EXPECT_THAT(breaker_.Advance(kStart), SizeIs(row.frozen ? 1 : 0));
    EXPECT_EQ(breaker_.Frozen("default"), row.frozen) << row.lost << " of " << row.nodes;
  }
}

TEST_F(MassLossTest, SaysWhatHappenedAndForWhichPool) {
  Pool(9);
  breaker_.Put(NodeId::Trusted("other"), "lab");
  Lose(0, 3, kStart);

  const std::vector<MassLossChange> changes = breaker_.Advance(kStart);

  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_TRUE(changes[0].frozen);
  EXPECT_EQ(breaker_.StatusText(),
            "pool \"default\": 3 of 9 nodes went silent within 10 minutes; nothing is moved until "
            "most are back");
  EXPECT_FALSE(breaker_.Frozen("lab"));
}

TEST_F(MassLossTest, LossesFurtherApartThanTheWindowAreFailures) {
  Pool(9);
  for (int i = 0; i < 9; ++i) {
    const BootTime now = kStart + minutes(5 * i);
    Lose(i, i + 1, now);
    breaker_.Advance(now);
    EXPECT_FALSE(breaker_.Frozen("default")) << "two in any ten minutes are never three: " << i;
  }
}

TEST_F(MassLossTest, ANodeAwayForLongCountsNeitherWay) {
  Pool(30);
  Lose(0, 1, kStart);
  for (int i = 1; i < 21; ++i) {  // one after the other: these are put away
    breaker_.Advance(kStart + minutes(6 * i));
    Lose(i, i + 1, kStart + minutes(6 * i));
  }
  const BootTime later = kStart + minutes(500);
  EXPECT_THAT(breaker_.Advance(later), IsEmpty());

  Lose(21, 24, later);
  EXPECT_THAT(breaker_.Advance(later), SizeIs(1)) << "3 of the 9 that were there";
}

TEST_F(MassLossTest, StaysFrozenOverTheNightAndThawsWhenMostAreBackForAWhile) {
  Pool(20);
  Lose(0, 20, kStart);
  ASSERT_THAT(breaker_.Advance(kStart), SizeIs(1));
  const BootTime morning = kStart + minutes(14 * 60);
  EXPECT_THAT(breaker_.Advance(morning), IsEmpty()) << "the night is longer than the window";
  EXPECT_EQ(breaker_.NextChange(), std::nullopt);

  for (int i = 0; i < 16; ++i) {
    breaker_.OnBack(Node(i));
  }
  EXPECT_THAT(breaker_.Advance(morning), IsEmpty());
  EXPECT_EQ(breaker_.NextChange(), std::nullopt) << "4 of 20 is above half the limit";

  breaker_.OnBack(Node(16));
  EXPECT_THAT(breaker_.Advance(morning + minutes(1)), IsEmpty()) << "3 of 20 is calm, but not long";
  EXPECT_EQ(breaker_.NextChange(), morning + minutes(6));

  EXPECT_THAT(breaker_.Advance(morning + minutes(6) - seconds(1)), IsEmpty());
  const std::vector<MassLossChange> changes = breaker_.Advance(morning + minutes(6));
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_FALSE(changes[0].frozen);
  EXPECT_THAT(changes[0].text, HasSubstr("the nodes are back"));
  EXPECT_FALSE(breaker_.Frozen("default"));
  EXPECT_EQ(breaker_.StatusText(), "");
  EXPECT_THAT(breaker_.Advance(morning + minutes(60)), IsEmpty()) << "the 3 are real failures";
}

TEST_F(MassLossTest, AFlickerDoesNotThaw) {
  Pool(10);
  Lose(0, 5, kStart);
  breaker_.Advance(kStart);
  for (int i = 0; i < 20; ++i) {
    const BootTime now = kStart + minutes(4 * i);
    for (int n = 0; n < 5; ++n) {
      breaker_.OnBack(Node(n));
    }
    breaker_.Advance(now);
    Lose(0, 5, now + minutes(3));
    breaker_.Advance(now + minutes(3));
    EXPECT_TRUE(breaker_.Frozen("default"));
  }
}

TEST_F(MassLossTest, APersonMayThaw) {
  Pool(10);
  Lose(0, 5, kStart);
  breaker_.Advance(kStart);

  breaker_.Thaw("default");
  breaker_.Thaw("no-such-pool");

  const std::vector<MassLossChange> changes = breaker_.Advance(kStart + seconds(1));
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_THAT(changes[0].text, HasSubstr("a person said"));
  EXPECT_THAT(breaker_.Advance(kStart + seconds(2)), IsEmpty()) << "the loss does not count again";
}

TEST_F(MassLossTest, NodesSwitchedOffOnAPersonsOrderDoNotCount) {
  Pool(10);
  for (int i = 0; i < 8; ++i) {
    breaker_.Remove(Node(i));
    breaker_.OnUnreachable(Node(i), kStart);
  }
  EXPECT_THAT(breaker_.Advance(kStart), IsEmpty());
}

TEST_F(MassLossTest, AFrozenPoolWhoseMissingNodesAreRemovedThaws) {
  Pool(10);
  Lose(0, 5, kStart);
  breaker_.Advance(kStart);
  for (int i = 0; i < 5; ++i) {
    breaker_.Remove(Node(i));
  }
  breaker_.Advance(kStart + seconds(1));

  EXPECT_THAT(breaker_.Advance(kStart + minutes(6)), SizeIs(1));
  EXPECT_FALSE(breaker_.Frozen("default"));
}

TEST_F(MassLossTest, ANodeMayChangeItsPool) {
  Pool(10);
  Lose(0, 3, kStart);
  breaker_.Put(Node(8), "lab");
  breaker_.Put(Node(9), "lab");

  breaker_.Advance(kStart);

  EXPECT_TRUE(breaker_.Frozen("default")) << "3 of the 8 that are left";
}

TEST_F(MassLossTest, ANodeThatWasLostLongBeforeTheStartCountsNeitherWay) {
  Pool(6);
  for (int i = 0; i < 3; ++i) {
    breaker_.Forgive(Node(i), kStart);
    breaker_.OnUnreachable(Node(i), kStart + seconds(60));
  }
  EXPECT_THAT(breaker_.Advance(kStart + seconds(60)), IsEmpty());
  breaker_.OnBack(Node(0));
  Lose(0, 1, kStart + seconds(61));
  Lose(3, 5, kStart + seconds(61));
  EXPECT_THAT(breaker_.Advance(kStart + seconds(61)), SizeIs(1)) << "3 of 4 that were there";
}

}  // namespace
}  // namespace bramble::controller
