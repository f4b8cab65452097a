// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/firstboot/growth.h"

#include <algorithm>

#include "sdcard-image/disk/layout.h"

namespace bramble::sdcard {

std::optional<Mbr> PlanGrowth(const Mbr& mbr, int number, uint64_t disk_bytes) {
  const MbrPartition& root = mbr.partitions[static_cast<size_t>(number - 1)];
  if (root.type != kMbrLinux) {
    return std::nullopt;
  }
  for (const MbrPartition& other : mbr.partitions) {
    if (other.type != 0 && other.start_sector > root.start_sector) {
      return std::nullopt;  // it would run into that one
    }
  }
  const uint64_t end = std::min(disk_bytes / kUnitBytes * kUnitBytes, kMaxCardBytes);
  if (end <= root.end()) {
    return std::nullopt;
  }
  Mbr grown = mbr;
  grown.partitions[static_cast<size_t>(number - 1)].sectors =
      static_cast<uint32_t>((end - root.offset()) / kSectorBytes);
  return grown;
}

}  // namespace bramble::sdcard
