// SPDX-License-Identifier: Apache-2.0
// The archive of a directory that is pushed into a container, or of a backup.
#include <algorithm>
#include <cstring>

#include "base/tar.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {

void Try(std::string_view input) {
  const size_t all = input.size();
  TarReader reader([&input](char* out, size_t size) -> absl::StatusOr<size_t> {
    size = std::min(size, input.size());
    std::memcpy(out, input.data(), size);
    input.remove_prefix(size);
    return size;
  });
  size_t bytes = 0;
  while (true) {
    const absl::StatusOr<std::optional<TarEntry>> entry = reader.Next();
    if (!entry.ok() || !entry->has_value()) {
      break;
    }
    BRAMBLE_CHECK((*entry)->mode <= 07777, "modes are permissions");
    char piece[700];
    while (true) {
      const absl::StatusOr<size_t> got = reader.Read(piece, sizeof(piece));
      if (!got.ok() || *got == 0) {
        break;
      }
      bytes += *got;
    }
  }
  BRAMBLE_CHECK(bytes <= all, "no more comes out than went in");
}

std::vector<std::string> Seeds() {
  const auto file = [](std::string name, const std::string& content) {
    return TarHeader({.name = std::move(name), .size = content.size()}) + content +
           TarPadding(content.size());
  };
  const std::string directory = TarHeader(
      {.name = "d/", .type = TarType::kDirectory, .mode = 0755, .mtime_s = 1'700'000'000});
  const std::string link =
      TarHeader({.name = "l", .type = TarType::kSymlink, .link = std::string(200, 'x')});
  return {directory + file("d/a", "hello") + link + TarEnd(),
          file(std::string(300, 'n'), "x") + TarEnd(),
          TarHeader({.name = "big", .size = 1ULL << 40, .uid = 4'000'000'000U}),
          file("cut", std::string(600, 'c')).substr(0, 700)};
}

}  // namespace bramble::fuzz
