// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sdcard-image/disk/layout.h"
#include "sdcard-image/firstboot/growth.h"
#include "sdcard-image/firstboot/node_files.h"

namespace bramble::sdcard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const NodeFile* Find(const std::vector<NodeFile>& files, const std::string& path) {
  for (const NodeFile& file : files) {
    if (file.path == path) {
      return &file;
    }
  }
  return nullptr;
}

TEST(GrowthTest, TheRootGrowsToTheLastLineOfAnyCard) {
  const Mbr mbr = PlanLayout({}).value().ToMbr(7);
  for (const uint64_t bytes :
       {uint64_t{32'010'928'128}, uint64_t{64} << 30, uint64_t{2'000'398'934'016}}) {
    const Mbr grown = PlanGrowth(mbr, 3, bytes).value();
    EXPECT_LE(grown.partitions[2].end(), bytes);
    EXPECT_GT(grown.partitions[2].end() + kUnitBytes, bytes);
    EXPECT_EQ(grown.partitions[2].end() % kUnitBytes, 0u);
    EXPECT_EQ(grown.partitions[2].offset(), mbr.partitions[2].offset());
    EXPECT_EQ(PlanGrowth(grown, 3, bytes), std::nullopt) << "once is enough";
  }
}

TEST(GrowthTest, NothingBeyondWhatATableDescribes) {
  const Mbr mbr = PlanLayout({}).value().ToMbr(7);
  EXPECT_LE(PlanGrowth(mbr, 3, uint64_t{4} << 40)->partitions[2].end(), uint64_t{2} << 40);
}

TEST(GrowthTest, ASmallerCardAndAPartitionBehindAreLeftAlone) {
  Mbr mbr = PlanLayout({}).value().ToMbr(7);
  EXPECT_EQ(PlanGrowth(mbr, 3, kDefaultCardBytes), std::nullopt);
  EXPECT_EQ(PlanGrowth(mbr, 3, kDefaultCardBytes - kUnitBytes), std::nullopt);
  EXPECT_EQ(PlanGrowth(mbr, 1, uint64_t{64} << 30), std::nullopt);
  mbr.partitions[3] = {
      .type = kMbrLinux, .start_sector = mbr.partitions[2].start_sector + 8192, .sectors = 8};
  EXPECT_EQ(PlanGrowth(mbr, 3, uint64_t{64} << 30), std::nullopt);
}

TEST(NodeFilesTest, SayWhatTheCardSays) {
  CardSettings settings;
  settings.hostname = "pi-01";
  settings.join_token = "brm1.x";
  settings.controllers = {"172.16.0.1:8444"};
  settings.labels = {{"class", "a"}};

  const std::vector<NodeFile> files = NodeFiles(settings, "pi-0000", false);

  EXPECT_EQ(Find(files, "/etc/hostname")->bytes, "pi-01\n");
  EXPECT_EQ(Find(files, kJoinTokenFile)->bytes, "brm1.x\n");
  EXPECT_EQ(Find(files, kJoinTokenFile)->mode, 0600u);
  EXPECT_THAT(Find(files, "/etc/bramble/node.toml")->bytes,
              AllOf(HasSubstr("controllers = [\"172.16.0.1:8444\"]"),
                    HasSubstr("\"class\" = \"a\""), Not(HasSubstr("brm1.x"))));
  EXPECT_TRUE(WasMadeHere(Find(files, kNodeToml)->bytes));
  EXPECT_FALSE(WasMadeHere("# /etc/bramble/node.toml: settings of bramble-node.\n"));
  EXPECT_THAT(Find(files, "/etc/systemd/network/30-bridge.network")->bytes, HasSubstr("DHCP=ipv4"));
}

TEST(IdentityTest, CountsOnlyWhenItIsWholeOnTheCard) {
  const std::string whole = "bramble-record 1 3 15 123\n{\"node_id\":\"n\"}";
  EXPECT_TRUE(HasIdentity(whole, ""));
  EXPECT_TRUE(HasIdentity("", whole));
  EXPECT_FALSE(HasIdentity("", ""));
  for (size_t written = 0; written < whole.size(); ++written) {
    std::string cut = whole.substr(0, written);
    EXPECT_FALSE(HasIdentity(cut, "")) << written;
    cut.resize(whole.size(), '\0');
    EXPECT_FALSE(HasIdentity("", cut)) << written;
    EXPECT_TRUE(HasIdentity(whole, cut)) << written;
  }
  EXPECT_FALSE(HasIdentity(whole, "bramble-record 1 4 0 0\n")) << "it was told to forget it";
  EXPECT_TRUE(HasIdentity(whole, "bramble-record 1 2 0 0\n"));
}

TEST(NodeFilesTest, OnceJoinedTheTokenGoesAndTheWifiStays) {
  CardSettings settings;
  settings.join_token = "brm1.x";
  settings.wifi = {.ssid = "school"};

  const std::vector<NodeFile> files = NodeFiles(settings, "pi-0000", true);

  EXPECT_TRUE(Find(files, kJoinTokenFile)->absent);
  EXPECT_EQ(Find(files, "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"), nullptr);
  EXPECT_EQ(Find(files, "/etc/hostname")->bytes, "pi-0000\n");
}

TEST(NodeFilesTest, ANetworkNameCannotBreakOutOfItsFile) {
  CardSettings settings;
  settings.wifi = {.ssid = "a\"}\nnetwork={", .password = "12345678"};
  EXPECT_THAT(
      Find(NodeFiles(settings, "pi", false), "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf")
          ->bytes,
      HasSubstr("ssid=61227d0a6e6574776f726b3d7b\n"));
}

TEST(FallbackNameTest, ComesFromTheBoard) {
  EXPECT_EQ(FallbackName("10000000abcdef12", ""), "pi-abcdef12");
  EXPECT_EQ(FallbackName("", "0123456789abcdef0123456789abcdef"), "pi-89abcdef");
  EXPECT_EQ(FallbackName("", ""), "pi");
}

}  // namespace
}  // namespace bramble::sdcard
