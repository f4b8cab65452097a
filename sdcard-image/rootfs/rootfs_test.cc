// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/config.h"
#include "base/json.h"
#include "base/status.h"
#include "sdcard-image/inspect/boot_lint.h"
#include "sdcard-image/rootfs/boot_files.h"
#include "sdcard-image/rootfs/build.h"
#include "sdcard-image/rootfs/initramfs.h"
#include "sdcard-image/rootfs/outputs.h"

namespace bramble::sdcard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ModuleFilesTest, WhatAModuleNeedsComesBeforeIt) {
  const std::string dep =
      "kernel/lib/crc16.ko:\nkernel/fs/mbcache.ko:\nkernel/fs/jbd2/jbd2.ko:\n"
      "kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko\n"
      "kernel/drivers/mmc/host/sdhci-iproc.ko: kernel/lib/crc16.ko\n";

  EXPECT_THAT(ModuleFiles(dep, {"ext4", "not_there", "sdhci_iproc"}),
              ElementsAre("kernel/fs/jbd2/jbd2.ko", "kernel/fs/mbcache.ko", "kernel/lib/crc16.ko",
                          "kernel/fs/ext4/ext4.ko.xz", "kernel/drivers/mmc/host/sdhci-iproc.ko"));
}

TEST(CpioArchiveTest, HasTheFormThatTheKernelReads) {
  CpioArchive archive;
  archive.AddDirectory("bin");
  archive.AddFile("bin/sh", "hello", 0755);
  const std::string bytes = std::move(archive).Finish();

  EXPECT_EQ(bytes.substr(0, 14), "07070100000001");
  EXPECT_EQ(bytes.size() % 4, 0u);
  EXPECT_THAT(bytes, HasSubstr("TRAILER!!!"));
}

