// SPDX-License-Identifier: Apache-2.0
#include "base/http_parser.h"

#include <limits>
#include <type_traits>

#include <boost/beast/http/basic_parser.hpp>

#include "base/status.h"

namespace bramble {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;
using BeastView = boost::beast::string_view;

std::string_view View(BeastView text) { return {text.data(), text.size()}; }

absl::Status StatusOf(const ErrorCode& error) {
  if (error == http::error::header_limit) {
    return absl::ResourceExhaustedError("the headers are too large");
  }
  if (error == http::error::body_limit) {
    return absl::ResourceExhaustedError("the body is too large");
  }
  if (error == http::error::partial_message) {
    return absl::UnavailableError("cut off before its end");
  }
  return absl::InvalidArgumentError(StrCat("malformed HTTP: ", error.message()));
}

template <typename Message>
constexpr bool kIsRequest = std::is_same_v<Message, RequestHead>;

}  // namespace

template <typename Message>
struct HttpParser<Message>::State final : http::basic_parser<kIsRequest<Message>> {
  explicit State(Message& message_in) : message(message_in) {}

  void on_request_impl(http::verb, BeastView method, BeastView target, int version,
                       ErrorCode&) override {
    if constexpr (kIsRequest<Message>) {
      message.method = View(method);
      message.target = View(target);
      message.http11 = version == 11;
    }
  }
  void on_response_impl(int code, BeastView, int, ErrorCode&) override {
    if constexpr (!kIsRequest<Message>) {
      message.status = code;
    }
  }
  void on_field_impl(http::field, BeastView name, BeastView value, ErrorCode&) override {
    // Fields after the last chunk are allowed, and mean nothing to us.
    if (!this->is_header_done()) {
      message.headers.Add(View(name), View(value));
    }
  }
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(BeastView bytes, ErrorCode& error) override {
    return Take(bytes, error);
  }
  void on_chunk_header_impl(std::uint64_t, BeastView, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView bytes, ErrorCode& error) override {
    return Take(bytes, error);
  }
  void on_finish_impl(ErrorCode&) override {}

  std::size_t Take(BeastView bytes, ErrorCode& error) {
    total += bytes.size();
    if (total > max_body) {
      error = http::error::body_limit;
      return 0;
    }
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }

  Message& message;
  std::string body;
  uint64_t total = 0;
  uint64_t max_body = std::numeric_limits<uint64_t>::max();
};

template <typename Message>
HttpParser<Message>::HttpParser(Message& message, size_t max_header_bytes)
    : state_(std::make_unique<State>(message)) {
  state_->header_limit(static_cast<uint32_t>(max_header_bytes));
  state_->body_limit(boost::none);
}

template <typename Message>
HttpParser<Message>::~HttpParser() = default;

template <typename Message>
absl::StatusOr<size_t> HttpParser<Message>::Push(std::string_view bytes) {
  const bool in_header = !state_->is_header_done();
  size_t taken = 0;
  while (taken < bytes.size() && !state_->is_done()) {
    if (in_header && state_->is_header_done()) {
      break;
    }
    ErrorCode error;
    const std::string_view rest = bytes.substr(taken);
    const size_t used = state_->put({rest.data(), rest.size()}, error);
    taken += used;
    if (error == http::error::need_more) {
      break;
    }
    if (error) {
      return StatusOf(error);
    }
  }
  return taken;
}

template <typename Message>
absl::Status HttpParser<Message>::FinishAtEof() {
  if (!state_->got_some()) {
    return absl::UnavailableError("closed without an answer");
  }
  if (state_->is_done()) {
    return absl::OkStatus();
  }
  ErrorCode error;
  state_->put_eof(error);
  return error ? StatusOf(error) : absl::OkStatus();
}

template <typename Message>
bool HttpParser<Message>::header_done() const {
  return state_->is_header_done();
}
template <typename Message>
bool HttpParser<Message>::done() const {
  return state_->is_done();
}
template <typename Message>
bool HttpParser<Message>::keep_alive() const {
  return state_->keep_alive();
}
template <typename Message>
bool HttpParser<Message>::chunked() const {
  return state_->chunked();
}
template <typename Message>
std::optional<uint64_t> HttpParser<Message>::content_length() const {
  const auto length = state_->content_length();
  return length.has_value() ? std::optional<uint64_t>(*length) : std::nullopt;
}
template <typename Message>
void HttpParser<Message>::ExpectNoBody() {
  state_->skip(true);
}
template <typename Message>
void HttpParser<Message>::SetMaxBody(uint64_t bytes) {
  state_->max_body = bytes;
}
template <typename Message>
std::string HttpParser<Message>::TakeBody() {
  return std::exchange(state_->body, std::string());
}
template <typename Message>
const std::string& HttpParser<Message>::body() const {
  return state_->body;
}

template class HttpParser<RequestHead>;
template class HttpParser<HttpReply>;

absl::Status HttpReplyParser::Push(std::string& bytes) {
  size_t taken = 0;
  absl::Status status;
  while (taken < bytes.size() && !parser_.done()) {
    const absl::StatusOr<size_t> used = parser_.Push(std::string_view(bytes).substr(taken));
    if (!used.ok()) {
      status = used.status();
      break;
    }
    taken += *used;
    if (*used == 0) {
      // A line that does not end: of the headers, or between chunks.
      if (bytes.size() - taken > max_header_bytes_) {
        status = absl::ResourceExhaustedError("the headers are too large");
      }
      break;
    }
  }
  bytes.erase(0, taken);
  return status;
}

}  // namespace bramble
