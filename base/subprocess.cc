// SPDX-License-Identifier: Apache-2.0
#include "base/subprocess.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/status.h"

namespace bramble {
namespace {

// The child first moves its descriptors to this number or above and then gives each its own, so
// that none is overwritten.
constexpr int kParkedFds = 200;

struct PipeEnds {
  Fd read;
  Fd write;
};

absl::StatusOr<PipeEnds> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoStatus(errno, "pipe");
  }
  return PipeEnds{Fd(ends[0]), Fd(ends[1])};
}

// argv[0] looked up in our PATH; the child can not do it after fork, where nothing may allocate.
absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return name;
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    std::string candidate = StrCat(directory, "/", name);
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return absl::NotFoundError(StrCat(name, ": no such program in PATH"));
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// All that the child needs, made before the fork.
struct Launch {
  std::string program;
  std::vector<char*> argv;
  std::vector<char*> environment;
  const char* directory = nullptr;
  bool terminal = false;
  bool die_with_parent = true;
  pid_t parent = 0;
  std::vector<GivenFd> fds;  // 0, 1, 2 and the given ones
  int report = -1;           // errno of what failed goes here
};

[[noreturn]] void FailChild(int report) {
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(report, &error, sizeof(error));
  ::_exit(127);
}

// Runs in the child.  Only async-signal-safe calls.
[[noreturn]] void RunChild(Launch& launch) {
  if (launch.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != launch.parent) {
      ::_exit(127);
    }
  }
  launch.terminal ? ::setsid() : ::setpgid(0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int report = ::fcntl(launch.report, F_DUPFD_CLOEXEC, kParkedFds);
  for (GivenFd& given : launch.fds) {
    given.fd = ::fcntl(given.fd, F_DUPFD_CLOEXEC, kParkedFds);
    if (given.fd < 0) {
      FailChild(report);
    }
  }
  int highest = 2;
  for (const GivenFd& given : launch.fds) {
    if (::dup2(given.fd, given.number) < 0) {
      FailChild(report);
    }
    highest = std::max(highest, given.number);
  }
  if (launch.terminal && ::ioctl(0, TIOCSCTTY, 0) != 0) {
    FailChild(report);
  }
  if (launch.directory != nullptr && ::chdir(launch.directory) != 0) {
    FailChild(report);
  }
  // Everything else closes on exec, whoever opened it.
  ::syscall(SYS_close_range, highest + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  for (int fd = 3; fd < highest; ++fd) {
    const bool given = std::any_of(launch.fds.begin(), launch.fds.end(),
                                   [fd](const GivenFd& each) { return each.number == fd; });
    if (!given) {
      ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
  }
  ::execve(launch.program.c_str(), launch.argv.data(), launch.environment.data());
  FailChild(report);
}

struct Descriptors {
  std::vector<Fd> owned;  // the child's ends, closed by us after the fork
  Fd in, out, err, terminal;
};

absl::StatusOr<int> ConnectStdio(const Stdio& stdio, int number, Descriptors& all, Fd& ours) {
  switch (stdio.kind) {
    case Stdio::Kind::kInherit:
      return number;
    case Stdio::Kind::kGiven:
      return stdio.fd;
    case Stdio::Kind::kNull: {
      BRAMBLE_ASSIGN_OR_RETURN(Fd null, OpenFile("/dev/null", O_RDWR));
      all.owned.push_back(std::move(null));
      return all.owned.back().get();
    }
    case Stdio::Kind::kPipe:
      break;
  }
  BRAMBLE_ASSIGN_OR_RETURN(PipeEnds pipe, MakePipe());
  const bool input = number == 0;
  ours = std::move(input ? pipe.write : pipe.read);
  all.owned.push_back(std::move(input ? pipe.read : pipe.write));
  return all.owned.back().get();
}

absl::Status ConnectAll(const ProcessSpec& spec, Descriptors& all, std::vector<GivenFd>& fds) {
  if (spec.terminal.has_value()) {
    int ours = -1;
    int theirs = -1;
    winsize size{};
    size.ws_row = spec.terminal->rows;
    size.ws_col = spec.terminal->columns;
    if (::openpty(&ours, &theirs, nullptr, nullptr, &size) != 0) {
      return ErrnoStatus(errno, "openpty");
    }
    ::fcntl(ours, F_SETFD, FD_CLOEXEC);
    ::fcntl(theirs, F_SETFD, FD_CLOEXEC);
    all.terminal = Fd(ours);
    all.owned.emplace_back(theirs);
    fds = {{theirs, 0}, {theirs, 1}, {theirs, 2}};
  } else {
    BRAMBLE_ASSIGN_OR_RETURN(const int in, ConnectStdio(spec.in, 0, all, all.in));
    BRAMBLE_ASSIGN_OR_RETURN(const int out, ConnectStdio(spec.out, 1, all, all.out));
    BRAMBLE_ASSIGN_OR_RETURN(const int err, ConnectStdio(spec.err, 2, all, all.err));
    fds = {{in, 0}, {out, 1}, {err, 2}};
  }
  fds.insert(fds.end(), spec.fds.begin(), spec.fds.end());
  for (const GivenFd& given : spec.fds) {
    if (given.number < 3 || given.number >= kParkedFds) {
      return absl::InvalidArgumentError("a given descriptor has a number from 3 to 199");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string ExitStatus::ToString() const {
  return signal != 0 ? StrCat("killed by signal ", signal) : StrCat("exited with ", code);
}

absl::StatusOr<Process> Process::Spawn(const ProcessSpec& spec) {
  if (spec.argv.empty()) {
    return absl::InvalidArgumentError("no program to run");
  }
  Launch launch;
  BRAMBLE_ASSIGN_OR_RETURN(launch.program, FindProgram(spec.argv.front()));
  launch.argv = Pointers(spec.argv);
  std::vector<char*> own_environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    own_environment.push_back(*entry);
  }
  own_environment.push_back(nullptr);
  launch.environment =
      spec.environment.has_value() ? Pointers(*spec.environment) : std::move(own_environment);
  launch.directory = spec.working_directory.empty() ? nullptr : spec.working_directory.c_str();
  launch.terminal = spec.terminal.has_value();
  launch.die_with_parent = spec.die_with_parent;
  launch.parent = ::getpid();
  Descriptors all;
  BRAMBLE_RETURN_IF_ERROR(Annotate(ConnectAll(spec, all, launch.fds), spec.argv.front()));
  BRAMBLE_ASSIGN_OR_RETURN(PipeEnds report, MakePipe());
  launch.report = report.write.get();

  Process process;
  process.pid_ = ::fork();
  if (process.pid_ < 0) {
    return ErrnoStatus(errno, StrCat(spec.argv.front(), ": fork"));
  }
  if (process.pid_ == 0) {
    RunChild(launch);
  }
  // Here too, so that a signal sent at once finds the group; whoever comes second fails.
  if (!launch.terminal) {
    ::setpgid(process.pid_, process.pid_);
  }
  process.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  report.write.Reset();
  int error = 0;
  ssize_t got;
  do {
    got = ::read(report.read.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got == sizeof(error)) {
    return ErrnoStatus(error, spec.argv.front());
  }
  if (!process.pidfd_.valid()) {
    return ErrnoStatus(errno, StrCat(spec.argv.front(), ": pidfd_open"));
  }
  process.in_ = std::move(all.in);
  process.out_ = std::move(all.out);
  process.err_ = std::move(all.err);
  process.terminal_ = std::move(all.terminal);
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      terminal_(std::move(other.terminal_)),
      exit_(std::exchange(other.exit_, std::nullopt)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    KillAndReap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    in_ = std::move(other.in_);
    out_ = std::move(other.out_);
    err_ = std::move(other.err_);
    terminal_ = std::move(other.terminal_);
    exit_ = std::exchange(other.exit_, std::nullopt);
  }
  return *this;
}

Process::~Process() { KillAndReap(); }

void Process::KillAndReap() {
  if (pid_ > 0 && !exit_.has_value()) {
    Signal(SIGKILL);
    Wait().IgnoreError();
  }
}

void Process::Signal(int signal) {
  if (pid_ > 0 && !exit_.has_value()) {
    // Once: a program that a signal has ended in order would die of the next.
    if (::kill(-pid_, signal) != 0) {
      ::kill(pid_, signal);  // it has not made its group yet
    }
  }
}

absl::Status Process::Resize(TerminalSize size) {
  winsize native{};
  native.ws_row = size.rows;
  native.ws_col = size.columns;
  if (::ioctl(terminal_.get(), TIOCSWINSZ, &native) != 0) {
    return ErrnoStatus(errno, "resizing the terminal");
  }
  return absl::OkStatus();
}

namespace {

std::optional<ExitStatus> ExitOf(const siginfo_t& info) {
  if (info.si_pid == 0) {
    return std::nullopt;
  }
  ExitStatus status;
  (info.si_code == CLD_EXITED ? status.code : status.signal) = info.si_status;
  return status;
}

}  // namespace

absl::StatusOr<std::optional<ExitStatus>> Process::Poll() {
  if (!exit_.has_value()) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0) {
      return ErrnoStatus(errno, "waitid");
    }
    exit_ = ExitOf(info);
  }
  return exit_;
}

absl::StatusOr<ExitStatus> Process::Wait() {
  while (!exit_.has_value()) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) == 0) {
      exit_ = ExitOf(info);
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "waitid");
    }
  }
  return *exit_;
}

void Process::Release() { pid_ = -1; }

}  // namespace bramble
