// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "base/async_queue.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/run_on_loop.h"
#include "base/scope.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AsyncTest : public ::testing::Test {
 protected:
  asio::io_context loop_;
  MemoryLogSink log_;
};

asio::awaitable<absl::StatusOr<std::thread::id>> WhereWorkRuns(Lane& lane) {
  auto work = [] { return std::this_thread::get_id(); };
  co_return co_await lane.Run(work);
}

TEST_F(AsyncTest, LaneRunsElsewhereAndComesBack) {
  Lane lane("test");
  std::thread::id resumed;
  auto task = [&]() -> asio::awaitable<std::thread::id> {
    auto ran = co_await WhereWorkRuns(lane);
    resumed = std::this_thread::get_id();
    co_return ran.value();
  };

  const std::thread::id ran = RunOnLoop(loop_, task());

  EXPECT_NE(ran, std::this_thread::get_id());
  EXPECT_EQ(resumed, std::this_thread::get_id());
}

asio::awaitable<absl::Status> RunFailing(Lane& lane) {
  auto work = [] { std::vector<int>().at(1); };
  co_return co_await lane.Run(work);
}

TEST_F(AsyncTest, ExceptionOnALaneBecomesAStatus) {
  Lane lane("test");

  const absl::Status status = RunOnLoop(loop_, RunFailing(lane));

  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("vector"));
}

asio::awaitable<absl::StatusOr<std::unique_ptr<int>>> RunMoveOnly(Lane& lane) {
  auto held = std::make_unique<int>(7);
  auto work = [held = std::move(held)]() mutable -> absl::StatusOr<std::unique_ptr<int>> {
    return std::move(held);
  };
  co_return co_await lane.Run(std::move(work));
}

TEST_F(AsyncTest, ValuesOfAnyKindCrossALane) {
  Lane lane("test");

  EXPECT_EQ(*RunOnLoop(loop_, RunMoveOnly(lane)).value(), 7);
}

TEST_F(AsyncTest, FullLaneRefuses) {
  Lane lane("test", /*max_waiting=*/1);
  std::mutex gate;
  gate.lock();
  auto block = [&gate] { const std::lock_guard wait(gate); };
  ASSERT_TRUE(lane.Post(block));
  while (lane.backlog() != 1 || !lane.Post(block)) {
    std::this_thread::yield();  // until the first has been taken up
  }

  const auto refused = RunOnLoop(loop_, WhereWorkRuns(lane));

  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  gate.unlock();
}

TEST_F(AsyncTest, LaneThatGoesAwayAnswersWhatWaited) {
  auto lane = std::make_unique<Lane>("test");
  std::mutex gate;
  gate.lock();
  ASSERT_TRUE(lane->Post([&gate] { const std::lock_guard wait(gate); }));
  absl::Status seen;
  {
    Scope scope(loop_);
    auto wait = [&]() -> asio::awaitable<absl::Status> {
      auto ran = co_await WhereWorkRuns(*lane);
      seen = ran.status();
      co_return absl::OkStatus();
    };
    Spawn(scope, "wait", wait());
    loop_.run_one();
    gate.unlock();
    lane.reset();
    RunOnLoop(loop_, scope.Drain());
  }
  EXPECT_TRUE(seen.ok() || absl::IsCancelled(seen)) << seen;
}

asio::awaitable<absl::Status> Fail() { co_return absl::InternalError("no luck"); }
asio::awaitable<void> Throw() {
  std::vector<int>().at(1);
  co_return;
}
asio::awaitable<void> Forever(bool* ended) {
  struct Note {
    ~Note() { *flag = true; }
    bool* flag;
  };
  const Note note{ended};
  for (;;) {
    co_await SleepFor(1h);
  }
}

TEST_F(AsyncTest, ScopeLogsTheTasksThatFail) {
  Scope scope(loop_, Logger(log_));
  Spawn(scope, "first", Fail());
  Spawn(scope, "second", Throw());

  RunOnLoop(loop_, scope.Drain());

  EXPECT_TRUE(log_.Contains("task_failed task=first error=\"INTERNAL: no luck\""));
  EXPECT_TRUE(log_.Contains("task_failed task=second error=\"vector"));
}

