// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "sdcard-image/disk/byte_device.h"

namespace bramble::sdcard {

// A file in memory, read-only.  The device may go before it.
class MappedFile {
 public:
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const FileDevice& file) {
    std::unique_ptr<MappedFile> mapped(new MappedFile);
    mapped->size_ = file.size();
    mapped->data_ = ::mmap(nullptr, mapped->size_, PROT_READ, MAP_PRIVATE, file.fd(), 0);
    if (mapped->data_ == MAP_FAILED) {
      return ErrnoStatus(errno, file.name());
    }
    (void)::madvise(mapped->data_, mapped->size_, MADV_SEQUENTIAL);
    return mapped;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (data_ != MAP_FAILED) {
      ::munmap(data_, size_);
    }
  }
  std::string_view view() const { return {static_cast<const char*>(data_), size_}; }

 private:
  MappedFile() = default;
  void* data_ = MAP_FAILED;
  size_t size_ = 0;
};

}  // namespace bramble::sdcard
