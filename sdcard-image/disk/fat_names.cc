// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/fat_names.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/status.h"
#include "sdcard-image/disk/bytes.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kUnitsPerEntry = 13;
constexpr uint8_t kLastLongEntry = 0x40;
constexpr uint8_t kLongNameAttribute = 0x0f;
// Where the 13 UTF-16 units of a long-name entry are.
constexpr std::array<size_t, kUnitsPerEntry> kUnitAt = {1,  3,  5,  7,  9,  14, 16,
                                                        18, 20, 22, 24, 28, 30};

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool FitsShort(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'()-@^_`{}~").find(c) != std::string_view::npos;
}

struct Split {
  std::string_view stem;
  std::string_view extension;
};
Split SplitName(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) {
    return {name, ""};
  }
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// What of `text` a short name may hold, in upper case, at most `limit` bytes.
std::string Shortened(std::string_view text, size_t limit) {
  std::string kept;
  for (const char c : text) {
    if (FitsShort(Upper(c)) && kept.size() < limit) {
      kept += Upper(c);
    }
  }
  return kept;
}

std::string Padded(std::string stem, std::string extension) {
  stem.resize(8, ' ');
  extension.resize(3, ' ');
  return stem + extension;
}

std::vector<uint16_t> Utf8ToUtf16(std::string_view text) {
  std::vector<uint16_t> units;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t j = 1; j < length; ++j) {
      code = (code << 6) | (static_cast<unsigned char>(text[i + j]) & 0x3fu);
    }
    if (code >= 0x10000) {
      units.push_back(static_cast<uint16_t>(0xd800 + ((code - 0x10000) >> 10)));
      units.push_back(static_cast<uint16_t>(0xdc00 + ((code - 0x10000) & 0x3ff)));
    } else {
      units.push_back(static_cast<uint16_t>(code));
    }
    i += length;
  }
  return units;
}

}  // namespace

absl::Status CheckFatName(std::string_view name) {
  const bool bad_character = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 ||
           std::string_view("\"*/:<>?\\|\x7f").find(c) != std::string_view::npos;
  });
  if (name.empty() || name == "." || name == ".." || name.size() > kMaxFatName || bad_character ||
      name.back() == '.' || name.back() == ' ' || !IsUtf8(name)) {
    return absl::InvalidArgumentError(
        StrCat("\"", name, "\" is no name that a FAT file system can hold"));
  }
  return absl::OkStatus();
}

bool FatNamesEqual(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Upper(x) == Upper(y); });
}

bool IsShortName(std::string_view name) {
  const Split split = SplitName(name);
  return split.stem.size() <= 8 && split.extension.size() <= 3 && !split.stem.empty() &&
         name.back() != '.' && std::all_of(split.stem.begin(), split.stem.end(), FitsShort) &&
         std::all_of(split.extension.begin(), split.extension.end(), FitsShort);
}

std::string ShortNameFor(std::string_view name, const std::set<std::string>& taken) {
  const Split split = SplitName(name);
  const std::string stem = Shortened(split.stem, 8);
  const std::string extension = Shortened(split.extension, 3);
  std::string upper;
  std::transform(name.begin(), name.end(), std::back_inserter(upper), Upper);
  if (IsShortName(upper)) {
    const std::string plain = Padded(stem, extension);
    if (!taken.contains(plain)) {
      return plain;
    }
  }
  for (int n = 1;; ++n) {
    const std::string tail = StrCat("~", n);
    std::string numbered = stem.substr(0, 8 - tail.size()) + tail;
    std::string candidate = Padded(std::move(numbered), extension);
    if (!taken.contains(candidate)) {
      return candidate;
    }
  }
}

std::string ShortNameText(std::string_view eleven, uint8_t lower_case) {
  constexpr uint8_t kLowerStem = 0x08;
  constexpr uint8_t kLowerExtension = 0x10;
  const auto part = [](std::string_view text, bool lower) {
    std::string out(text.substr(0, text.find_last_not_of(' ') + 1));
    if (lower) {
      std::transform(out.begin(), out.end(), out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
    }
    return out;
  };
  std::string stem = part(eleven.substr(0, 8), (lower_case & kLowerStem) != 0);
  if (!stem.empty() && stem[0] == '\x05') {
    stem[0] = '\xe5';
  }
  const std::string extension = part(eleven.substr(8, 3), (lower_case & kLowerExtension) != 0);
  return extension.empty() ? stem : stem + "." + extension;
}

uint8_t ShortNameChecksum(std::string_view eleven) {
  uint8_t sum = 0;
  for (const char c : eleven) {
    sum = static_cast<uint8_t>(((sum & 1) << 7) + (sum >> 1) + static_cast<unsigned char>(c));
  }
  return sum;
}

std::string LongNameEntries(std::string_view name, std::string_view eleven) {
  const std::vector<uint16_t> units = Utf8ToUtf16(name);
  const size_t count = (units.size() + kUnitsPerEntry - 1) / kUnitsPerEntry;
  std::string entries;
  for (size_t part = count; part > 0; --part) {
    std::string entry(kFatEntryBytes, '\0');
    entry[0] = static_cast<char>(part | (part == count ? kLastLongEntry : 0));
    entry[11] = static_cast<char>(kLongNameAttribute);
    entry[13] = static_cast<char>(ShortNameChecksum(eleven));
    for (size_t i = 0; i < kUnitsPerEntry; ++i) {
      const size_t at = (part - 1) * kUnitsPerEntry + i;
      const uint16_t unit = at < units.size() ? units[at] : at == units.size() ? 0 : 0xffff;
      PutLe16(entry, kUnitAt[i], unit);
    }
    entries += entry;
  }
  return entries;
}

std::vector<uint16_t> LongNamePart(std::string_view entry) {
  std::vector<uint16_t> units;
  for (const size_t at : kUnitAt) {
    const uint16_t unit = GetLe16(entry, at);
    if (unit == 0) {
      break;
    }
    units.push_back(unit);
  }
  return units;
}

std::string Utf16ToUtf8(const std::vector<uint16_t>& units) {
  std::string text;
  const auto put = [&text](uint32_t lead, uint32_t code, int more) {
    text += static_cast<char>(lead | (code >> (6 * more)));
    for (int shift = 6 * (more - 1); shift >= 0; shift -= 6) {
      text += static_cast<char>(0x80 | ((code >> shift) & 0x3f));
    }
  };
  for (size_t i = 0; i < units.size(); ++i) {
    uint32_t code = units[i];
    const bool high = code >= 0xd800 && code < 0xdc00;
    if (high && i + 1 < units.size() && units[i + 1] >= 0xdc00 && units[i + 1] < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (units[++i] - 0xdc00u);
    } else if (code >= 0xd800 && code < 0xe000) {
      code = 0xfffd;
    }
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      put(0xc0, code, 1);
    } else if (code < 0x10000) {
      put(0xe0, code, 2);
    } else {
      put(0xf0, code, 3);
    }
  }
  return text;
}

}  // namespace bramble::sdcard
