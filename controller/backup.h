// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "controller/store/paths.h"

#include "absl/status/status.h"

namespace bramble::controller {

// A backup is a tar archive (ustar, POSIX.1-1988) of the database and the keys, mode 0600.  Images
// are not in it.  Both functions block.

// Packs the keys below `paths` and `database`, a copy made by Store::Backup.
absl::Status WriteBackup(const StatePaths& paths, const std::filesystem::path& database,
                         const std::filesystem::path& to);

// Unpacks `from` into a state directory that has no database, and marks it as restored: the next
// start opens an epoch above it and adopts.  kFailedPrecondition: there is a database already.
// kInvalidArgument: not a whole backup.  All of it is in place or nothing is.
absl::Status RestoreBackup(const std::filesystem::path& from, const StatePaths& paths);

}  // namespace bramble::controller
