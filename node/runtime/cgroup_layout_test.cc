// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/cgroup_layout.h"

#include <gmock/gmock.h>

namespace bramble::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kUnified[] =
    "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr char kHybrid[] =
    "24 23 0:21 / /sys/fs/cgroup rw shared:2 - tmpfs tmpfs rw,mode=755\n"
    "25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct\n"
    "26 24 0:23 / /sys/fs/cgroup/memory rw shared:4 - cgroup cgroup rw,memory\n"
    "27 24 0:24 / /sys/fs/cgroup/pids rw shared:5 - cgroup cgroup rw,pids\n"
    "28 24 0:25 / /sys/fs/cgroup/systemd rw shared:6 - cgroup cgroup rw,name=systemd\n"
    "29 24 0:26 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw\n";

CgroupLayout Unified() {
  return ParseCgroupLayout(kUnified, "0::/init.scope\n", "cpuset cpu io memory pids\n").value();
}
CgroupLayout Hybrid() {
  return ParseCgroupLayout(kHybrid,
                           "5:name=systemd:/init.scope\n4:pids:/\n3:memory:/a/b\n"
                           "2:cpu,cpuacct:/\n0::/init.scope\n",
                           "")
      .value();
}
RuntimeLimits Limits() {
  RuntimeLimits limits;
  limits.memory.count = 64 * kMiB;
  limits.swap.count = 16 * kMiB;
  limits.cpu.count = 250;
  limits.pids = 100;
  return limits;
}

TEST(CgroupLayoutTest, FindsControllersOfTheUnifiedHierarchy) {
  const CgroupLayout layout = Unified();

  ASSERT_NE(layout.Find("memory"), nullptr);
  EXPECT_TRUE(layout.Find("memory")->unified);
  EXPECT_EQ(layout.Find("freezer"), nullptr);
  EXPECT_EQ(CgroupLayout::Directory(*layout.Find("memory"), "bramble/c1"),
            "/sys/fs/cgroup/bramble/c1")
      << "below the root, not below systemd's init.scope";
}

TEST(CgroupLayoutTest, FindsEachControllerOfTheHybridLayoutInItsPlace) {
  const CgroupLayout layout = Hybrid();

  EXPECT_FALSE(layout.Find("cpu")->unified);
  EXPECT_EQ(layout.Find("cpu"), layout.Find("cpuacct"));
  EXPECT_EQ(CgroupLayout::Directory(*layout.Find("memory"), "bramble/c1"),
            "/sys/fs/cgroup/memory/a/b/bramble/c1");
  EXPECT_EQ(layout.hierarchies.size(), 5u);
}

TEST(CgroupLayoutTest, RefusesAMachineWithoutCgroups) {
  EXPECT_EQ(ParseCgroupLayout("1 0 8:1 / / rw - ext4 /dev/a rw\n", "", "").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(CgroupLayoutTest, WritesLimitsInTheFilesOfVersionTwo) {
  std::vector<std::string> missing;

  const auto settings = CgroupSettingsFor(Limits(), Unified(), missing);

  EXPECT_THAT(missing, IsEmpty());
  EXPECT_THAT(settings,
              ElementsAre(CgroupSetting{"memory", true, "memory.max", "67108864"},
                          CgroupSetting{"memory", true, "memory.swap.max", "16777216", true},
                          CgroupSetting{"cpu", true, "cpu.weight", "100"},
                          CgroupSetting{"cpu", true, "cpu.max", "25000 100000"},
                          CgroupSetting{"pids", true, "pids.max", "100"}));
}

TEST(CgroupLayoutTest, WritesLimitsInTheFilesOfVersionOne) {
  std::vector<std::string> missing;

  const auto settings = CgroupSettingsFor(Limits(), Hybrid(), missing);

  EXPECT_THAT(
      settings,
      ElementsAre(CgroupSetting{"memory", false, "memory.limit_in_bytes", "67108864"},
                  CgroupSetting{"memory", false, "memory.memsw.limit_in_bytes", "83886080", true},
                  CgroupSetting{"cpu", false, "cpu.shares", "1024"},
                  CgroupSetting{"cpu", false, "cpu.cfs_period_us", "100000"},
                  CgroupSetting{"cpu", false, "cpu.cfs_quota_us", "25000"},
                  CgroupSetting{"pids", false, "pids.max", "100"}));
}

TEST(CgroupLayoutTest, TakesLimitsAwayWhereThereAreNone) {
  RuntimeLimits none;
  none.pids = 0;
  std::vector<std::string> missing;

  const auto settings = CgroupSettingsFor(none, Unified(), missing);

  EXPECT_THAT(settings, ElementsAre(CgroupSetting{"memory", true, "memory.max", "max"},
                                    CgroupSetting{"memory", true, "memory.swap.max", "max", true},
                                    CgroupSetting{"cpu", true, "cpu.weight", "100"},
                                    CgroupSetting{"cpu", true, "cpu.max", "max 100000"},
                                    CgroupSetting{"pids", true, "pids.max", "max"}));
}

TEST(CgroupLayoutTest, NamesTheControllersThatALimitNeedsAndTheKernelLacks) {
  const auto layout = ParseCgroupLayout(kUnified, "0::/\n", "cpu\n");
  std::vector<std::string> missing;

  CgroupSettingsFor(Limits(), *layout, missing);

  EXPECT_THAT(missing, ElementsAre("memory", "pids"));
}

TEST(CgroupLayoutTest, KeepsSharesWithinWhatTheKernelTakes) {
  EXPECT_EQ(CpuSharesFor(1), 10);
  EXPECT_EQ(CpuSharesFor(100), 1024);
  EXPECT_EQ(CpuSharesFor(10000), 102400);
  EXPECT_EQ(CpuSharesFor(0), 2);
}

}  // namespace
}  // namespace bramble::node
