// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/lxc_monitor.h"

#include <fcntl.h>
#include <lxc/lxccontainer.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "node/runtime/cgroups.h"
#include "node/runtime/runtime_spec_json.h"

#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr int kPollUs = 100;
constexpr size_t kMaxLogBytes = 1 << 20;
constexpr int kExitSetUp = 3;
constexpr int kExitStart = 4;

// liblxc looks for newuidmap in PATH and, when it finds it, wants root's ranges in /etc/subuid; a
// process with CAP_SETUID needs no such helper.
constexpr char kNoPath[] = "/nonexistent";

void ResetSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) {
    if (number != SIGKILL && number != SIGSTOP) {
      signal(number, SIG_DFL);  // an ignored signal would stay ignored in the container
    }
  }
}

// Nothing of the caller's reaches the container: no descriptor, session, signal or environment.
bool BecomeDaemon() {
  setsid();
  ResetSignals();
  prctl(PR_SET_PDEATHSIG, 0);
  prctl(PR_SET_NAME, "bramble-monitor");
  close_range(3, ~0U, 0);
  const int null = open("/dev/null", O_RDWR);
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
    return false;
  }
  if (null > 2) {
    close(null);
  }
  umask(022);
  clearenv();
  setenv("PATH", kNoPath, 1);
  return chdir("/") == 0;
}

// What liblxc's `error_num` says: see signal_handler() of its start.c.
RuntimeExit ExitOf(int error_num) {
  RuntimeExit exit;
  if ((error_num & 0x7f) == 0x7f) {
    exit.signal = (error_num >> 8) & 0x7f;
  } else {
    exit.code = (error_num >> 8) & 0xff;
  }
  return exit;
}

void WriteExit(const MonitorSpec& spec, const RuntimeExit& exit) {
  const std::string path = spec.paths.Exit(spec.id).string();
  const std::string fresh = path + ".new";
  auto file = OpenFile(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (file.ok() && WriteAll(file->get(), json::serialize(ToJson(exit)), fresh).ok()) {
    rename(fresh.c_str(), path.c_str());
  }
}

// liblxc leaves the monitor's group behind, since the monitor is still in it.
void LeaveCgroups(const MonitorSpec& spec) {
  for (const CgroupHierarchy& hierarchy : spec.cgroups.hierarchies) {
    const std::string pivot =
        CgroupLayout::Directory(hierarchy, spec.cgroup_root + "/lxc.pivot/cgroup.procs");
    const absl::Status moved = WriteToExisting(pivot, "0");
    if (!moved.ok()) {
      continue;  // the next start or delete removes the groups
    }
    for (const std::string& group :
         {ContainerCgroup(spec.cgroup_root, spec.id), MonitorCgroup(spec.cgroup_root, spec.id)}) {
      rmdir(CgroupLayout::Directory(hierarchy, group).c_str());
    }
  }
}

[[noreturn]] void RunMonitor(const MonitorSpec& spec) {
  // Before the descriptors are closed: our copy of the lock keeps others away until they can see
  // us.
  Running running = spec.running;
  running.monitor_pid = getpid();
  running.monitor_start_ticks = ProcessStartTicks(running.monitor_pid);
  if (!WriteRunning(spec.paths, spec.id, running).ok() || !BecomeDaemon()) {
    _exit(kExitSetUp);
  }
  malloc_trim(0);  // the verb's; there is a monitor for each container, as long as it runs
  lxc_container* container = lxc_container_new(spec.paths.LxcName(spec.id).c_str(), kLxcPath);
  if (container == nullptr) {
    _exit(kExitSetUp);
  }
  container->clear_config(container);
  for (const LxcItem& item : spec.config) {
    if (!container->set_config_item(container, item.key.c_str(), item.value.c_str())) {
      _exit(kExitSetUp);
    }
  }
  container->want_daemonize(container, false);
  const bool started = container->start(container, 0, nullptr);
  const int error_num = container->error_num;
  lxc_container_put(container);
  if (started) {
    WriteExit(spec, ExitOf(error_num));
  }
  LeaveCgroups(spec);
  unlink(spec.paths.Run(spec.id).c_str());
  _exit(started ? 0 : kExitStart);
}

// The first errors of liblxc's log, in one line.
std::string ReadErrors(const RuntimePaths& paths, const ContainerId& id) {
  const auto text = ReadFile(paths.ErrorLog(id), kMaxLogBytes);
  if (!text.ok()) {
    return "";
  }
  std::string errors;
  int count = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    // "lxc ID 20261121045446.180 ERROR    conf - ../src/lxc/conf.c:lxc_map_ids:3708 - message"
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(" - ", 2));
    if (parts.size() == 3 && count < 3) {
      errors += StrCat(count++ == 0 ? "" : "; ", parts[2].substr(0, 300));
    }
  }
  return errors;
}

