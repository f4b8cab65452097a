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
