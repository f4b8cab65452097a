// SPDX-License-Identifier: Apache-2.0
#include "api/container.h"

#include <algorithm>

#include "api/labels.h"
#include "api/security_group.h"
#include "base/status.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxTerms = 32;
constexpr size_t kMaxFloatingIps = 64;
constexpr int64_t kMinCpuMilli = 10;
constexpr int64_t kMinMemoryBytes = 4 * kMiB;

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

json::array ToJson(const std::vector<LabelTerm>& terms) {
  json::array array;
  for (const LabelTerm& term : terms) {
    json::object object = {{"key", term.key},
                           {"op", Name(kLabelOperatorNames[static_cast<size_t>(term.op)])},
                           {"values", api::ToJson(term.values)}};
    if (term.weight != 1) {
      object["weight"] = term.weight;
    }
    array.push_back(std::move(object));
  }
  return array;
}

LabelTerm TermFromJson(const json::value& value, const std::string& path, UnknownKeys unknown,
                       JsonObjectReader& parent) {
  if (const json::string* text = value.if_string()) {
    absl::StatusOr<LabelTerm> term = ParseLabelTerm({text->data(), text->size()});
    if (!term.ok()) {
      parent.Merge(Annotate(term.status(), path));
      return {};
    }
    return *std::move(term);
  }
  JsonObjectReader reader(value, path, unknown);
  LabelTerm term;
  term.key = reader.String("key");
  term.op = EnumField<LabelOperator>(reader, "op", kLabelOperatorNames, LabelOperator::kIn);
  term.values = reader.StringList("values", kMaxLabels);
  term.weight = reader.OptionalInt("weight", {.min = 1, .max = 100}).value_or(1);
  const bool takes_values = term.op == LabelOperator::kIn || term.op == LabelOperator::kNotIn;
  if (takes_values == term.values.empty()) {
    reader.Fail("values", takes_values ? "must not be empty for in and not-in"
                                       : "must be absent for exists and not-exists");
  }
  reader.Merge(CheckLabels({{term.key, ""}}, reader.PathOf("key")));
  parent.Merge(reader.Finish());
  return term;
}

std::vector<LabelTerm> TermsField(JsonObjectReader& reader, std::string_view key,
                                  UnknownKeys unknown) {
  std::vector<LabelTerm> terms;
  for (const json::value* value : reader.List(key, kMaxTerms)) {
    terms.push_back(
        TermFromJson(*value, StrCat(reader.PathOf(key), "[", terms.size(), "]"), unknown, reader));
  }
  return terms;
}

Placement PlacementField(JsonObjectReader& parent, UnknownKeys unknown) {
  Placement placement;
  const json::value* value = parent.Find("placement");
  if (value == nullptr) {
    return placement;
  }
  JsonObjectReader reader(*value, parent.PathOf("placement"), unknown);
  placement.placement_class =
      EnumField<PlacementClass>(reader, "class", kPlacementClassNames, PlacementClass::kPinned);
  placement.node = reader.OptionalParsed<NodeName>("node").str();
  placement.required = TermsField(reader, "required", unknown);
  placement.preferred = TermsField(reader, "preferred", unknown);
  placement.avoid = reader.StringList("avoid", kMaxTerms);
  placement.spread = reader.StringMap("spread", kMaxLabels);
  for (const std::string& name : placement.avoid) {
    reader.Merge(Annotate(CheckName("container", name), reader.PathOf("avoid")));
  }
  parent.Merge(reader.Finish());
  return placement;
}

RestartRule RestartField(JsonObjectReader& parent, UnknownKeys unknown) {
  RestartRule rule;
  const json::value* value = parent.Find("restart");
  if (value == nullptr) {
    return rule;
  }
  JsonObjectReader reader(*value, parent.PathOf("restart"), unknown);
  rule.policy =
      EnumField<RestartPolicy>(reader, "policy", kRestartPolicyNames, RestartPolicy::kAlways);
  rule.max_retries = reader.OptionalInt("max_retries", {.min = 0, .max = 1'000'000}).value_or(0);
  parent.Merge(reader.Finish());
  return rule;
}

Resources LimitsField(JsonObjectReader& parent, UnknownKeys unknown) {
  Resources limits;
  const json::value* value = parent.Find("limits");
  if (value == nullptr) {
    return limits;
  }
  JsonObjectReader reader(*value, parent.PathOf("limits"), unknown);
  // 0 stands for "as the flavor says".
  limits.cpu.count = reader.OptionalInt("cpu_milli", {.min = 0, .max = 1'000'000}).value_or(0);
  limits.memory.count = reader.OptionalInt("memory_bytes", {.min = 0}).value_or(0);
  limits.disk.count = reader.OptionalInt("disk_bytes", {.min = 0}).value_or(0);
  limits.pids = reader.OptionalInt("pids", {.min = 0, .max = 4'194'304}).value_or(0);
  if (limits.cpu.count > 0 && limits.cpu.count < kMinCpuMilli) {
    reader.Fail("cpu_milli", StrCat("must be at least ", kMinCpuMilli));
  }
  if (limits.memory.count > 0 && limits.memory.count < kMinMemoryBytes) {
    reader.Fail("memory_bytes", "must be at least 4 MiB");
  }
  if (limits.disk.count > 0 && limits.disk.count < 16 * kMiB) {
    reader.Fail("disk_bytes", "must be 0 (no limit) or at least 16 MiB");
  }
  parent.Merge(reader.Finish());
  return limits;
}

