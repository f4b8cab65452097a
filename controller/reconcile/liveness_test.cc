// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/liveness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/strings.h"

namespace bramble::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr BootTime kStart{seconds(1000)};
const NodeId kPi = NodeId::Trusted("pi");

LivenessChange Change(const NodeId& node, Liveness from, Liveness to) { return {node, from, to}; }

TEST(LivenessTest, SilenceIsATable) {
  const struct {
    milliseconds silence;
    Liveness expected;
  } rows[] = {
      {milliseconds(-5), Liveness::kReady},       {milliseconds(0), Liveness::kReady},
      {milliseconds(29'999), Liveness::kReady},   {milliseconds(30'000), Liveness::kSuspect},
      {milliseconds(59'999), Liveness::kSuspect}, {milliseconds(60'000), Liveness::kUnreachable},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(LivenessAfter(row.silence, Timing{}), row.expected) << row.silence.count();
  }
}

TEST(LivenessTrackerTest, TellsEachChangeOnce) {
  LivenessTracker tracker{Timing{}};
  tracker.Watch(kPi, kStart);

  EXPECT_THAT(tracker.Advance(kStart + seconds(29)), IsEmpty());
  EXPECT_THAT(tracker.Advance(kStart + seconds(30)),
              ElementsAre(Change(kPi, Liveness::kReady, Liveness::kSuspect)));
  EXPECT_THAT(tracker.Advance(kStart + seconds(59)), IsEmpty());
  EXPECT_THAT(tracker.Advance(kStart + seconds(60)),
              ElementsAre(Change(kPi, Liveness::kSuspect, Liveness::kUnreachable)));
  EXPECT_THAT(tracker.Advance(kStart + seconds(9999)), IsEmpty());
  EXPECT_EQ(tracker.NextChange(), std::nullopt);

  EXPECT_EQ(tracker.OnHeard(kPi, kStart + seconds(10'000)),
            Change(kPi, Liveness::kUnreachable, Liveness::kReady));
  EXPECT_EQ(tracker.OnHeard(kPi, kStart + seconds(10'001)), std::nullopt);
}

TEST(LivenessTrackerTest, ALateLookSkipsTheStepBetween) {
  LivenessTracker tracker{Timing{}};
  tracker.Watch(kPi, kStart);

  EXPECT_THAT(tracker.Advance(kStart + seconds(100)),
              ElementsAre(Change(kPi, Liveness::kReady, Liveness::kUnreachable)));
}

TEST(LivenessTrackerTest, HearingPutsTheChangeOff) {
  LivenessTracker tracker{Timing{}};
  tracker.Watch(kPi, kStart);

  tracker.OnHeard(kPi, kStart + seconds(20));
  tracker.OnHeard(kPi, kStart + seconds(10));  // out of order: the later one counts

  EXPECT_THAT(tracker.Advance(kStart + seconds(49)), IsEmpty());
  EXPECT_EQ(tracker.NextChange(), kStart + seconds(50));
  EXPECT_EQ(tracker.Advance(kStart + seconds(50)).size(), 1u);
}

TEST(LivenessTrackerTest, AForgottenNodeIsNotReported) {
  LivenessTracker tracker{Timing{}};
  tracker.Watch(kPi, kStart);

  tracker.Forget(kPi);
  tracker.Forget(kPi);

  EXPECT_THAT(tracker.Advance(kStart + seconds(999)), IsEmpty());
  EXPECT_EQ(tracker.LastHeard(kPi), std::nullopt);
  EXPECT_EQ(tracker.StateOf(kPi), Liveness::kUnreachable);
}

TEST(LivenessTrackerTest, LongestSilenceComesFirst) {
  LivenessTracker tracker{Timing{}};
  tracker.Watch(NodeId::Trusted("b"), kStart + seconds(1));
  tracker.Watch(NodeId::Trusted("c"), kStart + seconds(1));
  tracker.Watch(NodeId::Trusted("a"), kStart + seconds(2));
  tracker.Watch(NodeId::Trusted("z"), kStart);

  std::vector<std::string> order;
  for (const LivenessChange& change : tracker.Advance(kStart + seconds(99))) {
    order.push_back(change.node.str());
  }

  EXPECT_THAT(order, ElementsAre("z", "b", "c", "a"));
}

// Whatever is heard when, and however often it looks, the tracker's state is that of the silence.
TEST(LivenessTrackerTest, AgreesWithTheTableOnRandomHistories) {
  SeededRandom random(3);
  LivenessTracker tracker{Timing{}};
  std::map<NodeId, std::pair<BootTime, Liveness>> model;
  BootTime now = kStart;
  for (int step = 0; step < 20'000; ++step) {
    now += milliseconds(random.Below(3000));
    const NodeId node = NodeId::Trusted(StrCat("n", random.Below(20)));
    if (random.Below(4) > 0) {
      const auto known = model.find(node);
      const bool was_silent = known != model.end() && known->second.second != Liveness::kReady;
      EXPECT_EQ(tracker.OnHeard(node, now).has_value(), was_silent);
      model[node] = {now, Liveness::kReady};
    }
    const bool due = tracker.NextChange().value_or(BootTime::max()) <= now;
    if (random.Below(2) == 0) {
      size_t changed = 0;
      for (auto& [id, entry] : model) {
        const Liveness state = LivenessAfter(now - entry.first, Timing{});
        changed += state != entry.second ? 1 : 0;
        entry.second = state;
      }
      EXPECT_TRUE(changed == 0 || due) << "NextChange is never too late";
      EXPECT_EQ(tracker.Advance(now).size(), changed);
      for (const auto& [id, entry] : model) {
        EXPECT_EQ(tracker.StateOf(id), entry.second);
      }
    }
  }
}

}  // namespace
}  // namespace bramble::controller
