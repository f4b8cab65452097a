// SPDX-License-Identifier: Apache-2.0
#include "node/network/dns_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace bramble::node {
namespace {

using testing::ElementsAre;

Ipv4 Address(const char* text) { return Ipv4::Parse(text).value(); }

DnsZone Zone() {
  return DnsZone("bramble.internal", Ipv4Prefix::Parse("172.16.0.0/24").value(),
                 {{.name = "web.bramble.internal", .address = Address("172.16.0.64")},
                  {.name = "web.default.bramble.internal",
                   .address = Address("172.16.0.64"),
                   .reverse = false},
                  {.name = "db.bramble.internal", .address = Address("172.16.0.65")},
                  {.name = "db.bramble.internal", .address = Address("172.16.0.66")},
                  {.name = "pi-1.node.bramble.internal", .address = Address("172.16.0.11")}});
}

std::string Query(std::string_view name, uint16_t type, bool edns = false) {
  std::string text("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
  text += edns ? '\x01' : '\x00';
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    text += static_cast<char>(label.size());
    text += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  text += std::string("\0\0", 2) + static_cast<char>(type) + std::string("\0\x01", 2);
  if (edns) {
    text += std::string("\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
  }
  return text;
}

struct Read {
  int code = -1;
  int answers = -1;
  bool authoritative = false;
  bool truncated = false;
  std::string text;
};

Read Ask(const DnsZone& zone, const std::string& message, size_t max = kMaxPlainAnswer) {
  const std::optional<DnsQuery> query = DecodeDnsQuery(message);
  EXPECT_TRUE(query.has_value());
  const std::string answer =
      AnswerDns(message, *query, zone.Find(query->name), DnsCode::kRefused, max);
  EXPECT_TRUE(IsAnswerTo(answer, message, *query));
  return {.code = answer[3] & 15,
          .answers = static_cast<uint8_t>(answer[7]),
          .authoritative = (answer[2] & 4) != 0,
          .truncated = (answer[2] & 2) != 0,
          .text = answer};
}

TEST(DnsAnswerTest, GivesAddressesOfNamesInAnyCase) {
  const Read read = Ask(Zone(), Query("WeB.bramble.INTERNAL", 1));
  EXPECT_EQ(read.code, 0);
  EXPECT_EQ(read.answers, 1);
  EXPECT_TRUE(read.authoritative);
  EXPECT_TRUE(read.text.ends_with(std::string("\x00\x04\xac\x10\x00\x40", 6)));
  EXPECT_EQ(Ask(Zone(), Query("db.bramble.internal", 1)).answers, 2);
}

TEST(DnsAnswerTest, GivesTheOneNameOfAnAddress) {
  const Read read = Ask(Zone(), Query("64.0.16.172.in-addr.arpa", 12));
  EXPECT_EQ(read.answers, 1);
  EXPECT_NE(read.text.find("\x03web\x07"
                           "bramble"),
            std::string::npos);
  EXPECT_EQ(read.text.find("default"), std::string::npos);
}

TEST(DnsAnswerTest, TellsNoSuchNameFromNoSuchRecord) {
  EXPECT_EQ(Ask(Zone(), Query("none.bramble.internal", 1)).code, 3);
  EXPECT_EQ(Ask(Zone(), Query("99.0.16.172.in-addr.arpa", 12)).code, 3);
  const Read aaaa = Ask(Zone(), Query("web.bramble.internal", 28));
  EXPECT_EQ(aaaa.code, 0);
  EXPECT_EQ(aaaa.answers, 0);
  EXPECT_EQ(Ask(Zone(), Query("node.bramble.internal", 1)).code, 0) << "it has names below it";
  EXPECT_EQ(Ask(Zone(), Query("bramble.internal", 1)).code, 0);
}

TEST(DnsAnswerTest, WhatIsNotOursIsNotAnsweredHere) {
  EXPECT_FALSE(Zone().Find("example.org").ours);
  EXPECT_FALSE(Zone().Find("notbramble.internal").ours);
  EXPECT_FALSE(Zone().Find("1.0.168.192.in-addr.arpa").ours);
  EXPECT_FALSE(DnsZone().Find("web.bramble.internal").ours);
  EXPECT_EQ(Ask(Zone(), Query("example.org", 1)).code, 5);
}

TEST(DnsAnswerTest, CutsWhatDoesNotFitAndSaysSo) {
  std::vector<ZoneName> names;
  for (uint32_t i = 0; i < 200; ++i) {
    names.push_back({.name = "many.bramble.internal", .address = Ipv4(0xac100000u + i)});
  }
  const DnsZone zone("bramble.internal", Ipv4Prefix::Parse("172.16.0.0/24").value(), names);
  const Read read = Ask(zone, Query("many.bramble.internal", 1));
  EXPECT_TRUE(read.truncated);
  EXPECT_LE(read.text.size(), 512U);
  const Read by_tcp = Ask(zone, Query("many.bramble.internal", 1, /*edns=*/true), 65535);
  EXPECT_FALSE(by_tcp.truncated);
  EXPECT_EQ(by_tcp.answers, 200);
  EXPECT_EQ(by_tcp.text[11], '\x01') << "EDNS is answered with EDNS";
}

TEST(DnsAnswerTest, ReadsNothingThatIsNoQuery) {
  const std::string good = Query("web.bramble.internal", 1);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(DecodeDnsQuery(good.substr(0, size)), std::nullopt) << size;
  }
  std::string answer = good;
  answer[2] = '\x81';
  EXPECT_EQ(DecodeDnsQuery(answer), std::nullopt) << "an answer: to answer it would be a loop";
  std::string two = good;
  two[5] = '\x02';
  EXPECT_EQ(DecodeDnsQuery(two), std::nullopt);
  std::string pointer = good;
  pointer[12] = '\xc0';
  EXPECT_EQ(DecodeDnsQuery(pointer), std::nullopt) << "a name that points at itself";
  EXPECT_EQ(DecodeDnsQuery(Query(std::string(300, 'a'), 1)), std::nullopt);
}

TEST(DnsAnswerTest, SurvivesWhateverBytesCome) {
  SeededRandom random(7);
  const DnsZone zone = Zone();
  int queries = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string message = Query("web.bramble.internal", 1, i % 2 == 0);
    for (int changes = 0; changes < 3; ++changes) {
      message[random.Below(message.size())] = static_cast<char>(random.Below(256));
    }
    message.resize(random.Below(message.size() + 1));
    if (const auto query = DecodeDnsQuery(message); query.has_value()) {
      ++queries;
      const std::string answer =
          AnswerDns(message, *query, zone.Find(query->name), DnsCode::kRefused, 512);
      EXPECT_LE(answer.size(), 512U + message.size());
    }
  }
  EXPECT_GT(queries, 10);
}

}  // namespace
}  // namespace bramble::node
