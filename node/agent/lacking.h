// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a container runs without, and what became of its first start, told to people.  Pure.

#include <string>
#include <vector>

#include "api/condition.h"
#include "node/runtime/runtime_spec.h"

namespace bramble::node {

// One condition for each word of RuntimeContainer::degraded.  A word of a later runtime is told as
// it is.
std::vector<api::Condition> ConditionsOfLacking(const std::vector<std::string>& lacking);

// "first-start": how its scripts fare; "context-unused": what its image cannot use.
std::vector<api::Condition> ConditionsOfFirstStart(const FirstStart& first,
                                                   const std::vector<std::string>& unused);

}  // namespace bramble::node
