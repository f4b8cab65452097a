// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/card/edit_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/mbr.h"
#include "sdcard-image/disk/memory_device.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;

class EditCardTest : public ::testing::Test {
 protected:
  EditCardTest() : card_(72 << 20) {
    Mbr mbr;
    mbr.partitions[0] = {.type = kMbrFat32, .start_sector = 8192, .sectors = 17 * 8192};
    card_.bytes.replace(0, kMbrBytes, FormatMbr(mbr));
    DeviceWindow boot(card_, 4 << 20, 68 << 20);
    EXPECT_EQ(FatVolume::Format(boot, {}).status(), absl::OkStatus());
  }

  absl::Status SetName(const std::string& name) {
    return EditCardSettings(
        card_,
        [&name](CardSettings there) {
          there.hostname = name;
          return there;
        },
        1'700'000'000);
  }
  std::string Text() {
    DeviceWindow boot(card_, 4 << 20, 68 << 20);
    return FatVolume::Open(boot)->ReadFile(kSettingsFile).value_or("");
  }

  MemoryDevice card_;
};

TEST_F(EditCardTest, MakesTheFileAndChangesIt) {
  ASSERT_EQ(SetName("pi-01"), absl::OkStatus());
  EXPECT_THAT(Text(), HasSubstr("hostname = \"pi-01\""));
  ASSERT_EQ(SetName("pi-02"), absl::OkStatus());
  EXPECT_EQ(ParseCardSettings(Text(), "x")->hostname, "pi-02");
}

TEST_F(EditCardTest, WhatIsWrongOnTheCardIsNamedAndKept) {
  {
    DeviceWindow boot(card_, 4 << 20, 68 << 20);
    ASSERT_EQ(FatVolume::Open(boot)->WriteFile(kSettingsFile, "hostnam = 1\n"), absl::OkStatus());
  }
  EXPECT_THAT(std::string(MessageOf(SetName("pi"))), HasSubstr("memory:bramble.toml:1"));
  EXPECT_EQ(Text(), "hostnam = 1\n");
}

TEST_F(EditCardTest, WhatIsNoCardIsRefused) {
  card_.bytes[510] = 'x';
  EXPECT_FALSE(SetName("pi").ok());
}

}  // namespace
}  // namespace bramble::sdcard
