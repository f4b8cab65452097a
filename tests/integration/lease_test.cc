// SPDX-License-Identifier: Apache-2.0
// The controller's reckoning of a lease against what the node's lease holder does, each by its own
// clock: no copy lives when the next may be placed.
#include "controller/reconcile/lease.h"

#include <gtest/gtest.h>

#include <csignal>

#include "base/random.h"
#include "node/lease/lease_table.h"

namespace bramble {
namespace {

using controller::LeaseFacts;
using controller::MayPlaceAgainAt;
using controller::Timing;
using node::LeaseTable;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr BootTime kStart{seconds(1000)};

// Runs slower than the controller's by `percent`, and began anywhere.
struct NodeClock {
  int64_t percent = 0;
  int64_t began_ns = 0;

  int64_t At(BootTime time) const {
    return began_ns + nanoseconds(time - kStart).count() * 100 / (100 + percent);
  }
  // The latest moment at which it may still show `node_ns`.
  BootTime When(int64_t node_ns) const {
    return kStart + nanoseconds((node_ns - began_ns + 1) * (100 + percent) / 100 + 1);
  }
};

// A node with one movable container.
class LeasedNode {
 public:
  explicit LeasedNode(NodeClock clock) : clock_(clock) {}

  void Start() { table_.Hold("c", 1, SIGPWR); }

  void Renew(BootTime sent, BootTime answered, const Timing& timing) {
    RunUntil(clock_.At(answered));
    table_.Renew(clock_.At(sent) + nanoseconds(timing.lease).count(),
                 nanoseconds(timing.stop).count());
  }
  void RunUntil(int64_t node_ns) {
    for (auto wake = table_.NextWake(); wake.has_value() && *wake <= node_ns;
         wake = table_.NextWake()) {
      for (const LeaseTable::Signal& signal : table_.Due(*wake)) {
        if (signal.signal == SIGKILL) {
          killed_ = clock_.When(*wake);
        }
      }
    }
  }
  // By the controller's clock; nullopt: it lives for ever.
  std::optional<BootTime> Killed() {
    RunUntil(INT64_MAX);
    return killed_;
  }

 private:
  const NodeClock clock_;
  LeaseTable table_;
  std::optional<BootTime> killed_;
};

// Heartbeats, of which some are lost on the way there and some on the way back, then silence.
// Whether the container was dead when the controller might place it again.
bool EndsInTime(Random& random, int64_t percent) {
  Timing timing;
  timing.lease = seconds(5 + random.Below(300));
  timing.stop = seconds(1 + random.Below(60));
  timing.margin = milliseconds(1);
  timing.lost_after = MinLostAfter(timing);
  LeasedNode node({.percent = percent, .began_ns = static_cast<int64_t>(random.Below(1u << 30))});
  LeaseFacts facts = {.controller_start = kStart};
  BootTime sent = kStart + milliseconds(random.Below(10'000));
  const uint64_t heartbeats = 1 + random.Below(20);
  for (uint64_t i = 0; i < heartbeats; ++i) {
    const BootTime received = sent + milliseconds(random.Below(1000));
    const BootTime answered = received + milliseconds(random.Below(1000));
    const uint64_t lost = i == 0 ? 0 : random.Below(4);  // 1: on its way, 2: its answer
    if (lost != 1) {
      facts.last_renewal = received;
    }
    if (lost == 0 || lost == 3) {
      node.Renew(sent, answered, timing);
    }
    if (i == 0) {
      node.Start();
    }
    sent = std::max(answered, sent + timing.lease / 4);
  }
  if (random.Below(2) == 0) {  // the controller is restarted, and knows of no lease
    facts = {.controller_start = sent};
  }
  const std::optional<BootTime> killed = node.Killed();
  return killed.has_value() && *killed < MayPlaceAgainAt(facts, timing);
}

TEST(LeaseOfBothSidesTest, TheNodeHasKilledItBeforeItIsPlacedAgain) {
  const Timing timing;
  SeededRandom random(11);
  for (int round = 0; round < 20'000; ++round) {
    const int64_t drift = timing.clock_drift_percent;
    const int64_t percent = static_cast<int64_t>(random.Below(2 * drift + 1)) - drift;
    ASSERT_TRUE(EndsInTime(random, percent)) << "round " << round << ", drift " << percent;
  }
}

TEST(LeaseOfBothSidesTest, AClockBeyondTheLimitWouldShow) {
  SeededRandom random(12);
  int late = 0;
  for (int round = 0; round < 1000; ++round) {
    late += EndsInTime(random, 3) ? 0 : 1;
  }
  EXPECT_GT(late, 0) << "the test above could not fail";
}

}  // namespace
}  // namespace bramble
