// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/random.h"

namespace bramble::node {

// How long to wait before dialling: a random part of `start` first, then of 1 s, 2 s, 4 s … `most`
// (full jitter), so that a hundred nodes switched on at once do not dial at once.  Pure.
class ReconnectDelay {
 public:
  using Duration = std::chrono::milliseconds;
  struct Options {
    Duration start{2'000};
    Duration first{1'000};
    Duration most{60'000};
  };
  ReconnectDelay(Options options, Random& random) : options_(options), random_(random) {}

  Duration Next() {
    const Duration range =
        failures_ < 0 ? options_.start
                      : std::min(options_.most, options_.first * (int64_t{1} << failures_));
    failures_ = std::min(failures_ + 1, kMaxDoublings);
    return Duration(random_.Below(static_cast<uint64_t>(range.count()) + 1));
  }
  // A session was established.
  void Reset() { failures_ = 0; }

 private:
  static constexpr int kMaxDoublings = 20;
  const Options options_;
  Random& random_;
  int failures_ = -1;
};

}  // namespace bramble::node
