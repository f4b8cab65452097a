// SPDX-License-Identifier: Apache-2.0
#include "node/images/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/fd.h"
#include "base/status.h"
#include "base/strings.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxResultBytes = 64 * 1024;
constexpr uint32_t kIdCount = 65536;

// What nobody needs who unpacks an archive.  mknod stays: it makes FIFOs, and no device inside a
// user namespace.  Names that this kernel or architecture lacks are left
// out by libseccomp.
constexpr auto kRefusedCalls = std::to_array<const char*>({
    "execve",
    "execveat",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "socket",
    "socketpair",
    "connect",
    "bind",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "mount",
    "umount2",
    "pivot_root",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "chroot",
    "unshare",
    "setns",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "open_by_handle_at",
    "name_to_handle_at",
    "io_uring_setup",
    "io_uring_enter",
    "swapon",
    "reboot",
    "settimeofday",
    "clock_settime",
    "acct",
    "quotactl",
    "syslog",
});

[[noreturn]] void Die(int fd, std::string_view step) {
  const std::string text = StrCat("E", step, ": ", std::strerror(errno));
  [[maybe_unused]] const ssize_t wrote = ::write(fd, text.data(), text.size());
  ::_exit(1);
}

void SetLimit(int result, __rlimit_resource resource, rlim_t value) {
  const rlimit limit{value, value};
  if (::setrlimit(resource, &limit) != 0) {
    Die(result, "set a resource limit");
  }
}

void FilterSystemCalls(int result) {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) {
    Die(result, "make a system call filter");
  }
  for (const char* name : kRefusedCalls) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number != __NR_SCMP_ERROR) {
      ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
  }
  if (::seccomp_load(filter) != 0) {
    Die(result, "load the system call filter");
  }
  ::seccomp_release(filter);
}

// In the child, once its ids are mapped: root of its own small world, then confined to it.
void Confine(int result, const SandboxOptions& options) {
  if (::setresgid(0, 0, 0) != 0 || ::setgroups(0, nullptr) != 0 || ::setresuid(0, 0, 0) != 0) {
    Die(result, "take the mapped ids");
  }
  if (::fchdir(options.root) != 0 || ::chroot(".") != 0 || ::chdir("/") != 0) {
    Die(result, "enter the tree");
  }
  SetLimit(result, RLIMIT_FSIZE, static_cast<rlim_t>(options.max_file.count));
  SetLimit(result, RLIMIT_CPU, static_cast<rlim_t>(options.cpu_seconds));
  SetLimit(result, RLIMIT_NOFILE, 64);
  SetLimit(result, RLIMIT_CORE, 0);
#if !defined(BRAMBLE_SANITIZED)
  // The sanitizers reserve terabytes of addresses.
  SetLimit(result, RLIMIT_AS, static_cast<rlim_t>(options.max_memory.count));
#endif
  ::umask(0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    Die(result, "give up new privileges");
  }
  FilterSystemCalls(result);
}

absl::Status WriteProc(pid_t pid, const char* file, const std::string& text) {
  const std::string path = StrCat("/proc/", pid, "/", file);
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() ||
      ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, path);
  }
  return absl::OkStatus();
}

absl::Status MapIds(pid_t pid, uint32_t first) {
  const std::string map = StrCat("0 ", first, " ", kIdCount, "\n");
  BRAMBLE_RETURN_IF_ERROR(WriteProc(pid, "uid_map", map));
  return WriteProc(pid, "gid_map", map);
}

absl::StatusOr<std::string> ReadResult(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, "read from the sandbox");
    }
    if (got == 0) {
      return text;
    }
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > kMaxResultBytes) {
      return absl::InternalError("the sandbox says more than it may");
    }
  }
}

absl::StatusOr<std::string> Conclude(const std::string& text, int status) {
  if (text.starts_with('R') && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return text.substr(1);
  }
  if (text.starts_with('E')) {
    return absl::InternalError(StrCat("sandbox: ", text.substr(1)));
  }
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGXFSZ) {
      return absl::ResourceExhaustedError("sandbox: a file beyond the limit");
    }
    return absl::InternalError(StrCat("sandbox: killed by signal ", WTERMSIG(status)));
  }
  return absl::InternalError("sandbox: ended without a result");
}

constexpr int kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

}  // namespace

absl::StatusOr<std::string> RunInSandbox(const SandboxOptions& options,
                                         const std::function<std::string()>& work) {
  std::array<int, 2> result_pipe;
  std::array<int, 2> go_pipe;
  if (::pipe2(result_pipe.data(), O_CLOEXEC) != 0) {
    return ErrnoStatus(errno, "pipe");
  }
  Fd result_read(result_pipe[0]);
  Fd result_write(result_pipe[1]);
  if (::pipe2(go_pipe.data(), O_CLOEXEC) != 0) {
    return ErrnoStatus(errno, "pipe");
  }
  Fd go_read(go_pipe[0]);
  Fd go_write(go_pipe[1]);

  // As fork(2), into the namespaces: no stack of its own, so the child goes on from here.
  const pid_t pid = static_cast<pid_t>(
      ::syscall(SYS_clone, kNamespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid < 0) {
    return ErrnoStatus(errno, "make the sandbox's namespaces");
  }
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    go_write.Reset();
    char go = 0;
    if (::read(go_read.get(), &go, 1) != 1) {
      ::_exit(1);
    }
    Confine(result_write.get(), options);
    const std::string text = StrCat("R", work());
    const bool written =
        ::write(result_write.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(written ? 0 : 1);
  }
  result_write.Reset();
  go_read.Reset();
  absl::Status mapped = MapIds(pid, options.first_id);
  if (mapped.ok() && ::write(go_write.get(), "g", 1) != 1) {
    mapped = ErrnoStatus(errno, "start the sandbox");
  }
  go_write.Reset();
  const absl::StatusOr<std::string> text = ReadResult(result_read.get());
  if (!text.ok()) {
    ::kill(pid, SIGKILL);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  BRAMBLE_RETURN_IF_ERROR(mapped);
  BRAMBLE_RETURN_IF_ERROR(text.status());
  return Conclude(*text, status);
}

}  // namespace bramble::node
