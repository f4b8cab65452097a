// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "node/runtime/cgroup_layout.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// Where the cgroups of this machine are mounted: reads /proc and the mounts themselves.
absl::StatusOr<CgroupLayout> ReadCgroupLayout();

}  // namespace bramble::node
