// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/asio.h"
#include "base/log.h"

#include "absl/status/status.h"

namespace bramble {

// The tasks of one owner.  Nothing runs detached: a task that fails is logged with its name, and
// all tasks are cancelled with their scope.
//
// A cancelled task ends at its next (or present) co_await.  Its owner must live until it has ended:
// `co_await scope.Join()` in a coroutine.  The destructor, for the end of main and of tests,
// cancels and runs the loop until every task has ended, so it belongs outside of handlers; declare
// the scope after what its tasks use.
class Scope {
 public:
  explicit Scope(asio::io_context& loop, Logger log = {});
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  // Asks every task to end; later tasks are ended at once.
  void Cancel();
  // Cancels, and resumes when the last task has ended.
  asio::awaitable<void> Join();
  // Resumes when the last task has ended by itself.
  asio::awaitable<void> Drain();

  size_t running() const;
  asio::io_context& loop() const { return loop_; }

 private:
  friend void Spawn(Scope& scope, std::string_view name, asio::awaitable<absl::Status> task);
  struct State;
  asio::io_context& loop_;
  std::shared_ptr<State> state_;
};

// Starts `task`, from the loop's next turn on.  `name` is a constant, used in the log:
// `task_failed task=heartbeat error=…`.
void Spawn(Scope& scope, std::string_view name, asio::awaitable<absl::Status> task);
void Spawn(Scope& scope, std::string_view name, asio::awaitable<void> task);

}  // namespace bramble
