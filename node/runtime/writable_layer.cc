// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/writable_layer.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "node/runtime/private_mounts.h"
#include "node/runtime/remove_tree.h"

namespace bramble::node {
namespace {

constexpr char kDiskFile[] = "disk.ext4";
constexpr int64_t kMinLoopBytes = 16 * kMiB;
constexpr int kQuotaBlock = 1024;  // QIF_DQBLKSIZE of quotactl(2)

absl::Status Errno(std::string_view what) {
  const std::string text = StrCat(what, ": ", strerror(errno));
  return errno == ENOSPC || errno == EDQUOT ? absl::ResourceExhaustedError(text)
                                            : absl::InternalError(text);
}

absl::Status MakeOwned(int directory, const char* path, mode_t mode, uint32_t owner) {
  if (mkdirat(directory, path, mode) != 0 && errno != EEXIST) {
    return Errno(path);
  }
  if (fchownat(directory, path, owner, owner, AT_SYMLINK_NOFOLLOW) != 0) {
    return Errno(path);
  }
  return absl::OkStatus();
}

// The id of a range is no other range's, and never 0.
uint32_t ProjectOf(const IdRange& ids) { return ids.first / IdRange::kCount; }

// What is made in the directory from now on inherits its project; what is there does not.
absl::Status SetProject(int directory, const char* path, uint32_t project) {
  const Fd fd(openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct fsxattr attributes = {};
  if (!fd.valid() || ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
    return Errno(path);
  }
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) == 0 ? absl::OkStatus() : Errno(path);
}

bool IsInProject(int directory, const char* path, uint32_t project) {
  const Fd fd(openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct fsxattr attributes = {};
  return fd.valid() && ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) == 0 &&
         attributes.fsx_projid == project && (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0;
}

// upper/ is the root directory of the container, as it sees it.  Both directories are of one
// project from the start, whatever the limit: overlayfs renames from work/ to upper/, and a limit
// that is set later counts what was written before.
absl::Status MakeLayerDirectories(int directory, const IdRange& ids) {
  if (mkdirat(directory, "layer", 0700) != 0 && errno != EEXIST) {
    return Errno("layer");
  }
  if (faccessat(directory, "layer/upper", F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    // A file system without projects cannot limit them either: LimitByQuota finds out.
    (void)SetProject(directory, "layer", ProjectOf(ids));
  }
  BRAMBLE_RETURN_IF_ERROR(MakeOwned(directory, "layer/upper", 0755, ids.first));
  return MakeOwned(directory, "layer/work", 0700, 0);
}

absl::Status SetQuota(int directory, uint32_t project, Bytes limit) {
  struct dqblk quota = {};
  quota.dqb_bhardlimit = static_cast<uint64_t>((limit.count + kQuotaBlock - 1) / kQuotaBlock);
  quota.dqb_bsoftlimit = quota.dqb_bhardlimit;
  quota.dqb_valid = QIF_BLIMITS;
  if (syscall(SYS_quotactl_fd, directory, QCMD(Q_SETQUOTA, PRJQUOTA), project, &quota) != 0) {
    return Errno("project quota");
  }
  return absl::OkStatus();
}

// A file system may count what a project uses and keep nobody from using more: ext4 does so unless
// it is mounted with prjquota.
absl::Status CheckEnforced(int directory) {
  struct fs_quota_stat state = {};
  if (syscall(SYS_quotactl_fd, directory, QCMD(Q_XGETQSTAT, PRJQUOTA), 0, &state) != 0) {
    return Errno("project quota");
  }
  return (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0
             ? absl::OkStatus()
             : absl::FailedPreconditionError("project quota: counted, but not enforced");
}

// A limit of 0 lifts the one that is set, be it that of the range's last owner.
// kFailedPrecondition: this file system or this layer cannot be limited so.
absl::Status LimitByQuota(int directory, const ContainerRecord& record) {
  const uint32_t project = ProjectOf(record.spec.ids);
  BRAMBLE_RETURN_IF_ERROR(CheckEnforced(directory));
  for (const char* path : {"layer/upper", "layer/work"}) {
    if (!IsInProject(directory, path, project)) {
      return absl::FailedPreconditionError(StrCat(path, ": not in project ", project));
    }
  }
  return SetQuota(directory, project, record.spec.limits.disk);
}

Bytes LoopSize(Bytes limit) {
  const int64_t wanted = std::max(limit.count, kMinLoopBytes);
  return Bytes{(wanted + kMiB - 1) / kMiB * kMiB};
}

absl::Status Run(std::vector<std::string> argv, int most_exit) {
  Command command;
  command.argv = std::move(argv);
  command.deadline = std::chrono::milliseconds(60'000);
  BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
  if (result.exit.signal == 0 && result.exit.code <= most_exit) {
    return absl::OkStatus();
  }
  return CheckOk(command, result);
}

absl::Status MakeLoopFile(int directory, const std::string& path, Bytes size) {
  const std::string fresh = path + ".new";
  {
    const Fd file(
        openat(directory, "disk.ext4.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid() || ftruncate(file.get(), size.count) != 0) {
      return Errno(kDiskFile);
    }
  }
  // A small journal, and no work that a sparse file of zeros does not need.
  BRAMBLE_RETURN_IF_ERROR(
      Run({"/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-J", "size=4", "-E",
           "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0", fresh},
          0));
  if (renameat(directory, "disk.ext4.new", directory, kDiskFile) != 0) {
    return Errno(kDiskFile);
  }
  return absl::OkStatus();
}

absl::Status GrowLoopFile(int directory, const std::string& path, Bytes size) {
  const Fd file(openat(directory, kDiskFile, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() || ftruncate(file.get(), size.count) != 0) {
    return Errno(kDiskFile);
  }
  constexpr int kErrorsCorrected = 1;
  BRAMBLE_RETURN_IF_ERROR(Run({"/sbin/e2fsck", "-f", "-p", path}, kErrorsCorrected));
  return Run({"/sbin/resize2fs", path}, 0);
}

// Without a limit it keeps what it has.
absl::Status PrepareLoop(const std::string& path, int directory, ContainerRecord& record) {
  const Bytes limit = record.spec.limits.disk;
  const Bytes size = limit.count > 0 ? LoopSize(limit) : record.disk_size;
  if (mkdirat(directory, "layer", 0700) != 0 && errno != EEXIST) {
    return Errno("layer");
  }
  if (faccessat(directory, kDiskFile, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    BRAMBLE_RETURN_IF_ERROR(MakeLoopFile(directory, path, size));
  } else if (size > record.disk_size) {
    BRAMBLE_RETURN_IF_ERROR(GrowLoopFile(directory, path, size));
  } else if (size < record.disk_size) {
    record.degraded.push_back("disk-shrink");
    return MountLoopFile(directory, kDiskFile, "layer");
  }
  record.disk_size = size;
  return MountLoopFile(directory, kDiskFile, "layer");
}

bool HasPlainLayer(int directory) {
  return faccessat(directory, "layer/upper", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

absl::Status PrepareLayer(const RuntimePaths& paths, int directory, ContainerRecord& record) {
  const std::string path = (paths.Container(record.spec.id) / kDiskFile).string();
  const bool has_loop = faccessat(directory, kDiskFile, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  const bool limited = record.spec.limits.disk.count > 0;
  if (has_loop || (limited && !HasPlainLayer(directory))) {
    if (!has_loop) {
      // Try the quota first: it costs nothing.
      BRAMBLE_RETURN_IF_ERROR(MakeLayerDirectories(directory, record.spec.ids));
      if (LimitByQuota(directory, record).ok()) {
        record.disk_mode = kDiskModeProjectQuota;
        record.disk_size = record.spec.limits.disk;
        return absl::OkStatus();
      }
      BRAMBLE_RETURN_IF_ERROR(RemoveLayer(directory));
    }
    record.disk_mode = kDiskModeLoopFile;
    BRAMBLE_RETURN_IF_ERROR(PrepareLoop(path, directory, record));
    return MakeLayerDirectories(directory, record.spec.ids);
  }
  BRAMBLE_RETURN_IF_ERROR(MakeLayerDirectories(directory, record.spec.ids));
  record.disk_size = record.spec.limits.disk;
  const bool is_set = LimitByQuota(directory, record).ok();
  record.disk_mode = limited && is_set ? kDiskModeProjectQuota : kDiskModeNone;
  if (limited && !is_set) {
    record.degraded.push_back("disk");  // it was made without a limit; `rebuild` sets one
  }
  return absl::OkStatus();
}

absl::Status RemoveLayer(int directory) {
  for (const char* name : {"layer", kDiskFile, "disk.ext4.new"}) {
    struct stat info = {};
    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    if (!S_ISDIR(info.st_mode)) {
      BRAMBLE_RETURN_IF_ERROR(UnlinkBeneath(directory, name));
      continue;
    }
    BRAMBLE_RETURN_IF_ERROR(RemoveTree(directory, name));
  }
  return absl::OkStatus();
}

absl::Status ResizeRunningLayer(int directory, ContainerRecord& record) {
  if (record.spec.limits.disk == record.disk_size) {
    return absl::OkStatus();
  }
  if (record.disk_mode != kDiskModeLoopFile && LimitByQuota(directory, record).ok()) {
    record.disk_mode = record.spec.limits.disk.count > 0 ? kDiskModeProjectQuota : kDiskModeNone;
    record.disk_size = record.spec.limits.disk;
    return absl::OkStatus();
  }
  record.degraded.push_back("disk-restart");
  return absl::OkStatus();
}

}  // namespace bramble::node
