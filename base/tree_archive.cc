// SPDX-License-Identifier: Apache-2.0
#include "base/tree_archive.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr size_t kPiece = 256 * 1024;
constexpr uint32_t kNobody = 65534;
constexpr size_t kMaxName = 4095;
constexpr mode_t kNewDirectoryMode = 0755;

std::string Shown(std::string_view path) { return StrCat("\"", path.substr(0, 200), "\""); }

absl::Status TreeError(int error, std::string_view path) {
  if (error == EISDIR || error == ENOTDIR || error == EEXIST || error == ENOTEMPTY) {
    return absl::FailedPreconditionError(
        StrCat(Shown(path),
               ": a directory stands where a file should be, or a file where a "
               "directory should be; remove it first"));
  }
  return ErrnoStatus(error, Shown(path));
}

// ---- Packing

class Packer {
 public:
  Packer(const PackTreeOptions& options, const std::function<absl::Status(std::string_view)>& sink)
      : options_(options), sink_(sink), buffer_(kPiece, '\0') {}

  absl::Status AddDirectory(Fd directory, const std::string& name, int depth) {
    if (depth > kMaxTreeArchiveDepth) {
      return absl::ResourceExhaustedError(StrCat(Shown(name), ": nested too deeply"));
    }
    struct stat about {};
    if (::fstat(directory.get(), &about) != 0) {
      return ErrnoStatus(errno, Shown(name));
    }
    BRAMBLE_RETURN_IF_ERROR(Header(about, StrCat(name, "/"), TarType::kDirectory, ""));
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.get()), ::closedir);
    if (stream == nullptr) {
      return ErrnoStatus(errno, Shown(name));
    }
    directory.Release();  // the stream's now
    std::vector<std::string> children;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string_view child = entry->d_name;
      if (child != "." && child != "..") {
        children.emplace_back(child);
      }
    }
    std::sort(children.begin(), children.end());
    for (const std::string& child : children) {
      BRAMBLE_RETURN_IF_ERROR(
          AddChild(::dirfd(stream.get()), child, StrCat(name, "/", child), about.st_dev, depth));
    }
    return absl::OkStatus();
  }

  absl::Status AddFile(Fd file, const std::string& name) {
    struct stat about {};
    if (::fstat(file.get(), &about) != 0) {
      return ErrnoStatus(errno, Shown(name));
    }
    if (!S_ISREG(about.st_mode)) {
      ++count_.skipped;
      return absl::OkStatus();
    }
    count_.bytes += about.st_size;
    if (count_.bytes > options_.max_bytes) {
      return absl::ResourceExhaustedError(
          StrCat(Shown(name), ": all together is more than ", options_.max_bytes, " bytes"));
    }
    BRAMBLE_RETURN_IF_ERROR(Header(about, name, TarType::kFile, ""));
    // Exactly as many as the header says: a file that shrinks meanwhile ends in zeros.
    auto left = static_cast<uint64_t>(about.st_size);
    while (left > 0) {
      const auto want = static_cast<size_t>(std::min<uint64_t>(left, buffer_.size()));
      const ssize_t got = ::read(file.get(), buffer_.data(), want);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        return ErrnoStatus(errno, Shown(name));
      }
      if (got == 0) {
        std::fill(buffer_.begin(), buffer_.end(), '\0');
      }
      const size_t size = got == 0 ? want : static_cast<size_t>(got);
      BRAMBLE_RETURN_IF_ERROR(sink_(std::string_view(buffer_.data(), size)));
      left -= size;
    }
    return sink_(TarPadding(static_cast<uint64_t>(about.st_size)));
  }

  const TreeCount& count() const { return count_; }

 private:
  absl::Status AddChild(int parent, const std::string& child, const std::string& name, dev_t device,
                        int depth) {
    struct stat about {};
    if (::fstatat(parent, child.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, Shown(name));
    }
    if (S_ISLNK(about.st_mode)) {
      std::string target(kMaxName + 1, '\0');
      const ssize_t size = ::readlinkat(parent, child.c_str(), target.data(), target.size());
      if (size < 0) {
        return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, Shown(name));
      }
      target.resize(static_cast<size_t>(size));
      return Header(about, name, TarType::kSymlink, target);
    }
    const bool directory = S_ISDIR(about.st_mode);
    if (!directory && !S_ISREG(about.st_mode)) {
      ++count_.skipped;
      return absl::OkStatus();
    }
    // Only directories tell: files of an overlay may bear the device of their layer.
    if (directory && about.st_dev != device) {
      return Header(about, StrCat(name, "/"), TarType::kDirectory, "");
    }
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    Fd opened(::openat(parent, child.c_str(), flags | (directory ? O_DIRECTORY : 0)));
    if (!opened.valid()) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, Shown(name));
    }
    return directory ? AddDirectory(std::move(opened), name, depth + 1)
                     : AddFile(std::move(opened), name);
  }

  uint32_t IdOf(uint32_t id, std::optional<uint32_t> instead) const {
    if (instead.has_value()) {
      return *instead;
    }
    return id < options_.id_base || id - options_.id_base > kNobody ? kNobody
                                                                    : id - options_.id_base;
  }

  absl::Status Header(const struct stat& about, std::string name, TarType type, std::string link) {
    if (++count_.entries > kMaxTreeArchiveEntries) {
      return absl::ResourceExhaustedError(
          StrCat(Shown(name), ": more than ", kMaxTreeArchiveEntries, " files"));
    }
    TarEntry entry;
    entry.name = std::move(name);
    entry.type = type;
    entry.size = static_cast<uint64_t>(about.st_size);
    entry.mode = about.st_mode & 07777;
    entry.uid = IdOf(about.st_uid, options_.uid);
    entry.gid = IdOf(about.st_gid, options_.gid);
    entry.mtime_s = about.st_mtime;
    entry.link = std::move(link);
    return sink_(TarHeader(entry));
  }

  const PackTreeOptions& options_;
  const std::function<absl::Status(std::string_view)>& sink_;
  std::string buffer_;
  TreeCount count_;
};

