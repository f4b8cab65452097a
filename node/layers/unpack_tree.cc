// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "node/layers/layer_walk.h"

namespace bramble::node {
namespace {

absl::Status Failed(std::string_view path) {
  const std::string text = StrCat("layer: \"/", path.substr(0, 200), "\": ", strerror(errno));
  return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? absl::ResourceExhaustedError(text)
                                                              : ErrnoStatus(errno, text);
}

class Unpacking {
 public:
  Unpacking(int in, Bytes max_bytes, int opaque)
      : decoder_([in](char* to, size_t most) { return Read(in, to, most); }),
        max_bytes_(max_bytes),
        opaque_(opaque) {}

  absl::StatusOr<LayerTotals> Run() {
    BRAMBLE_RETURN_IF_ERROR(decoder_.Begin());
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const LayerDecoder::Item item, decoder_.Next());
      if (const auto* data = std::get_if<LayerData>(&item)) {
        BRAMBLE_RETURN_IF_ERROR(Take(*data));
        continue;
      }
      BRAMBLE_RETURN_IF_ERROR(FinishFile());
      if (const auto* totals = std::get_if<LayerTotals>(&item)) {
        BRAMBLE_RETURN_IF_ERROR(LeaveDirectories(""));
        if (!open_directories_.empty()) {
          BRAMBLE_RETURN_IF_ERROR(SetTime(open_directories_.front()));
        }
        return *totals;
      }
      BRAMBLE_RETURN_IF_ERROR(Take(std::get<LayerEntry>(item)));
    }
  }

 private:
  static absl::StatusOr<size_t> Read(int in, char* to, size_t most) {
    while (true) {
      const ssize_t got = read(in, to, most);
      if (got >= 0) {
        return static_cast<size_t>(got);
      }
      if (errno != EINTR) {
        return ErrnoStatus(errno, "layer stream");
      }
    }
  }

  static const char* Shown(const std::string& path) { return path.empty() ? "." : path.c_str(); }

