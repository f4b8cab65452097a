// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/inspect/boot_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sdcard-image/disk/layout.h"

namespace bramble::sdcard {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BootLintTest : public ::testing::Test {
 protected:
  BootLintTest() {
    board_.name = "pi-test";
    board_.architecture = "arm64";
    board_.firmware = {"bootcode.bin", "start.elf", "fixup.dat"};
    board_.device_trees = {"bcm2837-rpi-3-b.dtb"};
    board_.drivers = {{"card", {"sdhci_iproc"}}};
    facts_.image_bytes = kDefaultCardBytes;
    facts_.mbr = PlanLayout({}).value().ToMbr(0xcafe0001);
    facts_.boot_free_bytes = 400 << 20;
    facts_.files = {{"bootcode.bin", 1}, {"start.elf", 1},          {"fixup.dat", 1},
                    {"config.txt", 1},   {"cmdline.txt", 1},        {"vmlinuz", 30 << 20},
                    {"initrd", 9 << 20}, {"bcm2837-rpi-3-b.dtb", 1}};
    facts_.config_txt = "arm_64bit=1\nkernel=vmlinuz\ninitramfs initrd\n";
    facts_.cmdline_txt = "console=tty0 root=PARTUUID=cafe0001-03 rootwait\n";
    facts_.drivers = std::set<std::string>{"sdhci_iproc", "ext4"};
  }

  std::string Findings() {
    std::string text;
    for (const Finding& finding : LintBoot(facts_, {board_})) {
      text += finding.what + ": " + finding.mend + "\n";
    }
    return text;
  }

  Board board_;
  BootFacts facts_;
};

TEST_F(BootLintTest, AGoodCardHasNothingToSay) { EXPECT_THAT(Findings(), IsEmpty()); }

TEST_F(BootLintTest, TheBootPartitionMustBeWhereBootRomsLook) {
  facts_.mbr->partitions[0].type = 0xef;
  EXPECT_THAT(Findings(), HasSubstr("of type EFI system: boot ROMs look for type 0x0c"));
  facts_.mbr->partitions[0].type = 0;
  EXPECT_THAT(Findings(), HasSubstr("slot 1 of the partition table is free"));
  facts_.mbr->partitions[0].type = kMbrFat32;
  facts_.mbr->partitions[1].type = kMbrGptProtective;
  EXPECT_THAT(Findings(), HasSubstr("slot 2 of the partition table is GPT's"));
  facts_.mbr.reset();
  EXPECT_THAT(Findings(), HasSubstr("no partition table"));
}

TEST_F(BootLintTest, AnImageCutShortIsSeen) {
  facts_.image_bytes -= 100;
  EXPECT_THAT(Findings(), HasSubstr("partition 3 ends 100 bytes beyond the image"));
}

TEST_F(BootLintTest, WhatConfigTxtNamesMustBeThere) {
  facts_.config_txt += "kernel=vmlinuz-9\ninitramfs initrd-9 followkernel\n";
  EXPECT_THAT(Findings(), HasSubstr("the kernel vmlinuz-9, which is not there"));
  EXPECT_THAT(Findings(), HasSubstr("the initramfs initrd-9, which is not there"));
}

TEST_F(BootLintTest, FirmwareComesInPairsAndIsComplete) {
  facts_.files["start4.elf"] = 1;
  EXPECT_THAT(Findings(), HasSubstr("start4.elf has no fixup4.dat"));
  facts_.files.erase("bootcode.bin");
  EXPECT_THAT(Findings(), HasSubstr("bootcode.bin is missing, which pi-test boots with"));
  facts_.files["recovery.bin"] = 1;
  EXPECT_THAT(Findings(), HasSubstr("recovery.bin"));
}

TEST_F(BootLintTest, TheCommandLineIsOneLineAndNamesAPartitionThatIs) {
  facts_.cmdline_txt = "root=PARTUUID=cafe0001-03\nrootwait\n";
  EXPECT_THAT(Findings(), HasSubstr("more than one line"));
  facts_.cmdline_txt = "root=PARTUUID=cafe0002-03 rootwait";
  EXPECT_THAT(Findings(), HasSubstr("root=PARTUUID=cafe0002-03, and no partition"));
  facts_.cmdline_txt = "root=PARTUUID=cafe0001-04";
  EXPECT_THAT(Findings(), HasSubstr("no partition of the card")) << "slot 4 is free";
  facts_.cmdline_txt = "";
  EXPECT_THAT(Findings(), HasSubstr("no cmdline.txt"));
}

TEST_F(BootLintTest, DeviceTreesAndDriversOfEachBoardAreThere) {
  facts_.files.erase("bcm2837-rpi-3-b.dtb");
  facts_.drivers = std::set<std::string>{"ext4"};
  EXPECT_THAT(Findings(), HasSubstr("device tree bcm2837-rpi-3-b.dtb of pi-test is missing"));
  EXPECT_THAT(Findings(), HasSubstr("no driver for card of pi-test (sdhci_iproc)"));
}

TEST_F(BootLintTest, AnExtendedPartitionIsOfTheTypeThatBootRomsKnow) {
  facts_.mbr->partitions[3] = {.type = 0x0f, .start_sector = 8192, .sectors = 8192};
  EXPECT_THAT(Findings(), HasSubstr("partition 4 is an extended one of type 0x0f"));
  facts_.mbr->partitions[3].type = 0x05;
  EXPECT_THAT(Findings(), IsEmpty());
}

TEST_F(BootLintTest, AProtectiveEntryOfGptInTheFirstSlotIsSeen) {
  facts_.mbr->partitions[0].type = kMbrGptProtective;
  EXPECT_THAT(Findings(), HasSubstr("slot 1 of the partition table is GPT's"));
}

TEST_F(BootLintTest, PartitionsOffTheLinesAreOnlyAWarning) {
  facts_.mbr->partitions[0].start_sector += 1;
  const std::vector<Finding> findings = LintBoot(facts_, {board_});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].weight, Finding::Weight::kWarning);
  EXPECT_THAT(findings[0].what, HasSubstr("partition 1 does not begin and end on a line"));
}

