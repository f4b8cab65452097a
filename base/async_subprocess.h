// SPDX-License-Identifier: Apache-2.0
#pragma once

// Other programs, awaited.  See base/subprocess.h.

#include <memory>
#include <string>
#include <string_view>

#include "base/asio.h"
#include "base/fd.h"
#include "base/subprocess.h"

#include "absl/status/statusor.h"

namespace bramble {

// A pipe, terminal or socket read and written on the loop.  Not for regular files.
class FdStream {
 public:
  FdStream(asio::io_context& loop, Fd fd);
  FdStream(FdStream&&) noexcept;
  FdStream& operator=(FdStream&&) noexcept;
  ~FdStream();

  // At most `max` bytes, at least one; empty at the end (a terminal whose other side closed is at
  // its end too).
  asio::awaitable<absl::StatusOr<std::string>> Read(size_t max = 65536);
  // All of `bytes`.
  asio::awaitable<absl::Status> Write(std::string bytes);
  // Reads and writes under way end with kCancelled.
  void Close();
  bool is_open() const;
  int native() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Resumes when `process` has ended.  Cancelling leaves it running.
asio::awaitable<absl::StatusOr<ExitStatus>> WaitForExit(Process& process);

// As RunCommand in base/subprocess.h, on the loop.  Cancelling kills the command.
asio::awaitable<absl::StatusOr<CommandResult>> RunCommandAsync(Command command);
// Its second half, for a program that was spawned before, with a pipe each for what it writes and,
// where it reads `command.input`, for that.
asio::awaitable<absl::StatusOr<CommandResult>> FinishCommandAsync(Process process, Command command);

}  // namespace bramble
