// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "base/status.h"
#include "tools/bramble/output.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kPlain = "\x1b[0m";

std::string_view ColourOf(std::string_view state) {
  const auto is_one_of = [state](std::initializer_list<std::string_view> states) {
    return std::any_of(states.begin(), states.end(), [state](std::string_view each) {
      return state.substr(0, each.size()) == each;
    });
  };
  if (is_one_of({"running", "ready", "succeeded", "ok"})) {
    return kGreen;
  }
  if (is_one_of({"failed", "unreachable", "held", "critical"})) {
    return kRed;
  }
  if (is_one_of({"pending", "suspect", "unknown", "orphaned", "deleting", "warning"})) {
    return kYellow;
  }
  return "";
}

int64_t NumberOf(const json::value& value) {
  return value.is_int64()    ? value.get_int64()
         : value.is_uint64() ? static_cast<int64_t>(value.get_uint64())
         : value.is_double() ? static_cast<int64_t>(value.get_double())
                             : 0;
}

std::string CellText(const Column& column, const json::value& object, WallTime now) {
  if (column.text != nullptr) {
    return column.text(object);
  }
  const json::value* value = At(object, column.path);
  if (value == nullptr || value->is_null()) {
    return "";
  }
  switch (column.as) {
    case As::kAge: {
      const auto then = ParseTime(TextOf(*value));
      return then.ok() ? AgeText(*then, now) : TextOf(*value);
    }
    case As::kLimitSize:
      return NumberOf(*value) == 0 ? "none" : ToString(Bytes{NumberOf(*value)});
    case As::kSize:
      return ToString(Bytes{NumberOf(*value)});
    case As::kCpu:
      return ToString(MilliCpu{NumberOf(*value)});
    case As::kDigest:
      return TextOf(*value).substr(0, 12);
    case As::kText:
    case As::kState:
      break;
  }
  return TextOf(*value);
}

std::string Heading(std::string_view name) {
  std::string heading(name);
  std::transform(heading.begin(), heading.end(), heading.begin(), [](unsigned char c) {
    return c == '_' ? '-' : static_cast<char>(std::toupper(c));
  });
  return heading;
}

std::string Coloured(const std::string& text, const Column& column, bool colours) {
  const std::string_view colour = column.as == As::kState ? ColourOf(text) : "";
  return colours && !colour.empty() ? StrCat(colour, text, kPlain) : text;
}

}  // namespace

const json::value* At(const json::value& object, std::string_view path) {
  const json::value* value = &object;
  while (!path.empty()) {
    if (!value->is_object()) {
      return nullptr;
    }
    // A label's key may hold dots: the longest key that is there wins.
    size_t end = path.size();
    const json::value* next = nullptr;
    while (next == nullptr) {
      next = value->get_object().if_contains(json::string_view(path.data(), end));
      if (next == nullptr) {
        end = path.rfind('.', end - 1);
        if (end == std::string_view::npos || end == 0) {
          return nullptr;
        }
      }
    }
    value = next;
    path = end < path.size() ? path.substr(end + 1) : "";
  }
  return value;
}

std::string NumberText(double number) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), number);
  return error == std::errc() ? std::string(text, end) : std::string();
}

std::string TextOf(const json::value& value) {
  if (value.is_string()) {
    return std::string(value.get_string().data(), value.get_string().size());
  }
  if (value.is_bool()) {
    return value.get_bool() ? "yes" : "no";
  }
  if (value.is_null()) {
    return "";
  }
  if (value.is_double()) {
    return NumberText(value.get_double());
  }
  std::string text;
  if (value.is_array()) {
    for (const json::value& item : value.get_array()) {
      text = StrCat(text, text.empty() ? "" : ",",
                    item.is_object() ? json::serialize(item) : TextOf(item));
    }
    return text;
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.get_object()) {
      text = StrCat(text, text.empty() ? "" : ",", std::string_view(key.data(), key.size()), "=",
                    item.is_object() || item.is_array() ? json::serialize(item) : TextOf(item));
    }
    return text;
  }
  return json::serialize(value);
}

std::string TextAt(const json::value& object, std::string_view path) {
  const json::value* value = At(object, path);
  return value == nullptr ? "" : TextOf(*value);
}

std::string AgeText(WallTime then, WallTime now) {
  const int64_t seconds =
      std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(now - then).count());
  if (seconds < 120) {
    return StrCat(seconds, "s");
  }
  if (seconds < 2 * 3600) {
    return StrCat(seconds / 60, "m");
  }
  if (seconds < 2 * 86400) {
    return StrCat(seconds / 3600, "h");
  }
  return StrCat(seconds / 86400, "d");
}

absl::StatusOr<std::vector<Column>> ChosenColumns(const Resource& resource, const Args& args) {
  std::vector<Column> chosen;
  if (!args.Has("columns")) {
    std::copy_if(resource.columns.begin(), resource.columns.end(), std::back_inserter(chosen),
                 [](const Column& column) { return !column.wide; });
    return chosen;
  }
  for (const std::string& given : args.Texts("columns")) {
    std::string_view names = given;
    while (!names.empty()) {
      const size_t comma = names.find(',');
      const std::string_view name = names.substr(0, comma);
      names = comma == std::string_view::npos ? "" : names.substr(comma + 1);
      if (name == "all") {
        chosen.insert(chosen.end(), resource.columns.begin(), resource.columns.end());
        continue;
      }
      const auto known = std::find_if(resource.columns.begin(), resource.columns.end(),
                                      [name](const Column& column) { return column.name == name; });
      if (known != resource.columns.end()) {
        chosen.push_back(*known);
      } else if (name.find('.') != std::string_view::npos) {
        chosen.push_back({.name = name, .path = name});
      } else {
        std::string all;
        for (const Column& column : resource.columns) {
          all = StrCat(all, column.name, ", ");
        }
        return Misuse(StrCat("--columns: \"", name, "\" is no column; choose of ", all,
                             "all, or a path such as spec.restart.policy"));
      }
    }
  }
  if (chosen.empty()) {
    return Misuse("--columns: name at least one column");
  }
  return chosen;
}

std::string RenderTable(const std::vector<Column>& columns,
                        const std::vector<const json::value*>& objects, WallTime now,
                        bool colours) {
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : columns) {
    rows[0].push_back(Printable(Heading(column.name)));
  }
  for (const json::value* object : objects) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const Column& column : columns) {
      const std::string text = Printable(CellText(column, *object, now));
      row.push_back(text.empty() ? "-" : text);
    }
  }
  std::vector<size_t> widths(columns.size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string table;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i) {
      line += r == 0 ? rows[r][i] : Coloured(rows[r][i], columns[i], colours);
      if (i + 1 < columns.size()) {
        line += std::string(widths[i] - DisplayWidth(rows[r][i]) + 2, ' ');
      }
    }
    table += line + "\n";
  }
  return table;
}

std::string RenderDetails(const std::vector<Column>& columns, const json::value& object,
                          WallTime now, bool colours) {
  size_t width = 0;
  for (const Column& column : columns) {
    width = std::max(width, column.name.size());
  }
  std::string text;
  for (const Column& column : columns) {
    const std::string cell = Printable(CellText(column, object, now));
    if (cell.empty()) {
      continue;
    }
    std::string name = Printable(column.name);
    name += ':';
    name.resize(std::max(width + 3, name.size() + 1), ' ');
    text += name + Coloured(cell, column, colours) + "\n";
  }
  return text;
}

}  // namespace bramble::cli