std::map<std::string, std::string> EnvironmentField(JsonObjectReader& reader) {
  // A newline would start a new line of the generated configuration.
  std::map<std::string, std::string> environment =
      reader.StringMap("environment", kMaxEnvironment, {.max = 32768});
  for (const auto& [key, value] : environment) {
    if (key.empty() || key.find_first_of("= \t\n\r") != std::string::npos) {
      reader.Fail("environment", "a name must not be empty nor contain '=' or white space");
    }
  }
  return environment;
}

Bandwidth BandwidthField(JsonObjectReader& parent, UnknownKeys unknown) {
  Bandwidth bandwidth;
  const json::value* value = parent.Find("bandwidth");
  if (value == nullptr) {
    return bandwidth;
  }
  JsonObjectReader reader(*value, parent.PathOf("bandwidth"), unknown);
  const auto read = [&reader](std::string_view key) {
    const int64_t bps = reader.OptionalInt(key, {.min = 0, .max = kMaxBandwidthBps}).value_or(0);
    if (bps > 0 && bps < kMinBandwidthBps) {
      reader.Fail(key, StrCat("must be 0 (no limit) or at least ", kMinBandwidthBps));
    }
    return bps;
  };
  bandwidth.in_bps = read("in_bps");
  bandwidth.out_bps = read("out_bps");
  parent.Merge(reader.Finish());
  return bandwidth;
}

std::vector<std::string> GroupsField(JsonObjectReader& reader) {
  std::vector<std::string> groups = reader.StringList("groups", kMaxGroupsPerContainer);
  for (size_t i = 0; i < groups.size(); ++i) {
    reader.Merge(Annotate(CheckName("security group", groups[i]), reader.PathOf("groups")));
    if (std::find(groups.begin(), groups.begin() + static_cast<int64_t>(i), groups[i]) !=
        groups.begin() + static_cast<int64_t>(i)) {
      reader.Fail("groups", StrCat("\"", groups[i], "\" is named twice"));
    }
  }
  return groups;
}

}  // namespace

absl::StatusOr<ContainerSpec> ContainerSpecFromJson(const json::value& value, std::string path,
                                                    UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  ContainerSpec spec;
  spec.image = reader.String("image", {.max = 200, .allow_empty = false});
  spec.flavor = reader.OptionalParsed<FlavorName>("flavor").str();
  spec.limits = LimitsField(reader, unknown);
  spec.cpu_weight = reader.OptionalInt("cpu_weight", {.min = 1, .max = 10000}).value_or(100);
  spec.swap.count = reader.OptionalInt("swap_bytes", {.min = 0}).value_or(0);
  spec.desired =
      EnumField<DesiredState>(reader, "desired", kDesiredStateNames, DesiredState::kRunning);
  spec.placement = PlacementField(reader, unknown);
  spec.restart = RestartField(reader, unknown);
  spec.autostart_order =
      reader.OptionalInt("autostart_order", {.min = -1000, .max = 1000}).value_or(0);
  spec.stop_grace_s =
      reader.OptionalInt("stop_grace_s", {.min = 0, .max = kMaxStopGraceSeconds}).value_or(10);
  spec.labels = reader.StringMap("labels", kMaxLabels);
  spec.environment = EnvironmentField(reader);
  spec.groups = GroupsField(reader);
  spec.bandwidth = BandwidthField(reader, unknown);
  spec.restart_count = reader.OptionalInt("restart_count", {.min = 0}).value_or(0);
  spec.rebuild_count = reader.OptionalInt("rebuild_count", {.min = 0}).value_or(0);
  reader.Merge(CheckLabels(spec.labels, reader.PathOf("labels")));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return spec;
}

json::object ToJson(const ContainerSpec& spec) {
  json::object object = {
      {"image", spec.image},
      {"flavor", spec.flavor},
      {"limits", ToJson(spec.limits)},
      {"cpu_weight", spec.cpu_weight},
      {"swap_bytes", spec.swap.count},
      {"desired", Name(kDesiredStateNames[static_cast<size_t>(spec.desired)])},
      {"placement",
       {{"class", Name(kPlacementClassNames[static_cast<size_t>(spec.placement.placement_class)])},
        {"node", spec.placement.node},
        {"required", ToJson(spec.placement.required)},
        {"preferred", ToJson(spec.placement.preferred)},
        {"avoid", ToJson(spec.placement.avoid)},
        {"spread", ToJson(spec.placement.spread)}}},
      {"restart",
       {{"policy", Name(kRestartPolicyNames[static_cast<size_t>(spec.restart.policy)])},
        {"max_retries", spec.restart.max_retries}}},
      {"autostart_order", spec.autostart_order},
      {"stop_grace_s", spec.stop_grace_s},
      {"labels", ToJson(spec.labels)},
      {"environment", ToJson(spec.environment)},
      {"restart_count", spec.restart_count},
      {"rebuild_count", spec.rebuild_count}};
  if (spec.placement.node.empty()) {
    object["placement"].as_object().erase("node");
  }
  if (spec.flavor.empty()) {
    object.erase("flavor");
  }
  if (!spec.groups.empty()) {
    object["groups"] = ToJson(spec.groups);
  }
  if (spec.bandwidth != Bandwidth{}) {
    object["bandwidth"] = {{"in_bps", spec.bandwidth.in_bps}, {"out_bps", spec.bandwidth.out_bps}};
  }
  return object;
}

