// SPDX-License-Identifier: Apache-2.0
#include "base/subprocess.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "base/file.h"
#include "base/status.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Command Shell(std::string script) { return {.argv = {"/bin/sh", "-c", std::move(script)}}; }

TEST(SubprocessTest, GivesOutputErrorsAndExitCode) {
  const CommandResult result = RunCommand(Shell("echo out; echo err >&2; exit 3")).value();

  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.exit.code, 3);
  EXPECT_THAT(std::string(MessageOf(CheckOk(Shell(""), result))),
              HasSubstr("/bin/sh exited with 3: err"));
}

TEST(SubprocessTest, FeedsInputOfAnySize) {
  Command command{.argv = {"wc", "-c"}, .input = std::string(3'000'000, 'x')};
  EXPECT_THAT(RunCommandForOutput(command).value(), HasSubstr("3000000"));

  command.argv = {"true"};  // reads nothing
  EXPECT_TRUE(RunCommandForOutput(command).ok());
}

TEST(SubprocessTest, MissingProgramIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(RunCommand({.argv = {"no-such-program"}}).status()));
  const auto path = RunCommand({.argv = {"/no/such/program"}});
  EXPECT_TRUE(absl::IsNotFound(path.status()));
  EXPECT_THAT(std::string(MessageOf(path.status())), HasSubstr("/no/such/program"));
  EXPECT_TRUE(absl::IsPermissionDenied(RunCommand({.argv = {"/etc/passwd"}}).status()));
}

TEST(SubprocessTest, EnvironmentAndDirectoryAreAsTold) {
  Command command = Shell("echo $A $PWD");
  command.environment = {"A=b"};
  command.working_directory = "/usr";

  EXPECT_EQ(RunCommandForOutput(command).value(), "b /usr\n");
}

TEST(SubprocessTest, ChildHasNoDescriptorButItsOwn) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a library might
  const int high = ::fcntl(leaked, F_DUPFD, 300);

  const std::string listed = RunCommandForOutput(Shell("ls /proc/self/fd | tr '\\n' ' '")).value();

  EXPECT_EQ(listed, "0 1 2 3 ") << "3 is ls's own";
  ::close(leaked);
  ::close(high);
}

TEST(SubprocessTest, GivenDescriptorArrivesUnderItsNumber) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Command command = Shell("echo through >&7");
  command.fds = {{ends[1], 7}};

  ASSERT_TRUE(RunCommandForOutput(command).ok());

  char bytes[16];
  EXPECT_EQ(::read(ends[0], bytes, sizeof(bytes)), 8);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SubprocessTest, IsKilledAtItsDeadlineWithAllItStarted) {
  Command command = Shell("sleep 1000 & echo $!; sleep 1000");
  command.deadline = 50ms;

  const auto result = RunCommand(command);

  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
}

TEST(SubprocessTest, TooMuchOutputIsCutShort) {
  Command command{.argv = {"yes"}, .max_output_bytes = 10'000};

  EXPECT_TRUE(absl::IsResourceExhausted(RunCommand(command).status()));
}

TEST(SubprocessTest, GrandchildThatKeepsThePipesIsNotWaitedFor) {
  Command command = Shell("(trap '' HUP; exec sleep 30) & echo done");

  EXPECT_EQ(RunCommandForOutput(command).value(), "done\n");
}

TEST(SubprocessTest, SignalThatKilledIsTold) {
  const CommandResult result = RunCommand(Shell("kill -TERM $$")).value();

  EXPECT_EQ(result.exit.signal, SIGTERM);
  EXPECT_EQ(result.exit.ToString(), "killed by signal 15");
}

TEST(SubprocessTest, ProcessEndsWithItsOwner) {
  pid_t pid = 0;
  {
    Process process = Process::Spawn({.argv = {"sleep", "1000"}}).value();
    pid = process.pid();
    EXPECT_FALSE(process.Poll()->has_value());
  }
  EXPECT_EQ(::kill(pid, 0), -1) << "killed and reaped";
}

TEST(SubprocessTest, ASignalArrivesOnce) {
  // A real-time signal is counted.
  ProcessSpec spec{.argv = {"python3", "-c",
                            "import signal as s\n"
                            "counted = set(range(s.SIGRTMIN, s.SIGRTMAX + 1))\n"
                            "s.pthread_sigmask(s.SIG_BLOCK, counted)\n"
                            "print('ready', flush=True)\n"
                            "wait, times = 20, 0\n"
                            "while s.sigtimedwait(counted, wait):\n"
                            "  wait, times = 0.5, times + 1\n"
                            "print(times)"},
                   .out = Stdio::Pipe()};
  Process process = Process::Spawn(spec).value();
  const auto line = [&process] {
    std::string text;
    char byte = 0;
    while (::read(process.out().get(), &byte, 1) == 1 && byte != '\n') {
      text += byte;
    }
    return text;
  };
  ASSERT_EQ(line(), "ready");

  process.Signal(SIGRTMIN);

  EXPECT_EQ(line(), "1");
  EXPECT_TRUE(process.Wait()->ok());
}

TEST(SubprocessTest, TerminalIsOneAndHasItsSize) {
  ProcessSpec spec{.argv = {"/bin/sh", "-c", "tty -s && stty size"},
                   .terminal = TerminalSize{30, 100}};
  Process process = Process::Spawn(spec).value();

  std::string out;
  char bytes[256];
  ssize_t got;
  while ((got = ::read(process.terminal().get(), bytes, sizeof(bytes))) > 0) {
    out.append(bytes, static_cast<size_t>(got));
  }

  EXPECT_TRUE(process.Wait()->ok());
  EXPECT_EQ(out, "30 100\r\n");
}

}  // namespace
}  // namespace bramble
