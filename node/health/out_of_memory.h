// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which containers the kernel has ended processes of, for want of memory.

#include <set>
#include <string>

#include "base/ids.h"
#include "node/health/inventory.h"

namespace bramble::node {

// The running containers whose groups, below `cgroup_root`, count a process that was ended so since
// the container was started.  Reads a small file for each running container.
// Sources: Linux, Documentation/admin-guide/cgroup-v2.rst, memory.events, "oom_kill"; for v1
// memory.oom_control of mm/memcontrol.c.
std::set<ContainerId> ReadOutOfMemory(const KernelRoots& roots, std::string_view cgroup_root);

}  // namespace bramble::node
