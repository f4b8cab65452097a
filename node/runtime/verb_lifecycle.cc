// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "node/runtime/cgroups.h"
#include "node/runtime/lxc_config.h"
#include "node/runtime/network_link.h"
#include "node/runtime/remove_tree.h"
#include "node/runtime/runtime_spec_json.h"
#include "node/runtime/runtime_verbs.h"
#include "node/runtime/writable_layer.h"

namespace bramble::node {
namespace {

constexpr int64_t kMaxGraceMs = 86'400'000;
constexpr int64_t kYoungMs = 10'000;
constexpr int64_t kAskAgainMs = 500;
constexpr int kKillWaitMs = 10'000;
constexpr int kMonitorWaitMs = 3'000;
constexpr size_t kMaxExitBytes = 4096;
constexpr char kLxcLocks[] = "/run/lxc/lock";  // liblxc leaves a file per container there

// A process that is certainly the one with these start ticks, whatever becomes of its pid.
Fd OpenProcess(pid_t pid, uint64_t start_ticks) {
  if (pid <= 0) {
    return Fd();
  }
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return ProcessStartTicks(pid) == start_ticks ? std::move(pidfd) : Fd();
}

void Signal(const Fd& process, int signal) {
  if (process.valid()) {
    syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
  }
}

// Whether the process ended within `ms`.
bool WaitForEnd(const Fd& process, int64_t ms) {
  if (!process.valid()) {
    return true;
  }
  pollfd ready = {process.get(), POLLIN, 0};
  int result = 0;
  do {
    result = poll(&ready, 1, static_cast<int>(std::min<int64_t>(ms, INT32_MAX)));
  } while (result < 0 && errno == EINTR);
  return result > 0;
}

int64_t AgeMs(uint64_t start_ticks) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const int64_t started_ms = static_cast<int64_t>(start_ticks) * 1000 / sysconf(_SC_CLK_TCK);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000 - started_ms;
}

// Asks init to end, and tells whether it did within `grace_ms`.
bool HaltInit(const Fd& init, const Running& running, int64_t grace_ms) {
  int64_t left = grace_ms;
  while (left > 0) {
    if (running.halt_signal > 0) {
      Signal(init, running.halt_signal);
    }
    // One that has just been started may not listen yet, and the kernel drops what an init has no
    // handler for (pid_namespaces(7)).  Later it is asked once: some take a second request as an
    // order to drop everything.
    const bool young = AgeMs(running.init_start_ticks) < kYoungMs;
    const int64_t step = young ? std::min(left, kAskAgainMs) : left;
    if (WaitForEnd(init, step)) {
      return true;
    }
    left -= step;
  }
  return false;
}

std::string Group(const RuntimeSettings& settings, const ContainerId& id) {
  return ContainerCgroup(settings.cgroup_root, id);
}

absl::StatusOr<json::value> SetFrozenVerb(const RuntimeSettings& settings,
                                          const json::value& request, bool frozen) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, id));
  if (!FindRunning(settings.paths, id).has_value()) {
    return absl::FailedPreconditionError(StrCat("container ", id.str(), ": does not run"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const CgroupLayout layout, ReadCgroupLayout());
  if (IsFrozen(layout, Group(settings, id)) != frozen) {
    BRAMBLE_RETURN_IF_ERROR(SetFrozen(layout, Group(settings, id), frozen));
  }
  return json::object();
}

absl::Status RemoveDeleted(const RuntimePaths& paths, int containers, const ContainerId& id) {
  const std::string hidden = StrCat(kDeletedPrefix, id.str());
  const auto remove_hidden = [&]() -> absl::Status {
    const absl::Status removed = RemoveTree(containers, hidden);
    return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
  };
  BRAMBLE_RETURN_IF_ERROR(remove_hidden());
  if (renameat(containers, id.str().c_str(), containers, hidden.c_str()) != 0) {
    if (errno != ENOENT) {
      return absl::InternalError(StrCat(paths.Container(id).string(), ": ", strerror(errno)));
    }
    return absl::OkStatus();
  }
  return remove_hidden();
}

// Its first start or its import was cut off: it is no container, but may hold a part of a layer.
// One that is being made now is left alone.
void RemoveCutOff(const RuntimePaths& paths, const ContainerId& id) {
  const auto lock = OpenFile(paths.Lock(id), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  const auto containers = OpenDirectory(paths.Containers());
  if (lock.ok() && containers.ok() && flock(lock->get(), LOCK_EX | LOCK_NB) == 0 &&
      absl::IsNotFound(ReadRecord(paths, id).status())) {
    (void)RemoveDeleted(paths, containers->get(), id);  // the next start or import tries again
  }
}

}  // namespace

absl::Status TellStarted(const RuntimeSettings& settings) {
  return WriteAll(settings.result_fd, "{\"started\":true}\n", "result");
}

absl::StatusOr<ContainerId> IdOf(const json::value& request) {
  JsonObjectReader reader(request, "request");
  const ContainerId id = reader.Parsed<ContainerId>("id");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return id;
}

absl::StatusOr<RuntimeSpec> SpecOf(const json::value& request) {
  JsonObjectReader reader(request, "request");
  const json::value* spec = reader.Find("spec");
  if (spec == nullptr) {
    reader.Fail("spec", "missing");
    return reader.Finish();
  }
  return RuntimeSpecFromJson(*spec, "request.spec");
}

absl::Status CleanUpKernel(const RuntimeSettings& settings, const CgroupLayout& layout,
                           const ContainerId& id, const std::string& host_interface) {
  BRAMBLE_RETURN_IF_ERROR(RemoveGroup(layout, Group(settings, id)));
  BRAMBLE_RETURN_IF_ERROR(RemoveGroup(layout, MonitorCgroup(settings.cgroup_root, id)));
  if (!host_interface.empty() && if_nametoindex(host_interface.c_str()) != 0) {
    return DeleteLink(host_interface);
  }
  return absl::OkStatus();
}

absl::Status EndContainer(const RuntimeSettings& settings, const ContainerId& id,
                          int64_t grace_ms) {
  BRAMBLE_ASSIGN_OR_RETURN(const CgroupLayout layout, ReadCgroupLayout());
  const std::optional<Running> running = FindRunning(settings.paths, id);
  if (running.has_value()) {
    const Fd monitor = OpenProcess(running->monitor_pid, running->monitor_start_ticks);
    const Fd init = OpenProcess(running->init_pid, running->init_start_ticks);
    if (IsFrozen(layout, Group(settings, id))) {
      BRAMBLE_RETURN_IF_ERROR(SetFrozen(layout, Group(settings, id), false));
    }
    if (grace_ms <= 0 || !HaltInit(init, *running, grace_ms)) {
      Signal(init, SIGKILL);  // and with it everything in its pid namespace
    }
    if (!init.valid()) {
      Signal(monitor, SIGKILL);  // it has not got as far as a container
    }
    if (!WaitForEnd(init, kKillWaitMs)) {
      return absl::DeadlineExceededError(StrCat("container ", id.str(), ": its init, process ",
                                                running->init_pid,
                                                ", does not die: it is stuck in the kernel"));
    }
    if (!WaitForEnd(monitor, kMonitorWaitMs)) {
      Signal(monitor, SIGKILL);
      WaitForEnd(monitor, kMonitorWaitMs);
    }
  }
  const auto record = ReadRecord(settings.paths, id);
  const bool has_nic = record.ok() && record->spec.nic.has_value();
  BRAMBLE_RETURN_IF_ERROR(
      CleanUpKernel(settings, layout, id, has_nic ? record->spec.nic->host_interface : ""));
  unlink(settings.paths.Run(id).c_str());
  return absl::OkStatus();
}

RuntimeContainer Observe(const RuntimeSettings& settings, const ContainerRecord& record,
                         const absl::StatusOr<CgroupLayout>& layout) {
  RuntimeContainer container;
  container.spec = record.spec;
  container.disk_mode = record.disk_mode;
  container.degraded = record.degraded;
  container.first_start = record.first_start;
  container.unused_context = record.unused_context;
  const std::optional<Running> running = FindRunning(settings.paths, record.spec.id);
  if (!running.has_value()) {
    return container;
  }
  container.state = RuntimeState::kRunning;
  container.init_pid = running->init_pid;
  container.init_start_ticks = running->init_start_ticks;
  container.monitor_pid = running->monitor_pid;
  container.monitor_start_ticks = running->monitor_start_ticks;
  container.started_at = WallTime(std::chrono::milliseconds(running->started_at_ms));
  if (layout.ok() && IsFrozen(*layout, Group(settings, record.spec.id))) {
    container.state = RuntimeState::kFrozen;
  }
  return container;
}

VerbResult StopVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  JsonObjectReader reader(request, "request");
  const int64_t grace_ms = reader.Int("grace_ms", {.min = 0, .max = kMaxGraceMs});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, id));
  BRAMBLE_RETURN_IF_ERROR(EndContainer(settings, id, grace_ms));
  return json::object();
}

