// SPDX-License-Identifier: Apache-2.0
// FatVolume::Format: an empty FAT32.
#include <algorithm>

#include "base/status.h"
#include "sdcard-image/disk/bytes.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/fat_layout.h"
#include "sdcard-image/disk/fat_names.h"
#include "sdcard-image/disk/mbr.h"

namespace bramble::sdcard {
namespace {

constexpr uint32_t kReservedSectors = 32;
constexpr uint32_t kBackupBootSector = 6;

absl::Status CheckLabel(const std::string& label) {
  const bool good =
      label.size() <= 11 && std::all_of(label.begin(), label.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == ' ';
      });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError(
                    StrCat("volume label \"", label, "\": take at most 11 of A-Z, 0-9, - and _"));
}

std::string BootSector(const FatFormatOptions& options, const std::string& label,
                       uint32_t sectors_per_cluster, uint32_t total_sectors, uint32_t fat_sectors) {
  std::string boot(kSectorBytes, '\0');
  boot.replace(0, 3, "\xeb\x58\x90", 3);
  boot.replace(3, 8, "BRAMBLE ");
  PutLe16(boot, 11, static_cast<uint16_t>(kSectorBytes));
  boot[13] = static_cast<char>(sectors_per_cluster);
  PutLe16(boot, 14, static_cast<uint16_t>(kReservedSectors));
  boot[16] = 2;           // tables
  boot[21] = '\xf8';      // fixed disk
  PutLe16(boot, 24, 63);  // CHS geometry, which nobody uses
  PutLe16(boot, 26, 255);
  PutLe32(boot, 28, options.hidden_sectors);
  PutLe32(boot, 32, total_sectors);
  PutLe32(boot, 36, fat_sectors);
  PutLe32(boot, 44, 2);  // cluster of the root directory
  PutLe16(boot, 48, 1);  // sector of the counters
  PutLe16(boot, 50, static_cast<uint16_t>(kBackupBootSector));
  boot[64] = '\x80';
  boot[66] = '\x29';
  PutLe32(boot, 67, options.volume_id);
  boot.replace(71, 11, label);
  boot.replace(82, 8, "FAT32   ");
  PutLe16(boot, 510, 0xaa55);
  return boot;
}

}  // namespace

std::string FatInfoSector(uint32_t free_clusters, uint32_t next_free) {
  std::string info(kSectorBytes, '\0');
  PutLe32(info, 0, 0x41615252);
  PutLe32(info, 484, 0x61417272);
  PutLe32(info, 488, free_clusters);
  PutLe32(info, 492, next_free);
  PutLe32(info, 508, 0xaa550000);
  return info;
}

absl::StatusOr<FatVolume> FatVolume::Format(ByteDevice& device, const FatFormatOptions& options) {
  BRAMBLE_RETURN_IF_ERROR(CheckLabel(options.label));
  std::string label = options.label;
  label.resize(11, ' ');
  const auto total = static_cast<uint32_t>(device.size() / kSectorBytes);
  // Few sectors per cluster, which every boot ROM of the Pi reads (1 or 4).
  const uint32_t per_cluster = total / 4 >= 2 * kMinFat32Clusters ? 4 : 1;
  const uint32_t fat_sectors = (total / per_cluster + 2) * 4 / kSectorBytes + 1;
  const uint32_t clusters = (total - kReservedSectors - 2 * fat_sectors) / per_cluster;
  if (total < kReservedSectors + 2 * fat_sectors || clusters < kMinFat32Clusters) {
    return absl::InvalidArgumentError(
        StrCat(device.name(), ": ", device.size(), " bytes are too small for FAT32"));
  }
  // The system area is zeros where nothing else is written below.
  const std::string zeros(64 * 1024, '\0');
  const uint64_t system_end =
      uint64_t{kReservedSectors + 2 * fat_sectors + per_cluster} * kSectorBytes;
  for (uint64_t at = 0; at < system_end; at += zeros.size()) {
    BRAMBLE_RETURN_IF_ERROR(device.WriteAt(
        at, std::string_view(zeros).substr(0, std::min<uint64_t>(zeros.size(), system_end - at))));
  }
  const std::string boot = BootSector(options, label, per_cluster, total, fat_sectors);
  const std::string info = FatInfoSector(clusters - 1, 3);
  std::string info_end(kSectorBytes, '\0');
  PutLe32(info_end, 508, 0xaa550000);
  for (const uint32_t base : {0u, kBackupBootSector}) {
    BRAMBLE_RETURN_IF_ERROR(device.WriteAt(base * kSectorBytes, boot));
    BRAMBLE_RETURN_IF_ERROR(device.WriteAt((base + 1) * kSectorBytes, info));
    BRAMBLE_RETURN_IF_ERROR(device.WriteAt((base + 2) * kSectorBytes, info_end));
  }
  std::string head(12, '\0');
  PutLe32(head, 0, 0x0ffffff8);
  PutLe32(head, 4, kFatEndOfChain);
  PutLe32(head, 8, kFatEndOfChain);  // the root directory
  for (const uint32_t fat : {0u, 1u}) {
    BRAMBLE_RETURN_IF_ERROR(
        device.WriteAt(uint64_t{kReservedSectors + fat * fat_sectors} * kSectorBytes, head));
  }
  if (!options.label.empty()) {
    std::string entry(kFatEntryBytes, '\0');
    entry.replace(0, 11, label);
    entry[11] = static_cast<char>(kFatVolumeLabel);
    BRAMBLE_RETURN_IF_ERROR(
        device.WriteAt(uint64_t{kReservedSectors + 2 * fat_sectors} * kSectorBytes, entry));
  }
  return Open(device);
}

}  // namespace bramble::sdcard
