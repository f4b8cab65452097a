// SPDX-License-Identifier: Apache-2.0
#pragma once

// /etc/bramble/controller.toml: every setting, its default and its unit.  Only main.cc reads flags.

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/ids.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/units.h"
#include "controller/reconcile/timing.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// Where one of the two listeners is found.
struct ListenConfig {
  std::vector<std::string> addresses = {"0.0.0.0"};
  uint16_t port = 0;  // 0 takes a free one (tests); RUN/ports.json tells which
};

struct LimitsConfig {
  int64_t connections = 2000;          // on each port
  int64_t connections_per_peer = 500;  // from one address
  Bytes body{1 * kMiB};                // of a JSON request
  Bytes image{16 * kGiB};              // of one uploaded image
  Bytes images{0};                     // of all images together; 0: as the disk has room
  Bytes images_per_project{0};         // likewise of one project's
  Bytes file{4 * kGiB};                // of one pushed file
};

struct Config {
  std::string name = "bramble";  // of a new cluster
  LogLevel log_level = LogLevel::kInfo;
  std::filesystem::path state_dir = "/var/lib/bramble/controller";
  std::filesystem::path run_dir = "/run/bramble/controller";

  ListenConfig people{.port = 8443};
  ListenConfig nodes{.port = 8444};
  // "172.16.0.1:8444": where nodes find us, for join tokens.  Empty: every address of this machine.
  std::vector<std::string> node_addresses;
  // Further names and addresses in the server certificate, beside this machine's own.
  std::vector<std::string> names;

  Ipv4Prefix prefix{Ipv4((172u << 24) | (16u << 16)), 24};  // of a new cluster
  // On the prefix: its address, DNS, DHCP and ARP are ours there.  Empty: no network is served.
  std::string interface;
  std::string uplink;                // the way to other networks; empty: none
  std::string placement = "spread";  // or "pack"

  std::string timing_preset = "default";  // or "fast": a lease of 15 s
  Timing timing;  // the preset's, and what was set beside it (DESIGN.md, section 9)
  LimitsConfig limits;
};

// Refuses unknown keys and values out of range, with file, line and what to write instead.
absl::StatusOr<Config> ReadConfig(const ConfigFile& file);

// The whole of `config` as TOML that ReadConfig takes: what --check-config prints.
std::string FormatConfig(const Config& config);

}  // namespace bramble::controller
