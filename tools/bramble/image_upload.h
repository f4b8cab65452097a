// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "tools/bramble/operation_wait.h"
#include "tools/bramble/session.h"
#include "tools/bramble/spooled_file.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

struct UploadOptions {
  size_t piece_bytes = 4 << 20;                // sent at once
  int max_failures = 8;                        // in a row, without a byte more on the controller
  std::chrono::milliseconds first_pause{500};  // after a failure; doubled with each, at most:
  std::chrono::milliseconds last_pause{15'000};
  std::function<void(std::chrono::milliseconds)> sleep;  // nullptr: the system's
};

// "uploading 3.0MiB of 12.0MiB (25 %)".
std::string PartText(std::string_view doing, uint64_t done, uint64_t all);

// Sends `file`, whose SHA-256 is `digest`, in pieces; goes on where this or an earlier run was cut
// off.  Gives the upload's id.  An error of the network says that the same command goes on.
absl::StatusOr<std::string> UploadFile(Session& session, const OpenedFile& file,
                                       const std::string& digest, ProgressLine& progress,
                                       const UploadOptions& options = {});

}  // namespace bramble::cli
