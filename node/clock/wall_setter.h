// SPDX-License-Identifier: Apache-2.0
#pragma once

// The machine's wall clock, for a board that has none of its own: set to the time that the
// controller signed (DESIGN, section 6, "Time").

#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/clock.h"

#include "absl/status/status.h"

namespace bramble::node {

// A clock that is off by less is left alone.
inline constexpr std::chrono::milliseconds kMaxClockError{5'000};

// By how much `wall` is to be stepped to be right; nullopt: it is right enough.  Negative: back.
// Pure.
std::optional<std::chrono::milliseconds> ClockStep(WallTime wall, WallTime right);

class WallSetter {
 public:
  virtual ~WallSetter() = default;
  // Whether something else keeps the clock (NTP): then nobody else may step it.
  virtual bool KeptByAnother() const = 0;
  virtual absl::Status Set(WallTime time) = 0;
};

// Of this machine, which all processes on it share.
class SystemWallSetter : public WallSetter {
 public:
  // Whether this process may set it (CAP_SYS_TIME: capabilities(7)).
  static bool Allowed();
  // Whether the kernel counts the clock as synchronised: adjtimex(2), STA_UNSYNC.
  bool KeptByAnother() const override;
  absl::Status Set(WallTime time) override;
};

// The latest of the files' times of change: what was built then cannot run before.  Files that are
// not there do not count; none there: 1970.
WallTime BuildTimeFloor(const std::vector<std::filesystem::path>& files);

}  // namespace bramble::node
