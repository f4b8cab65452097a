// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files below a directory that someone else controls (a container's or an image's tree), reached
// only from a directory descriptor with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS): no "..",
// no absolute symlink and no /proc magic link leads out, whatever is changed meanwhile.
//
// A path that leads out is kPermissionDenied.  kUnimplemented: the kernel has no openat2 (before
// 5.6, or qemu-user 7.2); there is no weaker fallback.  Symlinks that stay beneath are followed in
// the middle of a path; the last component is followed only where it says so.
//
// Source: Linux, openat2(2).

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/fd.h"

#include "absl/status/statusor.h"

namespace bramble {

// A directory to start from; the path is trusted and resolved as usual.
absl::StatusOr<Fd> OpenDirectory(const std::filesystem::path& path);

// openat2 of `path` below `root`.  A leading '/' means `root`.  `flags` as of open(2), O_CLOEXEC is
// added; a final symlink is followed (beneath) unless O_NOFOLLOW.
absl::StatusOr<Fd> OpenBeneath(int root, std::string_view path, int flags, mode_t mode = 0);

// As OpenBeneath, but any symlink in `path`, its last component included, is kPermissionDenied.
absl::StatusOr<Fd> OpenBeneathNoSymlinks(int root, std::string_view path, int flags,
                                         mode_t mode = 0);

// Makes `path` and what is missing above it.  No error when it is a directory already.
absl::Status MakeDirectoriesBeneath(int root, std::string_view path, mode_t mode = 0755);

// Opens the directory that holds `path`, and gives the last component: for the *at calls.
struct Parent {
  Fd directory;
  std::string name;
};
absl::StatusOr<Parent> OpenParentBeneath(int root, std::string_view path);

// A new file; kAlreadyExists when there is something at `path`.
absl::StatusOr<Fd> CreateBeneath(int root, std::string_view path, mode_t mode = 0644);
// Replaces `path` by `bytes` by way of a temporary file and rename, not following a final symlink.
absl::Status WriteBeneath(int root, std::string_view path, std::string_view bytes,
                          mode_t mode = 0644);
// The bytes of the regular file `path`, a final symlink followed beneath.
absl::StatusOr<std::string> ReadBeneath(int root, std::string_view path, size_t max_bytes);
absl::Status UnlinkBeneath(int root, std::string_view path);
// A directory and all below it, not crossing into another file system; kNotFound when none.
absl::Status RemoveTreeBeneath(int root, std::string_view path);
// Both below `root`; replaces `to`.
absl::Status RenameBeneath(int root, std::string_view from, std::string_view to);
// lstat(2) below `root`.
absl::StatusOr<struct stat> StatBeneath(int root, std::string_view path);

}  // namespace bramble
