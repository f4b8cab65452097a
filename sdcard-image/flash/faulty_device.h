// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>

#include "sdcard-image/disk/memory_device.h"

namespace bramble::sdcard {

// A card that is broken in the ways that cards are.
class FaultyDevice : public MemoryDevice {
 public:
  using MemoryDevice::MemoryDevice;

  // Writes that touch this byte are lost, so many times.
  uint64_t loses_at = UINT64_MAX;
  int loses_times = 0;
  // The device is gone after so many writes.
  int writes_until_gone = -1;
  // What it really holds; what is written beyond lands at the address modulo this.
  uint64_t real_bytes = UINT64_MAX;
  // Reads give an error from here on.
  uint64_t unreadable_from = UINT64_MAX;
  // Reads end here: what is beyond does not come.
  uint64_t short_from = UINT64_MAX;

  uint64_t bytes_written = 0;

  absl::Status WriteAt(uint64_t offset, std::string_view data) override {
    if (writes_until_gone == 0) {
      return absl::UnavailableError("memory: the device is gone");
    }
    writes_until_gone -= writes_until_gone > 0 ? 1 : 0;
    bytes_written += data.size();
    if (loses_times > 0 && offset <= loses_at && loses_at < offset + data.size()) {
      --loses_times;
      return absl::OkStatus();
    }
    return MemoryDevice::WriteAt(offset % real_bytes, data);
  }
  absl::Status ReadAt(uint64_t offset, char* out, size_t size) override {
    if (offset + size > unreadable_from) {
      return absl::DataLossError("memory: Input/output error");
    }
    if (offset + size > short_from) {
      return absl::OutOfRangeError("memory: it ends there");
    }
    return MemoryDevice::ReadAt(offset % real_bytes, out, size);
  }
};

}  // namespace bramble::sdcard
