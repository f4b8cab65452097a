// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/file.h"
#include "controller/store/paths.h"

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bramble::controller {

// A backup is a tar archive (base/tar.h) of the database and the keys, mode 0600, and, when it was
// asked for, of the images' blobs: NAME is kBackupBlobs and the digest.  All of it blocks.

inline constexpr char kBackupBlobs[] = "blobs/";

// The state directory is the caller's while it holds what this returns.  kFailedPrecondition:
// another process has it.
absl::StatusOr<Fd> LockStateDirectory(const StatePaths& paths);

// Packs the keys below `paths` and `database`, a copy made by Store::Backup.
absl::Status WriteBackup(const StatePaths& paths, const std::filesystem::path& database,
                         const std::filesystem::path& to);

// Unpacks `from` into a state directory that has no database, and marks it as restored: the next
// start opens an epoch above it and adopts.  Holds the directory's lock meanwhile.  Run by root,
// all that is made is given to the directory's owner.  kFailedPrecondition: there is a database
// already, or what SQLite left of one, or a controller runs there.  kInvalidArgument: not a whole
// backup, or a blob is not what its name says.  All of it is in place or nothing is.  Memory: one
// piece of 1 MiB, however large the blobs are.
absl::Status RestoreBackup(const std::filesystem::path& from, const StatePaths& paths);

}  // namespace bramble::controller
