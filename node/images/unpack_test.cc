// SPDX-License-Identifier: Apache-2.0
#include "node/images/unpack.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/fd.h"
#include "base/long_tests.h"
#include "base/random.h"
#include "base/strings.h"
#include "node/images/archive_testing.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Unpack works on the working directory: each test gets an empty one, beside a file that no archive
// may reach.
class UnpackTest : public ::testing::Test {
 protected:
  UnpackTest() : before_(fs::current_path()) {
    std::string pattern = (fs::temp_directory_path() / "bramble-unpack-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    fs::create_directory(base_ / "tree");
    std::ofstream(base_ / "secret") << "untouched";
    fs::current_path(base_ / "tree");
  }
  ~UnpackTest() override {
    fs::current_path(before_);
    fs::remove_all(base_);
  }

  absl::StatusOr<UnpackResult> UnpackBytes(const std::string& bytes, UnpackLimits limits = {}) {
    const Fd file(::memfd_create("archive", MFD_CLOEXEC));
    EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ::lseek(file.get(), 0, SEEK_SET);
    return Unpack(file.get(), limits);
  }
  absl::StatusOr<UnpackResult> UnpackEntries(std::vector<TestEntry> entries,
                                             UnpackLimits limits = {}) {
    for (TestEntry& entry : entries) {
      entry.uid = static_cast<int>(::getuid());
      entry.gid = static_cast<int>(::getgid());
    }
    return UnpackBytes(MakeArchive(entries), limits);
  }
  std::string Secret() const {
    std::ifstream file(base_ / "secret");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  fs::path before_;
  fs::path base_;
};

TEST_F(UnpackTest, KeepsFilesDirectoriesLinksAndModes) {
  const auto result = UnpackEntries({{"./", 'd', "", 0755},
                                     {"./etc/", 'd', "", 0750},
                                     {"./etc/host", 'f', "pi\n", 0640},
                                     {"./etc/same", 'h', "./etc/host"},
                                     {"./bin", 'l', "/usr/bin"},
                                     {"./dev/null", 'c', ""},
                                     {"./run/fifo", 'p', ""},
                                     {"./sbin/su", 'f', "x", 04755}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->entries, 8);
  EXPECT_EQ(result->skipped_devices, 1);
  EXPECT_EQ(result->unpacked.count, 4);
  EXPECT_EQ(fs::read_symlink("bin"), "/usr/bin");
  EXPECT_FALSE(fs::exists("dev/null"));
  struct stat one {};
  struct stat other {};
  ASSERT_EQ(::stat("etc/host", &one), 0);
  ASSERT_EQ(::stat("etc/same", &other), 0);
  EXPECT_EQ(one.st_ino, other.st_ino);
  EXPECT_EQ(one.st_mode & 07777, 0640u);
  ASSERT_EQ(::stat("etc", &one), 0);
  EXPECT_EQ(one.st_mode & 07777, 0750u);
  ASSERT_EQ(::stat("sbin/su", &one), 0);
  EXPECT_EQ(one.st_mode & 07777, 04755u);
}

TEST_F(UnpackTest, ReadsPackedArchives) {
  const int uid = static_cast<int>(::getuid());
  const int gid = static_cast<int>(::getgid());
  const auto result = UnpackBytes(
      MakeArchive({{"a", 'f', std::string(100000, 'x'), 0644, uid, gid}}, /*packed=*/true));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(fs::file_size("a"), 100000u);
}

TEST_F(UnpackTest, RefusesEveryWayOut) {
  const struct {
    std::vector<TestEntry> entries;
    const char* message;
  } cases[] = {
      {{{"../secret", 'f', "evil"}}, "\"..\""},
      {{{"a/../../secret", 'f', "evil"}}, "\"..\""},
      {{{"/etc/passwd", 'f', "evil"}}, "absolute"},
      {{{"up", 'l', ".."}, {"up/secret", 'f', "evil"}}, "up/secret"},
      {{{"up", 'l', base_.string()}, {"up/secret", 'f', "evil"}}, "up/secret"},
      {{{"copy", 'h', "../secret"}}, "\"..\""},
      {{{"copy", 'h', "/etc/passwd"}}, "absolute"},
      {{{"copy", 'h', "later"}, {"later", 'f', ""}}, "not unpacked before"},
  };
  for (const auto& one : cases) {
    const auto result = UnpackEntries(one.entries);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << one.message;
    EXPECT_THAT(std::string(MessageOf(result.status())), HasSubstr(one.message));
    EXPECT_EQ(Secret(), "untouched");
    for (const fs::directory_entry& left : fs::directory_iterator(".")) {
      fs::remove_all(left);
    }
  }
}

TEST_F(UnpackTest, HoldsItsLimits) {
  const auto code = [this](std::vector<TestEntry> entries, UnpackLimits limits) {
    return UnpackEntries(std::move(entries), limits).status().code();
  };
  UnpackLimits few;
  few.entries = 2;
  EXPECT_EQ(code({{"a"}, {"b"}, {"c"}}, few), absl::StatusCode::kResourceExhausted);
  UnpackLimits small;
  small.unpacked.count = 10;
  EXPECT_EQ(code({{"d", 'f', "12345678901"}}, small), absl::StatusCode::kResourceExhausted);
  std::string deep = "x";
  for (int i = 0; i < 64; ++i) {
    deep += "/x";
  }
  EXPECT_EQ(code({{deep}}, {}), absl::StatusCode::kInvalidArgument);
}

TEST_F(UnpackTest, ABombIsStoppedByItsRatio) {
  const int uid = static_cast<int>(::getuid());
  const int gid = static_cast<int>(::getgid());
  const std::string bomb = MakeArchive(
      {{"zeros", 'f', std::string(kRatioFreeBytes + 8 * kMiB, '\0'), 0644, uid, gid}}, true);
  ASSERT_LT(bomb.size(), 80000u);
  EXPECT_EQ(UnpackBytes(bomb).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(UnpackTest, RefusesWhatIsNoArchive) {
  for (const std::string& bytes : {std::string(), std::string("hello"), std::string(5000, 'z')}) {
    EXPECT_EQ(UnpackBytes(bytes).status().code(), absl::StatusCode::kInvalidArgument);
  }
  const std::string whole =
      MakeArchive({{"a", 'f', std::string(50000, 'x'), 0644, static_cast<int>(::getuid()),
                    static_cast<int>(::getgid())}});
  EXPECT_FALSE(UnpackBytes(whole.substr(0, 20000)).ok()) << "cut short";
}

// Bytes that are flipped, repeated and left out at random places: it ends, with the tree or an
// error, and nothing outside of the tree is touched.
TEST_F(UnpackTest, NoDamageLeadsOutOfTheTree) {
  const int uid = static_cast<int>(::getuid());
  const int gid = static_cast<int>(::getgid());
  const std::vector<TestEntry> entries = {
      {"etc", 'd', "", 0755, uid, gid},
      {"etc/host", 'f', "pi\n", 0644, uid, gid},
      {"etc/same", 'h', "etc/host"},
      {"bin", 'l', "../secret", 0777, uid, gid},
      {"srv/page", 'f', std::string(3000, 'x'), 0640, uid, gid}};
  SeededRandom random(23);
  int damaged = 0;
  for (uint64_t round = 0; round < Rounds(200, 2000); ++round) {
    std::string bytes = MakeArchive(entries, /*packed=*/random.Below(4) == 0);
    for (uint64_t i = 0; i <= random.Below(6); ++i) {
      const size_t at = random.Below(bytes.size());
      switch (random.Below(3)) {
        case 0:
          bytes[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          bytes.insert(at, bytes.substr(at, random.Below(1024)));
          break;
        default:
          bytes.erase(at, random.Below(1024));
          bytes += 'x';
      }
    }
    damaged += UnpackBytes(bytes).ok() ? 0 : 1;
    ASSERT_EQ(Secret(), "untouched") << "round " << round;
    fs::current_path(base_);
    ASSERT_EQ(std::distance(fs::directory_iterator(base_), {}), 2) << "round " << round;
    fs::remove_all(base_ / "tree");
    fs::create_directory(base_ / "tree");
    fs::current_path(base_ / "tree");
  }
  EXPECT_GT(damaged, 0);
}

TEST(ArchitectureOfElfTest, KnowsTheBoards) {
  const auto elf = [](int machine) {
    std::string header(20, '\0');
    header.replace(0, 4,
                   "\x7f"
                   "ELF");
    header[4] = 2;
    header[5] = 1;
    header[18] = static_cast<char>(machine & 0xff);
    header[19] = static_cast<char>(machine >> 8);
    return header;
  };
  EXPECT_EQ(ArchitectureOfElf(elf(183)), "arm64");
  EXPECT_EQ(ArchitectureOfElf(elf(40)), "armhf");
  EXPECT_EQ(ArchitectureOfElf(elf(62)), "amd64");
  EXPECT_EQ(ArchitectureOfElf(elf(9999)), "");
  EXPECT_EQ(ArchitectureOfElf("#!/bin/sh and then some text"), "");
}

}  // namespace
}  // namespace bramble::node
