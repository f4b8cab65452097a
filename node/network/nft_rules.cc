// SPDX-License-Identifier: Apache-2.0
#include "node/network/nft_rules.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/status.h"
#include "base/strings.h"

#include "absl/strings/str_format.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxName = 140;
constexpr size_t kMaxInterface = 15;  // IFNAMSIZ - 1
constexpr std::string_view kMarkPlace = "@MARK@";

// Also what keeps a name from being anything else to nft.
bool IsPlain(std::string_view text, size_t max) {
  return !text.empty() && text.size() <= max && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  });
}

struct Range {
  uint32_t first = 0;
  uint32_t last = 0;
  friend auto operator<=>(const Range&, const Range&) = default;
};

// Sorted, none touching the next: nft refuses intervals that overlap.
std::vector<Range> Merge(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<Range> merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && uint64_t{range.first} <= uint64_t{merged.back().last} + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

Range RangeOf(Ipv4Prefix prefix) { return {prefix.network().bits(), prefix.broadcast().bits()}; }

std::string AddressElements(const std::vector<Ipv4Prefix>& prefixes) {
  std::vector<Range> ranges;
  ranges.reserve(prefixes.size());
  for (const Ipv4Prefix& prefix : prefixes) {
    ranges.push_back(RangeOf(prefix));
  }
  std::string text;
  for (const Range& range : Merge(std::move(ranges))) {
    text += text.empty() ? "" : ", ";
    text += Ipv4(range.first).str();
    if (range.last != range.first) {
      text += "-" + Ipv4(range.last).str();
    }
  }
  return text;
}

std::string PortElements(const std::set<PortRange>& ports) {
  std::vector<Range> ranges;
  for (const PortRange& range : ports) {
    ranges.push_back({range.first, range.last});
  }
  std::string text;
  for (const Range& range : Merge(std::move(ranges))) {
    text += StrCat(text.empty() ? "" : ", ", range.first);
    if (range.last != range.first) {
      text += StrCat("-", range.last);
    }
  }
  return text;
}

std::string_view NameOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kIcmp:
      return "icmp";
    case Protocol::kAny:
      break;
  }
  return "";
}

std::string_view NameOf(Direction direction) { return direction == Direction::kIn ? "in" : "out"; }

// ---- checks

absl::Status CheckRule(const PacketGroup& group, const PacketRule& rule,
                       const std::set<std::string>& sets) {
  const std::string where = StrCat("security group \"", group.name, "\": ");
  if (rule.ports.has_value()) {
    if (rule.protocol != Protocol::kTcp && rule.protocol != Protocol::kUdp) {
      return absl::InvalidArgumentError(
          StrCat(where, "a rule has ports but is neither of TCP nor of UDP"));
    }
    if (rule.ports->first == 0 || rule.ports->first > rule.ports->last) {
      return absl::InvalidArgumentError(StrCat(where, "ports ", rule.ports->first, "-",
                                               rule.ports->last,
                                               ": write 1 to 65535, the lower first"));
    }
  }
  if (!rule.remote_set.empty() && !sets.contains(rule.remote_set)) {
    return absl::InvalidArgumentError(
        StrCat(where, "a rule names the address set \"", rule.remote_set, "\", which is not here"));
  }
  if (!rule.remote_set.empty() && rule.remote.has_value()) {
    return absl::InvalidArgumentError(StrCat(where, "a rule has both a prefix and a set"));
  }
  return absl::OkStatus();
}

absl::Status CheckSets(const PacketPolicy& policy, std::set<std::string>& names) {
  size_t addresses = 0;
  for (const AddressSet& set : policy.sets) {
    if (!IsPlain(set.name, kMaxName) || !names.insert(set.name).second) {
      return absl::InvalidArgumentError(
          StrCat("address set \"", set.name, "\": not a name, or twice"));
    }
    addresses += set.addresses.size();
  }
  if (addresses > kMaxSetAddresses) {
    return absl::ResourceExhaustedError(StrCat("firewall: ", addresses, " addresses in sets; at ",
                                               "most ", kMaxSetAddresses, " on one node"));
  }
  return absl::OkStatus();
}

absl::Status CheckGroups(const PacketPolicy& policy, std::set<std::string>& names) {
  std::set<std::string> sets;
  BRAMBLE_RETURN_IF_ERROR(CheckSets(policy, sets));
  size_t rules = 0;
  for (const PacketGroup& group : policy.groups) {
    if (!IsPlain(group.name, kMaxName) || !names.insert(group.name).second) {
      return absl::InvalidArgumentError(
          StrCat("security group \"", group.name, "\": not a name, or twice"));
    }
    rules += group.rules.size();
    for (const PacketRule& rule : group.rules) {
      BRAMBLE_RETURN_IF_ERROR(CheckRule(group, rule, sets));
    }
  }
  if (rules > kMaxPacketRules) {
    return absl::ResourceExhaustedError(
        StrCat("firewall: ", rules, " rules in the security groups of this node's containers; at ",
               "most ", kMaxPacketRules, " are taken: use prefixes and port ranges"));
  }
  return absl::OkStatus();
}