TEST_F(AsyncTest, ScopeCancelsItsTasks) {
  bool ended = false;
  Scope scope(loop_, Logger(log_));
  Spawn(scope, "forever", Forever(&ended));

  RunOnLoop(loop_, scope.Join());

  EXPECT_TRUE(ended);
  EXPECT_EQ(scope.running(), 0u);
  EXPECT_THAT(log_.lines(), ElementsAre()) << "being cancelled is no failure";
}

TEST_F(AsyncTest, ScopesDestructorWaitsForItsTasks) {
  bool ended = false;
  {
    Scope scope(loop_, Logger(log_));
    Spawn(scope, "forever", Forever(&ended));
    loop_.poll();
  }
  EXPECT_TRUE(ended);
}

TEST_F(AsyncTest, TaskSpawnedIntoACancelledScopeEnds) {
  bool ended = false;
  Scope scope(loop_, Logger(log_));
  scope.Cancel();

  Spawn(scope, "late", Forever(&ended));
  RunOnLoop(loop_, scope.Drain());

  EXPECT_TRUE(ended);
}

asio::awaitable<absl::StatusOr<int>> Answer(std::chrono::milliseconds after) {
  co_await SleepFor(after);
  co_return 42;
}

TEST_F(AsyncTest, DeadlineCancelsWhatIsTooSlow) {
  EXPECT_EQ(RunOnLoop(loop_, WithDeadline(Answer(1ms), 10s, "answer")).value(), 42);

  const auto late = RunOnLoop(loop_, WithDeadline(Answer(1h), 5ms, "answer"));

  EXPECT_TRUE(absl::IsDeadlineExceeded(late.status()));
  EXPECT_EQ(MessageOf(late.status()), "answer: not done within 5 ms");
}

TEST_F(AsyncTest, CancellingReachesThroughADeadline) {
  bool ended = false;
  auto bounded = [&ended]() -> asio::awaitable<absl::Status> {
    auto forever = [](bool* flag) -> asio::awaitable<absl::Status> {
      co_await Forever(flag);
      co_return absl::OkStatus();
    };
    auto task = forever(&ended);
    co_return co_await WithDeadline(std::move(task), 1h, "forever");
  };
  Scope scope(loop_, Logger(log_));
  Spawn(scope, "bounded", bounded());
  loop_.poll();

  RunOnLoop(loop_, scope.Join());

  EXPECT_TRUE(ended);
}

TEST_F(AsyncTest, ExceptionPassesThroughADeadline) {
  auto thrower = []() -> asio::awaitable<absl::Status> {
    co_await Throw();
    co_return absl::OkStatus();
  };

  EXPECT_THROW(RunOnLoop(loop_, WithDeadline(thrower(), 1h, "thrower")), std::out_of_range);
}

TEST_F(AsyncTest, EventWakesAllWhoWaitAndTimesOut) {
  Event event(loop_);
  int woken = 0;
  auto wait = [&]() -> asio::awaitable<void> {
    if (co_await event.WaitFor(1h)) {
      ++woken;
    }
  };
  Scope scope(loop_, Logger(log_));
  Spawn(scope, "a", wait());
  Spawn(scope, "b", wait());
  loop_.poll();

  event.Set();
  event.Reset();
  RunOnLoop(loop_, scope.Drain());

  EXPECT_EQ(woken, 2) << "whoever waited was woken, whatever came after";
  EXPECT_FALSE(RunOnLoop(loop_, event.WaitFor(1ms)));
}

TEST_F(AsyncTest, QueueIsBoundedAndEndsWhenClosed) {
  AsyncQueue<int> queue(loop_, 2);
  std::vector<int> got;
  auto push = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 5; ++i) {
      co_await queue.Push(i);
    }
    queue.Close();
  };
  auto pop = [&]() -> asio::awaitable<void> {
    for (;;) {
      auto item = co_await queue.Pop();
      if (!item.has_value()) {
        co_return;
      }
      EXPECT_LE(queue.size(), 2u);
      got.push_back(*item);
    }
  };
  Scope scope(loop_, Logger(log_));
  Spawn(scope, "push", push());
  Spawn(scope, "pop", pop());

  RunOnLoop(loop_, scope.Drain());

  EXPECT_THAT(got, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_FALSE(queue.TryPush(5));
}

}  // namespace
}  // namespace bramble
