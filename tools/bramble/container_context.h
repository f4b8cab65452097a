// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `container run` and `container create` tell the container at its first start: keys, user
// data, variables and secrets, read from files of this machine.

#include <ostream>
#include <vector>

#include "base/json.h"
#include "tools/bramble/command.h"

#include "absl/status/status.h"

namespace bramble::cli {

std::vector<Flag> ContextFlags();

// Puts what the flags of ContextFlags() say into `body`, as its member `context`; none when they
// say nothing.  What is given and not used is said on `talk`.
absl::Status AddContext(const Args& args, std::ostream& talk, json::object& body);

}  // namespace bramble::cli
