// SPDX-License-Identifier: Apache-2.0
#include "node/clock/wall_setter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/temporary_directory.h"

namespace bramble::node {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(WallSetterTest, AClockIsSteppedOnlyBeyondTheBound) {
  const WallTime now{seconds(1'790'000'000)};
  EXPECT_EQ(ClockStep(now, now), std::nullopt);
  EXPECT_EQ(ClockStep(now, now + kMaxClockError), std::nullopt);
  EXPECT_EQ(ClockStep(now + kMaxClockError, now), std::nullopt);
  EXPECT_EQ(ClockStep(now, now + milliseconds(5'001)), milliseconds(5'001));
  EXPECT_EQ(ClockStep(now + hours(1), now), -hours(1)) << "back, and said so";
  EXPECT_EQ(ClockStep(WallTime{}, now), now.time_since_epoch()) << "a board that starts in 1970";
}

TEST(WallSetterTest, TheFloorIsTheLatestFileThatIsThere) {
  const TemporaryDirectory directory;
  for (const auto& [name, time] :
       {std::pair("old", 1'000'000'000), std::pair("new", 1'700'000'000)}) {
    ASSERT_TRUE(WriteFileAtomically(directory / name, "").ok());
    const timespec times[2] = {{.tv_sec = time, .tv_nsec = 0}, {.tv_sec = time, .tv_nsec = 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (directory / name).c_str(), times, 0), 0);
  }
  EXPECT_EQ(BuildTimeFloor({directory / "old", directory / "new", directory / "none"}),
            WallTime(seconds(1'700'000'000)));
  EXPECT_EQ(BuildTimeFloor({directory / "none"}), WallTime{});
}

}  // namespace
}  // namespace bramble::node
