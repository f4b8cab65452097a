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

absl::Status BecomeRoot(uint32_t inside) {
  if (setgroups(0, nullptr) != 0 || setresgid(inside, inside, inside) != 0 ||
      setresuid(inside, inside, inside) != 0) {
    return Errno("cannot become root of a user namespace");
  }
  return absl::OkStatus();
}

struct Pipe {
  Fd read;
  Fd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return Errno("pipe");
  }
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

// The life of the child: an empty result means success, none at all that it died.
[[noreturn]] void WaitAndWork(Pipe go, Pipe result, uint32_t inside,
                              const std::function<absl::Status()>& work) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  go.write.Reset();
  result.read.Reset();
  char byte = 0;
  if (read(go.read.get(), &byte, 1) != 1 || !work) {
    _exit(0);
  }
  absl::Status status = BecomeRoot(inside);
  if (status.ok()) {
    status = work();
  }
  const std::string text = json::serialize(StatusToJson(status));
  _exit(WriteAll(result.write.get(), text, "pipe").ok() ? 0 : 1);
}

}  // namespace

UserNamespace::UserNamespace(UserNamespace&&) noexcept = default;
UserNamespace& UserNamespace::operator=(UserNamespace&&) noexcept = default;
// The child ends with its pipe, and is reaped with us: a verb does not live long.
UserNamespace::~UserNamespace() = default;

absl::StatusOr<UserNamespace> UserNamespace::Create(uint32_t inside, IdRange range,
                                                    const std::function<absl::Status()>& work) {
  BRAMBLE_ASSIGN_OR_RETURN(Pipe go, MakePipe());
  BRAMBLE_ASSIGN_OR_RETURN(Pipe result, MakePipe());
  const pid_t child = ForkIntoUserNamespace();
  if (child < 0) {
    return Errno("cannot make a user namespace");
  }
  if (child == 0) {
    WaitAndWork(std::move(go), std::move(result), inside, work);
  }
  UserNamespace made;
  made.inside_ = inside;
  made.go_ = std::move(go.write);
  made.result_ = std::move(result.read);
  const std::string proc = StrCat("/proc/", child, "/");
  const std::string map = StrCat(inside, " ", range.first, " ", range.count, "\n");
  BRAMBLE_RETURN_IF_ERROR(WriteToExisting(proc + "uid_map", map));
  BRAMBLE_RETURN_IF_ERROR(WriteToExisting(proc + "gid_map", map));
  made.ns_.Reset(open((proc + "ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  if (!made.ns_.valid()) {
    return Errno("cannot open a user namespace");
  }
  return made;
}

absl::Status UserNamespace::RunWork() {
  if (write(go_.get(), "g", 1) != 1) {
    return Errno("the child of a user namespace");
  }
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(result_.get(), buffer, sizeof(buffer))) != 0;) {
    if (n > 0) {
      text.append(buffer, static_cast<size_t>(n));
    } else if (errno != EINTR) {
      break;
    }
  }
  const auto value = ParseJson(text);
  if (!value.ok()) {
    return absl::InternalError("the child of a user namespace was killed");
  }
  return StatusFromJson(*value);
}

absl::Status UserNamespace::Enter() const { return EnterUserNamespace(ns_.get(), inside_); }

absl::Status EnterUserNamespace(int ns, uint32_t inside) {
  if (setns(ns, CLONE_NEWUSER) != 0) {
    return Errno("cannot enter a user namespace");
  }
  return BecomeRoot(inside);
}

}  // namespace bramble::node
