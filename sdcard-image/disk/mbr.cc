// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/mbr.h"

#include "base/status.h"
#include "sdcard-image/disk/bytes.h"

#include "absl/strings/str_format.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kDiskIdAt = 440;
constexpr size_t kEntriesAt = 446;
constexpr size_t kEntryBytes = 16;
constexpr uint8_t kActive = 0x80;

}  // namespace

absl::StatusOr<Mbr> ParseMbr(std::string_view sector) {
  if (sector.size() != kMbrBytes || GetLe16(sector, 510) != 0xaa55) {
    return absl::InvalidArgumentError(
        "no partition table: the first sector does not end in 55 AA (not a card image, or "
        "damaged)");
  }
  Mbr mbr;
  mbr.disk_id = GetLe32(sector, kDiskIdAt);
  for (size_t i = 0; i < mbr.partitions.size(); ++i) {
    const size_t at = kEntriesAt + i * kEntryBytes;
    MbrPartition& partition = mbr.partitions[i];
    partition.active = static_cast<unsigned char>(sector[at]) == kActive;
    partition.type = static_cast<unsigned char>(sector[at + 4]);
    partition.start_sector = GetLe32(sector, at + 8);
    partition.sectors = GetLe32(sector, at + 12);
  }
  return mbr;
}

std::string FormatMbr(const Mbr& mbr) {
  std::string sector(kMbrBytes, '\0');
  PutLe32(sector, kDiskIdAt, mbr.disk_id);
  for (size_t i = 0; i < mbr.partitions.size(); ++i) {
    const MbrPartition& partition = mbr.partitions[i];
    if (partition.type == 0) {
      continue;
    }
    const size_t at = kEntriesAt + i * kEntryBytes;
    sector[at] = static_cast<char>(partition.active ? kActive : 0);
    for (const size_t chs : {at + 1, at + 5}) {
      sector[chs] = '\xfe';
      sector[chs + 1] = '\xff';
      sector[chs + 2] = '\xff';
    }
    sector[at + 4] = static_cast<char>(partition.type);
    PutLe32(sector, at + 8, partition.start_sector);
    PutLe32(sector, at + 12, partition.sectors);
  }
  PutLe16(sector, 510, 0xaa55);
  return sector;
}

std::string PartUuid(uint32_t disk_id, int number) {
  return absl::StrFormat("%08x-%02d", disk_id, number);
}

std::string MbrTypeName(uint8_t type) {
  switch (type) {
    case 0x00:
      return "free";
    case 0x05:
    case 0x0f:
      return "extended";
    case 0x0b:
      return "FAT32 (CHS)";
    case kMbrFat32:
      return "FAT32 (LBA)";
    case 0x0e:
      return "FAT16 (LBA)";
    case kMbrSwap:
      return "Linux swap";
    case kMbrLinux:
      return "Linux";
    case kMbrGptProtective:
      return "GPT protective";
    case 0xef:
      return "EFI system";
    default:
      return absl::StrFormat("0x%02x", type);
  }
}

}  // namespace bramble::sdcard
