// SPDX-License-Identifier: Apache-2.0
// Sources of the rules: the boot ROM and firmware notes in Raspberry Pi's issue tracker (firmware
// #1711, #1887, #2018, #2030), Debian's raspi-firmware hook, and the kernel's own parameters.
#include "sdcard-image/inspect/boot_lint.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "base/status.h"
#include "sdcard-image/disk/layout.h"

namespace bramble::sdcard {
namespace {

constexpr std::array<uint8_t, 3> kBootTypes = {0x0b, 0x0c, 0x0e};

class Lint {
 public:
  Lint(const BootFacts& facts, const std::vector<Board>& boards) : facts_(facts), boards_(boards) {}

  std::vector<Finding> Run() {
    Table();
    if (!facts_.boot_problem.empty()) {
      Error(facts_.boot_problem, "the first partition must be FAT32: make the image anew");
      return std::move(findings_);
    }
    Firmware();
    KernelAndInitramfs();
    DeviceTrees();
    CommandLine();
    Room();
    Drivers();
    return std::move(findings_);
  }

 private:
  void Error(std::string what, std::string mend) {
    findings_.push_back({Finding::Weight::kError, std::move(what), std::move(mend)});
  }
  void Warn(std::string what, std::string mend) {
    findings_.push_back({Finding::Weight::kWarning, std::move(what), std::move(mend)});
  }
  bool Has(std::string name) const {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return facts_.files.contains(name);
  }

  void Table() {
    if (!facts_.mbr.has_value()) {
      Error("no partition table in the first sector",
            "this is no image of a card, or a damaged one");
      return;
    }
    const auto& partitions = facts_.mbr->partitions;
    const MbrPartition& first = partitions[0];
    for (size_t i = 0; i < 2; ++i) {
      if (partitions[i].type == kMbrGptProtective) {
        Error(StrCat("slot ", i + 1, " of the partition table is GPT's (0xEE)"),
              "boards before the Pi 4 read an MBR only: make one with FAT32 in slot 1");
        return;
      }
    }
    if (first.type == 0) {
      Error("slot 1 of the partition table is free", "the boot partition must be in slot 1");
    } else if (std::find(kBootTypes.begin(), kBootTypes.end(), first.type) == kBootTypes.end()) {
      Error(StrCat("the first partition is of type ", MbrTypeName(first.type)),
            "boot ROMs look for type 0x0c (sfdisk --part-type IMAGE 1 c)");
    }
    for (size_t i = 0; i < partitions.size(); ++i) {
      const MbrPartition& partition = partitions[i];
      if (partition.type == 0x0f) {
        Error(StrCat("partition ", i + 1, " is an extended one of type 0x0f"),
              "boot ROMs know only 0x05");
      }
      if (partition.type != 0 && partition.end() > facts_.image_bytes) {
        Error(StrCat("partition ", i + 1, " ends ", partition.end() - facts_.image_bytes,
                     " bytes beyond the image"),
              "the image is cut short: copy it again");
      }
      if (partition.type != 0 &&
          (partition.offset() % kUnitBytes != 0 || partition.bytes() % kUnitBytes != 0)) {
        Warn(StrCat("partition ", i + 1, " does not begin and end on a line of 4 MiB"),
             "it works, and wears the card more");
      }
    }
  }

  void Firmware() {
    if (Has("recovery.bin")) {
      Error(
          "recovery.bin is on the boot partition: a Pi 4 or 5 would rewrite its boot memory from "
          "it",
          "remove it");
    }
    if (!Has("config.txt")) {
      Error("no config.txt on the boot partition",
            "a Pi 5 does not see a bootable card without it");
    }
    for (const Board& board : boards_) {
      for (const std::string& file : board.firmware) {
        if (!Has(file)) {
          Error(StrCat(file, " is missing, which ", board.name, " boots with"),
                "install raspi-firmware of this version again");
        }
      }
    }
    for (const auto& [name, size] : facts_.files) {
      if (name.starts_with("start") && name.ends_with(".elf")) {
        const std::string pair = "fixup" + name.substr(5, name.size() - 9) + ".dat";
        if (!Has(pair)) {
          Error(StrCat(name, " has no ", pair, " beside it"), "both must be of one version");
        }
      }
      if (size == 0 && (name.ends_with(".elf") || name.ends_with(".dtb"))) {
        Error(StrCat(name, " is empty"), "copy it again");
      }
    }
  }

