// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/disk/fat32.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sdcard-image/disk/fat_names.h"
#include "sdcard-image/disk/memory_device.h"

namespace bramble::sdcard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kVolumeBytes = 64 << 20;

class Fat32Test : public ::testing::Test {
 protected:
  Fat32Test()
      : device_(kVolumeBytes),
        volume_(FatVolume::Format(device_, {.label = "BOOT", .volume_id = 7}).value()) {}

  std::vector<std::string> Names(std::string_view directory) {
    std::vector<std::string> names;
    const std::vector<FatEntry> entries = volume_.List(directory).value();
    for (const FatEntry& entry : entries) {
      names.push_back(entry.name);
    }
    return names;
  }

  MemoryDevice device_;
  FatVolume volume_;
};

TEST_F(Fat32Test, AFileIsReadAsItWasWritten) {
  const std::string big(3'000'001, 'k');
  ASSERT_EQ(volume_.WriteFile("vmlinuz-6.1.0-arm64", big), absl::OkStatus());
  ASSERT_EQ(volume_.WriteFile("overlays/deep/dwc2.dtbo", "tree"), absl::OkStatus());
  ASSERT_EQ(volume_.WriteFile("EMPTY", ""), absl::OkStatus());

  FatVolume again = FatVolume::Open(device_).value();
  EXPECT_EQ(again.ReadFile("VMLINUZ-6.1.0-ARM64").value(), big) << "FAT knows no case";
  EXPECT_EQ(again.ReadFile("overlays/deep/dwc2.dtbo").value(), "tree");
  EXPECT_EQ(again.ReadFile("EMPTY").value(), "");
  EXPECT_EQ(again.label(), "BOOT");
  EXPECT_THAT(Names(""), ElementsAre("vmlinuz-6.1.0-arm64", "overlays", "EMPTY"));
  EXPECT_THAT(again.Check(), IsEmpty());
}

TEST_F(Fat32Test, ReplacingAFileGivesItsRoomBackAndLeavesNothingOfIt) {
  ASSERT_EQ(volume_.WriteFile("bramble.toml", "join_token = \"brm1.secret\""), absl::OkStatus());
  const uint64_t free = volume_.free_bytes();

  ASSERT_EQ(volume_.WriteFile("bramble.toml", "hostname = \"pi\""), absl::OkStatus());

  EXPECT_EQ(volume_.free_bytes(), free);
  EXPECT_EQ(device_.bytes.find("brm1.secret"), std::string::npos);
  EXPECT_EQ(volume_.ReadFile("bramble.toml").value(), "hostname = \"pi\"");
  EXPECT_THAT(volume_.Check(), IsEmpty());
}

TEST_F(Fat32Test, AWipedFileIsGone) {
  ASSERT_EQ(volume_.WriteFile("a secret.txt", "brm1.secret"), absl::OkStatus());
  const uint64_t free = volume_.free_bytes();
  ASSERT_EQ(volume_.WipeFile("a secret.txt"), absl::OkStatus());

  EXPECT_FALSE(volume_.Exists("a secret.txt"));
  EXPECT_GT(volume_.free_bytes(), free);
  EXPECT_EQ(device_.bytes.find("brm1.secret"), std::string::npos);
  EXPECT_TRUE(absl::IsNotFound(volume_.WipeFile("a secret.txt")));
  EXPECT_THAT(volume_.Check(), IsEmpty());
}

TEST_F(Fat32Test, AFullVolumeRefusesAndKeepsWhatIsThere) {
  ASSERT_EQ(volume_.WriteFile("first", std::string(40 << 20, 'a')), absl::OkStatus());

  const absl::Status full = volume_.WriteFile("second", std::string(40 << 20, 'b'));

  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_THAT(std::string(MessageOf(full)), HasSubstr("boot partition is full"));
  EXPECT_FALSE(volume_.Exists("second"));
  EXPECT_EQ(volume_.ReadFile("first")->size(), 40u << 20);
  EXPECT_THAT(volume_.Check(), IsEmpty());
}

