// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is kept of a container in files: its record (durable), and who runs it (until the next
// boot).

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "node/runtime/runtime_paths.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// STATE/containers/ID/record.json.
struct ContainerRecord {
  RuntimeSpec spec;
  // What the writable layer was made for.
  uint64_t layer_rebuild_count = 0;
  std::string layer_image;
  IdRange layer_ids;
  std::string layer_move;  // the move that brought it here; empty: it was made here
  std::string disk_mode = kDiskModeNone;
  Bytes disk_size;  // what disk_mode was set up to
  // What the files of GuestFilesFor were last written for.
  std::string guest_files;
  std::vector<std::string> degraded;
  FirstStart first_start;
  std::vector<std::string> unused_context;

  friend bool operator==(const ContainerRecord&, const ContainerRecord&) = default;
};

std::string EncodeRecord(const ContainerRecord& record);
absl::StatusOr<ContainerRecord> DecodeRecord(std::string_view text);

// kNotFound: no such container.  kDataLoss: unreadable.
absl::StatusOr<ContainerRecord> ReadRecord(const RuntimePaths& paths, const ContainerId& id);
absl::Status WriteRecord(const RuntimePaths& paths, const ContainerRecord& record);
// Its two steps: what every process sees from now on; what a power cut does not take back.
absl::Status ReplaceRecord(const RuntimePaths& paths, const ContainerRecord& record);
absl::Status SyncRecord(const RuntimePaths& paths, const ContainerId& id);

// RUN/runtime/ID.run.
struct Running {
  pid_t monitor_pid = 0;
  uint64_t monitor_start_ticks = 0;
  pid_t init_pid = 0;  // 0: not yet
  uint64_t init_start_ticks = 0;
  int64_t started_at_ms = 0;
  int halt_signal = 0;
};

absl::Status WriteRunning(const RuntimePaths& paths, const ContainerId& id, const Running& running);
// Who runs it now; init is looked up anew when it changed.  nullopt: it does not run.
std::optional<Running> FindRunning(const RuntimePaths& paths, const ContainerId& id);

// Field 22 of /proc/PID/stat, or 0 when there is no such process or it is a zombie.
uint64_t ProcessStartTicks(pid_t pid);
// The first child of `pid`, 0 for none.
pid_t FirstChild(pid_t pid);

// The right to change a container, given up when the descriptor closes.
// kUnavailable: another has it, for longer than we wait.
absl::StatusOr<Fd> LockContainer(const RuntimePaths& paths, const ContainerId& id);
// Waits until the container is seen to run or nobody changes it: between the two is one whose start
// goes on though the agent that ordered it is gone.  At most as long as LockContainer.
void AwaitQuiet(const RuntimePaths& paths, const ContainerId& id);

}  // namespace bramble::node
