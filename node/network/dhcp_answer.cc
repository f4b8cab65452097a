// SPDX-License-Identifier: Apache-2.0
#include "node/network/dhcp_answer.h"

#include <algorithm>

namespace bramble::node {
namespace {

// Offsets in a BOOTP message.  Source: RFC 2131, figure 1.
constexpr size_t kTransactionAt = 4;
constexpr size_t kFlagsAt = 10;
constexpr size_t kClientAt = 12;
constexpr size_t kHardwareAt = 28;
constexpr size_t kCookieAt = 236;
constexpr size_t kOptionsAt = 240;
constexpr std::string_view kCookie("\x63\x82\x53\x63", 4);
constexpr size_t kShortestAnswer = 300;  // what BOOTP relays and old clients expect

// Source: RFC 2132.
enum Option : uint8_t {
  kPad = 0,
  kSubnetMask = 1,
  kRouter = 3,
  kDnsServer = 6,
  kHostName = 12,
  kDomainName = 15,
  kInterfaceMtu = 26,
  kBroadcastAddress = 28,
  kRequestedAddress = 50,
  kLeaseTime = 51,
  kMessageType = 53,
  kServerIdentifier = 54,
  kRenewalTime = 58,
  kRebindingTime = 59,
  kEnd = 255
};
enum Answer : uint8_t { kOffer = 2, kAck = 5, kNak = 6 };

uint32_t NumberAt(std::string_view bytes, size_t at, size_t size) {
  uint32_t number = 0;
  for (size_t i = 0; i < size; ++i) {
    number = number << 8 | static_cast<uint8_t>(bytes[at + i]);
  }
  return number;
}

void PutNumber(uint32_t number, size_t size, std::string& out) {
  for (size_t i = size; i-- > 0;) {
    out += static_cast<char>(number >> (8 * i));
  }
}

void PutOption(Option option, std::string_view value, std::string& out) {
  if (!value.empty() && value.size() <= 255) {
    out += static_cast<char>(option);
    out += static_cast<char>(value.size());
    out += value;
  }
}

void PutOption(Option option, uint32_t number, size_t size, std::string& out) {
  std::string value;
  PutNumber(number, size, value);
  PutOption(option, value, out);
}

bool IsAnswerable(uint32_t type) {
  return type == 1 || type == 3 || type == 4 || type == 7 || type == 8;
}

// False: the options do not parse.
bool ReadOptions(std::string_view options, DhcpRequest& request, uint32_t& type) {
  while (!options.empty()) {
    const auto option = static_cast<uint8_t>(options[0]);
    if (option == kEnd) {
      return true;
    }
    if (option == kPad) {
      options.remove_prefix(1);
      continue;
    }
    if (options.size() < 2 || options.size() < 2U + static_cast<uint8_t>(options[1])) {
      return false;
    }
    const std::string_view value = options.substr(2, static_cast<uint8_t>(options[1]));
    if (option == kMessageType && value.size() == 1) {
      type = static_cast<uint8_t>(value[0]);
    } else if (option == kRequestedAddress && value.size() == 4) {
      request.wanted = Ipv4(NumberAt(value, 0, 4));
    } else if (option == kServerIdentifier && value.size() == 4) {
      request.server = Ipv4(NumberAt(value, 0, 4));
    }
    options.remove_prefix(2 + value.size());
  }
  return true;
}

std::string Header(const DhcpRequest& request, const DhcpHost& host, Answer answer) {
  std::string out("\x02\x01\x06\x00", 4);  // a reply, Ethernet
  out += request.transaction;
  PutNumber(0, 2, out);
  PutNumber(request.flags, 2, out);
  PutNumber(answer == kAck ? request.client.bits() : 0, 4, out);
  const bool inform = request.type == DhcpRequest::Type::kInform;
  PutNumber(answer == kNak || inform ? 0 : host.address.address.bits(), 4, out);
  PutNumber(0, 4, out);
  PutNumber(0, 4, out);
  out.append(reinterpret_cast<const char*>(host.mac.bytes.data()), host.mac.bytes.size());
  out.resize(kCookieAt, '\0');
  out += kCookie;
  return out;
}

void PutConfiguration(const DhcpHost& host, std::string& out) {
  const Ipv4Prefix network = host.address.prefix();
  PutOption(kSubnetMask, network.mask().bits(), 4, out);
  PutOption(kBroadcastAddress, network.broadcast().bits(), 4, out);
  if (!host.gateway.empty()) {
    PutOption(kRouter, host.gateway.bits(), 4, out);
  }
  std::string servers;
  for (const Ipv4 server : host.dns) {
    PutNumber(server.bits(), 4, servers);
  }
  PutOption(kDnsServer, servers, out);
  PutOption(kHostName, host.hostname, out);
  PutOption(kDomainName, host.search_domain, out);
  if (host.mtu > 0) {
    PutOption(kInterfaceMtu, static_cast<uint32_t>(host.mtu), 2, out);
  }
}

uint16_t Checksum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += NumberAt(bytes, i, 2);
  }
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~((sum & 0xffff) + (sum >> 16)));
}

}  // namespace

