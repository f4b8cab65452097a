// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/ext4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/temporary_directory.h"
#include "sdcard-image/disk/bytes.h"
#include "sdcard-image/disk/card_image.h"
#include "sdcard-image/disk/ext4_structure.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/memory_device.h"
#include "sdcard-image/disk/swap.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kTime = 1'700'000'000;

// A card of 384 MiB with a little tree, made in `directory`.
class CardImageTest : public ::testing::Test {
 protected:
  CardImageTest() {
    options_.layout =
        PlanLayout({.card_bytes = 384 << 20, .boot_bytes = 64 << 20, .swap_bytes = 16 << 20})
            .value();
    options_.ids = CardIds::FromSeed("test");
    options_.time_s = kTime;
    options_.boot_files = {{"config.txt", "arm_64bit=1\n"}, {"cmdline.txt", "root=x\n"}};
    options_.root_tree = directory_ / "tree";
    std::filesystem::create_directories(options_.root_tree / "etc/dir");
    EXPECT_EQ(WriteFileAtomically(options_.root_tree / "etc/hostname", "pi\n"), absl::OkStatus());
    std::filesystem::create_symlink("hostname", options_.root_tree / "etc/link");
  }

  std::filesystem::path Make(const std::string& name) {
    const std::filesystem::path out = directory_ / name;
    EXPECT_EQ(MakeCardImage(options_, out).status(), absl::OkStatus());
    return out;
  }

  TemporaryDirectory directory_;
  CardImageOptions options_;
};

TEST_F(CardImageTest, HoldsItsThreePartitions) {
  const auto image = FileDevice::Open(Make("a.img"), FileDevice::Mode::kRead).value();
  DeviceWindow boot(*image, options_.layout.boot_offset, options_.layout.boot_bytes);
  DeviceWindow swap(*image, options_.layout.swap_offset, options_.layout.swap_bytes);
  DeviceWindow root(*image, options_.layout.root_offset, options_.layout.root_bytes);

  EXPECT_EQ(image->size(), 384u << 20);
  EXPECT_EQ(FatVolume::Open(boot)->ReadFile("config.txt").value(), "arm_64bit=1\n");
  EXPECT_EQ(ReadSwapFacts(swap)->bytes, 16u << 20);
  const Ext4Facts facts = ReadExt4Facts(root).value();
  EXPECT_EQ(facts.bytes, options_.layout.root_bytes);
  EXPECT_EQ(facts.uuid, options_.ids.root_uuid);
  EXPECT_TRUE(facts.clean);
  EXPECT_TRUE(facts.project_quota);
  EXPECT_EQ(JournalExtents(root)->bytes(), 32u << 20);
}

TEST_F(CardImageTest, TheJournalIsMappedThoughItIsZeros) {
  const auto image = FileDevice::Open(Make("a.img"), FileDevice::Mode::kRead).value();
  DeviceWindow root(*image, options_.layout.root_offset, options_.layout.root_bytes);
  const ExtentSet mapped = MappedExtents(*image).value();

  const ExtentSet journal = JournalExtents(root).value();
  for (const Extent& extent : journal.extents()) {
    const uint64_t begin = options_.layout.root_offset + extent.offset;
    for (uint64_t at = begin; at < begin + extent.size; at += 4096) {
      ASSERT_TRUE(mapped.Touches({at, 4096})) << at;
    }
  }
  EXPECT_LT(mapped.bytes(), uint64_t{100} << 20);
}

TEST_F(CardImageTest, TwoBuildsFromTwoCopiesOfTheTreeGiveEqualBytes) {
  const std::filesystem::path first = Make("a.img");
  std::filesystem::copy(
      options_.root_tree, directory_ / "copy",
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  options_.root_tree = directory_ / "copy";
  const std::filesystem::path second = Make("b.img");

  const Command compare{.argv = {"cmp", first.string(), second.string()}};
  EXPECT_EQ(RunCommandForOutput(compare).status(), absl::OkStatus());

  // They may have been made in one second, so: last written and checked when we say.
  const auto device = FileDevice::Open(first, FileDevice::Mode::kRead).value();
  DeviceWindow root(*device, options_.layout.root_offset, options_.layout.root_bytes);
  const std::string super = Ext4Structure::Read(root).value().superblock();
  EXPECT_EQ(GetLe32(super, 0x30), options_.time_s);
  EXPECT_EQ(GetLe32(super, 0x40), options_.time_s);
}

TEST_F(CardImageTest, TheRootPassesFsck) {
  // A directory of four blocks, which e2fsck packs into five: its first count of the quota is off.
  std::filesystem::create_directories(options_.root_tree / "many");
  for (int i = 0; i < 330; ++i) {
    const std::string name = StrCat("a-file-with-a-rather-long-name-", i);
    std::ofstream(options_.root_tree / "many" / name) << "x";
  }
  const std::filesystem::path image = Make("a.img");
  const auto device = FileDevice::Open(image, FileDevice::Mode::kRead).value();
  const Command check{
      .argv = {"e2fsck", "-fn", StrCat(image.string(), "?offset=", options_.layout.root_offset)}};
  const CommandResult result = RunCommand(check).value();
  EXPECT_EQ(CheckOk(check, result), absl::OkStatus());
  EXPECT_EQ(result.err.find("QUOTA"), std::string::npos) << result.err;
}

TEST_F(CardImageTest, WhatDoesNotFitSaysSoAndLeavesNothingBehind) {
  options_.layout.root_bytes = 48 << 20;
  std::ofstream(options_.root_tree / "big") << std::string(60 << 20, 'x');

  const absl::Status full = MakeCardImage(options_, directory_ / "full.img").status();

  EXPECT_FALSE(full.ok());
  EXPECT_THAT(std::string(MessageOf(full)), HasSubstr("root file system"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "full.img"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "full.img.part"));
}

TEST(Ext4FactsTest, WhatIsNoExt4IsRefused) {
  MemoryDevice device(1 << 20, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(ReadExt4Facts(device).status()));
  MemoryDevice tiny(100);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadExt4Facts(tiny).status()));
}

TEST(Crc32cTest, GivesTheKnownValue) {
  // RFC 3720, B.4: 32 bytes of zeros; ext4 leaves out the final inversion.
  EXPECT_EQ(~Crc32c(0xffffffff, std::string(32, '\0')), 0x8a9136aau);
}

}  // namespace
}  // namespace bramble::sdcard
