// SPDX-License-Identifier: Apache-2.0
#include "api/network.h"

#include "api/json_lists.h"
#include "base/status.h"

namespace bramble::api {

std::string ToString(const IpRange& range) {
  return StrCat(range.first.str(), "-", range.last.str());
}

absl::StatusOr<IpRange> ParseIpRange(std::string_view text) {
  const size_t dash = text.find('-');
  BRAMBLE_ASSIGN_OR_RETURN(const Ipv4 first, Ipv4::Parse(text.substr(0, dash)));
  IpRange range{.first = first, .last = first};
  if (dash != std::string_view::npos) {
    BRAMBLE_ASSIGN_OR_RETURN(range.last, Ipv4::Parse(text.substr(dash + 1)));
  }
  if (range.last < range.first) {
    return absl::InvalidArgumentError(
        StrCat("range \"", text.substr(0, 60), "\": its end is before its beginning"));
  }
  return range;
}

json::object ToJson(const IpRanges& ranges) {
  json::object object;
  for (const auto& [use, range] : ranges) {
    object[use] = ToString(range);
  }
  return object;
}

IpRanges RangesField(JsonObjectReader& parent, std::string_view key, UnknownKeys unknown) {
  IpRanges ranges;
  const json::value* value = parent.Find(key);
  if (value == nullptr) {
    return ranges;
  }
  JsonObjectReader reader(*value, parent.PathOf(key), unknown);
  for (const std::string_view use : kAddressUseNames) {
    const std::optional<std::string> text = reader.OptionalString(use);
    if (!text.has_value() || use == kAddressUseNames[0]) {
      continue;
    }
    const absl::StatusOr<IpRange> range = ParseIpRange(*text);
    if (range.ok()) {
      ranges[std::string(use)] = *range;
    } else {
      reader.Fail(use, MessageOf(range.status()));
    }
  }
  parent.Merge(reader.Finish());
  return ranges;
}

absl::StatusOr<NetworkPatch> NetworkPatchFromJson(const json::value& value, std::string path,
                                                  UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  NetworkPatch patch;
  if (reader.Has("prefix")) {
    patch.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  }
  patch.ranges = RangesField(reader, "ranges", unknown);
  patch.default_ranges = reader.OptionalBool("default_ranges").value_or(false);
  patch.guests = reader.OptionalBool("guests");
  patch.masquerade = reader.OptionalBool("masquerade");
  if (reader.Has("upstream_dns")) {
    patch.upstream_dns = AddressList(reader, "upstream_dns", kMaxUpstreamDns);
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return patch;
}

json::object ToJson(const NetworkPatch& patch) {
  json::object object;
  if (patch.prefix.has_value()) {
    object["prefix"] = patch.prefix->str();
  }
  if (!patch.ranges.empty()) {
    object["ranges"] = ToJson(patch.ranges);
  }
  if (patch.default_ranges) {
    object["default_ranges"] = true;
  }
  if (patch.guests.has_value()) {
    object["guests"] = *patch.guests;
  }
  if (patch.masquerade.has_value()) {
    object["masquerade"] = *patch.masquerade;
  }
  if (patch.upstream_dns.has_value()) {
    object["upstream_dns"] = AddressesToJson(*patch.upstream_dns);
  }
  return object;
}

namespace {

json::object RivalToJson(const RivalDhcp& rival) {
  return {
      {"address", rival.address.str()}, {"mac", rival.mac}, {"seen_at", FormatTime(rival.seen_at)}};
}

absl::StatusOr<RivalDhcp> RivalFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  RivalDhcp rival;
  rival.address = reader.Parsed<Ipv4>("address");
  rival.mac = reader.OptionalString("mac").value_or("");
  rival.seen_at = TimeField(reader, "seen_at");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return rival;
}

json::object UseToJson(const std::map<std::string, RangeUse>& use) {
  json::object object;
  for (const auto& [name, counts] : use) {
    object[name] = json::object{{"size", counts.size}, {"used", counts.used}};
  }
  return object;
}

std::map<std::string, RangeUse> UseField(JsonObjectReader& parent) {
  std::map<std::string, RangeUse> use;
  const json::value* value = parent.Find("use");
  if (value == nullptr) {
    return use;
  }
  JsonObjectReader reader(*value, parent.PathOf("use"));
  for (const std::string_view name : kAddressUseNames) {
    if (const json::value* counts = reader.Find(name)) {
      JsonObjectReader inner(*counts, reader.PathOf(name));
      RangeUse& entry = use[std::string(name)];
      entry.size = inner.Int("size", {.min = 0});
      entry.used = inner.Int("used", {.min = 0});
      reader.Merge(inner.Finish());
    }
  }
  parent.Merge(reader.Finish());
  return use;
}

}  // namespace

json::object ToJson(const NetworkFinding& finding) {
  return {{"check", finding.check},
          {"severity", finding.severity},
          {"object", finding.object},
          {"cause", finding.cause},
          {"fix", finding.fix}};
}

absl::StatusOr<NetworkFinding> NetworkFindingFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  NetworkFinding finding{.check = reader.String("check"),
                         .severity = reader.String("severity"),
                         .object = reader.OptionalString("object").value_or(""),
                         .cause = reader.String("cause"),
                         .fix = reader.OptionalString("fix").value_or("")};
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return finding;
}

