// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tools/bramble/command.h"
#include "tools/bramble/output.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

const Resource& ContainerResource();

// The flags that say what a container is and where it may go: of run, create and plan.
std::vector<Flag> ContainerSpecFlags();
// The flags of `limits` among them.
std::vector<Flag> LimitFlags();

// The body of POST /v1/containers that `args` describe, with only what was given.
absl::StatusOr<json::object> ContainerBody(const Args& args, std::string_view name);
// Those of the network: security groups and bandwidth.
std::vector<Flag> NetworkFlags();
// Puts what the flags of NetworkFlags() say into `body`.
absl::Status AddNetwork(const Args& args, json::object& body);
// Puts what the flags of LimitFlags() say into `body`.
absl::Status AddLimits(const Args& args, json::object& body);

}  // namespace bramble::cli
