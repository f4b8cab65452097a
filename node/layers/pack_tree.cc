// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "node/layers/layer_walk.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxLinksWaiting = 1'000'000;  // files whose other names were not met yet
constexpr size_t kMaxAttributeBytes = 64 * 1024;

absl::Status Failed(std::string_view path) {
  return ErrnoStatus(errno, StrCat("layer: \"/", path.substr(0, 200), "\""));
}

bool IsKept(std::string_view name) {
  return name.starts_with("user.") || name == "security.capability" ||
         name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

class Packing {
 public:
  Packing(const std::set<std::string>& opaque, Bytes max_bytes, int out)
      : opaque_(opaque),
        max_bytes_(max_bytes),
        encoder_([out](std::string_view bytes) { return WriteAll(out, bytes, "layer stream"); }) {}

  absl::StatusOr<LayerTotals> Run() {
    BRAMBLE_RETURN_IF_ERROR(encoder_.Begin());
    // Last in, first out: what is in a directory comes right after it.
    std::vector<std::string> waiting = {""};
    while (!waiting.empty()) {
      const std::string path = std::move(waiting.back());
      waiting.pop_back();
      BRAMBLE_ASSIGN_OR_RETURN(const bool directory, Pack(path));
      if (!directory) {
        continue;
      }
      BRAMBLE_ASSIGN_OR_RETURN(std::vector<std::string> names, Names(path));
      std::sort(names.begin(), names.end(), std::greater<>());
      for (const std::string& name : names) {
        waiting.push_back(path.empty() ? name : StrCat(path, "/", name));
      }
    }
    return encoder_.End();
  }

 private:
  static const char* Shown(const std::string& path) { return path.empty() ? "." : path.c_str(); }

  static absl::StatusOr<std::vector<std::string>> Names(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(Shown(path)), closedir);
    if (dir == nullptr) {
      return Failed(path);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        names.push_back(name);
      }
    }
    return names;
  }

  // Whether it is a directory.
  absl::StatusOr<bool> Pack(const std::string& path) {
    struct stat info {};
    if (lstat(Shown(path), &info) != 0) {
      return Failed(path);
    }
    LayerEntry entry{.path = path,
                     .mode = info.st_mode & 07777,
                     .uid = info.st_uid,
                     .gid = info.st_gid,
                     .mtime_s = info.st_mtim.tv_sec,
                     .mtime_ns = static_cast<uint32_t>(info.st_mtim.tv_nsec)};
    if (!SetKind(info, entry)) {
      return false;
    }
    if (!S_ISDIR(info.st_mode) && info.st_nlink > 1 && entry.kind != LayerKind::kWhiteout) {
      BRAMBLE_ASSIGN_OR_RETURN(const bool linked, Link(info, entry));
      if (linked) {
        BRAMBLE_RETURN_IF_ERROR(encoder_.Entry(entry));
        return false;
      }
    }
    if (S_ISLNK(info.st_mode)) {
      BRAMBLE_RETURN_IF_ERROR(ReadTarget(path, entry));
    } else if (entry.kind == LayerKind::kDirectory || entry.kind == LayerKind::kFile) {
      BRAMBLE_RETURN_IF_ERROR(ReadAttributes(path, entry));
    }
    if (!S_ISREG(info.st_mode)) {
      BRAMBLE_RETURN_IF_ERROR(encoder_.Entry(entry));
      return entry.kind == LayerKind::kDirectory;
    }
    BRAMBLE_RETURN_IF_ERROR(PackContents(path, entry));
    return false;
  }

  bool SetKind(const struct stat& info, LayerEntry& entry) const {
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        entry.kind = LayerKind::kDirectory;
        entry.opaque = opaque_.contains(entry.path);
        return true;
      case S_IFREG:
        entry.kind = LayerKind::kFile;
        return true;
      case S_IFLNK:
        entry.kind = LayerKind::kSymlink;
        return true;
      case S_IFIFO:
        entry.kind = LayerKind::kFifo;
        return true;
      case S_IFSOCK:
        entry.kind = LayerKind::kSocket;
        return true;
      case S_IFCHR:
        entry.kind = LayerKind::kWhiteout;
        return info.st_rdev == 0;
      default:
        return false;
    }
  }

  // Makes a link of it when another name of the file was packed before.
  absl::StatusOr<bool> Link(const struct stat& info, LayerEntry& entry) {
    const auto [found, first] = links_.try_emplace({info.st_dev, info.st_ino});
    if (first) {
      if (links_.size() > kMaxLinksWaiting) {
        return absl::ResourceExhaustedError("layer: too many hard links");
      }
      found->second = {entry.path, info.st_nlink - 1};
      return false;
    }
    entry = {.kind = LayerKind::kHardLink, .path = entry.path, .target = found->second.path};
    if (--found->second.left == 0) {
      links_.erase(found);
    }
    return true;
  }

  static absl::Status ReadTarget(const std::string& path, LayerEntry& entry) {
    entry.target.resize(kMaxLayerPathBytes + 1);
    const ssize_t size = readlink(path.c_str(), entry.target.data(), entry.target.size());
    if (size < 0) {
      return Failed(path);
    }
    entry.target.resize(static_cast<size_t>(size));
    return absl::OkStatus();
  }

  static absl::Status ReadAttributes(const std::string& path, LayerEntry& entry) {
    std::string names(kMaxAttributeBytes, '\0');
    const ssize_t size = llistxattr(Shown(path), names.data(), names.size());
    if (size < 0) {
      return errno == EOPNOTSUPP ? absl::OkStatus() : Failed(path);
    }
    std::string value(kMaxAttributeBytes, '\0');
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      const std::string name(names.c_str() + at);
      at += name.size() + 1;
      if (!IsKept(name)) {
        continue;
      }
      const ssize_t length = lgetxattr(Shown(path), name.c_str(), value.data(), value.size());
      if (length < 0) {
        return Failed(path);
      }
      entry.attributes.push_back({name, value.substr(0, static_cast<size_t>(length))});
    }
    std::sort(entry.attributes.begin(), entry.attributes.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return absl::OkStatus();
  }

  absl::Status PackContents(const std::string& path, LayerEntry& entry) {
    const Fd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (!file.valid() || fstat(file.get(), &info) != 0) {
      return Failed(path);
    }
    entry.size = static_cast<uint64_t>(info.st_size);
    BRAMBLE_RETURN_IF_ERROR(encoder_.Entry(entry));
    for (off_t at = 0; at < info.st_size;) {
      const off_t begin = lseek(file.get(), at, SEEK_DATA);
      if (begin < 0) {
        return errno == ENXIO ? absl::OkStatus() : Failed(path);  // a hole up to the end
      }
      const off_t end = lseek(file.get(), begin, SEEK_HOLE);
      if (end < 0) {
        return Failed(path);
      }
      BRAMBLE_RETURN_IF_ERROR(PackExtent(file.get(), begin, std::min(end, info.st_size), path));
      at = end;
    }
    return absl::OkStatus();
  }

  absl::Status PackExtent(int file, off_t at, off_t end, const std::string& path) {
    while (at < end) {
      buffer_.resize(std::min<size_t>(kLayerDataBytes, static_cast<size_t>(end - at)));
      const ssize_t got = pread(file, buffer_.data(), buffer_.size(), at);
      if (got <= 0) {
        return got < 0 ? Failed(path)
                       : absl::DataLossError(StrCat("layer: \"/", path, "\" became shorter"));
      }
      const std::string_view piece(buffer_.data(), static_cast<size_t>(got));
      bytes_ += Bytes{got};
      if (bytes_.count > max_bytes_.count) {
        return absl::ResourceExhaustedError(
            StrCat("layer: more than ", ToString(max_bytes_), ", the most that is moved"));
      }
      BRAMBLE_RETURN_IF_ERROR(encoder_.Data(static_cast<uint64_t>(at), piece));
      at += got;
    }
    return absl::OkStatus();
  }

  struct FirstName {
    std::string path;
    uint64_t left = 0;
  };
  const std::set<std::string>& opaque_;
  const Bytes max_bytes_;
  LayerEncoder encoder_;
  std::map<std::pair<dev_t, ino_t>, FirstName> links_;
  std::string buffer_;
  Bytes bytes_;
};

}  // namespace

absl::StatusOr<LayerTotals> PackTree(const std::set<std::string>& opaque, Bytes max_bytes,
                                     int out) {
  return Packing(opaque, max_bytes, out).Run();
}

}  // namespace bramble::node
