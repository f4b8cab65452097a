// SPDX-License-Identifier: Apache-2.0
#include "node/network/bridge_plan.h"

#include <algorithm>

#include "base/json.h"
#include "base/status.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxFactsBytes = 4 << 20;

LinkFacts LinkOf(const json::value& value) {
  JsonObjectReader reader(value, "link");
  LinkFacts link;
  link.name = reader.OptionalString("ifname").value_or("");
  link.mac = reader.OptionalString("address").value_or("");
  link.mtu = static_cast<int>(reader.OptionalInt("mtu", {.min = 0, .max = 1 << 20}).value_or(0));
  link.master = reader.OptionalString("master").value_or("");
  for (const std::string& flag : reader.StringList("flags")) {
    link.up = link.up || flag == "UP";
  }
  for (const json::value* info : reader.List("addr_info")) {
    JsonObjectReader address(*info, "addr_info");
    const absl::StatusOr<Ipv4> local = Ipv4::Parse(address.OptionalString("local").value_or(""));
    if (address.OptionalString("family") == "inet" && local.ok() &&
        address.OptionalString("scope") == "global") {
      link.addresses.push_back(
          {.address = *local,
           .length = static_cast<int>(
               address.OptionalInt("prefixlen", {.min = 0, .max = 32}).value_or(32))});
    }
  }
  return link;
}

template <typename T>
bool Has(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// A device that has the node's addresses: those that are wanted and not there, and those that are
// there and no longer the node's.
void PlanDropped(const BridgeSetting& setting, const LinkFacts* device,
                 std::vector<std::string>& lines) {
  for (const Ipv4Interface& address : setting.dropped) {
    if (device != nullptr && Has(device->addresses, address) && setting.address != address) {
      lines.push_back(StrCat("address del ", address.str(), " dev ", device->name));
    }
  }
}

// What the port would be given as a part of the bridge it has itself; each container is a route.
std::vector<std::string> PlanRouted(const BridgeSetting& setting, const NetworkFacts& facts,
                                    const LinkFacts& port) {
  std::vector<std::string> lines;
  const std::string& name = setting.bridge;
  const LinkFacts* bridge = facts.Find(name);
  if (bridge == nullptr) {
    lines.push_back(StrCat("link add name ", name, " type bridge stp_state 0 forward_delay 0"));
  }
  if (bridge == nullptr || !bridge->up) {
    lines.push_back(StrCat("link set dev ", name, " up"));
  }
  if (!port.master.empty()) {
    lines.push_back(StrCat("link set dev ", port.name, " nomaster"));
  }
  if (!port.up) {
    lines.push_back(StrCat("link set dev ", port.name, " up"));
  }
  std::vector<Ipv4Interface> wanted;
  if (setting.address.has_value()) {
    wanted.push_back(*setting.address);
  }
  if (bridge != nullptr) {
    // It was bridged before.
    wanted.insert(wanted.end(), bridge->addresses.begin(), bridge->addresses.end());
  }
  std::vector<Ipv4Interface> present = port.addresses;
  for (const Ipv4Interface& address : wanted) {
    if (!Has(present, address) && !Has(setting.dropped, address)) {
      lines.push_back(StrCat("address add ", address.str(), " dev ", port.name));
      present.push_back(address);
    }
  }
  Ipv4 gateway = setting.gateway;
  bool routed = false;
  for (const RouteFacts& route : facts.default_routes) {
    if (route.device == name && gateway.empty()) {
      gateway = route.gateway;
    }
    routed = routed || (route.device == port.name && route.gateway == gateway);
  }
  if (!gateway.empty() && !routed) {
    lines.push_back(StrCat("route replace default via ", gateway.str(), " dev ", port.name));
  }
  if (bridge != nullptr) {
    for (const Ipv4Interface& address : bridge->addresses) {
      lines.push_back(StrCat("address del ", address.str(), " dev ", name));
    }
  }
  for (const Ipv4 address : setting.containers) {
    if (!Has(facts.bridge_routes, address)) {
      lines.push_back(StrCat("route replace ", address.str(), "/32 dev ", name));
    }
    if (!Has(facts.proxied, address)) {
      lines.push_back(StrCat("neigh replace proxy ", address.str(), " dev ", port.name));
    }
  }
  for (const Ipv4 address : facts.bridge_routes) {
    if (!Has(setting.containers, address)) {
      lines.push_back(StrCat("route del ", address.str(), "/32 dev ", name));
    }
  }
  for (const Ipv4 address : facts.proxied) {
    if (!Has(setting.containers, address)) {
      lines.push_back(StrCat("neigh del proxy ", address.str(), " dev ", port.name));
    }
  }
  PlanDropped(setting, &port, lines);
  return lines;
}

// The addresses that the bridge lacks: the one that is set, and those that are still on the port.
void PlanAddresses(const BridgeSetting& setting, const LinkFacts* bridge, const LinkFacts* port,
                   std::vector<std::string>& lines) {
  std::vector<Ipv4Interface> wanted;
  if (setting.address.has_value()) {
    wanted.push_back(*setting.address);
  }
  if (port != nullptr) {
    wanted.insert(wanted.end(), port->addresses.begin(), port->addresses.end());
  }
  std::vector<Ipv4Interface> present;
  if (bridge != nullptr) {
    present = bridge->addresses;
  }
  for (const Ipv4Interface& address : wanted) {
    if (!Has(present, address)) {
      lines.push_back(StrCat("address add ", address.str(), " dev ", setting.bridge));
      present.push_back(address);
    }
  }
}

}  // namespace