  void KernelAndInitramfs() {
    if (!Has("config.txt")) {
      return;
    }
    const std::string kernel = ConfigValue(facts_.config_txt, "kernel");
    const std::string prefix = ConfigValue(facts_.config_txt, "os_prefix");
    if (kernel.empty()) {
      const bool any = Has("kernel8.img") || Has("kernel7.img") || Has("kernel7l.img") ||
                       Has("kernel_2712.img") || Has("kernel.img");
      if (!any) {
        Error("config.txt names no kernel and none of the usual names is there",
              "write kernel=NAME into config.txt");
      }
    } else if (prefix.empty() && !Has(kernel)) {
      Error(StrCat("config.txt names the kernel ", kernel, ", which is not there"),
            "copy it to the boot partition, or name the one that is");
    }
    const std::string initramfs = ConfigValue(facts_.config_txt, "initramfs");
    if (!initramfs.empty() && prefix.empty() && !Has(initramfs)) {
      Error(StrCat("config.txt names the initramfs ", initramfs, ", which is not there"),
            "run update-initramfs, or name the one that is");
    }
    for (const Board& board : boards_) {
      if (board.architecture == "arm64" && ConfigValue(facts_.config_txt, "arm_64bit") == "0") {
        Error(StrCat("config.txt says arm_64bit=0, and ", board.name, " has a 64-bit kernel"),
              "write arm_64bit=1");
      }
    }
  }

  void DeviceTrees() {
    for (const Board& board : boards_) {
      for (const std::string& tree : board.device_trees) {
        if (!Has(tree)) {
          Error(StrCat("the device tree ", tree, " of ", board.name, " is missing"),
                "copy it from the kernel's package (/usr/lib/linux-image-VERSION)");
        }
      }
    }
  }

  void CommandLine() {
    std::string text = facts_.cmdline_txt;
    if (text.empty()) {
      if (!boards_.empty()) {
        Error("no cmdline.txt, or an empty one", "the kernel then knows no root file system");
      }
      return;
    }
    text.erase(text.find_last_not_of(" \r\n\t") + 1);
    if (text.find('\n') != std::string::npos) {
      Error("cmdline.txt has more than one line",
            "everything after the first one is ignored: join them");
    }
    const size_t at = text.find("root=PARTUUID=");
    if (at == std::string::npos || !facts_.mbr.has_value()) {
      return;
    }
    const std::string id = text.substr(at + 14, text.find_first_of(" \n", at) - at - 14);
    for (int number = 1; number <= 4; ++number) {
      const MbrPartition& partition = facts_.mbr->partitions[static_cast<size_t>(number - 1)];
      if (partition.type != 0 && id == PartUuid(facts_.mbr->disk_id, number)) {
        return;
      }
    }
    Error(StrCat("cmdline.txt names root=PARTUUID=", id,
                 ", and no partition of the card has that id"),
          StrCat("the card's own is ", PartUuid(facts_.mbr->disk_id, 2),
                 " and so on: correct cmdline.txt"));
  }

  void Room() {
    uint64_t needed = 0;
    for (const std::string& key : {std::string("kernel"), std::string("initramfs")}) {
      std::string name = ConfigValue(facts_.config_txt, key);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const auto file = facts_.files.find(name);
      needed += file == facts_.files.end() ? 0 : file->second;
    }
    if (needed > facts_.boot_free_bytes) {
      Warn(StrCat("the boot partition has ", facts_.boot_free_bytes >> 20,
                  " MiB free, a second kernel needs ", needed >> 20),
           "a kernel upgrade may fail: remove an old one first, or make the partition larger");
    }
  }

  void Drivers() {
    if (!facts_.drivers.has_value()) {
      return;
    }
    for (const Board& board : boards_) {
      for (const DriverNeed& need : board.drivers) {
        const bool there = std::any_of(
            need.any_of.begin(), need.any_of.end(),
            [this](const std::string& driver) { return facts_.drivers->contains(driver); });
        if (!there) {
          Error(StrCat("the kernel has no driver for ", need.purpose, " of ", board.name, " (",
                       need.any_of.front(), ")"),
                "take a newer kernel: --suite, or kernel_suite in the board's file");
        }
      }
    }
  }

  const BootFacts& facts_;
  const std::vector<Board>& boards_;
  std::vector<Finding> findings_;
};

}  // namespace

std::string ConfigValue(std::string_view config_txt, std::string_view key) {
  std::string value;
  bool for_all = true;
  std::istringstream lines{std::string(config_txt)};
  std::string line;
  while (std::getline(lines, line)) {
    line.erase(line.find_last_not_of(" \r\t") + 1);
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] == '#') {
      continue;
    }
    line = line.substr(begin);
    if (line[0] == '[') {
      for_all = line == "[all]";
      continue;
    }
    const size_t end = line.find_first_of("= \t");
    if (for_all && end != std::string::npos && std::string_view(line).substr(0, end) == key) {
      value = line.substr(std::min(line.find_first_not_of("= \t", end), line.size()));
      // "initramfs NAME followkernel"
      value = value.substr(0, value.find_first_of(" \t"));
    }
  }
  return value;
}

std::vector<Finding> LintBoot(const BootFacts& facts, const std::vector<Board>& boards) {
  return Lint(facts, boards).Run();
}

}  // namespace bramble::sdcard
