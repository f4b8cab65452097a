// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/sdcard_paths.h"

#include <cstdlib>
#include <string>

namespace bramble::cli {

std::filesystem::path SdcardData() {
  std::error_code ignored;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return self.parent_path().parent_path() / "share/bramble/sdcard";
}

void LookInSystemDirectories() {
  const char* path = std::getenv("PATH");
  const std::string longer = (path == nullptr ? std::string("/usr/bin:/bin") : std::string(path)) +
                             ":/usr/local/sbin:/usr/sbin:/sbin";
  ::setenv("PATH", longer.c_str(), 1);
}

}  // namespace bramble::cli
