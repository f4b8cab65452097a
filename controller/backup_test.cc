// SPDX-License-Identifier: Apache-2.0
#include "controller/backup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/tar.h"
#include "base/temporary_directory.h"
#include "controller/state_room.h"
#include "controller/store/sqlite_store.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirectories(from_.state, 0700).ok());
    for (const fs::path& path :
         {from_.CaKey(), from_.CaCertificate(), from_.ServerKey(), from_.ServerCertificate()}) {
      ASSERT_TRUE(WriteFileAtomically(path, path.filename().string()).ok());
    }
    const auto store = SqliteStore::Open(
        from_.Database(), {.lane = [](SqliteStore::Work) { return false; }, .loop = nullptr});
    ASSERT_TRUE(store.ok()) << store.status();
  }
  std::string Backup() {
    const fs::path file = directory_ / "backup.tar";
    fs::remove(file);
    const absl::Status written = WriteBackup(from_, from_.Database(), file);
    EXPECT_TRUE(written.ok()) << written;
    struct stat about {};
    EXPECT_EQ(::stat(file.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777, 0600u);
    return ReadFile(file, 16 << 20).value();
  }
  // The backup with blobs before its end, as the controller streams it.
  static std::string With(std::string backup, const std::vector<std::string>& blobs) {
    backup.resize(backup.size() - TarEnd().size());
    for (const std::string& blob : blobs) {
      backup += TarHeader({.name = kBackupBlobs + Sha256(blob).Hex(), .size = blob.size()}) + blob +
                TarPadding(blob.size());
    }
    return backup + TarEnd();
  }
  absl::Status Restore(const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomically(directory_ / "in.tar", bytes).ok());
    return RestoreBackup(directory_ / "in.tar", to_);
  }
  size_t FilesThere() const {
    size_t count = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator at(to_.state, error), end; !error && at != end;
         at.increment(error)) {
      count += at->is_regular_file() && at->path() != to_.Lock();
    }
    return count;
  }

  TemporaryDirectory directory_;
  const StatePaths from_{.state = directory_ / "from", .run = directory_ / "run"};
  const StatePaths to_{.state = directory_ / "to", .run = directory_ / "run"};
};

TEST_F(BackupTest, WhatWasPackedIsRestored) {
  ASSERT_TRUE(Restore(Backup()).ok());
  EXPECT_EQ(ReadFile(to_.CaKey(), 100).value(), "ca.key");
  EXPECT_EQ(ReadFile(to_.ServerCertificate(), 100).value(), "server.crt");
  EXPECT_TRUE(fs::exists(to_.Database()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Restore(Backup()))) << "there is one already";
}

TEST_F(BackupTest, BlobsAreRestoredUnderTheirDigestsAndAWrongOneRefusesAll) {
  const std::vector<std::string> blobs = {std::string(3'000'000, 'i'), "small"};
  std::string damaged = With(Backup(), blobs);
  damaged[damaged.rfind("small")] = 'S';
  const absl::Status refused = Restore(damaged);
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("damaged"));
  EXPECT_EQ(FilesThere(), 0u) << "all of it or nothing";

  ASSERT_TRUE(Restore(With(Backup(), blobs)).ok());
  for (const std::string& blob : blobs) {
    const BlobPaths paths{.root = to_.Blobs()};
    EXPECT_EQ(ReadFile(paths.FileOf(Sha256(blob).Hex()), 16 << 20).value_or("?"), blob);
  }
}

TEST_F(BackupTest, WhatIsNoWholeBackupIsRefusedAndLeavesNothing) {
  const std::string good = Backup();
  const std::string foreign = TarHeader({.name = "etc/passwd", .size = 1}) + "x" + TarPadding(1);
  const std::string twice = TarHeader({.name = "ca.key", .size = 1}) + "x" + TarPadding(1);
  const std::string escape =
      TarHeader({.name = std::string(kBackupBlobs) + "../../ca.key", .size = 0});
  const std::string link =
      TarHeader({.name = "ca.key", .type = TarType::kSymlink, .link = "/etc/passwd"});
  for (const std::string& bad :
       {std::string(), std::string(2048, 'x'), TarEnd(), good.substr(0, good.size() / 2),
        good.substr(0, good.size() - 1024), foreign + good, twice + good, escape + good,
        link + good}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Restore(bad)));
    EXPECT_EQ(FilesThere(), 0u);
  }
}

TEST_F(BackupTest, WhatAnEarlierDatabaseLeftBehindIsRefusedAndKept) {
  const std::string backup = Backup();
  for (const char* suffix : {"-wal", "-shm", "-journal", ".open"}) {
    const fs::path leftover = to_.Database().string() + suffix;
    ASSERT_TRUE(MakeDirectories(to_.state, 0700).ok());
    ASSERT_TRUE(WriteFileAtomically(leftover, "of another database").ok());
    const absl::Status refused = Restore(backup);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(leftover.filename().string()));
    EXPECT_EQ(FilesThere(), 1u);
    EXPECT_EQ(ReadFile(leftover, 100).value_or(""), "of another database");
    fs::remove(leftover);
  }
  EXPECT_TRUE(Restore(backup).ok());
  EXPECT_FALSE(fs::exists(to_.Database().string() + ".restoring-wal"));
  EXPECT_FALSE(fs::exists(to_.Database().string() + ".restoring-shm"));
}

TEST_F(BackupTest, NothingIsRestoredUnderALiveController) {
  const std::string backup = Backup();
  ASSERT_TRUE(MakeDirectories(to_.state, 0700).ok());
  {
    const absl::StatusOr<Fd> held = LockStateDirectory(to_);
    ASSERT_TRUE(held.ok());
    const absl::Status refused = Restore(backup);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("stop it first"));
    EXPECT_EQ(FilesThere(), 0u);
  }
  EXPECT_TRUE(Restore(backup).ok());
}

TEST_F(BackupTest, WhatRootRestoresBelongsToWhomTheDirectoryBelongsTo) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give files away";
  }
  constexpr uid_t kService = 12345;
  ASSERT_TRUE(MakeDirectories(to_.state, 0700).ok());
  ASSERT_EQ(::chown(to_.state.c_str(), kService, kService), 0);
  ASSERT_TRUE(Restore(With(Backup(), {"a blob", "another"})).ok());
  size_t seen = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(to_.state)) {
    struct stat about {};
    ASSERT_EQ(::lstat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_uid, kService) << entry.path();
    EXPECT_EQ(about.st_gid, kService) << entry.path();
    ++seen;
  }
  EXPECT_GE(seen, 5u + 2u + 3u);  // keys and database, blobs, and directories
}

TEST(StateRoomTest, ADirectoryWithRoomIsReadyAndOneThatIsGoneIsNot) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(CheckRoom(directory.path()).ok());
  EXPECT_TRUE(fs::is_empty(directory.path())) << "what was tried is given back";
  EXPECT_FALSE(CheckRoom(directory / "none").ok());
}

}  // namespace
}  // namespace bramble::controller
