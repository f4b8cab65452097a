// SPDX-License-Identifier: Apache-2.0
#include "controller/network/address_plan.h"

#include <set>

#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

std::string Text(AddressRange range) {
  return range.size() == 0 ? "none" : AddressText(range.first) + "-" + AddressText(range.last);
}

TEST(AddressPlanTest, IsTheDocumentedTableForTheDefaultPrefix) {
  const AddressPlan plan = AddressPlan::Make("172.16.0.0/24").value();

  EXPECT_EQ(plan.gateway(), "172.16.0.1");
  EXPECT_EQ(Text(plan.nodes()), "172.16.0.11-172.16.0.63");
  EXPECT_EQ(Text(plan.containers()), "172.16.0.64-172.16.0.199");
  EXPECT_EQ(Text(plan.guests()), "172.16.0.200-172.16.0.223");
  EXPECT_EQ(Text(plan.floating()), "172.16.0.225-172.16.0.254");
  EXPECT_EQ(plan.WithLength("172.16.0.64"), "172.16.0.64/24");
}

TEST(AddressPlanTest, EveryLengthHasRangesThatDoNotOverlapAndStayInside) {
  for (int length = AddressPlan::kShortest; length <= AddressPlan::kLongest; ++length) {
    const AddressPlan plan = AddressPlan::Make("10.0.0.0/" + std::to_string(length)).value();
    std::set<uint32_t> seen = {ParseAddress(plan.gateway())};
    for (const AddressRange range :
         {plan.nodes(), plan.containers(), plan.guests(), plan.floating()}) {
      for (uint32_t i = 0; i < range.size(); ++i) {
        EXPECT_TRUE(seen.insert(range.first + i).second) << length;
        EXPECT_TRUE(plan.Contains(AddressText(range.first + i))) << length;
      }
    }
    EXPECT_GE(plan.nodes().size(), 2u) << length;
    EXPECT_GE(plan.containers().size(), 8u) << length;
    EXPECT_FALSE(seen.contains(ParseAddress("10.0.0.0") + (1u << (32 - length)) - 1))
        << "broadcast";
  }
}

TEST(AddressPlanTest, RefusesWhatIsNotAPrefixItCanShareOut) {
  for (const char* text :
       {"", "172.16.0.0", "172.16.0.0/15", "172.16.0.0/29", "172.16.0.5/24", "172.16.0/24",
        "172.16.0.0/024", "172.16.0.0/24x", "256.0.0.0/24", "fd00::/64"}) {
    EXPECT_FALSE(AddressPlan::Make(text).ok()) << text;
  }
}

TEST(AddressPlanTest, AMacIsStableLocalAndUnicast) {
  EXPECT_EQ(MacOf("abc"), MacOf("abc"));
  EXPECT_NE(MacOf("abc"), MacOf("abd"));
  for (const char* id : {"", "a", "b", "0123456789abcdefghjkmnpqrs"}) {
    const int first = std::stoi(MacOf(id).substr(0, 2), nullptr, 16);
    EXPECT_EQ(first & 3, 2) << id;
    EXPECT_EQ(MacOf(id).size(), 17u);
  }
}

TEST(AddressPlanTest, ARangeThatIsSetReplacesTheFormula) {
  const api::IpRanges set = {{"guests", api::ParseIpRange("172.16.0.210-172.16.0.223").value()},
                             {"containers", api::ParseIpRange("172.16.0.64-172.16.0.209").value()}};
  const AddressPlan plan = AddressPlan::Make("172.16.0.0/24", set).value();
  EXPECT_EQ(Text(plan.guests()), "172.16.0.210-172.16.0.223");
  EXPECT_EQ(Text(plan.containers()), "172.16.0.64-172.16.0.209");
  EXPECT_EQ(Text(plan.nodes()), "172.16.0.11-172.16.0.63");
  EXPECT_EQ(plan.UseOf(ParseAddress("172.16.0.209")), api::AddressUse::kContainers);
  EXPECT_EQ(plan.UseOf(ParseAddress("172.16.0.224")), std::nullopt);
  EXPECT_EQ(plan.UseOf(ParseAddress("172.16.0.255")), std::nullopt);
}

TEST(AddressPlanTest, RangesThatOverlapOrLeaveThePrefixAreRefused) {
  const auto refusal = [](std::string_view use, std::string_view range) {
    const api::IpRanges set = {{std::string(use), api::ParseIpRange(range).value()}};
    const absl::Status status = AddressPlan::Make("172.16.0.0/24", set).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << range;
    return std::string(status.message());
  };
  EXPECT_NE(refusal("guests", "172.16.0.190-172.16.0.223").find("overlap"), std::string::npos);
  EXPECT_NE(refusal("nodes", "172.16.1.2-172.16.1.9").find("outside"), std::string::npos);
  EXPECT_NE(refusal("floating", "172.16.0.225-172.16.0.255").find("broadcast"), std::string::npos);
  EXPECT_NE(refusal("servers", "172.16.0.0-172.16.0.5").find("network"), std::string::npos);
  EXPECT_NE(refusal("servers", "172.16.0.1-172.16.0.5").find("controller's own"),
            std::string::npos);
}

}  // namespace
}  // namespace bramble::controller
