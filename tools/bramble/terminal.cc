// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>

namespace bramble::cli {
namespace {

// For the signal handler, which can be given nothing.
struct termios saved;
volatile sig_atomic_t saved_fd = -1;

constexpr int kEndingSignals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

void RestoreAndEnd(int signal) {
  if (saved_fd >= 0) {
    ::tcsetattr(saved_fd, TCSADRAIN, &saved);
  }
  ::raise(signal);  // SA_RESETHAND: ends the program
}

}  // namespace

std::optional<TerminalSize> SizeOfTerminal(int fd) {
  struct winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return std::nullopt;
  }
  return TerminalSize{.rows = size.ws_row, .columns = size.ws_col};
}

RawTerminal::RawTerminal(int fd) {
  if (::tcgetattr(fd, &saved) != 0) {
    return;
  }
  saved_fd = fd;
  struct sigaction action = {};
  action.sa_handler = RestoreAndEnd;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : kEndingSignals) {
    ::sigaction(signal, &action, nullptr);
  }
  struct termios raw = saved;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd, TCSADRAIN, &raw);
}

RawTerminal::~RawTerminal() { Restore(); }

void RawTerminal::Restore() {
  if (saved_fd < 0) {
    return;
  }
  ::tcsetattr(saved_fd, TCSADRAIN, &saved);
  saved_fd = -1;
  for (const int signal : kEndingSignals) {
    ::signal(signal, SIG_DFL);
  }
}

}  // namespace bramble::cli
