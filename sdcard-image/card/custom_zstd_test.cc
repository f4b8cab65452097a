// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/card/custom_zstd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "base/temporary_directory.h"
#include "sdcard-image/disk/compress.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/image_reader.h"
#include "sdcard-image/disk/mbr.h"
#include "sdcard-image/disk/memory_device.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;

class CustomZstdTest : public ::testing::Test {
 protected:
  CustomZstdTest() : card_(200 << 20) {
    Mbr mbr;
    mbr.partitions[0] = {.type = kMbrFat32, .start_sector = 8192, .sectors = 17 * 8192};
    card_.bytes.replace(0, kMbrBytes, FormatMbr(mbr));
    card_.bytes.replace(190 << 20, 1 << 20, std::string(1 << 20, 'r'));
    DeviceWindow boot(card_, 4 << 20, 68 << 20);
    FatVolume volume = FatVolume::Format(boot, {}).value();
    EXPECT_EQ(volume.WriteFile("vmlinuz", std::string(9 << 20, 'k')), absl::OkStatus());
    ExtentSet mapped;
    mapped.Add({0, 20 << 20});
    mapped.Add({190 << 20, 1 << 20});
    std::string packed;
    EXPECT_EQ(CompressImage(card_, mapped, {},
                            [&packed](std::string_view bytes) {
                              packed += bytes;
                              return absl::OkStatus();
                            }),
              absl::OkStatus());
    packed_ = packed;
    EXPECT_EQ(WriteFileAtomically(path_, packed), absl::OkStatus());
  }

  static CardSettings Named(CardSettings settings) {
    settings.hostname = "pi-42";
    return settings;
  }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "card.img.zst";
  MemoryDevice card_;
  std::string packed_;
};

TEST_F(CustomZstdTest, OnlyTheSettingsDifferAndMostIsTheOriginal) {
  const CustomZstd made = CustomiseZstd(path_, Named, 1'700'000'000).value();

  std::string bytes;
  uint64_t original = 0;
  for (const ZstdPart& part : made.parts) {
    bytes += part.bytes.empty() ? packed_.substr(part.offset, part.size) : part.bytes;
    original += part.bytes.empty() ? part.size : 0;
  }
  EXPECT_EQ(bytes.size(), made.bytes);
  EXPECT_GT(original, 0u);
  ASSERT_EQ(WriteFileAtomically(directory_ / "new.img.zst", bytes), absl::OkStatus());
  MemoryDevice unpacked(card_.bytes.size());
  const auto reader = ImageReader::Open(directory_ / "new.img.zst").value();
  while (true) {
    const auto piece = reader->Next().value();
    if (!piece.has_value()) {
      break;
    }
    if (!piece->hole) {
      unpacked.bytes.replace(piece->offset, piece->size, *piece->bytes);
    }
  }
  DeviceWindow boot(unpacked, 4 << 20, 68 << 20);
  FatVolume volume = FatVolume::Open(boot).value();
  EXPECT_THAT(volume.ReadFile(kSettingsFile).value(), HasSubstr("hostname = \"pi-42\""));
  EXPECT_EQ(volume.ReadFile("vmlinuz").value(), std::string(9 << 20, 'k'));
  EXPECT_TRUE(volume.Check().empty());
  EXPECT_EQ(unpacked.bytes.substr(190 << 20), card_.bytes.substr(190 << 20));
}

TEST_F(CustomZstdTest, WhatIsNoSuchImageIsRefused) {
  ASSERT_EQ(WriteFileAtomically(path_, packed_.substr(0, packed_.size() - 5)), absl::OkStatus());
  EXPECT_TRUE(absl::IsDataLoss(CustomiseZstd(path_, Named, 0).status()));
  ASSERT_EQ(WriteFileAtomically(path_, ""), absl::OkStatus());
  EXPECT_FALSE(CustomiseZstd(path_, Named, 0).ok());
  EXPECT_TRUE(absl::IsNotFound(CustomiseZstd(directory_ / "none", Named, 0).status()));
}

}  // namespace
}  // namespace bramble::sdcard
