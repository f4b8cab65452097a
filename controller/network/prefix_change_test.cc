// SPDX-License-Identifier: Apache-2.0
#include "controller/network/prefix_change.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }
AddressPlan Plan(std::string_view prefix, const api::IpRanges& set = {}) {
  return AddressPlan::Make(prefix, set).value();
}

AddressHolder Container(const std::string& name, std::string_view address) {
  return {"container", name, name, At(address), api::AddressUse::kContainers};
}

TEST(PrefixChangeTest, EverythingKeepsItsPlaceInTheRangeOfItsUse) {
  const api::NetworkPlan plan = PlanPrefixChange(
      Plan("172.16.0.0/24"), Plan("10.1.0.0/24"),
      {Container("web", "172.16.0.64"),
       Container("db", "172.16.0.99"),
       {"node", "n1", "pi-1", At("172.16.0.12"), api::AddressUse::kNodes},
       {"floating-ip", "172.16.0.226", "x", At("172.16.0.226"), api::AddressUse::kFloating}});

  EXPECT_THAT(plan.refusals, IsEmpty());
  ASSERT_THAT(plan.moves, SizeIs(5));
  EXPECT_EQ(plan.moves[0].kind, "controller");
  EXPECT_EQ(plan.moves[1].to, At("10.1.0.64"));
  EXPECT_EQ(plan.moves[2].to, At("10.1.0.99"));
  EXPECT_EQ(plan.moves[3].to, At("10.1.0.12"));
  EXPECT_EQ(plan.moves[4].to, At("10.1.0.226"));
}

TEST(PrefixChangeTest, WhatOthersUseIsGivenToNobody) {
  const api::NetworkPlan plan =
      PlanPrefixChange(Plan("172.16.0.0/24"), Plan("10.1.0.0/24"),
                       {Container("web", "172.16.0.64"), Container("db", "172.16.0.65")},
                       {At("10.1.0.64"), At("10.1.0.66")});
  EXPECT_THAT(plan.refusals, IsEmpty());
  EXPECT_EQ(plan.moves[1].to, At("10.1.0.67"));
  EXPECT_EQ(plan.moves[2].to, At("10.1.0.65")) << "what can keeps its place";

  const api::NetworkPlan gateway =
      PlanPrefixChange(Plan("172.16.0.0/24"), Plan("10.1.0.0/24"), {}, {At("10.1.0.1")});
  ASSERT_THAT(gateway.refusals, SizeIs(1));
  EXPECT_THAT(gateway.refusals[0], HasSubstr("10.1.0.1 is used by a machine"));
}

TEST(PrefixChangeTest, WhatIsStillRightStays) {
  const api::NetworkPlan same = PlanPrefixChange(Plan("172.16.0.0/24"), Plan("172.16.0.0/24"),
                                                 {Container("web", "172.16.0.64")});
  EXPECT_THAT(same.moves, IsEmpty());
  const api::NetworkPlan ranges = PlanPrefixChange(
      Plan("172.16.0.0/24"),
      Plan("172.16.0.0/24", {{"containers", {At("172.16.0.70"), At("172.16.0.199")}}}),
      {Container("web", "172.16.0.64"), Container("db", "172.16.0.99")});
  ASSERT_THAT(ranges.moves, SizeIs(1));
  EXPECT_EQ(ranges.moves[0].name, "web");
  EXPECT_EQ(ranges.moves[0].to, At("172.16.0.70"));
}

TEST(PrefixChangeTest, AWiderPrefixOverTheSameAddressesMovesWithoutCollisions) {
  std::vector<AddressHolder> holders;
  for (int i = 64; i < 200; ++i) {
    holders.push_back(Container("c" + std::to_string(i), "172.16.0." + std::to_string(i)));
  }
  const api::NetworkPlan plan =
      PlanPrefixChange(Plan("172.16.0.0/24"), Plan("172.16.0.0/22"), holders);
  EXPECT_THAT(plan.refusals, IsEmpty());
  std::set<Ipv4> taken;
  for (const api::NetworkMove& move : plan.moves) {
    EXPECT_TRUE(taken.insert(move.to).second) << move.to.str();
    EXPECT_TRUE(Plan("172.16.0.0/22").containers().Contains(move.to.bits()));
  }
}

TEST(PrefixChangeTest, WhatFindsNoRoomIsNamed) {
  std::vector<AddressHolder> holders;
  for (int i = 64; i < 80; ++i) {
    holders.push_back(Container("c" + std::to_string(i), "172.16.0." + std::to_string(i)));
  }
  const api::NetworkPlan plan =
      PlanPrefixChange(Plan("172.16.0.0/24"), Plan("172.16.9.0/28"), holders);
  ASSERT_THAT(plan.refusals, SizeIs(8));
  EXPECT_THAT(plan.refusals[0], HasSubstr("the range for containers has only 8 addresses"));
}

}  // namespace
}  // namespace bramble::controller
