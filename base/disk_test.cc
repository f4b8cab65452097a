// SPDX-License-Identifier: Apache-2.0
#include "base/disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble {
namespace {

using ::testing::ElementsAre;

// The contract: what both disks do alike.
void BehavesLikeADisk(Disk& disk, const Disk::Path& root) {
  const Disk::Path dir = root / "d";
  ASSERT_TRUE(disk.MakeDirectory(dir).ok());
  ASSERT_TRUE(disk.MakeDirectory(dir).ok());
  EXPECT_TRUE(absl::IsNotFound(disk.Read(dir / "f", 100).status()));
  EXPECT_TRUE(absl::IsNotFound(disk.SyncFile(dir / "f")));
  EXPECT_TRUE(absl::IsNotFound(disk.Remove(dir / "f")));
  EXPECT_TRUE(absl::IsNotFound(disk.Rename(dir / "f", dir / "g")));
  EXPECT_TRUE(absl::IsNotFound(disk.List(root / "none").status()));
  EXPECT_TRUE(absl::IsNotFound(disk.Write(root / "none" / "f", "x")));

  ASSERT_TRUE(disk.Write(dir / "f", "one").ok());
  ASSERT_TRUE(disk.Append(dir / "f", "two").ok());
  ASSERT_TRUE(disk.Append(dir / "g", "three").ok());
  EXPECT_EQ(disk.Read(dir / "f", 6).value(), "onetwo");
  EXPECT_TRUE(absl::IsResourceExhausted(disk.Read(dir / "f", 5).status()));
  EXPECT_THAT(disk.List(dir).value(), ElementsAre("f", "g"));
  ASSERT_TRUE(disk.SyncFile(dir / "f").ok());
  ASSERT_TRUE(disk.SyncDirectory(dir).ok());
  ASSERT_TRUE(disk.Rename(dir / "g", dir / "f").ok());
  EXPECT_EQ(disk.Read(dir / "f", 6).value(), "three");
  ASSERT_TRUE(disk.Write(dir / "f", "x").ok());
  EXPECT_EQ(disk.Read(dir / "f", 6).value(), "x");
  ASSERT_TRUE(disk.Remove(dir / "f").ok());
  EXPECT_THAT(disk.List(dir).value(), ElementsAre());
}

TEST(DiskTest, RealOneKeepsTheContract) {
  const TemporaryDirectory dir;
  SystemDisk disk;
  BehavesLikeADisk(disk, dir.path());
}

TEST(DiskTest, FakeOneKeepsTheContract) {
  FakeDisk disk;
  BehavesLikeADisk(disk, "/");
}

TEST(FakeDiskTest, ForgetsWhatWasNotSynced) {
  FakeDisk disk;
  ASSERT_TRUE(disk.Write("/f", "synced").ok());
  ASSERT_TRUE(disk.SyncFile("/f").ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  ASSERT_TRUE(disk.Append("/f", " and not").ok());
  ASSERT_TRUE(disk.Write("/g", "never").ok());
  ASSERT_TRUE(disk.SyncFile("/g").ok());

  disk.LosePower();

  EXPECT_EQ(disk.Read("/f", 100).value(), "synced");
  EXPECT_TRUE(absl::IsNotFound(disk.Read("/g", 100).status())) << "its name was not synced";
}

TEST(FakeDiskTest, RenameWithoutSyncMayBeForgotten) {
  FakeDisk disk;
  ASSERT_TRUE(ReplaceFile(disk, "/f", "old").ok());
  ASSERT_TRUE(disk.Write("/f.new", "new").ok());
  ASSERT_TRUE(disk.SyncFile("/f.new").ok());
  ASSERT_TRUE(disk.Rename("/f.new", "/f").ok());

  disk.LosePower();

  EXPECT_EQ(disk.Read("/f", 100).value(), "old");
}

// Power lost, or the disk failing, at every step of a replacement: the old bytes or the new.
TEST(FakeDiskTest, ReplaceFileIsAllOrNothingAtEveryStep) {
  uint64_t steps = 4;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (uint64_t step = 1; step <= steps + 1; ++step) {
      FakeDisk disk;
      ASSERT_TRUE(ReplaceFile(disk, "/f", "old bytes").ok());
      SeededRandom random(seed * 100 + step);
      disk.FailFrom(step);
      const absl::Status status = ReplaceFile(disk, "/f", "new bytes, and more of them");
      EXPECT_EQ(status.ok(), step > steps);

      disk.LosePower(&random);

      const std::string left = disk.Read("/f", 100).value();
      EXPECT_TRUE(left == "old bytes" || left == "new bytes, and more of them") << left;
      if (status.ok()) {
        EXPECT_EQ(left, "new bytes, and more of them");
      }
    }
  }
}

TEST(FakeDiskTest, FailsTheCallItIsToldToAndTearsItsWrite) {
  FakeDisk disk;
  ASSERT_TRUE(disk.Write("/f", "12345678").ok());
  disk.FailOnce(1, absl::ResourceExhaustedError("disk full"));

  const absl::Status failed = disk.Append("/f", "abcd");

  EXPECT_TRUE(absl::IsResourceExhausted(failed)) << failed;
  EXPECT_EQ(disk.Read("/f", 100).value(), "12345678ab");
  EXPECT_TRUE(disk.Append("/f", "!").ok());
}

}  // namespace
}  // namespace bramble
