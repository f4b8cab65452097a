// SPDX-License-Identifier: Apache-2.0
// network show, map, change; address list, reserve, release.
#include "api/json_lists.h"
#include "base/status.h"
#include "tools/bramble/network_map.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

#include "absl/strings/str_split.h"

namespace bramble::cli {
namespace {

constexpr size_t kMaxListBytes = 64 << 20;

std::string UseText(const json::value& network) {
  std::string text;
  for (const std::string_view use : api::kAddressUseNames) {
    const json::value* counts = At(network, StrCat("use.", use));
    if (counts != nullptr) {
      text = StrCat(text, text.empty() ? "" : ", ", use, " ", TextAt(*counts, "used"), "/",
                    TextAt(*counts, "size"));
    }
  }
  return text;
}

std::string RivalsText(const json::value& network) {
  std::string text;
  const json::value* rivals = At(network, "rivals");
  if (rivals != nullptr && rivals->is_array()) {
    for (const json::value& rival : rivals->get_array()) {
      text = StrCat(text, text.empty() ? "" : ", ", TextAt(rival, "address"), " (",
                    TextAt(rival, "mac"), ")");
    }
  }
  return text.empty() ? "none" : text;
}

const Resource& NetworkResource() {
  static const Resource resource = {
      .kind = "network",
      .collection = "network",
      .columns = {{.name = "prefix", .path = "prefix"},
                  {.name = "gateway", .path = "gateway"},
                  {.name = "domain", .path = "domain"},
                  {.name = "ranges", .path = "ranges"},
                  {.name = "used", .text = UseText},
                  {.name = "guests", .path = "guests"},
                  {.name = "masquerade", .path = "masquerade"},
                  {.name = "upstream-dns", .path = "upstream_dns"},
                  {.name = "interface", .path = "interface"},
                  {.name = "uplink", .path = "uplink"},
                  {.name = "dns", .path = "dns_state"},
                  {.name = "dhcp", .path = "dhcp_state"},
                  {.name = "nftables", .path = "gateway_state"},
                  {.name = "other-dhcp", .text = RivalsText},
                  {.name = "generation", .path = "generation"}},
      .name = [](const json::value& network) { return TextAt(network, "prefix"); }};
  return resource;
}

const Resource& AddressResource() {
  static const Resource resource = {
      .kind = "address",
      .collection = "addresses",
      .columns = {{.name = "address", .path = "address"},
                  {.name = "use", .path = "use"},
                  {.name = "state", .path = "state", .as = As::kState},
                  {.name = "kind", .path = "owner.kind"},
                  {.name = "name", .path = "owner.name"},
                  {.name = "mac", .path = "mac"},
                  {.name = "note", .path = "note"}},
      .name = [](const json::value& address) { return TextAt(address, "address"); }};
  return resource;
}

const Resource& MoveResource() {
  static const Resource resource = {.kind = "move",
                                    .collection = "",
                                    .columns = {{.name = "kind", .path = "kind"},
                                                {.name = "name", .path = "name"},
                                                {.name = "from", .path = "from"},
                                                {.name = "to", .path = "to"}}};
  return resource;
}

absl::Status Show(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"network"}))));
  return PrintObject(args, session, NetworkResource(), reply.body);
}

