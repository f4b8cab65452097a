// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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
