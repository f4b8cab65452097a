// SPDX-License-Identifier: Apache-2.0
// bramble: the command line of a cluster.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "base/status.h"
#include "tools/bramble/credentials.h"
#include "tools/bramble/http_controller_client.h"
#include "tools/bramble/program.h"
#include "tools/bramble/terminal.h"

namespace bramble::cli {
namespace {

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The controller that the credentials name: they are read at the first request, so that what needs
// none works without.
class ChosenController : public ControllerClient {
 public:
  void ReadFrom(const Session& session) { session_ = &session; }

  absl::StatusOr<ApiReply> Send(ApiRequest request) override {
    BRAMBLE_RETURN_IF_ERROR(Connect());
    return client_->Send(std::move(request));
  }
  absl::StatusOr<ApiReply> SendForBytes(
      ApiRequest request, std::function<absl::Status(std::string_view)> on_bytes) override {
    BRAMBLE_RETURN_IF_ERROR(Connect());
    return client_->SendForBytes(std::move(request), std::move(on_bytes));
  }
  absl::StatusOr<ApiReply> SendForLines(ApiRequest request, std::chrono::milliseconds idle_limit,
                                        std::function<bool(std::string_view)> on_line) override {
    BRAMBLE_RETURN_IF_ERROR(Connect());
    return client_->SendForLines(std::move(request), idle_limit, std::move(on_line));
  }
  absl::StatusOr<StreamEnd> Stream(std::string path, StreamEnds ends) override {
    BRAMBLE_RETURN_IF_ERROR(Connect());
    return client_->Stream(std::move(path), ends);
  }

 private:
  absl::Status Connect() {
    if (client_ != nullptr) {
      return absl::OkStatus();
    }
    BRAMBLE_ASSIGN_OR_RETURN(const Credential chosen,
                             session_->credentials.Choose(session_->controller_flag));
    client_ = MakeHttpControllerClient({.url = chosen.url,
                                        .token = chosen.token,
                                        .spki_sha256 = chosen.spki_sha256,
                                        .ca_pem = chosen.ca_pem});
    return absl::OkStatus();
  }

  const Session* session_ = nullptr;
  std::unique_ptr<ControllerClient> client_;
};

Screen ScreenOfProcess() {
  Screen screen;
  screen.in_is_terminal = ::isatty(STDIN_FILENO) == 1;
  screen.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  screen.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  screen.type = Environment("TERM");
  // https://no-color.org: present and not empty.
  screen.colours =
      screen.out_is_terminal && Environment("NO_COLOR").empty() && screen.type != "dumb";
  if (const auto size = SizeOfTerminal(STDIN_FILENO)) {
    screen.rows = size->rows;
    screen.columns = size->columns;
  }
  return screen;
}

}  // namespace
}  // namespace bramble::cli

int main(int argc, char** argv) {
  using namespace bramble::cli;  // NOLINT: main is the map of the program
  ::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  const bramble::SystemClock clock;
  CredentialStore credentials(CredentialStore::DirectoryOf(
      Environment("BRAMBLE_CONFIG"), Environment("XDG_CONFIG_HOME"), Environment("HOME")));
  ChosenController controller;
  Session session = {.controller = controller,
                     .credentials = credentials,
                     .in = std::cin,
                     .out = std::cout,
                     .err = std::cerr,
                     .clock = clock,
                     .screen = ScreenOfProcess(),
                     .controller_flag = Environment("BRAMBLE_CONTROLLER"),
                     .connect = MakeHttpControllerClient,
                     .identify = IdentifyServer};
  controller.ReadFrom(session);
  return RunProgram(std::vector<std::string>(argv + 1, argv + argc), AllCommands(), session);
}
