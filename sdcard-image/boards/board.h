// SPDX-License-Identifier: Apache-2.0
#pragma once

// A board: what its hardware needs to boot, one TOML file each in this folder.

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// One thing the kernel must drive; any of the drivers does.
struct DriverNeed {
  std::string purpose;              // "card", "Ethernet", "USB"
  std::vector<std::string> any_of;  // names of modules, with '_'
};

struct Board {
  std::string name;                     // "pi-arm64"
  std::string summary;                  // for people
  std::string architecture;             // Debian's: arm64, armhf
  std::vector<std::string> suites;      // that make an image, the default first
  std::vector<std::string> components;  // of the archive
  std::string kernel_package;
  // Suite that the kernel is taken from, "" for the image's own; "SUITE" in it is replaced.
  std::string kernel_suite;
  std::vector<std::string> packages;
  std::vector<std::string> firmware;  // files that must be on the boot partition; pairs in a row
  std::vector<std::string> device_trees;  // likewise
  // Device trees under a second name, "NEW=OLD": the firmware's own.
  std::vector<std::string> device_tree_aliases;
  std::vector<std::string> config_txt;  // lines beyond what Debian writes
  std::string consoles;                 // "console=tty0 console=ttyS1,115200"
  std::vector<std::string> initramfs_modules;
  std::vector<DriverNeed> drivers;
};

// Errors name file, line and key.
absl::StatusOr<Board> LoadBoard(const std::filesystem::path& file);
// Every board in `directory`, by name.  kNotFound: none.
absl::StatusOr<std::vector<Board>> LoadBoards(const std::filesystem::path& directory);
// The one called `name`; kNotFound names those that are known.
absl::StatusOr<Board> FindBoard(const std::vector<Board>& boards, const std::string& name);

}  // namespace bramble::sdcard
