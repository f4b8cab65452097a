// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <algorithm>
#include <charconv>

// Our own errors, no exceptions from the parser; its templates are compiled here only.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

namespace bramble {
namespace {

struct Unit {
  std::string_view name;
  int64_t ms;
};
// Longest names first where one begins with another.
constexpr Unit kUnits[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr int64_t kMaxDurationMs = int64_t{1000} * 366 * 86'400'000;

std::string_view TypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

const toml::node& NodeOf(const void* node) { return *static_cast<const toml::node*>(node); }

// Found among `known`: the one that `key` may be a slip of.
std::string Suggestion(std::string_view key, const std::vector<std::string>& known) {
  for (const std::string& each : known) {
    const size_t common = std::min(key.size(), each.size());
    size_t same = 0;
    while (same < common && key[same] == each[same]) {
      ++same;
    }
    size_t tail = 0;
    while (tail < common - same && key[key.size() - 1 - tail] == each[each.size() - 1 - tail]) {
      ++tail;
    }
    if (same + tail + 2 >= std::max(key.size(), each.size()) && same + tail >= 2) {
      return StrCat("; did you mean \"", each, "\"?");
    }
  }
  return "";
}

}  // namespace

struct ConfigFile::Tree {
  std::string name;
  toml::table root;
};

ConfigFile::ConfigFile(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
ConfigFile::ConfigFile(ConfigFile&&) noexcept = default;
ConfigFile& ConfigFile::operator=(ConfigFile&&) noexcept = default;
ConfigFile::~ConfigFile() = default;

absl::StatusOr<ConfigFile> ConfigFile::Load(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  return Parse(text, path.string());
}

absl::StatusOr<ConfigFile> ConfigFile::Parse(std::string_view text, std::string name) {
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return absl::InvalidArgumentError(StrCat(name, ":", error.source().begin.line, ":",
                                             error.source().begin.column,
                                             ": not valid TOML: ", error.description()));
  }
  auto tree = std::make_unique<Tree>();
  tree->name = std::move(name);
  tree->root = std::move(parsed).table();
  return ConfigFile(std::move(tree));
}

ConfigReader ConfigFile::Root() const { return ConfigReader(tree_.get(), &tree_->root, ""); }

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  int64_t total = 0;
  int64_t smaller_than = kMaxDurationMs + 1;
  bool good = !rest.empty();
  while (good && !rest.empty()) {
    int64_t number = 0;
    const char* end = rest.data() + rest.size();
    const auto [stop, error] = std::from_chars(rest.data(), end, number);
    good = error == std::errc() && rest.front() != '-' && number <= kMaxDurationMs;
    rest.remove_prefix(static_cast<size_t>(stop - rest.data()));
    const Unit* unit = std::find_if(std::begin(kUnits), std::end(kUnits), [rest](const Unit& each) {
      return rest.starts_with(each.name);
    });
    good = good && unit != std::end(kUnits) && unit->ms < smaller_than &&
           number <= kMaxDurationMs / unit->ms;
    if (good) {
      total += number * unit->ms;
      smaller_than = unit->ms;
      rest.remove_prefix(unit->name.size());
    }
  }
  if (!good) {
    return absl::InvalidArgumentError(
        "expected a duration such as \"30s\", \"500ms\", \"5m\" or \"1h30m\"");
  }
  return std::chrono::milliseconds(total);
}

int ExitCodeOf(const absl::Status& why) {
  const bool lasts = absl::IsInvalidArgument(why) || absl::IsNotFound(why) ||
                     absl::IsPermissionDenied(why) || absl::IsFailedPrecondition(why);
  return lasts ? kConfigurationExit : 1;
}

int RefuseConfiguration(std::string_view program, const std::filesystem::path& file,
                        const absl::Status& why) {
  const std::string next = StrCat("mend it, look at it by `", program, " --config ", file.string(),
                                  " --check-config`, then `systemctl restart ", program, "`");
  StderrLogSink sink(StderrLogSink::JournalReadsStderr());
  Logger(sink, LogLevel::kInfo).Error("configuration_refused", {{"error", why}, {"next", next}});
  return ExitCodeOf(why);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  int64_t left = duration.count();
  std::string text;
  for (auto unit = std::rbegin(kUnits); unit != std::rend(kUnits); ++unit) {
    if (left >= unit->ms) {
      text += StrCat(left / unit->ms, unit->name);
      left %= unit->ms;
    }
  }
  return text.empty() ? "0s" : text;
}

const void* ConfigReader::Find(std::string_view key) {
  asked_.emplace_back(key);
  if (table_ == nullptr) {
    return nullptr;
  }
  return static_cast<const toml::table*>(table_)->get(key);
}

bool ConfigReader::Has(std::string_view key) { return Find(key) != nullptr; }

void ConfigReader::Fail(std::string_view key, std::string_view message) {
  if (!ok()) {
    return;
  }
  const toml::table* table = static_cast<const toml::table*>(table_);
  const toml::node* node = table != nullptr ? table->get(key) : nullptr;
  const auto line = node != nullptr    ? node->source().begin.line
                    : table != nullptr ? table->source().begin.line
                                       : 0;
  status_ = absl::InvalidArgumentError(StrCat(file_->name, line != 0 ? StrCat(":", line) : "",
                                              ": key \"", path_, key, "\": ", message));
}

void ConfigReader::Merge(const absl::Status& status) {
  if (ok()) {
    status_ = status;
  }
}

std::string ConfigReader::String(std::string_view key, std::string_view otherwise) {
  const void* found = Find(key);
  if (found == nullptr) {
    return std::string(otherwise);
  }
  const toml::node& node = NodeOf(found);
  const toml::value<std::string>* text = node.as_string();
  if (text == nullptr) {
    Fail(key, StrCat("expected a string in quotes, got ", TypeName(node)));
    return std::string(otherwise);
  }
  for (const char c : text->get()) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      Fail(key, "control characters are not allowed");
      return std::string(otherwise);
    }
  }
  return text->get();
}

