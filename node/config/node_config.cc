// SPDX-License-Identifier: Apache-2.0
#include "node/config/node_config.h"

#include "base/ids.h"
#include "base/status.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

constexpr uint16_t kControllerPort = 8444;
constexpr size_t kMaxControllers = 16;
constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1
constexpr int64_t kIdsPerRange = 65536;
constexpr int kShortestPrefix = 16;
constexpr int kLongestPrefix = 28;

// A name of a network interface as the kernel takes it, and nothing that `ip` reads otherwise.
bool IsInterfaceName(std::string_view text) {
  if (text.empty() || text.size() > kMaxInterfaceName || text == "." || text == ".." ||
      text.front() == '-') {
    return false;
  }
  for (const char c : text) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.' || c == '@';
    if (!good) {
      return false;
    }
  }
  return true;
}

void ReadNetwork(ConfigReader reader, NodeNetworkConfig& network, ConfigReader& parent) {
  network.manage = reader.Bool("manage", network.manage);
  network.bridge = reader.String("bridge", network.bridge);
  network.port = reader.String("port", network.port);
  const std::string address = reader.String("address");
  network.gateway = reader.Address("gateway", network.gateway);
  network.uplink = reader.String("uplink", network.uplink);
  if (network.uplink != "auto" && network.uplink != "bridged" && network.uplink != "routed") {
    reader.Fail("uplink", "write \"auto\", \"bridged\" or \"routed\"");
  }
  const std::string prefix = reader.String("prefix", network.prefix.str());
  if (absl::StatusOr<Ipv4Prefix> parsed = Ipv4Prefix::Parse(prefix); !parsed.ok()) {
    reader.Fail("prefix", MessageOf(parsed.status()));
  } else if (parsed->length() < kShortestPrefix || parsed->length() > kLongestPrefix) {
    reader.Fail("prefix", "write a network from /16 to /28, such as \"172.16.0.0/24\"");
  } else {
    network.prefix = *parsed;
  }
  if (!IsInterfaceName(network.bridge)) {
    reader.Fail("bridge", "write the name of an interface, such as \"br0\"");
  }
  if (!network.port.empty() && !IsInterfaceName(network.port)) {
    reader.Fail("port", "write the name of an interface, such as \"eth0\"");
  }
  if (!address.empty()) {
    if (absl::StatusOr<Ipv4Interface> parsed = Ipv4Interface::Parse(address); parsed.ok()) {
      network.address = *parsed;
    } else {
      reader.Fail("address", MessageOf(parsed.status()));
    }
  }
  parent.Merge(reader.Finish());
}

void ReadLabels(ConfigReader reader, api::Labels& labels, ConfigReader& parent) {
  for (const std::string& key : reader.Keys()) {
    labels[key] = reader.String(key);
  }
  parent.Merge(reader.Finish());
  if (const absl::Status good = api::CheckLabels(labels, "labels"); !good.ok()) {
    parent.Fail("labels", MessageOf(good));
  }
}

}  // namespace

absl::StatusOr<NodeConfig> ParseNodeConfig(const ConfigFile& file) {
  NodeConfig config;
  ConfigReader reader = file.Root();
  config.name = reader.String("name");
  if (!config.name.empty()) {
    if (const auto name = NodeName::Parse(config.name); !name.ok()) {
      reader.Fail("name", MessageOf(name.status()));
    }
  }
  config.join_token = reader.String("join_token");
  config.join_token_file = reader.String("join_token_file");
  if (!config.join_token.empty() && !config.join_token_file.empty()) {
    reader.Fail("join_token_file", "write join_token or join_token_file, not both");
  }
  config.controllers = reader.Strings("controllers");
  if (config.controllers.size() > kMaxControllers) {
    reader.Fail("controllers", StrCat("write at most ", kMaxControllers));
  }
  for (const std::string& controller : config.controllers) {
    if (const auto target = HostPort::Parse(controller, kControllerPort); !target.ok()) {
      reader.Fail("controllers", MessageOf(target.status()));
    }
  }
  config.state_dir = reader.String("state_dir", config.state_dir.string());
  config.run_dir = reader.String("run_dir", config.run_dir.string());
  config.libexec_dir = reader.String("libexec_dir", config.libexec_dir.string());
  config.start_jitter = reader.Duration("start_jitter", config.start_jitter);
  config.reconnect_max = reader.Duration("reconnect_max", config.reconnect_max);
  config.max_starts = reader.Int("max_starts", config.max_starts, {.min = 1, .max = 64});
  config.id_first =
      reader.Int("id_first", config.id_first, {.min = kIdsPerRange, .max = INT32_MAX});
  config.id_ranges = reader.Int("id_ranges", config.id_ranges, {.min = 1, .max = 32768});
  if (config.id_first + config.id_ranges * kIdsPerRange >= UINT32_MAX) {
    reader.Fail("id_ranges", "id_first + id_ranges * 65536 goes beyond the highest id");
  }
  config.set_clock = reader.Bool("set_clock", config.set_clock);
  config.log_level = reader.String("log_level", config.log_level);
  ReadNetwork(reader.Table("network"), config.network, reader);
  ReadLabels(reader.Table("labels"), config.labels, reader);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return config;
}

bool MaySetClock(const NodeConfig& config) {
  const NodeConfig own;
  return config.set_clock && config.state_dir == own.state_dir && config.run_dir == own.run_dir &&
         config.sys_dir == own.sys_dir && config.proc_dir == own.proc_dir;
}

std::string FormatNodeConfig(const NodeConfig& config) {
  const NodeNetworkConfig& network = config.network;
  std::string text = StrCat("name = ", TomlText(config.name), "\n");
  text += StrCat("join_token = ", config.join_token.empty() ? "\"\"" : "\"brm1.(not shown)\"",
                 "\njoin_token_file = ", TomlText(config.join_token_file.string()),
                 "\ncontrollers = ", TomlText(config.controllers),
                 "\nstate_dir = ", TomlText(config.state_dir.string()),
                 "\nrun_dir = ", TomlText(config.run_dir.string()),
                 "\nlibexec_dir = ", TomlText(config.libexec_dir.string()), "\n");
  text += StrCat("start_jitter = ", TomlText(FormatDuration(config.start_jitter)),
                 "\nreconnect_max = ", TomlText(FormatDuration(config.reconnect_max)),
                 "\nmax_starts = ", config.max_starts,
                 "\nset_clock = ", config.set_clock ? "true" : "false",
                 "\nid_first = ", config.id_first, "\nid_ranges = ", config.id_ranges,
                 "\nlog_level = ", TomlText(config.log_level), "\n");
  text +=
      StrCat("\n[network]\nmanage = ", network.manage ? "true" : "false",
             "\nbridge = ", TomlText(network.bridge), "\nport = ", TomlText(network.port), "\n");
  text += StrCat("uplink = ", TomlText(network.uplink),
                 "\nprefix = ", TomlText(network.prefix.str()), "\n");
  if (!network.address.address.empty()) {
    text += StrCat("address = ", TomlText(network.address.str()), "\n");
  }
  if (!network.gateway.empty()) {
    text += StrCat("gateway = ", TomlText(network.gateway.str()), "\n");
  }
  text += "\n[labels]\n";
  for (const auto& [key, value] : config.labels) {
    text += StrCat(TomlText(key), " = ", TomlText(value), "\n");
  }
  return text;
}

}  // namespace bramble::node