TEST(BootFilesTest, WhatWeWriteIsWhatTheLinterReads) {
  Board board;
  board.architecture = "arm64";
  board.consoles = "console=tty0";

  const std::string config = ConfigTxt(board, "6.1.0-50-arm64");
  const std::string line = CommandLine(board, "cafe0001-03");

  EXPECT_EQ(ConfigValue(config, "kernel"), "vmlinuz-6.1.0-50-arm64");
  EXPECT_EQ(ConfigValue(config, "initramfs"), "initrd.img-6.1.0-50-arm64");
  EXPECT_THAT(line,
              AllOf(HasSubstr("root=PARTUUID=cafe0001-03 "), HasSubstr("cgroup_enable=memory")));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(CheckBuildTest, WhatCannotWorkIsRefusedAtOnce) {
  BuildOptions options;
  options.board.summary = "Raspberry Pi 5";
  options.board.suites = {"trixie"};
  const auto error = [&] { return std::string(MessageOf(CheckBuild(options))); };
  EXPECT_EQ(error(), "");

  options.suite = "bookworm";
  EXPECT_THAT(error(), HasSubstr("no kernel that drives Raspberry Pi 5; take trixie"));
  options.suite = "";
  options.packages = {"vim; reboot"};
  EXPECT_THAT(error(), HasSubstr("no name of a package"));
  options.packages = {};
  options.card_bytes = 1'000'000'000;
  EXPECT_THAT(error(), HasSubstr("no multiple of 4 MiB"));
  options.card_bytes = 256 << 20;
  EXPECT_THAT(error(), HasSubstr("at least"));
}

TEST(CheckBuildTest, TheKernelHasASuiteOfItsOwn) {
  BuildOptions options;
  options.board.suites = {"trixie"};
  EXPECT_EQ(KernelSuiteOf(options), "");
  options.board.kernel_suite = "SUITE-backports";
  EXPECT_EQ(KernelSuiteOf(options), "trixie-backports");
  options.kernel_suite = "sid";
  EXPECT_EQ(KernelSuiteOf(options), "sid");
  options.kernel_suite = "sid main; reboot";
  EXPECT_THAT(std::string(MessageOf(CheckBuild(options))), HasSubstr("no suite such as"));
}

TEST(FirmwareDefaultsTest, KeepWhatAnUpgradeWouldGuess) {
  Board board;
  board.consoles = "console=tty0";
  board.config_txt = {"dtparam=x"};
  std::map<std::string, std::string> files;
  for (const BootFile& file : FirmwareDefaults(board, "cafe0001-03")) {
    files[file.path] = file.bytes;
  }
  EXPECT_THAT(files["raspi-firmware"],
              AllOf(HasSubstr("\nROOTPART=PARTUUID=cafe0001-03\n"), HasSubstr("\nCMA=0\n"),
                    HasSubstr("\nCONSOLES=\"console=tty0\"\n")));
  EXPECT_EQ(files["raspi-firmware-custom"], "dtparam=x\n");
  EXPECT_THAT(files["raspi-extra-cmdline"], HasSubstr("cgroup_enable=memory"));
}

TEST(ManifestTest, IsReadByWhatWroteItAndHasNoSecret) {
  BuildOptions options;
  options.board = {.name = "pi-arm64", .suites = {"bookworm"}};
  options.mirror = "http://mirror.example/debian";
  options.packages = {"vim", "nano"};
  options.layers = {{.directory = "/ours"}, {.directory = "/srv/lesson"}};
  options.debs = {"/srv/bramble-node.deb"};
  options.settings.wifi = {.ssid = "School", .password = "correct horse"};
  options.time_s = 1'700'000'000;
  options.packages_digest = "0123";

  const std::string text = ManifestOf(options, "x.settings.toml");

  const ConfigFile file = ConfigFile::Parse(text, "x.toml").value();
  ConfigReader reader = file.Root();
  EXPECT_EQ(reader.String("board"), "pi-arm64");
  EXPECT_EQ(reader.String("suite"), "bookworm");
  EXPECT_THAT(reader.Strings("packages"), ElementsAre("vim", "nano"));
  EXPECT_THAT(reader.Strings("layers"), ElementsAre("/srv/lesson")) << "ours is always there";
  EXPECT_THAT(reader.Strings("formats"), ElementsAre("zst", "imager"));
  EXPECT_EQ(static_cast<uint64_t>(reader.Size("size", {}).count), kDefaultCardBytes);
  EXPECT_EQ(reader.Table("made_of").String("packages"), "0123");
  EXPECT_EQ(text.find("horse"), std::string::npos);
}

TEST(ImagerUrlTest, IsOneThatImagerOpens) {
  EXPECT_EQ(ImagerUrl("", "/srv/my cards/a.img.xz"), "file:///srv/my%20cards/a.img.xz");
  EXPECT_EQ(ImagerUrl("https://example.org/x", "/srv/a.img.xz"), "https://example.org/x/a.img.xz");
  EXPECT_EQ(ImagerUrl("https://example.org/x/", "/srv/a b.xz"), "https://example.org/x/a%20b.xz");
}

TEST(SpdxTest, ListsWhatIsInstalled) {
  const json::value list = json::parse(
      SpdxOf("Package: a\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1:2+b1\n\n"
             "Package: b\nStatus: deinstall ok config-files\nVersion: 1\n",
             "x", 1'700'000'000));

  EXPECT_EQ(list.at("packages").as_array().size(), 1u);
  EXPECT_EQ(list.at("packages").at(0).at("externalRefs").at(0).at("referenceLocator"),
            "pkg:deb/debian/a@1%3A2%2Bb1?arch=arm64");
  EXPECT_EQ(list.at("relationships").at(0).at("relatedSpdxElement"),
            list.at("packages").at(0).at("SPDXID"));
  EXPECT_EQ(list.at("creationInfo").at("created"), "2023-11-14T22:13:20Z");
}

TEST(ImagerListTest, HasWhatTheSchemaRequires) {
  const json::value list = json::parse(ImagerList({.name = "n", .architecture = "arm64"}));
  const json::object& entry = list.at("os_list").at(0).as_object();
  for (const char* key : {"name", "description", "icon", "url", "extract_size", "extract_sha256",
                          "image_download_size", "release_date", "devices"}) {
    EXPECT_TRUE(entry.contains(key)) << key;
  }
  EXPECT_EQ(entry.at("init_format"), "rpi-preseed");
}

}  // namespace
}  // namespace bramble::sdcard