TEST_F(Fat32Test, ADirectoryGrowsBeyondOneCluster) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(volume_.WriteFile(StrCat("overlays/a rather long name ", i, ".dtbo"), StrCat(i)),
              absl::OkStatus());
  }

  EXPECT_EQ(Names("overlays").size(), 300u);
  EXPECT_EQ(volume_.ReadFile("overlays/a rather long name 299.dtbo").value(), "299");
  EXPECT_THAT(volume_.Check(), IsEmpty());
}

TEST_F(Fat32Test, EqualCallsGiveEqualBytes) {
  MemoryDevice other(kVolumeBytes);
  FatVolume second = FatVolume::Format(other, {.label = "BOOT", .volume_id = 7}).value();
  for (FatVolume* volume : {&volume_, &second}) {
    volume->SetTime(1'700'000'000);
    ASSERT_EQ(volume->WriteFile("config.txt", "arm_64bit=1\n"), absl::OkStatus());
  }

  EXPECT_EQ(device_.bytes, other.bytes);
}

TEST_F(Fat32Test, NamesThatFatCannotHoldAreRefused) {
  for (const std::string& name :
       std::initializer_list<std::string>{"a:b", "..", "a\nb", "dot.", std::string(256, 'x')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(volume_.WriteFile(name, "x"))) << name;
  }
}

TEST_F(Fat32Test, DamageIsFoundAndEndsNoWalk) {
  ASSERT_EQ(volume_.WriteFile("big", std::string(100'000, 'x')), absl::OkStatus());
  const uint32_t first = volume_.Stat("big")->first_cluster;
  const uint64_t fat = 32 * 512;
  device_.bytes.replace(fat + first * 4, 4, std::string("\x03\x00\x00\x00", 4));  // a loop
  device_.bytes.replace(fat + 3 * 4, 4, std::string("\x03\x00\x00\x00", 4));

  FatVolume damaged = FatVolume::Open(device_).value();

  EXPECT_FALSE(damaged.ReadFile("big").ok());
  EXPECT_FALSE(damaged.Check().empty());
}

TEST(FatOpenTest, OtherFileSystemsAreNamed) {
  MemoryDevice device(kVolumeBytes);
  EXPECT_THAT(std::string(MessageOf(FatVolume::Open(device).status())), HasSubstr("55 AA"));

  device.bytes.replace(510, 2, "\x55\xaa");
  device.bytes.replace(3, 4, "NTFS");
  EXPECT_THAT(std::string(MessageOf(FatVolume::Open(device).status())), HasSubstr("NTFS"));

  device.bytes[17] = 2;  // entries of a fixed root directory
  device.bytes.replace(3, 4, "mkfs");
  EXPECT_THAT(std::string(MessageOf(FatVolume::Open(device).status())), HasSubstr("FAT16"));
}

TEST(FatFormatTest, WhatIsTooSmallIsRefused) {
  MemoryDevice device(16 << 20);
  EXPECT_TRUE(absl::IsInvalidArgument(FatVolume::Format(device, {}).status()));
}

TEST(FatNamesTest, ShortNamesAreUniqueAndLongOnesKeepEveryLetter) {
  EXPECT_EQ(ShortNameFor("config.txt", {}), "CONFIG  TXT");
  EXPECT_EQ(ShortNameFor("bcm2711-rpi-4-b.dtb", {}), "BCM271~1DTB");
  EXPECT_EQ(ShortNameFor("bcm2711-rpi-400.dtb", {"BCM271~1DTB"}), "BCM271~2DTB");
  EXPECT_EQ(ShortNameText("CONFIG  TXT", 0x18), "config.txt");

  const std::string name = "Grüße 🍓.toml";
  const std::string entries = LongNameEntries(name, "GRE~1   TOM");
  std::vector<uint16_t> units;
  for (size_t at = entries.size(); at >= kFatEntryBytes; at -= kFatEntryBytes) {
    const auto part = LongNamePart(std::string_view(entries).substr(at - kFatEntryBytes, 32));
    units.insert(units.end(), part.begin(), part.end());
  }
  EXPECT_EQ(Utf16ToUtf8(units), name);
}

}  // namespace
}  // namespace bramble::sdcard
