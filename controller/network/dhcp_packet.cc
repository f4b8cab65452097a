// SPDX-License-Identifier: Apache-2.0
#include "controller/network/dhcp_packet.h"

namespace bramble::controller {
namespace {

constexpr size_t kIpBytes = 20;
constexpr size_t kUdpBytes = 8;
constexpr size_t kBootpBytes = 236;  // RFC 2131, figure 1
constexpr uint32_t kCookie = 0x63825363;
constexpr uint8_t kUdp = 17;
constexpr uint16_t kServerPort = 67;
constexpr uint16_t kClientPort = 68;
constexpr uint8_t kOptionType = 53;
constexpr uint8_t kOptionServer = 54;
constexpr uint8_t kOptionVendorClass = 60;
constexpr uint8_t kOptionEnd = 255;
constexpr uint8_t kDiscover = 1;
constexpr uint8_t kOffer = 2;
constexpr uint8_t kAck = 5;
constexpr std::string_view kVendorClass = "bramble-probe";

void Put(std::string& out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) {
    out += static_cast<char>(value >> (8 * i) & 255);
  }
}

uint32_t Get(std::string_view in, size_t at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<unsigned char>(in[at + static_cast<size_t>(i)]);
  }
  return value;
}

// RFC 1071.
uint16_t Checksum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += Get(bytes, i, 2);
  }
  while (sum >> 16 != 0) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

std::string IpAndUdp(size_t payload) {
  std::string header;
  Put(header, 0x4500, 2);  // version 4, five words, no service class
  Put(header, kIpBytes + kUdpBytes + payload, 2);
  Put(header, 0, 4);  // no fragments
  Put(header, 64, 1);
  Put(header, kUdp, 1);
  Put(header, 0, 2);
  Put(header, 0, 4);           // from 0.0.0.0
  Put(header, 0xffffffff, 4);  // to everybody
  const uint16_t sum = Checksum(header);
  header[10] = static_cast<char>(sum >> 8);
  header[11] = static_cast<char>(sum & 255);
  Put(header, kClientPort, 2);
  Put(header, kServerPort, 2);
  Put(header, kUdpBytes + payload, 2);
  Put(header, 0, 2);  // no UDP checksum: allowed with IPv4 (RFC 768)
  return header;
}

struct Options {
  uint8_t type = 0;
  Ipv4 server;
};

Options ReadOptions(std::string_view text) {
  Options options;
  for (size_t at = 0; at < text.size();) {
    const auto code = static_cast<uint8_t>(text[at]);
    if (code == 0) {
      ++at;
      continue;
    }
    if (code == kOptionEnd || at + 1 >= text.size()) {
      break;
    }
    const size_t length = static_cast<uint8_t>(text[at + 1]);
    if (at + 2 + length > text.size()) {
      break;
    }
    if (code == kOptionType && length == 1) {
      options.type = static_cast<uint8_t>(text[at + 2]);
    } else if (code == kOptionServer && length == 4) {
      options.server = Ipv4(Get(text, at + 2, 4));
    }
    at += 2 + length;
  }
  return options;
}

}  // namespace

std::string MakeDhcpDiscover(std::string_view mac, uint32_t transaction) {
  std::string message;
  Put(message, 0x01010600, 4);  // request, Ethernet, 6 bytes, no hops
  Put(message, transaction, 4);
  Put(message, 0x00008000, 4);  // no seconds; answer by broadcast
  message.append(16, '\0');     // no addresses
  message.append(mac.substr(0, 6));
  message.append(kBootpBytes - message.size(), '\0');
  Put(message, kCookie, 4);
  message += {static_cast<char>(kOptionType), 1, static_cast<char>(kDiscover)};
  message += static_cast<char>(kOptionVendorClass);
  message += static_cast<char>(kVendorClass.size());
  message += kVendorClass;
  message += static_cast<char>(kOptionEnd);
  constexpr size_t kLeast = 300;  // what BOOTP relays expect (RFC 1542, section 2.1)
  message.append(message.size() < kLeast ? kLeast - message.size() : 0, '\0');
  return IpAndUdp(message.size()) + message;
}

std::optional<DhcpOffer> ParseDhcpOffer(std::string_view packet, uint32_t transaction) {
  if (packet.size() < kIpBytes || Get(packet, 0, 1) >> 4 != 4 || Get(packet, 9, 1) != kUdp) {
    return std::nullopt;
  }
  const size_t header = (Get(packet, 0, 1) & 15) * 4;
  const size_t total = Get(packet, 2, 2);
  const bool fragment = (Get(packet, 6, 2) & 0x3fff) != 0;
  if (header < kIpBytes || total > packet.size() || fragment ||
      total < header + kUdpBytes + kBootpBytes + 4) {
    return std::nullopt;
  }
  packet = packet.substr(0, total);
  const Ipv4 source(Get(packet, 12, 4));
  const std::string_view udp = packet.substr(header);
  const std::string_view message = udp.substr(kUdpBytes);
  if (Get(udp, 0, 2) != kServerPort || Get(udp, 2, 2) != kClientPort || Get(message, 0, 1) != 2 ||
      Get(message, 4, 4) != transaction || Get(message, kBootpBytes, 4) != kCookie) {
    return std::nullopt;
  }
  const Options options = ReadOptions(message.substr(kBootpBytes + 4));
  if (options.type != kOffer && options.type != kAck) {
    return std::nullopt;
  }
  return DhcpOffer{.server = options.server.empty() ? source : options.server,
                   .offered = Ipv4(Get(message, 16, 4))};
}

}  // namespace bramble::controller
