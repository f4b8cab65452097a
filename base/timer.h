// SPDX-License-Identifier: Apache-2.0
#pragma once

// Waiting on the loop.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/asio.h"

#include "absl/status/statusor.h"

namespace bramble {

using LoopDuration = std::chrono::steady_clock::duration;

// Ends early, with an exception that ends the task, when its scope is cancelled.
asio::awaitable<void> SleepFor(LoopDuration duration);

// Something that happened, waited for.  Stays set until Reset.  Loop only.
class Event {
 public:
  explicit Event(asio::io_context& loop);
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  // Whoever still waits waits until it is cancelled.
  ~Event();

  // Resumes all who wait.
  void Set();
  void Reset();
  bool is_set() const;

  asio::awaitable<void> Wait();
  // False when `limit` passed first.
  asio::awaitable<bool> WaitFor(LoopDuration limit);

 private:
  struct State;
  struct Waiter;
  std::shared_ptr<State> state_;
};

namespace timer_internal {
// Runs `task`, cancelling it after `limit`; whether that happened.  Rethrows its exception unless
// it was cancelled for the deadline.
asio::awaitable<bool> CancelAfter(asio::awaitable<void> task, LoopDuration limit);

template <typename T>
asio::awaitable<void> StoreInto(asio::awaitable<T> task, std::optional<T>* result) {
  *result = co_await std::move(task);
}
}  // namespace timer_internal

// The result of `task` (a Status or a StatusOr), or kDeadlineExceeded "WHAT: not done within 5s".
// After `limit` the task is cancelled and waited for.
template <typename T>
asio::awaitable<T> WithDeadline(asio::awaitable<T> task, LoopDuration limit, std::string what) {
  std::optional<T> result;
  auto stored = timer_internal::StoreInto(std::move(task), &result);
  const bool late = co_await timer_internal::CancelAfter(std::move(stored), limit);
  if (result.has_value() && (result->ok() || !late)) {
    co_return *std::move(result);
  }
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  co_return absl::DeadlineExceededError(what + ": not done within " + std::to_string(ms) + " ms");
}

}  // namespace bramble
