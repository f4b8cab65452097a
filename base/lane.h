// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/asio.h"

#include "absl/status/statusor.h"

namespace bramble {

namespace lane_internal {
template <typename T>
struct Outcome {
  using Type = absl::StatusOr<T>;
};
template <>
struct Outcome<void> {
  using Type = absl::Status;
};
template <>
struct Outcome<absl::Status> {
  using Type = absl::Status;
};
template <typename T>
struct Outcome<absl::StatusOr<T>> {
  using Type = absl::StatusOr<T>;
};
}  // namespace lane_internal

// One thread for calls that block: a library that waits for the kernel or the disk, never for us.
// Owned by the adapter that makes those calls; work runs in the order it was given.
//
//   auto stop = [this, name = std::move(name)] { return StopBlocking(name); };
//   co_return co_await lane_.Run(std::move(stop));
//
// Values cross, references to the loop's state do not.  An exception in the work becomes
// kInternal.  Cancelling the awaiting coroutine does not stop the work: it resumes when the work is
// done.  The destructor finishes what runs, drops what waits, and joins; it must run before the
// io_context is destroyed.
class Lane {
 public:
  // `name` is the thread's (15 bytes at most).  More than `max_waiting` pieces of work waiting:
  // kResourceExhausted.
  explicit Lane(std::string name, size_t max_waiting = 1000);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  // Runs `work` on the lane; the coroutine resumes on its own executor.  The result is what `work`
  // returns: a Status, a StatusOr, or T as StatusOr<T>.
  template <typename Work>
  auto Run(Work work)
      -> asio::awaitable<typename lane_internal::Outcome<std::invoke_result_t<Work>>::Type> {
    using Result = std::invoke_result_t<Work>;
    using Outcome = typename lane_internal::Outcome<Result>::Type;
    std::optional<Outcome> outcome;
    auto call = [&work, &outcome] {
      if constexpr (std::is_void_v<Result>) {
        work();
        outcome = absl::OkStatus();
      } else {
        outcome = work();
      }
    };
    std::function<void()> job = std::ref(call);
    absl::Status ran = co_await RunJob(std::move(job));
    if (!ran.ok()) {
      co_return ran;
    }
    co_return *std::move(outcome);
  }

  // Work whose end nobody waits for.  False when the queue is full.
  bool Post(std::function<void()> work);

  // Pieces of work waiting or running.
  size_t backlog() const;

 private:
  struct State;
  asio::awaitable<absl::Status> RunJob(std::function<void()> job);

  std::shared_ptr<State> state_;
};

}  // namespace bramble
