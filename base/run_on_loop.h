// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include "base/asio.h"

namespace bramble {

namespace run_internal {
// Runs `loop` until `task` has ended; rethrows.
void RunToEnd(asio::io_context& loop, asio::awaitable<void> task);

template <typename T>
asio::awaitable<void> StoreInto(asio::awaitable<T> task, std::optional<T>* result) {
  *result = co_await std::move(task);
}
}  // namespace run_internal

// Runs `loop` on this thread until `task` has ended, and gives its result: for programs that do one
// thing at a time (the CLI) and for tests.
template <typename T>
T RunOnLoop(asio::io_context& loop, asio::awaitable<T> task) {
  std::optional<T> result;
  run_internal::RunToEnd(loop, run_internal::StoreInto(std::move(task), &result));
  return *std::move(result);
}
inline void RunOnLoop(asio::io_context& loop, asio::awaitable<void> task) {
  run_internal::RunToEnd(loop, std::move(task));
}

}  // namespace bramble
