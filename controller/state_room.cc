// SPDX-License-Identifier: Apache-2.0
#include "controller/state_room.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "base/file.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

// Without the path: who has no token sees this too.
absl::Status Full() {
  return absl::ResourceExhaustedError(
      StrCat("the controller's disk is full (less than ", ToString(kRoomForWrites),
             " is free): writes fail, reads go on; make room, no restart is needed"));
}

// For a file system that makes no unnamed files or sets nothing aside (NFS): its own count.
absl::Status CheckCount(const std::filesystem::path& directory) {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0) {
    return ErrnoStatus(errno, directory.string());
  }
  if ((disk.f_flag & ST_RDONLY) != 0) {
    return ErrnoStatus(EROFS, "the controller's disk");
  }
  const auto free = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  return free < kRoomForWrites.count ? Full() : absl::OkStatus();
}

}  // namespace

absl::Status CheckRoom(const std::filesystem::path& directory) {
  const absl::StatusOr<Fd> file = OpenFile(directory, O_TMPFILE | O_RDWR, 0600);
  int error = 0;
  if (file.ok()) {
    error = ::fallocate(file->get(), 0, 0, kRoomForWrites.count) == 0 ? 0 : errno;
  } else if (absl::IsResourceExhausted(file.status())) {
    return Full();  // not even an inode
  } else {
    error = EOPNOTSUPP;
  }
  switch (error) {
    case 0:
      return absl::OkStatus();
    case ENOSPC:
    case EDQUOT:
      return Full();
    case EOPNOTSUPP:
    case ENOSYS:
      return CheckCount(directory);
    default:
      return ErrnoStatus(error, "the controller's disk");
  }
}

}  // namespace bramble::controller
