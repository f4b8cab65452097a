// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bandwidth limits of containers, as lines for `ip -batch` and `tc -batch`.  Pure.
//
// Into a container: a token bucket on its port.  Out of it: what its port receives is led through
// an interface of its own (IFB) with a token bucket, since a port shapes only what it sends; a
// policer would drop where a bucket delays, and not every kernel has one.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble::node {

inline constexpr int64_t kLeastBitsPerSecond = 8'000;
inline constexpr int64_t kMostBitsPerSecond = 100'000'000'000;

// 0: no limit.
struct PortRate {
  std::string interface;  // "vb-…"
  int64_t in_bits_per_second = 0;
  int64_t out_bits_per_second = 0;
  friend bool operator==(const PortRate&, const PortRate&) = default;
};

// The interface that shapes what comes out of a port: "vb-abc" -> "ib-abc".
std::string ShaperOf(std::string_view interface);

struct RatePlan {
  std::vector<std::string> link_lines;  // first
  std::vector<std::string> tc_lines;    // then
};

// What makes the port so, whatever it was before; `has_shaper`: its shaper is there.  Removing what
// is not there fails, so the caller runs tc with -force.  kInvalidArgument: a rate out of range.
absl::StatusOr<RatePlan> PlanRate(const PortRate& rate, bool has_shaper);

}  // namespace bramble::node
