// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/byte_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/status.h"

namespace bramble::sdcard {
namespace {

std::string At(const std::string& name, uint64_t offset) {
  return StrCat(name, ": at byte ", offset);
}

absl::Status DeviceError(int error, const std::string& context) {
  if (error == ENODEV || error == ENXIO || error == ENOMEDIUM) {
    return absl::UnavailableError(StrCat(context, ": the device is gone"));
  }
  return ErrnoStatus(error, context);
}

}  // namespace

absl::StatusOr<std::string> ByteDevice::Read(uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  BRAMBLE_RETURN_IF_ERROR(ReadAt(offset, bytes.data(), size));
  return bytes;
}

absl::StatusOr<std::unique_ptr<FileDevice>> FileDevice::Open(const std::filesystem::path& path,
                                                             Mode mode) {
  const int flags = mode == Mode::kRead        ? O_RDONLY
                    : mode == Mode::kReadWrite ? O_RDWR
                                               : O_RDWR | O_EXCL;
  std::unique_ptr<FileDevice> device(new FileDevice);
  device->name_ = path.string();
  BRAMBLE_ASSIGN_OR_RETURN(device->fd_, OpenFile(path, flags));
  struct stat info;
  if (::fstat(device->fd_.get(), &info) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  if (S_ISBLK(info.st_mode)) {
    device->is_block_device_ = true;
    if (::ioctl(device->fd_.get(), BLKGETSIZE64, &device->size_) != 0) {
      return DeviceError(errno, path.string());
    }
  } else if (S_ISREG(info.st_mode)) {
    device->size_ = static_cast<uint64_t>(info.st_size);
  } else {
    return absl::InvalidArgumentError(
        StrCat(path.string(), ": neither a file nor a block device such as /dev/sdb"));
  }
  return device;
}

absl::Status FileDevice::ReadAt(uint64_t offset, char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = ::pread(fd_.get(), out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return DeviceError(errno, At(name_, offset));
    }
    if (got == 0) {
      return absl::OutOfRangeError(
          StrCat(At(name_, offset), ": it ends there; ", size, " bytes are missing"));
    }
    out += got;
    size -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::Status FileDevice::WriteAt(uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return DeviceError(put < 0 ? errno : ENOSPC, At(name_, offset));
    }
    bytes.remove_prefix(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return absl::OkStatus();
}

absl::Status FileDevice::Flush() {
  if (::fdatasync(fd_.get()) != 0) {
    return DeviceError(errno, StrCat(name_, ": writing back"));
  }
  if (is_block_device_) {
    // Needs CAP_SYS_ADMIN; the advice below does it for clean pages too.
    (void)::ioctl(fd_.get(), BLKFLSBUF, 0);
  }
  (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  return absl::OkStatus();
}

absl::Status DeviceWindow::CheckInside(uint64_t offset, size_t size) const {
  if (offset > size_ || size > size_ - offset) {
    return absl::OutOfRangeError(StrCat(name(), ": ", size, " bytes at ", offset,
                                        " lie beyond the partition's ", size_, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status DeviceWindow::ReadAt(uint64_t offset, char* out, size_t size) {
  BRAMBLE_RETURN_IF_ERROR(CheckInside(offset, size));
  return device_.ReadAt(offset_ + offset, out, size);
}

absl::Status DeviceWindow::WriteAt(uint64_t offset, std::string_view bytes) {
  BRAMBLE_RETURN_IF_ERROR(CheckInside(offset, bytes.size()));
  return device_.WriteAt(offset_ + offset, bytes);
}

}  // namespace bramble::sdcard
