// SPDX-License-Identifier: Apache-2.0
#pragma once

// A compressed image with another bramble.toml, without unpacking it: an image of many frames (as
// ours are) keeps all but the few that hold the changed sectors.  For a controller that hands out
// cards.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sdcard-image/card/edit_card.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// A stretch of the changed file: `bytes`, or as many as `size` from `offset` of the original on.
struct ZstdPart {
  uint64_t offset = 0;
  uint64_t size = 0;
  std::string bytes;  // instead, where not empty
};

struct CustomZstd {
  std::vector<ZstdPart> parts;  // in order
  uint64_t bytes = 0;           // of all of them
};

// Decodes the frames that it reads, some MiB, and compresses those that it changes.  Blocking.
// kInvalidArgument: not an image of many frames with their sizes (`bramble sdcard build` makes
// such), or no card;  kDataLoss: damaged.
absl::StatusOr<CustomZstd> CustomiseZstd(const std::filesystem::path& image,
                                         const ChangeSettings& change, int64_t time_s);

}  // namespace bramble::sdcard
