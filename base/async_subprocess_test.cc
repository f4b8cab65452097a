// SPDX-License-Identifier: Apache-2.0
#include "base/async_subprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "base/run_on_loop.h"
#include "base/scope.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class AsyncSubprocessTest : public ::testing::Test {
 protected:
  absl::StatusOr<CommandResult> Run(Command command) {
    return RunOnLoop(loop_, RunCommandAsync(std::move(command)));
  }
  asio::io_context loop_;
};

TEST_F(AsyncSubprocessTest, GivesOutputErrorsAndExitCode) {
  const auto result = Run({.argv = {"/bin/sh", "-c", "cat; echo err >&2; exit 3"},
                           .input = std::string(1'000'000, 'x')});

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out.size(), 1'000'000u);
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit.code, 3);
}

TEST_F(AsyncSubprocessTest, DeadlineAndOutputLimitKill) {
  const auto late = Run({.argv = {"sleep", "1000"}, .deadline = 30ms});
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
  EXPECT_THAT(std::string(MessageOf(late.status())), HasSubstr("sleep"));

  const auto loud = Run({.argv = {"yes"}, .max_output_bytes = 10'000});
  EXPECT_TRUE(absl::IsResourceExhausted(loud.status())) << loud.status();
}

TEST_F(AsyncSubprocessTest, GrandchildThatKeepsThePipesIsNotWaitedFor) {
  const auto result = Run({.argv = {"/bin/sh", "-c", "sleep 30 & echo done"}});

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "done\n");
}

TEST_F(AsyncSubprocessTest, MissingProgramIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Run({.argv = {"/no/such"}}).status()));
}

TEST_F(AsyncSubprocessTest, CancellingKills) {
  const std::string marker = "86399.125";
  auto run = [](std::string seconds) -> asio::awaitable<absl::Status> {
    Command command{.argv = {"sleep", std::move(seconds)}, .deadline = 1h};
    auto result = co_await RunCommandAsync(std::move(command));
    co_return result.status();
  };
  Scope scope(loop_);
  Spawn(scope, "sleeper", run(marker));
  loop_.poll();

  RunOnLoop(loop_, scope.Join());

  const auto left = Run({.argv = {"/bin/sh", "-c", "pgrep -f 'sleep 86399[.]125' || true"}});
  EXPECT_EQ(left->out, "");
}

TEST_F(AsyncSubprocessTest, TalksThroughATerminal) {
  ProcessSpec spec{.argv = {"/bin/sh", "-c", "read line; echo got $line; stty size"},
                   .terminal = TerminalSize{24, 80}};
  auto talk = [](asio::io_context& loop,
                 ProcessSpec to) -> asio::awaitable<absl::StatusOr<std::string>> {
    Process process = Process::Spawn(to).value();
    EXPECT_TRUE(process.Resize(TerminalSize{50, 132}).ok());
    FdStream terminal(loop, std::move(process.terminal()));
    absl::Status sent = co_await terminal.Write("hello\n");
    EXPECT_TRUE(sent.ok());
    std::string all;
    for (;;) {
      auto bytes = co_await terminal.Read();
      if (!bytes.ok() || bytes->empty()) {
        break;
      }
      all += *bytes;
    }
    auto exit = co_await WaitForExit(process);
    EXPECT_TRUE(exit.ok() && exit->ok());
    co_return all;
  };

  const std::string all = RunOnLoop(loop_, talk(loop_, spec)).value();

  EXPECT_THAT(all, HasSubstr("got hello\r\n"));
  EXPECT_THAT(all, HasSubstr("50 132\r\n"));
}

}  // namespace
}  // namespace bramble
