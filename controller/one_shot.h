// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/asio.h"
#include "base/timer.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// Carries the result of a callback to the coroutine that waits for it.  T is a Status or a
// StatusOr.
//
//   OneShot<absl::StatusOr<Written>> written(loop);
//   service.Delete(who, key, options, written.Taker());
//   co_return co_await written.Wait(kWriteLimit, "container \"web\"");
//
// The callback may outlive the waiter.  Only its first call counts.
template <typename T>
class OneShot {
 public:
  explicit OneShot(asio::io_context& loop) : state_(std::make_shared<State>(loop)) {}

  std::function<void(T)> Taker() {
    return [state = state_](T value) {
      if (!state->value.has_value()) {
        state->value = std::move(value);
        state->ready.Set();
      }
    };
  }

  // kDeadlineExceeded, naming `what`, when nothing came within `limit`.  Once.
  asio::awaitable<T> Wait(std::chrono::milliseconds limit, std::string what) {
    const std::shared_ptr<State> state = state_;
    if (!state->value.has_value()) {
      (void)co_await state->ready.WaitFor(limit);
    }
    if (!state->value.has_value()) {
      co_return absl::DeadlineExceededError(what + ": no answer within " +
                                            std::to_string(limit.count()) +
                                            " ms; it may still happen: look before trying again");
    }
    co_return *std::move(state->value);
  }

 private:
  struct State {
    explicit State(asio::io_context& loop) : ready(loop) {}
    Event ready;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_;
};

}  // namespace bramble::controller