int64_t ConfigReader::Int(std::string_view key, int64_t otherwise, IntRange range) {
  const void* found = Find(key);
  if (found == nullptr) {
    return otherwise;
  }
  const toml::value<int64_t>* number = NodeOf(found).as_integer();
  if (number == nullptr) {
    Fail(key, StrCat("expected a whole number, got ", TypeName(NodeOf(found))));
    return otherwise;
  }
  if (number->get() < range.min || number->get() > range.max) {
    Fail(key, StrCat("expected ", range.min, " to ", range.max, ", got ", number->get()));
    return otherwise;
  }
  return number->get();
}

bool ConfigReader::Bool(std::string_view key, bool otherwise) {
  const void* found = Find(key);
  if (found == nullptr) {
    return otherwise;
  }
  const toml::value<bool>* value = NodeOf(found).as_boolean();
  if (value == nullptr) {
    Fail(key, StrCat("expected true or false, without quotes, got ", TypeName(NodeOf(found))));
    return otherwise;
  }
  return value->get();
}

double ConfigReader::Double(std::string_view key, double otherwise) {
  const void* found = Find(key);
  if (found == nullptr) {
    return otherwise;
  }
  const std::optional<double> value = NodeOf(found).value<double>();
  if (!value.has_value() || !NodeOf(found).is_number()) {
    Fail(key, StrCat("expected a number, got ", TypeName(NodeOf(found))));
    return otherwise;
  }
  return *value;
}

template <typename T, typename Parse>
T ConfigReader::ParsedText(std::string_view key, T otherwise, std::string_view example,
                           Parse parse) {
  const void* found = Find(key);
  if (found == nullptr) {
    return otherwise;
  }
  const toml::value<std::string>* text = NodeOf(found).as_string();
  if (text == nullptr) {
    Fail(key, StrCat("expected ", example, ", in quotes, got ", TypeName(NodeOf(found))));
    return otherwise;
  }
  auto parsed = parse(std::string_view(text->get()));
  if (!parsed.ok()) {
    Fail(key, StrCat(MessageOf(parsed.status()), MessageOf(parsed.status()).starts_with('"')
                                                     ? ""
                                                     : StrCat(", got \"", text->get(), "\"")));
    return otherwise;
  }
  return *parsed;
}

