// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"

namespace bramble::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kStart{seconds(1000)};

FailoverQuery Silent() {
  return {.movable = true,
          .wanted_running = true,
          .node_unreachable = true,
          .facts = {.last_renewal = kStart + seconds(500), .controller_start = kStart}};
}

TEST(LeaseTest, CountsFromTheLastRenewalOrTheStart) {
  const Timing timing;
  EXPECT_EQ(
      MayPlaceAgainAt({.last_renewal = kStart + seconds(500), .controller_start = kStart}, timing),
      kStart + seconds(800));
  EXPECT_EQ(MayPlaceAgainAt({.controller_start = kStart}, timing), kStart + seconds(300))
      << "a restart grants every node the full time";
  EXPECT_EQ(
      MayPlaceAgainAt({.last_renewal = kStart + seconds(1), .controller_start = kStart}, timing),
      kStart + seconds(301));
}

TEST(LeaseTest, LeasesGivenBeforeTheConfigurationWasShortenedStillCount) {
  const Timing fast = *TimingPreset("fast");
  const LeaseFacts facts = {.last_renewal = kStart + seconds(5),
                            .controller_start = kStart,
                            .previous_lost_after = seconds(300)};

  EXPECT_EQ(MayPlaceAgainAt(facts, fast), kStart + seconds(300));
}

TEST(LeaseTest, FailoverIsATable) {
  const BootTime due = kStart + seconds(800);
  const struct {
    const char* what;
    std::function<void(FailoverQuery&)> change;
    BootTime now;
    Failover expected;
  } rows[] = {
      {"lease may be held", [](FailoverQuery&) {}, due - milliseconds(1), Failover::kWait},
      {"lease has ended", [](FailoverQuery&) {}, due, Failover::kMove},
      {"pinned", [](FailoverQuery& q) { q.movable = false; }, due, Failover::kStay},
      {"stopped", [](FailoverQuery& q) { q.wanted_running = false; }, due, Failover::kStay},
      {"heard", [](FailoverQuery& q) { q.node_unreachable = false; }, due, Failover::kStay},
      {"frozen", [](FailoverQuery& q) { q.pool_frozen = true; }, due, Failover::kFrozen},
      {"frozen early", [](FailoverQuery& q) { q.pool_frozen = true; }, kStart, Failover::kFrozen},
      {"adopting", [](FailoverQuery& q) { q.adopting = true; }, due, Failover::kFrozen},
  };
  for (const auto& row : rows) {
    FailoverQuery query = Silent();
    row.change(query);
    const FailoverDecision decision = DecideFailover(query, Timing{}, row.now);
    EXPECT_EQ(decision.verdict, row.expected) << row.what;
    const bool explained = !decision.reason.empty();
    EXPECT_EQ(explained, query.node_unreachable && row.expected != Failover::kMove) << row.what;
    if (row.expected == Failover::kWait) {
      EXPECT_EQ(decision.not_before, due);
    }
  }
}

// No two copies: with any drift up to the limit, any delay of the renewal and any restart of the
// controller, the node has killed the container before it may be placed again.
TEST(LeaseTest, TheNodeHasKilledItBeforeItIsPlacedAgain) {
  SeededRandom random(11);
  for (int round = 0; round < 100'000; ++round) {
    Timing timing = random.Below(2) == 0 ? Timing{} : *TimingPreset("fast");
    timing.lease = seconds(5 + random.Below(300));
    timing.stop = seconds(1 + random.Below(60));
    timing.margin = milliseconds(1);
    timing.lost_after = MinLostAfter(timing);
    const auto sent = kStart + milliseconds(random.Below(1'000'000));
    const auto received = sent + milliseconds(random.Below(20'000));
    const bool restarted = random.Below(2) == 0;
    const LeaseFacts facts = {
        .last_renewal = restarted ? std::nullopt : std::optional(received),
        .controller_start = restarted ? received + milliseconds(random.Below(1000)) : kStart};

    // A node whose clock is slow by the drift holds on longest, seen from the controller.
    const auto held = timing.lease + timing.stop;
    const auto killed = sent + held + held * timing.clock_drift_percent / 100;

    ASSERT_LT(killed, MayPlaceAgainAt(facts, timing));
  }
}

TEST(MovePaceTest, LetsOneLostNodeGoPerPace) {
  MovePace pace{Timing{}};
  const NodeId a = NodeId::Trusted("a");
  const NodeId b = NodeId::Trusted("b");

  EXPECT_TRUE(pace.Take(a, kStart));
  EXPECT_TRUE(pace.Take(a, kStart)) << "all containers of one node go together";
  EXPECT_FALSE(pace.Take(b, kStart + seconds(9)));
  EXPECT_TRUE(pace.Take(b, kStart + seconds(10)));
  pace.Forget(a);
  EXPECT_FALSE(pace.Take(a, kStart + seconds(11))) << "lost again: it takes its turn";
}

}  // namespace
}  // namespace bramble::controller
