// SPDX-License-Identifier: Apache-2.0
#pragma once

// Numbers of FAT32 that making one and using one share.

#include <cstdint>
#include <string>

namespace bramble::sdcard {

inline constexpr uint32_t kMinFat32Clusters = 65525;
inline constexpr uint32_t kFatEndOfChain = 0x0fffffff;
inline constexpr uint8_t kFatVolumeLabel = 0x08;  // attribute of the entry

// The sector that says how much is free.
std::string FatInfoSector(uint32_t free_clusters, uint32_t next_free);

}  // namespace bramble::sdcard