absl::Status Check(const PacketPolicy& policy) {
  std::set<std::string> groups;
  BRAMBLE_RETURN_IF_ERROR(CheckGroups(policy, groups));
  if (!IsPlain(policy.port_prefix, kMaxInterface - 1)) {
    return absl::InvalidArgumentError("firewall: the prefix of ports is no name");
  }
  std::set<std::string> interfaces;
  std::set<Ipv4> addresses;
  for (const ContainerPort& port : policy.ports) {
    if (!IsPlain(port.interface, kMaxInterface) ||
        !port.interface.starts_with(policy.port_prefix) ||
        !interfaces.insert(port.interface).second) {
      return absl::InvalidArgumentError(StrCat("container port \"", port.interface,
                                               "\": not a name that begins with ",
                                               policy.port_prefix, ", or twice"));
    }
    if (port.mac.is_group()) {
      return absl::InvalidArgumentError(
          StrCat("container port ", port.interface, ": ", port.mac.str(), " is no station's MAC"));
    }
    for (const Ipv4 address : port.addresses) {
      if (address.empty() || !addresses.insert(address).second) {
        return absl::InvalidArgumentError(StrCat("container port ", port.interface, ": address ",
                                                 address.str(), " is none, or another's too"));
      }
    }
    for (const std::string& group : port.groups) {
      if (!groups.contains(group)) {
        return absl::InvalidArgumentError(StrCat("container port ", port.interface,
                                                 ": security group \"", group, "\" is not here"));
      }
    }
  }
  return absl::OkStatus();
}

// ---- the bridge table

void AddSet(std::string_view name, std::string_view type, std::string_view elements,
            std::string& out) {
  out += StrCat("  set ", name, " {\n    ", type, "\n");
  if (!elements.empty()) {
    out += StrCat("    elements = { ", elements, " }\n");
  }
  out += "  }\n";
}

// The order of `port` is what keeps it tight: nothing is accepted before what could be forged has
// been looked at.
constexpr std::string_view kBridgeChains = R"(  set dhcp_rate {
    type ifname
    size 65535
    flags dynamic, timeout
    timeout 1m
  }
  chain from_port {
    type filter hook prerouting priority -300; policy accept;
    iifname "@PORT@*" goto port
  }
  chain port {
    iifname . ether saddr != @port_mac drop
    ether type arp goto port_arp
    ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 goto port_dhcp
    ether type ip iifname . ip saddr != @port_address drop
    ether type ip udp sport 67 drop
    ether type ip6 icmpv6 type nd-router-advert drop
    ether type != ip drop
  }
  chain port_arp {
    arp htype != 1 drop
    arp ptype != ip drop
    arp hlen != 6 drop
    arp plen != 4 drop
    iifname . arp saddr ether != @port_mac drop
    arp operation request arp saddr ip 0.0.0.0 iifname . arp daddr ip @port_address accept
    iifname . arp saddr ip != @port_address drop
    arp operation { request, reply } accept
    drop
  }
  chain port_dhcp {
    update @dhcp_rate { iifname limit rate 5/second burst 10 packets } accept
    drop
  }
  chain to_port {
    type filter hook forward priority -300; policy accept;
    iifname "@PORT@*" ether type ip udp dport 67 drop
    oifname "@PORT@*" goto port_gets
  }
  chain port_gets {
    ether type arp accept
    ether type != ip drop
    oifname . ip daddr != @port_address drop
  }
  chain node_to_port {
    type filter hook output priority -300; policy accept;
    oifname "@PORT@*" ether type != { ip, arp } drop
  }
)";

void AddBridgeTable(const PacketPolicy& policy, std::string& out) {
  std::string macs;
  std::string addresses;
  for (const ContainerPort& port : policy.ports) {
    macs += StrCat(macs.empty() ? "" : ", ", "\"", port.interface, "\" . ", port.mac.str());
    for (const Ipv4 address : port.addresses) {
      addresses +=
          StrCat(addresses.empty() ? "" : ", ", "\"", port.interface, "\" . ", address.str());
    }
  }
  out += "table bridge bramble {\n";
  AddSet("port_mac", "type ifname . ether_addr", macs, out);
  AddSet("port_address", "type ifname . ipv4_addr", addresses, out);
  std::string_view rest = kBridgeChains;
  constexpr std::string_view kPort = "@PORT@";
  for (size_t at = rest.find(kPort); at != std::string_view::npos; at = rest.find(kPort)) {
    out += rest.substr(0, at);
    out += policy.port_prefix;
    rest.remove_prefix(at + kPort.size());
  }
  out += rest;
  out += "}\n";
}

