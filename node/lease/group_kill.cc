// SPDX-License-Identifier: Apache-2.0
#include "node/lease/group_kill.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bramble::node {
namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxPids = 4096;
constexpr size_t kReadBytes = 64 * 1024;

// The numbers in cgroup.procs of the directory `group`.
size_t ReadPids(int group, pid_t (&pids)[kMaxPids]) {
  static char text[kReadBytes + 1];
  const int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return 0;
  }
  size_t size = 0;
  for (ssize_t got; size < kReadBytes && (got = read(fd, text + size, kReadBytes - size)) > 0;) {
    size += static_cast<size_t>(got);
  }
  close(fd);
  text[size] = '\0';
  size_t count = 0;
  for (char* at = text; count < kMaxPids;) {
    char* end = nullptr;
    const long pid = strtol(at, &end, 10);
    if (end == at) {
      break;
    }
    at = end;
    if (pid > 1) {  // 0: a process that this PID namespace cannot name
      pids[count++] = static_cast<pid_t>(pid);
    }
  }
  return count;
}

bool Contains(const pid_t (&pids)[kMaxPids], size_t count, pid_t pid) {
  for (size_t i = 0; i < count; ++i) {
    if (pids[i] == pid) {
      return true;
    }
  }
  return false;
}

// A number may be another process's by the time that it is used: so it is taken hold of first, and
// must then still be in the group.
int KillListed(int group) {
  static pid_t listed[kMaxPids];
  static pid_t still[kMaxPids];
  static int handles[kMaxPids];
  const size_t count = ReadPids(group, listed);
  for (size_t i = 0; i < count; ++i) {
    handles[i] = static_cast<int>(syscall(SYS_pidfd_open, listed[i], 0));
  }
  const size_t left = count == 0 ? 0 : ReadPids(group, still);
  int killed = 0;
  for (size_t i = 0; i < count; ++i) {
    if (handles[i] < 0) {
      continue;
    }
    if (Contains(still, left, listed[i]) &&
        syscall(SYS_pidfd_send_signal, handles[i], SIGKILL, nullptr, 0) == 0) {
      ++killed;
    }
    close(handles[i]);
  }
  return killed;
}

int KillBelow(int group, int depth, int& groups) {
  if (++groups > kMaxGroups || depth > kMaxDepth) {
    close(group);
    return 0;
  }
  int killed = KillListed(group);
  DIR* dir = fdopendir(group);
  if (dir == nullptr) {
    close(group);
    return killed;
  }
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
        strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    const int below =
        openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) {
      killed += KillBelow(below, depth + 1, groups);
    }
  }
  closedir(dir);
  return killed;
}

}  // namespace

int KillGroup(const char* directory) {
  const int group = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int groups = 0;
  return group < 0 ? 0 : KillBelow(group, 0, groups);
}

}  // namespace bramble::node
