// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <array>
#include <cerrno>

#include "base/status.h"
#include "base/subprocess.h"

namespace bramble {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kShownErrorBytes = 500;

// A program that closes its input must not end us, whatever main did about SIGPIPE: the signal goes
// to the thread that writes, and is taken back there.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    ::sigemptyset(&sigpipe_);
    ::sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
  ~WithoutSigpipe() {
    const timespec at_once{};
    while (!was_pending_ && ::sigtimedwait(&sigpipe_, nullptr, &at_once) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t sigpipe_;
  sigset_t before_;
  bool was_pending_;
};

absl::Status TooLate(const Command& command) {
  return absl::DeadlineExceededError(
      StrCat(command.argv.front(), ": killed after ", command.deadline.count(), " ms"));
}

// Reads what is there; false at the end.
absl::StatusOr<bool> Drain(int fd, std::string& into, const Command& command) {
  char bytes[16384];
  const ssize_t got = ::read(fd, bytes, sizeof(bytes));
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) {
      return true;
    }
    return ErrnoStatus(errno, command.argv.front());
  }
  into.append(bytes, static_cast<size_t>(got));
  if (into.size() > command.max_output_bytes) {
    return absl::ResourceExhaustedError(StrCat(command.argv.front(), ": killed for more than ",
                                               command.max_output_bytes, " bytes of output"));
  }
  return got > 0;
}

// Moves bytes until both outputs are closed.
absl::Status Transfer(const Command& command, Process& process, SteadyClock::time_point deadline,
                      CommandResult& result) {
  const WithoutSigpipe without_sigpipe;
  std::string_view input = command.input;
  if (input.empty()) {
    process.in().Reset();
  } else {
    ::fcntl(process.in().get(), F_SETFL, O_NONBLOCK);
  }
  while (process.out().valid() || process.err().valid()) {
    std::array<pollfd, 4> polled = {
        pollfd{process.out().get(), POLLIN, 0}, pollfd{process.err().get(), POLLIN, 0},
        pollfd{process.in().get(), POLLOUT, 0}, pollfd{process.pidfd(), POLLIN, 0}};
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
    if (left <= 0) {
      return TooLate(command);
    }
    if (::poll(polled.data(), polled.size(), static_cast<int>(left)) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "poll");
    }
    if (polled[2].revents != 0) {
      const ssize_t written = ::write(process.in().get(), input.data(), input.size());
      input.remove_prefix(static_cast<size_t>(std::max<ssize_t>(written, 0)));
      // A program that does not want all of its input is no error of ours.
      if (input.empty() || (written < 0 && errno != EAGAIN && errno != EINTR)) {
        process.in().Reset();
      }
    }
    const std::array<std::pair<Fd*, std::string*>, 2> outputs = {
        std::pair{&process.out(), &result.out}, std::pair{&process.err(), &result.err}};
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (polled[i].revents != 0) {
        BRAMBLE_ASSIGN_OR_RETURN(const bool more,
                                 Drain(outputs[i].first->get(), *outputs[i].second, command));
        if (!more) {
          outputs[i].first->Reset();
        }
      }
    }
    // It has ended; a grandchild that holds the pipes open is not waited for.
    if (polled[3].revents != 0 && polled[0].revents == 0 && polled[1].revents == 0) {
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandResult> RunCommand(const Command& command) {
  const auto deadline = SteadyClock::now() + command.deadline;
  ProcessSpec spec;
  spec.argv = command.argv;
  spec.environment = command.environment;
  spec.working_directory = command.working_directory;
  spec.fds = command.fds;
  spec.in = command.input.empty() ? Stdio::Null() : Stdio::Pipe();
  spec.out = Stdio::Pipe();
  spec.err = Stdio::Pipe();
  BRAMBLE_ASSIGN_OR_RETURN(Process process, Process::Spawn(spec));
  CommandResult result;
  BRAMBLE_RETURN_IF_ERROR(Transfer(command, process, deadline, result));
  for (;;) {
    pollfd ended{process.pidfd(), POLLIN, 0};
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
    if (::poll(&ended, 1, static_cast<int>(std::max<int64_t>(left, 0))) > 0) {
      break;
    }
    if (left <= 0) {
      return TooLate(command);
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(result.exit, process.Wait());
  return result;
}

absl::Status CheckOk(const Command& command, const CommandResult& result) {
  if (result.exit.ok()) {
    return absl::OkStatus();
  }
  std::string_view text = result.err.empty() ? result.out : result.err;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (text.size() > kShownErrorBytes) {
    text.remove_prefix(text.size() - kShownErrorBytes);
  }
  return absl::InternalError(
      StrCat(command.argv.front(), " ", result.exit.ToString(), text.empty() ? "" : ": ", text));
}

absl::StatusOr<std::string> RunCommandForOutput(const Command& command) {
  BRAMBLE_ASSIGN_OR_RETURN(CommandResult result, RunCommand(command));
  BRAMBLE_RETURN_IF_ERROR(CheckOk(command, result));
  return std::move(result.out);
}

}  // namespace bramble
