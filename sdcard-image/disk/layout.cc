// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/layout.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::sdcard {
namespace {

uint64_t RoundUp(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

// What ext4 needs beside the files themselves: a 32 MiB journal, inode tables, group descriptors
// that leave room to grow to 2 TiB, and some free space to boot with.
uint64_t MinimumRootBytes(const LayoutOptions& options) {
  constexpr uint64_t kJournalAndReserve = 160 << 20;
  return RoundUp(options.root_used_bytes + options.root_used_bytes / 8 + options.root_inodes * 512 +
                     kJournalAndReserve,
                 kUnitBytes);
}

absl::Status CheckMultiple(uint64_t bytes, std::string_view what) {
  if (bytes % kUnitBytes == 0) {
    return absl::OkStatus();
  }
  const uint64_t below = bytes / kUnitBytes * kUnitBytes;
  return absl::InvalidArgumentError(StrCat("the ", what, " of ", bytes,
                                           " bytes is no multiple of 4 MiB (4194304): take ", below,
                                           " or ", below + kUnitBytes));
}

}  // namespace

Mbr Layout::ToMbr(uint32_t disk_id) const {
  const auto slot = [](uint8_t type, uint64_t offset, uint64_t bytes) {
    return bytes == 0 ? MbrPartition{}
                      : MbrPartition{.type = type,
                                     .start_sector = static_cast<uint32_t>(offset / kSectorBytes),
                                     .sectors = static_cast<uint32_t>(bytes / kSectorBytes)};
  };
  Mbr mbr;
  mbr.disk_id = disk_id;
  mbr.partitions[kBootSlot] = slot(kMbrFat32, boot_offset, boot_bytes);
  mbr.partitions[kSwapSlot] = slot(kMbrSwap, swap_offset, swap_bytes);
  mbr.partitions[kRootSlot] = slot(kMbrLinux, root_offset, root_bytes);
  return mbr;
}

uint64_t MinimumCardBytes(const LayoutOptions& options) {
  return kUnitBytes + options.boot_bytes + options.swap_bytes + MinimumRootBytes(options);
}

absl::StatusOr<Layout> PlanLayout(const LayoutOptions& options) {
  BRAMBLE_RETURN_IF_ERROR(CheckMultiple(options.card_bytes, "card size"));
  BRAMBLE_RETURN_IF_ERROR(CheckMultiple(options.boot_bytes, "boot partition"));
  BRAMBLE_RETURN_IF_ERROR(CheckMultiple(options.swap_bytes, "swap partition"));
  if (options.card_bytes > kMaxCardBytes) {
    return absl::InvalidArgumentError(StrCat("a card of ", options.card_bytes,
                                             " bytes is larger than a partition table of its kind "
                                             "describes: take at most ",
                                             kMaxCardBytes));
  }
  if (options.boot_bytes < kMinBootBytes) {
    return absl::InvalidArgumentError(StrCat(
        "a boot partition of ", options.boot_bytes,
        " bytes is too small for kernel, initramfs and firmware: take at least ", kMinBootBytes));
  }
  const uint64_t minimum = MinimumCardBytes(options);
  if (options.card_bytes < minimum) {
    return absl::InvalidArgumentError(
        StrCat("a card of ", options.card_bytes, " bytes is too small by ",
               minimum - options.card_bytes, ": these contents need at least ", minimum, " bytes (",
               ToString(Bytes{static_cast<int64_t>(minimum)}), ")"));
  }
  Layout layout;
  layout.card_bytes = options.card_bytes;
  layout.boot_offset = kUnitBytes;
  layout.boot_bytes = options.boot_bytes;
  layout.swap_offset = layout.boot_offset + layout.boot_bytes;
  layout.swap_bytes = options.swap_bytes;
  layout.root_offset = layout.swap_offset + layout.swap_bytes;
  layout.root_bytes = layout.card_bytes - layout.root_offset;
  return layout;
}

}  // namespace bramble::sdcard
