// SPDX-License-Identifier: Apache-2.0
#include "base/async_subprocess.h"

#include <fcntl.h>
#include <signal.h>

#include <cerrno>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/status.h"
#include "base/timer.h"

namespace bramble {

using Descriptor = asio::posix::stream_descriptor;
using boost::system::error_code;

struct FdStream::State {
  explicit State(asio::io_context& loop) : descriptor(loop) {}
  Descriptor descriptor;
};

FdStream::FdStream(asio::io_context& loop, Fd fd) : state_(std::make_shared<State>(loop)) {
  error_code error;
  state_->descriptor.assign(fd.get(), error);
  if (!error) {
    fd.Release();
    state_->descriptor.non_blocking(true, error);
  }
}
FdStream::FdStream(FdStream&&) noexcept = default;
FdStream& FdStream::operator=(FdStream&& other) noexcept {
  Close();
  state_ = std::move(other.state_);
  return *this;
}
FdStream::~FdStream() { Close(); }

void FdStream::Close() {
  if (state_ != nullptr && state_->descriptor.is_open()) {
    error_code ignored;
    state_->descriptor.close(ignored);
  }
}

bool FdStream::is_open() const { return state_ != nullptr && state_->descriptor.is_open(); }
int FdStream::native() const { return state_->descriptor.native_handle(); }

namespace {

absl::Status StatusOfWait(const error_code& error) {
  return error == asio::error::operation_aborted ? absl::CancelledError("closed")
                                                 : absl::UnavailableError(error.message());
}

}  // namespace

asio::awaitable<absl::StatusOr<std::string>> FdStream::Read(size_t max) {
  const std::shared_ptr<State> state = state_;
  for (;;) {
    if (!state->descriptor.is_open()) {
      co_return absl::CancelledError("closed");
    }
    std::string bytes(max, '\0');
    const ssize_t got = ::read(state->descriptor.native_handle(), bytes.data(), max);
    if (got >= 0) {
      bytes.resize(static_cast<size_t>(got));
      co_return bytes;
    }
    if (errno == EIO) {  // a terminal without its other side
      co_return std::string();
    }
    if (errno != EAGAIN && errno != EINTR) {
      co_return ErrnoStatus(errno, "reading");
    }
    bytes = std::string();
    auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await state->descriptor.async_wait(Descriptor::wait_read, std::move(token));
    if (error) {
      co_return StatusOfWait(error);
    }
  }
}

asio::awaitable<absl::Status> FdStream::Write(std::string bytes) {
  const std::shared_ptr<State> state = state_;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    if (!state->descriptor.is_open()) {
      co_return absl::CancelledError("closed");
    }
    const int fd = state->descriptor.native_handle();
    const ssize_t written = ::write(fd, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      co_return ErrnoStatus(errno, "writing");
    }
    auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await state->descriptor.async_wait(Descriptor::wait_write, std::move(token));
    if (error) {
      co_return StatusOfWait(error);
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<ExitStatus>> WaitForExit(Process& process) {
  Fd copy(::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) {
    co_return ErrnoStatus(errno, "pidfd");
  }
  Descriptor descriptor(co_await asio::this_coro::executor, copy.Release());
  for (;;) {
    auto ended = process.Poll();
    if (!ended.ok()) {
      co_return ended.status();
    }
    if (ended->has_value()) {
      co_return **ended;
    }
    auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await descriptor.async_wait(Descriptor::wait_read, std::move(token));
    if (error) {
      co_return StatusOfWait(error);
    }
  }
}

namespace {

struct Running {
  Running(asio::io_context& loop, Process process_in)
      : process(std::move(process_in)),
        in(loop, std::move(process.in())),
        out(loop, std::move(process.out())),
        err(loop, std::move(process.err())),
        readers_done(loop) {}

  Process process;
  FdStream in;
  FdStream out;
  FdStream err;
  CommandResult result;
  bool too_long = false;
  int readers = 2;
  Event readers_done;
};

asio::awaitable<void> Feed(std::shared_ptr<Running> running, std::string input) {
  // A program that does not want its input is no error of ours.
  absl::Status ignored = co_await running->in.Write(std::move(input));
  running->in.Close();
}

asio::awaitable<void> Collect(std::shared_ptr<Running> running, bool errors, size_t max_bytes) {
  FdStream& from = errors ? running->err : running->out;
  std::string& into = errors ? running->result.err : running->result.out;
  for (;;) {
    auto bytes = co_await from.Read();
    if (!bytes.ok() || bytes->empty()) {
      break;
    }
    into += *bytes;
    if (into.size() > max_bytes) {
      running->too_long = true;
      running->process.Signal(SIGKILL);
      break;
    }
  }
  if (--running->readers == 0) {
    running->readers_done.Set();
  }
}

asio::awaitable<absl::StatusOr<CommandResult>> Finish(std::shared_ptr<Running> running,
                                                      Command command) {
  // After its end, what it wrote is read; a grandchild that holds the pipes open is not waited for.
  constexpr std::chrono::milliseconds kAfterEnd{200};
  auto exit = co_await WaitForExit(running->process);
  if (!exit.ok()) {
    co_return exit.status();
  }
  co_await running->readers_done.WaitFor(kAfterEnd);
  if (running->too_long) {
    co_return absl::ResourceExhaustedError(StrCat(command.argv.front(), ": killed for more than ",
                                                  command.max_output_bytes, " bytes of output"));
  }
  running->result.exit = *exit;
  co_return std::move(running->result);
}

}  // namespace

asio::awaitable<absl::StatusOr<CommandResult>> RunCommandAsync(Command command) {
  ProcessSpec spec;
  spec.argv = command.argv;
  spec.environment = command.environment;
  spec.working_directory = command.working_directory;
  spec.fds = command.fds;
  spec.in = command.input.empty() ? Stdio::Null() : Stdio::Pipe();
  spec.out = Stdio::Pipe();
  spec.err = Stdio::Pipe();
  auto process = Process::Spawn(spec);
  if (!process.ok()) {
    co_return process.status();
  }
  auto finishing = FinishCommandAsync(*std::move(process), std::move(command));
  co_return co_await std::move(finishing);
}

asio::awaitable<absl::StatusOr<CommandResult>> FinishCommandAsync(Process process,
                                                                  Command command) {
  const auto executor = co_await asio::this_coro::executor;
  auto& loop = static_cast<asio::io_context&>(executor.context());
  auto running = std::make_shared<Running>(loop, std::move(process));
  // The helpers end when their pipes are closed, which happens below at the latest.
  struct CloseAll {
    ~CloseAll() {
      running.process.Signal(SIGKILL);
      running.in.Close();
      running.out.Close();
      running.err.Close();
    }
    Running& running;
  };
  const CloseAll close_all{*running};
  for (const bool errors : {false, true}) {
    asio::co_spawn(loop, Collect(running, errors, command.max_output_bytes), asio::detached);
  }
  if (command.input.empty()) {
    running->in.Close();
  } else {
    asio::co_spawn(loop, Feed(running, std::move(command.input)), asio::detached);
  }
  const auto deadline = command.deadline;
  std::string name = command.argv.front();
  auto finishing = Finish(running, std::move(command));
  co_return co_await WithDeadline(std::move(finishing), deadline, std::move(name));
}

}  // namespace bramble
