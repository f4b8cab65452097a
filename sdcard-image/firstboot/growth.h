// SPDX-License-Identifier: Apache-2.0
#pragma once

// The root partition grows to the end of the card.  One sector changes, so that a power cut leaves
// the old table or the new one; the file system then grows online, which its journal protects.

#include <cstdint>
#include <optional>

#include "sdcard-image/disk/mbr.h"

namespace bramble::sdcard {

// The table with partition `number` (1 to 4) ending on the last line of 4 MiB of a disk of
// `disk_bytes`; nullopt when there is nothing to gain: it is not the last partition, or ends there
// already.  At most 2 TiB, which is what such a table describes.  Pure.
std::optional<Mbr> PlanGrowth(const Mbr& mbr, int number, uint64_t disk_bytes);

}  // namespace bramble::sdcard
