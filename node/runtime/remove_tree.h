// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"

namespace bramble::node {

// Removes the directory `name` of `parent` with all below it, however deep it was made.  Nothing
// else uses it meanwhile.  kNotFound: there is none.
absl::Status RemoveTree(int parent, const std::string& name);

}  // namespace bramble::node
