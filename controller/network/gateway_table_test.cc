// SPDX-License-Identifier: Apache-2.0
#include "controller/network/gateway_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

GatewaySettings Some() {
  return {
      .interface = "br0",
      .uplink = "eth0",
      .prefix = Ipv4Prefix::Parse("172.16.0.0/24").value(),
      .masquerade = true,
      .forwards = {{.port = 8080, .address = Ipv4::Parse("172.16.0.64").value(), .to_port = 80}}};
}

TEST(GatewayTableTest, ReplacesItsTableWholeAndNothingElse) {
  const std::string text = WriteGatewayTable(Some()).value();
  EXPECT_TRUE(text.starts_with(
      "add table ip bramble_gateway\ndelete table ip bramble_gateway\ntable ip bramble_gateway {"));
  EXPECT_THAT(text, Not(HasSubstr("flush")));
  EXPECT_THAT(text, HasSubstr("oifname \"eth0\" ip saddr 172.16.0.0/24 masquerade"));
  EXPECT_THAT(text, HasSubstr("iifname \"eth0\" fib daddr type local tcp dport 8080 dnat to "
                              "172.16.0.64:80"));
}

TEST(GatewayTableTest, WithNothingToRouteTheTableGoes) {
  GatewaySettings settings = Some();
  settings.masquerade = false;
  settings.forwards.clear();
  const std::string gone = "add table ip bramble_gateway\ndelete table ip bramble_gateway\n";
  EXPECT_EQ(WriteGatewayTable(settings).value(), gone);
  settings = Some();
  settings.uplink.clear();
  EXPECT_EQ(WriteGatewayTable(settings).value(), gone);
}

TEST(GatewayTableTest, WithoutMasqueradeOnlyForwardsPass) {
  GatewaySettings settings = Some();
  settings.masquerade = false;
  const std::string text = WriteGatewayTable(settings).value();
  EXPECT_THAT(text, Not(HasSubstr("masquerade\n")));
  EXPECT_THAT(text, HasSubstr("ct status dnat accept"));
  EXPECT_THAT(text, HasSubstr("iifname \"br0\" oifname != \"br0\" drop"));
}

TEST(GatewayTableTest, RefusesNamesThatCouldBecomeRules) {
  for (const char* bad : {"", "a\"b", "eth0\n", "eth 0", "averylonginterfacename", "eth*"}) {
    GatewaySettings settings = Some();
    settings.uplink = *bad == '\0' ? "eth0" : bad;
    settings.interface = *bad == '\0' ? "" : "br0";
    EXPECT_FALSE(WriteGatewayTable(settings).ok()) << bad;
  }
}

}  // namespace
}  // namespace bramble::controller
