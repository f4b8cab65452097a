// SPDX-License-Identifier: Apache-2.0
#pragma once

// What has to change so that the node's port is a port of its bridge and the node's address is on
// the bridge.  Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// What is wanted.
struct BridgeSetting {
  std::string bridge = "br0";
  std::string port;                      // empty: none
  std::optional<Ipv4Interface> address;  // nullopt: what the port has is taken over
  Ipv4 gateway;                          // empty: as it is
  std::vector<Ipv4Interface> dropped;    // no longer this node's

  // The port takes no foreign MACs: it stays out of the bridge, the address is on it, and the
  // containers' addresses are routed to the bridge and answered for by ARP on the port.
  bool routed = false;
  std::vector<Ipv4> containers;

  friend bool operator==(const BridgeSetting&, const BridgeSetting&) = default;
};

// What is there, as `ip -json` tells it.
struct LinkFacts {
  std::string name;
  std::string mac;
  std::string master;  // the bridge that it is a port of; empty: none
  bool up = false;
  int mtu = 0;
  std::vector<Ipv4Interface> addresses;  // of global scope
};
struct RouteFacts {
  Ipv4 gateway;
  std::string device;  // of the default route
};
struct NetworkFacts {
  std::vector<LinkFacts> links;
  std::vector<RouteFacts> default_routes;
  std::vector<Ipv4> bridge_routes;  // single addresses that are routed to the bridge
  std::vector<Ipv4> proxied;        // that are answered for by ARP on the port

  const LinkFacts* Find(std::string_view name) const;
};

// Reads `ip -json address show` and `ip -json route show default`.
absl::StatusOr<NetworkFacts> ParseNetworkFacts(std::string_view addresses, std::string_view routes);

// Reads `ip -json -4 route show dev BRIDGE` or `ip -json -4 neigh show proxy dev PORT`: the single
// addresses in it.
absl::StatusOr<std::vector<Ipv4>> ParseSingleAddresses(std::string_view list);

// Lines for `ip -batch`, in an order that may be cut short anywhere and then done again: an address
// is on the bridge before it is taken from the port.  Empty: all is as it should be.
// kFailedPrecondition: there is no such port.
absl::StatusOr<std::vector<std::string>> PlanBridge(const BridgeSetting& setting,
                                                    const NetworkFacts& facts);

}  // namespace bramble::node
