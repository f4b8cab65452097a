// SPDX-License-Identifier: Apache-2.0

// Files in and out of a container.  All of it runs in the container's user namespace: whatever its
// paths lead to, the process has no power there that the container's own root has not.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "base/tree_archive.h"
#include "node/runtime/lxc_monitor.h"
#include "node/runtime/private_mounts.h"
#include "node/runtime/runtime_verbs.h"
#include "node/runtime/user_namespace.h"
#include "node/runtime/writable_layer.h"

namespace bramble::node {
namespace {

constexpr size_t kChunk = 256 * 1024;
constexpr uint32_t kMaxModeBits = 07777;

absl::Status FileError(const std::string& path, int error) {
  const std::string text = StrCat("/", path, " in the container: ", strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(text);
    case ENOENT:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    default:
      return absl::FailedPreconditionError(text);
  }
}

// The container's root, entered for good: a descriptor of it, and what its root's id is.
struct Inside {
  Fd root;
  uint32_t root_id = 0;
};

absl::StatusOr<Inside> EnterRunning(pid_t init) {
  BRAMBLE_ASSIGN_OR_RETURN(Fd root, OpenDirectory(StrCat("/proc/", init, "/root")));
  const Fd ns(open(StrCat("/proc/", init, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  BRAMBLE_RETURN_IF_ERROR(EnterUserNamespace(ns.get(), 0));
  return Inside{std::move(root), 0};
}

absl::StatusOr<Inside> EnterStopped(const RuntimeSettings& settings, ContainerRecord record) {
  BRAMBLE_RETURN_IF_ERROR(EnterPrivateMountNamespace());
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory,
                           OpenDirectory(settings.paths.Container(record.spec.id)));
  BRAMBLE_ASSIGN_OR_RETURN(const UserNamespace ids,
                           UserNamespace::Create(record.spec.image_ids.first, record.spec.ids));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string rootfs, LxcMountPoint());
  BRAMBLE_RETURN_IF_ERROR(PrepareLayer(settings.paths, directory.get(), record));
  BRAMBLE_RETURN_IF_ERROR(
      MountRoot({directory.get(), record.spec.image_tree.string(), &ids, rootfs}));
  BRAMBLE_RETURN_IF_ERROR(ids.Enter());
  BRAMBLE_ASSIGN_OR_RETURN(Fd root, OpenDirectory(rootfs));
  return Inside{std::move(root), record.spec.image_ids.first};
}

// A stopped container is kept from starting meanwhile by the lock.
absl::StatusOr<Inside> EnterContainer(const RuntimeSettings& settings, const ContainerId& id,
                                      Fd& lock) {
  BRAMBLE_ASSIGN_OR_RETURN(ContainerRecord record, ReadRecord(settings.paths, id));
  std::optional<Running> running = FindRunning(settings.paths, id);
  if (!running.has_value()) {
    BRAMBLE_ASSIGN_OR_RETURN(lock, LockContainer(settings.paths, id));
    running = FindRunning(settings.paths, id);
  }
  if (running.has_value() && running->init_pid > 0) {
    lock.Reset();
    return EnterRunning(running->init_pid);
  }
  return EnterStopped(settings, std::move(record));
}

std::string Relative(std::string path) {
  path.erase(0, path.find_first_not_of('/'));
  return path;
}

// What is pushed, from standard input: exactly `size` bytes, or, where that is not known, pieces
// after their lengths (runtime_verbs.h).
class PushedBytes {
 public:
  explicit PushedBytes(std::optional<int64_t> size) : framed_(!size.has_value()) {
    left_ = size.value_or(0);
  }

  // At most `size` bytes; 0 at the end.  kInvalidArgument: the sender went away before.
  absl::StatusOr<size_t> Read(char* out, size_t size) {
    if (left_ == 0 && framed_ && !ended_) {
      unsigned char length[4];
      BRAMBLE_RETURN_IF_ERROR(Fill(reinterpret_cast<char*>(length), sizeof(length)));
      left_ = length[0] | length[1] << 8 | length[2] << 16 | static_cast<int64_t>(length[3]) << 24;
      ended_ = left_ == 0;
    }
    const auto want = static_cast<size_t>(std::min<int64_t>(left_, static_cast<int64_t>(size)));
    if (want == 0) {
      return 0;
    }
    BRAMBLE_ASSIGN_OR_RETURN(const size_t got, Some(out, want));
    left_ -= static_cast<int64_t>(got);
    taken_ += static_cast<int64_t>(got);
    if (taken_ > kMaxFileTransfer.count) {
      return absl::ResourceExhaustedError(StrCat("larger than ", ToString(kMaxFileTransfer)));
    }
    return got;
  }
  // As many as there are up to `size`: what TarReader asks for.
  absl::StatusOr<size_t> ReadFull(char* out, size_t size) {
    size_t done = 0;
    while (done < size) {
      BRAMBLE_ASSIGN_OR_RETURN(const size_t got, Read(out + done, size - done));
      if (got == 0) {
        break;
      }
      done += got;
    }
    return done;
  }
  // Takes what follows, so that the sender is not cut off before it has heard.
  absl::Status Drain() {
    std::string scratch(kChunk, '\0');
    while (true) {
      BRAMBLE_ASSIGN_OR_RETURN(const size_t got, Read(scratch.data(), scratch.size()));
      if (got == 0) {
        return absl::OkStatus();
      }
    }
  }

 private:
  static absl::StatusOr<size_t> Some(char* out, size_t size) {
    while (true) {
      const ssize_t got = read(0, out, size);
      if (got > 0) {
        return static_cast<size_t>(got);
      }
      if (got == 0) {
        return absl::InvalidArgumentError("ended early: the sender went away");
      }
      if (errno != EINTR) {
        return ErrnoStatus(errno, "push");
      }
    }
  }
  static absl::Status Fill(char* out, size_t size) {
    for (size_t done = 0; done < size;) {
      BRAMBLE_ASSIGN_OR_RETURN(const size_t got, Some(out + done, size - done));
      done += got;
    }
    return absl::OkStatus();
  }

  const bool framed_;
  bool ended_ = false;
  int64_t left_ = 0;  // of the piece, or of all
  int64_t taken_ = 0;
};

absl::Status CopyIn(int to, PushedBytes& from, const std::string& path) {
  std::string buffer(kChunk, '\0');
  while (true) {
    absl::StatusOr<size_t> got = from.Read(buffer.data(), buffer.size());
    if (!got.ok()) {
      return Annotate(got.status(), StrCat("/", path));
    }
    if (*got == 0) {
      return absl::OkStatus();
    }
    for (size_t done = 0; done < *got;) {
      const ssize_t written = write(to, buffer.data() + done, *got - done);
      if (written < 0 && errno != EINTR) {
        return FileError(path, errno);
      }
      done += static_cast<size_t>(std::max<ssize_t>(written, 0));
    }
  }
}

struct Push {
  ContainerId id;
  std::string path;
  bool tree = false;
  mode_t mode = 0644;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::optional<int64_t> size;
};

std::optional<uint32_t> OwnerField(JsonObjectReader& reader, std::string_view key) {
  const auto id = reader.OptionalInt(key, {.min = 0, .max = IdRange::kCount - 1});
  return id.has_value() ? std::optional<uint32_t>(static_cast<uint32_t>(*id)) : std::nullopt;
}

absl::StatusOr<Push> ParsePush(const json::value& request) {
  Push push;
  JsonObjectReader reader(request, "request");
  push.id = reader.Parsed<ContainerId>("id");
  push.path = Relative(reader.String("path", {.allow_empty = false}));
  push.tree = reader.OptionalBool("tree").value_or(false);
  push.mode = static_cast<mode_t>(reader.Int("mode", {.min = 0, .max = kMaxModeBits}));
  push.uid = OwnerField(reader, "uid");
  push.gid = OwnerField(reader, "gid");
  push.size = reader.OptionalInt("size_bytes", {.min = 0});
  if (reader.ok() && !push.tree && (push.path.empty() || push.path.ends_with('/'))) {
    reader.Fail("path", "names no file");
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  if (push.size.value_or(0) > kMaxFileTransfer.count) {
    return absl::ResourceExhaustedError(
        StrCat("/", push.path, ": larger than ", ToString(kMaxFileTransfer)));
  }
  return push;
}

// As somebody in the container has it: below `path`, beneath its root.
absl::Status InContainer(const absl::Status& status, const std::string& path) {
  return Annotate(status, StrCat("/", path, " in the container"));
}

absl::Status PushTree(const RuntimeSettings& settings, const Inside& inside, const Push& push) {
  BRAMBLE_RETURN_IF_ERROR(
      InContainer(MakeDirectoriesBeneath(inside.root.get(), push.path, 0755), push.path));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory,
                           OpenBeneath(inside.root.get(), push.path, O_RDONLY | O_DIRECTORY));
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  PushedBytes bytes(push.size);
  TarReader archive([&bytes](char* out, size_t size) { return bytes.ReadFull(out, size); });
  UnpackTreeOptions options;
  options.owners = UnpackTreeOptions::Owners::kArchive;
  options.id_base = inside.root_id;
  options.id_count = IdRange::kCount;
  options.uid = push.uid;
  options.gid = push.gid;
  options.max_bytes = kMaxFileTransfer.count;
  BRAMBLE_RETURN_IF_ERROR(
      InContainer(AsStatus(UnpackTree(directory.get(), options, archive)), push.path));
  return bytes.Drain();
}

absl::Status PushInto(const RuntimeSettings& settings, const Inside& inside, const Push& push) {
  BRAMBLE_ASSIGN_OR_RETURN(const Parent parent, OpenParentBeneath(inside.root.get(), push.path));
  struct stat info = {};
  const int at = parent.directory.get();
  if (fstatat(at, parent.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(info.st_mode) &&
      !S_ISLNK(info.st_mode)) {
    return absl::FailedPreconditionError(
        StrCat("/", push.path, " in the container: not a regular file"));
  }
  const std::string fresh = StrCat(".bramble-push-", getpid());
  const Fd file(
      openat(at, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) {
    return FileError(push.path, errno);
  }
  absl::Status status = TellStarted(settings);
  if (status.ok()) {
    PushedBytes bytes(push.size);
    status = CopyIn(file.get(), bytes, push.path);
  }
  // The owner first: chown takes setuid bits away.
  if (status.ok() && (fchown(file.get(), inside.root_id + push.uid.value_or(0),
                             inside.root_id + push.gid.value_or(0)) != 0 ||
                      fchmod(file.get(), push.mode) != 0 || fdatasync(file.get()) != 0 ||
                      renameat(at, fresh.c_str(), at, parent.name.c_str()) != 0)) {
    status = FileError(push.path, errno);
  }
  if (!status.ok()) {
    unlinkat(at, fresh.c_str(), 0);
  }
  return status;
}

// The archive's name of the directory is its own: "/var/log" is "log/…".
VerbResult PullTree(const RuntimeSettings& settings, const Inside& inside, std::string path) {
  path.erase(path.find_last_not_of('/') + 1);
  BRAMBLE_ASSIGN_OR_RETURN(
      const Fd directory,
      OpenBeneath(inside.root.get(), path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOCTTY));
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  PackTreeOptions options;
  options.name = path.empty() ? "." : path.substr(path.rfind('/') + 1);
  options.id_base = inside.root_id;
  options.max_bytes = kMaxFileTransfer.count;
  const auto sink = [](std::string_view bytes) { return WriteAll(1, bytes, "pull"); };
  const absl::StatusOr<TreeCount> packed = PackTree(directory.get(), options, sink);
  BRAMBLE_RETURN_IF_ERROR(InContainer(packed.status(), path));
  return json::object{{"size_bytes", packed->bytes}, {"skipped", packed->skipped}};
}

}  // namespace

VerbResult PushVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const Push push, ParsePush(request));
  Fd lock;
  BRAMBLE_ASSIGN_OR_RETURN(const Inside inside, EnterContainer(settings, push.id, lock));
  BRAMBLE_RETURN_IF_ERROR(push.tree ? PushTree(settings, inside, push)
                                    : PushInto(settings, inside, push));
  return json::object();
}

VerbResult PullVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  JsonObjectReader reader(request, "request");
  const std::string path = Relative(reader.String("path", {.allow_empty = false}));
  const bool tree = reader.OptionalBool("tree").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  Fd lock;
  BRAMBLE_ASSIGN_OR_RETURN(const Inside inside, EnterContainer(settings, id, lock));
  if (tree) {
    return PullTree(settings, inside, path);
  }
  // Not blocking: what is opened may be a pipe.
  BRAMBLE_ASSIGN_OR_RETURN(const Fd file,
                           OpenBeneath(inside.root.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat info = {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        StrCat("/", path, " in the container: not a regular file"));
  }
  if (info.st_size > kMaxFileTransfer.count) {
    return absl::ResourceExhaustedError(
        StrCat("/", path, ": larger than ", ToString(kMaxFileTransfer)));
  }
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  std::string buffer(kChunk, '\0');
  int64_t sent = 0;
  while (sent < kMaxFileTransfer.count) {
    const ssize_t n = read(file.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return FileError(path, errno);
    }
    if (n == 0) {
      break;
    }
    BRAMBLE_RETURN_IF_ERROR(WriteAll(1, {buffer.data(), static_cast<size_t>(n)}, "pull"));
    sent += n;
  }
  return json::object{{"size_bytes", sent}};
}

}  // namespace bramble::node
