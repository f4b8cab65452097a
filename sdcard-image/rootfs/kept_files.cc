// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/kept_files.h"

#include <algorithm>
#include <system_error>
#include <vector>

namespace bramble::sdcard {

void KeepNewest(const std::filesystem::path& directory, uint64_t max_bytes) {
  struct Kept {
    std::filesystem::file_time_type time;
    uint64_t bytes = 0;
    std::filesystem::path path;
  };
  std::vector<Kept> all;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.is_regular_file(ignored)) {
      all.push_back({entry.last_write_time(ignored), entry.file_size(ignored), entry.path()});
    }
  }
  std::sort(all.begin(), all.end(), [](const Kept& a, const Kept& b) { return a.time > b.time; });
  uint64_t sum = 0;
  for (const Kept& each : all) {
    sum += each.bytes;
    if (sum > max_bytes) {
      std::filesystem::remove(each.path, ignored);
    }
  }
}

}  // namespace bramble::sdcard
