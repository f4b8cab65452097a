// SPDX-License-Identifier: Apache-2.0
#include "node/network/bridge_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kAddresses[] = R"([
 {"ifname":"lo","flags":["LOOPBACK","UP"],"address":"00:00:00:00:00:00",
  "addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
 {"ifname":"eth0","flags":["BROADCAST","UP"],"address":"dc:a6:32:00:00:01",
  "addr_info":[{"family":"inet","local":"192.168.1.7","prefixlen":24,"scope":"global"},
               {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]}])";
constexpr char kRoutes[] = R"([{"dst":"default","gateway":"192.168.1.1","dev":"eth0"}])";

std::vector<std::string> Plan(const BridgeSetting& setting, const NetworkFacts& facts) {
  absl::StatusOr<std::vector<std::string>> plan = PlanBridge(setting, facts);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.value_or(std::vector<std::string>());
}

BridgeSetting Setting() {
  return {
      .bridge = "br0", .port = "eth0", .address = Ipv4Interface::Parse("172.16.0.11/24").value()};
}

TEST(BridgePlanTest, MovesPortAddressAndRouteInAnOrderThatKeepsTheNodeReachable) {
  const NetworkFacts facts = ParseNetworkFacts(kAddresses, kRoutes).value();
  EXPECT_THAT(
      Plan(Setting(), facts),
      ElementsAre("link add name br0 type bridge stp_state 0 forward_delay 0",
                  "link set dev br0 address dc:a6:32:00:00:01", "link set dev br0 up",
                  "address add 172.16.0.11/24 dev br0", "address add 192.168.1.7/24 dev br0",
                  "link set dev eth0 master br0", "route replace default via 192.168.1.1 dev br0",
                  "address del 192.168.1.7/24 dev eth0"));
}

TEST(BridgePlanTest, DoesNothingWhereAllIsSoAlready) {
  NetworkFacts facts;
  facts.links = {{.name = "br0",
                  .mac = "dc:a6:32:00:00:01",
                  .up = true,
                  .addresses = {Ipv4Interface::Parse("172.16.0.11/24").value()}},
                 {.name = "eth0", .mac = "dc:a6:32:00:00:01", .master = "br0", .up = true}};
  EXPECT_THAT(Plan(Setting(), facts), IsEmpty());
  BridgeSetting setting = Setting();
  setting.gateway = Ipv4::Parse("172.16.0.1").value();
  EXPECT_THAT(Plan(setting, facts), ElementsAre("route replace default via 172.16.0.1 dev br0"));
  facts.default_routes = {{.gateway = setting.gateway, .device = "br0"}};
  EXPECT_THAT(Plan(setting, facts), IsEmpty());
}

// Carries out the first lines only, as a power cut would, and plans anew.
TEST(BridgePlanTest, WhereverItIsCutShortTheRestIsDoneTheNextTime) {
  const NetworkFacts before = ParseNetworkFacts(kAddresses, kRoutes).value();
  const size_t lines = Plan(Setting(), before).size();
  for (size_t done = 0; done <= lines; ++done) {
    NetworkFacts facts = before;
    const std::vector<std::string> plan = Plan(Setting(), before);
    for (size_t i = 0; i < done; ++i) {
      const std::string& line = plan[i];
      const auto link = [&](std::string_view name) -> LinkFacts& {
        return const_cast<LinkFacts&>(*facts.Find(name));
      };
      if (line.starts_with("link add")) {
        facts.links.push_back({.name = "br0", .mac = "00:00:00:00:00:09"});
      } else if (line.starts_with("link set dev br0 address")) {
        link("br0").mac = link("eth0").mac;
      } else if (line == "link set dev br0 up") {
        link("br0").up = true;
      } else if (line.starts_with("address add")) {
        link("br0").addresses.push_back(
            Ipv4Interface::Parse(line.substr(12, line.find(' ', 12) - 12)).value());
      } else if (line.starts_with("link set dev eth0 master")) {
        link("eth0").master = "br0";
      } else if (line.starts_with("address del")) {
        link("eth0").addresses.clear();
      } else if (line.starts_with("route replace")) {
        facts.default_routes = {{.gateway = before.default_routes[0].gateway, .device = "br0"}};
      }
    }
    EXPECT_EQ(Plan(Setting(), facts).size(), lines - done) << done;
  }
}

