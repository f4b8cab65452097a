// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP/1.1 messages from bytes, by Beast's parser.  For .cc files of base/ only.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/http_message.h"

#include "absl/status/statusor.h"

namespace bramble {

// The start line of a request and the frame of its body.
struct RequestHead {
  std::string method;
  std::string target;
  HeaderList headers;
  bool http11 = true;

  void Clear() {
    method.clear();
    target.clear();
    headers.Clear();
    http11 = true;
  }
};

// Reads one message.  kResourceExhausted: headers or body over the limit; kInvalidArgument:
// malformed.
template <typename Message>
class HttpParser {
 public:
  // Fills `message`, which must outlive the parser.
  HttpParser(Message& message, size_t max_header_bytes);
  ~HttpParser();

  // Takes what it can from `bytes` and says how many: up to the end of the headers, or of the
  // message once those are known.
  absl::StatusOr<size_t> Push(std::string_view bytes);
  // The peer closed: OK when that is how this message ends.
  absl::Status FinishAtEof();

  bool header_done() const;
  bool done() const;
  bool keep_alive() const;
  // nullopt: chunked, or up to the end of the connection.
  std::optional<uint64_t> content_length() const;
  bool chunked() const;
  // The answer to HEAD: no body whatever its headers say.  Before the first Push.
  void ExpectNoBody();
  void SetMaxBody(uint64_t bytes);
  // What of the body was read since the last call.
  std::string TakeBody();
  const std::string& body() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

using HttpRequestParser = HttpParser<RequestHead>;

// An HttpParser for replies that eats its buffer.
class HttpReplyParser {
 public:
  HttpReplyParser(HttpReply& reply, size_t max_header_bytes)
      : parser_(reply, max_header_bytes), max_header_bytes_(max_header_bytes) {}

  // Removes from the front of `bytes` what it took.
  absl::Status Push(std::string& bytes);
  absl::Status FinishAtEof() { return parser_.FinishAtEof(); }
  bool header_done() const { return parser_.header_done(); }
  bool done() const { return parser_.done(); }
  bool keep_alive() const { return parser_.keep_alive(); }
  void ExpectNoBody() { parser_.ExpectNoBody(); }
  std::string TakeBody() { return parser_.TakeBody(); }
  const std::string& body() const { return parser_.body(); }

 private:
  HttpParser<HttpReply> parser_;
  size_t max_header_bytes_;
};

}  // namespace bramble
