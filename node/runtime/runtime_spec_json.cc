// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/runtime_spec_json.h"

#include <utility>

#include "base/status.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxFloating = 256;
constexpr size_t kMaxUnused = 128;

constexpr size_t kMaxPathBytes = 4096;
constexpr size_t kMaxEnvironment = 1024;
constexpr int64_t kMaxSeconds = 86400;

json::object ToJson(const IdRange& range) {
  return {{"first", range.first}, {"count", range.count}};
}

IdRange IdRangeField(JsonObjectReader& outer, std::string_view key) {
  IdRange range;
  const json::value* value = outer.Find(key);
  if (value == nullptr) {
    outer.Fail(key, "missing");
    return range;
  }
  JsonObjectReader reader(*value, outer.PathOf(key));
  // 0 would be the host's own root.
  range.first = static_cast<uint32_t>(
      reader.Int("first", {.min = IdRange::kCount, .max = UINT32_MAX - IdRange::kCount}));
  range.count =
      static_cast<uint32_t>(reader.Int("count", {.min = IdRange::kCount, .max = IdRange::kCount}));
  outer.Merge(reader.Finish());
  return range;
}

json::object ToJson(const RuntimeLimits& limits) {
  return {{"memory_bytes", limits.memory.count},
          {"swap_bytes", limits.swap.count},
          {"cpu_milli", limits.cpu.count},
          {"cpu_weight", limits.cpu_weight},
          {"pids", limits.pids},
          {"disk_bytes", limits.disk.count}};
}

RuntimeLimits LimitsField(JsonObjectReader& outer, std::string_view key) {
  RuntimeLimits limits;
  const json::value* value = outer.Find(key);
  if (value == nullptr) {
    return limits;
  }
  constexpr int64_t kMaxBytes = int64_t{1} << 53;
  JsonObjectReader reader(*value, outer.PathOf(key));
  limits.memory.count = reader.Int("memory_bytes", {.min = 0, .max = kMaxBytes});
  limits.swap.count = reader.Int("swap_bytes", {.min = 0, .max = kMaxBytes});
  limits.cpu.count = reader.Int("cpu_milli", {.min = 0, .max = 1'000'000});
  limits.cpu_weight = reader.Int("cpu_weight", {.min = 1, .max = 10000});
  limits.pids = reader.Int("pids", {.min = 0, .max = 1 << 22});
  limits.disk.count = reader.Int("disk_bytes", {.min = 0, .max = kMaxBytes});
  outer.Merge(reader.Finish());
  return limits;
}

json::object ToJson(const RuntimeNic& nic) {
  json::array dns;
  for (const Ipv4 server : nic.dns) {
    dns.push_back(json::string(server.str()));
  }
  json::array floating;
  for (const Ipv4 address : nic.floating) {
    floating.push_back(json::string(address.str()));
  }
  return {{"bridge", nic.bridge},
          {"host_interface", nic.host_interface},
          {"mac", nic.mac},
          {"address", nic.address.str()},
          {"gateway", nic.gateway.empty() ? "" : nic.gateway.str()},
          {"dns", std::move(dns)},
          {"search_domain", nic.search_domain},
          {"mtu", nic.mtu},
          {"floating", std::move(floating)}};
}

std::vector<Ipv4> AddressesField(JsonObjectReader& reader, std::string_view key, size_t max) {
  std::vector<Ipv4> addresses;
  for (const std::string& text : reader.StringList(key, max)) {
    const auto address = Ipv4::Parse(text);
    if (!address.ok()) {
      reader.Fail(key, MessageOf(address.status()));
      break;
    }
    addresses.push_back(*address);
  }
  return addresses;
}

std::optional<RuntimeNic> NicField(JsonObjectReader& outer, std::string_view key) {
  const json::value* value = outer.Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  RuntimeNic nic;
  JsonObjectReader reader(*value, outer.PathOf(key));
  nic.bridge = reader.String("bridge", {.max = 15, .allow_empty = false});
  nic.host_interface = reader.String("host_interface", {.max = 15, .allow_empty = false});
  nic.mac = reader.String("mac", {.max = 17, .allow_empty = false});
  nic.address = reader.Parsed<Ipv4Interface>("address");
  nic.gateway = reader.OptionalParsed<Ipv4>("gateway");
  nic.dns = AddressesField(reader, "dns", 3);
  nic.floating = AddressesField(reader, "floating", kMaxFloating);
  nic.search_domain = reader.OptionalString("search_domain", {.max = 253}).value_or("");
  nic.mtu = static_cast<int>(reader.OptionalInt("mtu", {.min = 0, .max = 65535}).value_or(0));
  outer.Merge(reader.Finish());
  return nic;
}

json::object EnvironmentToJson(const std::map<std::string, std::string>& environment) {
  json::object object;
  for (const auto& [name, value] : environment) {
    object.emplace(name, value);
  }
  return object;
}

