// SPDX-License-Identifier: Apache-2.0
// What a container asks its node by DHCP.
#include "node/network/dhcp_answer.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {

void Try(std::string_view input) {
  const std::optional<node::DhcpRequest> request = node::DecodeDhcpRequest(input);
  if (!request.has_value()) {
    return;
  }
  BRAMBLE_CHECK(request->transaction.size() == 4, "RFC 2131, 2: xid");
  const Ipv4 server = Ipv4::Parse("172.16.0.11").value();
  const node::DhcpHost host = {.mac = request->mac,
                               .address = Ipv4Interface::Parse("172.16.0.64/24").value(),
                               .gateway = Ipv4::Parse("172.16.0.1").value(),
                               .dns = {server},
                               .hostname = "web",
                               .search_domain = "bramble.internal",
                               .mtu = 1500};
  const std::optional<std::string> answer = node::AnswerDhcp(*request, host, server);
  if (!answer.has_value()) {
    return;
  }
  BRAMBLE_CHECK(!node::DecodeDhcpRequest(*answer).has_value(), "an answer is no request");
  BRAMBLE_CHECK(answer->substr(4, 4) == request->transaction, "it is the answer to this one");
  const std::string frame =
      node::DhcpFrame(*answer, host.mac, server, request->mac, request->client);
  BRAMBLE_CHECK(frame.size() > answer->size() && frame.size() <= 1514, "it fits an Ethernet frame");
}

std::vector<std::string> Seeds() {
  std::string head(
      "\x01\x01\x06\x00"
      "ABCD\x00\x00\x80\x00",
      12);
  head.resize(28, '\0');
  head += std::string("\x02\x42\xac\x10\x00\x40", 6);
  head.resize(236, '\0');
  head += "\x63\x82\x53\x63";
  std::vector<std::string> seeds;
  for (const char type : {1, 3, 4, 7, 8}) {
    const std::string begin = head + std::string("\x35\x01", 2) + type;
    seeds.push_back(begin + "\xff");
    seeds.push_back(begin +
                    std::string("\x32\x04\xac\x10\x00\x40\x36\x04\xac\x10\x00\x0b\xff", 13));
    seeds.push_back(begin + std::string("\x00\x00\x0c\x7f", 4));  // a length beyond the end
  }
  return seeds;
}

}  // namespace bramble::fuzz
