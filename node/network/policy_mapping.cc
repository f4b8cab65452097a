// SPDX-License-Identifier: Apache-2.0
#include "node/network/policy_mapping.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/status.h"
#include "base/strings.h"
#include "node/network/address_claim.h"

namespace bramble::node {
namespace {

constexpr size_t kInterfaceTail = 12;  // with the prefix 15 bytes: IFNAMSIZ - 1
constexpr size_t kMaxDnsServers = 3;   // glibc's MAXNS

Direction DirectionOf(api::Direction direction) {
  return direction == api::Direction::kIn ? Direction::kIn : Direction::kOut;
}

Protocol ProtocolOf(api::Protocol protocol) {
  switch (protocol) {
    case api::Protocol::kTcp:
      return Protocol::kTcp;
    case api::Protocol::kUdp:
      return Protocol::kUdp;
    case api::Protocol::kIcmp:
      return Protocol::kIcmp;
    case api::Protocol::kAny:
      break;
  }
  return Protocol::kAny;
}

// Rules whose set is not known match nothing: they are left out.
PacketGroup GroupOf(std::string name, const std::vector<api::FirewallRule>& rules,
                    const std::set<std::string>& sets) {
  PacketGroup group{.name = std::move(name)};
  for (const api::FirewallRule& rule : rules) {
    if (!rule.set.empty() && !sets.contains(rule.set)) {
      continue;
    }
    PacketRule& added = group.rules.emplace_back();
    added.direction = DirectionOf(rule.direction);
    added.protocol = ProtocolOf(rule.protocol);
    if (rule.port_first != 0) {
      added.ports = PortRange{rule.port_first, rule.port_last};
    }
    added.remote = rule.prefix;
    added.remote_set = rule.set;
  }
  return group;
}

// The fewest prefixes that have the addresses of `span` and no others.
std::vector<Ipv4Prefix> PrefixesOf(AddressSpan span) {
  std::vector<Ipv4Prefix> prefixes;
  for (uint64_t at = span.first.bits(); span.size() > 0 && at <= span.last.bits();) {
    int length = 32;
    while (length > 0) {
      const Ipv4Prefix wider(Ipv4(static_cast<uint32_t>(at)), length - 1);
      if (wider.network().bits() != at || wider.broadcast() > span.last) {
        break;
      }
      --length;
    }
    const Ipv4Prefix& prefix = prefixes.emplace_back(Ipv4(static_cast<uint32_t>(at)), length);
    at += prefix.size();
  }
  return prefixes;
}

class Planner {
 public:
  explicit Planner(const std::optional<api::NodeNetwork>& network, Ipv4 own) : own_(own) {
    plan_.policy.port_prefix = kHostInterfacePrefix;
    told_ = network.has_value();
    if (!told_) {
      return;
    }
    for (const Ipv4 controller : network->controllers) {
      plan_.policy.controllers.emplace_back(controller, 32);
    }
    for (const Ipv4 node : network->nodes) {
      plan_.policy.nodes.emplace_back(node, 32);
    }
    AddNodeRange(network->prefix);
    for (const api::AddressSet& set : network->sets) {
      AddressSet& added = plan_.policy.sets.emplace_back(AddressSet{.name = set.name});
      for (const Ipv4 address : set.addresses) {
        added.addresses.emplace_back(address, 32);
      }
      sets_.insert(set.name);
    }
    for (const api::FirewallPolicy& policy : network->policies) {
      plan_.policy.groups.push_back(GroupOf(policy.name, policy.rules, sets_));
      groups_.insert(policy.name);
    }
  }

  void Add(const api::NodeContainer& container) {
    absl::StatusOr<std::optional<ContainerLink>> link = LinkOf(container);
    if (!link.ok()) {
      plan_.errors.push_back(std::string(MessageOf(link.status())));
      return;
    }
    if (!link->has_value()) {
      return;
    }
    if (!ports_.insert((*link)->interface).second || !macs_.insert((*link)->mac).second) {
      plan_.errors.push_back(StrCat("container \"", container.name.str(), "\": its port ",
                                    (*link)->interface, " or MAC ", (*link)->mac.str(),
                                    " is another container's"));
      return;
    }
    AddNodeRange((*link)->address.prefix());
    if (!std::exchange(told_, true)) {
      // Where the controller is by the default plan, until it says it.
      plan_.policy.controllers.emplace_back((*link)->address.prefix().At(1), 32);
    }
    AddPort(container, **link);
    AddHost(container, **link);
    plan_.rates.push_back({.interface = (*link)->interface,
                           .in_bits_per_second = container.spec.bandwidth.in_bps,
                           .out_bits_per_second = container.spec.bandwidth.out_bps});
  }

