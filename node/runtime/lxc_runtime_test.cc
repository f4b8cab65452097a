// SPDX-License-Identifier: Apache-2.0

// The process that is kept loaded, with a program in bramble-runtime's place that answers at once.
#include "node/runtime/lxc_runtime.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.h"
#include "base/run_on_loop.h"
#include "base/temporary_directory.h"

#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

using namespace std::chrono_literals;

class LoadedRuntimeTest : public testing::Test {
 protected:
  void SetUp() override { Make(1h); }
  void Make(std::chrono::milliseconds kept) {
    const std::filesystem::path program = directory_.path() / "program";
    std::ofstream(program) << "#!/bin/sh\necho loaded $$ >>" << Log() << "\ncat >/dev/null\n"
                           << "echo asked $$ >>" << Log()
                           << "\necho '{\"value\":{\"containers\":[]}}'\n";
    ASSERT_EQ(chmod(program.c_str(), 0755), 0);
    LxcRuntime::Options options;
    options.program = program;
    options.state = directory_.path();
    options.run = directory_.path();
    options.spare_after = 1ms;
    options.spare_kept = kept;
    runtime_ = std::make_unique<LxcRuntime>(loop_, options, Logger());
  }

  std::string Log() const { return (directory_.path() / "log").string(); }

  // The processes that did `what`, in order.
  std::vector<pid_t> All(std::string_view what) const {
    const auto text = ReadFile(Log(), 1 << 20);
    std::vector<pid_t> pids;
    for (const absl::string_view line : absl::StrSplit(text.value_or(""), '\n')) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() == 2 && words[0] == what) {
        pids.push_back(static_cast<pid_t>(std::stol(words[1])));
      }
    }
    return pids;
  }

  // The process that waits for the next call.
  pid_t AwaitSpare() {
    const size_t calls = All("asked").size();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (All("loaded").size() <= calls && std::chrono::steady_clock::now() < deadline) {
      loop_.run_one_for(5ms);
    }
    const std::vector<pid_t> loaded = All("loaded");
    EXPECT_EQ(loaded.size(), calls + 1);
    return loaded.empty() ? 0 : loaded.back();
  }

  absl::Status Call() { return RunOnLoop(loop_, runtime_->List()).status(); }

  TemporaryDirectory directory_;
  asio::io_context loop_;
  std::unique_ptr<LxcRuntime> runtime_;
};

TEST_F(LoadedRuntimeTest, AfterTheFirstCallTheProcessOfTheNextIsLoadedAlready) {
  ASSERT_TRUE(Call().ok());
  const pid_t spare = AwaitSpare();

  ASSERT_TRUE(Call().ok());

  EXPECT_EQ(All("asked").back(), spare);
}

TEST_F(LoadedRuntimeTest, ASpareThatWasKilledIsReplacedByANewProcess) {
  ASSERT_TRUE(Call().ok());
  const pid_t spare = AwaitSpare();
  ASSERT_EQ(kill(spare, SIGKILL), 0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(spare), &info, WEXITED | WNOWAIT), 0);

  EXPECT_TRUE(Call().ok());

  EXPECT_NE(All("asked").back(), spare);
}

TEST_F(LoadedRuntimeTest, ASpareIsLetGoWhenNoCallComes) {
  runtime_.reset();
  Make(20ms);
  ASSERT_TRUE(Call().ok());
  const pid_t spare = AwaitSpare();

  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (kill(spare, 0) == 0 && std::chrono::steady_clock::now() < deadline) {
    loop_.run_one_for(5ms);
  }

  EXPECT_EQ(kill(spare, 0), -1);
  EXPECT_TRUE(Call().ok());
}

TEST_F(LoadedRuntimeTest, ASpareEndsWithItsRuntime) {
  ASSERT_TRUE(Call().ok());
  const pid_t spare = AwaitSpare();

  runtime_.reset();

  EXPECT_EQ(kill(spare, 0), -1);
}

}  // namespace
}  // namespace bramble::node
