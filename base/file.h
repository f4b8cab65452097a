// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whole files.  Blocking: not for the loop, except for what is small and in memory (/proc, /sys,
// the first read of a configuration).  Every error names the path.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/fd.h"

#include "absl/status/statusor.h"

namespace bramble {

// The bytes of `path`.  kNotFound; kResourceExhausted: longer than `max_bytes`;
// kInvalidArgument: a directory.
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path, size_t max_bytes);

// Replaces `path` by `bytes`, so that a reader, or a power cut, finds the old file or the new one
// and never a part: a temporary file beside it, fdatasync, rename, fsync of the directory.
absl::Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes,
                                 mode_t mode = 0644);

// Its two steps, for those who have something to do between them.  After the first every reader
// finds the new file, and a power cut leaves the old one or the new one; after the second, the new.
absl::Status ReplaceFile(const std::filesystem::path& path, std::string_view bytes, mode_t mode);
absl::Status SyncDirectoryOf(const std::filesystem::path& path);

// Writes `text` to an existing file with one write(2): for /proc, /sys and cgroup files.
absl::Status WriteToExisting(const std::filesystem::path& path, std::string_view text);

// Makes the directory and what is missing above it, with `mode` for the new ones; no error when it
// exists.
absl::Status MakeDirectories(const std::filesystem::path& path, mode_t mode = 0755);

// open(2) with O_CLOEXEC added, retried on EINTR.
absl::StatusOr<Fd> OpenFile(const std::filesystem::path& path, int flags, mode_t mode = 0644);

// All of `bytes` to `fd`; `name` is for the error.
absl::Status WriteAll(int fd, std::string_view bytes, std::string_view name);

}  // namespace bramble
