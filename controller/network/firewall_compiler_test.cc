// SPDX-License-Identifier: Apache-2.0
#include "controller/network/firewall_compiler.h"

#include <ctime>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

api::SecurityGroup Group(const std::string& name, const std::vector<std::string>& rules) {
  api::SecurityGroup group{.name = name};
  for (const std::string& rule : rules) {
    group.rules.push_back(api::ParseSecurityRule(rule).value());
  }
  return group;
}

const std::vector<FilteredContainer> kContainers = {
    {"default", {}, At("172.16.0.64"), {}},
    {"default", {"web", "default"}, At("172.16.0.65"), {At("172.16.0.225")}},
    {"default", {"db"}, At("172.16.0.66"), {}},
    {"other", {"web"}, At("172.16.0.67"), {}},
    {"default", {"web"}, Ipv4(), {}}};

TEST(FirewallCompilerTest, GivesANodeThePoliciesOfItsContainersAndTheSetsTheyReferTo) {
  const api::SecurityGroup standard = Group("default", {"in any from project"});
  const api::SecurityGroup web = Group("web", {"in tcp 80", "in tcp 443"});
  const api::SecurityGroup db = Group("db", {"in tcp 5432 from group web"});
  const FirewallCompiler compiler({&standard, &web, &db}, kContainers);

  const auto needed = compiler.NeededBy({&kContainers[2]});

  ASSERT_EQ(needed.policies.size(), 1u);
  EXPECT_EQ(needed.policies[0].name, "g/default/db");
  EXPECT_EQ(needed.policies[0].rules[0].set, "g/default/web");
  EXPECT_THAT(needed.sets, ElementsAre(api::AddressSet{"g/default/web",
                                                       {At("172.16.0.65"), At("172.16.0.225")}}));
}

TEST(FirewallCompilerTest, AProjectIsASetOfAllItsContainersAndOfNoOthers) {
  const api::SecurityGroup standard = Group("default", {"in any from project"});
  const FirewallCompiler compiler({&standard}, kContainers);
  const auto needed = compiler.NeededBy({&kContainers[0], &kContainers[1]});
  EXPECT_THAT(needed.sets, ElementsAre(api::AddressSet{"p/default",
                                                       {At("172.16.0.64"), At("172.16.0.65"),
                                                        At("172.16.0.66"), At("172.16.0.225")}}));
}

TEST(FirewallCompilerTest, AGroupThatNobodyIsInLetsNobodyThrough) {
  const api::SecurityGroup db = Group("db", {"in any from group nobody"});
  const FirewallCompiler compiler({&db}, kContainers);
  const auto needed = compiler.NeededBy({&kContainers[2]});
  ASSERT_EQ(needed.sets.size(), 1u);
  EXPECT_THAT(needed.sets[0].addresses, IsEmpty());
}

TEST(FirewallCompilerTest, AContainerNamesItsGroupsAndItsImagesPorts) {
  const api::SecurityGroup web = Group("web", {"in tcp 80"});
  const auto find = [&](const std::string& name) { return name == "web" ? &web : nullptr; };

  EXPECT_THAT(CompileContainer(kContainers[0], {}, find).policies,
              ElementsAre("g/default/default"));
  const api::ContainerFirewall firewall =
      CompileContainer(kContainers[1], api::ParsePortsLabel("8080").value(), find);
  EXPECT_THAT(firewall.policies, ElementsAre("g/default/web", "g/default/default"));
  ASSERT_EQ(firewall.rules.size(), 1u);
  EXPECT_EQ(firewall.rules[0].port_first, 8080);
  EXPECT_FALSE(firewall.restrict_out);
}

TEST(FirewallCompilerTest, ARuleForWhatGoesOutClosesTheRest) {
  const api::SecurityGroup web = Group("web", {"in tcp 80", "out udp 53"});
  const auto find = [&](const std::string&) { return &web; };
  EXPECT_TRUE(CompileContainer(kContainers[1], {}, find).restrict_out);
}

TEST(FirewallCompilerTest, TenThousandRulesTakeLessThanATenthOfASecond) {
  api::SecurityGroup big{.name = "big"};
  for (uint32_t i = 0; i < 10'000; ++i) {
    big.rules.push_back({.protocol = api::Protocol::kTcp,
                         .port_first = static_cast<uint16_t>(1 + i % 65535),
                         .port_last = static_cast<uint16_t>(1 + i % 65535),
                         .prefix = Ipv4Prefix(Ipv4(0x0a000000u + i), 32)});
  }
  const std::vector<FilteredContainer> containers(
      1000, FilteredContainer{"default", {"big"}, At("172.16.0.64"), {}});
  // Of the processor: what else the machine does is not counted.
  const std::clock_t before = std::clock();
  const FirewallCompiler compiler({&big}, containers);
  const auto needed = compiler.NeededBy({&containers[0]});
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 10);
  EXPECT_EQ(needed.policies.at(0).rules.size(), 10'000u);
}

}  // namespace
}  // namespace bramble::controller
