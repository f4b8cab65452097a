// SPDX-License-Identifier: Apache-2.0
#include "node/network/rate_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RatePlanTest, ShapesWhatGoesInAtThePortAndWhatComesOutAtAnInterfaceOfItsOwn) {
  const RatePlan plan = PlanRate({.interface = "vb-abc",
                                  .in_bits_per_second = 20'000'000,
                                  .out_bits_per_second = 10'000'000},
                                 /*has_shaper=*/false)
                            .value();
  EXPECT_THAT(plan.link_lines,
              ElementsAre("link add name ib-abc type ifb", "link set dev ib-abc up"));
  EXPECT_THAT(
      plan.tc_lines,
      ElementsAre("qdisc replace dev vb-abc root tbf rate 20000000bit burst 25000 latency 100ms",
                  "qdisc replace dev ib-abc root tbf rate 10000000bit burst 12500 latency 100ms",
                  "qdisc replace dev vb-abc ingress",
                  "filter replace dev vb-abc ingress protocol all prio 1 handle 800::1 u32 match "
                  "u32 0 0 action mirred egress redirect dev ib-abc"));
}

TEST(RatePlanTest, TakesAwayWhatIsNoLongerLimited) {
  const RatePlan plan = PlanRate({.interface = "vb-abc"}, /*has_shaper=*/true).value();
  EXPECT_THAT(plan.link_lines, ElementsAre("link del dev ib-abc"));
  EXPECT_THAT(plan.tc_lines,
              ElementsAre("qdisc del dev vb-abc root", "qdisc del dev vb-abc ingress"));
}

TEST(RatePlanTest, ASlowBucketStillHoldsAFrame) {
  const RatePlan plan =
      PlanRate({.interface = "vb-a", .in_bits_per_second = kLeastBitsPerSecond}, false).value();
  EXPECT_THAT(plan.tc_lines[0], HasSubstr("rate 8000bit burst 3200"));
}

TEST(RatePlanTest, RefusesARateThatIsNone) {
  for (const int64_t rate : {int64_t{-1}, int64_t{7'999}, kMostBitsPerSecond + 1}) {
    const absl::Status status =
        PlanRate({.interface = "vb-a", .out_bits_per_second = rate}, false).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rate;
    EXPECT_THAT(std::string(status.message()), HasSubstr("vb-a"));
  }
}

}  // namespace
}  // namespace bramble::node
