// SPDX-License-Identifier: Apache-2.0
#pragma once

// The partition table of a card: a master boot record of four primary partitions, which is all that
// the boot ROM of a Pi 2, 3 and Zero 2 reads.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr uint64_t kSectorBytes = 512;
inline constexpr size_t kMbrBytes = 512;

// Types of partitions that matter here.
inline constexpr uint8_t kMbrFat32 = 0x0c;  // FAT32, LBA
inline constexpr uint8_t kMbrSwap = 0x82;
inline constexpr uint8_t kMbrLinux = 0x83;
inline constexpr uint8_t kMbrGptProtective = 0xee;

struct MbrPartition {
  uint8_t type = 0;  // 0: the slot is free
  bool active = false;
  uint32_t start_sector = 0;
  uint32_t sectors = 0;

  uint64_t offset() const { return start_sector * kSectorBytes; }
  uint64_t bytes() const { return sectors * kSectorBytes; }
  uint64_t end() const { return offset() + bytes(); }
  friend bool operator==(const MbrPartition&, const MbrPartition&) = default;
};

struct Mbr {
  uint32_t disk_id = 0;
  std::array<MbrPartition, 4> partitions{};

  friend bool operator==(const Mbr&, const Mbr&) = default;
};

// kInvalidArgument: not 512 bytes, or no 0x55AA at its end.
absl::StatusOr<Mbr> ParseMbr(std::string_view sector);
// 512 bytes.  The CHS fields say "beyond CHS" (fe ff ff), as every tool of today does.
std::string FormatMbr(const Mbr& mbr);

// The PARTUUID that Linux gives partition `number` (1 to 4): "1234abcd-02".
std::string PartUuid(uint32_t disk_id, int number);

// "FAT32 (LBA)", "Linux", "0x17".
std::string MbrTypeName(uint8_t type);

}  // namespace bramble::sdcard