  absl::Status Take(const LayerEntry& entry) {
    BRAMBLE_RETURN_IF_ERROR(LeaveDirectories(entry.path));
    const char* path = Shown(entry.path);
    switch (entry.kind) {
      case LayerKind::kDirectory:
        return TakeDirectory(entry);
      case LayerKind::kFile:
        file_.Reset(open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        file_entry_ = entry;
        return file_.valid() ? absl::OkStatus() : Failed(entry.path);
      case LayerKind::kHardLink:
        return link(entry.target.c_str(), path) == 0 ? absl::OkStatus() : Failed(entry.path);
      case LayerKind::kSymlink:
        return symlink(entry.target.c_str(), path) == 0 ? SetOwnerAndTime(entry)
                                                        : Failed(entry.path);
      case LayerKind::kFifo:
        return Make(entry, S_IFIFO);
      case LayerKind::kSocket:
        return Make(entry, S_IFSOCK);
      case LayerKind::kWhiteout:
        return Make(entry, S_IFCHR);  // with device number 0 no device, and anybody may make it
    }
    return absl::InternalError("a kind of entry that was not checked");
  }

  absl::Status TakeDirectory(const LayerEntry& entry) {
    if (!entry.path.empty() && mkdir(entry.path.c_str(), 0700) != 0) {
      return Failed(entry.path);
    }
    BRAMBLE_RETURN_IF_ERROR(SetOwnerAndTime(entry));
    if (chmod(Shown(entry.path), entry.mode) != 0) {
      return Failed(entry.path);
    }
    for (const LayerAttribute& attribute : entry.attributes) {
      if (lsetxattr(Shown(entry.path), attribute.name.c_str(), attribute.value.data(),
                    attribute.value.size(), 0) != 0) {
        return Failed(entry.path);
      }
    }
    open_directories_.push_back(
        {.path = entry.path, .mtime_s = entry.mtime_s, .mtime_ns = entry.mtime_ns});
    if (entry.opaque && !entry.path.empty()) {
      const std::string line = entry.path + '\0';
      return WriteAll(opaque_, line, "opaque directories");
    }
    return absl::OkStatus();
  }

  absl::Status Make(const LayerEntry& entry, mode_t type) {
    const mode_t mode = type == S_IFCHR ? 0 : entry.mode;
    if (mknod(entry.path.c_str(), type | mode, makedev(0, 0)) != 0) {
      return Failed(entry.path);
    }
    BRAMBLE_RETURN_IF_ERROR(SetOwnerAndTime(entry));
    return chmod(entry.path.c_str(), entry.mode) == 0 ? absl::OkStatus() : Failed(entry.path);
  }

  absl::Status Take(const LayerData& data) {
    if (!file_.valid() || data.offset > file_entry_.size ||
        data.bytes.size() > file_entry_.size - data.offset) {
      return absl::InvalidArgumentError("layer stream: contents that belong to no file");
    }
    bytes_ += Bytes{static_cast<int64_t>(data.bytes.size())};
    if (bytes_.count > max_bytes_.count) {
      return absl::ResourceExhaustedError(
          StrCat("layer: more than ", ToString(max_bytes_), ", the most that is moved"));
    }
    for (size_t done = 0; done < data.bytes.size();) {
      const ssize_t wrote = pwrite(file_.get(), data.bytes.data() + done, data.bytes.size() - done,
                                   static_cast<off_t>(data.offset + done));
      if (wrote < 0 && errno != EINTR) {
        return Failed(file_entry_.path);
      }
      done += static_cast<size_t>(std::max<ssize_t>(wrote, 0));
    }
    return absl::OkStatus();
  }

  // The owner first: chown takes setuid bits and capabilities away.
  absl::Status FinishFile() {
    if (!file_.valid()) {
      return absl::OkStatus();
    }
    const Fd file = std::move(file_);
    file_.Reset();
    const LayerEntry& entry = file_entry_;
    if (ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0 ||
        fchown(file.get(), entry.uid, entry.gid) != 0 || fchmod(file.get(), entry.mode) != 0) {
      return Failed(entry.path);
    }
    for (const LayerAttribute& attribute : entry.attributes) {
      if (fsetxattr(file.get(), attribute.name.c_str(), attribute.value.data(),
                    attribute.value.size(), 0) != 0) {
        return Failed(entry.path);
      }
    }
    const timespec times[] = {
        {0, UTIME_OMIT}, {static_cast<time_t>(entry.mtime_s), static_cast<long>(entry.mtime_ns)}};
    return futimens(file.get(), times) == 0 ? absl::OkStatus() : Failed(entry.path);
  }

  static absl::Status SetTime(const LayerEntry& entry) {
    const timespec times[] = {
        {0, UTIME_OMIT}, {static_cast<time_t>(entry.mtime_s), static_cast<long>(entry.mtime_ns)}};
    return utimensat(AT_FDCWD, Shown(entry.path), times, AT_SYMLINK_NOFOLLOW) == 0
               ? absl::OkStatus()
               : Failed(entry.path);
  }
  static absl::Status SetOwnerAndTime(const LayerEntry& entry) {
    if (lchown(Shown(entry.path), entry.uid, entry.gid) != 0) {
      return Failed(entry.path);
    }
    return SetTime(entry);
  }

  // A directory's time is set once more when nothing is put into it any more.
  absl::Status LeaveDirectories(const std::string& next) {
    while (!open_directories_.empty()) {
      const LayerEntry& last = open_directories_.back();
      if (last.path.empty() || next.starts_with(last.path + "/")) {
        break;
      }
      BRAMBLE_RETURN_IF_ERROR(SetTime(last));
      open_directories_.pop_back();
    }
    return absl::OkStatus();
  }

  LayerDecoder decoder_;
  const Bytes max_bytes_;
  const int opaque_;
  Fd file_;
  LayerEntry file_entry_;
  std::vector<LayerEntry> open_directories_;
  Bytes bytes_;
};

}  // namespace

absl::StatusOr<LayerTotals> UnpackTree(int in, Bytes max_bytes, int opaque) {
  return Unpacking(in, max_bytes, opaque).Run();
}

}  // namespace bramble::node
