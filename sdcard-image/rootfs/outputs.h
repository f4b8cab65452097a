// SPDX-License-Identifier: Apache-2.0
#pragma once

// The files that a build leaves: the image, compressed, its block map, a small one for Raspberry Pi
// Imager, sums, signature, list of packages.

#include <filesystem>
#include <string>
#include <vector>

#include "sdcard-image/disk/card_image.h"
#include "sdcard-image/rootfs/build.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// IMAGE.bmap.
absl::Status WriteBmap(const std::filesystem::path& image, const ExtentSet& mapped);

// IMAGE.zst and IMAGE.xz; adds to `made` what there is, also when the next one fails.
struct Packings {
  bool zstd = false;
  bool xz = false;
  std::filesystem::path kept = {};  // see CompressOptions
};
absl::Status WritePacked(const std::filesystem::path& image, const ExtentSet& mapped,
                         Packings wanted, std::vector<std::filesystem::path>& made);

void RemoveFiles(const std::vector<std::filesystem::path>& files);

// Everything that the options ask for, the image first.  What was made is removed when something
// fails, and what an earlier build left under these names before anything is made: they would
// not belong together.
absl::StatusOr<std::vector<std::filesystem::path>> WriteOutputs(const BuildOptions& options,
                                                                const LayoutOptions& sizes,
                                                                CardImageOptions card);

// SPDX 2.3 as JSON, of the packages in a dpkg status file.  Pure.
std::string SpdxOf(std::string_view dpkg_status, const std::string& name, int64_t time_s);

// What builds this image again, byte for byte, secrets aside.  Pure.  `settings` is the name of the
// file with the card's settings.
std::string ManifestOf(const BuildOptions& options, const std::string& settings);

// "file:///srv/a%20b/x.xz", or `base`/x.xz.  Pure.
std::string ImagerUrl(const std::string& base, const std::filesystem::path& file);

// What Raspberry Pi Imager (2.0.11 and newer) reads: a list with one entry.  Pure.
struct ImagerEntry {
  std::string name;
  std::string description;
  std::string url;
  uint64_t extract_bytes = 0;
  std::string extract_sha256;
  uint64_t download_bytes = 0;
  std::string download_sha256;
  std::string architecture;  // Debian's
  int64_t time_s = 0;
};
std::string ImagerList(const ImagerEntry& entry);

}  // namespace bramble::sdcard
