// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the parts of a card lie.  Pure.
//
//   unit 0       the partition table, and nothing else
//   boot         FAT32, which the firmware reads
//   swap
//   root         ext4, last: it grows to the end of any card without moving a byte
//
// A unit is 4 MiB: the largest erase block that the SD specification allows cards of this class.
// Every start, every end and the end of the disk lie on such a line.

#include <cstdint>

#include "base/units.h"
#include "sdcard-image/disk/mbr.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr uint64_t kUnitBytes = 4 << 20;
// 7,629 units: what the smallest cards sold as 32 GB hold.
inline constexpr uint64_t kDefaultCardBytes = 7629 * kUnitBytes;
static_assert(kDefaultCardBytes == 31'998'345'216);
// An MBR counts sectors in 32 bits: 2 TiB, less one unit.
inline constexpr uint64_t kMaxCardBytes = (uint64_t{1} << 41) - kUnitBytes;
// Two kernels with their initramfs and device trees have room in 512 MiB (FAT32 needs 65,525
// clusters: not below 40 MiB).
inline constexpr uint64_t kMinBootBytes = 64 << 20;

inline constexpr int kBootSlot = 0;
inline constexpr int kSwapSlot = 1;
inline constexpr int kRootSlot = 2;

struct LayoutOptions {
  uint64_t card_bytes = kDefaultCardBytes;
  uint64_t boot_bytes = 512 << 20;
  uint64_t swap_bytes = 1024 << 20;  // 0: no swap partition
  uint64_t root_used_bytes = 0;      // what the files of the root take
  uint64_t root_inodes = 0;          // and how many they are
};

struct Layout {
  uint64_t card_bytes = 0;
  uint64_t boot_offset = 0;
  uint64_t boot_bytes = 0;
  uint64_t swap_offset = 0;
  uint64_t swap_bytes = 0;
  uint64_t root_offset = 0;
  uint64_t root_bytes = 0;

  // The table with `disk_id`.  The slots are fixed: 1 boot, 2 swap (free without one), 3 root.
  Mbr ToMbr(uint32_t disk_id) const;
};

// The smallest card that holds what the options say.
uint64_t MinimumCardBytes(const LayoutOptions& options);

// kInvalidArgument: a size that is no multiple of 4 MiB (says the next ones), or too small (says
// the minimum), or too large.
absl::StatusOr<Layout> PlanLayout(const LayoutOptions& options);

}  // namespace bramble::sdcard
