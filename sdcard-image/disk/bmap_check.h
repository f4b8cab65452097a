// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/hash.h"
#include "sdcard-image/disk/bmap.h"
#include "sdcard-image/disk/image_reader.h"

namespace bramble::sdcard {

// Follows an image from its beginning to its end and tells whether it is the one that a block map
// describes.  The map must outlive it.
class BmapCheck {
 public:
  explicit BmapCheck(const Bmap& bmap) : bmap_(bmap) {}

  // kDataLoss: a range is not what the map says.
  absl::Status Take(const ImagePiece& piece);
  // kDataLoss: the image ended elsewhere than the map says.
  absl::Status Finish(uint64_t image_bytes) const;

 private:
  void Hash(const ImagePiece& piece, uint64_t from, uint64_t to);

  const Bmap& bmap_;
  size_t next_ = 0;
  Sha256Stream hash_;
};

}  // namespace bramble::sdcard
