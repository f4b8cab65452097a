// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/cgroup_mounts.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/status.h"

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxProcBytes = 4 << 20;

std::string Text(const std::string& path) {
  auto text = ReadFile(path, kMaxProcBytes);
  return text.ok() ? *std::move(text) : std::string();
}

// The lines of /proc/self/mountinfo whose mount is what one sees at its place: a later mount may
// hide it.
std::string VisibleMounts(const std::string& mountinfo) {
  std::string visible;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    struct stat info = {};
    if (absl::StrContains(line, " - cgroup") && fields.size() == 6 &&
        stat(fields[4].c_str(), &info) == 0 &&
        StrCat(major(info.st_dev), ":", minor(info.st_dev)) == fields[2]) {
      visible += StrCat(line, "\n");
    }
  }
  return visible;
}

}  // namespace

absl::StatusOr<CgroupLayout> ReadCgroupLayout() {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string mountinfo,
                           ReadFile("/proc/self/mountinfo", kMaxProcBytes));
  const std::string mounts = VisibleMounts(mountinfo);
  BRAMBLE_ASSIGN_OR_RETURN(const std::string groups, ReadFile("/proc/1/cgroup", kMaxProcBytes));
  std::string controllers = Text("/sys/fs/cgroup/cgroup.controllers");
  if (controllers.empty()) {
    controllers = Text("/sys/fs/cgroup/unified/cgroup.controllers");
  }
  return ParseCgroupLayout(mounts, groups, controllers);
}

}  // namespace bramble::node
