// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this machine is and what is wrong with it, read from /proc, /sys and the kernel.

#include <filesystem>
#include <string>
#include <vector>

#include "api/node.h"

namespace bramble::node {

// Where the kernel shows itself; a test gives trees of its own.
struct KernelRoots {
  std::filesystem::path proc = "/proc";
  std::filesystem::path sys = "/sys";
};

struct InventoryOptions {
  KernelRoots roots;
  std::filesystem::path state_dir;  // its file system is the disk that counts
  std::string machine;              // as uname(2) has it: "x86_64"
  std::string kernel;               // uname's release
  int64_t page_size = 4096;
  int64_t cores = 1;
  Bytes disk;  // of the file system of state_dir
  std::string agent_version;
};

// Fills in what the running kernel tells by system calls.
InventoryOptions InventoryOfThisMachine(KernelRoots roots, std::filesystem::path state_dir);

// Reads a few dozen small files; what is missing is left empty.  Memory is MemTotal.
// Sources: Linux, Documentation/ABI (sysfs-devices-virtual-dmi), proc(5), devicetree's
// /proc/device-tree/{model,serial-number}.
api::Inventory ReadInventory(const InventoryOptions& options);

// What people and the scheduler should know.  `disk_free` of `disk`, where state_dir is.
struct DiskSpace {
  Bytes size;
  Bytes free;
};
std::vector<api::Condition> ReadConditions(const KernelRoots& roots,
                                           const std::optional<DiskSpace>& disk);
// nullopt: cannot be told.
std::optional<DiskSpace> ReadDiskSpace(const std::filesystem::path& directory);

// The boot's own id.
std::string ReadBootId(const KernelRoots& roots);

}  // namespace bramble::node
