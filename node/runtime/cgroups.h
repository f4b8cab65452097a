// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cgroups of a container, read and written directly.

#include <string>

#include "node/runtime/cgroup_mounts.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// Writes the limits of a container that runs in `group`, in an order that the kernel takes whether
// they grow or shrink.  kFailedPrecondition: it uses more memory than the new limit.
absl::Status ApplyLimits(const CgroupLayout& layout, const std::string& group,
                         const RuntimeLimits& limits, std::vector<std::string>& degraded);

// Only those limits that not every kernel has; says in `degraded` which it lacks, and for which of
// the others there is no controller.  LxcConfigFor sees to the rest.
absl::Status ApplyOptionalLimits(const CgroupLayout& layout, const std::string& group,
                                 const RuntimeLimits& limits, std::vector<std::string>& degraded);

// Waits until every process of the group stands still, or moves again.
absl::Status SetFrozen(const CgroupLayout& layout, const std::string& group, bool frozen);
bool IsFrozen(const CgroupLayout& layout, const std::string& group);

// Without `id` and `disk`.
RuntimeUsage ReadUsage(const CgroupLayout& layout, const std::string& group);

// Kills what is left in `group` of every hierarchy and removes it with all below.  Groups that are
// not there are no error.
absl::Status RemoveGroup(const CgroupLayout& layout, const std::string& group);

}  // namespace bramble::node
