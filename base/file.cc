// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/status.h"

namespace bramble {
namespace {

constexpr size_t kPage = 4096;

}  // namespace

absl::StatusOr<Fd> OpenFile(const std::filesystem::path& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    return ErrnoStatus(errno, path.string());
  }
  return Fd(fd);
}

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path, size_t max_bytes) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDONLY));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(StrCat(path.string(), ": is a directory"));
  }
  // Files of /proc and /sys say 0, so the size is a hint only; and a number below /proc/sys is
  // given by the first read alone, as far as that has room for it.
  std::string bytes;
  size_t room = std::clamp<size_t>(static_cast<size_t>(info.st_size) + 1, kPage, 65536);
  for (;;) {
    const size_t used = bytes.size();
    bytes.resize(used + room);
    const ssize_t got = ::read(fd.get(), bytes.data() + used, room);
    if (got < 0 && errno != EINTR) {
      return ErrnoStatus(errno, path.string());
    }
    bytes.resize(used + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) {
      return bytes;
    }
    if (bytes.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          StrCat(path.string(), ": longer than ", max_bytes, " bytes"));
    }
    room = 65536;
  }
}

absl::Status WriteAll(int fd, std::string_view bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoStatus(errno, name);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes,
                                 mode_t mode) {
  BRAMBLE_RETURN_IF_ERROR(ReplaceFile(path, bytes, mode));
  return SyncDirectoryOf(path);
}

absl::Status ReplaceFile(const std::filesystem::path& path, std::string_view bytes, mode_t mode) {
  std::string temporary = path.string() + ".XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) {
    return ErrnoStatus(errno, path.string());
  }
  absl::Status status = WriteAll(fd.get(), bytes, path.string());
  if (status.ok() && (::fchmod(fd.get(), mode) != 0 || ::fdatasync(fd.get()) != 0)) {
    status = ErrnoStatus(errno, path.string());
  }
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(errno, path.string());
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
  }
  return status;
}

absl::Status SyncDirectoryOf(const std::filesystem::path& path) {
  const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : ".";
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, directory.string());
  }
  return absl::OkStatus();
}

absl::Status WriteToExisting(const std::filesystem::path& path, std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_WRONLY));
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) {
    return ErrnoStatus(errno, path.string());
  }
  if (static_cast<size_t>(written) != text.size()) {
    return absl::DataLossError(
        StrCat(path.string(), ": took ", written, " of ", text.size(), " bytes"));
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::filesystem::path& path, mode_t mode) {
  if (path.empty() || ::mkdir(path.c_str(), mode) == 0) {
    return absl::OkStatus();
  }
  if (errno == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    BRAMBLE_RETURN_IF_ERROR(MakeDirectories(path.parent_path(), mode));
    if (::mkdir(path.c_str(), mode) == 0) {
      return absl::OkStatus();
    }
  }
  const int error = errno;
  struct stat info;
  if (error == EEXIST && ::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return absl::OkStatus();
    }
    return absl::AlreadyExistsError(StrCat(path.string(), ": exists and is not a directory"));
  }
  return ErrnoStatus(error, path.string());
}

}  // namespace bramble