  NetworkPlan Take() { return std::move(plan_); }

 private:
  // Those too that the controller does not know yet, or that were switched on after it was: a node
  // gives itself an address of this range.
  void AddNodeRange(Ipv4Prefix prefix) {
    if (prefix.length() == 0 || !node_ranges_.insert(prefix).second) {
      return;
    }
    const std::vector<Ipv4Prefix> range = PrefixesOf(NodeRangeOf(prefix));
    plan_.policy.nodes.insert(plan_.policy.nodes.end(), range.begin(), range.end());
  }

  void AddPort(const api::NodeContainer& container, const ContainerLink& link) {
    ContainerPort port{.interface = link.interface, .mac = link.mac};
    std::vector<Ipv4> addresses = {link.address.address};
    addresses.insert(addresses.end(), link.floating.begin(), link.floating.end());
    for (const Ipv4 address : addresses) {
      if (addresses_.insert(address).second) {
        port.addresses.push_back(address);
      } else {
        plan_.errors.push_back(StrCat("container \"", container.name.str(), "\": address ",
                                      address.str(), " is another container's"));
      }
    }
    if (!container.firewall.has_value()) {
      port.open_in = port.open_out = true;
      plan_.policy.ports.push_back(std::move(port));
      return;
    }
    const api::ContainerFirewall& firewall = *container.firewall;
    port.open_out = !firewall.restrict_out;
    for (const std::string& policy : firewall.policies) {
      if (groups_.contains(policy)) {
        port.groups.push_back(policy);
      }
    }
    if (!firewall.rules.empty()) {
      const std::string own = StrCat("c/", container.id.str());
      plan_.policy.groups.push_back(GroupOf(own, firewall.rules, sets_));
      port.groups.push_back(own);
    }
    plan_.policy.ports.push_back(std::move(port));
  }

  void AddHost(const api::NodeContainer& container, const ContainerLink& link) {
    DhcpHost host{.mac = link.mac,
                  .address = link.address,
                  .hostname = container.name.str(),
                  .search_domain = container.search_domain};
    host.gateway = Ipv4::Parse(container.gateway).value_or(Ipv4());
    if (!own_.empty()) {
      host.dns.push_back(own_);
    }
    for (const std::string& text : container.dns) {
      const absl::StatusOr<Ipv4> server = Ipv4::Parse(text);
      if (server.ok() && host.dns.size() < kMaxDnsServers && *server != own_) {
        host.dns.push_back(*server);
      }
    }
    plan_.hosts.push_back(std::move(host));
  }

  const Ipv4 own_;
  bool told_ = false;  // who the controllers are
  std::set<Ipv4Prefix> node_ranges_;
  NetworkPlan plan_;
  std::set<std::string> sets_;
  std::set<std::string> groups_;
  std::set<std::string> ports_;
  std::set<MacAddress> macs_;
  std::set<Ipv4> addresses_;
};

}  // namespace

std::string HostInterfaceOf(const ContainerId& id) {
  const std::string& text = id.str();
  return kHostInterfacePrefix +
         (text.size() > kInterfaceTail ? text.substr(text.size() - kInterfaceTail) : text);
}

absl::StatusOr<std::optional<ContainerLink>> LinkOf(const api::NodeContainer& container) {
  if (container.address.empty()) {
    return std::nullopt;
  }
  const std::string who = StrCat("container \"", container.name.str(), "\"");
  ContainerLink link{.interface = HostInterfaceOf(container.id),
                     .floating = container.floating_addresses};
  const absl::StatusOr<MacAddress> mac = MacAddress::Parse(container.mac);
  if (!mac.ok()) {
    return Annotate(mac.status(), who);
  }
  const absl::StatusOr<Ipv4Interface> address = Ipv4Interface::Parse(container.address);
  if (!address.ok()) {
    return Annotate(address.status(), who);
  }
  link.mac = *mac;
  link.address = *address;
  return link;
}

NetworkPlan PlanNetwork(const std::vector<NetworkContainer>& containers,
                        const std::optional<api::NodeNetwork>& network, Ipv4 own) {
  Planner planner(network, own);
  for (const NetworkContainer& container : containers) {
    planner.Add(container.definition);
  }
  return planner.Take();
}

DnsZone ZoneOf(const api::Names& names) {
  std::vector<ZoneName> records;
  records.reserve(names.records.size());
  for (const api::NameRecord& record : names.records) {
    records.push_back({.name = record.name, .address = record.address, .reverse = record.reverse});
  }
  return DnsZone(names.domain, names.prefix, records);
}

}  // namespace bramble::node
