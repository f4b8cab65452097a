// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole configuration of a container, as liblxc takes it.  Nothing is left to liblxc's own
// files: devices, capabilities and seccomp are written in full, since LXC's userns.conf empties
// the first two.  Pure.
//
// no_new_privs stays off: a system container needs setuid programs (sudo, ping) inside, and they
// gain nothing outside, since every container is unprivileged.

#include <string>
#include <vector>

#include "node/runtime/cgroup_layout.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct LxcItem {
  std::string key;
  std::string value;
  friend bool operator==(const LxcItem&, const LxcItem&) = default;
};

// What the configuration needs to know beside the spec.
struct LxcPlace {
  std::string rootfs;           // a directory where the merged tree is mounted
  std::string seccomp_profile;  // a path
  std::string console_log;      // a path; kept to kConsoleLogBytes, twice
  std::string error_log;        // a path
  std::string cgroup_root;      // "bramble": containers are "bramble/ID"
  std::string apparmor;         // a profile that is loaded, or "unconfined"; empty: no AppArmor
};
inline constexpr int64_t kConsoleLogBytes = 512 * 1024;

// The cgroup of a container and that of its monitor, below the hierarchies' bases.
std::string ContainerCgroup(const std::string& cgroup_root, const ContainerId& id);
std::string MonitorCgroup(const std::string& cgroup_root, const ContainerId& id);

// kInvalidArgument: a value with a control character, or that is none of its kind.
absl::StatusOr<std::vector<LxcItem>> LxcConfigFor(const RuntimeSpec& spec, const LxcPlace& place,
                                                  const CgroupLayout& layout);

}  // namespace bramble::node
