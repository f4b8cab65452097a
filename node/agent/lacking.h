// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a container runs without, told to people.  Pure.

#include <string>
#include <vector>

#include "api/condition.h"

namespace bramble::node {

// One condition for each word of RuntimeContainer::degraded.  A word of a later runtime is told as
// it is.
std::vector<api::Condition> ConditionsOfLacking(const std::vector<std::string>& lacking);

}  // namespace bramble::node
