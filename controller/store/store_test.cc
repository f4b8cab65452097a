// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

#include "controller/store/memory_store.h"
#include "controller/store/migrations.h"
#include "controller/store/sqlite_database.h"
#include "controller/store/sqlite_store.h"
#include "controller/store/store_contract.h"

namespace {

std::atomic<int> wal_syncs{0};

// SQLite's calls come here instead of to the C library's: those of a -wal file are counted.
int Sync(long number, int fd) {
  char path[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), path, sizeof(path));
  if (size > 0 && std::string_view(path, static_cast<size_t>(size)).ends_with("-wal")) {
    ++wal_syncs;
  }
  return static_cast<int>(::syscall(number, fd));
}

}  // namespace

extern "C" int fsync(int fd) { return Sync(SYS_fsync, fd); }
extern "C" int fdatasync(int fd) { return Sync(SYS_fdatasync, fd); }

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (fs::temp_directory_path() / "bramble-store-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  fs::path file() const { return path_ / "state.db"; }
  fs::path path() const { return path_; }

 private:
  fs::path path_;
};

// A loop and a lane: work for the lane runs on a thread of its own, work for the loop in Settle.
class TwoThreads {
 public:
  ~TwoThreads() { Settle(); }
  SqliteStore::Executors executors() {
    return {.lane =
                [this](std::function<void()> work) {
                  ++running_;
                  lanes_.emplace_back([this, work = std::move(work)] {
                    work();
                    const std::scoped_lock lock(mutex_);
                    --running_;
                    some_.notify_all();
                  });
                  return true;
                },
            .loop =
                [this](std::function<void()> work) {
                  const std::scoped_lock lock(mutex_);
                  loop_.push_back(std::move(work));
                  some_.notify_all();
                }};
  }
  // The first piece of work that the loop has, if any.
  void RunOne() {
    std::function<void()> work;
    {
      const std::scoped_lock lock(mutex_);
      if (loop_.empty()) {
        return;
      }
      work = std::move(loop_.front());
      loop_.pop_front();
    }
    work();
  }
  void Settle() {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        some_.wait(lock, [this] { return !loop_.empty() || running_ == 0; });
        if (loop_.empty()) {
          break;
        }
        work = std::move(loop_.front());
        loop_.pop_front();
      }
      work();
    }
    lanes_.clear();
  }

 private:
  std::atomic<int> running_ = 0;
  std::mutex mutex_;
  std::condition_variable some_;
  std::deque<std::function<void()>> loop_;
  std::vector<std::jthread> lanes_;
};

struct SqliteFixture {
  TemporaryDirectory directory;
  TwoThreads threads;
  std::unique_ptr<SqliteStore> store;
};

StoreUnderTest MakeSqlite() {
  auto fixture = std::make_shared<SqliteFixture>();
  fixture->store =
      SqliteStore::Open(fixture->directory.file(), fixture->threads.executors()).value();
  SqliteFixture* raw = fixture.get();
  return {fixture, raw->store.get(), [raw] { raw->threads.Settle(); }};
}

StoreUnderTest MakeMemory() {
  auto store = std::make_shared<MemoryStore>();
  MemoryStore* raw = store.get();
  auto settle = [raw] {
    while (raw->RunPending()) {
    }
  };
  return {store, raw, settle};
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values(&MakeSqlite));
INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, testing::Values(&MakeMemory));

Transaction OneNode(uint64_t revision, const std::string& id) {
  Transaction transaction;
  transaction.revision = revision;
  transaction.put = {{.kind = RowKind::kNode, .id = id, .name = id, .state = "ready", .doc = "{}"}};
  return transaction;
}

std::set<std::string> SchemaOf(SqliteDatabase& database) {
  std::set<std::string> objects;
  auto query = database
                   .Prepare(
                       "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM "
                       "sqlite_schema")
                   .value();
  while (query.Step().value()) {
    objects.insert(query.Text(0));
  }
  return objects;
}

