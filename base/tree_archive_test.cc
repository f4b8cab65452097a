// SPDX-License-Identifier: Apache-2.0
#include "base/tree_archive.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class TreeArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(dir_ / "from/sub/deep");
    fs::create_directories(dir_ / "to");
    if (absl::IsUnimplemented(OpenBeneath(Open("to").get(), "/", O_PATH).status())) {
      GTEST_SKIP() << "this kernel (or qemu-user 7.2) has no openat2";
    }
    Write("from/a", "alpha", 0640);
    Write("from/sub/run", "#!/bin/sh\n", 0755);
    fs::create_symlink("../../outside", dir_ / "from/sub/link");
    ::mkfifo((dir_ / "from/pipe").c_str(), 0600);
    ::chmod((dir_ / "from/sub").c_str(), 0750);
  }
  void Write(const std::string& path, const std::string& bytes, mode_t mode) {
    ASSERT_TRUE(WriteFileAtomically(dir_ / path, bytes, mode).ok());
    ::chmod((dir_ / path).c_str(), mode);
  }
  Fd Open(const std::string& path) { return OpenFile(dir_ / path, O_RDONLY | O_DIRECTORY).value(); }
  std::string Pack(const PackTreeOptions& options) {
    std::string text;
    const auto packed = PackTree(Open("from").get(), options, [&text](std::string_view bytes) {
      text += bytes;
      return absl::OkStatus();
    });
    EXPECT_TRUE(packed.ok()) << packed.status();
    count_ = packed.value_or(TreeCount{});
    return text;
  }
  absl::StatusOr<TreeCount> Unpack(std::string text, UnpackTreeOptions options = {}) {
    size_t at = 0;
    TarReader reader([&](char* out, size_t size) {
      const size_t got = std::min(size, text.size() - at);
      std::memcpy(out, text.data() + at, got);
      at += got;
      return absl::StatusOr<size_t>(got);
    });
    return UnpackTree(Open("to").get(), options, reader);
  }
  std::string Read(const std::string& path) { return ReadFile(dir_ / path, 1 << 20).value_or("?"); }
  mode_t Mode(const std::string& path) {
    struct stat about {};
    EXPECT_EQ(::lstat((dir_ / path).c_str(), &about), 0) << path;
    return about.st_mode & 07777;
  }

  TemporaryDirectory dir_;
  TreeCount count_;
};

TEST_F(TreeArchiveTest, ATreeArrivesWithModesAndLinksAndNoSpecialFiles) {
  const std::string text = Pack({.name = "site"});
  EXPECT_EQ(count_.skipped, 1) << "the pipe";
  const auto unpacked = Unpack(text);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(Read("to/site/a"), "alpha");
  EXPECT_EQ(Mode("to/site/a"), 0640u);
  EXPECT_EQ(Mode("to/site/sub"), 0750u);
  EXPECT_EQ(Mode("to/site/sub/run"), 0755u);
  EXPECT_TRUE(fs::is_directory(dir_ / "to/site/sub/deep"));
  EXPECT_EQ(fs::read_symlink(dir_ / "to/site/sub/link"), "../../outside");
  EXPECT_FALSE(fs::exists(dir_ / "to/site/pipe"));

  Write("from/a", "beta", 0600);
  ASSERT_TRUE(Unpack(Pack({.name = "site"})).ok()) << "again, over what is there";
  EXPECT_EQ(Read("to/site/a"), "beta");
  int temporaries = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir_ / "to")) {
    temporaries += entry.path().filename().string().starts_with(".bramble");
  }
  EXPECT_EQ(temporaries, 0);
}

TEST_F(TreeArchiveTest, NoSymlinkIsFollowedWhoeverMadeIt) {
  fs::create_directories(dir_ / "elsewhere");
  const std::string through = TarHeader({.name = "door/file", .size = 0});
  for (const std::string& target :
       {(dir_ / "elsewhere").string(), std::string("../elsewhere"), std::string("inside")}) {
    fs::remove_all(dir_ / "to");
    fs::create_directories(dir_ / "to/inside");
    const std::string link = TarHeader({.name = "door", .type = TarType::kSymlink, .link = target});
    EXPECT_TRUE(absl::IsPermissionDenied(Unpack(link + through + TarEnd()).status())) << target;
    EXPECT_TRUE(absl::IsPermissionDenied(Unpack(through + TarEnd()).status())) << target;
    const std::string hard =
        TarHeader({.name = "copy", .type = TarType::kHardLink, .link = "door/../../secret"});
    EXPECT_FALSE(Unpack(hard + TarEnd()).ok());
  }
  EXPECT_TRUE(fs::is_empty(dir_ / "elsewhere"));
  const std::string over = TarHeader({.name = "door", .size = 0});
  ASSERT_TRUE(Unpack(over + TarEnd()).ok()) << "a link itself is replaced";
  EXPECT_FALSE(fs::is_symlink(dir_ / "to/door"));
}

