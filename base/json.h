// SPDX-License-Identifier: Apache-2.0
#pragma once

// JSON in and out, with limits.  Parsing refuses what is not UTF-8, deeper than kMaxJsonDepth or
// longer than the caller's limit; reading names the path of what is wrong: `container.limits.cpu:
// expected a number`.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "base/strings.h"
#include "base/units.h"

#include "absl/status/statusor.h"

namespace bramble {

namespace json = boost::json;

inline constexpr size_t kMaxJsonDepth = 32;
inline constexpr size_t kMaxJsonBytes = 1 << 20;  // of a request body or a message

// kInvalidArgument: not one JSON value, too deep, not UTF-8, longer than `max_bytes`, or a key
// twice in one object.
absl::StatusOr<json::value> ParseJson(std::string_view text, size_t max_bytes = kMaxJsonBytes);

// What a reader does with a key that it was not asked for.  The wire between our own programs
// ignores them (an older node talks to a newer controller); what people write is refused.
enum class UnknownKeys { kRefuse, kIgnore };

struct StringLimits {
  size_t max = 4096;  // bytes
  bool allow_empty = true;
  bool allow_control = false;  // newline, tab and other control characters
};

// Reads one JSON object field by field.  The first failure is kept and every later call returns a
// default, so that a codec reads all its fields and asks once, by Finish(), whether all was well.
//
//   JsonObjectReader reader(value, "token", UnknownKeys::kRefuse);
//   token.max_uses = reader.Int("max_uses", {.min = 1, .max = 1000});
//   token.pool = reader.OptionalString("pool").value_or("");
//   BRAMBLE_RETURN_IF_ERROR(reader.Finish());
//
// The value must outlive the reader.
class JsonObjectReader {
 public:
  struct IntRange {
    int64_t min = INT64_MIN;
    int64_t max = INT64_MAX;
  };

  JsonObjectReader(const json::value& value, std::string path,
                   UnknownKeys unknown = UnknownKeys::kIgnore);

  bool Has(std::string_view key);

  // A missing key is an error.
  std::string String(std::string_view key, StringLimits limits = {});
  int64_t Int(std::string_view key, IntRange range);
  int64_t Int(std::string_view key) { return Int(key, IntRange{}); }
  bool Bool(std::string_view key);
  double Double(std::string_view key);

  // A missing key, or null, is nullopt.
  std::optional<std::string> OptionalString(std::string_view key, StringLimits limits = {});
  std::optional<int64_t> OptionalInt(std::string_view key, IntRange range);
  std::optional<int64_t> OptionalInt(std::string_view key) { return OptionalInt(key, IntRange{}); }
  std::optional<bool> OptionalBool(std::string_view key);

  // The value below `key`, or nullptr when missing or null.
  const json::value* Find(std::string_view key);
  // The elements of the list below `key`; empty when missing or null.  More than `max` is an error.
  std::vector<const json::value*> List(std::string_view key, size_t max = 10000);
  std::vector<std::string> StringList(std::string_view key, size_t max = 1000,
                                      StringLimits limits = {});
  // An object whose values are strings; empty when missing or null.
  std::map<std::string, std::string> StringMap(std::string_view key, size_t max = 1000,
                                               StringLimits limits = {});

  // The text below `key`, parsed by `Type::Parse` (ids, names).  A missing key is an error.
  template <typename Type>
  Type Parsed(std::string_view key) {
    return ParsedText<Type>(key, String(key));
  }
  template <typename Type>
  Type OptionalParsed(std::string_view key) {
    std::optional<std::string> text = OptionalString(key);
    return text.has_value() && !text->empty() ? ParsedText<Type>(key, *text) : Type();
  }

  // Records that the value below `key` is wrong: "PATH.KEY: MESSAGE".
  void Fail(std::string_view key, std::string_view message);
  // Takes over a status from a nested codec.
  void Merge(const absl::Status& status);
  // The path of `key`, for a nested reader.
  std::string PathOf(std::string_view key) const;

  bool ok() const { return status_.ok(); }
  // The first failure; with UnknownKeys::kRefuse, also an error for each key not asked for.
  absl::Status Finish();

 private:
  template <typename Type>
  Type ParsedText(std::string_view key, const std::string& text) {
    if (!ok()) {
      return Type();
    }
    auto parsed = Type::Parse(text);
    if (!parsed.ok()) {
      Fail(key, MessageOf(parsed.status()));
      return Type();
    }
    return *std::move(parsed);
  }

  const json::value* Require(std::string_view key);
  std::string StringOf(const json::value& value, const std::string& path, StringLimits limits);

  const json::object* object_ = nullptr;
  std::string path_;
  UnknownKeys unknown_;
  std::vector<std::string_view> asked_;
  absl::Status status_;
};

}  // namespace bramble
