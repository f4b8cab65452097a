// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/asio.h"
#include "base/subprocess.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// Runs one of iproute2's programs and its like, for at most ten seconds; gives its output.
asio::awaitable<absl::StatusOr<std::string>> RunIp(std::vector<std::string> argv,
                                                   std::string input);

}  // namespace bramble::node
