// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/sdcard_paths.h"

namespace bramble::cli {

std::filesystem::path SdcardData() {
  std::error_code ignored;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return self.parent_path().parent_path() / "share/bramble/sdcard";
}

}  // namespace bramble::cli
