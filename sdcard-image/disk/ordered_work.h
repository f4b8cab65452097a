// SPDX-License-Identifier: Apache-2.0
#pragma once

// Work on every core whose results are taken in the order in which it was given.

#include <algorithm>
#include <deque>
#include <future>
#include <thread>
#include <utility>

namespace bramble::sdcard {

// At most `kAheadPerCore` pieces of work a core run or wait; Add() blocks for the oldest one beyond
// that.  One thread uses it; the destructor waits for what runs.
template <typename Result>
class OrderedWork {
 public:
  // lint: allow(threads) asks for the number of cores
  OrderedWork() : ahead_(kAheadPerCore * std::max(1u, std::thread::hardware_concurrency())) {}

  template <typename Work>
  void Add(Work work) {
    if (running_.size() >= ahead_) {
      Take();
    }
    // Threads of a tool that computes: nothing here is shared with a loop.
    // lint: allow(threads) it computes and is waited for
    running_.push_back(std::async(std::launch::async, std::move(work)));
  }
  bool empty() const { return done_.empty() && running_.empty(); }
  // The oldest result; at least one must be there.
  Result Next() {
    if (done_.empty()) {
      Take();
    }
    Result result = std::move(done_.front());
    done_.pop_front();
    return result;
  }
  // Whether the next Add() would have to wait: the moment to take a result.
  bool full() const { return running_.size() >= ahead_; }

 private:
  static constexpr size_t kAheadPerCore = 2;

  void Take() {
    done_.push_back(running_.front().get());
    running_.pop_front();
  }

  const size_t ahead_;
  std::deque<std::future<Result>> running_;
  std::deque<Result> done_;
};

}  // namespace bramble::sdcard
