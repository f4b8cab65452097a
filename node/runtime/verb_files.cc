// SPDX-License-Identifier: Apache-2.0

// Files in and out of a container.  All of it runs in the container's user namespace: whatever its
// paths lead to, the process has no power there that the container's own root has not.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
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

// Exactly `size` bytes of standard input.
absl::Status CopyIn(int to, int64_t size, const std::string& path) {
  std::string buffer(kChunk, '\0');
  while (size > 0) {
    const ssize_t n = read(0, buffer.data(), static_cast<size_t>(std::min<int64_t>(size, kChunk)));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return absl::InvalidArgumentError(StrCat("/", path, ": ended ", size, " bytes early"));
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t written = write(to, buffer.data() + done, static_cast<size_t>(n - done));
      if (written < 0 && errno != EINTR) {
        return FileError(path, errno);
      }
      done += std::max<ssize_t>(written, 0);
    }
    size -= n;
  }
  return absl::OkStatus();
}

struct Push {
  ContainerId id;
  std::string path;
  mode_t mode = 0644;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t size = 0;
};

absl::StatusOr<Push> ParsePush(const json::value& request) {
  Push push;
  JsonObjectReader reader(request, "request");
  push.id = reader.Parsed<ContainerId>("id");
  push.path = Relative(reader.String("path", {.allow_empty = false}));
  push.mode = static_cast<mode_t>(reader.Int("mode", {.min = 0, .max = kMaxModeBits}));
  push.uid = static_cast<uint32_t>(reader.Int("uid", {.min = 0, .max = IdRange::kCount - 1}));
  push.gid = static_cast<uint32_t>(reader.Int("gid", {.min = 0, .max = IdRange::kCount - 1}));
  push.size = reader.Int("size_bytes", {.min = 0});
  if (reader.ok() && (push.path.empty() || push.path.ends_with('/'))) {
    reader.Fail("path", "names no file");
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  if (push.size > kMaxFileTransfer.count) {
    return absl::ResourceExhaustedError(
        StrCat("/", push.path, ": larger than ", ToString(kMaxFileTransfer)));
  }
  return push;
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
    status = CopyIn(file.get(), push.size, push.path);
  }
  // The owner first: chown takes setuid bits away.
  if (status.ok() &&
      (fchown(file.get(), inside.root_id + push.uid, inside.root_id + push.gid) != 0 ||
       fchmod(file.get(), push.mode) != 0 || fdatasync(file.get()) != 0 ||
       renameat(at, fresh.c_str(), at, parent.name.c_str()) != 0)) {
    status = FileError(push.path, errno);
  }
  if (!status.ok()) {
    unlinkat(at, fresh.c_str(), 0);
  }
  return status;
}

}  // namespace

VerbResult PushVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const Push push, ParsePush(request));
  Fd lock;
  BRAMBLE_ASSIGN_OR_RETURN(const Inside inside, EnterContainer(settings, push.id, lock));
  BRAMBLE_RETURN_IF_ERROR(PushInto(settings, inside, push));
  return json::object();
}

VerbResult PullVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  JsonObjectReader reader(request, "request");
  const std::string path = Relative(reader.String("path", {.allow_empty = false}));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  Fd lock;
  BRAMBLE_ASSIGN_OR_RETURN(const Inside inside, EnterContainer(settings, id, lock));
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
