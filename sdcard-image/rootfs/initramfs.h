// SPDX-License-Identifier: Apache-2.0
#pragma once

// The initramfs of a card, made here and not in the emulated system: a static busybox, the modules
// that reach the root file system, and our `init`.  The card makes Debian's own at its first kernel
// upgrade.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// An archive of the kind that the kernel unpacks ("newc").  Equal entries give equal bytes.
class CpioArchive {
 public:
  void AddDirectory(std::string_view path);
  void AddFile(std::string_view path, std::string_view bytes, unsigned mode);
  void AddLink(std::string_view path, std::string_view target);
  // With its trailer; once.
  std::string Finish() &&;

 private:
  void Add(std::string_view path, std::string_view bytes, unsigned mode);

  std::string bytes_;
  unsigned inode_ = 0;
};

// The files of `modules` and of all they need, in the order of loading, from the lines of
// modules.dep. Names are compared with '_' for '-'; those that the kernel does not have are left
// out.
std::vector<std::string> ModuleFiles(std::string_view modules_dep,
                                     const std::vector<std::string>& modules);

struct InitramfsOptions {
  std::filesystem::path tree;  // the root tree; busybox-static is installed in it
  std::string kernel_version;  // "6.1.0-50-arm64"
  std::vector<std::string> modules;
  std::filesystem::path init;  // our script
};

// Compressed with zstd.  kNotFound names what the tree lacks.
absl::StatusOr<std::string> MakeInitramfs(const InitramfsOptions& options);

}  // namespace bramble::sdcard
