// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether a card will boot: what the boot ROMs, the firmware and the kernel of a Raspberry Pi ask
// of it.  Pure, and not only for cards of ours.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sdcard-image/boards/board.h"
#include "sdcard-image/disk/mbr.h"

namespace bramble::sdcard {

struct BootFacts {
  uint64_t image_bytes = 0;
  std::optional<Mbr> mbr;
  std::string boot_problem;  // why the first partition is no FAT32; empty: it is
  uint64_t boot_free_bytes = 0;
  std::map<std::string, uint64_t> files;  // at the top of the boot partition, in lower case: sizes
  std::string config_txt;
  std::string cmdline_txt;
  // Modules and built-in drivers of the kernel, with '_'; nullopt: not to be seen.
  std::optional<std::set<std::string>> drivers;
};

struct Finding {
  enum class Weight { kError, kWarning };
  Weight weight = Weight::kError;
  std::string what;
  std::string mend;
};

// For the boards that the card claims to boot; with none, what holds for every board.
std::vector<Finding> LintBoot(const BootFacts& facts, const std::vector<Board>& boards);

// The value of `key` in a config.txt, of its last line without a condition; "" without one.
// `initramfs NAME` has no '='.
std::string ConfigValue(std::string_view config_txt, std::string_view key);

}  // namespace bramble::sdcard
