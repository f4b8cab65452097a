// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bramble::node {

// Whether something that holds on is to be said again: when it is another thing than was said last
// of the same subject, and then once in `every`.  Pure.
class SaidAgain {
 public:
  static constexpr std::chrono::hours kEvery{1};
  static constexpr size_t kMaxSubjects = 32;  // beyond that, all are forgotten and said anew

  explicit SaidAgain(std::chrono::milliseconds every = kEvery) : every_(every) {}

  bool Due(const std::string& subject, std::string_view what, BootTime now) {
    const auto found = said_.find(subject);
    if (found != said_.end() && found->second.what == what && now - found->second.at < every_) {
      return false;
    }
    if (said_.size() >= kMaxSubjects) {
      said_.clear();
    }
    said_.insert_or_assign(subject, Said{.what = std::string(what), .at = now});
    return true;
  }

 private:
  struct Said {
    std::string what;
    BootTime at;
  };
  const std::chrono::milliseconds every_;
  std::map<std::string, Said> said_;
};

}  // namespace bramble::node
