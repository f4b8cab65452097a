// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace bramble::cli {

// Where boards, layers and the scripts of a build are: share/bramble/sdcard beside this program's
// bin, installed and in a build tree.
std::filesystem::path SdcardData();

// Has programs of the system found (mke2fs, e2fsck, debugfs, chroot), also by who is not root: the
// PATH of Debian's users ends before /usr/sbin.
void LookInSystemDirectories();

}  // namespace bramble::cli