TEST(SqliteStoreTest, TheMigrationsTogetherAreTheSchemaFile) {
  TemporaryDirectory directory;
  SqliteDatabase migrated = SqliteDatabase::Open(directory.path() / "migrated.db").value();
  SqliteDatabase written = SqliteDatabase::Open(directory.path() / "written.db").value();
  for (const Migration& migration : Migrations()) {
    ASSERT_TRUE(migrated.Exec(std::string(migration.sql)).ok()) << migration.name;
  }
  ASSERT_TRUE(written.Exec(std::string(SchemaSql())).ok());

  EXPECT_EQ(SchemaOf(migrated), SchemaOf(written));
}

TEST(SqliteStoreTest, KeepsItsFilePrivateAndRemembersOverARestart) {
  TemporaryDirectory directory;
  TwoThreads threads;
  {
    auto store = SqliteStore::Open(directory.file(), threads.executors()).value();
    store->Commit(OneNode(1, "n1"), [](absl::Status status) { EXPECT_TRUE(status.ok()); });
    threads.Settle();
  }
  auto store = SqliteStore::Open(directory.file(), threads.executors()).value();

  EXPECT_EQ(store->Load()->rows.size(), 1u);
  struct stat info {};
  ASSERT_EQ(::stat(directory.file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(SqliteStoreTest, RefusesADatabaseOfANewerVersion) {
  TemporaryDirectory directory;
  {
    SqliteDatabase database = SqliteDatabase::Open(directory.file()).value();
    ASSERT_TRUE(database.Exec("PRAGMA user_version = 999").ok());
  }
  TwoThreads threads;

  const auto store = SqliteStore::Open(directory.file(), threads.executors());

  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition) << store.status();
}

TEST(SqliteStoreTest, AFullDiskFailsTheCommitClearlyAndLeavesNothingBehind) {
  TemporaryDirectory directory;
  TwoThreads threads;
  auto store = SqliteStore::Open(directory.file(), threads.executors()).value();
  store->Commit(OneNode(1, "n1"), [](absl::Status) {});
  threads.Settle();
  ASSERT_TRUE(store->LimitPagesForTest(40).ok());
  absl::Status answer;
  Transaction big = OneNode(2, "n2");
  big.put[0].doc = std::string(1 << 20, 'x');

  store->Commit(std::move(big), [&](absl::Status status) { answer = status; });
  threads.Settle();

  EXPECT_EQ(answer.code(), absl::StatusCode::kResourceExhausted) << answer;
  const auto snapshot = store->Load();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->revision, 1u);
  EXPECT_EQ(snapshot->rows.size(), 1u);
}

TEST(SqliteStoreTest, AnOnlineBackupIsACompletePrivateCopyThatOpensAsRestored) {
  TemporaryDirectory directory;
  TwoThreads threads;
  auto store = SqliteStore::Open(directory.file(), threads.executors()).value();
  store->Commit(OneNode(1, "n1"), [](absl::Status) {});
  absl::Status answer = absl::UnknownError("not called");
  const fs::path copy = directory.path() / "copy.db";
  store->Backup(copy.string(), [&](absl::Status status) { answer = status; });
  store->Commit(OneNode(2, "n2"), [](absl::Status) {});
  threads.Settle();

  ASSERT_TRUE(answer.ok()) << answer;
  struct stat info {};
  ASSERT_EQ(::stat(copy.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(MarkRestored(copy).ok());
  auto restored = SqliteStore::Open(copy, threads.executors()).value();
  const auto snapshot = restored->Load();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_TRUE(snapshot->restored);
  EXPECT_GE(snapshot->revision, 1u);
}

TEST(SqliteStoreTest, AStoreThatGoesWhileACommitIsUnderWayEndsItAndAnswersNobody) {
  TemporaryDirectory directory;
  TwoThreads threads;
  int answers = 0;
  for (uint64_t revision = 1; revision <= 20; ++revision) {
    auto store = SqliteStore::Open(directory.file(), threads.executors()).value();
    const uint64_t next = store->Load()->revision + 1;
    store->Commit(OneNode(next, "n1"), [&](absl::Status) { ++answers; });
    threads.RunOne();  // the batch begins
    store.reset();
    threads.Settle();
  }

  EXPECT_EQ(answers, 0);
}

TEST(SqliteStoreTest, ADamagedFileIsNamedAfterAnUncleanStopAndNotRecreated) {
  TemporaryDirectory directory;
  TwoThreads threads;
  {
    auto store = SqliteStore::Open(directory.file(), threads.executors()).value();
    uint64_t revision = 0;
    for (int i = 0; i < 200; ++i) {
      Transaction transaction = OneNode(++revision, "n" + std::to_string(i));
      transaction.put[0].doc = std::string(2000, 'y');
      store->Commit(std::move(transaction), [](absl::Status) {});
    }
    threads.Settle();
  }
  {
    std::FILE* file = std::fopen(directory.file().c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    std::fseek(file, 4096 * 20, SEEK_SET);
    const std::string garbage(4096 * 10, '\xa5');
    std::fwrite(garbage.data(), 1, garbage.size(), file);
    std::fclose(file);
    std::FILE* mark = std::fopen((directory.file().string() + ".open").c_str(), "w");
    std::fclose(mark);
  }

  const auto store = SqliteStore::Open(directory.file(), threads.executors());

  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
}

// The transactions in a write-ahead log: frames that end one say the database's size
// (https://sqlite.org/fileformat2.html, section 4.1).
int CommitsIn(const fs::path& wal) {
  std::ifstream file(wal, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto number = [&bytes](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) {
      value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
  };
  constexpr size_t kHeader = 32;
  constexpr size_t kFrameHeader = 24;
  if (bytes.size() < kHeader) {
    return 0;
  }
  const size_t page = number(8);
  int commits = 0;
  for (size_t at = kHeader; at + kFrameHeader + page <= bytes.size(); at += kFrameHeader + page) {
    const bool of_this_log = number(at + 8) == number(16) && number(at + 12) == number(20);
    commits += of_this_log && number(at + 4) != 0 ? 1 : 0;
  }
  return commits;
}

TEST(SqliteStoreTest, WritesThatWaitTogetherShareOneSyncedCommit) {
  TemporaryDirectory directory;
  std::deque<std::function<void()>> lane;
  std::deque<std::function<void()>> loop;
  auto store =
      SqliteStore::Open(
          directory.file(),
          {.lane =
               [&lane](std::function<void()> work) {
                 lane.push_back(std::move(work));
                 return true;
               },
           .loop = [&loop](std::function<void()> work) { loop.push_back(std::move(work)); }})
          .value();
  auto settle = [&] {
    while (!lane.empty() || !loop.empty()) {
      std::deque<std::function<void()>>& next = lane.empty() ? loop : lane;
      const std::function<void()> work = std::move(next.front());
      next.pop_front();
      work();
    }
  };
  uint64_t revision = 0;
  int stored = 0;
  auto count = [&stored](absl::Status status) { stored += status.ok() ? 1 : 0; };
  const fs::path wal = directory.file().string() + "-wal";
  store->Commit(OneNode(++revision, "first"), count);
  settle();
  const int commits = CommitsIn(wal);
  const int syncs = wal_syncs;
  ASSERT_GT(commits, 0);

  constexpr int kWrites = 20;
  for (int i = 0; i < kWrites; ++i) {
    store->Commit(OneNode(++revision, "n" + std::to_string(i)), count);
  }
  settle();

  EXPECT_EQ(stored, 1 + kWrites);
  const int batches = CommitsIn(wal) - commits;
  EXPECT_LE(batches, 2) << "the first may begin alone when this machine stops between two lines";
  EXPECT_EQ(wal_syncs - syncs, batches) << "and each is on the disk before anybody is told";
}

TEST(SqliteStoreTest, EveryCommitIsSyncedToTheWriteAheadLog) {
  TemporaryDirectory directory;
  SqliteDatabase database = SqliteDatabase::Open(directory.file()).value();
  EXPECT_EQ(database.QueryInt("PRAGMA synchronous").value(), 2);
  SqliteStatement mode = database.Prepare("PRAGMA journal_mode").value();
  ASSERT_TRUE(mode.Step().value());
  EXPECT_EQ(mode.Text(0), "wal");
  mode.Reset();
  ASSERT_TRUE(database.Exec("CREATE TABLE t (i)").ok());
  for (int i = 0; i < 3; ++i) {
    const int before = wal_syncs;
    ASSERT_TRUE(database.Exec("INSERT INTO t VALUES (1)").ok());
    EXPECT_GT(wal_syncs, before);
  }
}

}  // namespace
}  // namespace bramble::controller
