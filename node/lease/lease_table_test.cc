// SPDX-License-Identifier: Apache-2.0
#include "node/lease/lease_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace bramble::node {

// Found by argument-dependent lookup only here.
static bool operator==(const LeaseTable::Signal& a, const LeaseTable::Signal& b) {
  return a.handle == b.handle && a.signal == b.signal && a.group == b.group;
}

namespace {

using Signal = LeaseTable::Signal;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kHalt = SIGPWR;

TEST(LeaseTableTest, HaltsAtTheDeadlineAndKillsAfterTheStopTimeOnceEach) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", 7, kHalt);

  EXPECT_THAT(table.Due(999), IsEmpty());
  EXPECT_EQ(table.NextWake(), 1000);
  EXPECT_THAT(table.Due(1000), ElementsAre(Signal{7, kHalt}));
  EXPECT_EQ(table.NextWake(), 1300);
  EXPECT_THAT(table.Due(1299), IsEmpty());
  EXPECT_THAT(table.Due(1300), ElementsAre(Signal{7, SIGKILL}));
  EXPECT_THAT(table.Due(9999), IsEmpty());
  EXPECT_EQ(table.NextWake(), std::nullopt);
}

TEST(LeaseTableTest, ARenewalMovesTheDeadlineAndNeverBack) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", 7, kHalt);
  table.Renew(2000, 300);
  table.Renew(1500, 300);
  EXPECT_THAT(table.Due(1999), IsEmpty());
  EXPECT_THAT(table.Due(2000), ElementsAre(Signal{7, kHalt}));
}

TEST(LeaseTableTest, WhatWasToldToHaltIsKilledThoughTheLeaseCameBack) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", 7, kHalt);
  table.Due(1000);
  table.Renew(5000, 300);
  table.Hold("b", 8, kHalt);
  EXPECT_THAT(table.Due(1300), ElementsAre(Signal{7, SIGKILL}));
  EXPECT_EQ(table.NextWake(), 5000);
}

TEST(LeaseTableTest, AHolderThatWakesLateKillsAtOnce) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", 7, kHalt);
  EXPECT_THAT(table.Due(1400), ElementsAre(Signal{7, SIGKILL}));
}

TEST(LeaseTableTest, WithoutALeaseNothingMayRun) {
  LeaseTable table;
  table.Hold("a", 7, kHalt);
  EXPECT_THAT(table.Due(int64_t{1} << 50), ElementsAre(Signal{7, SIGKILL}));
}

TEST(LeaseTableTest, WhatAnAgentDoesNotNameAgainIsReleased) {
  LeaseTable table;
  table.Renew(1000, 300);
  EXPECT_EQ(table.Hold("a", 7, kHalt), std::nullopt);
  EXPECT_EQ(table.Hold("b", 8, kHalt), std::nullopt);
  EXPECT_EQ(table.Hold("b", 9, kHalt), 8);
  table.Begin();
  table.Hold("b", 10, kHalt);
  EXPECT_THAT(table.End(), ElementsAre(7));
  EXPECT_EQ(table.Release("a"), std::nullopt);
  EXPECT_EQ(table.Release("b"), 10);
  EXPECT_EQ(table.NextWake(), std::nullopt);
}

constexpr int kNone = LeaseTable::kNoHandle;
constexpr int64_t kSecond = 1'000'000'000;

TEST(LeaseTableTest, WhatIsBeingStartedIsKilledByItsGroupFromTheDeadlineOnAndAgain) {
  LeaseTable table;
  table.Renew(10 * kSecond, 30 * kSecond);
  table.Hold("a", kNone, 0, "/group/a");

  EXPECT_THAT(table.Due(10 * kSecond - 1), IsEmpty());
  EXPECT_EQ(table.NextWake(), 10 * kSecond);
  EXPECT_THAT(table.Due(10 * kSecond), ElementsAre(Signal{kNone, SIGKILL, "/group/a"}))
      << "it has nothing to halt for";
  // Whoever starts it may be late.
  int64_t now = 10 * kSecond;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(table.NextWake(), now + LeaseTable::kSweepNs);
    EXPECT_THAT(table.Due(now + LeaseTable::kSweepNs - 1), IsEmpty());
    now += LeaseTable::kSweepNs;
    EXPECT_THAT(table.Due(now), ElementsAre(Signal{kNone, SIGKILL, "/group/a"}));
  }
  now += LeaseTable::kSweepSoonForNs;
  table.Due(now);
  EXPECT_EQ(table.NextWake(), now + LeaseTable::kSweepLaterNs);
  EXPECT_EQ(table.Release("a"), std::nullopt) << "there is no handle to close";
  EXPECT_EQ(table.NextWake(), std::nullopt);
}

