// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

TEST(ClockTest, TimesGoToTextAndBack) {
  const WallTime time(std::chrono::milliseconds(1'795'253'400'123));
  EXPECT_EQ(FormatTime(time), "2026-11-21T09:30:00.123Z");
  EXPECT_EQ(ParseTime(FormatTime(time)).value(), time);
  EXPECT_EQ(FormatTime(WallTime{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatTime(WallTime(std::chrono::milliseconds(-1))), "1969-12-31T23:59:59.999Z");
  EXPECT_FALSE(ParseTime("yesterday").ok());
}

}  // namespace
}  // namespace bramble
