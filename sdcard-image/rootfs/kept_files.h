// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a build keeps for the next one.

#include <cstdint>
#include <filesystem>

namespace bramble::sdcard {

// Removes the files of `directory` that were not written or used for longest, until those that are
// left have at most `max_bytes`.
void KeepNewest(const std::filesystem::path& directory, uint64_t max_bytes);

}  // namespace bramble::sdcard
