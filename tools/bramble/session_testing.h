// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "tools/bramble/credentials.h"
#include "tools/bramble/fake_controller.h"
#include "tools/bramble/program.h"

namespace bramble::cli {

// The program with everything around it in memory, but for a directory of its own for credentials.
class FakeTerminal {
 public:
  FakeTerminal() : directory_(MakeDirectory()), credentials_(directory_) {}
  ~FakeTerminal() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  // Runs one command line; out, err and the exit code are what it left.
  int Run(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    session_.exit_code = 0;
    session_.controller_flag = "";
    return RunProgram(words, AllCommands(), session_);
  }

  FakeController& controller() { return controller_; }
  Session& session() { return session_; }
  CredentialStore& credentials() { return credentials_; }
  const std::filesystem::path& directory() const { return directory_; }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  void Type(const std::string& text) { in_.str(text); }
  std::vector<Session::Endpoint> connected;

 private:
  // A fake's client for a new endpoint: the same fake.
  class Forward : public ControllerClient {
   public:
    explicit Forward(FakeController& to) : to_(to) {}
    absl::StatusOr<ApiReply> Send(ApiRequest request) override {
      return to_.Send(std::move(request));
    }
    absl::StatusOr<ApiReply> SendForBytes(
        ApiRequest request, std::function<absl::Status(std::string_view)> on_bytes) override {
      return to_.SendForBytes(std::move(request), std::move(on_bytes));
    }
    absl::StatusOr<ApiReply> SendForLines(ApiRequest request, std::chrono::milliseconds limit,
                                          std::function<bool(std::string_view)> on_line) override {
      return to_.SendForLines(std::move(request), limit, std::move(on_line));
    }
    absl::StatusOr<StreamEnd> Stream(std::string path, StreamEnds ends) override {
      return to_.Stream(std::move(path), ends);
    }

   private:
    FakeController& to_;
  };

  static std::filesystem::path MakeDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "bramble-cli-XXXXXX").string();
    return ::mkdtemp(path.data()) != nullptr ? path : std::string();
  }

  const std::filesystem::path directory_;
  CredentialStore credentials_;
  FakeController controller_;
  FakeClock clock_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
  Session session_ = {
      .controller = controller_,
      .credentials = credentials_,
      .in = in_,
      .out = out_,
      .err = err_,
      .clock = clock_,
      .connect =
          [this](Session::Endpoint endpoint) {
            connected.push_back(std::move(endpoint));
            return std::make_unique<Forward>(controller_);
          },
      .identify =
          [](std::string) {
            return ServerIdentity{.spki_sha256 = std::string(64, 'a'), .subject = "controller"};
          },
  };
};

}  // namespace bramble::cli
