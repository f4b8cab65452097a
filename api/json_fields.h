// SPDX-License-Identifier: Apache-2.0
#pragma once

// What controller, node, CLI, web page and documents agree on: one header per resource, each with
// its JSON codec.  A change here is a protocol change.  Nothing here does I/O.
//
// Every codec is a pair: `json::object ToJson(const X&)` and `StatusOr<X> XFromJson(value, path,
// unknown)`.  Times are RFC 3339 in UTC, sizes end in `_bytes`, CPU in `_milli` (1000 = one core).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/units.h"

#include "absl/status/statusor.h"

namespace bramble::api {

json::object ToJson(const std::map<std::string, std::string>& entries);
json::array ToJson(const std::vector<std::string>& texts);

// A time below `key`, as written by FormatTime.
WallTime TimeField(JsonObjectReader& reader, std::string_view key);
std::optional<WallTime> OptionalTimeField(JsonObjectReader& reader, std::string_view key);

// The enumerator named by the text below `key`; `names` lists all, in order of the enumerators.
template <typename Enum, size_t kCount>
Enum EnumField(JsonObjectReader& reader, std::string_view key,
               const std::string_view (&names)[kCount], std::optional<Enum> otherwise = {}) {
  const std::optional<std::string> text = reader.OptionalString(key);
  if (!text.has_value()) {
    if (!otherwise.has_value()) {
      reader.Fail(key, "missing");
    }
    return otherwise.value_or(Enum{});
  }
  std::string all;
  for (size_t i = 0; i < kCount; ++i) {
    if (names[i] == *text) {
      return static_cast<Enum>(i);
    }
    all = StrCat(all, i == 0 ? "" : ", ", names[i]);
  }
  reader.Fail(key, StrCat("expected one of ", all));
  return Enum{};
}

}  // namespace bramble::api
