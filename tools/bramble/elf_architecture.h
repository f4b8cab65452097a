// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble::cli {

// Debian's name for what an ELF file that starts with `header` (20 bytes or more) runs on: amd64,
// arm64 or armhf; "" when it is no ELF file or for another machine.
std::string ElfArchitecture(std::string_view header);

// The architecture of the first program in the archive that `fd` is at the start of (tar: plain,
// gzip, xz or zstd).  A child process without privileges and with limits reads it.  Leaves `fd` at
// its start. kNotFound: no program in it.
absl::StatusOr<std::string> ArchitectureOfArchive(int fd);

}  // namespace bramble::cli
