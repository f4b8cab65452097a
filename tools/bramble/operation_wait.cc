// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/operation_wait.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr std::chrono::seconds kTerminalPoll{1};
constexpr std::chrono::seconds kQuietPoll{30};
constexpr std::chrono::seconds kMaxAway{60};  // of a controller that does not answer
constexpr useconds_t kAwayPause{500'000};

// For the signal handler, which may touch nothing else.
char notice[512];
volatile sig_atomic_t notice_bytes = 0;

void OnInterrupt(int signal) {
  [[maybe_unused]] const ssize_t written =
      ::write(STDERR_FILENO, notice, static_cast<size_t>(notice_bytes));
  ::raise(signal);  // SA_RESETHAND: ends the program once the handler returns
}

std::string ProgressText(const api::Operation& operation, std::chrono::seconds waited) {
  const std::string message =
      operation.message.empty() ? std::string(operation.kind) : operation.message;
  return StrCat(operation.object.kind, " ", operation.object.name, ": ", message,
                operation.percent > 0 ? StrCat(" (", operation.percent, " %)") : std::string(),
                waited.count() >= 2 ? StrCat(", ", waited.count(), " s") : std::string());
}

absl::StatusOr<api::Operation> ReadOperation(const std::string& body) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(body, 16 << 20));
  return api::OperationFromJson(value);
}

}  // namespace

void ProgressLine::Show(std::string_view text) {
  if (shown_) {
    // Cut, since a line that wraps cannot be taken back.
    std::string printable = Printable(text);
    printable.resize(std::min<size_t>(printable.size(), 78));
    err_ << "\r\x1b[K" << printable << std::flush;
    dirty_ = true;
  }
}

void ProgressLine::Clear() {
  if (dirty_) {
    err_ << "\r\x1b[K" << std::flush;
    dirty_ = false;
  }
}

InterruptNotice::InterruptNotice(std::string_view text) {
  const size_t bytes = std::min(text.size(), sizeof(notice));
  std::memcpy(notice, text.data(), bytes);
  notice_bytes = static_cast<sig_atomic_t>(bytes);
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
}

InterruptNotice::~InterruptNotice() { ::signal(SIGINT, SIG_DFL); }

absl::StatusOr<WaitedOperation> WaitForOperation(Session& session, std::string id,
                                                 std::chrono::seconds limit) {
  const std::string resume =
      StrCat("wait on with `bramble operation show ", id,
             " --wait`, or stop it with `bramble operation cancel ", id, "`");
  const InterruptNotice interrupted(StrCat("\noperation ", id, " goes on; ", resume, "\n"));
  ProgressLine progress(session);
  progress.Show("waiting");
  const BootTime start = session.clock.Boot();
  BootTime last_answer = start;
  while (true) {
    const BootTime now = session.clock.Boot();
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - start);
    const auto left = std::max(limit - waited, std::chrono::seconds(0));
    const auto poll = std::min(left, session.screen.err_is_terminal ? kTerminalPoll : kQuietPoll);
    ApiRequest request = Get(ApiPath({"operations", id}));
    request.query.emplace_back("wait", std::to_string(poll.count()));
    absl::StatusOr<ApiReply> reply = session.controller.Send(std::move(request));
    const bool away = absl::IsUnavailable(reply.status());
    if (away && left.count() == 0) {
      return absl::DeadlineExceededError(StrCat("operation ", id, ": nothing known after ",
                                                limit.count(), " s: ", reply.status().message(),
                                                "; then ", resume));
    }
    if (away && session.clock.Boot() - last_answer < kMaxAway) {
      progress.Show(
          StrCat("the controller does not answer, trying again: ", reply.status().message()));
      ::usleep(kAwayPause);
      continue;
    }
    if (!reply.ok()) {
      return Annotate(reply.status(), StrCat("operation ", id));
    }
    last_answer = session.clock.Boot();
    BRAMBLE_ASSIGN_OR_RETURN(api::Operation operation, ReadOperation(reply->body));
    if (operation.finished()) {
      return WaitedOperation{.operation = std::move(operation), .body = std::move(reply->body)};
    }
    if (left.count() == 0) {
      return absl::DeadlineExceededError(StrCat(
          operation.object.kind, " \"", operation.object.name, "\": not done after ", limit.count(),
          " s (", operation.message, "); operation ", id, " goes on; ", resume));
    }
    progress.Show(ProgressText(operation, waited));
  }
}

absl::Status StatusOf(const api::Operation& operation) {
  const std::string what = StrCat(operation.object.kind, " \"", operation.object.name, "\"");
  if (operation.state == api::OperationState::kFailed) {
    const std::string error = operation.error.empty() ? operation.message : operation.error;
    // The server's words name the object already as a rule.
    return absl::InternalError(
        error.find(operation.object.name) != std::string::npos ? error : StrCat(what, ": ", error));
  }
  if (operation.state == api::OperationState::kCancelled) {
    return absl::CancelledError(StrCat(what, ": operation ", operation.id.str(), " was cancelled"));
  }
  return absl::OkStatus();
}

absl::Status FinishOperation(const Args& args, Session& session, const ApiReply& accepted,
                             const DoneText& done) {
  const Format format = FormatOf(args);
  BRAMBLE_ASSIGN_OR_RETURN(const auto limit, args.Seconds("timeout"));
  BRAMBLE_ASSIGN_OR_RETURN(api::Operation operation, ReadOperation(accepted.body));
  std::string body = accepted.body;
  const bool wait = !args.Has("no-wait");
  if (wait && !operation.finished()) {
    absl::StatusOr<WaitedOperation> waited =
        WaitForOperation(session, operation.id.str(), limit.value_or(kDefaultWait));
    if (!waited.ok()) {
      return waited.status();
    }
    operation = std::move(waited->operation);
    body = std::move(waited->body);
  }
  if (format == Format::kJson || format == Format::kYaml) {
    BRAMBLE_RETURN_IF_ERROR(PrintObject(args, session, OperationResource(), body));
    return StatusOf(operation);
  }
  BRAMBLE_RETURN_IF_ERROR(StatusOf(operation));
  if (format == Format::kName) {
    session.out << (wait ? operation.object.name : operation.id.str()) << '\n';
    return absl::OkStatus();
  }
  if (!wait && !operation.finished()) {
    session.out << "operation " << operation.id.str() << '\n';
    session.err << Printable(operation.object.name) << ": accepted; wait for it with `bramble "
                << "operation show " << operation.id.str() << " --wait`\n";
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, done(operation));
  session.out << Printable(text) << '\n';
  return absl::OkStatus();
}

}  // namespace bramble::cli
