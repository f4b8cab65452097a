// SPDX-License-Identifier: Apache-2.0
#include "controller/config.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::controller {
namespace {

using std::chrono::milliseconds;

struct DurationKey {
  std::string_view key;
  milliseconds Timing::*field;
};
constexpr DurationKey kDurations[] = {{"heartbeat", &Timing::heartbeat_min},
                                      {"suspect", &Timing::suspect_after},
                                      {"unreachable", &Timing::unreachable_after},
                                      {"lease", &Timing::lease},
                                      {"stop", &Timing::stop},
                                      {"lost", &Timing::lost_after}};

constexpr size_t kMaxListenAddresses = 16;
constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1, Linux if.h

void ReadListen(ConfigReader& root, std::string_view key, ListenConfig& listen) {
  ConfigReader reader = root.Table(key);
  listen.addresses = reader.Strings("listen", listen.addresses);
  listen.port = static_cast<uint16_t>(reader.Int("port", listen.port, {.min = 0, .max = 65535}));
  if (listen.addresses.empty() || listen.addresses.size() > kMaxListenAddresses) {
    reader.Fail("listen", "name 1 to 16 addresses, such as [\"0.0.0.0\"]");
  }
  root.Merge(reader.Finish());
}

void ReadNodes(ConfigReader& root, Config& config) {
  ConfigReader reader = root.Table("nodes");
  config.nodes.addresses = reader.Strings("listen", config.nodes.addresses);
  config.nodes.port =
      static_cast<uint16_t>(reader.Int("port", config.nodes.port, {.min = 0, .max = 65535}));
  config.node_addresses = reader.Strings("addresses", config.node_addresses);
  if (config.nodes.addresses.empty() || config.nodes.addresses.size() > kMaxListenAddresses) {
    reader.Fail("listen", "name 1 to 16 addresses, such as [\"0.0.0.0\"]");
  }
  for (const std::string& address : config.node_addresses) {
    if (absl::StatusOr<HostPort> parsed = HostPort::Parse(address, 8444); !parsed.ok()) {
      reader.Fail("addresses", StrCat("\"", address, "\": write \"172.16.0.1:8444\""));
    }
  }
  root.Merge(reader.Finish());
}

void ReadNetwork(ConfigReader& root, Config& config) {
  ConfigReader reader = root.Table("network");
  config.prefix = reader.Prefix("prefix", config.prefix);
  config.interface = reader.String("interface", config.interface);
  if (config.prefix.length() < 16 || config.prefix.length() > 28) {
    reader.Fail("prefix", "a prefix is /16 to /28, such as \"172.16.0.0/24\"");
  }
  config.uplink = reader.String("uplink", config.uplink);
  for (const auto& [key, name] :
       {std::pair("interface", config.interface), std::pair("uplink", config.uplink)}) {
    if (name.size() > kMaxInterfaceName || name.find_first_of("/ \t\n") != std::string::npos) {
      reader.Fail(key, "write the name of a network interface, such as \"eth1\"");
    }
  }
  if (!config.uplink.empty() && config.uplink == config.interface) {
    reader.Fail("uplink", "is the cluster's interface; name another, or none");
  }
  root.Merge(reader.Finish());
}

void ReadTiming(ConfigReader& root, Config& config) {
  ConfigReader reader = root.Table("timing");
  config.timing_preset = reader.String("preset", config.timing_preset);
  const absl::StatusOr<Timing> preset = TimingPreset(config.timing_preset);
  if (!preset.ok()) {
    reader.Fail("preset", "write \"default\" or \"fast\"");
  }
  Timing& timing = config.timing;
  timing = preset.value_or(Timing());
  for (const DurationKey& each : kDurations) {
    timing.*each.field = reader.Duration(each.key, timing.*each.field);
  }
  root.Merge(reader.Finish());
  root.Merge(Annotate(CheckTiming(timing), "[timing]"));
}

void ReadLimits(ConfigReader& root, LimitsConfig& limits) {
  ConfigReader reader = root.Table("limits");
  limits.connections = reader.Int("connections", limits.connections, {.min = 10, .max = 100'000});
  limits.connections_per_peer =
      reader.Int("connections_per_peer", limits.connections_per_peer, {.min = 1, .max = 100'000});
  limits.body = reader.Size("body", limits.body);
  limits.image = reader.Size("image", limits.image);
  limits.images = reader.Size("images", limits.images);
  limits.images_per_project = reader.Size("images_per_project", limits.images_per_project);
  limits.file = reader.Size("file", limits.file);
  if (limits.body.count < 4 * kKiB || limits.body.count > 64 * kMiB) {
    reader.Fail("body", "write 4KiB to 64MiB");
  }
  root.Merge(reader.Finish());
}

std::string SizeText(Bytes bytes) { return TomlText(ToString(bytes)); }

}  // namespace

absl::StatusOr<Config> ReadConfig(const ConfigFile& file) {
  Config config;
  ConfigReader reader = file.Root();
  config.name = reader.String("name", config.name);
  if (!CheckName("cluster", config.name).ok()) {
    reader.Fail("name", "write 1 to 63 of a-z, 0-9 and '-', starting with a letter");
  }
  const std::string level = reader.String("log_level", ToString(config.log_level));
  if (absl::Status status = ParseLogLevel(level, config.log_level); !status.ok()) {
    reader.Fail("log_level", MessageOf(status));
  }
  config.state_dir = reader.String("state_dir", config.state_dir.string());
  config.run_dir = reader.String("run_dir", config.run_dir.string());
  config.names = reader.Strings("names", config.names);
  config.placement = reader.String("placement", config.placement);
  if (config.placement != "spread" && config.placement != "pack") {
    reader.Fail("placement", "write \"spread\" or \"pack\"");
  }
  ReadListen(reader, "people", config.people);
  ReadNodes(reader, config);
  ReadNetwork(reader, config);
  ReadTiming(reader, config);
  ReadLimits(reader, config.limits);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return config;
}

std::string FormatConfig(const Config& config) {
  std::string text = StrCat(
      "name = ", TomlText(config.name), "\nlog_level = ", TomlText(ToString(config.log_level)),
      "\nstate_dir = ", TomlText(config.state_dir.string()),
      "\nrun_dir = ", TomlText(config.run_dir.string()), "\nnames = ", TomlText(config.names),
      "\nplacement = ", TomlText(config.placement), "\n");
  text += StrCat("\n[people]\nlisten = ", TomlText(config.people.addresses),
                 "\nport = ", config.people.port, "\n");
  text += StrCat("\n[nodes]\nlisten = ", TomlText(config.nodes.addresses),
                 "\nport = ", config.nodes.port, "\naddresses = ", TomlText(config.node_addresses),
                 "\n");
  text += StrCat("\n[network]\nprefix = ", TomlText(config.prefix.str()),
                 "\ninterface = ", TomlText(config.interface),
                 "\nuplink = ", TomlText(config.uplink), "\n");
  text += StrCat("\n[timing]\npreset = ", TomlText(config.timing_preset), "\n");
  for (const DurationKey& each : kDurations) {
    text += StrCat(each.key, " = ", TomlText(FormatDuration(config.timing.*each.field)), "\n");
  }
  const LimitsConfig& limits = config.limits;
  text += StrCat("\n[limits]\nconnections = ", limits.connections,
                 "\nconnections_per_peer = ", limits.connections_per_peer,
                 "\nbody = ", SizeText(limits.body), "\nimage = ", SizeText(limits.image),
                 "\nimages = ", SizeText(limits.images),
                 "\nimages_per_project = ", SizeText(limits.images_per_project),
                 "\nfile = ", SizeText(limits.file), "\n");
  return text;
}

}  // namespace bramble::controller
