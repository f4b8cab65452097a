// SPDX-License-Identifier: Apache-2.0
#pragma once

// What goes onto the boot partition, gathered from a root tree as Debian's raspi-firmware would
// gather it on the board: firmware, kernel, initramfs, device trees, config.txt, cmdline.txt.

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "sdcard-image/boards/board.h"
#include "sdcard-image/disk/card_image.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// The newest kernel of the tree: "6.1.0-50-arm64".  kNotFound.
absl::StatusOr<std::string> KernelVersionOf(const std::filesystem::path& tree);
// The modules and built-in drivers of that kernel, with '_'.
absl::StatusOr<std::set<std::string>> KernelDrivers(const std::filesystem::path& tree,
                                                    const std::string& version);

// config.txt and cmdline.txt.  Pure.
std::string ConfigTxt(const Board& board, const std::string& kernel_version);
std::string CommandLine(const Board& board, const std::string& root_partuuid);
// What has raspi-firmware write the same at every upgrade: files of /etc/default, by name.
std::vector<BootFile> FirmwareDefaults(const Board& board, const std::string& root_partuuid);

absl::StatusOr<std::vector<BootFile>> GatherBootFiles(const Board& board,
                                                      const std::filesystem::path& tree,
                                                      const std::filesystem::path& init,
                                                      const std::string& root_partuuid);

}  // namespace bramble::sdcard
