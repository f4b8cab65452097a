// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/json.h"

namespace bramble::node {

// What `bramble-node status` prints, from the agent's JSON.  Pure.
std::string FormatStatus(const json::value& status);

}  // namespace bramble::node
