// SPDX-License-Identifier: Apache-2.0
#include "node/health/out_of_memory.h"

#include "base/file.h"
#include "base/strings.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxEventsBytes = 4096;
constexpr size_t kMaxGroups = 10'000;

// Whether the flat keyed file counts at least one "oom_kill".
bool CountsAKill(const std::filesystem::path& file) {
  const auto text = ReadFile(file, kMaxEventsBytes);
  if (!text.ok()) {
    return false;
  }
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t count = 0;
    if (absl::ConsumePrefix(&line, "oom_kill ") && absl::SimpleAtoi(line, &count) && count > 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::set<ContainerId> ReadOutOfMemory(const KernelRoots& roots, std::string_view cgroup_root) {
  std::set<ContainerId> found;
  const std::filesystem::path groups = roots.sys / "fs/cgroup";
  size_t seen = 0;
  for (const std::filesystem::path& parent :
       {groups / cgroup_root, groups / "memory" / cgroup_root}) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(parent, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (++seen > kMaxGroups || !CheckId("container id", name).ok()) {
        continue;  // a monitor's, or a file
      }
      if (CountsAKill(entry->path() / "memory.events") ||
          CountsAKill(entry->path() / "memory.oom_control")) {
        found.insert(ContainerId::Trusted(name));
      }
    }
  }
  return found;
}

}  // namespace bramble::node
