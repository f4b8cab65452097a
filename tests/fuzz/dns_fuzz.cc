// SPDX-License-Identifier: Apache-2.0
// What a container asks its node by DNS, and what an upstream answers.
#include "node/network/dns_answer.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

const node::DnsZone& Zone() {
  static const node::DnsZone zone = [] {
    const auto address = [](const char* text) { return Ipv4::Parse(text).value(); };
    std::vector<node::ZoneName> names = {
        {.name = "web.bramble.internal", .address = address("172.16.0.64")},
        {.name = "pi-1.node.bramble.internal", .address = address("172.16.0.11")}};
    for (uint32_t i = 0; i < 60; ++i) {
      names.push_back({.name = "many.bramble.internal", .address = Ipv4(0xac100040 + i)});
    }
    return node::DnsZone("bramble.internal", Ipv4Prefix::Parse("172.16.0.0/24").value(), names);
  }();
  return zone;
}

}  // namespace

void Try(std::string_view input) {
  const std::optional<node::DnsQuery> query = node::DecodeDnsQuery(input);
  if (!query.has_value()) {
    return;
  }
  BRAMBLE_CHECK(query->question_end <= input.size(), "the question is in the message");
  const node::DnsZone::Found found = Zone().Find(query->name);
  for (const size_t most : {node::kMaxPlainAnswer, node::kMaxDnsQueryBytes}) {
    for (const node::DnsCode code : {node::DnsCode::kOk, node::DnsCode::kRefused}) {
      const std::string answer = node::AnswerDns(input, *query, found, code, most);
      BRAMBLE_CHECK(answer.size() <= most, "no answer is longer than it may be");
      BRAMBLE_CHECK(node::IsAnswerTo(answer, input, *query), "it is an answer to the question");
      BRAMBLE_CHECK(!node::DecodeDnsQuery(answer).has_value(), "an answer is no question");
    }
  }
  (void)node::IsAnswerTo(input, input, *query);
}

std::vector<std::string> Seeds() {
  const auto query = [](const std::string& labels, char type, bool edns) {
    std::string text("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
    text += edns ? '\x01' : '\x00';
    text += labels + std::string("\0\0", 2) + type + std::string("\0\x01", 2);
    return edns ? text + std::string("\0\0\x29\x04\xd0\0\0\0\0\0\0", 11) : text;
  };
  const std::string web =
      "\x03web\x07"
      "bramble\x08internal";
  const std::string many =
      "\x04many\x07"
      "bramble\x08internal";
  const std::string reverse =
      "\x02"
      "64\x01"
      "0\x02"
      "16\x03"
      "172\x07in-addr\x04"
      "arpa";
  return {query(web, 1, false),
          query(web, 1, true),
          query(many, 1, true),
          query(many, 1, false),
          query(reverse, 12, false),
          query("", 2, false),
          query(web, 28, false),
          query("\xc0\x0c", 1, false),
          query("\x3f"
                "abc",
                1, false)};
}

}  // namespace bramble::fuzz
