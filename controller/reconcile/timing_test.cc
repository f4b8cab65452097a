// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/timing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/strings.h"

namespace bramble::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(TimingTest, ThePresetsAreSafe) {
  EXPECT_TRUE(CheckTiming(Timing{}).ok());
  EXPECT_EQ(*TimingPreset("default"), Timing{});
  EXPECT_TRUE(CheckTiming(*TimingPreset("fast")).ok());
  EXPECT_FALSE(TimingPreset("faster").ok());
}

TEST(TimingTest, TheShortestLostAfterIs162SecondsByDefault) {
  EXPECT_EQ(MinLostAfter(Timing{}), seconds(162));
  EXPECT_LE(MinLostAfter(*TimingPreset("fast")), TimingPreset("fast")->lost_after);
  EXPECT_LE(TimingPreset("fast")->lost_after, seconds(45) - seconds(5)) << "time left to start it";
}

TEST(TimingTest, RefusesWhatCannotWork) {
  const struct {
    std::function<void(Timing&)> change;
    const char* message;
  } rows[] = {
      {[](Timing& t) { t.lost_after = seconds(161); }, "lost_after of 161 s could make two copies"},
      {[](Timing& t) { t.lease = seconds(0); }, "lease of 0 s"},
      {[](Timing& t) { t.stop = milliseconds(-1); }, "stop of -1 ms"},
      {[](Timing& t) { t.heartbeat_min = std::chrono::hours(25); }, "heartbeat of"},
      {[](Timing& t) { t.suspect_after = seconds(20); }, "suspect_after of 20 s"},
      {[](Timing& t) { t.unreachable_after = seconds(29); }, "unreachable_after of 29 s"},
      {[](Timing& t) { t.lease = seconds(37); }, "does not outlive"},
      {[](Timing& t) { t.clock_drift_percent = 11; }, "clock_drift_percent of 11"},
      {[](Timing& t) { t.move_pace = seconds(-1); }, "move_pace"},
  };
  for (const auto& row : rows) {
    Timing timing;
    row.change(timing);
    const absl::Status status = CheckTiming(timing);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(row.message));
  }
}

TEST(TimingTest, HeartbeatsNeverExceedFiveHundredASecond) {
  EXPECT_EQ(HeartbeatInterval(Timing{}, 0), seconds(10));
  EXPECT_EQ(HeartbeatInterval(Timing{}, 5000), seconds(10));
  EXPECT_EQ(HeartbeatInterval(Timing{}, 10'000), seconds(20));
}

}  // namespace
}  // namespace bramble::controller
