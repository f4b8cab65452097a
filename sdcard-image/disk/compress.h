// SPDX-License-Identifier: Apache-2.0
#pragma once

// Compressed images that stock `zstd` and `xz` read, made in the time that their data takes: a hole
// is not compressed, the bytes that stand for a stretch of zeros are made once and repeated.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/extents.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

enum class Compression { kZstd, kXz };

struct CompressOptions {
  Compression kind = Compression::kZstd;
  int level = 3;  // zstd 1 to 19, xz 0 to 9
  // xz only: a directory where blocks are kept by what they hold, since packing them takes minutes
  // and little of an image changes.  Empty: none.  The caller limits its size.
  std::filesystem::path kept;
};

// Takes the compressed bytes in order.
using ByteSink = std::function<absl::Status(std::string_view)>;

// Compresses all of `image`, of which everything outside `mapped` reads as zeros, on every core.
// zstd: one frame for each 4 MiB of data or 128 MiB of zeros, each with its size and checksum.
// xz: one block for each 16 MiB of data or 64 MiB of zeros, with CRC-64.
absl::Status CompressImage(ByteDevice& image, const ExtentSet& mapped,
                           const CompressOptions& options, const ByteSink& sink);

// One zstd frame of `size` zeros, as CompressImage makes it: what a reader may skip.
inline constexpr uint64_t kZstdZeroBytes = 128 << 20;
absl::StatusOr<std::string> ZstdFrameOfZeros(uint64_t size, int level);

}  // namespace bramble::sdcard
