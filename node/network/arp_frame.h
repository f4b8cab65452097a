// SPDX-License-Identifier: Apache-2.0
#pragma once

// ARP over Ethernet as bytes (RFC 826), with the meanings that RFC 5227 gives it.  Pure.

#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "node/network/mac_address.h"

namespace bramble::node {

enum class ArpOperation : uint16_t { kRequest = 1, kReply = 2 };

struct ArpFrame {
  ArpOperation operation = ArpOperation::kRequest;
  MacAddress source;       // of the Ethernet header
  MacAddress destination;  // of the Ethernet header
  MacAddress sender_mac;
  Ipv4 sender;  // empty: a probe
  MacAddress target_mac;
  Ipv4 target;
  friend bool operator==(const ArpFrame&, const ArpFrame&) = default;
};

// 60 bytes, the shortest that Ethernet carries.
std::string EncodeArp(const ArpFrame& frame);
// nullopt: not an ARP request or reply for IPv4 over Ethernet.
std::optional<ArpFrame> DecodeArp(std::string_view bytes);

// "Does anyone have `address`?", from one that has none yet (RFC 5227, 2.1.1).
ArpFrame ArpProbe(MacAddress from, Ipv4 address);
// "`address` is at `mac`", to all: what caches learn from (RFC 5227, 2.3; "gratuitous ARP").
ArpFrame ArpAnnouncement(MacAddress mac, Ipv4 address);

}  // namespace bramble::node
