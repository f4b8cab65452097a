// SPDX-License-Identifier: Apache-2.0
#include "node/network/rate_plan.h"

#include <algorithm>

#include "base/status.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

// A bucket holds what the rate gives in 10 ms (a kernel of 100 Hz refills no oftener), and two
// full frames at least.  Source: tc-tbf(8), "burst".
constexpr int64_t kBurstsPerSecond = 100;
constexpr int64_t kLeastBurstBytes = 2 * 1600;
constexpr std::string_view kLatency = "100ms";

std::string Bucket(std::string_view device, int64_t bits_per_second) {
  const int64_t burst = std::max(bits_per_second / 8 / kBurstsPerSecond, kLeastBurstBytes);
  return StrCat("qdisc replace dev ", device, " root tbf rate ", bits_per_second, "bit burst ",
                burst, " latency ", kLatency);
}

absl::Status CheckRate(std::string_view interface, int64_t bits_per_second) {
  if (bits_per_second != 0 &&
      (bits_per_second < kLeastBitsPerSecond || bits_per_second > kMostBitsPerSecond)) {
    return absl::InvalidArgumentError(StrCat("interface ", interface, ": a limit of ",
                                             bits_per_second, " bit/s; write ", kLeastBitsPerSecond,
                                             " to ", kMostBitsPerSecond));
  }
  return absl::OkStatus();
}

}  // namespace

std::string ShaperOf(std::string_view interface) {
  const size_t dash = interface.find('-');
  return StrCat("ib-", interface.substr(dash == std::string_view::npos ? 0 : dash + 1));
}

absl::StatusOr<RatePlan> PlanRate(const PortRate& rate, bool has_shaper) {
  BRAMBLE_RETURN_IF_ERROR(CheckRate(rate.interface, rate.in_bits_per_second));
  BRAMBLE_RETURN_IF_ERROR(CheckRate(rate.interface, rate.out_bits_per_second));
  RatePlan plan;
  const std::string& port = rate.interface;
  plan.tc_lines.push_back(rate.in_bits_per_second > 0 ? Bucket(port, rate.in_bits_per_second)
                                                      : StrCat("qdisc del dev ", port, " root"));
  const std::string shaper = ShaperOf(port);
  if (rate.out_bits_per_second == 0) {
    plan.tc_lines.push_back(StrCat("qdisc del dev ", port, " ingress"));
    if (has_shaper) {
      plan.link_lines.push_back(StrCat("link del dev ", shaper));
    }
    return plan;
  }
  if (!has_shaper) {
    plan.link_lines.push_back(StrCat("link add name ", shaper, " type ifb"));
  }
  plan.link_lines.push_back(StrCat("link set dev ", shaper, " up"));
  plan.tc_lines.push_back(Bucket(shaper, rate.out_bits_per_second));
  plan.tc_lines.push_back(StrCat("qdisc replace dev ", port, " ingress"));
  plan.tc_lines.push_back(StrCat("filter replace dev ", port,
                                 " ingress protocol all prio 1 handle 800::1 u32 match u32 0 0 "
                                 "action mirred egress redirect dev ",
                                 shaper));
  return plan;
}

}  // namespace bramble::node