VerbResult FreezeVerb(const RuntimeSettings& settings, const json::value& request) {
  return SetFrozenVerb(settings, request, true);
}

VerbResult UnfreezeVerb(const RuntimeSettings& settings, const json::value& request) {
  return SetFrozenVerb(settings, request, false);
}

absl::Status AdjustLocked(const RuntimeSettings& settings, const RuntimeSpec& spec) {
  BRAMBLE_ASSIGN_OR_RETURN(ContainerRecord record, ReadRecord(settings.paths, spec.id));
  const ContainerRecord before = record;
  record.spec = spec;
  record.degraded.clear();
  if (std::find(before.degraded.begin(), before.degraded.end(), "apparmor") !=
      before.degraded.end()) {
    record.degraded.push_back("apparmor");
  }
  if (FindRunning(settings.paths, spec.id).has_value()) {
    BRAMBLE_ASSIGN_OR_RETURN(const CgroupLayout layout, ReadCgroupLayout());
    const absl::Status applied =
        ApplyLimits(layout, Group(settings, spec.id), spec.limits, record.degraded);
    if (!applied.ok()) {
      std::vector<std::string> ignored;
      const absl::Status restored =
          ApplyLimits(layout, Group(settings, spec.id), before.spec.limits, ignored);
      return absl::Status(applied.code(),
                          StrCat("container ", spec.id.str(), ": ", MessageOf(applied),
                                 restored.ok() ? "" : "; its old limits are not back either"));
    }
    BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenDirectory(settings.paths.Container(spec.id)));
    BRAMBLE_RETURN_IF_ERROR(ResizeRunningLayer(directory.get(), record));
  }
  return record == before ? absl::OkStatus() : WriteRecord(settings.paths, record);
}

