// SPDX-License-Identifier: Apache-2.0
#pragma once

// Amounts as types: bytes, CPU shares, temperatures.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble {

template <typename Tag>
struct Amount {
  int64_t count = 0;

  friend auto operator<=>(const Amount&, const Amount&) = default;
  Amount& operator+=(Amount other) { return count += other.count, *this; }
  Amount& operator-=(Amount other) { return count -= other.count, *this; }
  friend Amount operator+(Amount a, Amount b) { return {a.count + b.count}; }
  friend Amount operator-(Amount a, Amount b) { return {a.count - b.count}; }
};

using Bytes = Amount<struct BytesTag>;
using MilliCpu = Amount<struct MilliCpuTag>;  // 1000 = one core
using MilliCelsius = Amount<struct MilliCelsiusTag>;

inline constexpr int64_t kKiB = 1024;
inline constexpr int64_t kMiB = 1024 * kKiB;
inline constexpr int64_t kGiB = 1024 * kMiB;

// "64MiB", "2GiB", "1.5GiB", "500MB", "4096" (bytes).  The whole text is consumed; at most 2^53.
absl::StatusOr<Bytes> ParseBytes(std::string_view text);
// "0.25", "2", "250m": cores, with three decimals.
absl::StatusOr<MilliCpu> ParseCpu(std::string_view text);

// The shortest of "64MiB", "1.5GiB", "512B" that is exact to one decimal.
std::string ToString(Bytes bytes);
// "0.25", "2".
std::string ToString(MilliCpu cpu);

}  // namespace bramble