TEST(LeaseTableTest, OnceItsInitIsKnownItIsHaltedFirstAndItsGroupIsLookedThroughAfterTheKill) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", kNone, 0, "/group/a");
  table.Hold("a", 7, kHalt, "/group/a");

  EXPECT_THAT(table.Due(1000), ElementsAre(Signal{7, kHalt}));
  EXPECT_THAT(table.Due(1300), ElementsAre(Signal{7, SIGKILL}, Signal{kNone, SIGKILL, "/group/a"}))
      << "a container that restarted itself has another init by now";
}

TEST(LeaseTableTest, AHolderThatIsStartedAnewKillsByItsGroupsWhatItHeldWhenTheStopTimeIsOver) {
  LeaseTable before;
  before.Renew(1000, 300);
  before.Hold("a", 7, kHalt, "/cgroup/with a space/a");
  before.Hold("starting", LeaseTable::kNoHandle, 0, "/cgroup/b");
  before.Hold("without-group", 8, kHalt);

  LeaseTable after;
  ASSERT_TRUE(after.Restore(before.Format()));

  EXPECT_EQ(after.deadline_ns(), 1000);
  EXPECT_EQ(after.size(), 2u) << "what has no group cannot be known again";
  EXPECT_THAT(after.Handles(), IsEmpty());
  EXPECT_EQ(after.NextWake(), 1000);
  EXPECT_THAT(after.Due(1299), IsEmpty());
  EXPECT_THAT(after.Due(1300),
              ElementsAre(Signal{LeaseTable::kNoHandle, SIGKILL, "/cgroup/with a space/a"},
                          Signal{LeaseTable::kNoHandle, SIGKILL, "/cgroup/b"}));
}

TEST(LeaseTableTest, AnAgentThatComesBackToANewHolderTakesAllOver) {
  LeaseTable before;
  before.Renew(1000, 300);
  before.Hold("a", 7, kHalt, "/cgroup/a");
  before.Hold("b", 8, kHalt, "/cgroup/b");
  LeaseTable after;
  ASSERT_TRUE(after.Restore(before.Format()));

  after.Renew(2000, 300);
  after.Begin();
  after.Hold("a", 17, kHalt, "/cgroup/a");
  after.End();

  EXPECT_EQ(after.size(), 1u);
  EXPECT_THAT(after.Due(1999), IsEmpty());
  EXPECT_THAT(after.Due(2000), ElementsAre(Signal{17, kHalt}));
}

TEST(LeaseTableTest, AStateThatIsCutOrOfSomethingElseIsNotTaken) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", 7, kHalt, "/cgroup/a");
  const std::string good = table.Format();
  for (size_t size = 0; size < good.size(); ++size) {
    LeaseTable other;
    other.Renew(5, 5);
    const bool whole_lines = good[size - (size > 0 ? 1 : 0)] == '\n' && size > 23;
    EXPECT_EQ(other.Restore(std::string_view(good).substr(0, size)), whole_lines) << size;
    EXPECT_EQ(other.deadline_ns(), whole_lines ? 1000 : 5);
  }
  for (const char* bad :
       {"bramble-lease-holder 2\n1 1\n", "bramble-lease-holder 1\n-1 1\n",
        "bramble-lease-holder 1\n99999999999999999999 1\n", "bramble-lease-holder 1\n1 1\n \n",
        "bramble-lease-holder 1\n1 1\nid \n"}) {
    LeaseTable other;
    EXPECT_FALSE(other.Restore(bad)) << bad;
  }
}

TEST(LeaseTableTest, WhatTheAgentNoLongerNamesIsNotLookedFor) {
  LeaseTable table;
  table.Renew(1000, 300);
  table.Hold("a", kNone, 0, "/group/a");
  table.Begin();
  EXPECT_THAT(table.End(), IsEmpty());
  EXPECT_THAT(table.Due(2000), IsEmpty());
}

}  // namespace
}  // namespace bramble::node
