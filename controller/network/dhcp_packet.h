// SPDX-License-Identifier: Apache-2.0
#pragma once

// The two DHCP packets that finding a rival server needs (RFC 2131), with their UDP and IPv4
// headers.  Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace bramble::controller {

// A DHCPDISCOVER from `mac` (6 bytes), broadcast, answers wanted by broadcast: an IPv4 packet.
// What asks never requests the offer, so that no address is taken.
std::string MakeDhcpDiscover(std::string_view mac, uint32_t transaction);

struct DhcpOffer {
  Ipv4 server;   // option 54, or where it came from
  Ipv4 offered;  // yiaddr
};
// An offer or acknowledgement for `transaction` in the IPv4 packet; nullopt: anything else,
// including what is cut short or lies about its lengths.
std::optional<DhcpOffer> ParseDhcpOffer(std::string_view packet, uint32_t transaction);

}  // namespace bramble::controller
