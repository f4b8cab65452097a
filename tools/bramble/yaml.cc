// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/yaml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace bramble::cli {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Words that YAML 1.1 or 1.2 reads as a boolean, null or a number.
bool IsReserved(std::string_view text) {
  static constexpr auto kWords = std::to_array<std::string_view>(
      {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"});
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// Starts with a letter and holds only what has no meaning in YAML: never a number, date or tag.
bool IsPlain(std::string_view text) {
  return !text.empty() && IsLetter(text[0]) && text.back() != ' ' && !IsReserved(text) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsLetter(c) || IsDigit(c) || c == '_' || c == '-' || c == '.' || c == '/' ||
                  c == '+' || c == ' ' || c == '(' || c == ')';
         });
}

// Characters beyond ASCII that YAML takes for a line's end or does not allow: C1 controls, U+2028,
// U+2029 and the byte order mark.  Their bytes, and how they are written.
struct Special {
  std::string_view bytes;
  std::string_view escape;
};
constexpr auto kSpecials = std::to_array<Special>(
    {{"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}, {"\xef\xbb\xbf", "\\ufeff"}});

// The escape of the special character at the start of `text`, and its length; 0 when there is none.
size_t EscapeSpecial(std::string_view text, std::string& out) {
  for (const Special& special : kSpecials) {
    if (text.substr(0, special.bytes.size()) == special.bytes) {
      out += special.escape;
      return special.bytes.size();
    }
  }
  if (text.size() >= 2 && text[0] == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0) {
    char escaped[8];
    std::snprintf(escaped, sizeof(escaped), "\\x%02x", static_cast<unsigned char>(text[1]));
    out += escaped;
    return 2;
  }
  return 0;
}

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (const size_t special = EscapeSpecial(text.substr(i), quoted); special > 0) {
      i += special - 1;
      continue;
    }
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
      quoted += escaped;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string Scalar(const json::value& value) {
  if (value.is_string()) {
    return YamlScalar(std::string_view(value.get_string().data(), value.get_string().size()));
  }
  if (value.is_object()) {
    return "{}";
  }
  if (value.is_array()) {
    return "[]";
  }
  if (value.is_double()) {
    // A reader of YAML 1.1 takes "1e+30" for text and "1.0e+30" for a number.
    char text[64];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), value.get_double());
    std::string number(text, error == std::errc() ? end : text);
    if (number.find('.') == std::string::npos) {
      const size_t exponent = std::min(number.find('e'), number.size());
      number.insert(exponent, ".0");
    }
    return number;
  }
  return json::serialize(value);
}

bool IsEmptyOrScalar(const json::value& value) {
  return (!value.is_object() || value.get_object().empty()) &&
         (!value.is_array() || value.get_array().empty());
}

void Write(const json::value& value, size_t indent, std::string& out);

// After "KEY:" or "-".
void WriteChild(const json::value& child, size_t indent, std::string& out) {
  if (IsEmptyOrScalar(child)) {
    out += ' ';
    out += Scalar(child);
    out += '\n';
    return;
  }
  out += '\n';
  Write(child, indent, out);
}

void Write(const json::value& value, size_t indent, std::string& out) {
  if (IsEmptyOrScalar(value)) {
    out += std::string(indent, ' ') + Scalar(value) + "\n";
    return;
  }
  if (value.is_array()) {
    for (const json::value& item : value.get_array()) {
      if (IsEmptyOrScalar(item)) {
        out += std::string(indent, ' ') + "-";
        WriteChild(item, indent + 2, out);
        continue;
      }
      // "- " takes the place of the first line's indent.
      const size_t start = out.size();
      Write(item, indent + 2, out);
      out[start + indent] = '-';
    }
    return;
  }
  for (const auto& [key, child] : value.get_object()) {
    out += std::string(indent, ' ');
    out += YamlScalar(std::string_view(key.data(), key.size()));
    out += ':';
    WriteChild(child, indent + 2, out);
  }
}

}  // namespace

std::string YamlScalar(std::string_view text) {
  return IsPlain(text) ? std::string(text) : Quoted(text);
}

std::string ToYaml(const json::value& value) {
  std::string out;
  Write(value, 0, out);
  return out;
}

}  // namespace bramble::cli
