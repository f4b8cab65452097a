// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory packed into a tar archive, and an archive unpacked into one, beneath a directory
// descriptor: no symlink below it is followed, whatever the archive says or somebody changes
// meanwhile.  Blocking.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/tar.h"

#include "absl/status/statusor.h"

namespace bramble {

inline constexpr int kMaxTreeArchiveDepth = 256;
inline constexpr int64_t kMaxTreeArchiveEntries = 1'000'000;

struct TreeCount {
  int64_t entries = 0;
  int64_t bytes = 0;    // of files
  int64_t skipped = 0;  // devices, sockets, pipes: not carried
};

struct PackTreeOptions {
  std::string name;      // of the directory in the archive; what is in it is called NAME/…
  uint32_t id_base = 0;  // the id that is 0 in the archive; others are nobody's (65534)
  std::optional<uint32_t> uid = {};  // of everything, instead of its own
  std::optional<uint32_t> gid = {};
  int64_t max_bytes = INT64_MAX;
};
// Packs the directory `fd` (or a regular file), which is the caller's to close.  Other file systems
// that are mounted below it are left out.  kResourceExhausted: more than there may be.
absl::StatusOr<TreeCount> PackTree(int fd, const PackTreeOptions& options,
                                   const std::function<absl::Status(std::string_view)>& sink);

struct UnpackTreeOptions {
  enum class Owners { kCaller, kArchive };
  Owners owners = Owners::kCaller;
  uint32_t id_base = 0;              // of what is 0 in the archive
  uint32_t id_count = 1;             // ids at or above are kInvalidArgument
  std::optional<uint32_t> uid = {};  // of everything, instead of the archive's
  std::optional<uint32_t> gid = {};
  uint32_t mode_mask = 07777;
  int64_t max_bytes = INT64_MAX;
};
// Unpacks into the directory `fd`.  A file replaces another, a directory keeps what is in it; each
// file appears whole.  What was unpacked before an error stays.  kPermissionDenied: a symlink is in
// the way; kInvalidArgument: a name with "..", or no archive; kFailedPrecondition: a directory
// stands where a file should be, or the other way round.
absl::StatusOr<TreeCount> UnpackTree(int fd, const UnpackTreeOptions& options, TarReader& archive);

}  // namespace bramble
