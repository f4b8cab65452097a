// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which packets the containers of this node may send and get.  Plain values; nft_rules.h makes them
// nftables rules.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "node/network/mac_address.h"

namespace bramble::node {

// Both ends belong to it.
struct PortRange {
  uint16_t first = 1;
  uint16_t last = 65535;
  friend auto operator<=>(const PortRange&, const PortRange&) = default;
};

enum class Direction { kIn, kOut };
enum class Protocol { kAny, kTcp, kUdp, kIcmp };

// Allows what matches; nothing denies.
struct PacketRule {
  Direction direction = Direction::kIn;
  Protocol protocol = Protocol::kAny;
  std::optional<PortRange> ports;  // of TCP and UDP: the server's; nullopt: any
  // Whom it is from (in) or to (out).  Neither: anyone.
  std::optional<Ipv4Prefix> remote;
  std::string remote_set;  // the name of an AddressSet
  friend bool operator==(const PacketRule&, const PacketRule&) = default;
};

// A security group.
struct PacketGroup {
  std::string name;
  std::vector<PacketRule> rules;
  friend bool operator==(const PacketGroup&, const PacketGroup&) = default;
};

// Addresses that rules refer to by name: those of all members of a group, on every node.
struct AddressSet {
  std::string name;
  std::vector<Ipv4Prefix> addresses;
  friend bool operator==(const AddressSet&, const AddressSet&) = default;
};

// A container's port on the bridge.
struct ContainerPort {
  std::string interface;        // its end on this node: "vb-…"
  MacAddress mac;               // the only one that it sends from
  std::vector<Ipv4> addresses;  // its own: the first, and the floating ones
  std::vector<std::string> groups;
  bool open_in = false;   // anything may reach it, whatever its groups say
  bool open_out = false;  // it may reach anything but what no container may
  friend bool operator==(const ContainerPort&, const ContainerPort&) = default;
};

struct PacketPolicy {
  // Interfaces that start so are ports of containers, and one of which no ContainerPort tells sends
  // and gets nothing.
  std::string port_prefix = "vb-";
  std::vector<ContainerPort> ports;
  std::vector<PacketGroup> groups;
  std::vector<AddressSet> sets;
  // Containers never reach 8443 and 8444 of the former, 8445 of the latter.
  std::vector<Ipv4Prefix> controllers;
  std::vector<Ipv4Prefix> nodes;
  friend bool operator==(const PacketPolicy&, const PacketPolicy&) = default;
};

inline constexpr size_t kMaxPacketRules = 20'000;    // of a node, in all groups
inline constexpr size_t kMaxSetAddresses = 262'144;  // of all sets

}  // namespace bramble::node
