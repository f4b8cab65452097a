// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <ctime>

#include "base/strings.h"

#include "absl/time/time.h"

namespace bramble {

BootTime SystemClock::Boot() const {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return BootTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

WallTime SystemClock::Wall() const {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

void FakeClock::Advance(std::chrono::nanoseconds step) {
  boot_ += step;
  wall_ += std::chrono::duration_cast<std::chrono::milliseconds>(step);
}

std::string FormatTime(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ",
                          absl::FromUnixMillis(time.time_since_epoch().count()),
                          absl::UTCTimeZone());
}

absl::StatusOr<WallTime> ParseTime(std::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, &error)) {
    return absl::InvalidArgumentError(
        StrCat("not an RFC 3339 time such as 2026-11-21T09:30:00Z: ", error));
  }
  return WallTime(std::chrono::milliseconds(absl::ToUnixMillis(time)));
}

}  // namespace bramble