absl::Status Map(const Args&, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"network"}))));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value body, ParseJson(reply.body));
  BRAMBLE_ASSIGN_OR_RETURN(const api::Network network, api::NetworkFromJson(body));
  std::vector<api::Address> taken;
  std::string cursor;
  do {
    ApiRequest request = Get(ApiPath({"addresses"}));
    if (!cursor.empty()) {
      request.query = {{"cursor", cursor}};
    }
    BRAMBLE_ASSIGN_OR_RETURN(const ApiReply page, session.controller.Send(std::move(request)));
    BRAMBLE_ASSIGN_OR_RETURN(const json::value list, ParseJson(page.body, kMaxListBytes));
    JsonObjectReader reader(list, "addresses");
    const auto read = [](const json::value& value, std::string path) {
      return api::AddressFromJson(value, std::move(path));
    };
    const std::vector<api::Address> more =
        api::ObjectList<api::Address>(reader, "items", 10'000, read);
    cursor = reader.OptionalString("next_cursor").value_or("");
    BRAMBLE_RETURN_IF_ERROR(reader.Finish());
    taken.insert(taken.end(), more.begin(), more.end());
  } while (!cursor.empty());
  const std::string map = RenderNetworkMap(network, taken);
  for (const absl::string_view line : absl::StrSplit(map, '\n', absl::SkipEmpty())) {
    session.out << Printable(FromAbsl(line)) << '\n';
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<bool>> Switch(const Args& args, std::string_view flag) {
  if (!args.Has(flag)) {
    return std::optional<bool>();
  }
  return std::optional<bool>(args.Text(flag) == "on");
}

absl::StatusOr<api::NetworkPatch> PatchOf(const Args& args) {
  api::NetworkPatch patch;
  if (args.Has("prefix")) {
    const absl::StatusOr<Ipv4Prefix> prefix = Ipv4Prefix::Parse(args.Text("prefix"));
    if (!prefix.ok()) {
      return Misuse(StrCat("--prefix: ", MessageOf(prefix.status())));
    }
    patch.prefix = *prefix;
  }
  for (size_t i = 1; i < std::size(api::kAddressUseNames); ++i) {
    const std::string use(api::kAddressUseNames[i]);
    const std::string flag = use == "guests" ? "guest-range" : use;
    if (args.Has(flag)) {
      const absl::StatusOr<api::IpRange> range = api::ParseIpRange(args.Text(flag));
      if (!range.ok()) {
        return Misuse(StrCat("--", flag, ": ", MessageOf(range.status())));
      }
      patch.ranges[use] = *range;
    }
  }
  patch.default_ranges = args.Has("default-ranges");
  BRAMBLE_ASSIGN_OR_RETURN(patch.guests, Switch(args, "guests"));
  BRAMBLE_ASSIGN_OR_RETURN(patch.masquerade, Switch(args, "masquerade"));
  if (args.Has("upstream-dns")) {
    patch.upstream_dns.emplace();
    for (const std::string& text : args.Texts("upstream-dns")) {
      if (text == "none") {
        continue;
      }
      const absl::StatusOr<Ipv4> address = Ipv4::Parse(text);
      if (!address.ok()) {
        return Misuse(StrCat("--upstream-dns: ", MessageOf(address.status())));
      }
      patch.upstream_dns->push_back(*address);
    }
  }
  return patch;
}

absl::Status ShowPlan(const Args& args, Session& session, const std::string& body) {
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, MoveResource(), body);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value plan, ParseJson(body, kMaxListBytes));
  std::vector<const json::value*> moves;
  if (const json::value* list = At(plan, "moves"); list != nullptr && list->is_array()) {
    for (const json::value& move : list->get_array()) {
      moves.push_back(&move);
    }
  }
  if (moves.empty()) {
    session.err << "Nothing moves.\n";
  } else {
    session.out << RenderTable(MoveResource().columns, moves, session.clock.Wall(),
                               session.screen.colours);
  }
  const std::string refusals = TextAt(plan, "refusals");
  if (!refusals.empty()) {
    return absl::FailedPreconditionError(StrCat("it cannot be done: ", refusals));
  }
  session.err << "Nothing was changed; without --dry-run it is done.\n";
  return absl::OkStatus();
}

absl::Status Alter(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const api::NetworkPatch patch, PatchOf(args));
  const json::object body = api::ToJson(patch);
  if (body.empty()) {
    return Misuse("say what to change: --prefix, a range, --guests, --masquerade, --upstream-dns");
  }
  if (args.Has("dry-run")) {
    ApiRequest request = Write("POST", ApiPath({"network", "plan"}), json::value(body));
    BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
    return ShowPlan(args, session, reply.body);
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("PATCH", ApiPath({"network"}), json::value(body))));
  return PrintObject(args, session, NetworkResource(), reply.body);
}

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, AddressResource());
}

