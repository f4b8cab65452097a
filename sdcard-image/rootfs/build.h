// SPDX-License-Identifier: Apache-2.0
#pragma once

// `bramble sdcard build`: a board, layers and packages become an image and what goes with it.
//
// What takes long is kept below `cache`, by the digest of all it was made from: the base (Debian's
// packages, configured) and the root tree (with ours).  So another host name costs only the image
// itself.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "sdcard-image/boards/board.h"
#include "sdcard-image/card/card_settings.h"
#include "sdcard-image/disk/layout.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// What we add to a Debian: a directory with layer.toml and, beside it, `tree/`, which is copied.
struct Layer {
  std::filesystem::path directory;
  std::vector<std::string> packages;
  std::vector<std::string> enable;  // units of systemd
};
absl::StatusOr<Layer> LoadLayer(const std::filesystem::path& directory);

struct BuildOptions {
  Board board;
  std::string suite;         // empty: the board's first
  std::string kernel_suite;  // empty: the board's own; "SUITE" in it is replaced
  std::string mirror;        // empty: this machine's own
  std::vector<std::string> packages;
  std::vector<Layer> layers;
  std::vector<std::filesystem::path> debs;  // ours
  CardSettings settings;
  uint64_t card_bytes = kDefaultCardBytes;
  uint64_t swap_bytes = 1024 << 20;
  int64_t time_s = 0;  // SOURCE_DATE_EPOCH
  bool zstd = true;
  bool xz = false;
  bool imager = true;              // the small image, and its list for Raspberry Pi Imager
  std::string url;                 // where that image will be downloaded from; empty: from `out`
  bool refresh = false;            // a Debian of today, also where one is kept
  std::filesystem::path sign_key;  // PEM, P-256; empty: no signature
  std::string packages_digest;     // of the Debian that a manifest was written with; empty: any
  std::filesystem::path data;      // scripts: share/bramble/sdcard
  std::filesystem::path cache;
  std::filesystem::path out;
  std::function<void(const std::string&)> say;
};

// The suites that the options mean, and what of it is left to the board or to this machine.
std::string SuiteOf(const BuildOptions& options);
std::string KernelSuiteOf(const BuildOptions& options);

// What is wrong with the options themselves, before anything is done.
absl::Status CheckBuild(const BuildOptions& options);

// The files made, the image first.  On failure none of them is left.  kFailedPrecondition: the
// linter says that the boards would not boot from it, or the packages are not the manifest's.
absl::StatusOr<std::vector<std::filesystem::path>> Build(BuildOptions options);

// The image of a root tree and files of the boot partition that are there: what Build() ends with.
struct AssembleOptions {
  std::filesystem::path tree;
  std::filesystem::path boot;  // a directory
  std::filesystem::path out;
  uint64_t card_bytes = kDefaultCardBytes;
  uint64_t swap_bytes = 1024 << 20;
  int64_t time_s = 0;
  bool zstd = false;
  bool xz = false;
};
absl::Status Assemble(const AssembleOptions& options);

}  // namespace bramble::sdcard
