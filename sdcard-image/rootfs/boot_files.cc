// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/boot_files.h"

#include <strings.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/status.h"
#include "sdcard-image/inspect/inspect.h"
#include "sdcard-image/rootfs/initramfs.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxFileBytes = 128 << 20;

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += line + "\n";
  }
  return text;
}

// Kernel parameters beside the root: the memory cgroup (kernels of the Raspberry Pi foundation have
// it off), names of interfaces that do not change.
constexpr std::string_view kParameters =
    "ro rootflags=prjquota rootwait fsck.repair=yes net.ifnames=0 cgroup_enable=memory panic=10";

absl::Status AddFrom(const std::filesystem::path& directory, std::string_view suffix,
                     std::vector<BootFile>& files) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file(ignored) && name.ends_with(suffix)) {
      BRAMBLE_ASSIGN_OR_RETURN(std::string bytes, ReadFile(entry.path(), kMaxFileBytes));
      files.push_back({name, std::move(bytes)});
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> KernelVersionOf(const std::filesystem::path& tree) {
  constexpr std::string_view kPrefix = "vmlinuz-";
  std::string newest;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(tree / "boot", ignored)) {
    const std::string name = entry.path().filename().string();
    // strverscmp orders 6.1.0-9 before 6.1.0-10.
    if (name.starts_with(kPrefix) &&
        (newest.empty() || ::strverscmp(name.c_str() + kPrefix.size(), newest.c_str()) > 0)) {
      newest = name.substr(kPrefix.size());
    }
  }
  if (newest.empty()) {
    return absl::NotFoundError("the root tree has no kernel (/boot/vmlinuz-*)");
  }
  return newest;
}

absl::StatusOr<std::set<std::string>> KernelDrivers(const std::filesystem::path& tree,
                                                    const std::string& version) {
  std::set<std::string> drivers;
  for (const char* list : {"modules.dep", "modules.builtin"}) {
    BRAMBLE_ASSIGN_OR_RETURN(const std::string text,
                             ReadFile(tree / "usr/lib/modules" / version / list, kMaxFileBytes));
    AddDrivers(text, drivers);
  }
  return drivers;
}

std::string ConfigTxt(const Board& board, const std::string& kernel_version) {
  std::string text =
      "# Written anew by raspi-firmware at every kernel upgrade: change\n"
      "# /etc/default/raspi-firmware-custom instead.\n";
  if (board.architecture == "arm64") {
    text += "arm_64bit=1\n";
  }
  text += StrCat("enable_uart=1\nupstream_kernel=1\n\nkernel=vmlinuz-", kernel_version,
                 "\ninitramfs initrd.img-", kernel_version, "\n");
  return text + Joined(board.config_txt);
}

std::string CommandLine(const Board& board, const std::string& root_partuuid) {
  return StrCat(board.consoles, " root=PARTUUID=", root_partuuid, " ", kParameters, "\n");
}

std::vector<BootFile> FirmwareDefaults(const Board& board, const std::string& root_partuuid) {
  return {{"raspi-firmware",
           StrCat("# Without these raspi-firmware guesses, and takes memory (cma) that a Pi 4 "
                  "cannot spare.\nCMA=0\n",
                  "ROOTPART=PARTUUID=", root_partuuid, "\nCONSOLES=\"", board.consoles, "\"\n")},
          {"raspi-firmware-custom", Joined(board.config_txt)},
          {"raspi-extra-cmdline", "ro rootflags=prjquota cgroup_enable=memory panic=10\n"}};
}

absl::StatusOr<std::vector<BootFile>> GatherBootFiles(const Board& board,
                                                      const std::filesystem::path& tree,
                                                      const std::filesystem::path& init,
                                                      const std::string& root_partuuid) {
  std::vector<BootFile> files;
  BRAMBLE_ASSIGN_OR_RETURN(const std::string version, KernelVersionOf(tree));
  if (!board.firmware.empty()) {
    for (const char* suffix : {".elf", ".dat", ".bin"}) {
      BRAMBLE_RETURN_IF_ERROR(AddFrom(tree / "usr/lib/raspi-firmware", suffix, files));
    }
  }
  const std::filesystem::path trees = tree / "usr/lib" / StrCat("linux-image-", version);
  BRAMBLE_RETURN_IF_ERROR(AddFrom(trees / "broadcom", ".dtb", files));
  BRAMBLE_RETURN_IF_ERROR(AddFrom(trees, ".dtb", files));
  // Only the Pi's: armhf's directory has every board's.
  std::erase_if(files, [](const BootFile& file) {
    return file.path.ends_with(".dtb") && !file.path.starts_with("bcm2");
  });
  for (const std::string& alias : board.device_tree_aliases) {
    const size_t equals = alias.find('=');
    const auto original = std::find_if(files.begin(), files.end(), [&](const BootFile& file) {
      return file.path == alias.substr(equals + 1);
    });
    if (original != files.end()) {
      files.push_back({alias.substr(0, equals), original->bytes});
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(std::string kernel,
                           ReadFile(tree / "boot" / StrCat("vmlinuz-", version), kMaxFileBytes));
  files.push_back({"vmlinuz-" + version, std::move(kernel)});
  BRAMBLE_ASSIGN_OR_RETURN(std::string initramfs, MakeInitramfs({.tree = tree,
                                                                 .kernel_version = version,
                                                                 .modules = board.initramfs_modules,
                                                                 .init = init}));
  files.push_back({"initrd.img-" + version, std::move(initramfs)});
  files.push_back({"config.txt", ConfigTxt(board, version)});
  files.push_back({"cmdline.txt", CommandLine(board, root_partuuid)});
  return files;
}

}  // namespace bramble::sdcard
