// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/status.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxProcBytes = 4 << 20;
constexpr int kFreezeWaitMs = 10'000;
constexpr int kRemoveTries = 200;  // of 5 ms
constexpr int kStepMs = 5;

void SleepMs(int ms) {
  const timespec time = {ms / 1000, (ms % 1000) * 1'000'000L};
  nanosleep(&time, nullptr);
}

std::string ReadText(const std::string& path) {
  auto text = ReadFile(path, kMaxProcBytes);
  return text.ok() ? *std::move(text) : std::string();
}

int64_t ReadNumber(const std::string& path) {
  int64_t number = 0;
  const std::string text = ReadText(path);
  return absl::SimpleAtoi(text, &number) ? number : 0;
}

// The value of "KEY 123" in a flat keyed file.
int64_t ReadKeyed(const std::string& path, std::string_view key) {
  for (const absl::string_view line : absl::StrSplit(ReadText(path), '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    int64_t number = 0;
    if (fields.size() == 2 && fields[0] == key && absl::SimpleAtoi(fields[1], &number)) {
      return number;
    }
  }
  return 0;
}

std::string Directory(const CgroupLayout& layout, std::string_view controller,
                      const std::string& group) {
  const CgroupHierarchy* hierarchy = layout.Find(controller);
  return hierarchy == nullptr ? "" : CgroupLayout::Directory(*hierarchy, group);
}

// Writes one setting, or says in `degraded` that the kernel has no such file.
absl::Status WriteSetting(const CgroupLayout& layout, const std::string& group,
                          const CgroupSetting& setting, std::vector<std::string>& degraded) {
  const std::string path = StrCat(Directory(layout, setting.controller, group), "/", setting.file);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT && setting.optional) {
    degraded.push_back("swap");
    return absl::OkStatus();
  }
  if (fd < 0) {
    return absl::InternalError(StrCat(path, ": ", strerror(errno)));
  }
  const ssize_t written = write(fd, setting.value.data(), setting.value.size());
  const int error = errno;
  close(fd);
  if (written == static_cast<ssize_t>(setting.value.size())) {
    return absl::OkStatus();
  }
  if (error == EBUSY) {
    return absl::FailedPreconditionError(
        StrCat(setting.file, ": the container uses more than ", setting.value, " bytes now"));
  }
  return absl::InternalError(StrCat(path, ": ", strerror(error)));
}

// Every process of the group and of those below it.
void KillAll(const std::string& directory) {
  if (WriteToExisting(directory + "/cgroup.kill", "1").ok()) {
    return;
  }
  for (const absl::string_view line : absl::StrSplit(ReadText(directory + "/cgroup.procs"), '\n')) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(line, &pid) && pid > 1) {
      kill(pid, SIGKILL);
    }
  }
}

bool RemoveDirectories(const std::string& directory) {
  if (rmdir(directory.c_str()) == 0 || errno == ENOENT) {
    return true;
  }
  KillAll(directory);
  DIR* dir = opendir(directory.c_str());
  if (dir != nullptr) {
    while (const dirent* entry = readdir(dir)) {
      const std::string name = entry->d_name;  // one may be ".lxc"
      if (entry->d_type == DT_DIR && name != "." && name != "..") {
        RemoveDirectories(StrCat(directory, "/", name));
      }
    }
    closedir(dir);
  }
  return rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

}  // namespace

absl::Status ApplyLimits(const CgroupLayout& layout, const std::string& group,
                         const RuntimeLimits& limits, std::vector<std::string>& degraded) {
  std::vector<std::string> missing;
  std::vector<CgroupSetting> settings = CgroupSettingsFor(limits, layout, missing);
  degraded.insert(degraded.end(), missing.begin(), missing.end());
  // v1 keeps memory <= memory + swap at every moment: a growing sum goes first.
  for (size_t i = 0; i + 1 < settings.size(); ++i) {
    if (settings[i + 1].file != "memory.memsw.limit_in_bytes") {
      continue;
    }
    const int64_t now =
        ReadNumber(StrCat(Directory(layout, "memory", group), "/", settings[i + 1].file));
    int64_t wanted = 0;
    if (!absl::SimpleAtoi(settings[i + 1].value, &wanted) || wanted < 0 || wanted > now) {
      std::swap(settings[i], settings[i + 1]);
    }
    break;
  }
  if (const CgroupHierarchy* memory = layout.Find("memory");
      memory != nullptr && memory->unified && limits.memory.count > 0) {
    // v2 would reclaim and then kill; a person is told instead.
    const int64_t used = ReadNumber(Directory(layout, "memory", group) + "/memory.current");
    if (used > limits.memory.count) {
      return absl::FailedPreconditionError(StrCat("the container uses ", used,
                                                  " bytes of memory, more than the new limit of ",
                                                  limits.memory.count));
    }
  }
  for (const CgroupSetting& setting : settings) {
    BRAMBLE_RETURN_IF_ERROR(WriteSetting(layout, group, setting, degraded));
  }
  return absl::OkStatus();
}

