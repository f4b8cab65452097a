// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/ledger.h"

namespace bramble::controller {

// The time that nodes without a clock take from us: the wall clock, but never below the highest
// that was ever given out, over restarts too.  A mark ahead of it is stored before it is reached.
class SignedClock {
 public:
  explicit SignedClock(Ledger& ledger) : ledger_(ledger) {}

  // Milliseconds since 1970.
  int64_t Now();

 private:
  static constexpr int64_t kAheadMs = 20'000;

  Ledger& ledger_;
  int64_t highest_ = 0;
  int64_t reserved_ = 0;  // durable: may be given out
  bool reserving_ = false;
};

}  // namespace bramble::controller
