// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/args.h"

#include <charconv>

#include "base/status.h"

#include "absl/strings/cord.h"

namespace bramble::cli {
namespace {

constexpr char kMisusePayload[] = "bramble/misuse";

const std::string& Empty() {
  static const std::string empty;
  return empty;
}

absl::Status WrongFlag(std::string_view flag, const absl::Status& status) {
  return Misuse(StrCat("--", flag, ": ", status.message()));
}

}  // namespace

absl::Status Misuse(std::string_view message) {
  absl::Status status = absl::InvalidArgumentError(ToAbsl(message));
  status.SetPayload(kMisusePayload, absl::Cord());
  return status;
}

bool IsMisuse(const absl::Status& status) { return status.GetPayload(kMisusePayload).has_value(); }

absl::StatusOr<std::chrono::seconds> ParseSeconds(std::string_view text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(at, static_cast<size_t>(end - at));
  constexpr int64_t kMaxSeconds = 366LL * 86400;
  const int64_t factor = unit.empty() || unit == "s" ? 1
                         : unit == "m"               ? 60
                         : unit == "h"               ? 3600
                         : unit == "d"               ? 86400
                                                     : 0;
  if (error != std::errc() || factor == 0 || number < 0 || number > kMaxSeconds / factor) {
    return absl::InvalidArgumentError(
        StrCat("\"", text, "\" is not a duration; write for example 30s, 10m, 2h or 7d"));
  }
  return std::chrono::seconds(number * factor);
}

absl::StatusOr<std::pair<std::string, std::string>> ParseKeyValue(std::string_view what,
                                                                  std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) {
    return Misuse(StrCat(what, " \"", text, "\": write KEY=VALUE"));
  }
  return std::pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

void Args::AddFlag(std::string_view flag, std::string value) {
  flags_[std::string(flag)].push_back(std::move(value));
}

std::string Args::Text(std::string_view flag, std::string_view otherwise) const {
  const auto found = flags_.find(flag);
  return found == flags_.end() ? std::string(otherwise) : found->second.back();
}

const std::vector<std::string>& Args::Texts(std::string_view flag) const {
  static const std::vector<std::string> none;
  const auto found = flags_.find(flag);
  return found == flags_.end() ? none : found->second;
}

absl::StatusOr<std::optional<int64_t>> Args::Int(std::string_view flag, IntRange range) const {
  if (!Has(flag)) {
    return std::nullopt;
  }
  const std::string text = Text(flag);
  int64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at != text.data() + text.size() || number < range.min ||
      number > range.max) {
    return Misuse(
        StrCat("--", flag, " \"", text, "\": write a number from ", range.min, " to ", range.max));
  }
  return number;
}

absl::StatusOr<std::optional<Bytes>> Args::Size(std::string_view flag) const {
  if (!Has(flag)) {
    return std::nullopt;
  }
  const absl::StatusOr<Bytes> size = ParseBytes(Text(flag));
  if (!size.ok()) {
    return WrongFlag(flag, size.status());
  }
  return *size;
}

absl::StatusOr<std::optional<MilliCpu>> Args::Cpu(std::string_view flag) const {
  if (!Has(flag)) {
    return std::nullopt;
  }
  const absl::StatusOr<MilliCpu> cpu = ParseCpu(Text(flag));
  if (!cpu.ok()) {
    return WrongFlag(flag, cpu.status());
  }
  return *cpu;
}

absl::StatusOr<std::optional<std::chrono::seconds>> Args::Seconds(std::string_view flag) const {
  if (!Has(flag)) {
    return std::nullopt;
  }
  const absl::StatusOr<std::chrono::seconds> seconds = ParseSeconds(Text(flag));
  if (!seconds.ok()) {
    return WrongFlag(flag, seconds.status());
  }
  return *seconds;
}

absl::StatusOr<std::map<std::string, std::string>> Args::Map(std::string_view flag) const {
  std::map<std::string, std::string> map;
  for (const std::string& text : Texts(flag)) {
    BRAMBLE_ASSIGN_OR_RETURN(auto entry, ParseKeyValue(StrCat("--", flag), text));
    map[std::move(entry.first)] = std::move(entry.second);
  }
  return map;
}

const std::string& Args::Positional(size_t n) const {
  return n < positionals_.size() ? positionals_[n] : Empty();
}

}  // namespace bramble::cli
