// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where this machine keeps each cgroup controller (v2, v1 or both), and what a container's limits
// are in its files.  Pure: the texts of /proc and /sys come from the caller.

#include <string>
#include <string_view>
#include <vector>

#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct CgroupHierarchy {
  bool unified = false;                  // cgroup v2
  std::string mount;                     // "/sys/fs/cgroup/memory"
  std::string base;                      // of process 1, below the mount: "" or "/a/b"
  std::vector<std::string> controllers;  // "cpu", "memory", …; empty: for naming only

  friend bool operator==(const CgroupHierarchy&, const CgroupHierarchy&) = default;
};

struct CgroupLayout {
  std::vector<CgroupHierarchy> hierarchies;

  // The hierarchy that has `controller`, or nullptr.
  const CgroupHierarchy* Find(std::string_view controller) const;
  // The hierarchy that tells best which processes a group has; nullptr: there is none at all.
  const CgroupHierarchy* ForProcesses() const;
  // The directory of `group` ("bramble/ID") in the hierarchy.
  static std::string Directory(const CgroupHierarchy& hierarchy, std::string_view group);
};

// `mountinfo` is /proc/self/mountinfo, `pid1_cgroup` /proc/1/cgroup, `v2_controllers` the file
// cgroup.controllers of the v2 mount (empty: none).
// liblxc puts its groups below those of process 1, less systemd's "init.scope".
// kFailedPrecondition: no cgroup is mounted.  Source: cgroups(7), proc_pid_mountinfo(5).
absl::StatusOr<CgroupLayout> ParseCgroupLayout(std::string_view mountinfo,
                                               std::string_view pid1_cgroup,
                                               std::string_view v2_controllers);

// One file of a controller.
struct CgroupSetting {
  std::string controller;
  bool unified = false;
  std::string file;       // "memory.max"
  std::string value;      // "67108864"
  bool optional = false;  // not every kernel has it

  friend bool operator==(const CgroupSetting&, const CgroupSetting&) = default;
};

// In the order in which they can be written to a fresh group.  A controller that is missing is
// named in `missing`, when a limit needs it.
std::vector<CgroupSetting> CgroupSettingsFor(const RuntimeLimits& limits,
                                             const CgroupLayout& layout,
                                             std::vector<std::string>& missing);

// cgroup v1's cpu.shares for v2's cpu.weight: 100 is 1024.
int64_t CpuSharesFor(int64_t weight);

}  // namespace bramble::node
