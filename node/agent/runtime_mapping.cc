// SPDX-License-Identifier: Apache-2.0
#include "node/agent/runtime_mapping.h"

#include <charconv>
#include <csignal>
#include <set>

#include "api/project.h"
#include "base/json.h"
#include "base/status.h"
#include "node/agent/lacking.h"
#include "node/network/container_network.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxDnsServers = 3;  // glibc's MAXNS
constexpr int kSignalBase = 128;      // as a shell tells a death by signal

absl::StatusOr<RuntimeNic> NicOf(const api::NodeContainer& container, const std::string& bridge) {
  RuntimeNic nic{
      .bridge = bridge, .host_interface = HostInterfaceOf(container.id), .mac = container.mac};
  BRAMBLE_ASSIGN_OR_RETURN(nic.address, Ipv4Interface::Parse(container.address));
  if (!container.gateway.empty()) {
    BRAMBLE_ASSIGN_OR_RETURN(nic.gateway, Ipv4::Parse(container.gateway));
  }
  for (const std::string& server : container.dns) {
    BRAMBLE_ASSIGN_OR_RETURN(const Ipv4 address, Ipv4::Parse(server));
    if (nic.dns.size() < kMaxDnsServers) {
      nic.dns.push_back(address);
    }
  }
  nic.search_domain = container.search_domain;
  nic.floating = container.floating_addresses;
  return nic;
}

}  // namespace

absl::StatusOr<RuntimeSpec> MakeRuntimeSpec(const api::NodeContainer& container,
                                            const RuntimeSetting& setting) {
  RuntimeSpec spec;
  spec.id = container.id;
  spec.name = container.name;
  spec.project = container.project;
  spec.hostname = container.name.str();
  spec.generation = container.generation;
  spec.restart_count = container.spec.restart_count;
  spec.rebuild_count = container.spec.rebuild_count;
  spec.layer_move = container.layer_move;
  spec.image_digest = container.image_digest;
  spec.image_tree = setting.image.tree;
  spec.image_ids = setting.image.ids;
  spec.ids = setting.ids;
  const api::Resources& limits = container.spec.limits;
  spec.limits = {.memory = limits.memory,
                 .swap = container.spec.swap,
                 .cpu = limits.cpu,
                 .cpu_weight = container.spec.cpu_weight,
                 .disk = limits.disk};
  if (limits.pids > 0) {
    spec.limits.pids = limits.pids;
  }
  if (!container.address.empty()) {
    absl::StatusOr<RuntimeNic> nic = NicOf(container, setting.bridge);
    if (!nic.ok()) {
      return Annotate(nic.status(), StrCat("container \"", container.name.str(), "\""));
    }
    spec.nic = *std::move(nic);
  }
  spec.environment = container.spec.environment;
  spec.stop_grace = std::chrono::seconds(container.spec.stop_grace_s);
  if (!container.context.empty()) {
    spec.context = container.context;
    spec.context_file = setting.contexts / container.context;
  }
  spec.context_mode = api::kContextModeNames[static_cast<size_t>(container.context_mode)];
  spec.note = json::serialize(api::ToJson(container));
  return spec;
}

HeldContainer HeldOf(const RuntimeContainer& container) {
  HeldContainer held;
  absl::StatusOr<json::value> note = ParseJson(container.spec.note, kMaxNoteBytes);
  absl::StatusOr<api::NodeContainer> definition =
      note.ok() ? api::NodeContainerFromJson(*note, "note") : note.status();
  if (definition.ok()) {
    held.definition = *std::move(definition);
    held.definition.spec.restart_count = container.spec.restart_count;
    held.definition.spec.rebuild_count = container.spec.rebuild_count;
  } else {
    held.definition.name = ContainerName::Trusted("c-" + container.spec.id.str());
    held.definition.project = ProjectName::Trusted(api::kDefaultProject);
    held.definition.spec.image = "unknown";
  }
  held.definition.id = container.spec.id;
  held.running = container.state != RuntimeState::kStopped;
  held.frozen = container.state == RuntimeState::kFrozen;
  held.started_at = container.started_at;
  held.disk_limit_mode = container.disk_mode;
  held.lacking = container.degraded;
  FirstStart first = container.first_start;
  if (!held.running && first.state == FirstStart::State::kDue) {
    first.state = FirstStart::State::kCutOff;
  }
  held.told = ConditionsOfFirstStart(first, container.unused_context);
  return held;
}

Ended EndedOf(const RuntimeExitEvent& event) {
  if (!event.exit.has_value()) {
    return {};
  }
  if (event.exit->signal == SIGHUP) {
    return {.code = 0, .reboot = true};
  }
  if (event.exit->signal == SIGINT) {
    return {.code = 0};  // reboot(2) to halt: it ended on its own wish
  }
  return {.code = event.exit->signal != 0 ? kSignalBase + event.exit->signal : event.exit->code};
}

int SignalNumber(std::string_view name) {
  static const std::map<std::string_view, int> kNames = {
      {"SIGHUP", SIGHUP},   {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT},
      {"SIGTERM", SIGTERM}, {"SIGKILL", SIGKILL}, {"SIGUSR1", SIGUSR1},
      {"SIGUSR2", SIGUSR2}, {"SIGPWR", SIGPWR},   {"SIGWINCH", SIGWINCH}};
  if (const auto found = kNames.find(name); found != kNames.end()) {
    return found->second;
  }
  constexpr std::string_view kRealTime = "SIGRTMIN+";
  int number = 0;
  const bool real_time = name.substr(0, kRealTime.size()) == kRealTime;
  if (real_time) {
    name.remove_prefix(kRealTime.size());
  }
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number < 0 || number > 64) {
    return SIGPWR;
  }
  return real_time ? SIGRTMIN + number : number == 0 ? SIGPWR : number;
}

absl::StatusOr<IdRange> IdRanges::Take(const ContainerId& id) {
  if (const auto found = taken_.find(id); found != taken_.end()) {
    return IdRange{.first = found->second};
  }
  std::set<uint32_t> used;
  for (const auto& [other, first] : taken_) {
    used.insert(first);
  }
  for (uint32_t i = 0; i < count_; ++i) {
    const uint32_t first = first_ + i * IdRange::kCount;
    if (!used.contains(first)) {
      taken_[id] = first;
      return IdRange{.first = first};
    }
  }
  return absl::ResourceExhaustedError(
      StrCat("no id range is left on this node (", count_, " are in use); raise id_ranges"));
}

}  // namespace bramble::node
