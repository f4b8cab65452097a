// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/clock.h"

namespace bramble::controller {

// Counts failures per address, and refuses an address that has too many.  Pure.
class AttemptLimiter {
 public:
  struct Options {
    int failures = 20;
    std::chrono::seconds window{60};
    size_t addresses = 4096;  // that are remembered
  };
  explicit AttemptLimiter(Options options) : options_(options) {}

  // Whether `address` may try now.
  bool Allows(const std::string& address, BootTime now) {
    const auto found = counts_.find(address);
    return found == counts_.end() || found->second.since + options_.window <= now ||
           found->second.failures < options_.failures;
  }
  void OnFailure(const std::string& address, BootTime now) {
    if (counts_.size() >= options_.addresses) {
      std::erase_if(counts_, [this, now](const auto& count) {
        return count.second.since + options_.window <= now;
      });
      if (counts_.size() >= options_.addresses) {
        counts_.clear();
      }
    }
    Count& count = counts_[address];
    if (count.since + options_.window <= now) {
      count = Count{.since = now};
    }
    ++count.failures;
  }

 private:
  struct Count {
    BootTime since{};
    int failures = 0;
  };
  const Options options_;
  std::map<std::string, Count> counts_;
};

}  // namespace bramble::controller