WallTime WallFromMs(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

}  // namespace

json::object ToJson(const FirstStart& first) {
  return {{"state", std::string(kFirstStartNames[static_cast<size_t>(first.state)])},
          {"code", first.code}};
}

FirstStart FirstStartField(JsonObjectReader& outer, std::string_view key) {
  FirstStart first;
  const json::value* value = outer.Find(key);
  if (value == nullptr) {
    return first;  // of a version that had none
  }
  JsonObjectReader reader(*value, outer.PathOf(key));
  const std::string state = reader.String("state");
  for (size_t i = 0; i < std::size(kFirstStartNames); ++i) {
    if (kFirstStartNames[i] == state) {
      first.state = static_cast<FirstStart::State>(i);
    }
  }
  first.code = static_cast<int>(reader.Int("code", {.min = 0, .max = 255}));
  outer.Merge(reader.Finish());
  return first;
}

json::object ToJson(const RuntimeSpec& spec) {
  json::object object = {{"id", spec.id.str()},
                         {"name", spec.name.str()},
                         {"project", spec.project.str()},
                         {"hostname", spec.hostname},
                         {"generation", spec.generation},
                         {"restart_count", spec.restart_count},
                         {"rebuild_count", spec.rebuild_count},
                         {"image_digest", spec.image_digest},
                         {"image_tree", spec.image_tree.string()},
                         {"image_ids", ToJson(spec.image_ids)},
                         {"ids", ToJson(spec.ids)},
                         {"limits", ToJson(spec.limits)},
                         {"environment", EnvironmentToJson(spec.environment)},
                         {"halt_signal", spec.halt_signal},
                         {"stop_grace_s", spec.stop_grace.count()},
                         {"layer_move", spec.layer_move},
                         {"note", spec.note}};
  if (!spec.context.empty()) {
    object.emplace("context", spec.context);
    object.emplace("context_file", spec.context_file.string());
  }
  if (!spec.context_mode.empty()) {
    object.emplace("context_mode", spec.context_mode);
  }
  if (spec.nic.has_value()) {
    object.emplace("nic", ToJson(*spec.nic));
  }
  return object;
}