TEST_F(TreeArchiveTest, NamesThatLeadOutAreRefused) {
  for (const char* name : {"../x", "a/../../x", "..", "a/.."}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Unpack(TarHeader({.name = name}) + TarEnd()).status()))
        << name;
  }
  ASSERT_TRUE(Unpack(TarHeader({.name = "/etc/./x", .size = 0}) + TarEnd()).ok());
  EXPECT_TRUE(fs::exists(dir_ / "to/etc/x")) << "'/' is the directory itself";
}

TEST_F(TreeArchiveTest, TheDirectoryItselfKeepsItsMode) {
  ::chmod((dir_ / "to").c_str(), 01777);
  ASSERT_TRUE(
      Unpack(TarHeader({.name = "./", .type = TarType::kDirectory, .mode = 0700}) + TarEnd()).ok());
  EXPECT_EQ(Mode("to"), 01777u);
}

TEST_F(TreeArchiveTest, HardLinksBecomeHardLinks) {
  ASSERT_TRUE(Unpack(TarHeader({.name = "d/a", .size = 2}) + "hi" + TarPadding(2) +
                     TarHeader({.name = "b", .type = TarType::kHardLink, .link = "d/a"}) + TarEnd())
                  .ok());
  EXPECT_EQ(fs::hard_link_count(dir_ / "to/b"), 2u);
}

TEST_F(TreeArchiveTest, ADirectoryInTheWayOfAFileIsNamed) {
  fs::create_directories(dir_ / "to/x");
  const absl::Status status = Unpack(TarHeader({.name = "x", .size = 0}) + TarEnd()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"x\""));
}

TEST_F(TreeArchiveTest, LimitsHold) {
  Write("from/big", std::string(100'000, 'b'), 0600);
  const absl::Status packed =
      PackTree(Open("from").get(), {.name = "x", .max_bytes = 50'000}, [](std::string_view) {
        return absl::OkStatus();
      }).status();
  EXPECT_TRUE(absl::IsResourceExhausted(packed)) << packed;
  const absl::Status unpacked = Unpack(Pack({.name = "x"}), {.max_bytes = 50'000}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(unpacked)) << unpacked;
  EXPECT_FALSE(Unpack(TarHeader({.name = "x", .size = 600}) + "short").ok());
  EXPECT_FALSE(fs::exists(dir_ / "to/x/big"));
}

TEST_F(TreeArchiveTest, OwnersAreMappedIntoARange) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root: it gives files away";
  }
  ASSERT_EQ(::lchown((dir_ / "from/a").c_str(), 100'033, 100'007), 0);
  ASSERT_EQ(::lchown((dir_ / "from/sub/run").c_str(), 5, 5), 0);
  const std::string text = Pack({.name = "t", .id_base = 100'000});
  ASSERT_TRUE(
      Unpack(text,
             {.owners = UnpackTreeOptions::Owners::kArchive, .id_base = 200'000, .id_count = 65536})
          .ok());
  struct stat about {};
  ASSERT_EQ(::lstat((dir_ / "to/t/a").c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, 200'033u);
  EXPECT_EQ(about.st_gid, 200'007u);
  ASSERT_EQ(::lstat((dir_ / "to/t/sub/run").c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, 265'534u) << "an id outside of the range is nobody's";

  const absl::Status outside =
      Unpack(TarHeader({.name = "x", .uid = 65536}) + TarEnd(),
             {.owners = UnpackTreeOptions::Owners::kArchive, .id_base = 1000, .id_count = 65536})
          .status();
  EXPECT_TRUE(absl::IsInvalidArgument(outside)) << outside;
}

}  // namespace
}  // namespace bramble
