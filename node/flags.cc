// SPDX-License-Identifier: Apache-2.0
#include "node/flags.h"

#include "base/strings.h"

namespace bramble::node {
namespace {

void Override(std::filesystem::path& path, const std::optional<std::filesystem::path>& flag) {
  if (flag.has_value()) {
    path = *flag;
  }
}

}  // namespace

void NodeFlags::ApplyTo(NodeConfig& into) const {
  Override(into.state_dir, state_dir);
  Override(into.run_dir, run_dir);
  Override(into.sys_dir, sys_dir);
  Override(into.proc_dir, proc_dir);
  Override(into.libexec_dir, libexec_dir);
  if (log_level.has_value()) {
    into.log_level = *log_level;
  }
}

absl::StatusOr<NodeFlags> ParseNodeFlags(int argc, const char* const* argv) {
  NodeFlags flags;
  bool verb_given = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const auto value = [&]() -> absl::StatusOr<std::string> {
      if (equals != std::string_view::npos) {
        return std::string(argument.substr(equals + 1));
      }
      if (i + 1 >= argc) {
        return absl::InvalidArgumentError(StrCat(name, ": a value is missing"));
      }
      return std::string(argv[++i]);
    };
    const std::pair<std::string_view, std::optional<std::filesystem::path>*> paths[] = {
        {"--state", &flags.state_dir},     {"--run", &flags.run_dir},
        {"--sysfs", &flags.sys_dir},       {"--procfs", &flags.proc_dir},
        {"--libexec", &flags.libexec_dir},
    };
    bool known = false;
    for (const auto& [flag, into] : paths) {
      if (name == flag) {
        absl::StatusOr<std::string> text = value();
        if (!text.ok()) {
          return text.status();
        }
        *into = *text;
        known = true;
      }
    }
    if (known) {
      continue;
    }
    if (name == "--config" || name == "--log-level" || name == "-o") {
      absl::StatusOr<std::string> text = value();
      if (!text.ok()) {
        return text.status();
      }
      if (name == "--config") {
        flags.config = *text;
      } else if (name == "--log-level") {
        flags.log_level = *text;
      } else if (*text == "json" || *text == "table") {
        flags.json = *text == "json";
      } else {
        return absl::InvalidArgumentError(StrCat("-o ", *text, ": write table or json"));
      }
    } else if (argument == "--check-config") {
      flags.check_config = true;
    } else if (argument == "--version") {
      flags.version = true;
    } else if (argument == "--help" || argument == "-h") {
      flags.help = true;
    } else if (!verb_given && (argument == "run" || argument == "join" || argument == "status")) {
      verb_given = true;
      flags.verb = argument == "run"    ? NodeFlags::Verb::kRun
                   : argument == "join" ? NodeFlags::Verb::kJoin
                                        : NodeFlags::Verb::kStatus;
    } else {
      return absl::InvalidArgumentError(
          StrCat("\"", argument, "\" is not known; see bramble-node --help"));
    }
  }
  return flags;
}

}  // namespace bramble::node
