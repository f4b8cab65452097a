// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string>

#include "sdcard-image/disk/byte_device.h"

namespace bramble::sdcard {

// A device whose bytes are a string.
class MemoryDevice : public ByteDevice {
 public:
  explicit MemoryDevice(size_t size, char fill = '\0') : bytes(size, fill) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes.size(); }
  absl::Status ReadAt(uint64_t offset, char* out, size_t size) override {
    if (offset + size > bytes.size()) {
      return absl::OutOfRangeError("memory: beyond the end");
    }
    std::memcpy(out, bytes.data() + offset, size);
    return absl::OkStatus();
  }
  absl::Status WriteAt(uint64_t offset, std::string_view data) override {
    if (offset + data.size() > bytes.size()) {
      return absl::OutOfRangeError("memory: beyond the end");
    }
    bytes.replace(offset, data.size(), data);
    return absl::OkStatus();
  }
  absl::Status Flush() override { return absl::OkStatus(); }

  std::string bytes;

 private:
  std::string name_ = "memory";
};

}  // namespace bramble::sdcard