absl::Status StartError(const MonitorSpec& spec, int exit_code) {
  const std::string errors = ReadErrors(spec.paths, spec.id);
  const std::string text = StrCat(
      "container ", spec.id.str(),
      ": cannot start: ", errors.empty() ? StrCat("its monitor ended with ", exit_code) : errors);
  if (errors.find("No space left") != std::string::npos ||
      errors.find("Cannot allocate memory") != std::string::npos) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::InternalError(text);
}

std::string LinkOf(pid_t pid, const char* link) {
  char buffer[4096];
  const ssize_t n = readlink(StrCat("/proc/", pid, "/", link).c_str(), buffer, sizeof(buffer));
  return std::string(buffer, n > 0 ? static_cast<size_t>(n) : 0);
}

// Whether the monitor's child `pid` is the container's process 1 and has become another program
// than the monitor: then all that liblxc does before init is done, since init waits for it.  A
// program that liblxc runs on the way is in the monitor's own PID namespace.
bool HasStartedInit(pid_t pid, pid_t monitor) {
  const std::string exe = LinkOf(pid, "exe");
  const std::string space = LinkOf(pid, "ns/pid");
  return !exe.empty() && exe != LinkOf(monitor, "exe") && !space.empty() &&
         space != LinkOf(monitor, "ns/pid");
}

void AwaitNextPoll() {
  const timespec step = {0, kPollUs * 1000};
  nanosleep(&step, nullptr);
}

}  // namespace

absl::StatusOr<std::string> LxcMountPoint() {
  struct stat info = {};
  if (stat(BRAMBLE_LXC_ROOTFS, &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(
        StrCat(BRAMBLE_LXC_ROOTFS, ": not there: is liblxc-common installed?"));
  }
  return std::string(BRAMBLE_LXC_ROOTFS);
}

absl::StatusOr<Running> StartMonitor(const MonitorSpec& spec, int deadline_ms,
                                     const std::function<void()>& meanwhile) {
  const pid_t monitor = fork();
  if (monitor < 0) {
    return absl::ResourceExhaustedError(StrCat("fork: ", strerror(errno)));
  }
  if (monitor == 0) {
    RunMonitor(spec);
  }
  // The kernel may wake us 50 us late otherwise.  Not before the fork: a container would inherit
  // it.
  prctl(PR_SET_TIMERSLACK, 1);
  meanwhile();
  for (int64_t waited_us = 0; waited_us < int64_t{deadline_ms} * 1000; waited_us += kPollUs) {
    int status = 0;
    if (waitpid(monitor, &status, WNOHANG) == monitor) {
      return StartError(spec, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    const pid_t init = FirstChild(monitor);
    if (init > 0 && HasStartedInit(init, monitor)) {
      Running running = spec.running;
      running.monitor_pid = monitor;
      running.monitor_start_ticks = ProcessStartTicks(monitor);
      running.init_pid = init;
      running.init_start_ticks = ProcessStartTicks(init);
      BRAMBLE_RETURN_IF_ERROR(WriteRunning(spec.paths, spec.id, running));
      return running;
    }
    AwaitNextPoll();
  }
  kill(monitor, SIGKILL);
  while (waitpid(monitor, nullptr, 0) < 0 && errno == EINTR) {
  }
  return absl::DeadlineExceededError(StrCat("container ", spec.id.str(), ": not started within ",
                                            deadline_ms, " ms: ", ReadErrors(spec.paths, spec.id)));
}

std::optional<Running> AwaitInit(const RuntimePaths& paths, const ContainerId& id,
                                 int deadline_ms) {
  for (int64_t waited_us = 0; waited_us < int64_t{deadline_ms} * 1000; waited_us += kPollUs) {
    std::optional<Running> running = FindRunning(paths, id);
    if (!running.has_value()) {
      return std::nullopt;
    }
    if (running->init_pid > 0 && HasStartedInit(running->init_pid, running->monitor_pid)) {
      return running;
    }
    AwaitNextPoll();
  }
  return FindRunning(paths, id);
}

}  // namespace bramble::node
