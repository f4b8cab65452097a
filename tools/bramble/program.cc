// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/program.h"

#include "base/status.h"
#include "tools/bramble/command_line.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kMisuse = 2;

// An error in words that a terminal may show; the line breaks of our own hints stay.
std::string ErrorText(const absl::Status& status) {
  std::string text;
  std::string_view rest = MessageOf(status);
  while (true) {
    const size_t end = rest.find('\n');
    text += Printable(rest.substr(0, end));
    if (end == std::string_view::npos) {
      return text;
    }
    text += '\n';
    rest = rest.substr(end + 1);
  }
}

int Report(const absl::Status& status, Session& session) {
  if (status.ok()) {
    session.out.flush();
    if (session.out.good()) {
      return session.exit_code;
    }
    session.err << "bramble: stdout could not be written\n";
    return kFailed;
  }
  session.out.flush();
  session.err << "bramble: " << ErrorText(status) << '\n';
  return IsMisuse(status) ? kMisuse : kFailed;
}

}  // namespace

int RunProgram(const std::vector<std::string>& words, const std::vector<Command>& commands,
               Session& session) {
  const absl::StatusOr<Invocation> invocation = ParseCommandLine(words, commands);
  if (!invocation.ok()) {
    return Report(invocation.status(), session);
  }
  if (!invocation->help.empty()) {
    session.out << invocation->help;
    return Report(absl::OkStatus(), session);
  }
  if (invocation->args.Has("controller")) {
    session.controller_flag = invocation->args.Text("controller");
  }
  return Report(invocation->command->run(invocation->args, session), session);
}

}  // namespace bramble::cli