// ---- Unpacking

// "./a//b/" -> "a/b"; empty: the directory itself.
absl::StatusOr<std::string> CleanName(const std::string& name) {
  std::string clean;
  size_t at = 0;
  int depth = 0;
  while (at <= name.size()) {
    const size_t slash = std::min(name.find('/', at), name.size());
    const std::string_view part = std::string_view(name).substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == ".." || part.find('\0') != std::string_view::npos) {
      return absl::InvalidArgumentError(StrCat(Shown(name), ": leads out of the archive"));
    }
    if (++depth > kMaxTreeArchiveDepth) {
      return absl::ResourceExhaustedError(StrCat(Shown(name), ": nested too deeply"));
    }
    clean = StrCat(clean, clean.empty() ? "" : "/", part);
  }
  if (clean.size() > kMaxName) {
    return absl::InvalidArgumentError(StrCat(Shown(name), ": longer than ", kMaxName, " bytes"));
  }
  return clean;
}

class Unpacker {
 public:
  Unpacker(int root, const UnpackTreeOptions& options, TarReader& archive)
      : root_(root), options_(options), archive_(archive), buffer_(kPiece, '\0') {}

  absl::StatusOr<TreeCount> Run() {
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(std::optional<TarEntry> entry, archive_.Next());
      if (!entry.has_value()) {
        break;
      }
      BRAMBLE_ASSIGN_OR_RETURN(entry->name, CleanName(entry->name));
      if (entry->name.empty()) {
        continue;  // the directory that is there already
      }
      if (++count_.entries > kMaxTreeArchiveEntries) {
        return absl::ResourceExhaustedError(StrCat("more than ", kMaxTreeArchiveEntries, " files"));
      }
      BRAMBLE_RETURN_IF_ERROR(Add(*entry));
    }
    return ::syncfs(root_) == 0 ? absl::StatusOr<TreeCount>(count_) : ErrnoStatus(errno, "sync");
  }

 private:
  absl::Status Add(const TarEntry& entry) {
    const size_t slash = entry.name.rfind('/');
    const std::string name = slash == std::string::npos ? entry.name : entry.name.substr(slash + 1);
    Fd parent;
    if (slash != std::string::npos) {
      BRAMBLE_ASSIGN_OR_RETURN(parent, OpenMade(entry.name.substr(0, slash)));
    }
    const int at = parent.valid() ? parent.get() : root_;
    switch (entry.type) {
      case TarType::kDirectory:
        return AddDirectory(entry);
      case TarType::kFile:
        return AddFile(at, name, entry);
      case TarType::kSymlink:
        return AddLink(at, name, entry);
      case TarType::kHardLink:
        return AddHardLink(at, name, entry);
      case TarType::kOther:
        break;
    }
    ++count_.skipped;
    return absl::OkStatus();
  }

  // The directory `path`, made where it is missing; no symlink is followed.
  absl::StatusOr<Fd> OpenMade(const std::string& path) {
    absl::StatusOr<Fd> there = OpenBeneathNoSymlinks(root_, path, O_RDONLY | O_DIRECTORY);
    if (there.ok() || !absl::IsNotFound(there.status())) {
      return there;
    }
    const size_t slash = path.rfind('/');
    Fd parent;
    if (slash != std::string::npos) {
      BRAMBLE_ASSIGN_OR_RETURN(parent, OpenMade(path.substr(0, slash)));
    }
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (::mkdirat(parent.valid() ? parent.get() : root_, name.c_str(), kNewDirectoryMode) != 0 &&
        errno != EEXIST) {
      return TreeError(errno, path);
    }
    return OpenBeneathNoSymlinks(root_, path, O_RDONLY | O_DIRECTORY);
  }

  absl::Status AddDirectory(const TarEntry& entry) {
    BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenMade(entry.name));
    return Own(directory.get(), entry);
  }

  absl::Status AddFile(int at, const std::string& name, const TarEntry& entry) {
    count_.bytes += static_cast<int64_t>(entry.size);
    if (count_.bytes > options_.max_bytes) {
      return absl::ResourceExhaustedError(
          StrCat(Shown(entry.name), ": all together is more than ", options_.max_bytes, " bytes"));
    }
    const std::string fresh = Temporary();
    const Fd file(
        ::openat(at, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) {
      return TreeError(errno, entry.name);
    }
    absl::Status status = CopyData(file.get(), entry.name);
    if (status.ok()) {
      status = Own(file.get(), entry);
    }
    return PutInPlace(at, fresh, name, entry.name, std::move(status));
  }

  absl::Status AddLink(int at, const std::string& name, const TarEntry& entry) {
    const std::string fresh = Temporary();
    if (::symlinkat(entry.link.c_str(), at, fresh.c_str()) != 0) {
      return TreeError(errno, entry.name);
    }
    absl::Status status;
    if (options_.owners == UnpackTreeOptions::Owners::kArchive) {
      absl::StatusOr<std::pair<uid_t, gid_t>> owner = OwnerOf(entry);
      status = owner.status();
      if (status.ok() &&
          ::fchownat(at, fresh.c_str(), owner->first, owner->second, AT_SYMLINK_NOFOLLOW) != 0) {
        status = TreeError(errno, entry.name);
      }
    }
    return PutInPlace(at, fresh, name, entry.name, std::move(status));
  }

  absl::Status AddHardLink(int at, const std::string& name, const TarEntry& entry) {
    BRAMBLE_ASSIGN_OR_RETURN(const std::string target, CleanName(entry.link));
    const size_t slash = target.rfind('/');
    Fd parent;
    if (slash != std::string::npos) {
      BRAMBLE_ASSIGN_OR_RETURN(
          parent, OpenBeneathNoSymlinks(root_, target.substr(0, slash), O_RDONLY | O_DIRECTORY));
    }
    const std::string old_name = slash == std::string::npos ? target : target.substr(slash + 1);
    const std::string fresh = Temporary();
    if (::linkat(parent.valid() ? parent.get() : root_, old_name.c_str(), at, fresh.c_str(), 0) !=
        0) {
      return TreeError(errno, entry.name);
    }
    return PutInPlace(at, fresh, name, entry.name, absl::OkStatus());
  }

  std::string Temporary() { return StrCat(".bramble-push-", ::getpid(), "-", ++temporaries_); }

  static absl::Status PutInPlace(int at, const std::string& fresh, const std::string& name,
                                 const std::string& shown, absl::Status status) {
    if (status.ok() && ::renameat(at, fresh.c_str(), at, name.c_str()) != 0) {
      status = TreeError(errno, shown);
    }
    // Also after a rename of two names of one file, which does nothing: rename(2).
    ::unlinkat(at, fresh.c_str(), 0);
    return status;
  }

  absl::Status CopyData(int to, const std::string& name) {
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const size_t got, archive_.Read(buffer_.data(), buffer_.size()));
      if (got == 0) {
        return absl::OkStatus();
      }
      BRAMBLE_RETURN_IF_ERROR(WriteAll(to, std::string_view(buffer_.data(), got), Shown(name)));
    }
  }

  absl::StatusOr<std::pair<uid_t, gid_t>> OwnerOf(const TarEntry& entry) const {
    const uint32_t uid = options_.uid.value_or(entry.uid);
    const uint32_t gid = options_.gid.value_or(entry.gid);
    if (uid >= options_.id_count || gid >= options_.id_count) {
      return absl::InvalidArgumentError(StrCat(Shown(entry.name), ": its owner ", uid, ":", gid,
                                               " is not below ", options_.id_count,
                                               "; give another by --uid and --gid"));
    }
    return std::pair<uid_t, gid_t>(options_.id_base + uid, options_.id_base + gid);
  }

  // The owner first: chown takes setuid bits away.
  absl::Status Own(int fd, const TarEntry& entry) {
    if (options_.owners == UnpackTreeOptions::Owners::kArchive) {
      BRAMBLE_ASSIGN_OR_RETURN(const auto owner, OwnerOf(entry));
      if (::fchown(fd, owner.first, owner.second) != 0) {
        return TreeError(errno, entry.name);
      }
    }
    return ::fchmod(fd, entry.mode & options_.mode_mask) == 0 ? absl::OkStatus()
                                                              : TreeError(errno, entry.name);
  }

  const int root_;
  const UnpackTreeOptions& options_;
  TarReader& archive_;
  std::string buffer_;
  TreeCount count_;
  int temporaries_ = 0;
};

}  // namespace

absl::StatusOr<TreeCount> PackTree(int fd, const PackTreeOptions& options,
                                   const std::function<absl::Status(std::string_view)>& sink) {
  struct stat about {};
  Fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own.valid() || ::fstat(fd, &about) != 0) {
    return ErrnoStatus(errno, Shown(options.name));
  }
  Packer packer(options, sink);
  if (S_ISDIR(about.st_mode)) {
    BRAMBLE_RETURN_IF_ERROR(packer.AddDirectory(std::move(own), options.name, 0));
  } else {
    BRAMBLE_RETURN_IF_ERROR(packer.AddFile(std::move(own), options.name));
  }
  BRAMBLE_RETURN_IF_ERROR(sink(TarEnd()));
  return packer.count();
}

absl::StatusOr<TreeCount> UnpackTree(int fd, const UnpackTreeOptions& options, TarReader& archive) {
  return Unpacker(fd, options, archive).Run();
}

}  // namespace bramble
