// SPDX-License-Identifier: Apache-2.0
#pragma once

// What bramble-runtime does, one function a verb.  Each runs in a process of its own, as root, and
// may be killed at any moment: the next start or delete cleans up what it left.
//
//   verb       request                                    result
//   start      {"spec": RuntimeSpec}                      RuntimeContainer
//   stop       {"id", "grace_ms"}                         {}
//   freeze, unfreeze, delete   {"id"}                     {}
//   adjust, rebuild            {"spec"}                   {}
//   list       {}                                         {"containers": [RuntimeContainer]}
//   usage      {}                                         {"usage": [RuntimeUsage]}
//   exit       {"id"}                                     RuntimeExit, or {} when not known
//   exec       {"id", "argv", "environment", "user", "cwd", "terminal"}   {"exit_code"}
//   console    {"id"}                                     {"exit_code"}
//   log        {"id", "tail_lines", "follow"}             {}
//   push       {"id", "path", "tree", "mode", "uid"?, "gid"?, "size_bytes"?}   {}
//   pull       {"id", "path", "tree"}                     {"size_bytes"}
//   export     {"id"}                                     {"entries", "bytes", "sha256"}
//   import     {"spec"}                                   {"entries", "bytes", "sha256"}

#include <string>

#include "base/json.h"
#include "node/runtime/cgroup_layout.h"
#include "node/runtime/container_record.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct RuntimeSettings {
  RuntimePaths paths;
  std::string cgroup_root = "bramble";
  std::string seccomp_profile;
  int result_fd = 1;
};

using VerbResult = absl::StatusOr<json::value>;

VerbResult StartVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult StopVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult FreezeVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult UnfreezeVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult AdjustVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult RebuildVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult DeleteVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult ListVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult UsageVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult ExitVerb(const RuntimeSettings& settings, const json::value& request);
// Without "size_bytes" what is pushed comes in pieces, each after its length (4 bytes, lowest
// first); the length 0 is the end.
// These use standard input and output for what they carry; their results go elsewhere, and before
// them, when nothing more is in the way, the line {"started": true}.
VerbResult ExecVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult ConsoleVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult LogVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult PushVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult PullVerb(const RuntimeSettings& settings, const json::value& request);
// The writable layer of a container that does not run, as node/layers has it.  Import: of the move
// `spec.layer_move`; kAlreadyExists: it is here.  The container is there only when all of its layer
// is, verified and on the disk.
VerbResult ExportVerb(const RuntimeSettings& settings, const json::value& request);
VerbResult ImportVerb(const RuntimeSettings& settings, const json::value& request);

// ---- what verbs share

absl::Status TellStarted(const RuntimeSettings& settings);

absl::StatusOr<ContainerId> IdOf(const json::value& request);
absl::StatusOr<RuntimeSpec> SpecOf(const json::value& request);

// The container's directory, made when there is none.
absl::StatusOr<Fd> OpenContainerDirectory(const RuntimePaths& paths, const ContainerId& id);

// Ends what runs of the container (asking init first when `grace_ms` is not 0) and removes what it
// leaves in the kernel.  The caller has the lock.
absl::Status EndContainer(const RuntimeSettings& settings, const ContainerId& id, int64_t grace_ms);
// Removes the cgroups and the host's end of the veth of a container that does not run.
absl::Status CleanUpKernel(const RuntimeSettings& settings, const CgroupLayout& layout,
                           const ContainerId& id, const std::string& host_interface);
// As AdjustVerb; the caller has the lock.
absl::Status AdjustLocked(const RuntimeSettings& settings, const RuntimeSpec& spec);
RuntimeContainer Observe(const RuntimeSettings& settings, const ContainerRecord& record,
                         const absl::StatusOr<CgroupLayout>& layout);

}  // namespace bramble::node