std::optional<DhcpRequest> DecodeDhcpRequest(std::string_view payload) {
  if (payload.size() < kOptionsAt || payload.substr(0, 3) != std::string_view("\x01\x01\x06") ||
      payload.substr(kCookieAt, kCookie.size()) != kCookie) {
    return std::nullopt;
  }
  DhcpRequest request;
  request.transaction = payload.substr(kTransactionAt, 4);
  request.flags = static_cast<uint16_t>(NumberAt(payload, kFlagsAt, 2));
  request.client = Ipv4(NumberAt(payload, kClientAt, 4));
  for (size_t i = 0; i < request.mac.bytes.size(); ++i) {
    request.mac.bytes[i] = static_cast<uint8_t>(payload[kHardwareAt + i]);
  }
  uint32_t type = 0;
  if (!ReadOptions(payload.substr(kOptionsAt), request, type) || !IsAnswerable(type)) {
    return std::nullopt;
  }
  request.type = static_cast<DhcpRequest::Type>(type);
  return request;
}

std::optional<std::string> AnswerDhcp(const DhcpRequest& request, const DhcpHost& host,
                                      Ipv4 server) {
  using Type = DhcpRequest::Type;
  if (request.type == Type::kDecline || request.type == Type::kRelease ||
      (request.server.has_value() && *request.server != server)) {
    return std::nullopt;
  }
  Answer answer = request.type == Type::kDiscover ? kOffer : kAck;
  if (request.type == Type::kRequest) {
    const Ipv4 asked = request.wanted.value_or(request.client);
    answer = asked == host.address.address ? kAck : kNak;
  }
  std::optional<std::string> made(Header(request, host, answer));
  std::string& out = *made;
  PutOption(kMessageType, answer, 1, out);
  PutOption(kServerIdentifier, server.bits(), 4, out);
  if (answer != kNak) {
    if (request.type != Type::kInform) {
      const auto lease = static_cast<uint32_t>(kDhcpLease.count());
      PutOption(kLeaseTime, lease, 4, out);
      PutOption(kRenewalTime, lease / 2, 4, out);
      PutOption(kRebindingTime, lease / 8 * 7, 4, out);
    }
    PutConfiguration(host, out);
  }
  out += static_cast<char>(kEnd);
  out.resize(std::max(out.size(), kShortestAnswer), '\0');
  return made;
}

std::string DhcpFrame(std::string_view payload, MacAddress from, Ipv4 server, MacAddress to,
                      Ipv4 client) {
  const auto udp_bytes = static_cast<uint32_t>(8 + payload.size());
  std::string ip("\x45\x10\x00\x00\x00\x00\x00\x00\x40\x11\x00\x00", 12);  // RFC 791: TTL 64, UDP
  ip[2] = static_cast<char>((20 + udp_bytes) >> 8);
  ip[3] = static_cast<char>(20 + udp_bytes);
  PutNumber(server.bits(), 4, ip);
  PutNumber(client.bits(), 4, ip);
  const uint16_t sum = Checksum(ip);
  ip[10] = static_cast<char>(sum >> 8);
  ip[11] = static_cast<char>(sum);
  std::string out;
  out.append(reinterpret_cast<const char*>(to.bytes.data()), to.bytes.size());
  out.append(reinterpret_cast<const char*>(from.bytes.data()), from.bytes.size());
  out += std::string_view("\x08\x00", 2);
  out += ip;
  PutNumber(kDhcpServerPort, 2, out);
  PutNumber(kDhcpClientPort, 2, out);
  PutNumber(udp_bytes, 2, out);
  PutNumber(0, 2, out);  // no checksum: optional over IPv4 (RFC 768)
  out += payload;
  return out;
}

}  // namespace bramble::node