TEST_F(BootLintTest, ABootPartitionThatIsNoFat32IsAllThatIsSaid) {
  facts_.boot_problem = "it is FAT16";
  facts_.files.clear();
  EXPECT_EQ(Findings(), "it is FAT16: the first partition must be FAT32: make the image anew\n");
}

TEST_F(BootLintTest, ConfigTxtMustBeThereAndNameAKernel) {
  facts_.config_txt = "arm_64bit=1\n";
  EXPECT_THAT(Findings(), HasSubstr("config.txt names no kernel and none of the usual names"));
  facts_.files["kernel8.img"] = 1;
  EXPECT_THAT(Findings(), IsEmpty()) << "the firmware takes that one by itself";
  facts_.files.erase("config.txt");
  EXPECT_THAT(Findings(), HasSubstr("no config.txt on the boot partition"));
}

TEST_F(BootLintTest, A64BitKernelNeedsA64BitStart) {
  facts_.config_txt += "arm_64bit=0\n";
  EXPECT_THAT(Findings(), HasSubstr("arm_64bit=0, and pi-test has a 64-bit kernel"));
  board_.architecture = "armhf";
  EXPECT_THAT(Findings(), IsEmpty());
}

TEST_F(BootLintTest, FilesThatAreEmptyAreSeen) {
  facts_.files["start.elf"] = 0;
  facts_.files["bcm2837-rpi-3-b.dtb"] = 0;
  EXPECT_THAT(Findings(), HasSubstr("start.elf is empty"));
  EXPECT_THAT(Findings(), HasSubstr("bcm2837-rpi-3-b.dtb is empty"));
}

TEST_F(BootLintTest, DriversThatCannotBeSeenAreNotMissed) {
  facts_.drivers.reset();
  EXPECT_THAT(Findings(), IsEmpty());
}

TEST_F(BootLintTest, ASecondKernelMustHaveRoom) {
  facts_.boot_free_bytes = 20 << 20;
  EXPECT_THAT(Findings(), HasSubstr("a second kernel needs 39"));
}

TEST(ConfigValueTest, TakesTheLastLineOutsideOfConditions) {
  const std::string config =
      "#kernel=no\nkernel=a\n[pi4]\nkernel=b\n[all]\n kernel=c \r\ninitramfs x follow\n";
  EXPECT_EQ(ConfigValue(config, "kernel"), "c");
  EXPECT_EQ(ConfigValue(config, "initramfs"), "x");
  EXPECT_EQ(ConfigValue(config, "os_prefix"), "");
}

}  // namespace
}  // namespace bramble::sdcard
