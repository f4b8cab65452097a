// SPDX-License-Identifier: Apache-2.0
#pragma once

// Block maps, version 2.0, as bmaptool reads and writes them: which blocks of an image must be
// written to a card, with a SHA-256 of each range.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/extents.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr uint64_t kBmapBlockBytes = 4096;
inline constexpr size_t kMaxBmapBytes = 32 << 20;

struct BmapRange {
  Extent extent;                       // bytes, whole blocks; the last may end with the image
  std::optional<Sha256Digest> digest;  // older maps have SHA-1, which is not read
};

struct Bmap {
  uint64_t image_bytes = 0;
  std::vector<BmapRange> ranges;  // in order

  uint64_t mapped_bytes() const;
};

// Reads and hashes what of `image` is in `mapped`, on every core.  Ranges are cut at 4 MiB, so that
// a changed file costs one erase block and not one long range.
absl::StatusOr<Bmap> MakeBmap(ByteDevice& image, const ExtentSet& mapped);

// The file, with its own checksum.
std::string FormatBmap(const Bmap& bmap);
// kInvalidArgument: no block map, or a damaged one (its own checksum), with `name` in front.
absl::StatusOr<Bmap> ParseBmap(std::string_view text, std::string_view name);

}  // namespace bramble::sdcard