absl::Status Reserve(const Args& args, Session& session) {
  json::object body = {{"name", args.Positional(0)}};
  for (const std::string_view key : {"address", "mac", "serial", "note"}) {
    if (args.Has(key)) {
      body[key] = args.Text(key);
    }
  }
  if (args.Has("for")) {
    body["use"] = args.Text("for");
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"addresses"}), json::value(body))));
  static const Resource reserved = {.kind = "address",
                                    .collection = "addresses",
                                    .columns = {{.name = "name", .path = "name"},
                                                {.name = "address", .path = "address"},
                                                {.name = "use", .path = "use"},
                                                {.name = "mac", .path = "mac"},
                                                {.name = "serial", .path = "serial"},
                                                {.name = "note", .path = "note"}}};
  return PrintObject(args, session, reserved, reply.body);
}

absl::Status Release(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("DELETE", ApiPath({"addresses", name}))).status());
  session.out << Printable(name) << ": released\n";
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> NetworkCommands() {
  return {
      {.path = "network show",
       .summary = "Show the cluster's prefix, its ranges and what is served.",
       .answers = Answers::kObject,
       .examples = "bramble network show",
       .run = Show},
      {.path = "network map",
       .summary = "Draw the prefix: who is where, and what is free.",
       .examples = "bramble network map",
       .run = Map},
      {.path = "network change",
       .summary = "Change the prefix, its ranges, or what is served.",
       .flags = {{.name = "prefix", .value = "PREFIX", .help = "/16 to /28: 10.1.0.0/22"},
                 {.name = "servers", .value = "RANGE", .help = "172.16.0.2-172.16.0.10"},
                 {.name = "nodes", .value = "RANGE", .help = "addresses of nodes"},
                 {.name = "containers", .value = "RANGE", .help = "addresses of containers"},
                 {.name = "guest-range", .value = "RANGE", .help = "for guests, by DHCP"},
                 {.name = "floating", .value = "RANGE", .help = "floating IPs"},
                 {.name = "default-ranges", .value = "", .help = "forget the ranges that were set"},
                 {.name = "guests",
                  .value = "on|off",
                  .help = "answer the DHCP of machines that are not known",
                  .choices = {"on", "off"}},
                 {.name = "masquerade",
                  .value = "on|off",
                  .help = "be the cluster's way to the networks behind the uplink",
                  .choices = {"on", "off"}},
                 {.name = "upstream-dns",
                  .value = "ADDRESS",
                  .help = "where other names are asked for; none: nowhere",
                  .repeats = true},
                 {.name = "dry-run",
                  .value = "",
                  .help = "show every object that moves, and stop"}},
       .answers = Answers::kObject,
       .details = "A new prefix moves every node and container; the old one is served for 10 "
                  "minutes beside it.\nNo container is lost: each keeps its disk and its name.",
       .examples = "bramble network change --prefix 10.1.0.0/22 --dry-run\n"
                   "bramble network change --guests on\n"
                   "bramble network change --masquerade on --upstream-dns 9.9.9.9",
       .run = Alter},
      {.path = "address list",
       .summary = "List every address that is not free, and who has it.",
       .answers = Answers::kList,
       .examples = "bramble address list --filter use=containers",
       .run = List},
      {.path = "address reserve",
       .summary = "Keep an address, and a name in the DNS, for something.",
       .positionals = {{.name = "NAME", .help = "its name: lower-case letters, digits and '-'"}},
       .flags = {{.name = "address", .value = "ADDRESS", .help = "this one (a free one)"},
                 {.name = "for",
                  .value = "USE",
                  .help = "of which range, without --address (servers)",
                  .choices = {"servers", "nodes", "containers", "guests"}},
                 {.name = "mac", .value = "MAC", .help = "DHCP gives it to this card"},
                 {.name = "serial", .value = "SERIAL", .help = "DHCP gives it to this board"},
                 {.name = "note", .value = "TEXT", .help = "for people"}},
       .answers = Answers::kObject,
       .details = "A container that is created with the name, and --for containers, gets it.",
       .examples = "bramble address reserve printer --address 172.16.0.5 --mac 00:11:22:33:44:55",
       .run = Reserve},
      {.path = "address release",
       .summary = "End a reservation.",
       .positionals = {{.name = "NAME", .help = "the reservation's name or address"}},
       .examples = "bramble address release printer",
       .run = Release},
  };
}

}  // namespace bramble::cli