absl::StatusOr<RuntimeSpec> RuntimeSpecFromJson(const json::value& value, std::string path) {
  RuntimeSpec spec;
  JsonObjectReader reader(value, std::move(path));
  const auto count = [&reader](std::string_view key) {
    return static_cast<uint64_t>(reader.OptionalInt(key, {.min = 0}).value_or(0));
  };
  spec.id = reader.Parsed<ContainerId>("id");
  spec.name = reader.OptionalParsed<ContainerName>("name");
  spec.project = reader.OptionalParsed<ProjectName>("project");
  spec.hostname = reader.String("hostname", {.max = 63, .allow_empty = false});
  spec.generation = count("generation");
  spec.restart_count = count("restart_count");
  spec.rebuild_count = count("rebuild_count");
  spec.image_digest = reader.String("image_digest", {.max = 64, .allow_empty = false});
  spec.image_tree = reader.String("image_tree", {.max = kMaxPathBytes, .allow_empty = false});
  spec.image_ids = IdRangeField(reader, "image_ids");
  spec.ids = IdRangeField(reader, "ids");
  spec.limits = LimitsField(reader, "limits");
  spec.nic = NicField(reader, "nic");
  spec.environment = reader.StringMap("environment", kMaxEnvironment);
  spec.halt_signal = reader.OptionalString("halt_signal", {.max = 16}).value_or("");
  spec.stop_grace = std::chrono::seconds(
      reader.OptionalInt("stop_grace_s", {.min = 0, .max = kMaxSeconds}).value_or(10));
  spec.layer_move = reader.OptionalString("layer_move", {.max = 64}).value_or("");
  spec.context = reader.OptionalString("context", {.max = 64}).value_or("");
  spec.context_file = reader.OptionalString("context_file", {.max = kMaxPathBytes}).value_or("");
  spec.context_mode = reader.OptionalString("context_mode", {.max = 16}).value_or("");
  spec.note =
      reader.OptionalString("note", {.max = kMaxNoteBytes, .allow_control = true}).value_or("");
  if (reader.ok()) {
    reader.Merge(CheckName("hostname", spec.hostname));
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return spec;
}

json::object ToJson(const RuntimeContainer& container) {
  json::array degraded;
  for (const std::string& what : container.degraded) {
    degraded.push_back(json::string(what));
  }
  json::object object = {
      {"id", container.spec.id.str()},
      {"state", std::string(kRuntimeStateNames[static_cast<size_t>(container.state)])},
      {"init_pid", container.init_pid},
      {"init_start_ticks", container.init_start_ticks},
      {"monitor_pid", container.monitor_pid},
      {"monitor_start_ticks", container.monitor_start_ticks},
      {"disk_mode", container.disk_mode},
      {"degraded", std::move(degraded)},
      {"first_start", ToJson(container.first_start)},
      {"unused_context",
       json::array(container.unused_context.begin(), container.unused_context.end())},
      {"broken", container.broken}};
  if (container.broken.empty()) {
    object.emplace("spec", ToJson(container.spec));
  }
  if (container.started_at.has_value()) {
    object.emplace("started_at_ms", container.started_at->time_since_epoch().count());
  }
  return object;
}

absl::StatusOr<RuntimeContainer> RuntimeContainerFromJson(const json::value& value,
                                                          std::string path) {
  RuntimeContainer container;
  JsonObjectReader reader(value, path);
  const ContainerId id = reader.Parsed<ContainerId>("id");
  container.broken = reader.OptionalString("broken", {.allow_control = true}).value_or("");
  if (const json::value* spec = reader.Find("spec"); spec != nullptr) {
    auto parsed = RuntimeSpecFromJson(*spec, reader.PathOf("spec"));
    reader.Merge(parsed.status());
    if (parsed.ok()) {
      container.spec = *std::move(parsed);
    }
  } else if (container.broken.empty()) {
    reader.Fail("spec", "missing");
  }
  container.spec.id = id;
  const std::string state = reader.String("state");
  bool known = false;
  for (size_t i = 0; i < std::size(kRuntimeStateNames); ++i) {
    if (kRuntimeStateNames[i] == state) {
      container.state = static_cast<RuntimeState>(i);
      known = true;
    }
  }
  if (!known) {
    reader.Fail("state", "expected stopped, running or frozen");
  }
  container.init_pid = static_cast<pid_t>(reader.Int("init_pid", {.min = 0, .max = INT32_MAX}));
  container.init_start_ticks = static_cast<uint64_t>(reader.Int("init_start_ticks", {.min = 0}));
  container.monitor_pid =
      static_cast<pid_t>(reader.Int("monitor_pid", {.min = 0, .max = INT32_MAX}));
  container.monitor_start_ticks =
      static_cast<uint64_t>(reader.Int("monitor_start_ticks", {.min = 0}));
  if (const auto ms = reader.OptionalInt("started_at_ms"); ms.has_value()) {
    container.started_at = WallFromMs(*ms);
  }
  container.disk_mode = reader.OptionalString("disk_mode").value_or("");
  container.degraded = reader.StringList("degraded", 16);
  container.first_start = FirstStartField(reader, "first_start");
  container.unused_context = reader.StringList("unused_context", kMaxUnused);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return container;
}

json::object ToJson(const RuntimeUsage& usage) {
  return {{"id", usage.id.str()},
          {"memory_bytes", usage.memory.count},
          {"swap_bytes", usage.swap.count},
          {"cpu_us", usage.cpu_time.count()},
          {"pids", usage.pids},
          {"disk_bytes", usage.disk.count}};
}

absl::StatusOr<RuntimeUsage> RuntimeUsageFromJson(const json::value& value, std::string path) {
  RuntimeUsage usage;
  JsonObjectReader reader(value, std::move(path));
  usage.id = reader.Parsed<ContainerId>("id");
  usage.memory.count = reader.Int("memory_bytes");
  usage.swap.count = reader.Int("swap_bytes");
  usage.cpu_time = std::chrono::microseconds(reader.Int("cpu_us"));
  usage.pids = reader.Int("pids");
  usage.disk.count = reader.Int("disk_bytes");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return usage;
}

json::object ToJson(const RuntimeExit& exit) {
  return {{"code", exit.code}, {"signal", exit.signal}};
}

absl::StatusOr<RuntimeExit> RuntimeExitFromJson(const json::value& value, std::string path) {
  RuntimeExit exit;
  JsonObjectReader reader(value, std::move(path));
  exit.code = static_cast<int>(reader.Int("code", {.min = 0, .max = 255}));
  exit.signal = static_cast<int>(reader.Int("signal", {.min = 0, .max = 127}));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return exit;
}

json::object StatusToJson(const absl::Status& status) {
  return {{"code", absl::StatusCodeToString(status.code())},
          {"message", std::string(MessageOf(status))}};
}

absl::Status StatusFromJson(const json::value& value) {
  JsonObjectReader reader(value, "error");
  const std::string name = reader.String("code", {.allow_empty = false});
  const std::string message = reader.String("message", {.max = 65536, .allow_control = true});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  for (int code = 0; code <= static_cast<int>(absl::StatusCode::kUnauthenticated); ++code) {
    if (absl::StatusCodeToString(static_cast<absl::StatusCode>(code)) == name) {
      return absl::Status(static_cast<absl::StatusCode>(code), ToAbsl(message));
    }
  }
  return absl::InternalError(StrCat("unknown status code ", name));
}

}  // namespace bramble::node