// ---- the inet table

// Rules that differ only in their ports are one.
struct Matching {
  Protocol protocol = Protocol::kAny;
  std::string remote;  // as nft writes it: "10.0.0.0/8", "@set_3"; empty: anyone
  friend auto operator<=>(const Matching&, const Matching&) = default;
};
struct PortsOf {
  bool all = false;
  std::set<PortRange> ranges;
};

// What containers have in common that share their chains.
struct Profile {
  std::set<size_t> groups;
  bool open_in = false;
  bool open_out = false;
  friend auto operator<=>(const Profile&, const Profile&) = default;
};

class InetTable {
 public:
  InetTable(const PacketPolicy& policy, std::string& out) : policy_(policy), out_(out) {}

  void Write() {
    out_ += "table inet bramble {\n";
    WriteSets();
    WriteVerdicts();
    out_ += kAllowChain;
    for (size_t i = 0; i < policy_.groups.size(); ++i) {
      for (const Direction direction : {Direction::kIn, Direction::kOut}) {
        WriteGroup(i, direction);
      }
    }
    for (const Direction direction : {Direction::kIn, Direction::kOut}) {
      for (const auto& [profile, number] : profiles_) {
        WriteProfile(profile, number, direction);
      }
    }
    out_ += kHooks;
    out_ += "}\n";
  }

