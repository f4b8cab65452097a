// SPDX-License-Identifier: Apache-2.0
#pragma once

// The process that stays with a running container: liblxc's monitor, a fork of the bramble-runtime
// that started it, in the mount namespace with the container's root.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "node/runtime/cgroup_layout.h"
#include "node/runtime/container_record.h"
#include "node/runtime/lxc_config.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// A directory that exists wherever liblxc does, that every user may pass, to mount a root on.
absl::StatusOr<std::string> LxcMountPoint();

struct MonitorSpec {
  RuntimePaths paths;
  ContainerId id;
  std::string cgroup_root;
  std::vector<LxcItem> config;
  CgroupLayout cgroups;
  Running running;  // halt_signal and started_at_ms count
};

// Forks the monitor and waits until the container's init runs, `deadline_ms` at most.  The error is
// what liblxc logged.  On success both processes are in the result, and in RUN/runtime/ID.run.
// `meanwhile` runs once, while liblxc works.
absl::StatusOr<Running> StartMonitor(const MonitorSpec& spec, int deadline_ms,
                                     const std::function<void()>& meanwhile);

// Of a container that runs, or whose monitor is still starting it since the bramble-runtime that
// waited for it was killed: waits for its init, and gives both.  nullopt: it does not run (any
// more).
std::optional<Running> AwaitInit(const RuntimePaths& paths, const ContainerId& id, int deadline_ms);

}  // namespace bramble::node
