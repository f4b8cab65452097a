// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/units.h"

#include "absl/status/status.h"

namespace bramble::controller {

// What the disk that holds the state must still take for the controller to count as ready.
inline constexpr Bytes kRoomForWrites{1 * kMiB};

// Whether a file of kRoomForWrites can be made in `directory` now: tried with a file that has no
// name and is given back at once; no data is written.  Blocks.  kResourceExhausted: the disk is
// full; other errors name what the system says (a disk that became read-only).
absl::Status CheckRoom(const std::filesystem::path& directory);

}  // namespace bramble::controller
