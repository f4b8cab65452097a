// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/apparmor.h"

#include <gmock/gmock.h>

#include <fstream>

namespace bramble::node {
namespace {

namespace fs = std::filesystem;

class ApparmorTest : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(sys_); }
  void Put(const std::string& path, const std::string& text) {
    fs::create_directories((sys_ / path).parent_path());
    std::ofstream(sys_ / path) << text;
  }

  const fs::path sys_ = fs::path(testing::TempDir()) / "apparmor_test_sys";
};

TEST_F(ApparmorTest, AsksForNothingWhereTheKernelHasNone) {
  EXPECT_EQ(ApparmorProfileToUse(sys_), "");
  EXPECT_TRUE(LoadApparmorProfile("/nonexistent", sys_).ok());

  Put("module/apparmor/parameters/enabled", "N\n");
  EXPECT_EQ(ApparmorProfileToUse(sys_), "");
}

TEST_F(ApparmorTest, UsesTheProfileOnceItIsLoadedAndEnforced) {
  Put("module/apparmor/parameters/enabled", "Y\n");
  Put("kernel/security/apparmor/profiles",
      "lsb_release (enforce)\nbramble-container (enforce)\n/usr/bin/lxc-start (enforce)\n");

  EXPECT_EQ(ApparmorProfileToUse(sys_), "bramble-container");
}

TEST_F(ApparmorTest, LeavesAContainerUnconfinedRatherThanNotStarted) {
  Put("module/apparmor/parameters/enabled", "Y\n");
  EXPECT_EQ(ApparmorProfileToUse(sys_), "unconfined") << "no list of profiles";

  Put("kernel/security/apparmor/profiles", "bramble-container-2 (enforce)\n");
  EXPECT_EQ(ApparmorProfileToUse(sys_), "unconfined");

  Put("kernel/security/apparmor/profiles", "bramble-container (complain)\n");
  EXPECT_EQ(ApparmorProfileToUse(sys_), "unconfined");
}

}  // namespace
}  // namespace bramble::node