json::object ToJson(const ContainerStatus& status) {
  json::object object = {{"state", Name(kContainerStateNames[static_cast<size_t>(status.state)])},
                         {"reason", status.reason},
                         {"node_id", status.node_id.str()},
                         {"node", status.node},
                         {"address", status.address},
                         {"mac", status.mac},
                         {"image_digest", status.image_digest},
                         {"architecture", status.architecture},
                         {"restarts", status.restarts},
                         {"observed_generation", status.observed_generation},
                         {"disk_limit_mode", status.disk_limit_mode}};
  if (!status.floating_ips.empty()) {
    object["floating_ips"] = ToJson(status.floating_ips);
  }
  if (!status.conditions.empty()) {
    object["conditions"] = ToJson(status.conditions);
  }
  if (status.started_at.has_value()) {
    object["started_at"] = FormatTime(*status.started_at);
  }
  if (status.exit_code.has_value()) {
    object["exit_code"] = *status.exit_code;
  }
  return object;
}

json::object ToJson(const Container& container) {
  json::object object = {{"id", container.id.str()},
                         {"name", container.name.str()},
                         {"project", container.project.str()},
                         {"generation", container.generation},
                         {"created_at", FormatTime(container.created_at)},
                         {"deleting", container.deleting},
                         {"spec", ToJson(container.spec)},
                         {"status", ToJson(container.status)}};
  if (container.context.has_value()) {
    object["context"] = ToJson(*container.context);
  }
  return object;
}

namespace {

ContainerStatus StatusField(JsonObjectReader& parent, UnknownKeys unknown) {
  ContainerStatus status;
  const json::value* value = parent.Find("status");
  if (value == nullptr) {
    return status;
  }
  JsonObjectReader reader(*value, parent.PathOf("status"), unknown);
  status.state = EnumField<ContainerState>(reader, "state", kContainerStateNames);
  status.reason = reader.OptionalString("reason").value_or("");
  status.node_id = reader.OptionalParsed<NodeId>("node_id");
  status.node = reader.OptionalString("node").value_or("");
  status.address = reader.OptionalString("address").value_or("");
  status.floating_ips = reader.StringList("floating_ips", kMaxFloatingIps);
  status.mac = reader.OptionalString("mac").value_or("");
  status.image_digest = reader.OptionalString("image_digest").value_or("");
  status.architecture = reader.OptionalString("architecture").value_or("");
  status.started_at = OptionalTimeField(reader, "started_at");
  status.exit_code = reader.OptionalInt("exit_code");
  status.restarts = reader.OptionalInt("restarts", {.min = 0}).value_or(0);
  status.observed_generation = reader.OptionalInt("observed_generation", {.min = 0}).value_or(0);
  status.disk_limit_mode = reader.OptionalString("disk_limit_mode").value_or("");
  status.conditions = ConditionsField(reader, "conditions");
  parent.Merge(reader.Finish());
  return status;
}

}  // namespace

absl::StatusOr<Container> ContainerFromJson(const json::value& value, std::string path,
                                            UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Container container;
  container.id = reader.Parsed<ContainerId>("id");
  container.name = reader.Parsed<ContainerName>("name");
  container.project = reader.Parsed<ProjectName>("project");
  container.generation = reader.Int("generation", {.min = 0});
  container.created_at = TimeField(reader, "created_at");
  container.deleting = reader.OptionalBool("deleting").value_or(false);
  container.status = StatusField(reader, unknown);
  if (const json::value* context = reader.Find("context"); context != nullptr) {
    absl::StatusOr<ContextSummary> summary =
        ContextSummaryFromJson(*context, reader.PathOf("context"));
    reader.Merge(summary.status());
    container.context = std::move(summary).value_or(ContextSummary{});
  }
  if (const json::value* spec = reader.Find("spec"); spec == nullptr) {
    reader.Fail("spec", "missing");
  } else if (absl::StatusOr<ContainerSpec> parsed =
                 ContainerSpecFromJson(*spec, reader.PathOf("spec"), unknown);
             parsed.ok()) {
    container.spec = *std::move(parsed);
  } else {
    reader.Merge(parsed.status());
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return container;
}

}  // namespace bramble::api
