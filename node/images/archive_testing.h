// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace bramble::node {

// One entry of an archive that a test makes.
struct TestEntry {
  std::string path;
  char type = 'f';      // f file, d directory, l symbolic link, h hard link, c device, p FIFO
  std::string content;  // or the link's target
  int mode = 0644;
  int uid = 0;
  int gid = 0;
};

// A tar archive (packed by zstd when `packed`) of `entries`, as they are: evil ones too.
std::string MakeArchive(const std::vector<TestEntry>& entries, bool packed = false);

}  // namespace bramble::node
