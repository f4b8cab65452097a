// SPDX-License-Identifier: Apache-2.0
#include "base/beneath.h"

#include <dirent.h>
#include <sys/syscall.h>

#include <cerrno>
#include <memory>
#include <vector>

#include <linux/openat2.h>

#include "base/encoding.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr int kMaxTreeDepth = 256;
// openat2 may be disturbed by a rename of ours or of another's: openat2(2), EAGAIN.
constexpr int kMaxAttempts = 64;

std::string Shown(std::string_view path) { return StrCat("\"", path.substr(0, 200), "\""); }

absl::Status BeneathError(int error, std::string_view path) {
  switch (error) {
    case EXDEV:
    case ELOOP:
      return absl::PermissionDeniedError(StrCat(Shown(path), ": leads out of its directory"));
    case ENOSYS:
      return absl::UnimplementedError("this kernel has no openat2 (Linux 5.6)");
    default:
      return ErrnoStatus(error, Shown(path));
  }
}

// A path for openat2: relative, and "." for the root itself.
absl::StatusOr<std::string> Relative(std::string_view path) {
  if (path.find('\0') != std::string_view::npos || path.size() > 4095) {
    return absl::InvalidArgumentError("a path has 1 to 4095 bytes, none of them zero");
  }
  while (path.starts_with('/')) {
    path.remove_prefix(1);
  }
  return path.empty() ? std::string(".") : std::string(path);
}

std::string_view WithoutTrailingSlashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  return path;
}

absl::StatusOr<Fd> OpenResolved(int root, std::string_view path, const open_how& how) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string relative, Relative(path));
  long fd = -1;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    fd = ::syscall(SYS_openat2, root, relative.c_str(), &how, sizeof(how));
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
      break;
    }
  }
  if (fd < 0 && errno == ELOOP && (how.resolve & RESOLVE_NO_SYMLINKS) != 0) {
    return absl::PermissionDeniedError(
        StrCat(Shown(path), ": a symbolic link is in the way, and none is followed here"));
  }
  if (fd < 0) {
    return BeneathError(errno, path);
  }
  return Fd(static_cast<int>(fd));
}

open_how HowToOpen(int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return how;
}

}  // namespace

absl::StatusOr<Fd> OpenDirectory(const std::filesystem::path& path) {
  return OpenFile(path, O_PATH | O_DIRECTORY);
}

absl::StatusOr<Fd> OpenBeneath(int root, std::string_view path, int flags, mode_t mode) {
  return OpenResolved(root, path, HowToOpen(flags, mode));
}

absl::StatusOr<Fd> OpenBeneathNoSymlinks(int root, std::string_view path, int flags, mode_t mode) {
  open_how how = HowToOpen(flags, mode);
  how.resolve |= RESOLVE_NO_SYMLINKS;
  return OpenResolved(root, path, how);
}

absl::StatusOr<Parent> OpenParentBeneath(int root, std::string_view path) {
  const std::string_view whole = path;
  path = WithoutTrailingSlashes(path);
  const size_t slash = path.rfind('/');
  Parent parent;
  parent.name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (parent.name.empty() || parent.name == "." || parent.name == "..") {
    return absl::InvalidArgumentError(StrCat(Shown(whole), ": names no file"));
  }
  const std::string_view directory =
      slash == std::string_view::npos ? std::string_view("/") : path.substr(0, slash + 1);
  BRAMBLE_ASSIGN_OR_RETURN(parent.directory, OpenBeneath(root, directory, O_PATH | O_DIRECTORY));
  return parent;
}

absl::Status MakeDirectoriesBeneath(int root, std::string_view path, mode_t mode) {
  const absl::StatusOr<Fd> there = OpenBeneath(root, path, O_PATH | O_DIRECTORY);
  if (there.ok() || !absl::IsNotFound(there.status())) {
    return there.status();
  }
  path = WithoutTrailingSlashes(path);
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos && slash > 0) {
    BRAMBLE_RETURN_IF_ERROR(MakeDirectoriesBeneath(root, path.substr(0, slash), mode));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Parent parent, OpenParentBeneath(root, path));
  if (::mkdirat(parent.directory.get(), parent.name.c_str(), mode) != 0 && errno != EEXIST) {
    return BeneathError(errno, path);
  }
  return OpenBeneath(root, path, O_PATH | O_DIRECTORY).status();
}

