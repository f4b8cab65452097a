// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is set for a node: /etc/bramble/node.toml, and the roots that are flags.  Unknown keys are
// refused.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "api/labels.h"
#include "base/config.h"
#include "base/ip.h"

namespace bramble::node {

struct NodeNetworkConfig {
  bool manage = true;          // set up the bridge; false: it is there already
  std::string bridge = "br0";  // containers' ports are plugged into it
  std::string port = "eth0";   // enslaved to the bridge; empty: none
  Ipv4Interface address;       // of the node, "172.16.0.11/24"; 0.0.0.0: as the port has it
  Ipv4 gateway;                // 0.0.0.0: as the port has it
  // How containers reach the LAN: "bridged" through the port, "routed" beside it with proxy ARP,
  // where it takes no foreign MACs; "auto": routed over Wi-Fi and where that is found out.
  std::string uplink = "auto";
  // The cluster's, until the controller says another: a node without an address takes one of its
  // node range.
  Ipv4Prefix prefix = Ipv4Prefix(Ipv4(0xac100000u), 24);
};

struct NodeConfig {
  // What this node proposes to be called; empty: the host name.
  std::string name;
  // "brm1.…", from `bramble token create`; needed until the node has joined.  Either this or a file
  // that holds it; neither: a person approves the node.
  std::string join_token;
  std::filesystem::path join_token_file;
  // Where to look for the controller, beyond what the token says: "172.16.0.1:8444".
  std::vector<std::string> controllers;
  api::Labels labels;

  std::filesystem::path state_dir = "/var/lib/bramble/node";
  std::filesystem::path run_dir = "/run/bramble/node";
  // bramble-runtime, bramble-unpack; empty: beside bramble-node or in ../libexec/bramble.
  std::filesystem::path libexec_dir;
  std::filesystem::path sys_dir = "/sys";
  std::filesystem::path proc_dir = "/proc";

  NodeNetworkConfig network;

  // The first connection after a start waits for a random part of this, so that a room of nodes
  // that is switched on at once does not dial at once.
  std::chrono::milliseconds start_jitter{2'000};
  std::chrono::milliseconds reconnect_max{60'000};

  int64_t max_starts = 4;  // containers started at once
  // The ids of containers on this host: `id_ranges` ranges of 65,536 from `id_first` on.
  int64_t id_first = 0x20000000;
  int64_t id_ranges = 4096;

  // Whether the machine's clock is set to the controller's signed time when it is far off; see
  // MaySetClock.
  bool set_clock = true;

  std::string log_level = "info";
};

// Whether the agent may set the machine's clock as far as the configuration goes: it is allowed to
// and all its roots are the machine's own.  Several nodes on one machine share its clock, and none
// of them sets it.
bool MaySetClock(const NodeConfig& config);

absl::StatusOr<NodeConfig> ParseNodeConfig(const ConfigFile& file);
// What is in effect, as TOML; a token is not repeated.
std::string FormatNodeConfig(const NodeConfig& config);

}  // namespace bramble::node
