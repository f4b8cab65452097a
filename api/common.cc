// SPDX-License-Identifier: Apache-2.0
#include "api/common.h"

#include <algorithm>

#include "absl/strings/escaping.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxKeyBytes = 63;

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= kMaxKeyBytes && IsAlphanumeric(key.front()) &&
         IsAlphanumeric(key.back()) && std::all_of(key.begin(), key.end(), [](char c) {
           return IsAlphanumeric(c) || c == '.' || c == '/' || c == '-' || c == '_';
         });
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

absl::Status CheckLabels(const Labels& labels, std::string_view path) {
  if (labels.size() > kMaxLabels) {
    return absl::InvalidArgumentError(
        StrCat(path, ": ", labels.size(), " labels; the limit is ", kMaxLabels));
  }
  for (const auto& [key, value] : labels) {
    if (!IsKey(key)) {
      return absl::InvalidArgumentError(
          StrCat(path, ": label key \"", absl::CHexEscape(key.substr(0, 80)),
                 "\": write 1 to 63 of a-z, 0-9, '.', '/', '-', '_', with a letter or digit at "
                 "both ends"));
    }
    if (value.size() > kMaxLabelBytes || !IsPrintable(value)) {
      return absl::InvalidArgumentError(StrCat(path, ": the value of label \"", key,
                                               "\" must be at most ", kMaxLabelBytes,
                                               " printable ASCII characters"));
    }
  }
  return absl::OkStatus();
}

json::object ToJson(const std::map<std::string, std::string>& entries) {
  json::object object;
  for (const auto& [key, value] : entries) {
    object[key] = value;
  }
  return object;
}

json::array ToJson(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) {
    array.emplace_back(text);
  }
  return array;
}

WallTime TimeField(JsonObjectReader& reader, std::string_view key) {
  if (!reader.Has(key)) {
    reader.Fail(key, "missing");
  }
  return OptionalTimeField(reader, key).value_or(WallTime{});
}

std::optional<WallTime> OptionalTimeField(JsonObjectReader& reader, std::string_view key) {
  const std::optional<std::string> text = reader.OptionalString(key);
  if (!text.has_value() || !reader.ok()) {
    return std::nullopt;
  }
  absl::StatusOr<WallTime> time = ParseTime(*text);
  if (!time.ok()) {
    reader.Fail(key, MessageOf(time.status()));
    return std::nullopt;
  }
  return *time;
}

}  // namespace bramble::api
