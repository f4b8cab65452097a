// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the bytes of a card are: an image file, a card in its reader, or a fake of either.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"

#include "absl/status/statusor.h"

namespace bramble::sdcard {

// Bytes at offsets.  Blocking; one thread at a time.  Every error names the device and the offset.
class ByteDevice {
 public:
  virtual ~ByteDevice() = default;

  // What people call it: its path.
  virtual const std::string& name() const = 0;
  // In bytes.
  virtual uint64_t size() const = 0;
  // All of `size` bytes.  kOutOfRange: beyond the end;  kDataLoss: the device gave fewer or failed;
  // kUnavailable: it is gone.
  virtual absl::Status ReadAt(uint64_t offset, char* out, size_t size) = 0;
  virtual absl::Status WriteAt(uint64_t offset, std::string_view bytes) = 0;
  // What was written is on the medium, and what is read next comes from there, not from memory.
  virtual absl::Status Flush() = 0;

  absl::StatusOr<std::string> Read(uint64_t offset, size_t size);
};

// A regular file or a block device.
class FileDevice : public ByteDevice {
 public:
  enum class Mode { kRead, kReadWrite, kExclusive };

  // kExclusive: to write, and refused where a block device is in use (O_EXCL: mounted, swap, RAID).
  // kNotFound, kPermissionDenied; kInvalidArgument: neither a file nor a block device.
  static absl::StatusOr<std::unique_ptr<FileDevice>> Open(const std::filesystem::path& path,
                                                          Mode mode);

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  absl::Status ReadAt(uint64_t offset, char* out, size_t size) override;
  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override;
  absl::Status Flush() override;

  bool is_block_device() const { return is_block_device_; }
  int fd() const { return fd_.get(); }

 private:
  FileDevice() = default;

  std::string name_;
  Fd fd_;
  uint64_t size_ = 0;
  bool is_block_device_ = false;
};

// A part of another device, which must outlive it.
class DeviceWindow : public ByteDevice {
 public:
  DeviceWindow(ByteDevice& device, uint64_t offset, uint64_t size)
      : device_(device), offset_(offset), size_(size) {}

  const std::string& name() const override { return device_.name(); }
  uint64_t size() const override { return size_; }
  absl::Status ReadAt(uint64_t offset, char* out, size_t size) override;
  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override;
  absl::Status Flush() override { return device_.Flush(); }

 private:
  absl::Status CheckInside(uint64_t offset, size_t size) const;

  ByteDevice& device_;
  const uint64_t offset_;
  const uint64_t size_;
};

}  // namespace bramble::sdcard