TEST(BridgePlanTest, WithoutAPortTheBridgeStandsAlone) {
  BridgeSetting setting = Setting();
  setting.port.clear();
  EXPECT_THAT(Plan(setting, NetworkFacts()),
              ElementsAre("link add name br0 type bridge stp_state 0 forward_delay 0",
                          "link set dev br0 up", "address add 172.16.0.11/24 dev br0"));
}

BridgeSetting Routed() {
  BridgeSetting setting = Setting();
  setting.routed = true;
  setting.containers = {Ipv4::Parse("172.16.0.64").value()};
  return setting;
}

TEST(BridgePlanTest, RoutedThePortKeepsItsAddressAndEachContainerIsARoute) {
  const NetworkFacts facts = ParseNetworkFacts(kAddresses, kRoutes).value();
  EXPECT_THAT(Plan(Routed(), facts),
              ElementsAre("link add name br0 type bridge stp_state 0 forward_delay 0",
                          "link set dev br0 up", "address add 172.16.0.11/24 dev eth0",
                          "route replace 172.16.0.64/32 dev br0",
                          "neigh replace proxy 172.16.0.64 dev eth0"));
}

TEST(BridgePlanTest, WhatWasBridgedBecomesRoutedAndWhatWentIsTakenAway) {
  const Ipv4Interface own = Ipv4Interface::Parse("172.16.0.11/24").value();
  NetworkFacts facts;
  facts.links = {{.name = "br0", .mac = "dc:a6:32:00:00:01", .up = true, .addresses = {own}},
                 {.name = "eth0", .mac = "dc:a6:32:00:00:01", .master = "br0", .up = true}};
  facts.default_routes = {{.gateway = Ipv4::Parse("172.16.0.1").value(), .device = "br0"}};
  facts.bridge_routes = facts.proxied = {Ipv4::Parse("172.16.0.65").value()};
  EXPECT_THAT(
      Plan(Routed(), facts),
      ElementsAre("link set dev eth0 nomaster", "address add 172.16.0.11/24 dev eth0",
                  "route replace default via 172.16.0.1 dev eth0",
                  "address del 172.16.0.11/24 dev br0", "route replace 172.16.0.64/32 dev br0",
                  "neigh replace proxy 172.16.0.64 dev eth0", "route del 172.16.0.65/32 dev br0",
                  "neigh del proxy 172.16.0.65 dev eth0"));
}

TEST(BridgePlanTest, AnAddressThatIsNoLongerTheNodesIsTakenAway) {
  NetworkFacts facts;
  facts.links = {{.name = "br0",
                  .mac = "dc:a6:32:00:00:01",
                  .up = true,
                  .addresses = {Ipv4Interface::Parse("172.16.0.11/24").value(),
                                Ipv4Interface::Parse("172.16.0.12/24").value()}},
                 {.name = "eth0", .mac = "dc:a6:32:00:00:01", .master = "br0", .up = true}};
  BridgeSetting setting = Setting();
  setting.dropped = {Ipv4Interface::Parse("172.16.0.12/24").value(),
                     Ipv4Interface::Parse("172.16.0.11/24").value()};
  EXPECT_THAT(Plan(setting, facts), ElementsAre("address del 172.16.0.12/24 dev br0"));
}

TEST(BridgePlanTest, NamesAPortThatIsNotThere) {
  const absl::StatusOr<std::vector<std::string>> plan = PlanBridge(Setting(), NetworkFacts());
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(plan.status().message()), testing::HasSubstr("\"eth0\""));
}

}  // namespace
}  // namespace bramble::node
