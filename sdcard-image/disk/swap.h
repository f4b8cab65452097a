// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "sdcard-image/disk/byte_device.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// Makes all of `partition` a swap area, as mkswap does: only its first 4 KiB are written.  `uuid`
// is 16 raw bytes.  Source: Linux, include/linux/swap.h, union swap_header, version 1.
absl::Status MakeSwap(ByteDevice& partition, std::string_view uuid, std::string_view label);

// kInvalidArgument: no swap area there.
struct SwapFacts {
  uint64_t bytes = 0;
  std::string label;
};
absl::StatusOr<SwapFacts> ReadSwapFacts(ByteDevice& partition);

}  // namespace bramble::sdcard
