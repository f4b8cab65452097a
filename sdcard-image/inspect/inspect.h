// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is in an image or on a card, whoever made it.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "sdcard-image/disk/ext4.h"
#include "sdcard-image/inspect/boot_lint.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

struct PartitionFacts {
  int number = 0;
  MbrPartition entry;
  std::string holds;  // "FAT32", "ext4", "swap", "nothing known"
  std::string label;
  std::optional<uint64_t> free_bytes;
  bool start_aligned = false;  // on a line of 4 MiB
  bool end_aligned = false;
};

struct ImageFacts {
  std::string name;
  uint64_t bytes = 0;
  BootFacts boot;
  std::vector<PartitionFacts> partitions;
  std::string settings;    // bramble.toml, secrets masked; empty: none
  std::string image_info;  // image.toml: how we made it; empty: none
  std::string kernel_version;
  std::vector<std::string> damage;  // of the file systems
};

// Reads `image`, a file or a card.  Compressed images are unpacked (sparsely) beside `scratch`
// first. For the drivers of the kernel it asks debugfs (e2fsprogs), where that is installed.
absl::StatusOr<ImageFacts> InspectImage(const std::filesystem::path& image,
                                        const std::filesystem::path& scratch);

// SHA-256 of all bytes of `image`, unpacked.  Cost: reading it, and hashing its holes.
absl::StatusOr<Sha256Digest> ImageDigest(const std::filesystem::path& image);

// The boards that an image of ours says it is for; empty for others.
std::vector<std::string> ClaimedBoards(const ImageFacts& facts);

// Names of the drivers in modules.dep, modules.builtin or their like, with '_'.
void AddDrivers(std::string_view listing, std::set<std::string>& drivers);

}  // namespace bramble::sdcard
