// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names in FAT directories: the 8.3 form, and the long one in UTF-16.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr size_t kFatEntryBytes = 32;
inline constexpr size_t kMaxFatName = 255;

// kInvalidArgument: empty, too long, ".", "..", or with a character that FAT forbids.
absl::Status CheckFatName(std::string_view name);
bool FatNamesEqual(std::string_view a, std::string_view b);

// The 11 bytes of a short name that none of `taken` has: "CONFIG  TXT", "BCM271~1DTB".
std::string ShortNameFor(std::string_view name, const std::set<std::string>& taken);
// Whether `name` is its short name as it stands, so that no long one is needed.
bool IsShortName(std::string_view name);
// "CONFIG.TXT"; `lower_case` is the byte at 12 of the entry.
std::string ShortNameText(std::string_view eleven, uint8_t lower_case);
uint8_t ShortNameChecksum(std::string_view eleven);

// The long-name entries that stand before the short one, in the order of the disk.
std::string LongNameEntries(std::string_view name, std::string_view eleven);
// What one long-name entry holds of a name, as UTF-16; ends at its terminator.
std::vector<uint16_t> LongNamePart(std::string_view entry);
std::string Utf16ToUtf8(const std::vector<uint16_t>& units);

}  // namespace bramble::sdcard
