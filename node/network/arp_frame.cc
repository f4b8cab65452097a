// SPDX-License-Identifier: Apache-2.0
#include "node/network/arp_frame.h"

namespace bramble::node {
namespace {

constexpr size_t kEthernetHeader = 14;
constexpr size_t kArpBytes = 28;
constexpr size_t kShortestFrame = 60;  // IEEE 802.3, without the check sequence
// EtherType ARP; hardware Ethernet, protocol IPv4, their lengths.  Source: RFC 826.
constexpr std::string_view kEtherType("\x08\x06", 2);
constexpr std::string_view kFixedPart("\x00\x01\x08\x00\x06\x04", 6);

void Put(const MacAddress& mac, std::string& out) {
  out.append(reinterpret_cast<const char*>(mac.bytes.data()), mac.bytes.size());
}

void Put(Ipv4 address, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(address.bits() >> shift);
  }
}

MacAddress MacAt(std::string_view bytes, size_t at) {
  MacAddress mac;
  for (size_t i = 0; i < mac.bytes.size(); ++i) {
    mac.bytes[i] = static_cast<uint8_t>(bytes[at + i]);
  }
  return mac;
}

Ipv4 AddressAt(std::string_view bytes, size_t at) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; ++i) {
    bits = bits << 8 | static_cast<uint8_t>(bytes[at + i]);
  }
  return Ipv4(bits);
}

}  // namespace

std::string EncodeArp(const ArpFrame& frame) {
  std::string out;
  Put(frame.destination, out);
  Put(frame.source, out);
  out += kEtherType;
  out += kFixedPart;
  out += '\0';
  out += static_cast<char>(frame.operation);
  Put(frame.sender_mac, out);
  Put(frame.sender, out);
  Put(frame.target_mac, out);
  Put(frame.target, out);
  out.resize(kShortestFrame, '\0');
  return out;
}

std::optional<ArpFrame> DecodeArp(std::string_view bytes) {
  if (bytes.size() < kEthernetHeader + kArpBytes || bytes.substr(12, 2) != kEtherType ||
      bytes.substr(kEthernetHeader, kFixedPart.size()) != kFixedPart || bytes[20] != 0 ||
      (bytes[21] != 1 && bytes[21] != 2)) {
    return std::nullopt;
  }
  return ArpFrame{.operation = static_cast<ArpOperation>(bytes[21]),
                  .source = MacAt(bytes, 6),
                  .destination = MacAt(bytes, 0),
                  .sender_mac = MacAt(bytes, 22),
                  .sender = AddressAt(bytes, 28),
                  .target_mac = MacAt(bytes, 32),
                  .target = AddressAt(bytes, 38)};
}

ArpFrame ArpProbe(MacAddress from, Ipv4 address) {
  return {.source = from,
          .destination = MacAddress::Broadcast(),
          .sender_mac = from,
          .target = address};
}

ArpFrame ArpAnnouncement(MacAddress mac, Ipv4 address) {
  return {.source = mac,
          .destination = MacAddress::Broadcast(),
          .sender_mac = mac,
          .sender = address,
          .target = address};
}

}  // namespace bramble::node
