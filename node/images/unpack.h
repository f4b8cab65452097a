// SPDX-License-Identifier: Apache-2.0
#pragma once

// Unpacks an image's archive.  This is the code that meets what strangers wrote, so it runs in
// bramble-unpack only, confined by sandbox.h: with no privileges on the host, and with the tree as
// its root directory.

#include <cstdint>
#include <string>

#include "base/hash.h"
#include "base/units.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct UnpackLimits {
  int64_t entries = 500'000;
  Bytes unpacked{16 * kGiB};
  int64_t ratio = 100;  // unpacked to packed, beyond the first kRatioFreeBytes
  size_t path_bytes = 4096;
  int depth = 64;
};
inline constexpr int64_t kRatioFreeBytes = 64 * kMiB;

struct UnpackResult {
  int64_t entries = 0;
  Bytes unpacked;
  int64_t skipped_devices = 0;  // device nodes and sockets: a container's /dev is its own
  std::string architecture;     // of /bin/sh or init: "amd64", "arm64", "armhf" …; empty: unknown
};

// The SHA-256 of all bytes of `fd`, from its start; leaves it at its start.
absl::StatusOr<Sha256Digest> HashFile(int fd);

// Unpacks the tar archive (plain, gzip, xz or zstd) at `fd`'s position into the working directory,
// which must be empty.  Owners, modes, times, symbolic and hard links, FIFOs, and the extended
// attributes "security.capability" and "user.*" are kept.
// kInvalidArgument: not such an archive, or an entry that is absolute, has "..", goes through a
// symbolic link, or is a hard link to what was not unpacked before; kResourceExhausted: beyond a
// limit, or no room.  What was unpacked stays: the caller removes it.
absl::StatusOr<UnpackResult> Unpack(int fd, const UnpackLimits& limits);

// Debian's name of the architecture that the ELF header `bytes` (20 or more) is for, or "".
std::string ArchitectureOfElf(std::string_view bytes);

}  // namespace bramble::node
