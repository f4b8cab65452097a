// SPDX-License-Identifier: Apache-2.0
// What other DHCP servers on the segment send to the controller that looks for them.
#include "controller/network/dhcp_packet.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

constexpr uint32_t kTransaction = 0x12345678;

}  // namespace

void Try(std::string_view input) {
  (void)controller::ParseDhcpOffer(input, kTransaction);
  if (input.size() >= 4) {
    // Whatever transaction the packet is of.
    uint32_t transaction = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t at = 28 + 4 + i;
      transaction = transaction << 8 | (at < input.size() ? static_cast<uint8_t>(input[at]) : 0);
    }
    (void)controller::ParseDhcpOffer(input, transaction);
  }
}

std::vector<std::string> Seeds() {
  const std::string discover =
      controller::MakeDhcpDiscover(std::string("\x02\x00\x00\x00\x00\x01", 6), kTransaction);
  std::string offer = discover;
  offer.replace(12, 4, std::string("\xc0\xa8\x01\x01", 4));
  offer.replace(20, 4, std::string("\x00\x43\x00\x44", 4));
  offer[28] = 2;
  offer[28 + 236 + 4 + 2] = 2;
  std::string with_server = offer;
  with_server.replace(28 + 236 + 4 + 3, 6, std::string("\x36\x04\x0a\x00\x00\x09", 6));
  BRAMBLE_CHECK(controller::ParseDhcpOffer(with_server, kTransaction).has_value(), "it is one");
  return {discover, offer, with_server, offer.substr(0, 270)};
}

}  // namespace bramble::fuzz
