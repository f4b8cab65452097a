// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tools/bramble/command.h"
#include "tools/bramble/session.h"

namespace bramble::cli {

// Does what `words` (argv without the program's name) ask for.  The exit code: 0 done, 1 failed, 2
// misuse; of `container exec`, the command's own.
int RunProgram(const std::vector<std::string>& words, const std::vector<Command>& commands,
               Session& session);

}  // namespace bramble::cli
