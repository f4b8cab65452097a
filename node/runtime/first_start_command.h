// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the scripts of a minimal first start are run in a container, and what it answers.  Pure.

#include <string>
#include <string_view>
#include <vector>

#include "node/runtime/runtime_spec.h"

namespace bramble::node {

inline constexpr char kFirstStartDirectory[] = "/var/lib/bramble/first-start";
inline constexpr char kFirstStartLog[] = "/var/log/bramble-first-start.log";
// So long the command waits for the scripts; they go on after that.
inline constexpr int kFirstStartSeconds = 3600;
inline constexpr size_t kMaxFirstStartAnswer = 64;

// A shell's: runs them if nobody has, or waits for whoever does, and prints what became of them.
// May be killed and given again: the scripts run on, in a session of their own.
std::vector<std::string> FirstStartCommand();

// What it printed.  Whatever the container's own programs make of it, it is one of the states.
FirstStart ParseFirstStart(std::string_view printed);

// What the file `ended` holds; nullopt: not what the command writes.
std::optional<int> ParseExitCode(std::string_view text);

}  // namespace bramble::node
