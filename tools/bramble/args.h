// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

// A status that ends the program with 2: the command line is wrong, nothing was tried.
absl::Status Misuse(std::string_view message);
bool IsMisuse(const absl::Status& status);

// "90" (seconds), "30s", "10m", "2h", "7d".
absl::StatusOr<std::chrono::seconds> ParseSeconds(std::string_view text);

// "KEY=VALUE"; `what` names it in the error.
absl::StatusOr<std::pair<std::string, std::string>> ParseKeyValue(std::string_view what,
                                                                  std::string_view text);

// The values of one command line, by flag and by position.  What is asked for as a number or a size
// and is none gives a Misuse that names the flag.
class Args {
 public:
  struct IntRange {
    int64_t min = INT64_MIN;
    int64_t max = INT64_MAX;
  };

  void AddFlag(std::string_view flag, std::string value);
  void AddPositional(std::string value) { positionals_.push_back(std::move(value)); }

  bool Has(std::string_view flag) const { return flags_.find(flag) != flags_.end(); }
  // The last one given.
  std::string Text(std::string_view flag, std::string_view otherwise = "") const;
  const std::vector<std::string>& Texts(std::string_view flag) const;
  absl::StatusOr<std::optional<int64_t>> Int(std::string_view flag, IntRange range) const;
  absl::StatusOr<std::optional<Bytes>> Size(std::string_view flag) const;
  absl::StatusOr<std::optional<MilliCpu>> Cpu(std::string_view flag) const;
  absl::StatusOr<std::optional<std::chrono::seconds>> Seconds(std::string_view flag) const;
  absl::StatusOr<std::map<std::string, std::string>> Map(std::string_view flag) const;

  const std::vector<std::string>& positionals() const { return positionals_; }
  // The n-th, or "".
  const std::string& Positional(size_t n) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> flags_;
  std::vector<std::string> positionals_;
};

}  // namespace bramble::cli