json::object ToJson(const Network& network) {
  json::array rivals;
  for (const RivalDhcp& rival : network.rivals) {
    rivals.push_back(RivalToJson(rival));
  }
  return {{"generation", network.generation},
          {"prefix", network.prefix.str()},
          {"gateway", network.gateway.str()},
          {"domain", network.domain},
          {"ranges", ToJson(network.ranges)},
          {"guests", network.guests},
          {"masquerade", network.masquerade},
          {"upstream_dns", AddressesToJson(network.upstream_dns)},
          {"interface", network.interface},
          {"uplink", network.uplink},
          {"dns_state", network.dns_state},
          {"dhcp_state", network.dhcp_state},
          {"gateway_state", network.gateway_state},
          {"use", UseToJson(network.use)},
          {"rivals", std::move(rivals)}};
}

absl::StatusOr<Network> NetworkFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  Network network;
  network.generation = reader.Int("generation", {.min = 0});
  network.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  network.gateway = reader.Parsed<Ipv4>("gateway");
  network.domain = reader.OptionalString("domain").value_or("");
  network.ranges = RangesField(reader, "ranges", UnknownKeys::kIgnore);
  network.guests = reader.OptionalBool("guests").value_or(false);
  network.masquerade = reader.OptionalBool("masquerade").value_or(false);
  network.upstream_dns = AddressList(reader, "upstream_dns", kMaxUpstreamDns);
  network.interface = reader.OptionalString("interface").value_or("");
  network.uplink = reader.OptionalString("uplink").value_or("");
  network.dns_state = reader.OptionalString("dns_state").value_or("");
  network.dhcp_state = reader.OptionalString("dhcp_state").value_or("");
  network.gateway_state = reader.OptionalString("gateway_state").value_or("");
  network.use = UseField(reader);
  network.rivals = ObjectList<RivalDhcp>(reader, "rivals", 1000, RivalFromJson);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return network;
}

namespace {

json::object MoveToJson(const NetworkMove& move) {
  return {{"kind", move.kind},
          {"id", move.id},
          {"name", move.name},
          {"from", move.from.str()},
          {"to", move.to.str()}};
}

absl::StatusOr<NetworkMove> MoveFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  NetworkMove move{.kind = reader.String("kind"),
                   .id = reader.OptionalString("id").value_or(""),
                   .name = reader.OptionalString("name").value_or(""),
                   .from = reader.Parsed<Ipv4>("from"),
                   .to = reader.Parsed<Ipv4>("to")};
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return move;
}

}  // namespace

json::object ToJson(const NetworkPlan& plan) {
  json::array moves;
  for (const NetworkMove& move : plan.moves) {
    moves.push_back(MoveToJson(move));
  }
  return {{"prefix", plan.prefix.str()},
          {"ranges", ToJson(plan.ranges)},
          {"moves", std::move(moves)},
          {"refusals", ToJson(plan.refusals)}};
}

absl::StatusOr<NetworkPlan> NetworkPlanFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  NetworkPlan plan;
  plan.prefix = reader.Parsed<Ipv4Prefix>("prefix");
  plan.ranges = RangesField(reader, "ranges", UnknownKeys::kIgnore);
  plan.moves = ObjectList<NetworkMove>(reader, "moves", 100'000, MoveFromJson);
  plan.refusals = reader.StringList("refusals", 1000);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return plan;
}

}  // namespace bramble::api
