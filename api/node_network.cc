// SPDX-License-Identifier: Apache-2.0
#include "api/node_network.h"

#include "base/status.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxSets = 10'000;
constexpr size_t kMaxNodes = 65536;
constexpr size_t kMaxNameBytes = 253;

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

// A name that can stand in nftables as it is.
std::string SetNameOf(JsonObjectReader& reader, std::string_view key, const std::string& text) {
  const bool good =
      !text.empty() && text.size() <= kMaxSetName && text[0] >= 'a' && text[0] <= 'z' &&
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789/-") == std::string::npos;
  if (!good) {
    reader.Fail(key, "expected 1 to 140 of [a-z0-9/-], a letter first");
  }
  return text;
}

json::object SetToJson(const AddressSet& set) {
  return {{"name", set.name}, {"addresses", AddressesToJson(set.addresses)}};
}

absl::StatusOr<AddressSet> SetFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  AddressSet set;
  set.name = SetNameOf(reader, "name", reader.String("name"));
  set.addresses = AddressList(reader, "addresses", kMaxAddressesInSet);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return set;
}

absl::StatusOr<FirewallRule> RuleFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  FirewallRule rule;
  rule.direction = EnumField<Direction>(reader, "direction", kDirectionNames);
  rule.protocol = EnumField<Protocol>(reader, "protocol", kProtocolNames);
  if (const auto first = reader.OptionalInt("port_first", {.min = 1, .max = 65535})) {
    rule.port_first = static_cast<uint16_t>(*first);
    rule.port_last = static_cast<uint16_t>(reader.Int("port_last", {.min = *first, .max = 65535}));
  }
  if (rule.port_first != 0 && rule.protocol != Protocol::kTcp && rule.protocol != Protocol::kUdp) {
    reader.Fail("port_first", "goes with protocol tcp or udp only");
  }
  if (reader.Has("prefix")) {
    rule.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  }
  if (reader.Has("set")) {
    rule.set = SetNameOf(reader, "set", reader.String("set"));
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return rule;
}

json::object PolicyToJson(const FirewallPolicy& policy) {
  return {{"name", policy.name}, {"rules", ObjectsToJson(policy.rules)}};
}

absl::StatusOr<FirewallPolicy> PolicyFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  FirewallPolicy policy;
  policy.name = SetNameOf(reader, "name", reader.String("name"));
  policy.rules = ObjectList<FirewallRule>(reader, "rules", kMaxRulesPerGroup, RuleFromJson);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return policy;
}

absl::StatusOr<NameRecord> RecordFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  NameRecord record;
  record.name = reader.String("name", {.max = kMaxNameBytes, .allow_empty = false});
  if (record.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") !=
      std::string::npos) {
    reader.Fail("name", "expected labels of [a-z0-9-] with dots between");
  }
  record.address = reader.Parsed<Ipv4>("address");
  record.reverse = reader.OptionalBool("reverse").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return record;
}

json::object ConflictToJson(const AddressConflict& conflict) {
  return {{"address", conflict.address.str()},
          {"mac", conflict.mac},
          {"container", conflict.container.str()}};
}

absl::StatusOr<AddressConflict> ConflictFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  AddressConflict conflict;
  conflict.address = reader.Parsed<Ipv4>("address");
  conflict.mac = reader.OptionalString("mac").value_or("");
  conflict.container = reader.OptionalParsed<ContainerId>("container");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return conflict;
}

constexpr size_t kMaxConflicts = 1000;
constexpr size_t kMaxErrors = 16;
constexpr size_t kMaxPoliciesOfContainer = 64;

}  // namespace

json::object VersionToJson(const Version& version) {
  return {{"epoch", version.epoch}, {"generation", version.generation}};
}

Version VersionField(JsonObjectReader& parent, std::string_view key) {
  const json::value* value = parent.Find(key);
  if (value == nullptr) {
    return {};
  }
  JsonObjectReader reader(*value, parent.PathOf(key));
  Version version;
  version.epoch = reader.Int("epoch", {.min = 0});
  version.generation = reader.Int("generation", {.min = 0});
  parent.Merge(reader.Finish());
  return version;
}

json::object ToJson(const FirewallRule& rule) {
  json::object object = {{"direction", Name(kDirectionNames[static_cast<size_t>(rule.direction)])},
                         {"protocol", Name(kProtocolNames[static_cast<size_t>(rule.protocol)])}};
  if (rule.port_first != 0) {
    object["port_first"] = rule.port_first;
    object["port_last"] = rule.port_last;
  }
  if (rule.prefix.has_value()) {
    object["prefix"] = rule.prefix->str();
  }
  if (!rule.set.empty()) {
    object["set"] = rule.set;
  }
  return object;
}

json::object ToJson(const ContainerFirewall& firewall) {
  return {{"policies", ToJson(firewall.policies)},
          {"rules", ObjectsToJson(firewall.rules)},
          {"restrict_out", firewall.restrict_out}};
}