const LinkFacts* NetworkFacts::Find(std::string_view name) const {
  for (const LinkFacts& link : links) {
    if (link.name == name) {
      return &link;
    }
  }
  return nullptr;
}

absl::StatusOr<NetworkFacts> ParseNetworkFacts(std::string_view addresses,
                                               std::string_view routes) {
  NetworkFacts facts;
  BRAMBLE_ASSIGN_OR_RETURN(const json::value links, ParseJson(addresses, kMaxFactsBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value defaults,
                           ParseJson(routes.empty() ? "[]" : routes, kMaxFactsBytes));
  if (!links.is_array() || !defaults.is_array()) {
    return absl::InvalidArgumentError("ip -json: expected a list");
  }
  for (const json::value& link : links.get_array()) {
    facts.links.push_back(LinkOf(link));
  }
  for (const json::value& route : defaults.get_array()) {
    JsonObjectReader reader(route, "route");
    const absl::StatusOr<Ipv4> gateway = Ipv4::Parse(reader.OptionalString("gateway").value_or(""));
    facts.default_routes.push_back(
        {.gateway = gateway.value_or(Ipv4()), .device = reader.OptionalString("dev").value_or("")});
  }
  return facts;
}

absl::StatusOr<std::vector<Ipv4>> ParseSingleAddresses(std::string_view list) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value,
                           ParseJson(list.empty() ? "[]" : list, kMaxFactsBytes));
  std::vector<Ipv4> addresses;
  if (!value.is_array()) {
    return absl::InvalidArgumentError("ip -json: expected a list");
  }
  for (const json::value& entry : value.get_array()) {
    JsonObjectReader reader(entry, "entry");
    const absl::StatusOr<Ipv4> address = Ipv4::Parse(reader.OptionalString("dst").value_or(""));
    if (address.ok()) {
      addresses.push_back(*address);
    }
  }
  return addresses;
}

absl::StatusOr<std::vector<std::string>> PlanBridge(const BridgeSetting& setting,
                                                    const NetworkFacts& facts) {
  std::vector<std::string> lines;
  const std::string& name = setting.bridge;
  const LinkFacts* bridge = facts.Find(name);
  const LinkFacts* port = setting.port.empty() ? nullptr : facts.Find(setting.port);
  if (!setting.port.empty() && port == nullptr) {
    return absl::FailedPreconditionError(
        StrCat("network: there is no interface \"", setting.port,
               "\"; set port in [network] to one of `ip link`, or to \"\" for none"));
  }
  if (setting.routed && port != nullptr) {
    return PlanRouted(setting, facts, *port);
  }
  if (bridge == nullptr) {
    lines.push_back(StrCat("link add name ", name, " type bridge stp_state 0 forward_delay 0"));
  }
  // The port's MAC on the bridge: DHCP servers and switches know the node by it.
  if (port != nullptr && !port->mac.empty() && (bridge == nullptr || bridge->mac != port->mac)) {
    lines.push_back(StrCat("link set dev ", name, " address ", port->mac));
  }
  if (bridge == nullptr || !bridge->up) {
    lines.push_back(StrCat("link set dev ", name, " up"));
  }
  PlanAddresses(setting, bridge, port, lines);
  if (port != nullptr && port->master != name) {
    lines.push_back(StrCat("link set dev ", port->name, " master ", name));
  }
  if (port != nullptr && !port->up) {
    lines.push_back(StrCat("link set dev ", port->name, " up"));
  }
  Ipv4 gateway = setting.gateway;
  bool routed = false;
  for (const RouteFacts& route : facts.default_routes) {
    if (port != nullptr && route.device == port->name && gateway.empty()) {
      gateway = route.gateway;  // it follows its address
    }
    routed = routed || (route.device == name && route.gateway == gateway);
  }
  if (!gateway.empty() && !routed) {
    lines.push_back(StrCat("route replace default via ", gateway.str(), " dev ", name));
  }
  if (port != nullptr) {
    for (const Ipv4Interface& address : port->addresses) {
      lines.push_back(StrCat("address del ", address.str(), " dev ", port->name));
    }
  }
  PlanDropped(setting, bridge, lines);
  return lines;
}

}  // namespace bramble::node
