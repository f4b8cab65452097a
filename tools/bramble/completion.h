// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/bramble/command.h"

namespace bramble::cli {

// The script for "bash", "zsh" or "fish"; it asks `bramble __complete` for every word.
std::string_view CompletionScript(std::string_view shell);

// What the word after `words` (without the program's name), so far `typed`, may be.  A single
// kFilesMark: a file.  `names` gives the names of existing objects; it may ask the controller.
inline constexpr std::string_view kFilesMark = ":files";
std::vector<std::string> Candidates(
    const std::vector<Command>& commands, const std::vector<std::string>& words,
    const std::string& typed, const std::function<std::vector<std::string>(Completes what)>& names);

}  // namespace bramble::cli
