// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/container_spec.h"

#include <algorithm>
#include <charconv>

#include "api/container.h"
#include "base/status.h"

namespace bramble::cli {
namespace {

constexpr int64_t kMaxPreferenceWeight = 100;

json::object TermJson(const api::LabelTerm& term) {
  json::array values(term.values.begin(), term.values.end());
  json::object object = {{"key", term.key},
                         {"op", api::kLabelOperatorNames[static_cast<size_t>(term.op)]}};
  if (!values.empty()) {
    object["values"] = std::move(values);
  }
  if (term.weight != 1) {
    object["weight"] = term.weight;
  }
  return object;
}

absl::StatusOr<api::LabelTerm> ParseTerm(std::string_view flag, std::string_view text) {
  absl::StatusOr<api::LabelTerm> term = api::ParseLabelTerm(text);
  if (!term.ok()) {
    return Misuse(StrCat("--", flag, ": ", term.status().message()));
  }
  return term;
}

// "disk=ssd:10": a term and its weight.
absl::StatusOr<api::LabelTerm> ParsePreference(std::string_view text) {
  const size_t colon = text.rfind(':');
  int64_t weight = 1;
  if (colon != std::string_view::npos) {
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + colon + 1, end, weight);
    if (error != std::errc() || at != end || weight < 1 || weight > kMaxPreferenceWeight) {
      return Misuse(StrCat("--prefer \"", text,
                           "\": write TERM or TERM:WEIGHT, a weight from 1 to ",
                           kMaxPreferenceWeight));
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(api::LabelTerm term, ParseTerm("prefer", text.substr(0, colon)));
  term.weight = weight;
  return term;
}

json::object MapJson(const std::map<std::string, std::string>& map) {
  json::object object;
  for (const auto& [key, value] : map) {
    object[key] = value;
  }
  return object;
}

absl::StatusOr<json::object> PlacementBody(const Args& args) {
  json::object placement;
  if (args.Has("class")) {
    placement["class"] = args.Text("class");
  }
  if (args.Has("node")) {
    placement["node"] = args.Text("node");
  }
  json::array required;
  for (const std::string& text : args.Texts("require")) {
    BRAMBLE_ASSIGN_OR_RETURN(const api::LabelTerm term, ParseTerm("require", text));
    required.push_back(TermJson(term));
  }
  json::array preferred;
  for (const std::string& text : args.Texts("prefer")) {
    BRAMBLE_ASSIGN_OR_RETURN(const api::LabelTerm term, ParsePreference(text));
    preferred.push_back(TermJson(term));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto spread, args.Map("spread"));
  if (!required.empty()) {
    placement["required"] = std::move(required);
  }
  if (!preferred.empty()) {
    placement["preferred"] = std::move(preferred);
  }
  if (args.Has("avoid")) {
    const std::vector<std::string>& avoid = args.Texts("avoid");
    placement["avoid"] = json::array(avoid.begin(), avoid.end());
  }
  if (!spread.empty()) {
    placement["spread"] = MapJson(spread);
  }
  return placement;
}

absl::Status AddRestart(const Args& args, json::object& body) {
  json::object restart;
  if (args.Has("restart")) {
    restart["policy"] = args.Text("restart");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto retries,
                           args.Int("max-retries", {.min = 0, .max = 1'000'000}));
  if (retries.has_value()) {
    restart["max_retries"] = *retries;
  }
  if (!restart.empty()) {
    body["restart"] = std::move(restart);
  }
  return absl::OkStatus();
}

// "swap: its limit of swap does not hold: …; disk: …": what it runs without.
std::string ConditionsText(const json::value& container) {
  std::string text;
  const json::value* conditions = At(container, "status.conditions");
  if (conditions != nullptr && conditions->is_array()) {
    for (const json::value& condition : conditions->get_array()) {
      text = StrCat(text, text.empty() ? "" : "; ", TextAt(condition, "type"), ": ",
                    TextAt(condition, "message"));
    }
  }
  return text;
}

// "1234 bytes; text/x-shellscript run.sh": what it was told at its first start.
std::string ContextText(const json::value& container) {
  const std::string bytes = TextAt(container, "context.bytes");
  const std::string parts = TextAt(container, "context.parts");
  const std::string variables = TextAt(container, "context.variables");
  return bytes.empty() ? ""
                       : StrCat(bytes, " bytes", parts.empty() ? "" : "; ", parts,
                                variables.empty() ? "" : "; ", variables);
}

}  // namespace

const Resource& ContainerResource() {
  static const Resource resource = {
      .kind = "container",
      .collection = "containers",
      .columns = {
          {.name = "name", .path = "name"},
          {.name = "state", .path = "status.state", .as = As::kState},
          {.name = "node", .path = "status.node"},
          {.name = "address", .path = "status.address"},
          {.name = "image", .path = "spec.image"},
          {.name = "age", .path = "created_at", .as = As::kAge},
          {.name = "reason", .path = "status.reason"},
          {.name = "conditions", .wide = true, .text = ConditionsText},
          {.name = "desired", .path = "spec.desired", .wide = true},
          {.name = "flavor", .path = "spec.flavor", .wide = true},
          {.name = "cpu", .path = "spec.limits.cpu_milli", .as = As::kCpu, .wide = true},
          {.name = "memory", .path = "spec.limits.memory_bytes", .as = As::kSize, .wide = true},
          {.name = "swap", .path = "spec.swap_bytes", .as = As::kSize, .wide = true},
          {.name = "disk", .path = "spec.limits.disk_bytes", .as = As::kLimitSize, .wide = true},
          {.name = "disk-limit", .path = "status.disk_limit_mode", .wide = true},
          {.name = "pids", .path = "spec.limits.pids", .wide = true},
          {.name = "class", .path = "spec.placement.class", .wide = true},
          {.name = "restart", .path = "spec.restart.policy", .wide = true},
          {.name = "restarts", .path = "status.restarts", .wide = true},
          {.name = "exit-code", .path = "status.exit_code", .wide = true},
          {.name = "running-for", .path = "status.started_at", .as = As::kAge, .wide = true},
          {.name = "floating-ips", .path = "status.floating_ips", .wide = true},
          {.name = "groups", .path = "spec.groups", .wide = true},
          {.name = "bandwidth", .path = "spec.bandwidth", .wide = true},
          {.name = "keys", .path = "context.keys", .wide = true},
          {.name = "context", .wide = true, .text = ContextText},
          {.name = "mac", .path = "status.mac", .wide = true},
          {.name = "architecture", .path = "status.architecture", .wide = true},
          {.name = "digest", .path = "status.image_digest", .as = As::kDigest, .wide = true},
          {.name = "labels", .path = "spec.labels", .wide = true},
          {.name = "environment", .path = "spec.environment", .wide = true},
          {.name = "project", .path = "project", .wide = true},
          {.name = "generation", .path = "generation", .wide = true},
          {.name = "id", .path = "id", .wide = true},
      }};
  return resource;
}

std::vector<Flag> LimitFlags() {
  return {
      {.name = "cpu", .value = "CORES", .help = "CPU at most: 0.5, 2, 250m"},
      {.name = "cpu-weight", .value = "N", .help = "share when CPU is short, 1 to 10000 (100)"},
      {.name = "memory", .value = "SIZE", .help = "memory at most: 256MiB, 1GiB"},
      {.name = "swap", .value = "SIZE", .help = "swap beyond the memory (0)"},
      {.name = "disk", .value = "SIZE", .help = "size of the writable layer at most; 0: no limit"},
      {.name = "pids", .value = "N", .help = "processes and threads at most"},
  };
}

std::vector<Flag> NetworkFlags() {
  return {{.name = "group",
           .value = "GROUP",
           .help = "security group, beside `default`: web, ssh, …",
           .letter = 'g',
           .repeats = true},
          {.name = "no-default-group",
           .value = "",
           .help = "without `default`: other containers of the project are not let in"},
          {.name = "in", .value = "RATE", .help = "traffic to it at most: 10M is 10 Mbit/s"},
          {.name = "out", .value = "RATE", .help = "traffic from it at most"}};
}

std::vector<Flag> ContainerSpecFlags() {
  std::vector<Flag> flags = {
      {.name = "image",
       .value = "IMAGE",
       .help = "NAME or NAME:TAG",
       .required = true,
       .completes = Completes::kImages},
      {.name = "flavor",
       .value = "FLAVOR",
       .help = "its size (small)",
       .completes = Completes::kFlavors},
  };
  const std::vector<Flag> limits = LimitFlags();
  flags.insert(flags.end(), limits.begin(), limits.end());
  const std::vector<Flag> network = NetworkFlags();
  flags.insert(flags.end(), network.begin(), network.end());
  const std::vector<Flag> more = {
      {.name = "class",
       .value = "CLASS",
       .help = "pinned keeps its data on its node; movable may be started elsewhere",
       .choices = {"pinned", "movable"}},
      {.name = "node",
       .value = "NODE",
       .help = "on this node only",
       .completes = Completes::kNodes},
      {.name = "require",
       .value = "TERM",
       .help = "only on nodes with this label: disk=ssd, disk!=ssd, 'disk in a|b', disk, !disk",
       .repeats = true},
      {.name = "prefer",
       .value = "TERM[:WEIGHT]",
       .help = "rather on nodes with this label; weight 1 to 100",
       .repeats = true},
      {.name = "avoid",
       .value = "CONTAINER",
       .help = "not on a node that holds this container",
       .repeats = true,
       .completes = Completes::kContainers},
      {.name = "spread",
       .value = "KEY=VALUE",
       .help = "rather away from containers with this label",
       .repeats = true},
      {.name = "label", .value = "KEY=VALUE", .help = "label it", .letter = 'l', .repeats = true},
      {.name = "env",
       .value = "KEY=VALUE",
       .help = "environment variable of its init",
       .letter = 'e',
       .repeats = true},
      {.name = "restart",
       .value = "RULE",
       .help = "when it ends by itself",
       .choices = {"always", "on-failure", "never"}},
      {.name = "max-retries", .value = "N", .help = "of the restart rule; 0: no limit"},
      {.name = "stop-grace", .value = "TIME", .help = "between asking and killing (10s)"},
      {.name = "autostart-order", .value = "N", .help = "after a boot of its node, lower first"},
  };
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

absl::Status AddLimits(const Args& args, json::object& body) {
  json::object limits;
  BRAMBLE_ASSIGN_OR_RETURN(const auto cpu, args.Cpu("cpu"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto memory, args.Size("memory"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto disk, args.Size("disk"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto swap, args.Size("swap"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto pids, args.Int("pids", {.min = 0, .max = 4'194'304}));
  BRAMBLE_ASSIGN_OR_RETURN(const auto weight, args.Int("cpu-weight", {.min = 1, .max = 10'000}));
  if (cpu.has_value()) {
    limits["cpu_milli"] = cpu->count;
  }
  if (memory.has_value()) {
    limits["memory_bytes"] = memory->count;
  }
  if (disk.has_value()) {
    limits["disk_bytes"] = disk->count;
  }
  if (pids.has_value()) {
    limits["pids"] = *pids;
  }
  if (!limits.empty()) {
    body["limits"] = std::move(limits);
  }
  if (swap.has_value()) {
    body["swap_bytes"] = swap->count;
  }
  if (weight.has_value()) {
    body["cpu_weight"] = *weight;
  }
  return absl::OkStatus();
}

namespace {

// "10M": bits per second; K, M and G are thousands, as networks count.
absl::StatusOr<int64_t> ParseRate(std::string_view flag, std::string_view text) {
  int64_t rate = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, rate);
  const std::string_view unit(at, static_cast<size_t>(end - at));
  const int64_t scale = unit == "K"    ? 1'000
                        : unit == "M"  ? 1'000'000
                        : unit == "G"  ? 1'000'000'000
                        : unit.empty() ? 1
                                       : 0;
  if (error != std::errc() || scale == 0 || rate < 0 ||
      rate > api::kMaxBandwidthBps / std::max<int64_t>(scale, 1)) {
    return Misuse(StrCat("--", flag, " \"", text,
                         "\": write bits per second, such as 500K, 10M or 1G; 0 is no limit"));
  }
  return rate * scale;
}

}  // namespace

absl::Status AddNetwork(const Args& args, json::object& body) {
  if (args.Has("group") || args.Has("no-default-group")) {
    json::array groups;
    const std::vector<std::string>& named = args.Texts("group");
    if (!args.Has("no-default-group") &&
        std::find(named.begin(), named.end(), "default") == named.end()) {
      groups.emplace_back("default");
    }
    groups.insert(groups.end(), named.begin(), named.end());
    if (groups.empty()) {
      return Misuse("--no-default-group: name a group with --group");
    }
    body["groups"] = std::move(groups);
  }
  json::object bandwidth;
  for (const std::string_view flag : {"in", "out"}) {
    if (args.Has(flag)) {
      BRAMBLE_ASSIGN_OR_RETURN(bandwidth[StrCat(flag, "_bps")], ParseRate(flag, args.Text(flag)));
    }
  }
  if (!bandwidth.empty()) {
    body["bandwidth"] = std::move(bandwidth);
  }
  return absl::OkStatus();
}

absl::StatusOr<json::object> ContainerBody(const Args& args, std::string_view name) {
  json::object body = {{"name", name}, {"image", args.Text("image")}};
  if (args.Has("flavor")) {
    body["flavor"] = args.Text("flavor");
  }
  BRAMBLE_RETURN_IF_ERROR(AddLimits(args, body));
  BRAMBLE_ASSIGN_OR_RETURN(json::object placement, PlacementBody(args));
  if (!placement.empty()) {
    body["placement"] = std::move(placement);
  }
  BRAMBLE_RETURN_IF_ERROR(AddRestart(args, body));
  BRAMBLE_ASSIGN_OR_RETURN(const auto labels, args.Map("label"));
  if (!labels.empty()) {
    body["labels"] = MapJson(labels);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto environment, args.Map("env"));
  if (!environment.empty()) {
    body["environment"] = MapJson(environment);
  }
  BRAMBLE_RETURN_IF_ERROR(AddNetwork(args, body));
  BRAMBLE_ASSIGN_OR_RETURN(const auto grace, args.Seconds("stop-grace"));
  if (grace.has_value()) {
    body["stop_grace_s"] = grace->count();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto order,
                           args.Int("autostart-order", {.min = -1'000'000, .max = 1'000'000}));
  if (order.has_value()) {
    body["autostart_order"] = *order;
  }
  return body;
}

}  // namespace bramble::cli
