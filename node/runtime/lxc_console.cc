// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <lxc/lxccontainer.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/status.h"
#include "node/runtime/runtime_verbs.h"

namespace bramble::node {
namespace {

constexpr int kTakeOverTries = 200;  // of 10 ms
constexpr int kTakeOverStepUs = 10'000;

// Ends the one who has the console now: liblxc gives it to one at a time.
absl::StatusOr<Fd> TakeConsole(const RuntimePaths& paths, const ContainerId& id) {
  const std::string path = paths.Console(id).string();
  BRAMBLE_ASSIGN_OR_RETURN(Fd file, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  for (int i = 0; fcntl(file.get(), F_SETLK, &lock) != 0; ++i) {
    struct flock holder = lock;
    if (fcntl(file.get(), F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 1) {
      kill(holder.l_pid, SIGTERM);
    }
    if (i == kTakeOverTries) {
      return absl::UnavailableError(StrCat("container ", id.str(), ": its console is in use"));
    }
    usleep(kTakeOverStepUs);
  }
  return file;
}

bool Copy(int from, int to) {
  char buffer[16384];
  const ssize_t n = read(from, buffer, sizeof(buffer));
  if (n <= 0) {
    return n < 0 && errno == EINTR;
  }
  return WriteAll(to, {buffer, static_cast<size_t>(n)}, "console").ok();
}

void CopySize(int from, int to) {
  winsize size = {};
  if (ioctl(from, TIOCGWINSZ, &size) == 0) {
    ioctl(to, TIOCSWINSZ, &size);
  }
}

// Until either side closes, or we are told to end.
void Relay(int console, int signals) {
  pollfd ready[] = {{0, POLLIN, 0}, {console, POLLIN, 0}, {signals, POLLIN, 0}};
  while (true) {
    if (poll(ready, 3, -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      return;
    }
    if ((ready[2].revents & POLLIN) != 0) {
      signalfd_siginfo info = {};
      if (read(signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGWINCH) {
        return;
      }
      CopySize(0, console);
    }
    if ((ready[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !Copy(console, 1)) {
      return;
    }
    if ((ready[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !Copy(0, console)) {
      return;
    }
  }
}

void MakeRaw(int fd) {
  termios settings = {};
  if (tcgetattr(fd, &settings) == 0) {
    cfmakeraw(&settings);
    tcsetattr(fd, TCSANOW, &settings);
  }
}

}  // namespace

VerbResult ConsoleVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  if (!FindRunning(settings.paths, id).has_value()) {
    return absl::FailedPreconditionError(StrCat("container ", id.str(), ": does not run"));
  }
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGWINCH, SIGTERM, SIGHUP, SIGINT}) {
    sigaddset(&watched, number);
  }
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  const Fd signals(signalfd(-1, &watched, SFD_CLOEXEC));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, TakeConsole(settings.paths, id));
  lxc_container* container = lxc_container_new(settings.paths.LxcName(id).c_str(), kLxcPath);
  int terminal_number = 0;  // /dev/console
  int terminal_fd = -1;
  // What is given is a connection that keeps the terminal ours until it closes.
  const int connection = container == nullptr
                             ? -1
                             : container->console_getfd(container, &terminal_number, &terminal_fd);
  if (connection < 0 || terminal_fd < 0) {
    return absl::UnavailableError(StrCat("container ", id.str(), ": cannot get its console"));
  }
  const Fd console(terminal_fd);
  const Fd held(connection);
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  MakeRaw(0);
  CopySize(0, console.get());
  Relay(console.get(), signals.get());
  lxc_container_put(container);
  return json::object{{"exit_code", 0}};
}

}  // namespace bramble::node
