// SPDX-License-Identifier: Apache-2.0
#include "node/health/inventory.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/strings.h"
#include "node/runtime/apparmor.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxProcBytes = 256 * 1024;
constexpr size_t kMaxMacs = 16;
// Below this share of a disk, or this much, new containers had better go elsewhere.
constexpr int64_t kDiskWarningPercent = 10;
constexpr int64_t kDiskCriticalBytes = 200 * kMiB;

// The first line of a file; a device tree's text ends with a zero byte.  Empty when there is none.
std::string FirstLine(const std::filesystem::path& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxProcBytes);
  if (!text.ok()) {
    return "";
  }
  std::string line = text->substr(0, text->find_first_of(std::string_view("\n\0", 2)));
  line.erase(line.find_last_not_of(" \t\r") + 1);
  std::erase_if(line, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  return line;
}

// The value after `key` and a colon in a file like /proc/meminfo.
std::string ValueAfter(const std::string& text, std::string_view key) {
  size_t at = text.find(StrCat("\n", key));
  if (text.compare(0, key.size(), key) == 0) {
    at = 0;
  } else if (at == std::string::npos) {
    return "";
  } else {
    ++at;
  }
  const size_t colon = text.find(':', at);
  const size_t end = text.find('\n', at);
  if (colon == std::string::npos || (end != std::string::npos && colon > end)) {
    return "";
  }
  std::string value = text.substr(colon + 1, end - colon - 1);
  value.erase(0, value.find_first_not_of(" \t"));
  return value;
}

std::string DebianArchitecture(std::string_view machine) {
  if (machine == "x86_64") {
    return "amd64";
  }
  if (machine == "aarch64") {
    return "arm64";
  }
  if (machine.substr(0, 3) == "arm") {
    return "armhf";
  }
  return std::string(machine);
}

std::vector<std::string> ReadMacs(const std::filesystem::path& sys) {
  std::vector<std::string> macs;
  DIR* directory = opendir((sys / "class/net").c_str());
  if (directory == nullptr) {
    return macs;
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory)) {
    names.emplace_back(entry->d_name);
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    // Only what is hardware, or stands for it in a network namespace: not containers' ports.
    const std::filesystem::path link = sys / "class/net" / name;
    const bool hardware = access((link / "device").c_str(), F_OK) == 0;
    const std::string mac = FirstLine(link / "address");
    const bool ethernet = name.substr(0, 3) == "eth" || name.substr(0, 2) == "en";
    if (name.front() != '.' && (hardware || ethernet) && mac.size() == 17 &&
        mac != "00:00:00:00:00:00" && macs.size() < kMaxMacs &&
        std::find(macs.begin(), macs.end(), mac) == macs.end()) {
      macs.push_back(mac);
    }
  }
  return macs;
}

// "v2" where the unified hierarchy has the memory controller, else "v1".
std::string CgroupLayout(const KernelRoots& roots) {
  return FirstLine(roots.sys / "fs/cgroup/cgroup.controllers").empty() ? "v1" : "v2";
}

bool MemoryCgroup(const KernelRoots& roots) {
  const std::string unified = FirstLine(roots.sys / "fs/cgroup/cgroup.controllers");
  if (!unified.empty()) {
    return StrCat(" ", unified, " ").find(" memory ") != std::string::npos;
  }
  // Fields of /proc/cgroups: name, hierarchy, number of groups, enabled.
  const absl::StatusOr<std::string> table = ReadFile(roots.proc / "cgroups", kMaxProcBytes);
  const size_t at = table.ok() ? table->find("\nmemory\t") : std::string::npos;
  if (at == std::string::npos) {
    return false;
  }
  const size_t end = table->find('\n', at + 1);
  const std::string line = table->substr(at + 1, end - at - 1);
  return !line.empty() && line.back() == '1';
}

}  // namespace

InventoryOptions InventoryOfThisMachine(KernelRoots roots, std::filesystem::path state_dir) {
  InventoryOptions options{.roots = std::move(roots), .state_dir = std::move(state_dir)};
  utsname name{};
  if (uname(&name) == 0) {
    options.machine = name.machine;
    options.kernel = name.release;
  }
#if defined(__arm__)
  options.machine = "armv7l";  // a 32-bit system on a 64-bit kernel runs 32-bit programs
#endif
  options.page_size = sysconf(_SC_PAGESIZE);
  options.cores = std::max<long>(1, sysconf(_SC_NPROCESSORS_ONLN));
  options.disk = ReadDiskSpace(options.state_dir).value_or(DiskSpace{}).size;
  options.agent_version = BRAMBLE_VERSION;
  return options;
}

