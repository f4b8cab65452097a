// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/bramble/command.h"

namespace bramble::cli {

// `bramble --help`: every object with its verbs.
std::string OverviewHelp(const std::vector<Command>& commands);
// `bramble node --help`; "" when there is no such object.
std::string ObjectHelp(std::string_view object, const std::vector<Command>& commands);
// `bramble node drain --help`.
std::string CommandHelp(const Command& command);

}  // namespace bramble::cli