std::chrono::milliseconds ConfigReader::Duration(std::string_view key,
                                                 std::chrono::milliseconds otherwise) {
  const auto duration = ParsedText(key, otherwise, "a duration such as \"30s\"", ParseDuration);
  if (ok() && duration.count() < 1 && duration != otherwise) {
    Fail(key, "expected a duration of at least \"1ms\"");
    return otherwise;
  }
  return duration;
}

Bytes ConfigReader::Size(std::string_view key, Bytes otherwise) {
  return ParsedText(key, otherwise, "a size such as \"64MiB\"", ParseBytes);
}

Ipv4 ConfigReader::Address(std::string_view key, Ipv4 otherwise) {
  return ParsedText(key, otherwise, "an IPv4 address such as \"172.16.0.1\"", Ipv4::Parse);
}

Ipv4Prefix ConfigReader::Prefix(std::string_view key, Ipv4Prefix otherwise) {
  return ParsedText(key, otherwise, "a network such as \"172.16.0.0/24\"", Ipv4Prefix::Parse);
}

std::vector<std::string> ConfigReader::Strings(std::string_view key,
                                               std::vector<std::string> otherwise) {
  const void* found = Find(key);
  if (found == nullptr) {
    return otherwise;
  }
  const toml::array* list = NodeOf(found).as_array();
  std::vector<std::string> texts;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const toml::value<std::string>* text = (*list)[i].as_string();
    if (text == nullptr) {
      list = nullptr;
      break;
    }
    texts.push_back(text->get());
  }
  if (list == nullptr) {
    Fail(key, "expected a list of strings such as [\"a\", \"b\"]");
    return otherwise;
  }
  return texts;
}

ConfigReader ConfigReader::Table(std::string_view key) {
  const void* found = Find(key);
  const toml::table* table = found != nullptr ? NodeOf(found).as_table() : nullptr;
  if (found != nullptr && table == nullptr) {
    Fail(key, StrCat("expected a table, [", path_, key, "], got ", TypeName(NodeOf(found))));
  }
  return ConfigReader(file_, table, StrCat(path_, key, "."));
}

std::vector<ConfigReader> ConfigReader::Tables(std::string_view key) {
  std::vector<ConfigReader> readers;
  const void* found = Find(key);
  if (found == nullptr) {
    return readers;
  }
  const toml::array* list = NodeOf(found).as_array();
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const toml::table* table = (*list)[i].as_table();
    if (table == nullptr) {
      list = nullptr;
      break;
    }
    readers.push_back(ConfigReader(file_, table, StrCat(path_, key, "[", i, "].")));
  }
  if (list == nullptr) {
    Fail(key, StrCat("expected tables, [[", path_, key, "]]"));
    readers.clear();
  }
  return readers;
}

std::vector<std::string> ConfigReader::Keys() {
  std::vector<std::pair<unsigned, std::string>> found;
  if (table_ != nullptr) {
    for (const auto& [key, value] : *static_cast<const toml::table*>(table_)) {
      found.emplace_back(key.source().begin.line, std::string(key.str()));
      asked_.emplace_back(key.str());
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> keys;
  for (auto& [line, key] : found) {
    keys.push_back(std::move(key));
  }
  return keys;
}

absl::Status ConfigReader::Finish() {
  if (!ok() || table_ == nullptr) {
    return status_;
  }
  for (const auto& [key, value] : *static_cast<const toml::table*>(table_)) {
    const std::string_view name = key.str();
    if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) {
      return absl::InvalidArgumentError(StrCat(file_->name, ":", key.source().begin.line,
                                               ": unknown key \"", path_, name, "\"",
                                               Suggestion(name, asked_)));
    }
  }
  return absl::OkStatus();
}

}  // namespace bramble
