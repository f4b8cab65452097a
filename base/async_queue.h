// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "base/asio.h"
#include "base/timer.h"

namespace bramble {

// A bounded queue between tasks on one loop.
template <typename T>
class AsyncQueue {
 public:
  AsyncQueue(asio::io_context& loop, size_t max) : max_(max), readable_(loop), writable_(loop) {
    writable_.Set();
  }

  // False when full or closed.
  bool TryPush(T value) {
    if (closed_ || items_.size() >= max_) {
      return false;
    }
    items_.push_back(std::move(value));
    Update();
    return true;
  }
  // Waits for room.  False when closed.
  asio::awaitable<bool> Push(T value) {
    while (!closed_ && items_.size() >= max_) {
      co_await writable_.Wait();
    }
    co_return TryPush(std::move(value));
  }
  // Waits for an item; nullopt when closed and empty.
  asio::awaitable<std::optional<T>> Pop() {
    while (items_.empty() && !closed_) {
      co_await readable_.Wait();
    }
    co_return TryPop();
  }
  std::optional<T> TryPop() {
    if (items_.empty()) {
      return std::nullopt;
    }
    std::optional<T> item = std::move(items_.front());
    items_.pop_front();
    Update();
    return item;
  }
  // Nothing more comes in; what is there can still be taken.
  void Close() {
    closed_ = true;
    Update();
  }

  bool closed() const { return closed_; }
  size_t size() const { return items_.size(); }

 private:
  void Update() {
    closed_ || !items_.empty() ? readable_.Set() : readable_.Reset();
    closed_ || items_.size() < max_ ? writable_.Set() : writable_.Reset();
  }

  const size_t max_;
  bool closed_ = false;
  std::deque<T> items_;
  Event readable_;
  Event writable_;
};

}  // namespace bramble