absl::StatusOr<ContainerFirewall> ContainerFirewallFromJson(const json::value& value,
                                                            std::string path) {
  JsonObjectReader reader(value, std::move(path));
  ContainerFirewall firewall;
  firewall.policies = reader.StringList("policies", kMaxPoliciesOfContainer);
  for (const std::string& policy : firewall.policies) {
    SetNameOf(reader, "policies", policy);
  }
  firewall.rules = ObjectList<FirewallRule>(reader, "rules", kMaxRulesPerGroup, RuleFromJson);
  firewall.restrict_out = reader.OptionalBool("restrict_out").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return firewall;
}

json::object ToJson(const NetworkReport& report) {
  json::array conflicts;
  for (const AddressConflict& conflict : report.conflicts) {
    conflicts.push_back(ConflictToJson(conflict));
  }
  json::object object = {{"mode", Name(kUplinkModeNames[static_cast<size_t>(report.mode)])},
                         {"uplink", report.uplink},
                         {"self_chosen", report.self_chosen},
                         {"link_up", report.link_up},
                         {"mtu", report.mtu},
                         {"conflicts", std::move(conflicts)},
                         {"dhcp_servers", AddressesToJson(report.dhcp_servers)},
                         {"missing_features", ToJson(report.missing_features)},
                         {"network_version", VersionToJson(report.network_version)},
                         {"names_version", VersionToJson(report.names_version)},
                         {"errors", ToJson(report.errors)}};
  if (!report.address.address.empty()) {
    object["address"] = report.address.str();
  }
  if (!report.default_gateway.empty()) {
    object["default_gateway"] = report.default_gateway.str();
  }
  return object;
}

absl::StatusOr<NetworkReport> NetworkReportFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  NetworkReport report;
  report.mode = EnumField<UplinkMode>(reader, "mode", kUplinkModeNames);
  report.uplink = reader.OptionalString("uplink", {.max = 64}).value_or("");
  report.address = reader.OptionalParsed<Ipv4Interface>("address");
  report.self_chosen = reader.OptionalBool("self_chosen").value_or(false);
  report.link_up = reader.OptionalBool("link_up").value_or(true);
  report.mtu = reader.OptionalInt("mtu", {.min = 0}).value_or(0);
  report.default_gateway = reader.OptionalParsed<Ipv4>("default_gateway");
  report.conflicts =
      ObjectList<AddressConflict>(reader, "conflicts", kMaxConflicts, ConflictFromJson);
  report.dhcp_servers = AddressList(reader, "dhcp_servers", kMaxErrors);
  report.missing_features = reader.StringList("missing_features", kMaxErrors);
  report.network_version = VersionField(reader, "network_version");
  report.names_version = VersionField(reader, "names_version");
  report.errors = reader.StringList("errors", kMaxErrors, {.allow_control = true});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return report;
}

json::object Body(const NodeNetwork& network) {
  json::array sets;
  for (const AddressSet& set : network.sets) {
    sets.push_back(SetToJson(set));
  }
  json::array policies;
  for (const FirewallPolicy& policy : network.policies) {
    policies.push_back(PolicyToJson(policy));
  }
  return {{"type", "network"},
          {"version", VersionToJson(network.version)},
          {"prefix", network.prefix.str()},
          {"address", network.address.str()},
          {"gateway", network.gateway.str()},
          {"controllers", AddressesToJson(network.controllers)},
          {"nodes", AddressesToJson(network.nodes)},
          {"sets", std::move(sets)},
          {"policies", std::move(policies)}};
}

void Read(JsonObjectReader& reader, NodeNetwork& network) {
  network.version = VersionField(reader, "version");
  network.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  network.address = reader.Parsed<Ipv4Interface>("address");
  network.gateway = reader.Parsed<Ipv4>("gateway");
  network.controllers = AddressList(reader, "controllers", kMaxNodes);
  network.nodes = AddressList(reader, "nodes", kMaxNodes);
  network.sets = ObjectList<AddressSet>(reader, "sets", kMaxSets, SetFromJson);
  network.policies = ObjectList<FirewallPolicy>(reader, "policies", kMaxSets, PolicyFromJson);
}

json::object Body(const Names& names) {
  json::array records;
  for (const NameRecord& record : names.records) {
    json::object object = {{"name", record.name}, {"address", record.address.str()}};
    if (record.reverse) {
      object["reverse"] = true;
    }
    records.push_back(std::move(object));
  }
  return {{"type", "names"},
          {"version", VersionToJson(names.version)},
          {"domain", names.domain},
          {"prefix", names.prefix.str()},
          {"forwarders", AddressesToJson(names.forwarders)},
          {"records", std::move(records)}};
}

void Read(JsonObjectReader& reader, Names& names) {
  names.version = VersionField(reader, "version");
  names.domain = reader.String("domain", {.max = kMaxNameBytes, .allow_empty = false});
  names.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  names.forwarders = AddressList(reader, "forwarders", kMaxUpstreamDns);
  names.records = ObjectList<NameRecord>(reader, "records", kMaxNameRecords, RecordFromJson);
}

}  // namespace bramble::api
