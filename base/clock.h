// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble {

// Time since boot, suspended time included (CLOCK_BOOTTIME): for every duration, deadline and
// lease.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

// Wall-clock time, in milliseconds: for people and certificates, never for a decision that a jump
// of the clock may not change.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

// The time, from outside.  Pure code takes the time as an argument instead.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual BootTime Boot() const = 0;
  virtual WallTime Wall() const = 0;
};

class SystemClock : public Clock {
 public:
  BootTime Boot() const override;
  WallTime Wall() const override;
};

// Stands still until told to move.
class FakeClock : public Clock {
 public:
  BootTime Boot() const override { return boot_; }
  WallTime Wall() const override { return wall_; }
  // Both clocks move on by `step`.
  void Advance(std::chrono::nanoseconds step);
  // Only the wall clock jumps.
  void SetWall(WallTime wall) { wall_ = wall; }

 private:
  BootTime boot_{std::chrono::seconds(1000)};
  WallTime wall_{std::chrono::seconds(1'700'000'000)};
};

// RFC 3339 in UTC with milliseconds: "2026-11-21T09:30:00.000Z".
std::string FormatTime(WallTime time);
absl::StatusOr<WallTime> ParseTime(std::string_view text);

}  // namespace bramble
