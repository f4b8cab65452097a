// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"

namespace bramble::node {

// Deletes the network interface `name` of this network namespace, by rtnetlink(7).  One that is not
// there is no error.
absl::Status DeleteLink(const std::string& name);

}  // namespace bramble::node
