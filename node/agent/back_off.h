// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace bramble::node {

// How long to wait before a container is started again: 1 s, doubled each time it fails in a row,
// up to 5 minutes.  A container that ran for `stable` is taken for healthy again.
struct BackOff {
  std::chrono::milliseconds first{1000};
  std::chrono::milliseconds most{300'000};
  std::chrono::milliseconds stable{300'000};

  // After the `failures`-th failure in a row (1 is the first).
  constexpr std::chrono::milliseconds After(uint64_t failures) const {
    std::chrono::milliseconds wait = first;
    for (uint64_t i = 1; i < failures && wait < most; ++i) {
      wait *= 2;
    }
    return std::min(wait, most);
  }
};

}  // namespace bramble::node
