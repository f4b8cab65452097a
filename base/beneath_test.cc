// SPDX-License-Identifier: Apache-2.0
#include "base/beneath.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble {
namespace {

class BeneathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (absl::IsUnimplemented(OpenBeneath(Root(), "/", O_PATH).status())) {
      GTEST_SKIP() << "this kernel (or qemu-user 7.2) has no openat2";
    }
    std::filesystem::create_directories(dir_ / "tree/etc");
    ASSERT_TRUE(WriteFileAtomically(dir_ / "secret", "secret").ok());
    ASSERT_TRUE(WriteFileAtomically(dir_ / "tree/etc/name", "web").ok());
    root_ = OpenDirectory(dir_ / "tree").value();
  }
  int Root() {
    if (!root_.valid()) {
      root_ = OpenDirectory(dir_.path()).value();
    }
    return root_.get();
  }
  void Link(const std::string& target, const std::string& name) {
    ASSERT_EQ(::symlink(target.c_str(), (dir_ / ("tree/" + name)).c_str()), 0);
  }

  TemporaryDirectory dir_;
  Fd root_;
};

TEST_F(BeneathTest, ReadsAndWritesBelow) {
  EXPECT_EQ(ReadBeneath(Root(), "etc/name", 100).value(), "web");
  EXPECT_EQ(ReadBeneath(Root(), "/etc/name", 100).value(), "web") << "'/' is the root";
  ASSERT_TRUE(MakeDirectoriesBeneath(Root(), "/var/lib/x").ok());
  ASSERT_TRUE(MakeDirectoriesBeneath(Root(), "/var/lib/x/").ok());
  ASSERT_TRUE(WriteBeneath(Root(), "var/lib/x/f", "one").ok());
  ASSERT_TRUE(WriteBeneath(Root(), "var/lib/x/f", "two", 0600).ok());
  EXPECT_EQ(ReadBeneath(Root(), "var/lib/x/f", 100).value(), "two");
  EXPECT_EQ(StatBeneath(Root(), "var/lib/x/f")->st_mode & 07777, 0600u);
  EXPECT_TRUE(absl::IsAlreadyExists(CreateBeneath(Root(), "var/lib/x/f").status()));
  ASSERT_TRUE(RenameBeneath(Root(), "var/lib/x/f", "etc/f").ok());
  EXPECT_EQ(ReadBeneath(Root(), "etc/f", 100).value(), "two");
  ASSERT_TRUE(UnlinkBeneath(Root(), "etc/f").ok());
  EXPECT_TRUE(absl::IsNotFound(UnlinkBeneath(Root(), "etc/f")));
}

TEST_F(BeneathTest, NothingLeadsOut) {
  Link("/etc/passwd", "absolute");
  Link("../secret", "dotdot");
  Link("..", "up");
  Link("/", "top");
  Link("/proc/self/root/etc/passwd", "magic");
  for (const char* path : {"../secret", "etc/../../secret", "absolute", "dotdot", "up/secret",
                           "top/etc/passwd", "magic"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(ReadBeneath(Root(), path, 100).status())) << path;
    EXPECT_FALSE(OpenBeneath(Root(), path, O_WRONLY | O_CREAT, 0644).ok()) << path;
  }
  EXPECT_FALSE(WriteBeneath(Root(), "up/secret", "x").ok());
  EXPECT_FALSE(UnlinkBeneath(Root(), "up/secret").ok());
  EXPECT_FALSE(RenameBeneath(Root(), "etc/name", "up/name").ok());
  EXPECT_FALSE(MakeDirectoriesBeneath(Root(), "up/new").ok());
  EXPECT_FALSE(RemoveTreeBeneath(Root(), "..").ok());
  EXPECT_EQ(ReadFile(dir_ / "secret", 100).value(), "secret");
}

TEST_F(BeneathTest, LinksThatStayBeneathAreFollowed) {
  Link("etc/name", "inside");
  Link("etc", "dir");

  EXPECT_EQ(ReadBeneath(Root(), "inside", 100).value(), "web");
  EXPECT_EQ(ReadBeneath(Root(), "dir/name", 100).value(), "web");
}

TEST_F(BeneathTest, WritingReplacesALinkAndNotWhatItNames) {
  Link("etc/name", "inside");

  ASSERT_TRUE(WriteBeneath(Root(), "inside", "new").ok());

  EXPECT_EQ(ReadBeneath(Root(), "etc/name", 100).value(), "web");
  EXPECT_EQ(ReadBeneath(Root(), "inside", 100).value(), "new");
}

TEST_F(BeneathTest, OnlyRegularFilesAreRead) {
  ASSERT_EQ(::mkfifo((dir_ / "tree/fifo").c_str(), 0600), 0);

  EXPECT_TRUE(absl::IsInvalidArgument(ReadBeneath(Root(), "fifo", 100).status()));
  EXPECT_FALSE(ReadBeneath(Root(), "etc", 100).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(ReadBeneath(Root(), "etc/name", 2).status()));
}

TEST_F(BeneathTest, RemovesATreeAndNothingThatItLinksTo) {
  ASSERT_TRUE(MakeDirectoriesBeneath(Root(), "a/b/c").ok());
  ASSERT_TRUE(WriteBeneath(Root(), "a/b/f", "x").ok());
  ASSERT_EQ(::symlink("../../..", (dir_ / "tree/a/b/out").c_str()), 0);

  ASSERT_TRUE(RemoveTreeBeneath(Root(), "a").ok());

  EXPECT_TRUE(absl::IsNotFound(StatBeneath(Root(), "a").status()));
  EXPECT_TRUE(std::filesystem::exists(dir_ / "secret"));
  EXPECT_TRUE(absl::IsNotFound(RemoveTreeBeneath(Root(), "a")));
}

}  // namespace
}  // namespace bramble
