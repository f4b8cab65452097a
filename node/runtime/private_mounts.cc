// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/private_mounts.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/status.h"

// <sys/mount.h> of glibc 2.36 and <linux/mount.h> define the same enumerators: only one fits.
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags,
                     const void* data) noexcept;
extern "C" int umount2(const char* target, int flags) noexcept;

namespace bramble::node {
namespace {

constexpr int kLoopMajor = 7;
constexpr int kDetach = 2;    // MNT_DETACH and
constexpr int kNoFollow = 8;  // UMOUNT_NOFOLLOW of umount2(2)
constexpr int kLoopTries = 64;

absl::Status MountError(std::string_view what) {
  const int error = errno;
  const std::string text = StrCat(what, ": ", strerror(error));
  switch (error) {
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOENT:
      return absl::FailedPreconditionError(text);
    case ENOSPC:
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::StatusOr<Fd> CloneIdMapped(const std::string& tree, int user_namespace) {
  Fd clone(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, tree.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!clone.valid()) {
    return MountError(StrCat("image tree ", tree));
  }
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME;
  attributes.attr_clr = MOUNT_ATTR__ATIME;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace);
  if (syscall(SYS_mount_setattr, clone.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) !=
      0) {
    return MountError(StrCat("image tree ", tree, ": cannot map its ids (Linux 5.19 or newer?)"));
  }
  return clone;
}

// The device node of loop `number`; made where there is no devtmpfs.
absl::StatusOr<Fd> OpenLoop(int number) {
  const std::string path = StrCat("/dev/loop", number);
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) {
    if (mknod(path.c_str(), S_IFBLK | 0660, makedev(kLoopMajor, static_cast<unsigned>(number))) !=
            0 &&
        errno != EEXIST) {
      return MountError(path);
    }
    fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  }
  if (fd < 0) {
    return MountError(path);
  }
  return Fd(fd);
}

struct Loop {
  Fd device;  // keep open until mounted
  std::string path;
};

absl::StatusOr<Loop> AttachLoop(int file) {
  Fd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) {
    return MountError("/dev/loop-control");
  }
  for (int i = 0; i < kLoopTries; ++i) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) {
      return MountError("no free loop device");
    }
    BRAMBLE_ASSIGN_OR_RETURN(Fd device, OpenLoop(number));
    struct loop_config config = {};
    config.fd = static_cast<uint32_t>(file);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
      return Loop{std::move(device), StrCat("/dev/loop", number)};
    }
    if (errno == EINVAL) {  // this file system has no direct I/O
      config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
      if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
        return Loop{std::move(device), StrCat("/dev/loop", number)};
      }
    }
    if (errno != EBUSY) {  // EBUSY: another took it first
      return MountError(StrCat("loop device ", number));
    }
  }
  return absl::UnavailableError("every free loop device was taken by another");
}

}  // namespace

absl::Status EnterPrivateMountNamespace() {
  if (unshare(CLONE_NEWNS) != 0) {
    return MountError("cannot make a mount namespace");
  }
  if (mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return MountError("cannot make the mounts private");
  }
  return absl::OkStatus();
}

absl::Status MountRoot(const RootMount& root) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lower, CloneIdMapped(root.image_tree, root.ids->fd()));
  if (fchdir(root.directory) != 0) {
    return MountError("container directory");
  }
  if (syscall(SYS_move_mount, lower.get(), "", AT_FDCWD, "lower", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return MountError("cannot mount the image's tree");
  }
  // Relative names: no character of a path is ever taken for an option.
  constexpr char kOptions[] =
      "lowerdir=lower,upperdir=layer/upper,workdir=layer/work,"
      "index=off,metacopy=off,redirect_dir=off,xino=off";
  if (mount("overlay", root.target.c_str(), "overlay", MS_NODEV | MS_NOATIME, kOptions) != 0) {
    return MountError("cannot mount the overlay");
  }
  return absl::OkStatus();
}

absl::Status MountLoopFile(int directory, const std::string& image, const std::string& point) {
  Fd file(openat(directory, image.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) {
    return MountError(image);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Loop loop, AttachLoop(file.get()));
  if (fchdir(directory) != 0) {
    return MountError("container directory");
  }
  if (mount(loop.path.c_str(), point.c_str(), "ext4", MS_NODEV | MS_NOSUID | MS_NOATIME, "") != 0) {
    return MountError(StrCat(image, ": cannot mount"));
  }
  return absl::OkStatus();
}

void Unmount(int directory, const std::string& point) {
  const std::string path = StrCat("/proc/self/fd/", directory, "/", point);
  (void)umount2(path.c_str(), kDetach | kNoFollow);  // EINVAL: nothing was mounted
}

}  // namespace bramble::node