absl::StatusOr<Fd> CreateBeneath(int root, std::string_view path, mode_t mode) {
  return OpenBeneath(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

absl::Status WriteBeneath(int root, std::string_view path, std::string_view bytes, mode_t mode) {
  BRAMBLE_ASSIGN_OR_RETURN(const Parent parent, OpenParentBeneath(root, path));
  const std::string temporary = StrCat(".bramble-", HexEncode(SystemRandom().Bytes(8)));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, CreateBeneath(parent.directory.get(), temporary, mode));
  absl::Status status = WriteAll(fd.get(), bytes, Shown(path));
  if (status.ok() && ::fchmod(fd.get(), mode) != 0) {
    status = ErrnoStatus(errno, Shown(path));
  }
  if (status.ok() && ::renameat(parent.directory.get(), temporary.c_str(), parent.directory.get(),
                                parent.name.c_str()) != 0) {
    status = ErrnoStatus(errno, Shown(path));
  }
  if (!status.ok()) {
    ::unlinkat(parent.directory.get(), temporary.c_str(), 0);
  }
  return status;
}

absl::StatusOr<std::string> ReadBeneath(int root, std::string_view path, size_t max_bytes) {
  // Not blocking, so that a FIFO in the tree cannot hold us.
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenBeneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, Shown(path));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(StrCat(Shown(path), ": is not a regular file"));
  }
  std::string bytes;
  char chunk[65536];
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk, sizeof(chunk));
    if (got == 0) {
      return bytes;
    }
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoStatus(errno, Shown(path));
    }
    bytes.append(chunk, static_cast<size_t>(got));
    if (bytes.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          StrCat(Shown(path), ": longer than ", max_bytes, " bytes"));
    }
  }
}

absl::Status UnlinkBeneath(int root, std::string_view path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Parent parent, OpenParentBeneath(root, path));
  return ::unlinkat(parent.directory.get(), parent.name.c_str(), 0) == 0
             ? absl::OkStatus()
             : BeneathError(errno, path);
}

namespace {

// Removes what is in `directory`, one file system only.
absl::Status Empty(Fd directory, dev_t device, std::string_view path, int depth) {
  if (depth > kMaxTreeDepth) {
    return absl::ResourceExhaustedError(StrCat(Shown(path), ": nested too deeply"));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.get()), ::closedir);
  if (stream == nullptr) {
    return ErrnoStatus(errno, Shown(path));
  }
  directory.Release();  // the stream's now
  const int fd = ::dirfd(stream.get());
  // A directory that changes while it is read may be read short: names first, removal after.
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    names.emplace_back(entry->d_name);
  }
  for (const std::string& name : names) {
    if (name == "." || name == ".." || ::unlinkat(fd, name.c_str(), 0) == 0 || errno == ENOENT) {
      continue;
    }
    if (errno != EISDIR && errno != EPERM) {
      return ErrnoStatus(errno, Shown(StrCat(path, "/", name)));
    }
    struct stat info;
    absl::StatusOr<Fd> child =
        OpenBeneath(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
    if (!child.ok()) {
      return child.status();
    }
    if (::fstat(child->get(), &info) != 0 || info.st_dev != device) {
      return absl::FailedPreconditionError(
          StrCat(Shown(StrCat(path, "/", name)), ": something is mounted there"));
    }
    BRAMBLE_RETURN_IF_ERROR(Empty(*std::move(child), device, StrCat(path, "/", name), depth + 1));
    if (::unlinkat(fd, name.c_str(), AT_REMOVEDIR) != 0) {
      return ErrnoStatus(errno, Shown(StrCat(path, "/", name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveTreeBeneath(int root, std::string_view path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Parent parent, OpenParentBeneath(root, path));
  BRAMBLE_ASSIGN_OR_RETURN(Fd directory, OpenBeneath(parent.directory.get(), parent.name,
                                                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat info;
  if (::fstat(directory.get(), &info) != 0) {
    return ErrnoStatus(errno, Shown(path));
  }
  BRAMBLE_RETURN_IF_ERROR(Empty(std::move(directory), info.st_dev, path, 0));
  return ::unlinkat(parent.directory.get(), parent.name.c_str(), AT_REMOVEDIR) == 0
             ? absl::OkStatus()
             : ErrnoStatus(errno, Shown(path));
}

absl::Status RenameBeneath(int root, std::string_view from, std::string_view to) {
  BRAMBLE_ASSIGN_OR_RETURN(const Parent source, OpenParentBeneath(root, from));
  BRAMBLE_ASSIGN_OR_RETURN(const Parent target, OpenParentBeneath(root, to));
  return ::renameat(source.directory.get(), source.name.c_str(), target.directory.get(),
                    target.name.c_str()) == 0
             ? absl::OkStatus()
             : BeneathError(errno, to);
}

absl::StatusOr<struct stat> StatBeneath(int root, std::string_view path) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenBeneath(root, path, O_PATH | O_NOFOLLOW));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, Shown(path));
  }
  return info;
}

}  // namespace bramble
