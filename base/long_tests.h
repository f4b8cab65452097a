// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>

namespace bramble {

// How many rounds a test that tries something out at random makes: `rounds`, and `times` as many
// under `tools/test --long` (BRAMBLE_LONG=1).
inline uint64_t Rounds(uint64_t rounds, uint64_t times) {
  return std::getenv("BRAMBLE_LONG") != nullptr ? rounds * times : rounds;
}

}  // namespace bramble
