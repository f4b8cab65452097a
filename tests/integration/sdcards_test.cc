// SPDX-License-Identifier: Apache-2.0
// A card for this cluster, from a real controller.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/token.h"
#include "base/file.h"
#include "base/status.h"
#include "sdcard-image/card/card_settings.h"
#include "sdcard-image/disk/compress.h"
#include "sdcard-image/disk/fat32.h"
#include "sdcard-image/disk/image_reader.h"
#include "sdcard-image/disk/mbr.h"
#include "sdcard-image/disk/memory_device.h"
#include "tests/integration/controller_process.h"

namespace bramble::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kCardBytes = 80 << 20;
constexpr char kImage[] = "base.img.zst";

class SdcardsTest : public ::testing::Test {
 protected:
  SdcardsTest() { controller_.Start(); }

  // A card with a boot partition and a settings file of its own.
  void PutBaseImage() {
    sdcard::MemoryDevice card(kCardBytes);
    sdcard::Mbr mbr;
    mbr.partitions[0] = {.type = sdcard::kMbrFat32, .start_sector = 8192, .sectors = 17 * 8192};
    card.bytes.replace(0, sdcard::kMbrBytes, sdcard::FormatMbr(mbr));
    sdcard::DeviceWindow boot(card, 4 << 20, 68 << 20);
    sdcard::FatVolume volume = sdcard::FatVolume::Format(boot, {}).value();
    ASSERT_EQ(volume.WriteFile("bramble.toml", "timezone = \"Europe/Amsterdam\"\n"),
              absl::OkStatus());
    sdcard::ExtentSet mapped;
    mapped.Add({0, 12 << 20});
    std::string packed;
    ASSERT_EQ(sdcard::CompressImage(card, mapped, {},
                                    [&packed](std::string_view bytes) {
                                      packed += bytes;
                                      return absl::OkStatus();
                                    }),
              absl::OkStatus());
    ASSERT_EQ(MakeDirectories(controller_.state() / "cards"), absl::OkStatus());
    ASSERT_EQ(WriteFileAtomically(controller_.state() / "cards" / kImage, packed),
              absl::OkStatus());
  }

  sdcard::CardSettings SettingsIn(const std::string& packed) {
    const std::filesystem::path path = directory_.path() / "got.img.zst";
    EXPECT_EQ(WriteFileAtomically(path, packed), absl::OkStatus());
    sdcard::MemoryDevice card(kCardBytes);
    const auto reader = sdcard::ImageReader::Open(path).value();
    while (true) {
      const auto piece = reader->Next().value();
      if (!piece.has_value()) {
        break;
      }
      if (!piece->hole) {
        card.bytes.replace(piece->offset, piece->size, *piece->bytes);
      }
    }
    sdcard::DeviceWindow boot(card, 4 << 20, 68 << 20);
    const std::string text = sdcard::FatVolume::Open(boot)->ReadFile("bramble.toml").value();
    return sdcard::ParseCardSettings(text, "bramble.toml").value();
  }

  ControllerProcess controller_;
  TemporaryDirectory directory_;
};

TEST_F(SdcardsTest, ACardComesWithATokenOfThisCluster) {
  PutBaseImage();
  Person admin(controller_, controller_.Token());
  EXPECT_EQ(admin.Get("/v1/sdcards").body.at("items").at(0).at("name"), kImage);

  const Answer answer =
      admin.Post("/v1/sdcards", {{"image", kImage}, {"max_uses", 3}, {"hostname", "pi-05"}});

  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.headers.Get("Content-Type"), "application/zstd");
  const sdcard::CardSettings settings = SettingsIn(answer.text);
  EXPECT_EQ(settings.hostname, "pi-05");
  EXPECT_EQ(settings.timezone, "Europe/Amsterdam") << "what was on it stays";
  EXPECT_TRUE(api::ParseJoinToken(settings.join_token).ok());
  const Answer tokens = admin.Get("/v1/tokens");
  EXPECT_EQ(tokens.body.at("items").at(0).at("max_uses").as_int64(), 3);
}

TEST_F(SdcardsTest, WhatIsWrongIsRefusedAndMakesNoToken) {
  PutBaseImage();
  Person admin(controller_, controller_.Token());
  const auto status_of = [&admin](const json::value& body) {
    return admin.Post("/v1/sdcards", body).status;
  };
  EXPECT_EQ(status_of({{"image", "none.img.zst"}}), 404);
  EXPECT_EQ(status_of({{"image", "../controller.db"}}), 400);
  EXPECT_EQ(status_of({{"image", kImage}, {"hostname", "Pi 5"}}), 400);
  EXPECT_EQ(status_of({{"image", kImage}, {"max_uses", 0}}), 400);
  EXPECT_EQ(status_of({{"imag", kImage}}), 400);
  EXPECT_EQ(admin.Get("/v1/tokens").body.at("items").as_array().size(), 0u);
  EXPECT_EQ(Person(controller_, "").Post("/v1/sdcards", {{"image", kImage}}).status, 401);
}

}  // namespace
}  // namespace bramble::testing
