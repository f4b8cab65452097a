// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/timing.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kMaxHeartbeatsPerSecond = 500;

std::string Seconds(milliseconds time) {
  const int64_t count = time.count();
  return count % 1000 == 0 ? StrCat(count / 1000, " s") : StrCat(count, " ms");
}

}  // namespace

absl::StatusOr<Timing> TimingPreset(std::string_view name) {
  if (name == "default") {
    return Timing{};
  }
  if (name == "fast") {
    return Timing{.heartbeat_min = seconds(3),
                  .suspect_after = seconds(10),
                  .unreachable_after = seconds(20),
                  .lease = seconds(15),
                  .stop = seconds(10),
                  .margin = seconds(10),
                  .lost_after = seconds(36),
                  .move_pace = seconds(2)};
  }
  return absl::InvalidArgumentError(
      StrCat("timing preset \"", name, "\": expected default or fast"));
}

milliseconds MinLostAfter(const Timing& timing) {
  const milliseconds held = timing.lease + timing.stop;
  const milliseconds drift(held.count() * timing.clock_drift_percent / 100 + 1);
  const int64_t needed = (held + drift + timing.margin).count();
  return milliseconds((needed + 999) / 1000 * 1000);
}

absl::Status CheckTiming(const Timing& timing) {
  const auto refuse = [](const auto&... pieces) {
    return absl::InvalidArgumentError(StrCat("timing: ", pieces...));
  };
  for (const auto& [name, value] : {std::pair{"heartbeat", timing.heartbeat_min},
                                    {"suspect_after", timing.suspect_after},
                                    {"unreachable_after", timing.unreachable_after},
                                    {"lease", timing.lease},
                                    {"stop", timing.stop},
                                    {"margin", timing.margin}}) {
    if (value <= milliseconds(0) || value > std::chrono::hours(24)) {
      return refuse(name, " of ", Seconds(value), ": expected more than 0 and at most 24 h");
    }
  }
  if (timing.clock_drift_percent < 0 || timing.clock_drift_percent > 10) {
    return refuse("clock_drift_percent of ", timing.clock_drift_percent, ": expected 0 to 10");
  }
  if (timing.move_pace < milliseconds(0)) {
    return refuse("move_pace of ", Seconds(timing.move_pace), ": expected 0 or more");
  }
  if (timing.suspect_after <= 2 * timing.heartbeat_min) {
    return refuse("suspect_after of ", Seconds(timing.suspect_after),
                  " is not above two heartbeats of ", Seconds(timing.heartbeat_min));
  }
  if (timing.unreachable_after < timing.suspect_after) {
    return refuse("unreachable_after of ", Seconds(timing.unreachable_after),
                  " is below suspect_after of ", Seconds(timing.suspect_after));
  }
  if (timing.lease * 4 < timing.heartbeat_min * 15) {  // three heartbeats, each a quarter late
    return refuse("a lease of ", Seconds(timing.lease),
                  " does not outlive two missed heartbeats of ", Seconds(timing.heartbeat_min));
  }
  const milliseconds least = std::max(MinLostAfter(timing), timing.unreachable_after);
  if (timing.lost_after < least) {
    return refuse("lost_after of ", Seconds(timing.lost_after), " could make two copies: at least ",
                  Seconds(least), " (lease, stop, drift and margin; not before unreachable)");
  }
  return absl::OkStatus();
}

milliseconds HeartbeatInterval(const Timing& timing, size_t nodes) {
  const milliseconds by_count(static_cast<int64_t>(nodes) * 1000 / kMaxHeartbeatsPerSecond);
  return std::max(timing.heartbeat_min, by_count);
}

}  // namespace bramble::controller
