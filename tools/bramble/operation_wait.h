// SPDX-License-Identifier: Apache-2.0
#pragma once

// Waiting for what takes time.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/operation.h"
#include "tools/bramble/output.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

inline constexpr std::chrono::seconds kDefaultWait{900};

// A line at the bottom of the terminal that says what goes on; nothing when there is no terminal.
class ProgressLine {
 public:
  explicit ProgressLine(Session& session)
      : err_(session.err), shown_(session.screen.err_is_terminal) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { Clear(); }

  void Show(std::string_view text);
  void Clear();

 private:
  std::ostream& err_;
  const bool shown_;
  bool dirty_ = false;
};

// While this exists, Ctrl-C prints `text` on stderr and ends the program as SIGINT does.
class InterruptNotice {
 public:
  explicit InterruptNotice(std::string_view text);
  ~InterruptNotice();
  InterruptNotice(const InterruptNotice&) = delete;
  InterruptNotice& operator=(const InterruptNotice&) = delete;
};

// Waits until operation `id` is finished.  Outlasts a controller that is away for a minute.
// kDeadlineExceeded names the command to go on waiting with.
struct WaitedOperation {
  api::Operation operation;
  std::string body;  // as the API gave it
};
absl::StatusOr<WaitedOperation> WaitForOperation(Session& session, std::string id,
                                                 std::chrono::seconds limit);
// OK when it succeeded, else its error.
absl::Status StatusOf(const api::Operation& operation);

// What a command that starts an operation does with the answer: waits unless --no-wait, and prints.
// `done` gives the line for people; it may ask the controller.
using DoneText = std::function<absl::StatusOr<std::string>(const api::Operation& operation)>;
absl::Status FinishOperation(const Args& args, Session& session, const ApiReply& accepted,
                             const DoneText& done);

const Resource& OperationResource();

}  // namespace bramble::cli
