// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/bmap_check.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::sdcard {
namespace {

constexpr uint64_t kZerosBytes = 1 << 20;

}  // namespace

absl::Status BmapCheck::Take(const ImagePiece& piece) {
  uint64_t at = piece.offset;
  const uint64_t end = piece.offset + piece.size;
  while (next_ < bmap_.ranges.size() && at < end) {
    const BmapRange& range = bmap_.ranges[next_];
    const uint64_t from = std::max(at, range.extent.offset);
    const uint64_t to = std::min(end, range.extent.end());
    if (from >= to) {
      return absl::OkStatus();
    }
    Hash(piece, from, to);
    at = to;
    if (to < range.extent.end()) {
      return absl::OkStatus();
    }
    const Sha256Digest found = hash_.Finish();
    hash_ = Sha256Stream();
    if (range.digest.has_value() && found != *range.digest) {
      return absl::DataLossError(StrCat(
          "the image is not what its block map says at bytes ", range.extent.offset, " to ",
          range.extent.end(), ": the map belongs to another image, or the image is damaged"));
    }
    ++next_;
  }
  return absl::OkStatus();
}

absl::Status BmapCheck::Finish(uint64_t image_bytes) const {
  if (image_bytes != bmap_.image_bytes) {
    return absl::DataLossError(StrCat("the image has ", image_bytes,
                                      " bytes and its block map says ", bmap_.image_bytes,
                                      ": cut short, or the map of another image"));
  }
  return absl::OkStatus();
}

void BmapCheck::Hash(const ImagePiece& piece, uint64_t from, uint64_t to) {
  if (!piece.hole) {
    hash_.Update(std::string_view(*piece.bytes).substr(from - piece.offset, to - from));
    return;
  }
  static const std::string zeros(kZerosBytes, '\0');
  for (uint64_t at = from; at < to; at += kZerosBytes) {
    hash_.Update(std::string_view(zeros).substr(0, std::min(kZerosBytes, to - at)));
  }
}

}  // namespace bramble::sdcard
