// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_first_start.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/beneath.h"
#include "base/file.h"
#include "base/subprocess.h"
#include "base/temporary_directory.h"
#include "node/runtime/first_start_command.h"

namespace bramble::node {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class GuestFirstStartTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "gives files to other users: needs root";
    }
    root_ = OpenDirectory(directory_.path()).value();
    Put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    Put("etc/shadow", "root:*:::::::\n");
  }
  fs::path At(const std::string& path) { return directory_.path() / path; }
  void Put(const std::string& path, const std::string& text) {
    fs::create_directories(At(path).parent_path());
    ASSERT_TRUE(WriteFileAtomically(At(path), text).ok());
  }
  std::string Get(const std::string& path) { return ReadFile(At(path), 1 << 20).value_or("none"); }
  struct stat Stat(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(At(path).c_str(), &info), 0) << path;
    return info;
  }
  absl::StatusOr<FirstStart> Prepare(const api::Context& context) {
    return PrepareFirstStart(root_.get(), kFirstId, context);
  }
  // The command as a container would run it, in this tree.
  FirstStart Run() {
    std::vector<std::string> argv = FirstStartCommand();
    argv[4] = At(std::string(kFirstStartDirectory).substr(1));
    argv[5] = At(std::string(kFirstStartLog).substr(1));
    Command command;
    command.argv = argv;
    command.deadline = std::chrono::seconds(120);
    const auto result = RunCommand(command);
    EXPECT_TRUE(result.ok()) << result.status();
    return ParseFirstStart(result.ok() ? result->out : "");
  }

  static constexpr uint32_t kFirstId = 300'000;
  TemporaryDirectory directory_;
  Fd root_;
};

const api::ContextPart kGood = {"text/x-shellscript", "good.sh", "#!/bin/sh\necho ran\n"};
const api::ContextPart kBad = {"text/x-shellscript", "bad.sh", "#!/bin/sh\nexit 3\n"};

TEST_F(GuestFirstStartTest, KeysGoToAUserThatIsMade) {
  const auto first = Prepare({.authorized_keys = {"ssh-ed25519 A ada"}, .user = "ada"});

  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->state, FirstStart::State::kNone);
  EXPECT_EQ(Get("home/ada/.ssh/authorized_keys"), "ssh-ed25519 A ada\n");
  EXPECT_EQ(Stat("home/ada").st_uid, kFirstId + 1000);
  EXPECT_EQ(Stat("home/ada/.ssh").st_uid, kFirstId + 1000);
  EXPECT_EQ(Stat("home/ada/.ssh").st_mode & 0777, 0700u);
  EXPECT_EQ(Stat("home/ada/.ssh/authorized_keys").st_uid, kFirstId + 1000);
  EXPECT_EQ(Stat("home/ada/.ssh/authorized_keys").st_mode & 0777, 0600u);
  EXPECT_THAT(Get("etc/passwd"), HasSubstr("ada:x:1000:1000::/home/ada:"));
}

TEST_F(GuestFirstStartTest, WithoutAUserTheyAreRootsAndAreAddedToThoseThere) {
  Put("root/.ssh/authorized_keys", "ssh-rsa Z old\n");

  ASSERT_TRUE(Prepare({.authorized_keys = {"ssh-ed25519 A ada"}}).ok());

  EXPECT_EQ(Get("root/.ssh/authorized_keys"), "ssh-rsa Z old\nssh-ed25519 A ada\n");
}

TEST_F(GuestFirstStartTest, ItIsDoneOnceInTheLifeOfALayer) {
  ASSERT_TRUE(Prepare({.authorized_keys = {"ssh-ed25519 A ada"}}).ok());
  Put("root/.ssh/authorized_keys", "");

  ASSERT_TRUE(Prepare({.authorized_keys = {"ssh-ed25519 A ada"}}).ok());

  EXPECT_EQ(Get("root/.ssh/authorized_keys"), "");
}

TEST_F(GuestFirstStartTest, LinksOutOfTheTreeAreNotFollowed) {
  TemporaryDirectory outside;
  fs::create_directories(At("root"));
  fs::create_symlink(outside.path(), At("root/.ssh"));

  EXPECT_FALSE(Prepare({.authorized_keys = {"ssh-ed25519 A ada"}}).ok());

  EXPECT_TRUE(fs::is_empty(outside.path()));
  fs::remove(At("root/.ssh"));
  fs::create_directories(At("root/.ssh"));
  fs::create_symlink(outside.path() / "keys", At("root/.ssh/authorized_keys"));
  EXPECT_FALSE(Prepare({.authorized_keys = {"ssh-ed25519 A ada"}}).ok());
  EXPECT_TRUE(fs::is_empty(outside.path()));
}

TEST_F(GuestFirstStartTest, ScriptsAreRunOnceInOrderAndTheFirstFailureIsTheirCode) {
  const api::Context context = {.parts = {kGood, kBad, kGood}};
  ASSERT_EQ(Prepare(context).value().state, FirstStart::State::kDue);

  EXPECT_EQ(Run(), (FirstStart{.state = FirstStart::State::kEnded, .code = 3}));
  EXPECT_EQ(Run(), (FirstStart{.state = FirstStart::State::kEnded, .code = 3})) << "told again";

  const std::string log = Get("var/log/bramble-first-start.log");
  EXPECT_EQ(log,
            "bramble: 01-good.sh\nran\nbramble: 02-bad.sh\nbramble: 02-bad.sh: exit code 3\n"
            "bramble: 03-good.sh\nran\n");
  EXPECT_EQ(Stat("var/log/bramble-first-start.log").st_mode & 0777, 0600u);
  EXPECT_EQ(Prepare(context).value(), (FirstStart{.state = FirstStart::State::kEnded, .code = 3}));
}

TEST_F(GuestFirstStartTest, ScriptsThatWereCutOffAreNotRunAgain) {
  const api::Context context = {.user_data = kGood.content};
  ASSERT_EQ(Prepare(context).value().state, FirstStart::State::kDue);
  Put("var/lib/bramble/first-start/begun/pid", "2000000000\n");

  EXPECT_EQ(Prepare(context).value().state, FirstStart::State::kCutOff);
  EXPECT_EQ(Run().state, FirstStart::State::kCutOff);
  EXPECT_EQ(Get("var/log/bramble-first-start.log"), "none");
}

TEST_F(GuestFirstStartTest, CloudInitIsFoundInTheTreeUnlessTheLabelSaysOtherwise) {
  EXPECT_EQ(ContextModeOf(root_.get(), ""), api::ContextMode::kMinimal);
  Put("usr/bin/cloud-init", "");
  EXPECT_EQ(ContextModeOf(root_.get(), ""), api::ContextMode::kCloudInit);
  EXPECT_EQ(ContextModeOf(root_.get(), "none"), api::ContextMode::kNone);
  EXPECT_EQ(ContextModeOf(root_.get(), "minimal"), api::ContextMode::kMinimal);
}

}  // namespace
}  // namespace bramble::node
