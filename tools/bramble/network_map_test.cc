// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/network_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::cli {
namespace {

using ::testing::HasSubstr;

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

api::Network Default() {
  return {.prefix = Ipv4Prefix::Parse("172.16.0.0/24").value(),
          .gateway = At("172.16.0.1"),
          .ranges = {{"servers", {At("172.16.0.2"), At("172.16.0.10")}},
                     {"nodes", {At("172.16.0.11"), At("172.16.0.63")}},
                     {"containers", {At("172.16.0.64"), At("172.16.0.199")}},
                     {"guests", {At("172.16.0.200"), At("172.16.0.223")}},
                     {"floating", {At("172.16.0.225"), At("172.16.0.254")}}}};
}

api::Address Taken(std::string_view at, api::AddressUse use, const std::string& kind,
                   api::AddressState state = api::AddressState::kAssigned) {
  return {.address = At(at), .use = use, .state = state, .owner = {kind, "", kind + "-name", ""}};
}

TEST(NetworkMapTest, ShowsWhoIsWhereAndWhatIsFree) {
  const std::string map = RenderNetworkMap(
      Default(),
      {Taken("172.16.0.1", api::AddressUse::kGateway, "controller"),
       Taken("172.16.0.5", api::AddressUse::kServers, "address", api::AddressState::kReserved),
       Taken("172.16.0.11", api::AddressUse::kNodes, "node"),
       Taken("172.16.0.64", api::AddressUse::kContainers, "container"),
       Taken("172.16.0.65", api::AddressUse::kContainers, "", api::AddressState::kForeign),
       Taken("172.16.0.66", api::AddressUse::kContainers, "container",
             api::AddressState::kConflict),
       Taken("172.16.0.225", api::AddressUse::kFloating, "container")});

  EXPECT_THAT(map, HasSubstr("172.16.0.0       -C...R.....N....  servers, nodes\n"));
  EXPECT_THAT(map, HasSubstr("172.16.0.64      c?!.............  containers\n"));
  EXPECT_THAT(map, HasSubstr("172.16.0.224     -F..............  floating\n"));
  EXPECT_THAT(map, HasSubstr("172.16.0.240     ...............-  floating\n"));
  EXPECT_THAT(map, HasSubstr("N 172.16.0.11     node node-name\n"));
}

TEST(NetworkMapTest, ALargePrefixStillFitsAScreen) {
  api::Network network{.prefix = Ipv4Prefix::Parse("10.0.0.0/16").value(),
                       .ranges = {{"containers", {At("10.0.64.0"), At("10.0.199.255")}}}};
  const std::string map =
      RenderNetworkMap(network, {Taken("10.0.64.1", api::AddressUse::kContainers, "container")});
  EXPECT_THAT(map, HasSubstr("10.0.0.0/16, each character 64 addresses\n"));
  EXPECT_THAT(map, HasSubstr("10.0.64.0        c......."));
  EXPECT_LT(std::count(map.begin(), map.end(), '\n'), 24);
}

}  // namespace
}  // namespace bramble::cli
