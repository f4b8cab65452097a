// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <array>
#include <cmath>
#include <utility>

#include "base/status.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace bramble {
namespace {

constexpr double kMaxExact = 9007199254740992.0;  // 2^53: what JSON numbers carry without loss

absl::StatusOr<double> ParseNonNegative(std::string_view text, std::string_view whole,
                                        const char* form) {
  double value = 0;
  const bool plain =
      !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
  if (!plain || !absl::SimpleAtod(ToAbsl(text), &value)) {
    return absl::InvalidArgumentError(
        StrCat("\"", absl::CHexEscape(std::string(whole.substr(0, 40))), "\": ", form));
  }
  return value;
}

}  // namespace

absl::StatusOr<Bytes> ParseBytes(std::string_view text) {
  constexpr const char* kForm = "not a size; write 64MiB, 2GiB or a number of bytes";
  static constexpr std::array<std::pair<std::string_view, double>, 13> kSuffixes = {{
      {"TiB", 1024.0 * kGiB},
      {"GiB", kGiB},
      {"MiB", kMiB},
      {"KiB", kKiB},
      {"TB", 1e12},
      {"GB", 1e9},
      {"MB", 1e6},
      {"kB", 1e3},
      {"T", 1024.0 * kGiB},
      {"G", kGiB},
      {"M", kMiB},
      {"K", kKiB},
      {"B", 1},
  }};
  std::string_view number = text;
  double factor = 1;
  for (const auto& [suffix, value] : kSuffixes) {
    if (text.size() > suffix.size() && text.ends_with(suffix)) {
      number.remove_suffix(suffix.size());
      factor = value;
      break;
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(const double value, ParseNonNegative(number, text, kForm));
  if (value * factor > kMaxExact) {
    return absl::InvalidArgumentError(
        StrCat("\"", std::string(text.substr(0, 40)), "\": more than 8 PiB"));
  }
  return Bytes{static_cast<int64_t>(std::llround(value * factor))};
}

absl::StatusOr<MilliCpu> ParseCpu(std::string_view text) {
  constexpr const char* kForm = "not an amount of CPU; write 0.5, 2 or 250m";
  std::string_view number = text;
  double factor = 1000;
  if (text.ends_with("m")) {
    number.remove_suffix(1);
    factor = 1;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const double value, ParseNonNegative(number, text, kForm));
  if (value * factor > 1e9) {
    return absl::InvalidArgumentError(
        StrCat("\"", std::string(text.substr(0, 40)), "\": more than a million cores"));
  }
  return MilliCpu{static_cast<int64_t>(std::llround(value * factor))};
}

std::string ToString(Bytes bytes) {
  static constexpr std::array<std::pair<int64_t, const char*>, 4> kUnits = {
      {{1024 * kGiB, "TiB"}, {kGiB, "GiB"}, {kMiB, "MiB"}, {kKiB, "KiB"}}};
  for (const auto& [size, name] : kUnits) {
    if (bytes.count >= size) {
      if (bytes.count % size == 0) {
        return StrCat(bytes.count / size, name);
      }
      return absl::StrFormat("%.1f%s", static_cast<double>(bytes.count) / static_cast<double>(size),
                             name);
    }
  }
  return StrCat(bytes.count, "B");
}

std::string ToString(MilliCpu cpu) {
  std::string text = absl::StrFormat("%d.%03d", cpu.count / 1000, cpu.count % 1000);
  while (text.back() == '0') {
    text.pop_back();
  }
  if (text.back() == '.') {
    text.pop_back();
  }
  return text;
}

}  // namespace bramble
