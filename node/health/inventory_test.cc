// SPDX-License-Identifier: Apache-2.0
#include "node/health/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace bramble::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A /proc and a /sys made of what a test writes.
class InventoryTest : public testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/bramble-inventory-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    root_ = directory;
    roots_ = {.proc = root_ / "proc", .sys = root_ / "sys"};
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Put(const std::string& path, std::string_view text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << text;
  }
  std::vector<std::string> ConditionTypes(std::optional<DiskSpace> disk = {}) {
    std::vector<std::string> types;
    for (const api::Condition& condition : ReadConditions(roots_, disk)) {
      types.push_back(condition.type + ":" + condition.severity);
    }
    return types;
  }

  std::filesystem::path root_;
  KernelRoots roots_;
};

TEST_F(InventoryTest, ReadsAPi) {
  Put("proc/device-tree/model", std::string("Raspberry Pi 4 Model B Rev 1.4\0", 31));
  Put("proc/device-tree/serial-number", std::string("10000000abcdef01\0", 17));
  Put("proc/meminfo", "MemTotal:        3884332 kB\nMemFree:          100 kB\n");
  Put("proc/sys/kernel/random/boot_id", "8a2f0a1e-0000-4000-8000-000000000001\n");
  Put("proc/sys/kernel/pid_max", "32768\n");
  Put("sys/class/net/eth0/address", "dc:a6:32:00:00:01\n");
  Put("sys/class/net/lo/address", "00:00:00:00:00:00\n");
  Put("sys/class/net/vethabc/address", "02:42:00:00:00:01\n");
  Put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
  Put("sys/module/apparmor/parameters/enabled", "Y\n");
  Put("sys/kernel/security/apparmor/profiles", "bramble-container (enforce)\n");

  const api::Inventory inventory = ReadInventory(
      {.roots = roots_, .machine = "aarch64", .kernel = "6.12", .page_size = 4096, .cores = 4});

  EXPECT_EQ(inventory.architecture, "arm64");
  EXPECT_THAT(inventory.also_runs, ElementsAre("armhf"));
  EXPECT_EQ(inventory.model, "Raspberry Pi 4 Model B Rev 1.4");
  EXPECT_EQ(inventory.serial, "10000000abcdef01");
  EXPECT_THAT(inventory.macs, ElementsAre("dc:a6:32:00:00:01"));
  EXPECT_EQ(inventory.capacity.memory.count, 3884332 * kKiB);
  EXPECT_EQ(inventory.capacity.cpu.count, 4000);
  EXPECT_EQ(inventory.capacity.pids, 32768);
  EXPECT_EQ(inventory.cgroup_layout, "v2");
  EXPECT_EQ(inventory.lsm, "apparmor");
  EXPECT_EQ(inventory.boot_id, "8a2f0a1e-0000-4000-8000-000000000001");
  EXPECT_THAT(ConditionTypes(), IsEmpty());
}

TEST_F(InventoryTest, ReadsAPcWithTheOldCgroups) {
  Put("sys/class/dmi/id/product_name", "OptiPlex\n");
  Put("proc/cgroups",
      "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t2\t1\t1\n");
  const api::Inventory inventory = ReadInventory({.roots = roots_, .machine = "x86_64"});
  EXPECT_EQ(inventory.architecture, "amd64");
  EXPECT_EQ(inventory.model, "OptiPlex");
  EXPECT_EQ(inventory.cgroup_layout, "v1");
  EXPECT_THAT(ConditionTypes(), ElementsAre("no-lsm:info"));
}

TEST_F(InventoryTest, SaysWhenMemoryIsNotLimitedAndTheDiskIsFull) {
  Put("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n");
  EXPECT_THAT(ConditionTypes(DiskSpace{.size = {32 * kGiB}, .free = {kGiB}}),
              ElementsAre("cgroup-memory-off:critical", "no-lsm:info", "disk-full:warning"));
  EXPECT_THAT(ConditionTypes(DiskSpace{.size = {32 * kGiB}, .free = {100 * kMiB}}),
              ElementsAre("cgroup-memory-off:critical", "no-lsm:info", "disk-full:critical"));
}

TEST_F(InventoryTest, SaysWhenAppArmorIsOnAndItsProfileIsNotLoaded) {
  Put("sys/fs/cgroup/cgroup.controllers", "memory\n");
  Put("sys/module/apparmor/parameters/enabled", "Y\n");
  Put("sys/kernel/security/apparmor/profiles", "lsb_release (enforce)\n");
  EXPECT_THAT(ConditionTypes(), ElementsAre("no-lsm:warning"));
}

TEST_F(InventoryTest, KnowsThisMachine) {
  const api::Inventory inventory = ReadInventory(InventoryOfThisMachine({}, "/tmp"));
  EXPECT_FALSE(inventory.architecture.empty());
  EXPECT_GT(inventory.capacity.memory.count, 0);
  EXPECT_GT(inventory.capacity.disk.count, 0);
  EXPECT_FALSE(inventory.boot_id.empty());
}

}  // namespace
}  // namespace bramble::node
