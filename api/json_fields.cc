// SPDX-License-Identifier: Apache-2.0
#include "api/json_fields.h"

namespace bramble::api {

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
