// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/user_namespace.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "node/runtime/runtime_spec_json.h"

namespace bramble::node {
namespace {

absl::Status Errno(std::string_view what) {
  return absl::InternalError(StrCat(what, ": ", strerror(errno)));
}

// fork(2) into a new user namespace; glibc has no call for it.
pid_t ForkIntoUserNamespace() {
  return static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

}  // namespace

UserNamespace::UserNamespace(UserNamespace&&) noexcept = default;
UserNamespace& UserNamespace::operator=(UserNamespace&&) noexcept = default;
UserNamespace::~UserNamespace() = default;

absl::StatusOr<UserNamespace> UserNamespace::Create(uint32_t inside, IdRange range) {
  const pid_t parent = getpid();
  const pid_t child = ForkIntoUserNamespace();
  if (child < 0) {
    return Errno("cannot make a user namespace");
  }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
      pause();
    }
    _exit(0);
  }
  const std::string proc = StrCat("/proc/", child, "/");
  const std::string map = StrCat(inside, " ", range.first, " ", range.count, "\n");
  absl::Status status = WriteToExisting(proc + "uid_map", map);
  if (status.ok()) {
    status = WriteToExisting(proc + "gid_map", map);
  }
  UserNamespace result;
  result.inside_ = inside;
  if (status.ok()) {
    result.ns_.Reset(open((proc + "ns/user").c_str(), O_RDONLY | O_CLOEXEC));
    if (!result.ns_.valid()) {
      status = Errno("cannot open a user namespace");
    }
  }
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  BRAMBLE_RETURN_IF_ERROR(status);
  return result;
}

absl::Status UserNamespace::Enter() const { return EnterUserNamespace(ns_.get(), inside_); }

absl::Status EnterUserNamespace(int ns, uint32_t inside) {
  if (setns(ns, CLONE_NEWUSER) != 0) {
    return Errno("cannot enter a user namespace");
  }
  if (setgroups(0, nullptr) != 0 || setresgid(inside, inside, inside) != 0 ||
      setresuid(inside, inside, inside) != 0) {
    return Errno("cannot become root of a user namespace");
  }
  return absl::OkStatus();
}

absl::Status RunInChild(const std::function<absl::Status()>& work) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
    return Errno("pipe");
  }
  Fd read_end(pipe_fds[0]);
  Fd write_end(pipe_fds[1]);
  const pid_t child = fork();
  if (child < 0) {
    return Errno("fork");
  }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const absl::Status status = work();
    const std::string text = status.ok() ? "" : json::serialize(StatusToJson(status));
    _exit(WriteAll(write_end.get(), text, "pipe").ok() && status.ok() ? 0 : 1);
  }
  write_end.Reset();
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(read_end.get(), buffer, sizeof(buffer))) != 0;) {
    if (n > 0) {
      text.append(buffer, static_cast<size_t>(n));
    } else if (errno != EINTR) {
      break;
    }
  }
  int wait_status = 0;
  while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
    return absl::OkStatus();
  }
  const auto value = ParseJson(text);
  return value.ok() ? StatusFromJson(*value) : absl::InternalError("a child process was killed");
}

}  // namespace bramble::node
