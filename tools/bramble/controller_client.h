// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // "/v1/nodes/pi-1", its parts percent-encoded
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;
  std::string content_type = "application/json";
  int file = -1;  // instead of `body`: an open regular file, sent from its start
  uint64_t file_bytes = 0;
  std::function<void(uint64_t sent)> progress;  // after each piece of the file
  // Writes that a second delivery would not repeat: sent again when it is unclear whether they
  // arrived.
  std::string idempotency_key;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct ApiReply {
  int status = 0;
  std::string body;
  std::string date;  // the server's Date header
};

// What a stream (exec, console) is joined to on this side.
struct StreamEnds {
  int in = 0;  // -1: nothing is sent
  int out = 1;
  int err = 2;
  bool raw_terminal = false;  // `in` is a terminal: raw mode, and its size is sent when it changes
  bool escape = false;        // Ctrl-a q leaves, Ctrl-a a sends Ctrl-a
};

struct StreamEnd {
  int exit_code = 0;
  bool left = false;    // by the escape keys
  bool silent = false;  // the command wrote nothing
};

// The controller as a command sees it.  HttpControllerClient is the real one, FakeController the
// test one.  An answer of 400 or more is an error that bears the server's own words.
// kUnavailable: not reached, cut off, or it said so, and trying again did not help.
class ControllerClient {
 public:
  virtual ~ControllerClient() = default;

  virtual absl::StatusOr<ApiReply> Send(ApiRequest request) = 0;

  // Gives the answer's body in pieces; what `on_bytes` returns ends it.
  virtual absl::StatusOr<ApiReply> SendForBytes(
      ApiRequest request, std::function<absl::Status(std::string_view)> on_bytes) = 0;

  // Gives the answer line by line, until `on_line` says false, the end, or `idle_limit` without
  // one.
  virtual absl::StatusOr<ApiReply> SendForLines(ApiRequest request,
                                                std::chrono::milliseconds idle_limit,
                                                std::function<bool(std::string_view)> on_line) = 0;

  // Joins `ends` to the WebSocket at `path` until the other side ends it.
  virtual absl::StatusOr<StreamEnd> Stream(std::string path, StreamEnds ends) = 0;
};

// "/v1/containers/web/start" of ("containers", "web", "start"): every part percent-encoded.
std::string ApiPath(std::initializer_list<std::string_view> parts);

// The path with its query, as HTTP has it.
std::string RequestTargetOf(const ApiRequest& request);

ApiRequest Get(std::string path);
// A write with a fresh idempotency key.
ApiRequest Write(std::string method, std::string path);
ApiRequest Write(std::string method, std::string path, const json::value& body);

}  // namespace bramble::cli
