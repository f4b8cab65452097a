// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/beneath.h"
#include "base/status.h"

namespace bramble::node {
namespace {

constexpr char kLifted[] = ".bramble-lifted-";

absl::Status Error(const std::string& name) {
  return absl::InternalError(StrCat("cannot remove ", name, ": ", strerror(errno)));
}

struct Entry {
  std::string name;
  bool is_directory = false;
};

absl::StatusOr<std::vector<Entry>> ReadEntries(int directory, const std::string& name) {
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* opened = copy < 0 ? nullptr : fdopendir(copy);
  if (opened == nullptr) {
    return Error(name);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opened, closedir);
  std::vector<Entry> entries;
  while (const dirent* entry = readdir(dir.get())) {
    Entry one;
    one.name = entry->d_name;
    struct stat info = {};
    if (one.name == "." || one.name == ".." ||
        fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    one.is_directory = S_ISDIR(info.st_mode);
    entries.push_back(std::move(one));
  }
  return entries;
}

// Empties `top` without ever going deeper than one level: the directories of a directory are lifted
// into `top` before it is removed.
absl::Status Flatten(int top, const std::string& name) {
  uint64_t lifted = 0;
  while (true) {
    BRAMBLE_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ReadEntries(top, name));
    if (entries.empty()) {
      return absl::OkStatus();
    }
    for (const Entry& entry : entries) {
      if (!entry.is_directory) {
        if (unlinkat(top, entry.name.c_str(), 0) != 0) {
          return Error(name);
        }
        continue;
      }
      const Fd directory(
          openat(top, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!directory.valid()) {
        return Error(name);
      }
      BRAMBLE_ASSIGN_OR_RETURN(const std::vector<Entry> inner, ReadEntries(directory.get(), name));
      for (const Entry& child : inner) {
        const std::string fresh = StrCat(kLifted, lifted++);
        if (child.is_directory
                ? renameat(directory.get(), child.name.c_str(), top, fresh.c_str()) != 0
                : unlinkat(directory.get(), child.name.c_str(), 0) != 0) {
          return Error(name);
        }
      }
      if (unlinkat(top, entry.name.c_str(), AT_REMOVEDIR) != 0) {
        return Error(name);
      }
    }
  }
}

}  // namespace

absl::Status RemoveTree(int parent, const std::string& name) {
  const absl::Status removed = RemoveTreeBeneath(parent, name);
  if (removed.code() != absl::StatusCode::kResourceExhausted) {
    return removed;
  }
  const Fd top(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top.valid()) {
    return Error(name);
  }
  BRAMBLE_RETURN_IF_ERROR(Flatten(top.get(), name));
  return unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 ? absl::OkStatus() : Error(name);
}

}  // namespace bramble::node
