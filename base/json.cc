// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <algorithm>

#include "base/status.h"

#include "absl/strings/escaping.h"

namespace bramble {
namespace {

constexpr size_t kShownKeyBytes = 60;

std::string Shown(std::string_view text) {
  return absl::CHexEscape(std::string(text.substr(0, kShownKeyBytes)));
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Boost.JSON keeps the last of two equal keys; a person who wrote a key twice should hear of it, so
// the keys that were kept are compared with those in the text.
size_t CountKeys(const json::value& value) {
  size_t count = 0;
  if (const json::object* object = value.if_object()) {
    count += object->size();
    for (const auto& member : *object) {
      count += CountKeys(member.value());
    }
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) {
      count += CountKeys(element);
    }
  }
  return count;
}

// The keys of a valid JSON text: each string that a ':' follows.
size_t CountKeysInText(std::string_view text) {
  size_t count = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == '"') {
        in_string = false;
      }
    } else if (text[i] == '"') {
      in_string = true;
    } else if (text[i] == ':') {
      ++count;
    }
  }
  return count;
}

}  // namespace

absl::StatusOr<json::value> ParseJson(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(
        StrCat("JSON of ", text.size(), " bytes; the limit is ", max_bytes));
  }
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error == json::error::too_deep) {
    return absl::InvalidArgumentError(StrCat("JSON nested deeper than ", kMaxJsonDepth, " levels"));
  }
  if (error) {
    return absl::InvalidArgumentError(StrCat("not valid JSON: ", error.message()));
  }
  if (CountKeys(value) != CountKeysInText(text)) {
    return absl::InvalidArgumentError("JSON with the same key twice in one object");
  }
  return value;
}

JsonObjectReader::JsonObjectReader(const json::value& value, std::string path, UnknownKeys unknown)
    : object_(value.if_object()), path_(std::move(path)), unknown_(unknown) {
  if (object_ == nullptr) {
    status_ = absl::InvalidArgumentError(StrCat(path_, ": expected an object"));
  }
}

const json::value* JsonObjectReader::Find(std::string_view key) {
  asked_.push_back(key);
  if (object_ == nullptr) {
    return nullptr;
  }
  const json::value* value = object_->if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool JsonObjectReader::Has(std::string_view key) { return Find(key) != nullptr; }

const json::value* JsonObjectReader::Require(std::string_view key) {
  const json::value* value = Find(key);
  if (value == nullptr) {
    Fail(key, "missing");
  }
  return value;
}

std::string JsonObjectReader::StringOf(const json::value& value, const std::string& path,
                                       StringLimits limits) {
  const json::string* text = value.if_string();
  std::string problem;
  if (text == nullptr) {
    problem = "expected a string";
  } else if (text->empty() && !limits.allow_empty) {
    problem = "must not be empty";
  } else if (text->size() > limits.max) {
    problem = StrCat("longer than ", limits.max, " bytes");
  } else if (!limits.allow_control && HasControl({text->data(), text->size()})) {
    problem = "contains a control character";
  }
  if (!problem.empty()) {
    Merge(absl::InvalidArgumentError(StrCat(path, ": ", problem)));
    return "";
  }
  return std::string(text->data(), text->size());
}

std::string JsonObjectReader::String(std::string_view key, StringLimits limits) {
  const json::value* value = Require(key);
  return value == nullptr ? "" : StringOf(*value, PathOf(key), limits);
}

std::optional<std::string> JsonObjectReader::OptionalString(std::string_view key,
                                                            StringLimits limits) {
  const json::value* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  return StringOf(*value, PathOf(key), limits);
}

int64_t JsonObjectReader::Int(std::string_view key, IntRange range) {
  if (Require(key) == nullptr) {
    return 0;
  }
  return OptionalInt(key, range).value_or(0);
}

std::optional<int64_t> JsonObjectReader::OptionalInt(std::string_view key, IntRange range) {
  const json::value* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  boost::system::error_code error;
  const int64_t number = value->is_number() ? value->to_number<int64_t>(error) : 0;
  if (!value->is_number() || error) {
    Fail(key, "expected a whole number");
    return std::nullopt;
  }
  if (number < range.min || number > range.max) {
    Fail(key, range.max == INT64_MAX ? StrCat("must be at least ", range.min)
                                     : StrCat("must be from ", range.min, " to ", range.max));
    return std::nullopt;
  }
  return number;
}

bool JsonObjectReader::Bool(std::string_view key) {
  if (Require(key) == nullptr) {
    return false;
  }
  return OptionalBool(key).value_or(false);
}

std::optional<bool> JsonObjectReader::OptionalBool(std::string_view key) {
  const json::value* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_bool()) {
    Fail(key, "expected true or false");
    return std::nullopt;
  }
  return value->get_bool();
}

double JsonObjectReader::Double(std::string_view key) {
  const json::value* value = Require(key);
  if (value == nullptr) {
    return 0;
  }
  if (!value->is_number()) {
    Fail(key, "expected a number");
    return 0;
  }
  return value->to_number<double>();
}

std::vector<const json::value*> JsonObjectReader::List(std::string_view key, size_t max) {
  std::vector<const json::value*> elements;
  const json::value* value = Find(key);
  if (value == nullptr) {
    return elements;
  }
  const json::array* array = value->if_array();
  if (array == nullptr) {
    Fail(key, "expected a list");
  } else if (array->size() > max) {
    Fail(key, StrCat("a list of ", array->size(), "; the limit is ", max));
  } else {
    for (const json::value& element : *array) {
      elements.push_back(&element);
    }
  }
  return elements;
}

std::vector<std::string> JsonObjectReader::StringList(std::string_view key, size_t max,
                                                      StringLimits limits) {
  std::vector<std::string> texts;
  for (const json::value* element : List(key, max)) {
    texts.push_back(StringOf(*element, StrCat(PathOf(key), "[", texts.size(), "]"), limits));
  }
  return texts;
}

std::map<std::string, std::string> JsonObjectReader::StringMap(std::string_view key, size_t max,
                                                               StringLimits limits) {
  std::map<std::string, std::string> entries;
  const json::value* value = Find(key);
  if (value == nullptr) {
    return entries;
  }
  const json::object* object = value->if_object();
  if (object == nullptr) {
    Fail(key, "expected an object of strings");
  } else if (object->size() > max) {
    Fail(key, StrCat("an object of ", object->size(), " entries; the limit is ", max));
  } else {
    for (const auto& member : *object) {
      const std::string name(member.key().data(), member.key().size());
      entries[name] = StringOf(member.value(), StrCat(PathOf(key), ".", Shown(name)), limits);
    }
  }
  return entries;
}

void JsonObjectReader::Fail(std::string_view key, std::string_view message) {
  Merge(absl::InvalidArgumentError(StrCat(PathOf(key), ": ", message)));
}

void JsonObjectReader::Merge(const absl::Status& status) {
  if (status_.ok()) {
    status_ = status;
  }
}

std::string JsonObjectReader::PathOf(std::string_view key) const { return StrCat(path_, ".", key); }

absl::Status JsonObjectReader::Finish() {
  if (unknown_ == UnknownKeys::kRefuse && ok()) {
    for (const auto& member : *object_) {
      const std::string_view key(member.key().data(), member.key().size());
      if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
        return absl::InvalidArgumentError(StrCat(path_, ": unknown field \"", Shown(key), "\""));
      }
    }
  }
  return status_;
}

}  // namespace bramble
