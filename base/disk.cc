// SPDX-License-Identifier: Apache-2.0
#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

absl::Status WriteWith(const Disk::Path& path, std::string_view bytes, int flags) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_WRONLY | O_CREAT | flags, kFileMode));
  return WriteAll(fd.get(), bytes, path.string());
}

}  // namespace

absl::StatusOr<std::string> SystemDisk::Read(const Path& path, size_t max_bytes) {
  return ReadFile(path, max_bytes);
}

absl::Status SystemDisk::Write(const Path& path, std::string_view bytes) {
  return WriteWith(path, bytes, O_TRUNC);
}

absl::Status SystemDisk::Append(const Path& path, std::string_view bytes) {
  return WriteWith(path, bytes, O_APPEND);
}

absl::Status SystemDisk::SyncFile(const Path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY));
  return ::fdatasync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
}

absl::Status SystemDisk::SyncDirectory(const Path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
}

absl::Status SystemDisk::Rename(const Path& from, const Path& to) {
  return ::rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus()
                                                 : ErrnoStatus(errno, to.string());
}

absl::Status SystemDisk::Remove(const Path& path) {
  return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
}

absl::StatusOr<std::vector<std::string>> SystemDisk::List(const Path& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (stream == nullptr) {
    return ErrnoStatus(errno, directory.string());
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) {
      break;
    }
    std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(std::move(name));
    }
  }
  if (errno != 0) {
    return ErrnoStatus(errno, directory.string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status SystemDisk::MakeDirectory(const Path& path) {
  return MakeDirectories(path, kDirectoryMode);
}

absl::Status ReplaceFile(Disk& disk, const Disk::Path& path, std::string_view bytes) {
  const Disk::Path fresh = path.string() + ".new";
  BRAMBLE_RETURN_IF_ERROR(disk.Write(fresh, bytes));
  BRAMBLE_RETURN_IF_ERROR(disk.SyncFile(fresh));
  BRAMBLE_RETURN_IF_ERROR(disk.Rename(fresh, path));
  return disk.SyncDirectory(path.parent_path());
}

}  // namespace bramble
