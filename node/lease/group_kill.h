// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bramble::node {

// Sends SIGKILL to every process in the cgroup `directory` and below it, and gives how many.  One
// that is not there has none.  Reads at most kMaxGroups groups; a container's init takes all of its
// own along, so that what is missed is not missed for long.  Uses nothing but system calls.
//
// Source: cgroups(7), cgroup.procs.
inline constexpr int kMaxGroups = 256;
int KillGroup(const char* directory);

}  // namespace bramble::node
