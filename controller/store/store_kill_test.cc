// SPDX-License-Identifier: Apache-2.0
// The controller killed at any moment: what was acknowledged is there, whole and in order.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>

#include "base/long_tests.h"
#include "base/random.h"
#include "controller/store/sqlite_store.h"

#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

constexpr uint64_t kRounds = 40;
constexpr uint64_t kTimesWhenLong = 200;
constexpr int kClients = 32;

// A loop and a lane in one: work is done when Run is called.
class OneThread {
 public:
  SqliteStore::Executors executors() {
    return {.lane =
                [this](std::function<void()> work) {
                  work_.push_back(std::move(work));
                  return true;
                },
            .loop = [this](std::function<void()> work) { work_.push_back(std::move(work)); }};
  }
  void Run() {
    while (!work_.empty()) {
      auto work = std::move(work_.front());
      work_.pop_front();
      work();
    }
  }

 private:
  std::deque<std::function<void()>> work_;
};

// Each transaction writes two rows that say its revision, so that a torn one would show.
Transaction Write(uint64_t revision) {
  Transaction transaction;
  transaction.revision = revision;
  for (const char* half : {"a", "b"}) {
    transaction.put.push_back({.kind = RowKind::kNode,
                               .id = half + std::to_string(revision % 50),
                               .name = half + std::to_string(revision % 50),
                               .state = "ready",
                               .generation = revision,
                               .doc = "{}"});
  }
  transaction.audit = {.time_ms = 1, .actor = "test", .action = "test"};
  return transaction;
}

// Commits until it is killed, and writes each revision that was acknowledged into `out`.
[[noreturn]] void WriteUntilKilled(const std::filesystem::path& path, int out,
                                   useconds_t microseconds) {
  // SIGALRM ends it wherever it is, also while it opens the store.
  ::ualarm(microseconds, 0);
  OneThread thread;
  auto store = SqliteStore::Open(path, thread.executors());
  if (!store.ok()) {
    ::_exit(2);
  }
  uint64_t revision = (*store)->Load()->revision;
  for (;;) {
    for (int client = 0; client < kClients; ++client) {
      const uint64_t mine = ++revision;
      (*store)->Commit(Write(mine), [mine, out](absl::Status status) {
        if (!status.ok() || ::write(out, &mine, sizeof(mine)) != sizeof(mine)) {
          ::_exit(3);
        }
      });
    }
    thread.Run();
  }
}

TEST(StoreKillTest, NoAcknowledgedWriteIsLostAndNoneIsTorn) {
  std::string pattern = (std::filesystem::temp_directory_path() / "bramble-kill-XXXXXX").string();
  const std::filesystem::path directory = ::mkdtemp(pattern.data());
  SeededRandom random(7);
  uint64_t acknowledged = 0;
  for (uint64_t round = 0; round < Rounds(kRounds, kTimesWhenLong); ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const auto microseconds = static_cast<useconds_t>(1000 + random.Below(120'000));
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe_ends[0]);
      WriteUntilKilled(directory / "state.db", pipe_ends[1], microseconds);
    }
    ::close(pipe_ends[1]);
    uint64_t last = 0;
    while (::read(pipe_ends[0], &last, sizeof(last)) == static_cast<ssize_t>(sizeof(last))) {
    }
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    acknowledged = std::max(acknowledged, last);

    OneThread thread;
    auto store = SqliteStore::Open(directory / "state.db", thread.executors());
    ASSERT_TRUE(store.ok()) << store.status();
    const auto snapshot = (*store)->Load();
    ASSERT_TRUE(snapshot.ok());
    EXPECT_GE(snapshot->revision, acknowledged);
    std::map<std::string, uint64_t> halves;
    for (const Row& row : snapshot->rows) {
      const auto [other, first] = halves.emplace(row.id.substr(1), row.generation);
      EXPECT_TRUE(first || other->second == row.generation) << "half a transaction";
      EXPECT_LE(row.generation, snapshot->revision);
    }
  }
  EXPECT_GT(acknowledged, 0u);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace bramble::controller
