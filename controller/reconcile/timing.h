// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bramble::controller {

// How long the cluster waits for what.  All of it is configuration; CheckTiming says what fits.
struct Timing {
  std::chrono::milliseconds heartbeat_min{10'000};
  std::chrono::milliseconds suspect_after{30'000};
  std::chrono::milliseconds unreachable_after{60'000};
  std::chrono::milliseconds lease{120'000};  // the node counts it from when it sent the renewal
  std::chrono::milliseconds stop{30'000};    // after the lease ran out, until the kill
  std::chrono::milliseconds margin{10'000};  // on top, for what nobody thought of
  std::chrono::milliseconds lost_after{300'000};  // a movable container is placed again, not before
  int64_t clock_drift_percent = 1;                // between a node's clock and the controller's
  std::chrono::milliseconds move_pace{10'000};  // at most one lost node's containers per this time

  friend bool operator==(const Timing&, const Timing&) = default;
};

// "default", or "fast": a lease of 15 s, so that a movable container is elsewhere within 45 s.
// kInvalidArgument: another name.
absl::StatusOr<Timing> TimingPreset(std::string_view name);

// The shortest `lost_after` that cannot make two copies: lease + stop, drifted, + margin, in whole
// seconds: 162 s by default.
std::chrono::milliseconds MinLostAfter(const Timing& timing);

// kInvalidArgument: a time that is not positive, an order that is wrong (heartbeat, suspect,
// unreachable, lost), a lease that two missed heartbeats would end, or lost_after below
// MinLostAfter.
absl::Status CheckTiming(const Timing& timing);

// What a node is told: max(heartbeat_min, nodes / 500 s), so that a controller hears at most 500 a
// second.  The node adds jitter of its own.
std::chrono::milliseconds HeartbeatInterval(const Timing& timing, size_t nodes);

}  // namespace bramble::controller
