// SPDX-License-Identifier: Apache-2.0
#pragma once

// Other programs.  A child gets the descriptors it was given and no other, leads a process group
// (or, with a terminal, a session) of its own, and does not outlive its Process.
//
// RunCommand blocks, for lanes, tools and small programs; base/async_subprocess.h has the same
// for the loop.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

#include "absl/status/statusor.h"

namespace bramble {

// Where one of a child's standard descriptors leads.
struct Stdio {
  enum class Kind { kNull, kInherit, kPipe, kGiven };
  Kind kind = Kind::kNull;
  int fd = -1;  // kGiven: stays the caller's

  static Stdio Null() { return {Kind::kNull, -1}; }
  static Stdio Inherit() { return {Kind::kInherit, -1}; }
  static Stdio Pipe() { return {Kind::kPipe, -1}; }
  static Stdio Given(int fd) { return {Kind::kGiven, fd}; }
};

struct TerminalSize {
  uint16_t rows = 24;
  uint16_t columns = 80;
};

struct GivenFd {
  int fd = -1;     // ours; stays the caller's
  int number = 3;  // the child's, 3 or higher
};

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] with a slash is a path, without is looked up in PATH
  std::optional<std::vector<std::string>> environment;  // "NAME=value"; nullopt: ours
  std::string working_directory;                        // empty: ours
  Stdio in = Stdio::Null();
  Stdio out = Stdio::Null();
  Stdio err = Stdio::Null();
  std::optional<TerminalSize> terminal;  // all three are a new pseudo-terminal instead
  std::vector<GivenFd> fds;
  bool die_with_parent = true;  // SIGKILL when the thread that spawned it ends (PR_SET_PDEATHSIG)
};

// How a child ended.
struct ExitStatus {
  int code = 0;    // what it returned; meaningless when signal is not 0
  int signal = 0;  // what killed it

  bool ok() const { return code == 0 && signal == 0; }
  // "exited with 2", "killed by signal 9".
  std::string ToString() const;
};

// A running child.  Destroying it kills its process group and reaps it.
class Process {
 public:
  // kNotFound: no such program; kPermissionDenied: not executable.
  static absl::StatusOr<Process> Spawn(const ProcessSpec& spec);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  // Becomes readable when the child has ended (pidfd_open(2)).
  int pidfd() const { return pidfd_.get(); }
  // Our ends of its pipes, or of its terminal (terminal is read and written).
  Fd& in() { return in_; }
  Fd& out() { return out_; }
  Fd& err() { return err_; }
  Fd& terminal() { return terminal_; }

  // To the whole process group.  No error when it has ended.
  void Signal(int signal);
  absl::Status Resize(TerminalSize size);
  // nullopt while it runs.  Does not block.
  absl::StatusOr<std::optional<ExitStatus>> Poll();
  // Blocks.
  absl::StatusOr<ExitStatus> Wait();
  // Lets it live on without us.  It is then init's, or our subreaper's.
  void Release();

 private:
  Process() = default;
  void KillAndReap();

  pid_t pid_ = -1;
  Fd pidfd_;
  Fd in_, out_, err_, terminal_;
  std::optional<ExitStatus> exit_;
};

struct Command {
  std::vector<std::string> argv;
  std::optional<std::vector<std::string>> environment;  // nullopt: ours
  std::string working_directory;
  std::string input;  // given on its standard input
  std::vector<GivenFd> fds;
  std::chrono::milliseconds deadline{30'000};
  size_t max_output_bytes = 1 << 20;  // of each of out and err
};

struct CommandResult {
  ExitStatus exit;
  std::string out;
  std::string err;
};

// Runs `command` to its end.  A command that ends with an error is a result, not an error:
// CheckOk() makes it one.  kDeadlineExceeded: killed after its deadline;  kResourceExhausted:
// killed for more than `max_output_bytes`.
absl::StatusOr<CommandResult> RunCommand(const Command& command);

// OK when it exited with 0; otherwise "mkfs.ext4 exited with 1: " and the last lines of its errors.
absl::Status CheckOk(const Command& command, const CommandResult& result);
// RunCommand and CheckOk; its standard output.
absl::StatusOr<std::string> RunCommandForOutput(const Command& command);

}  // namespace bramble
