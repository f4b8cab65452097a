// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/cgroup_layout.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr int64_t kCpuPeriodUs = 100'000;
constexpr int64_t kMinQuotaUs = 1'000;  // the kernel takes no less

std::vector<std::string> Split(std::string_view text, char separator) {
  return absl::StrSplit(ToAbsl(text), separator, absl::SkipEmpty());
}

// The group of process 1 for each set of controllers as /proc/1/cgroup names it ("" is v2).
std::map<std::string, std::string> BasesOf(std::string_view pid1_cgroup) {
  std::map<std::string, std::string> bases;
  for (const std::string& line : Split(pid1_cgroup, '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) {
      continue;
    }
    std::string base = fields[2];
    constexpr std::string_view kInitScope = "/init.scope";
    if (base.ends_with(kInitScope)) {
      base.resize(base.size() - kInitScope.size());
    }
    bases[fields[1]] = base == "/" ? "" : base;
  }
  return bases;
}

const char* const kControllers[] = {"cpu",     "cpuacct", "cpuset",   "memory",     "devices",
                                    "freezer", "blkio",   "pids",     "hugetlb",    "net_cls",
                                    "rdma",    "misc",    "net_prio", "perf_event", "io"};

bool IsController(std::string_view name) {
  return std::find(std::begin(kControllers), std::end(kControllers), name) !=
         std::end(kControllers);
}

std::string MemoryText(Bytes bytes, bool unified) {
  return bytes.count > 0 ? StrCat(bytes.count) : unified ? "max" : "-1";
}

void AddMemory(const RuntimeLimits& limits, bool v2, std::vector<CgroupSetting>& settings) {
  const bool limited = limits.memory.count > 0;
  const Bytes both = limited ? limits.memory + limits.swap : Bytes{0};
  if (v2) {
    settings.push_back({"memory", true, "memory.max", MemoryText(limits.memory, true)});
    settings.push_back({"memory", true, "memory.swap.max",
                        limited ? StrCat(limits.swap.count) : "max", /*optional=*/true});
  } else {
    settings.push_back(
        {"memory", false, "memory.limit_in_bytes", MemoryText(limits.memory, false)});
    settings.push_back({"memory", false, "memory.memsw.limit_in_bytes", MemoryText(both, false),
                        /*optional=*/true});
  }
}

void AddCpu(const RuntimeLimits& limits, bool v2, std::vector<CgroupSetting>& settings) {
  const int64_t quota = std::max(limits.cpu.count * kCpuPeriodUs / 1000, kMinQuotaUs);
  const bool limited = limits.cpu.count > 0;
  if (v2) {
    settings.push_back({"cpu", true, "cpu.weight", StrCat(limits.cpu_weight)});
    settings.push_back(
        {"cpu", true, "cpu.max", StrCat(limited ? StrCat(quota) : "max", " ", kCpuPeriodUs)});
  } else {
    settings.push_back({"cpu", false, "cpu.shares", StrCat(CpuSharesFor(limits.cpu_weight))});
    settings.push_back({"cpu", false, "cpu.cfs_period_us", StrCat(kCpuPeriodUs)});
    settings.push_back({"cpu", false, "cpu.cfs_quota_us", limited ? StrCat(quota) : "-1"});
  }
}

}  // namespace

const CgroupHierarchy* CgroupLayout::Find(std::string_view controller) const {
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    const auto& all = hierarchy.controllers;
    if (std::find(all.begin(), all.end(), controller) != all.end()) {
      return &hierarchy;
    }
  }
  return nullptr;
}

const CgroupHierarchy* CgroupLayout::ForProcesses() const {
  for (const char* controller : {"pids", "memory", "freezer"}) {
    if (const CgroupHierarchy* found = Find(controller); found != nullptr) {
      return found;
    }
  }
  return hierarchies.empty() ? nullptr : &hierarchies.front();
}

std::string CgroupLayout::Directory(const CgroupHierarchy& hierarchy, std::string_view group) {
  return StrCat(hierarchy.mount, hierarchy.base, "/", group);
}

absl::StatusOr<CgroupLayout> ParseCgroupLayout(std::string_view mountinfo,
                                               std::string_view pid1_cgroup,
                                               std::string_view v2_controllers) {
  const std::map<std::string, std::string> bases = BasesOf(pid1_cgroup);
  CgroupLayout layout;
  for (const std::string& line : Split(mountinfo, '\n')) {
    // "36 35 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
    const std::vector<std::string> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) {
      continue;
    }
    const std::vector<std::string> left = Split(halves[0], ' ');
    const std::vector<std::string> right = Split(halves[1], ' ');
    if (left.size() < 6 || right.size() < 3 || left[3] != "/" ||
        (right[0] != "cgroup" && right[0] != "cgroup2")) {
      continue;
    }
    CgroupHierarchy hierarchy;
    hierarchy.unified = right[0] == "cgroup2";
    hierarchy.mount = left[4];
    std::string key;  // as /proc/1/cgroup names it
    if (hierarchy.unified) {
      hierarchy.controllers =
          absl::StrSplit(ToAbsl(v2_controllers), absl::ByAnyChar(" \n"), absl::SkipEmpty());
    } else {
      for (const std::string& option : Split(right[2], ',')) {
        if (option.starts_with("name=")) {
          key = option;
        } else if (IsController(option)) {
          hierarchy.controllers.push_back(option);
        }
      }
      for (const auto& [name, base] : bases) {
        for (const std::string& one : Split(name, ',')) {
          if (!hierarchy.controllers.empty() && one == hierarchy.controllers.front()) {
            key = name;
          }
        }
      }
    }
    if (const auto base = bases.find(key); base != bases.end()) {
      hierarchy.base = base->second;
    }
    layout.hierarchies.push_back(std::move(hierarchy));
  }
  if (layout.hierarchies.empty()) {
    return absl::FailedPreconditionError("no cgroup hierarchy is mounted on /sys/fs/cgroup");
  }
  return layout;
}

int64_t CpuSharesFor(int64_t weight) { return std::clamp<int64_t>(weight * 1024 / 100, 2, 262144); }

std::vector<CgroupSetting> CgroupSettingsFor(const RuntimeLimits& limits,
                                             const CgroupLayout& layout,
                                             std::vector<std::string>& missing) {
  std::vector<CgroupSetting> settings;
  if (const CgroupHierarchy* memory = layout.Find("memory"); memory != nullptr) {
    AddMemory(limits, memory->unified, settings);
  } else if (limits.memory.count > 0) {
    missing.push_back("memory");
  }
  if (const CgroupHierarchy* cpu = layout.Find("cpu"); cpu != nullptr) {
    AddCpu(limits, cpu->unified, settings);
  } else if (limits.cpu.count > 0) {
    missing.push_back("cpu");
  }
  if (const CgroupHierarchy* pids = layout.Find("pids"); pids != nullptr) {
    settings.push_back(
        {"pids", pids->unified, "pids.max", limits.pids > 0 ? StrCat(limits.pids) : "max"});
  } else if (limits.pids > 0) {
    missing.push_back("pids");
  }
  return settings;
}

}  // namespace bramble::node
