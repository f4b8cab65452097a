// SPDX-License-Identifier: Apache-2.0
#include "api/security_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/project.h"

namespace bramble::api {
namespace {

using ::testing::ElementsAre;

TEST(SecurityRuleTest, IsWrittenAsPeopleSayItAndReadBack) {
  for (const char* text : {"in any", "in tcp 80", "in tcp 8000-8100 from 10.0.0.0/8",
                           "in any from group db", "out udp 53 to 172.16.0.1/32",
                           "in any from project", "out icmp", "in icmp from 0.0.0.0/0"}) {
    const absl::StatusOr<SecurityRule> rule = ParseSecurityRule(text);
    ASSERT_TRUE(rule.ok()) << rule.status();
    EXPECT_EQ(ToString(*rule), text);
    EXPECT_EQ(SecurityRuleFromJson(ToJson(*rule), "rule", UnknownKeys::kRefuse).value(), *rule);
  }
  EXPECT_EQ(ToString(ParseSecurityRule("in tcp 80 from 10.1.2.3").value()),
            "in tcp 80 from 10.1.2.3/32");
}

TEST(SecurityRuleTest, WhatIsWrongIsRefused) {
  for (const char* text :
       {"", "in", "up tcp 80", "in sctp 80", "in tcp 0", "in tcp 70000", "in tcp 90-80",
        "in tcp 080", "in tcp 80-", "in icmp 8", "in any 80", "in tcp 80 to 10.0.0.0/8",
        "in tcp 80 from", "in tcp 80 from group", "in tcp 80 from group A",
        "in tcp 80 from 10.0.0.1/8", "in tcp 80 from group a b", "in tcp 80 drop"}) {
    EXPECT_EQ(ParseSecurityRule(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  for (const char* text :
       {R"({"protocol":"tcp","port_first":0})", R"({"protocol":"tcp","port_first":70000})",
        R"({"protocol":"tcp","port_first":9,"port_last":8})", R"({"protocol":"tcp","port_last":8})",
        R"({"protocol":"icmp","port_first":8})", R"({"prefix":"::/0"})",
        R"({"group":"a","from_project":true})", R"({"direction":"both"})", R"({"ports":"1"})"}) {
    EXPECT_EQ(
        SecurityRuleFromJson(ParseJson(text).value(), "rule", UnknownKeys::kRefuse).status().code(),
        absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(SecurityGroupTest, GoesToJsonAndBackAndTakesRulesAsText) {
  for (const SecurityGroup& group : BuiltinSecurityGroups(ProjectName::Trusted(kDefaultProject))) {
    EXPECT_EQ(SecurityGroupFromJson(ToJson(group)).value(), group);
  }
  const SecurityGroup group =
      SecurityGroupFromJson(
          ParseJson(R"({"name":"db","rules":["in tcp 5432 from group web"]})").value())
          .value();
  EXPECT_EQ(ToString(group.rules.at(0)), "in tcp 5432 from group web");
  for (const char* bad :
       {R"({"name":"Not a label"})", R"({"name":""})", R"({"name":"a","rules":["in tcp 0"]})"}) {
    EXPECT_FALSE(SecurityGroupFromJson(ParseJson(bad).value()).ok()) << bad;
  }
}

TEST(SecurityGroupTest, ReadsTheLabelOfAnImage) {
  std::vector<std::string> texts;
  const auto rules = ParsePortsLabel("80,443/tcp 53/udp,8000-8100").value();
  for (const SecurityRule& rule : rules) {
    texts.push_back(ToString(rule));
  }
  EXPECT_THAT(texts, ElementsAre("in tcp 80", "in tcp 443", "in udp 53", "in tcp 8000-8100"));
  EXPECT_TRUE(ParsePortsLabel("")->empty());
  for (const char* bad : {"0", "http", "80/sctp", "80/icmp", "1-", "99999"}) {
    EXPECT_FALSE(ParsePortsLabel(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace bramble::api
