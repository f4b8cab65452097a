// SPDX-License-Identifier: Apache-2.0
#include "node/network/nft_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <regex>

namespace bramble::node {
namespace {

using testing::HasSubstr;
using testing::Not;

Ipv4 Address(const char* text) { return Ipv4::Parse(text).value(); }
Ipv4Prefix Prefix(const char* text) { return Ipv4Prefix::Parse(text).value(); }

PacketPolicy Policy() {
  PacketPolicy policy;
  policy.groups = {{.name = "default",
                    .rules = {{.direction = Direction::kIn, .remote_set = "project-default"},
                              {.direction = Direction::kOut}}},
                   {.name = "web",
                    .rules = {{.protocol = Protocol::kTcp, .ports = PortRange{80, 80}},
                              {.protocol = Protocol::kTcp, .ports = PortRange{81, 90}},
                              {.protocol = Protocol::kTcp, .ports = PortRange{443, 443}},
                              {.protocol = Protocol::kIcmp, .remote = Prefix("10.0.0.0/8")}}}};
  policy.sets = {{.name = "project-default",
                  .addresses = {Prefix("172.16.0.65/32"), Prefix("172.16.0.64/32"),
                                Prefix("172.16.0.66/32"), Prefix("172.16.0.64/31")}}};
  policy.ports = {{.interface = "vb-a",
                   .mac = MacAddress::Parse("02:00:00:00:00:0A").value(),
                   .addresses = {Address("172.16.0.64"), Address("172.16.0.225")},
                   .groups = {"default", "web"}},
                  {.interface = "vb-b",
                   .mac = MacAddress::Parse("02:00:00:00:00:0b").value(),
                   .addresses = {Address("172.16.0.65")},
                   .groups = {"default"}}};
  policy.controllers = {Prefix("172.16.0.1/32")};
  policy.nodes = {Prefix("172.16.0.8/29")};
  return policy;
}

std::string Compiled(const PacketPolicy& policy) {
  const absl::StatusOr<std::string> rules = CompileNftRules(policy);
  EXPECT_TRUE(rules.ok()) << rules.status();
  return rules.value_or("");
}

std::string ChainOf(const std::string& rules, const std::string& name) {
  std::smatch found;
  const std::regex chain("  chain " + name + " \\{\n((    .*\n)+)  \\}\n");
  return std::regex_search(rules, found, chain) ? found[1].str() : "";
}

uint32_t MarkOf(const std::string& rules) {
  std::smatch found;
  EXPECT_TRUE(std::regex_search(rules, found, std::regex("ct mark set 0x([0-9a-f]+)")));
  return static_cast<uint32_t>(std::stoul(found[1].str(), nullptr, 16));
}

// Nothing may come before what could be forged has been looked at: this order is the promise.
TEST(NftRulesTest, AntiSpoofingHasItsOrder) {
  EXPECT_EQ(ChainOf(Compiled(Policy()), "port"),
            "    iifname . ether saddr != @port_mac drop\n"
            "    ether type arp goto port_arp\n"
            "    ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 "
            "goto port_dhcp\n"
            "    ether type ip iifname . ip saddr != @port_address drop\n"
            "    ether type ip udp sport 67 drop\n"
            "    ether type ip6 icmpv6 type nd-router-advert drop\n"
            "    ether type != ip drop\n");
}

TEST(NftRulesTest, EveryAddressOfAPortIsItsOwnAndNoOther) {
  const std::string rules = Compiled(Policy());
  EXPECT_THAT(rules, HasSubstr("elements = { \"vb-a\" . 02:00:00:00:00:0a, \"vb-b\" . "
                               "02:00:00:00:00:0b }"));
  EXPECT_THAT(rules, HasSubstr("elements = { \"vb-a\" . 172.16.0.64, \"vb-a\" . 172.16.0.225, "
                               "\"vb-b\" . 172.16.0.65 }"));
}

TEST(NftRulesTest, MergesPortsAndOverlappingAddresses) {
  const std::string rules = Compiled(Policy());
  EXPECT_THAT(rules, HasSubstr("meta l4proto tcp ct original proto-dst { 80-90, 443 } goto allow"));
  EXPECT_THAT(rules, HasSubstr("elements = { 172.16.0.64-172.16.0.66 }"));
  EXPECT_THAT(rules, HasSubstr("ct original ip saddr 10.0.0.0/8 meta l4proto icmp goto allow"));
}

TEST(NftRulesTest, ContainersOfEqualGroupsShareTheirChains) {
  PacketPolicy policy = Policy();
  const size_t before = Compiled(policy).size();
  for (int i = 0; i < 200; ++i) {
    policy.ports.push_back({.interface = "vb-x" + std::to_string(i),
                            .addresses = {Ipv4(0x0a000001u + i)},
                            .groups = {"web", "default"}});
    policy.ports.back().mac.bytes = {2, 1, 0, 0, 0, static_cast<uint8_t>(i)};
  }
  const std::string rules = Compiled(policy);
  EXPECT_THAT(rules, Not(HasSubstr("chain in_2")));
  EXPECT_LT(rules.size() - before, 200 * 160U);
}

TEST(NftRulesTest, OnlyAnotherPolicyHasAnotherMark) {
  PacketPolicy policy = Policy();
  const uint32_t mark = MarkOf(Compiled(policy));
  EXPECT_NE(mark, 0U);
  EXPECT_EQ(MarkOf(Compiled(Policy())), mark);
  policy.groups[1].rules.pop_back();
  EXPECT_NE(MarkOf(Compiled(policy)), mark);
}

TEST(NftRulesTest, WhatIsOpenAsksNoGroup) {
  PacketPolicy policy = Policy();
  policy.ports[0].open_out = true;
  policy.ports[1].open_in = true;
  const std::string rules = Compiled(policy);
  EXPECT_EQ(ChainOf(rules, "out_0"), "    goto into\n");
  EXPECT_EQ(ChainOf(rules, "in_0"), "    jump group_0_in\n    jump group_1_in\n    drop\n");
  EXPECT_EQ(ChainOf(rules, "in_1"), "    goto allow\n");
  EXPECT_EQ(ChainOf(rules, "out_1"), "    jump group_0_out\n    drop\n");
}

TEST(NftRulesTest, AnEmptyPolicyClosesEveryPort) {
  const std::string rules = Compiled(PacketPolicy());
  EXPECT_THAT(rules, HasSubstr("iifname \"vb-*\" goto port"));
  EXPECT_THAT(rules, Not(HasSubstr("elements")));
}

struct Refused {
  const char* name;
  void (*spoil)(PacketPolicy&);
  absl::StatusCode code;
  const char* says;
};

TEST(NftRulesTest, RefusesWhatIsNoRuleAndSaysWhich) {
  const Refused cases[] = {
      {"port 0",
       [](PacketPolicy& p) {
         p.groups[1].rules[0].ports = PortRange{0, 80};
       },
       absl::StatusCode::kInvalidArgument, "\"web\": ports 0-80: write 1 to 65535"},
      {"ports backwards",
       [](PacketPolicy& p) {
         p.groups[1].rules[0].ports = PortRange{90, 80};
       },
       absl::StatusCode::kInvalidArgument, "the lower first"},
      {"ports of ICMP",
       [](PacketPolicy& p) {
         p.groups[1].rules[3].ports = PortRange{1, 2};
       },
       absl::StatusCode::kInvalidArgument, "neither of TCP nor of UDP"},
      {"unknown set", [](PacketPolicy& p) { p.groups[0].rules[0].remote_set = "gone"; },
       absl::StatusCode::kInvalidArgument, "\"gone\""},
      {"unknown group", [](PacketPolicy& p) { p.ports[0].groups = {"none"}; },
       absl::StatusCode::kInvalidArgument, "\"none\""},
      {"a name that is code", [](PacketPolicy& p) { p.groups[0].name = "a { drop }"; },
       absl::StatusCode::kInvalidArgument, "not a name"},
      {"a line break", [](PacketPolicy& p) { p.sets[0].name = "a\nflush ruleset"; },
       absl::StatusCode::kInvalidArgument, "not a name"},
      {"an interface of the node", [](PacketPolicy& p) { p.ports[0].interface = "eth0"; },
       absl::StatusCode::kInvalidArgument, "begins with vb-"},
      {"a group's MAC", [](PacketPolicy& p) { p.ports[0].mac.bytes[0] = 1; },
       absl::StatusCode::kInvalidArgument, "no station's MAC"},
      {"one address twice", [](PacketPolicy& p) { p.ports[1].addresses = p.ports[0].addresses; },
       absl::StatusCode::kInvalidArgument, "another's too"},
      {"too many rules",
       [](PacketPolicy& p) { p.groups[1].rules.resize(kMaxPacketRules, p.groups[1].rules[0]); },
       absl::StatusCode::kResourceExhausted, "at most 20000"},
      {"too many addresses",
       [](PacketPolicy& p) {
         p.sets[0].addresses.resize(kMaxSetAddresses + 1, p.sets[0].addresses[0]);
       },
       absl::StatusCode::kResourceExhausted, "at most 262144"},
  };
  for (const Refused& refused : cases) {
    PacketPolicy policy = Policy();
    refused.spoil(policy);
    const absl::Status status = CompileNftRules(policy).status();
    EXPECT_EQ(status.code(), refused.code) << refused.name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refused.says)) << refused.name;
  }
}

TEST(NftRulesTest, CompilesTenThousandRules) {
  PacketPolicy policy = Policy();
  policy.groups[1].rules.clear();
  for (uint32_t i = 0; i < 10'000; ++i) {
    policy.groups[1].rules.push_back({.protocol = Protocol::kTcp,
                                      .ports = PortRange{static_cast<uint16_t>(1 + i % 60'000),
                                                         static_cast<uint16_t>(1 + i % 60'000)},
                                      .remote = Ipv4Prefix(Ipv4(0x0a000000u + i * 256), 24)});
  }
  const std::string rules = Compiled(policy);
  EXPECT_THAT(rules, HasSubstr("ct original ip saddr 10.39.15.0/24 meta l4proto tcp ct original "
                               "proto-dst { 10000 } goto allow"));
}

}  // namespace
}  // namespace bramble::node
