// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads an image once, from its beginning to its end: raw, .zst or .xz, whoever made it.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// Bytes of an image.  Where `hole` is set there are none to see: all of it reads as zeros.
struct ImagePiece {
  uint64_t offset = 0;
  uint64_t size = 0;
  bool hole = false;
  std::shared_ptr<const std::string> bytes;  // empty for a hole
};

class ImageReader {
 public:
  virtual ~ImageReader() = default;

  // What it is, by its first bytes.  Compressed images of many parts (as ours are) are decoded on
  // every core, and parts that repeat and hold only zeros once.  kNotFound; kInvalidArgument: gzip
  // or zip; kDataLoss: cut short or damaged.
  static absl::StatusOr<std::unique_ptr<ImageReader>> Open(const std::filesystem::path& path);

  // Of the image, uncompressed; nullopt when only its end tells.
  virtual std::optional<uint64_t> size() const = 0;
  // The next bytes, in order and without a gap; nullopt at the end.  At most 256 MiB for a hole,
  // 128 MiB else.
  virtual absl::StatusOr<std::optional<ImagePiece>> Next() = 0;
};

}  // namespace bramble::sdcard
