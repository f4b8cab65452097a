// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the controller sent, as this node's filter, rates and DHCP answers.  Pure.

#include <optional>
#include <string>
#include <vector>

#include "node/network/container_network.h"
#include "node/network/dhcp_answer.h"
#include "node/network/dns_answer.h"
#include "node/network/packet_policy.h"
#include "node/network/rate_plan.h"

namespace bramble::node {

// One container's link, checked.
struct ContainerLink {
  std::string interface;
  MacAddress mac;
  Ipv4Interface address;
  std::vector<Ipv4> floating;
  friend bool operator==(const ContainerLink&, const ContainerLink&) = default;
};
// nullopt: it has no network.  kInvalidArgument: an address or MAC that is none.
absl::StatusOr<std::optional<ContainerLink>> LinkOf(const api::NodeContainer& container);

struct NetworkPlan {
  PacketPolicy policy;
  std::vector<PortRate> rates;  // of all ports
  std::vector<DhcpHost> hosts;
  // What could not be taken over, each with the container that it is of; such a container's port
  // is closed.
  std::vector<std::string> errors;
};

// Without a NodeNetwork (never connected) containers with a firewall are closed to the outside, and
// the controller is taken to be where the default plan has it.  Nodes are those that it names, and
// the whole range of the prefix that is for nodes.  A
// policy or set that the controller has not sent lets nothing through.  Of two containers that
// claim one address, port or MAC the first keeps it.  `own` is the node's address.
NetworkPlan PlanNetwork(const std::vector<NetworkContainer>& containers,
                        const std::optional<api::NodeNetwork>& network, Ipv4 own);

DnsZone ZoneOf(const api::Names& names);

}  // namespace bramble::node
