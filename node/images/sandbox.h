// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/units.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct SandboxOptions {
  int root = -1;          // a directory: becomes "/" and the working directory
  uint32_t first_id = 0;  // of the host; 0 to 65535 inside map to first_id and on
  Bytes max_file{16 * kGiB};
  int64_t cpu_seconds = 3600;
  Bytes max_memory{384 * kMiB};  // of addresses; not under the sanitizers
};

// Runs `work` in a child process that has user, mount, PID, network, IPC and UTS namespaces of its
// own, `options.root` as root directory, ids that mean nothing to the host, no way to gain
// privileges, resource limits, and a system-call filter that refuses to run programs, make
// processes and threads, open sockets, mount, trace or load anything.  Gives what `work` returned,
// at most 64 KiB.
//
// Needs CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID.  Blocks.  Call it from a process with one thread.
// kInternal: the child died; the message says how.
absl::StatusOr<std::string> RunInSandbox(const SandboxOptions& options,
                                         const std::function<std::string()>& work);

}  // namespace bramble::node
