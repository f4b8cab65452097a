// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace bramble::cli {

// Where boards, layers and the scripts of a build are: share/bramble/sdcard beside this program's
// bin, installed and in a build tree.
std::filesystem::path SdcardData();

}  // namespace bramble::cli
