// SPDX-License-Identifier: Apache-2.0
#pragma once

// A run of bramble-runtime that carries a stream: exec, console, log, push, pull.

#include <memory>
#include <string>

#include "base/async_subprocess.h"
#include "base/json.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// {"value": …} or {"error": …} of bramble-runtime.
absl::StatusOr<json::value> ParseRuntimeAnswer(std::string_view text);

class RuntimeProcess {
 public:
  struct Options {
    std::vector<std::string> argv;
    json::object request;
    bool has_input = false;
    bool has_errors = false;  // a standard error of its own
    std::optional<TerminalSize> terminal;
  };

  // Resumes when the verb says that it has begun, or with its error.
  static asio::awaitable<absl::StatusOr<std::shared_ptr<RuntimeProcess>>> Begin(
      asio::io_context& loop, Options options);

  RuntimeProcess(asio::io_context& loop, Process process, Fd result);

  FdStream& in() { return in_; }
  FdStream& out() { return out_; }
  FdStream& err() { return err_; }
  Process& process() { return process_; }

  // What the verb says at its end.  Once.
  asio::awaitable<absl::StatusOr<json::value>> Result();
  // Ends it, if it has not ended.
  void End();

 private:
  // The next line of the answers; empty at their end.
  asio::awaitable<absl::StatusOr<std::string>> ReadLine();

  Process process_;
  FdStream in_;
  FdStream out_;
  FdStream err_;
  FdStream result_;
  std::string answers_;
};

}  // namespace bramble::node