api::Inventory ReadInventory(const InventoryOptions& options) {
  const KernelRoots& roots = options.roots;
  api::Inventory inventory;
  inventory.architecture = DebianArchitecture(options.machine);
  if (inventory.architecture == "arm64") {
    inventory.also_runs = {"armhf"};
  }
  inventory.model = FirstLine(roots.proc / "device-tree/model");
  inventory.serial = FirstLine(roots.proc / "device-tree/serial-number");
  if (inventory.model.empty()) {
    inventory.model = FirstLine(roots.sys / "class/dmi/id/product_name");
  }
  if (inventory.serial.empty()) {
    inventory.serial = FirstLine(roots.sys / "class/dmi/id/product_serial");
  }
  const absl::StatusOr<std::string> cpu = ReadFile(roots.proc / "cpuinfo", kMaxProcBytes);
  if (cpu.ok() && inventory.serial.empty()) {
    inventory.serial = ValueAfter(*cpu, "Serial");
  }
  if (cpu.ok() && inventory.model.empty()) {
    inventory.model = ValueAfter(*cpu, "model name");
  }
  inventory.macs = ReadMacs(roots.sys);
  inventory.kernel = options.kernel;
  inventory.agent_version = options.agent_version;
  inventory.cgroup_layout = CgroupLayout(roots);
  inventory.lsm = HasAppArmor(roots.sys) ? "apparmor" : "none";
  inventory.boot_id = ReadBootId(roots);
  inventory.page_size_bytes = options.page_size;
  inventory.capacity.cpu.count = options.cores * 1000;
  inventory.capacity.disk = options.disk;
  if (const auto memory = ReadFile(roots.proc / "meminfo", kMaxProcBytes); memory.ok()) {
    int64_t kib = 0;
    const std::string value = ValueAfter(*memory, "MemTotal");
    std::from_chars(value.data(), value.data() + value.size(), kib);
    inventory.capacity.memory.count = kib * kKiB;
  }
  int64_t pids = 0;
  const std::string pid_max = FirstLine(roots.proc / "sys/kernel/pid_max");
  std::from_chars(pid_max.data(), pid_max.data() + pid_max.size(), pids);
  inventory.capacity.pids = pids;
  return inventory;
}

std::vector<api::Condition> ReadConditions(const KernelRoots& roots,
                                           const std::optional<DiskSpace>& disk) {
  std::vector<api::Condition> conditions;
  if (!MemoryCgroup(roots)) {
    conditions.push_back(
        {.type = "cgroup-memory-off",
         .severity = "critical",
         .message = "the kernel does not limit memory: add cgroup_enable=memory to cmdline.txt "
                    "and reboot"});
  }
  if (HasAppArmor(roots.sys) && !IsApparmorProfileLoaded(roots.sys)) {
    conditions.push_back({.type = "no-lsm",
                          .severity = "warning",
                          .message = "AppArmor's profile bramble-container is not loaded: "
                                     "containers are confined by user namespaces, capabilities "
                                     "and seccomp alone; install the package apparmor and "
                                     "restart bramble-node"});
  }
  if (!HasAppArmor(roots.sys)) {
    conditions.push_back({.type = "no-lsm",
                          .severity = "info",
                          .message = "no AppArmor: containers are confined by user namespaces, "
                                     "capabilities and seccomp alone"});
  }
  if (disk.has_value() && disk->size.count > 0 &&
      disk->free.count < disk->size.count / 100 * kDiskWarningPercent) {
    const bool critical = disk->free.count < kDiskCriticalBytes;
    // Rounded, so that a disk that is written to does not report itself all the time.
    conditions.push_back({.type = "disk-full",
                          .severity = critical ? "critical" : "warning",
                          .message = StrCat("less than ",
                                            critical ? ToString(Bytes{kDiskCriticalBytes})
                                                     : StrCat(kDiskWarningPercent, " %"),
                                            " of the disk is free: delete images or containers")});
  }
  return conditions;
}

std::optional<DiskSpace> ReadDiskSpace(const std::filesystem::path& directory) {
  struct statvfs disk {};
  if (statvfs(directory.c_str(), &disk) != 0) {
    return std::nullopt;
  }
  const auto unit = static_cast<int64_t>(disk.f_frsize);
  return DiskSpace{.size = {static_cast<int64_t>(disk.f_blocks) * unit},
                   .free = {static_cast<int64_t>(disk.f_bavail) * unit}};
}

std::string ReadBootId(const KernelRoots& roots) {
  return FirstLine(roots.proc / "sys/kernel/random/boot_id");
}

}  // namespace bramble::node
