// SPDX-License-Identifier: Apache-2.0
#pragma once

// A whole card in one sparse file: partition table, boot partition, swap, root.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/disk/extents.h"
#include "sdcard-image/disk/layout.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// What tells one image from another.  Equal seeds give equal ids, so that equal contents give equal
// images.
struct CardIds {
  uint32_t disk_id = 0;
  uint32_t boot_volume_id = 0;
  std::string swap_uuid;  // 16 raw bytes
  std::string root_uuid;  // "8c4a0d2e-…"

  static CardIds FromSeed(std::string_view seed);
};

struct BootFile {
  std::string path;  // "overlays/README"
  std::string bytes;
};

struct CardImageOptions {
  Layout layout;
  CardIds ids;
  int64_t time_s = 0;                // of every file and file system
  std::vector<BootFile> boot_files;  // written in order of their paths
  std::filesystem::path root_tree;
  std::string boot_label = "BRAMBLE";
  std::string root_label = "bramble-root";
};

// Makes `out`, replacing it only when all is there; what was half made is removed.  The result says
// which bytes a card must be given: what is in use, and the root's journal.  Blocking; no loop
// device, no mount, no right beyond that of reading the tree.
absl::StatusOr<ExtentSet> MakeCardImage(const CardImageOptions& options,
                                        const std::filesystem::path& out);

// The same for an image that is there: the parts of its file that are data, and its root's journal.
absl::StatusOr<ExtentSet> MappedExtents(FileDevice& image);

}  // namespace bramble::sdcard
