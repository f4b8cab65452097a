// SPDX-License-Identifier: Apache-2.0
#pragma once

// The network in the node protocol: what a node needs to know to name, filter and announce its
// containers while the controller is off, and what it says of its own network.
//
// Everything here is resolved: a node decides nothing but how to bring it about.  NodeNetwork and
// Names are messages of their own, each whole (never a delta), each ordered by its Version: a node
// ignores one that is older than what it has, keeps the newest on disk, and applies it within a
// second.  Both are sent after every Welcome, and whenever they change.

#include "api/json_lists.h"
#include "api/security_group.h"

namespace bramble::api {

// The order of all desired state.  A higher epoch beats any generation.
struct Version {
  uint64_t epoch = 0;
  uint64_t generation = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
};

// Names of sets and policies: 1 to 140 of [a-z0-9/-], a letter first.  They can serve as nftables
// identifiers as they are.  "p/PROJECT" is a set of all containers of a project, "g/PROJECT/GROUP"
// both the set of a group's containers and the policy of its rules.
inline constexpr size_t kMaxSetName = 140;

// The addresses of a set's containers, floating ones too, in order and each once.
struct AddressSet {
  std::string name;
  std::vector<Ipv4> addresses;
  friend bool operator==(const AddressSet&, const AddressSet&) = default;
};
inline constexpr size_t kMaxAddressesInSet = 65536;

// Lets matching packets of a new connection through.  Neither prefix nor set: from or to anybody.
struct FirewallRule {
  Direction direction = Direction::kIn;
  Protocol protocol = Protocol::kAny;
  uint16_t port_first = 0;  // destination; 0: every port.  Only for tcp and udp.
  uint16_t port_last = 0;
  std::optional<Ipv4Prefix> prefix;
  std::string set;  // the other side is in this AddressSet
  friend bool operator==(const FirewallRule&, const FirewallRule&) = default;
};

// The compiled rules of one security group, shared by all containers that have it.
struct FirewallPolicy {
  std::string name;
  std::vector<FirewallRule> rules;
  friend bool operator==(const FirewallPolicy&, const FirewallPolicy&) = default;
};

// What applies to one container (NodeContainer::firewall).  A packet of a new connection to it
// passes when a rule with direction "in" of a named policy or of `rules` matches, and is dropped
// otherwise; one from it passes unless `restrict_out`, and then as the rules with direction "out"
// say.  Answers to established connections, and what is related to them, pass.  A policy or set
// that the node does not know lets nothing through.
struct ContainerFirewall {
  std::vector<std::string> policies;
  std::vector<FirewallRule> rules;  // of this container alone: the image's label `ports`
  bool restrict_out = false;
  friend bool operator==(const ContainerFirewall&, const ContainerFirewall&) = default;
};

// The network as one node needs to know it: sets and policies are those that its own containers
// refer to.
struct NodeNetwork {
  Version version;
  Ipv4Prefix prefix;      // the cluster's
  Ipv4Interface address;  // the node's own; another than it has: take it at once, see below
  Ipv4 gateway;           // the controller: DNS, NTP and the way out where it masquerades
  // Containers reach none of them on kManagementPorts, whatever the rules say.
  std::vector<Ipv4> controllers;
  std::vector<Ipv4> nodes;
  std::vector<AddressSet> sets;
  std::vector<FirewallPolicy> policies;
  friend bool operator==(const NodeNetwork&, const NodeNetwork&) = default;
};
// When `prefix` or `address` changes, the node takes the new address beside the old one, reports
// it, and drops the old one when no container has an address of the old prefix any more and the
// session runs over the new one, or after kOldAddressKeptSeconds.
inline constexpr int64_t kOldAddressKeptSeconds = 600;
inline constexpr uint16_t kManagementPorts[] = {8443, 8444, 8445};

// One name and one address; a name may come several times.  `name` is fully qualified, in lower
// case, without the last dot.  `reverse`: it is also what the address is called (at most one
// record of an address has it).
struct NameRecord {
  std::string name;
  Ipv4 address;
  bool reverse = false;
  friend bool operator==(const NameRecord&, const NameRecord&) = default;
};
inline constexpr size_t kMaxNameRecords = 100'000;

// The whole zone, the same for every node.  A node answers its own containers for `domain` and for
// the reverse zone of `prefix` from it alone, NXDOMAIN for what is not in it.  All else is asked of
// `forwarders` in order, and refused when there are none.
struct Names {
  Version version;
  std::string domain;  // "bramble.internal"
  Ipv4Prefix prefix;
  std::vector<Ipv4> forwarders;
  std::vector<NameRecord> records;  // by name, then address
  friend bool operator==(const Names&, const Names&) = default;
};

// ---- node -> controller

// How containers reach the LAN: as ports of a bridge over the uplink, or routed with proxy ARP
// where the uplink takes no foreign MAC addresses; none: no cluster network on this machine.
enum class UplinkMode { kNone, kBridged, kRouted };
inline constexpr std::string_view kUplinkModeNames[] = {"none", "bridged", "routed"};

// Something that is not ours answered by ARP for an address of the node or of its container.
struct AddressConflict {
  Ipv4 address;
  std::string mac;        // the foreign one
  ContainerId container;  // empty: the node's own address
  friend bool operator==(const AddressConflict&, const AddressConflict&) = default;
};

// What a node says of its network, in Hello and in a Report when it changed (all of it).
struct NetworkReport {
  UplinkMode mode = UplinkMode::kNone;
  std::string uplink;        // "eth0", "wlan0"
  Ipv4Interface address;     // in use on the cluster's network; empty: none
  bool self_chosen = false;  // by hash and ARP probe, not confirmed by the controller yet
  bool link_up = true;
  int64_t mtu = 0;       // of the bridge or uplink; 0: not known
  Ipv4 default_gateway;  // its way to the Internet; empty: none
  std::vector<AddressConflict> conflicts;
  std::vector<Ipv4> dhcp_servers;  // heard on the uplink by its DHCP client, ours among them
  std::vector<std::string> missing_features;  // of the kernel: "br_netfilter", "nf_tables", "tbf"
  Version network_version;                    // NodeNetwork applied
  Version names_version;                      // Names applied
  std::vector<std::string> errors;            // why the newest could not be applied; empty: it is
  friend bool operator==(const NetworkReport&, const NetworkReport&) = default;
};

json::object ToJson(const FirewallRule& rule);
json::object ToJson(const ContainerFirewall& firewall);
absl::StatusOr<ContainerFirewall> ContainerFirewallFromJson(const json::value& value,
                                                            std::string path);
json::object ToJson(const NetworkReport& report);
absl::StatusOr<NetworkReport> NetworkReportFromJson(const json::value& value, std::string path);

json::object VersionToJson(const Version& version);
Version VersionField(JsonObjectReader& parent, std::string_view key);

// The messages' bodies with their type, for api/node_protocol.cc.
json::object Body(const NodeNetwork& network);
void Read(JsonObjectReader& reader, NodeNetwork& network);
json::object Body(const Names& names);
void Read(JsonObjectReader& reader, Names& names);

}  // namespace bramble::api
