// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writes an image to cards: only what is in use, read back and compared, to several cards from one
// decoding.  The partition table goes last, so that a card that was interrupted does not boot
// half-written; `delta` then goes on where it ended, since it writes only what differs.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sdcard-image/disk/bmap.h"
#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/image_reader.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

inline constexpr uint64_t kFlashPieceBytes = 4 << 20;

struct FlashProgress {
  uint64_t done = 0;   // bytes that every card has been through: with a block map of what it maps
  uint64_t total = 0;  // 0: not known
};

// "3 cards: 512MiB of 2GiB, 25 %, 21.3 MB/s, 75 s left".  Pure.
std::string ProgressText(const FlashProgress& progress, std::chrono::nanoseconds spent,
                         size_t cards);

struct FlashOptions {
  bool delta = false;  // read first, and write the pieces of 4 MiB that differ
  int retries = 3;     // of a piece that does not read back as it was written
  // With one: only its ranges are written, and what is read from the image must be what it says.
  const Bmap* bmap = nullptr;
  // Called before the partition table is written, for what is different on each card.
  std::function<absl::Status(ByteDevice& device, size_t index, std::string_view table)> finish;
  std::function<void(const FlashProgress&)> progress;
};

struct FlashResult {
  std::string device;
  absl::Status status;
  uint64_t written_bytes = 0;  // to the medium, retries included
  uint64_t same_bytes = 0;     // there already (delta)
  uint64_t retried_bytes = 0;
};

// One result for each of `devices`, in their order.  A card that fails does not stop the others. An
// error instead of results: the image itself (kDataLoss: damaged, cut short or not the block map's;
// kOutOfRange: larger than a device).
absl::StatusOr<std::vector<FlashResult>> Flash(ImageReader& image,
                                               const std::vector<ByteDevice*>& devices,
                                               const FlashOptions& options);

}  // namespace bramble::sdcard
