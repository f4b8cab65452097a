// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a node answers to the DHCP requests of its own containers (RFC 2131): the address that the
// container has anyway, so that images which ask for one keep it.  Pure.
//
// There is no pool, so nothing can be used up; no name and no address comes from a client.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "node/network/mac_address.h"

namespace bramble::node {

inline constexpr uint16_t kDhcpServerPort = 67;
inline constexpr uint16_t kDhcpClientPort = 68;

// What is known of one container.
struct DhcpHost {
  MacAddress mac;
  Ipv4Interface address;
  Ipv4 gateway;
  std::vector<Ipv4> dns;
  std::string hostname;
  std::string search_domain;
  int mtu = 0;  // 0: not said
  friend bool operator==(const DhcpHost&, const DhcpHost&) = default;
};

// Of what a client sent, only what an answer needs.
struct DhcpRequest {
  enum class Type { kDiscover = 1, kRequest = 3, kDecline = 4, kRelease = 7, kInform = 8 };
  Type type = Type::kDiscover;
  std::string transaction;  // 4 bytes
  uint16_t flags = 0;
  Ipv4 client;                 // ciaddr: it has it already
  MacAddress mac;              // chaddr
  std::optional<Ipv4> wanted;  // option 50
  std::optional<Ipv4> server;  // option 54: whose offer it takes
};

// The payload of a UDP packet.  nullopt: no request of an Ethernet client.
std::optional<DhcpRequest> DecodeDhcpRequest(std::string_view payload);

// The payload of the answer; nullopt: none is due (it chose another server, or wants none).
// `server` is this node's address.  A request for an address that is not the container's is refused
// (DHCPNAK), which has the client ask again.
std::optional<std::string> AnswerDhcp(const DhcpRequest& request, const DhcpHost& host,
                                      Ipv4 server);

// `payload` as a whole Ethernet frame to `to`, from this node's port.
std::string DhcpFrame(std::string_view payload, MacAddress from, Ipv4 server, MacAddress to,
                      Ipv4 client);

inline constexpr std::chrono::seconds kDhcpLease{12 * 3600};

}  // namespace bramble::node