 private:
  static constexpr std::string_view kAllowChain = R"(  chain allow {
    ct mark set @MARK@ accept
  }
  chain into {
    ct original ip daddr vmap @in
    goto allow
  }
)";
  // What reaches `forward` and is of no container is not ours to judge.
  static constexpr std::string_view kHooks = R"(  chain guard {
    ct original ip daddr 169.254.0.0/16 drop
    ct original ip daddr @controllers meta l4proto tcp ct original proto-dst { 8443, 8444 } drop
    ct original ip daddr @nodes meta l4proto tcp ct original proto-dst 8445 drop
  }
  chain forwarded {
    type filter hook forward priority filter; policy accept;
    meta nfproto != ipv4 accept
    ct mark @MARK@ ct state established,related accept
    ct original ip saddr @local goto from_container
    ct original ip daddr @local goto to_container
  }
  chain from_container {
    ct state invalid drop
    jump guard
    ct original ip saddr vmap @out
    drop
  }
  chain to_container {
    ct state invalid drop
    goto into
  }
  chain delivered {
    type filter hook input priority filter; policy accept;
    meta nfproto != ipv4 accept
    ip saddr @local goto from_container_to_node
  }
  chain from_container_to_node {
    ct direction reply ct state established,related accept
    ct state invalid drop
    ct mark @MARK@ ct state established,related accept
    tcp dport { 8443, 8444, 8445 } drop
    udp dport { 53, 67 } accept
    tcp dport 53 accept
    icmp type echo-request accept
    jump guard
    ct original ip saddr vmap @out
    drop
  }
)";

  void WriteSets() {
    AddSet("controllers", "type ipv4_addr; flags interval", AddressElements(policy_.controllers),
           out_);
    AddSet("nodes", "type ipv4_addr; flags interval", AddressElements(policy_.nodes), out_);
    std::string local;
    for (const ContainerPort& port : policy_.ports) {
      for (const Ipv4 address : port.addresses) {
        local += StrCat(local.empty() ? "" : ", ", address.str());
      }
    }
    AddSet("local", "type ipv4_addr", local, out_);
    for (size_t i = 0; i < policy_.sets.size(); ++i) {
      set_numbers_[policy_.sets[i].name] = i;
      out_ += StrCat("  # ", policy_.sets[i].name, "\n");
      AddSet(SetName(i), "type ipv4_addr; flags interval",
             AddressElements(policy_.sets[i].addresses), out_);
    }
  }

  static std::string SetName(size_t number) { return StrCat("set_", number); }

  // Containers with equal groups share their chains.
  void WriteVerdicts() {
    for (size_t i = 0; i < policy_.groups.size(); ++i) {
      group_numbers_[policy_.groups[i].name] = i;
    }
    std::string in;
    std::string out;
    for (const ContainerPort& port : policy_.ports) {
      Profile profile{.open_in = port.open_in, .open_out = port.open_out};
      for (const std::string& group : port.groups) {
        profile.groups.insert(group_numbers_[group]);
      }
      const size_t number = profiles_.emplace(profile, profiles_.size()).first->second;
      for (const Ipv4 address : port.addresses) {
        in += StrCat(in.empty() ? "" : ", ", address.str(), " : goto in_", number);
        out += StrCat(out.empty() ? "" : ", ", address.str(), " : goto out_", number);
      }
    }
    // Chains come before what refers to them.
    for (const auto& [profile, number] : profiles_) {
      out_ += StrCat("  chain in_", number, " {\n  }\n  chain out_", number, " {\n  }\n");
    }
    for (const auto& [name, elements] : {std::pair("in", in), std::pair("out", out)}) {
      out_ += StrCat("  map ", name, " {\n    type ipv4_addr : verdict\n");
      if (!elements.empty()) {
        out_ += StrCat("    elements = { ", elements, " }\n");
      }
      out_ += "  }\n";
    }
  }

  std::string RemoteOf(const PacketRule& rule) const {
    if (!rule.remote_set.empty()) {
      return "@" + SetName(set_numbers_.at(rule.remote_set));
    }
    return rule.remote.has_value() && rule.remote->length() > 0 ? rule.remote->str() : "";
  }

  void WriteGroup(size_t number, Direction direction) {
    const PacketGroup& group = policy_.groups[number];
    std::map<Matching, PortsOf> rules;
    for (const PacketRule& rule : group.rules) {
      if (rule.direction != direction) {
        continue;
      }
      PortsOf& ports = rules[{.protocol = rule.protocol, .remote = RemoteOf(rule)}];
      rule.ports.has_value() ? void(ports.ranges.insert(*rule.ports)) : void(ports.all = true);
    }
    out_ += StrCat("  # security group ", group.name, "\n  chain group_", number, "_",
                   NameOf(direction), " {\n");
    for (const auto& [matching, ports] : rules) {
      out_ += "   ";
      if (!matching.remote.empty()) {
        out_ += StrCat(" ct original ip ", direction == Direction::kIn ? "saddr " : "daddr ",
                       matching.remote);
      }
      if (matching.protocol != Protocol::kAny) {
        out_ += StrCat(" meta l4proto ", NameOf(matching.protocol));
      }
      if (!ports.all && !ports.ranges.empty()) {
        out_ += StrCat(" ct original proto-dst { ", PortElements(ports.ranges), " }");
      }
      // What may leave may still be for another container here.
      out_ += direction == Direction::kIn ? " goto allow\n" : " goto into\n";
    }
    out_ += "  }\n";
  }

  void WriteProfile(const Profile& profile, size_t number, Direction direction) {
    out_ += StrCat("  chain ", NameOf(direction), "_", number, " {\n");
    if (direction == Direction::kIn ? profile.open_in : profile.open_out) {
      out_ += direction == Direction::kIn ? "    goto allow\n  }\n" : "    goto into\n  }\n";
      return;
    }
    for (const size_t group : profile.groups) {
      out_ += StrCat("    jump group_", group, "_", NameOf(direction), "\n");
    }
    out_ += "    drop\n  }\n";
  }

  const PacketPolicy& policy_;
  std::string& out_;
  std::map<std::string, size_t> set_numbers_;
  std::map<std::string, size_t> group_numbers_;
  std::map<Profile, size_t> profiles_;
};

// The mark of connections under these rules; never 0.
uint32_t PolicyMark(const std::string& rules) {
  // FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/
  uint32_t hash = 0x811c9dc5u;
  for (const char c : rules) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  }
  return hash == 0 ? 1 : hash;
}

}  // namespace

absl::StatusOr<std::string> CompileNftRules(const PacketPolicy& policy) {
  BRAMBLE_RETURN_IF_ERROR(Check(policy));
  std::string rules;
  // Made if need be, then deleted: deleting what is not there is an error to nft.
  for (const std::string_view family : {"bridge", "inet"}) {
    rules += StrCat("table ", family, " bramble {\n}\ndelete table ", family, " bramble\n");
  }
  AddBridgeTable(policy, rules);
  InetTable(policy, rules).Write();
  const std::string mark = absl::StrFormat("0x%08x", PolicyMark(rules));
  std::string marked;
  marked.reserve(rules.size());
  size_t from = 0;
  for (size_t at = rules.find(kMarkPlace); at != std::string::npos;
       at = rules.find(kMarkPlace, from)) {
    marked.append(rules, from, at - from).append(mark);
    from = at + kMarkPlace.size();
  }
  marked.append(rules, from);
  return marked;
}

}  // namespace bramble::node