absl::Status ApplyOptionalLimits(const CgroupLayout& layout, const std::string& group,
                                 const RuntimeLimits& limits, std::vector<std::string>& degraded) {
  std::vector<std::string> missing;
  const std::vector<CgroupSetting> settings = CgroupSettingsFor(limits, layout, missing);
  degraded.insert(degraded.end(), missing.begin(), missing.end());
  for (const CgroupSetting& setting : settings) {
    if (setting.optional) {
      BRAMBLE_RETURN_IF_ERROR(WriteSetting(layout, group, setting, degraded));
    }
  }
  return absl::OkStatus();
}

absl::Status SetFrozen(const CgroupLayout& layout, const std::string& group, bool frozen) {
  const CgroupHierarchy* freezer = layout.Find("freezer");
  std::string path;
  if (freezer != nullptr) {
    path = CgroupLayout::Directory(*freezer, group) + "/freezer.state";
    BRAMBLE_RETURN_IF_ERROR(WriteToExisting(path, frozen ? "FROZEN" : "THAWED"));
  } else {
    for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
      if (hierarchy.unified) {
        path = CgroupLayout::Directory(hierarchy, group) + "/cgroup.freeze";
      }
    }
    if (path.empty()) {
      return absl::FailedPreconditionError("this kernel has no freezer cgroup");
    }
    BRAMBLE_RETURN_IF_ERROR(WriteToExisting(path, frozen ? "1" : "0"));
  }
  for (int waited = 0; IsFrozen(layout, group) != frozen; waited += kStepMs) {
    if (waited >= kFreezeWaitMs) {
      const absl::Status thawed = WriteToExisting(path, freezer != nullptr ? "THAWED" : "0");
      return absl::DeadlineExceededError(
          StrCat("some process does not stand still", thawed.ok() ? "" : ", nor thaw"));
    }
    SleepMs(kStepMs);
  }
  return absl::OkStatus();
}

bool IsFrozen(const CgroupLayout& layout, const std::string& group) {
  if (const CgroupHierarchy* freezer = layout.Find("freezer"); freezer != nullptr) {
    return ReadText(CgroupLayout::Directory(*freezer, group) + "/freezer.state")
        .starts_with("FROZEN");
  }
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    if (hierarchy.unified) {
      return ReadKeyed(CgroupLayout::Directory(hierarchy, group) + "/cgroup.events", "frozen") == 1;
    }
  }
  return false;
}

RuntimeUsage ReadUsage(const CgroupLayout& layout, const std::string& group) {
  RuntimeUsage usage;
  if (const CgroupHierarchy* memory = layout.Find("memory"); memory != nullptr) {
    const std::string directory = CgroupLayout::Directory(*memory, group);
    if (memory->unified) {
      usage.memory.count = ReadNumber(directory + "/memory.current");
      usage.swap.count = ReadNumber(directory + "/memory.swap.current");
    } else {
      usage.memory.count = ReadNumber(directory + "/memory.usage_in_bytes");
      const int64_t both = ReadNumber(directory + "/memory.memsw.usage_in_bytes");
      usage.swap.count = both > usage.memory.count ? both - usage.memory.count : 0;
    }
  }
  if (const CgroupHierarchy* cpuacct = layout.Find("cpuacct"); cpuacct != nullptr) {
    usage.cpu_time = std::chrono::microseconds(
        ReadNumber(CgroupLayout::Directory(*cpuacct, group) + "/cpuacct.usage") / 1000);
  } else if (const std::string cpu = Directory(layout, "cpu", group); !cpu.empty()) {
    usage.cpu_time = std::chrono::microseconds(ReadKeyed(cpu + "/cpu.stat", "usage_usec"));
  }
  if (const std::string pids = Directory(layout, "pids", group); !pids.empty()) {
    usage.pids = ReadNumber(pids + "/pids.current");
  }
  return usage;
}

absl::Status RemoveGroup(const CgroupLayout& layout, const std::string& group) {
  std::string left;
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    const std::string directory = CgroupLayout::Directory(hierarchy, group);
    bool gone = RemoveDirectories(directory);
    for (int i = 0; !gone && i < kRemoveTries; ++i) {
      SleepMs(kStepMs);  // a killed process leaves its group a moment later
      gone = RemoveDirectories(directory);
    }
    if (!gone) {
      left = directory;
    }
  }
  return left.empty() ? absl::OkStatus()
                      : absl::UnavailableError(StrCat(left, ": some process does not end"));
}

}  // namespace bramble::node
