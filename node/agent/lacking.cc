// SPDX-License-Identifier: Apache-2.0
#include "node/agent/lacking.h"

#include <string_view>

#include "base/strings.h"
#include "node/runtime/first_start_command.h"

namespace bramble::node {
namespace {

struct Lack {
  std::string_view what;
  std::string_view message;
};

// The words that node/runtime writes, each explained in docs/operations.md.
constexpr Lack kLacks[] = {
    {"apparmor",
     "no AppArmor profile confines it: the node's kernel has no AppArmor, or not our profile"},
    {"swap", "its limit of swap does not hold: the node's kernel does not count swap"},
    {"memory", "its limit of memory does not hold: the node's kernel has the controller off"},
    {"cpu", "its limit of CPU does not hold: the node's kernel has the controller off"},
    {"pids", "its limit of processes does not hold: the node's kernel has the controller off"},
    {"disk",
     "its disk limit does not hold: its writable layer was made without one; `bramble container "
     "rebuild` makes one with it, and what was written is lost"},
    {"disk-shrink",
     "its former, larger disk limit holds: what limits it cannot become smaller before `bramble "
     "container rebuild`, by which what was written is lost"},
    {"disk-restart", "its new disk limit holds from its next start on"},
};

}  // namespace

std::vector<api::Condition> ConditionsOfLacking(const std::vector<std::string>& lacking) {
  std::vector<api::Condition> conditions;
  for (const std::string& what : lacking) {
    std::string message = StrCat("it runs without \"", what, "\", which its node could not give");
    for (const Lack& lack : kLacks) {
      if (lack.what == what) {
        message = lack.message;
      }
    }
    conditions.push_back({.type = what, .severity = "warning", .message = std::move(message)});
  }
  return conditions;
}

std::vector<api::Condition> ConditionsOfFirstStart(const FirstStart& first,
                                                   const std::vector<std::string>& unused) {
  std::vector<api::Condition> conditions;
  const auto add = [&conditions](bool good, std::string message) {
    conditions.push_back({.type = "first-start",
                          .severity = good ? "info" : "warning",
                          .message = std::move(message)});
  };
  switch (first.state) {
    case FirstStart::State::kNone:
      break;
    case FirstStart::State::kDue:
      add(true, "its first start scripts run");
      break;
    case FirstStart::State::kEnded:
      add(first.code == 0, StrCat("its first start scripts ended with exit code ", first.code,
                                  "; in the container, ", kFirstStartLog, " has their output"));
      break;
    case FirstStart::State::kCutOff:
      add(false, StrCat("its first start scripts were cut off and are not run again; in the "
                        "container, ",
                        kFirstStartLog,
                        " has their output; `bramble container "
                        "rebuild` runs them anew on a fresh writable layer"));
      break;
  }
  if (!unused.empty()) {
    std::string all;
    for (const std::string& what : unused) {
      all += StrCat(all.empty() ? "" : ", ", what);
    }
    conditions.push_back({.type = "context-unused",
                          .severity = "warning",
                          .message = StrCat("its image has no cloud-init, or its label `context` "
                                            "says so, and cannot use: ",
                                            all)});
  }
  return conditions;
}

}  // namespace bramble::node
