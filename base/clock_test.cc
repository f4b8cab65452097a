// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

TEST(ClockTest, TimesGoToTextAndBack) {
  const WallTime time(std::chrono::milliseconds(1'795'253'400'123));
  EXPECT_EQ(FormatTime(time), "2026-11-21T09:30:00.123Z");
  EXPECT_EQ(ParseTime(FormatTime(time)).value(), time);
  EXPECT_FALSE(ParseTime("yesterday").ok());
}

}  // namespace
}  // namespace bramble
