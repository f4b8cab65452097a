// SPDX-License-Identifier: Apache-2.0
// Runs bramble-unpack itself, as root, and looks at what it leaves on the disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "node/images/archive_testing.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr uint32_t kFirstId = 2'000'000;

class BrambleUnpackTest : public ::testing::Test {
 protected:
  BrambleUnpackTest() {
    std::string pattern = (fs::temp_directory_path() / "bramble-unpack-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
  }
  ~BrambleUnpackTest() override { fs::remove_all(base_); }

  void SetUp() override { ASSERT_EQ(::geteuid(), 0u) << "this test needs root"; }

  CommandResult Run(const std::string& archive, std::string digest = "") {
    std::ofstream(base_ / "archive", std::ios::binary) << archive;
    if (digest.empty()) {
      digest = Sha256(archive).Hex();
    }
    const char* bin = std::getenv("BRAMBLE_BIN");
    Command command;
    command.argv = {std::string(bin) + "/bramble-unpack",
                    "--digest",
                    digest,
                    "--archive",
                    (base_ / "archive").string(),
                    "--into",
                    tree().string(),
                    "--first-id",
                    std::to_string(kFirstId)};
    return RunCommand(command).value();
  }
  fs::path tree() const { return base_ / "tree"; }

  fs::path base_;
};

TEST_F(BrambleUnpackTest, TheTreeBelongsToAnIdRangeThatMeansNothingToTheHost) {
  const CommandResult result = Run(MakeArchive({{"etc", 'd', "", 0755},
                                                {"etc/x", 'f', "hi", 0600, 0, 0},
                                                {"home", 'f', "h", 0644, 1000, 1000},
                                                {"dev/sda", 'c', ""}}));

  ASSERT_EQ(result.exit.code, 0) << result.out << result.err;
  const json::value answer = ParseJson(result.out).value();
  EXPECT_EQ(answer.at("entries").to_number<int>(), 4);
  EXPECT_EQ(answer.at("skipped_devices").to_number<int>(), 1);
  struct stat file {};
  ASSERT_EQ(::stat((tree() / "etc/x").c_str(), &file), 0);
  EXPECT_EQ(file.st_uid, kFirstId);
  ASSERT_EQ(::stat((tree() / "home").c_str(), &file), 0);
  EXPECT_EQ(file.st_uid, kFirstId + 1000);
  EXPECT_EQ(file.st_gid, kFirstId + 1000);
}

TEST_F(BrambleUnpackTest, ReadsNothingFromBytesWithAnotherDigest) {
  const CommandResult result = Run(MakeArchive({{"a"}}), std::string(64, 'a'));
  EXPECT_EQ(result.exit.code, 1);
  EXPECT_THAT(result.out, HasSubstr("SHA-256"));
  EXPECT_TRUE(fs::is_empty(tree()));
}

TEST_F(BrambleUnpackTest, ALinkOutOfTheTreeLeadsNowhere) {
  std::ofstream(base_ / "secret") << "untouched";
  const CommandResult result =
      Run(MakeArchive({{"up", 'l', base_.string()}, {"up/secret", 'f', "evil"}}));
  EXPECT_EQ(result.exit.code, 1);
  std::ifstream secret(base_ / "secret");
  std::string text;
  secret >> text;
  EXPECT_EQ(text, "untouched");
}

// As xz --lzma2=dict=DICTIONARY makes it, without the memory that this takes.
std::string XzWithDictionary(const std::string& plain, char dictionary) {
  Command command;
  command.argv = {"xz", "--stdout", "--check=none"};
  command.input = plain;
  std::string packed = RunCommand(command).value().out;
  // Source: xz-file-format.txt 1.1.0, 3.1 "Block Header" and 5.3.1 "LZMA2": after the stream's
  // header (12 bytes) stand its size / 4 - 1, flags, the filter's id, 1, the dictionary's size, ….
  constexpr size_t kHeader = 12;
  constexpr size_t kDictionary = kHeader + 4;
  EXPECT_EQ(packed[kHeader + 2], 0x21) << "LZMA2";
  packed[kDictionary] = dictionary;
  const size_t size = (static_cast<size_t>(packed[kHeader]) + 1) * 4;
  uint32_t crc = ~0u;
  for (size_t i = kHeader; i < kHeader + size - 4; ++i) {
    crc ^= static_cast<uint8_t>(packed[i]);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
    }
  }
  crc = ~crc;
  for (int i = 0; i < 4; ++i) {
    packed[kHeader + size - 4 + i] = static_cast<char>(crc >> (8 * i));
  }
  return packed;
}

TEST_F(BrambleUnpackTest, AnArchiveThatWantsMuchMemoryIsRefusedAndSaysWhatToDo) {
  constexpr char k64MiB = 28;
  constexpr char k512MiB = 34;
  const std::string plain = MakeArchive({{"etc/x", 'f', "hi"}});
  const CommandResult usual = Run(XzWithDictionary(plain, k64MiB));
  EXPECT_EQ(usual.exit.code, 0) << usual.out << usual.err;
  fs::remove_all(tree());
  const CommandResult huge = Run(XzWithDictionary(plain, k512MiB));
#if !defined(BRAMBLE_SANITIZED)
  EXPECT_EQ(huge.exit.code, 1) << huge.out;
  EXPECT_THAT(huge.out, HasSubstr("more memory than it may"));
  EXPECT_THAT(huge.out, HasSubstr("xz -9"));
#endif
}

TEST_F(BrambleUnpackTest, RefusesIdsOfTheHostAndDirectoriesThatExist) {
  fs::create_directory(tree());
  EXPECT_EQ(Run(MakeArchive({{"a"}})).exit.code, 1);
  Command command;
  command.argv = {std::string(std::getenv("BRAMBLE_BIN")) + "/bramble-unpack",
                  "--digest",
                  std::string(64, 'a'),
                  "--archive",
                  "/dev/null",
                  "--into",
                  (base_ / "t2").string(),
                  "--first-id",
                  "0"};
  EXPECT_EQ(RunCommand(command)->exit.code, 2);
  EXPECT_FALSE(fs::exists(base_ / "t2"));
}

}  // namespace
}  // namespace bramble::node
