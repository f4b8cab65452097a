// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/terminal_text.h"

#include <cstdint>
#include <cstdio>

namespace bramble::cli {
namespace {

struct Decoded {
  uint32_t code = 0;
  size_t bytes = 1;
  bool valid = false;
};

// One character of UTF-8 (RFC 3629).
Decoded Decode(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return {.code = first, .bytes = 1, .valid = true};
  }
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || text.size() < length) {
    return {};
  }
  uint32_t code = first & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return {};
    }
    code = (code << 6) | (byte(i) & 0x3f);
  }
  const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    return {};
  }
  return {.code = code, .bytes = length, .valid = true};
}

// Bidirectional controls and line separators (Unicode 15, "Default_Ignorable" and "Zl", "Zp").
bool TurnsTheText(uint32_t code) {
  return (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x2069) || code == 0xfeff;
}

// Characters of two columns (East Asian Width "W" and "F"; the blocks, not every gap).
bool IsWide(uint32_t code) {
  return (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
         (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
         (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
         (code >= 0x1f300 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd);
}

bool IsCombining(uint32_t code) {
  return (code >= 0x300 && code <= 0x36f) || (code >= 0xfe00 && code <= 0xfe0f);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string printable;
  printable.reserve(text.size());
  while (!text.empty()) {
    const Decoded next = Decode(text);
    char escaped[16];
    if (!next.valid || next.code < 0x20 || (next.code >= 0x7f && next.code < 0xa0)) {
      if (next.code == '\n' || next.code == '\t' || next.code == '\r') {
        printable += next.code == '\n' ? "\\n" : next.code == '\t' ? "\\t" : "\\r";
      } else {
        const unsigned value = next.valid ? next.code : static_cast<unsigned char>(text[0]);
        std::snprintf(escaped, sizeof(escaped), "\\x%02x", value);
        printable += escaped;
      }
    } else if (TurnsTheText(next.code)) {
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", next.code);
      printable += escaped;
    } else {
      printable += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return printable;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Decoded next = Decode(text);
    width += IsCombining(next.code) ? 0 : IsWide(next.code) ? 2 : 1;
    text.remove_prefix(next.bytes);
  }
  return width;
}

}  // namespace bramble::cli
