// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"

namespace bramble::node {

// What time it is, on a machine whose clock may be anything: the time that the controller signed
// inside the pinned connection, carried on by CLOCK_BOOTTIME; before that the floor (the image's
// build time, or what was signed last).  Never goes back.  Pure.
class TrustedTime {
 public:
  explicit TrustedTime(WallTime floor) : floor_(floor) {}

  void OnSigned(WallTime time, BootTime now) {
    if (time >= At(now)) {
      signed_ = Point{time, now};
    }
  }
  void RaiseFloor(WallTime floor) { floor_ = std::max(floor_, floor); }
  // Whether it is more than a floor.
  bool known() const { return signed_.has_value(); }
  WallTime At(BootTime now) const {
    if (!signed_.has_value()) {
      return floor_;
    }
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - signed_->at);
    return std::max(floor_, signed_->time + passed);
  }

 private:
  struct Point {
    WallTime time;
    BootTime at;
  };
  WallTime floor_;
  std::optional<Point> signed_;
};

// When a certificate is to be renewed: at two thirds of its life.
constexpr WallTime RenewAt(WallTime not_before, WallTime not_after) {
  return not_before + (not_after - not_before) / 3 * 2;
}

}  // namespace bramble::node
