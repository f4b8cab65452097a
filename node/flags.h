// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "node/config/node_config.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The command line of bramble-node.
struct NodeFlags {
  enum class Verb { kRun, kJoin, kStatus };
  Verb verb = Verb::kRun;
  std::filesystem::path config = "/etc/bramble/node.toml";
  bool check_config = false;
  bool version = false;
  bool help = false;
  bool json = false;  // status -o json
  std::optional<std::filesystem::path> state_dir, run_dir, sys_dir, proc_dir, libexec_dir;
  std::optional<std::string> log_level;

  void ApplyTo(NodeConfig& config) const;
};

inline constexpr char kNodeUsage[] =
    "usage: bramble-node [run|join|status] [flags]\n"
    "Runs the containers of a Bramble cluster on this machine.\n"
    "\n"
    "  run     be a node (the default): join when needed, start what the journal says, stay\n"
    "  join    join the controller and end\n"
    "  status  what the running agent holds, also with no controller in reach\n"
    "\n"
    "  --config FILE      settings, by default /etc/bramble/node.toml\n"
    "  --check-config     print the settings in effect and end\n"
    "  --state DIR        instead of the file's state_dir\n"
    "  --run DIR          instead of the file's run_dir\n"
    "  --libexec DIR      where bramble-runtime and bramble-unpack are\n"
    "  --sysfs DIR        instead of /sys\n"
    "  --procfs DIR       instead of /proc\n"
    "  --log-level LEVEL  debug, info, warn or error\n"
    "  -o json            status: as JSON\n"
    "  --version, --help\n"
    "\n"
    "Example: bramble-node status\n";

// kInvalidArgument names the argument and what to write.
absl::StatusOr<NodeFlags> ParseNodeFlags(int argc, const char* const* argv);

}  // namespace bramble::node