VerbResult AdjustVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const RuntimeSpec spec, SpecOf(request));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, spec.id));
  BRAMBLE_RETURN_IF_ERROR(AdjustLocked(settings, spec));
  return json::object();
}

VerbResult RebuildVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const RuntimeSpec spec, SpecOf(request));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, spec.id));
  if (FindRunning(settings.paths, spec.id).has_value()) {
    return absl::FailedPreconditionError(
        StrCat("container ", spec.id.str(), ": runs: stop it before it is rebuilt"));
  }
  auto directory = OpenDirectory(settings.paths.Container(spec.id));
  if (!directory.ok()) {
    return absl::IsNotFound(directory.status()) ? VerbResult(json::object())
                                                : VerbResult(directory.status());
  }
  // Without a layer first: a cut between the two makes the next start make a new one.
  BRAMBLE_RETURN_IF_ERROR(RemoveLayer(directory->get()));
  ContainerRecord record;
  record.spec = spec;
  record.layer_rebuild_count = spec.rebuild_count;
  record.layer_image = spec.image_digest;
  record.layer_ids = spec.ids;
  BRAMBLE_RETURN_IF_ERROR(WriteRecord(settings.paths, record));
  return json::object();
}

VerbResult DeleteVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, LockContainer(settings.paths, id));
  BRAMBLE_RETURN_IF_ERROR(EndContainer(settings, id, 0));
  auto containers = OpenDirectory(settings.paths.Containers());
  if (containers.ok()) {
    BRAMBLE_RETURN_IF_ERROR(RemoveDeleted(settings.paths, containers->get(), id));
  } else if (!absl::IsNotFound(containers.status())) {
    return containers.status();
  }
  const std::string lxc_lock = StrCat(kLxcLocks, kLxcPath, "/.", settings.paths.LxcName(id));
  for (const std::filesystem::path& path :
       {settings.paths.Exit(id), settings.paths.ErrorLog(id), settings.paths.Console(id),
        settings.paths.Lock(id), std::filesystem::path(lxc_lock)}) {
    unlink(path.c_str());
  }
  return json::object();
}

VerbResult ListVerb(const RuntimeSettings& settings, const json::value&) {
  std::vector<std::string> names;
  if (DIR* dir = opendir(settings.paths.Containers().c_str()); dir != nullptr) {
    while (const dirent* entry = readdir(dir)) {
      if (CheckId("container id", entry->d_name).ok()) {
        names.push_back(entry->d_name);
      }
    }
    closedir(dir);
  }
  std::sort(names.begin(), names.end());
  const absl::StatusOr<CgroupLayout> layout = ReadCgroupLayout();
  json::array containers;
  for (const std::string& name : names) {
    const ContainerId id = ContainerId::Trusted(name);
    AwaitQuiet(settings.paths, id);
    const auto record = ReadRecord(settings.paths, id);
    if (absl::IsNotFound(record.status())) {
      RemoveCutOff(settings.paths, id);
      continue;
    }
    ContainerRecord broken;
    broken.spec.id = id;
    RuntimeContainer container = Observe(settings, record.ok() ? *record : broken, layout);
    container.broken = record.ok() ? "" : std::string(MessageOf(record.status()));
    containers.push_back(ToJson(container));
  }
  return json::object{{"containers", std::move(containers)}};
}

VerbResult UsageVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value list, ListVerb(settings, request));
  BRAMBLE_ASSIGN_OR_RETURN(const CgroupLayout layout, ReadCgroupLayout());
  json::array usages;
  for (const json::value& value : list.at("containers").as_array()) {
    BRAMBLE_ASSIGN_OR_RETURN(const RuntimeContainer container,
                             RuntimeContainerFromJson(value, "container"));
    if (container.state == RuntimeState::kStopped) {
      continue;
    }
    RuntimeUsage usage = ReadUsage(layout, Group(settings, container.spec.id));
    usage.id = container.spec.id;
    usages.push_back(ToJson(usage));
  }
  return json::object{{"usage", std::move(usages)}};
}

VerbResult ExitVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  const auto text = ReadFile(settings.paths.Exit(id), kMaxExitBytes);
  if (absl::IsNotFound(text.status())) {
    return json::object();
  }
  BRAMBLE_RETURN_IF_ERROR(text.status());
  BRAMBLE_ASSIGN_OR_RETURN(json::value exit, ParseJson(*text));
  return exit;
}

}  // namespace bramble::node
