// SPDX-License-Identifier: Apache-2.0
#include "base/http_connection.h"

#include <cstdio>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include "base/encoding.h"
#include "base/status.h"

namespace bramble {
namespace {

// After so many responses without a wait, others get their turn.
constexpr int kResponsesPerTurn = 32;
// What is read and dropped of a body that was refused, so that the client sees why.
constexpr size_t kMaxLingerBytes = 4 << 20;
constexpr std::chrono::milliseconds kMaxLinger{2000};

// A problem's detail may quote what the client sent.
void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

Response DefaultProblem(int status, std::string_view code, std::string_view detail) {
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  std::string body = StrCat(R"({"type":"about:blank","title":)");
  AppendJsonString(body, HttpReason(status));
  body += StrCat(R"(,"status":)", status, R"(,"code":)");
  AppendJsonString(body, code);
  body += R"(,"detail":)";
  AppendJsonString(body, detail);
  body += "}\n";
  response.body = std::move(body);
  return response;
}

bool IsCancellation(const boost::system::system_error& error) {
  return error.code() == asio::error::operation_aborted;
}

}  // namespace

// The body of a streaming route, read through the connection.
class ConnectionBody : public RequestBody {
 public:
  explicit ConnectionBody(HttpConnection& connection) : connection_(connection) {}
  asio::awaitable<absl::StatusOr<std::string>> Read() override {
    return connection_.ReadBodyPiece();
  }
  std::optional<uint64_t> length() const override { return connection_.parser_->content_length(); }

 private:
  HttpConnection& connection_;
};

HttpConnection::HttpConnection(std::shared_ptr<HttpService> service,
                               std::unique_ptr<TlsStream> stream)
    : service_(std::move(service)), stream_(std::move(stream)) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::Abort() {
  if (stream_ != nullptr) {
    stream_->Abort();
  }
}

void HttpConnection::WaitBegins(std::chrono::milliseconds limit, bool disposable) {
  const auto now = SteadyClock::now();
  deadline_ = now + limit;
  since_ = now;
  disposable_ = disposable;
}

void HttpConnection::WaitEnds() {
  deadline_ = SteadyClock::time_point::max();
  disposable_ = false;
}

asio::awaitable<void> HttpConnection::Serve() {
  WaitBegins(service_->options.limits.handshake, /*disposable=*/true);
  absl::Status shaken = co_await stream_->Handshake();
  if (!shaken.ok()) {
    service_->log.Debug("tls_handshake_failed",
                        {{"peer", stream_->peer_address()}, {"error", shaken}});
    co_return;
  }
  request_.connection = stream_.get();
  int in_turn = 0;
  while (co_await ServeOne()) {
    if (++in_turn >= kResponsesPerTurn) {
      in_turn = 0;
      co_await asio::post(service_->loop, asio::use_awaitable);
    }
  }
  WaitEnds();
  if (stream_ != nullptr) {
    stream_->Close();
  }
}

asio::awaitable<bool> HttpConnection::ReadMore(std::chrono::milliseconds limit, bool disposable) {
  if (in_start_ > 0) {
    in_.erase(0, in_start_);
    in_start_ = 0;
  }
  for (;;) {
    absl::StatusOr<std::optional<size_t>> got =
        stream_->TryRead(service_->scratch, sizeof(service_->scratch));
    if (!got.ok()) {
      co_return false;
    }
    if (got->has_value()) {
      in_.append(service_->scratch, **got);
      co_return **got > 0;
    }
    if (deadline_ == SteadyClock::time_point::max()) {
      WaitBegins(limit, disposable);
    }
    absl::Status ready = co_await stream_->Readable();
    if (!ready.ok()) {
      co_return false;
    }
  }
}

// False: there is no further request, or the connection has answered a bad one.
asio::awaitable<bool> HttpConnection::ReadHeaders() {
  const HttpLimits& limits = service_->options.limits;
  head_.Clear();
  parser_.emplace(head_, limits.header_bytes);
  WaitEnds();
  in_.erase(0, in_start_);  // the request before
  in_start_ = 0;
  bool begun = false;
  while (!parser_->header_done()) {
    absl::Status bad;
    if (in_start_ < in_.size()) {
      absl::StatusOr<size_t> used = parser_->Push(std::string_view(in_).substr(in_start_));
      if (used.ok()) {
        in_start_ += *used;
      } else {
        bad = used.status();
      }
    }
    if (bad.ok() && in_.size() - in_start_ > limits.header_bytes && !parser_->header_done()) {
      bad = absl::ResourceExhaustedError("the headers are too large");
    }
    if (!bad.ok()) {
      WaitEnds();
      keep_ = false;
      const bool too_large = absl::IsResourceExhausted(bad);
      Response problem = Problem(too_large ? 431 : 400,
                                 too_large ? "headers_too_large" : "bad_request", MessageOf(bad));
      if (co_await WriteResponse(std::move(problem))) {
        co_await Linger();
      }
      co_return false;
    }
    if (parser_->header_done()) {
      break;
    }
    // The first byte starts the clock for all of the headers: a byte now and then does not stop it.
    if (!begun && !in_.empty()) {
      begun = true;
      WaitBegins(limits.header, /*disposable=*/true);
    } else if (!begun) {
      WaitBegins(limits.idle, /*disposable=*/true);
    }
    if (!co_await ReadMore(limits.idle, /*disposable=*/true)) {
      co_return false;
    }
  }
  WaitEnds();
  co_return true;
}

absl::Status HttpConnection::CheckHead() {
  std::swap(request_.method, head_.method);
  std::swap(request_.target, head_.target);
  std::swap(request_.headers, head_.headers);
  request_.params.clear();
  request_.body.clear();
  request_.body_stream = nullptr;
  keep_ = parser_->keep_alive();
  continue_sent_ = false;
  if (head_.http11 && !request_.headers.Has("Host")) {
    return absl::InvalidArgumentError("an HTTP/1.1 request without Host");
  }
  BRAMBLE_ASSIGN_OR_RETURN(RequestTarget target, ParseRequestTarget(request_.target));
  request_.path = std::move(target.path);
  request_.query = std::move(target.query);
  return absl::OkStatus();
}

asio::awaitable<bool> HttpConnection::ServeOne() {
  if (!co_await ReadHeaders()) {
    co_return false;
  }
  const bool observed = static_cast<bool>(service_->options.observe);
  const auto start = observed ? SteadyClock::now() : SteadyClock::time_point();
  Response response = co_await Answer();
  const int status = response.status;
  // A body that was not read to its end cannot be told from the next request.
  keep_ = keep_ && parser_->done();
  const bool body_left = !parser_->done();
  const bool written = co_await WriteResponse(std::move(response));
  if (observed) {
    service_->options.observe(request_, status, SteadyClock::now() - start);
  }
  if (written && body_left && stream_ != nullptr) {
    co_await Linger();
  }
  co_return written&& keep_&& stream_ != nullptr;
}

std::optional<Response> HttpConnection::Refuse(const Router::Match& match) {
  if (match.route != nullptr) {
    return std::nullopt;
  }
  if (match.allowed.empty()) {
    return Problem(404, "not_found", StrCat("nothing at ", request_.path));
  }
  Response refusal =
      Problem(405, "method_not_allowed", StrCat(request_.path, " takes ", match.allowed));
  refusal.headers.Add("Allow", match.allowed);
  return refusal;
}

asio::awaitable<Response> HttpConnection::Answer() {
  if (absl::Status bad = CheckHead(); !bad.ok()) {
    keep_ = false;
    co_return ProblemOf(bad);
  }
  const Router::Match match =
      service_->router.Find(request_.method, request_.path, request_.params);
  if (service_->options.before_body) {
    std::optional<Response> refusal = service_->options.before_body(request_);
    if (refusal.has_value()) {
      co_return *std::move(refusal);
    }
  }
  if (std::optional<Response> refusal = Refuse(match); refusal.has_value()) {
    co_return *std::move(refusal);
  }
  max_body_ = match.route->max_body_bytes.value_or(service_->options.limits.body_bytes);
  parser_->SetMaxBody(max_body_);
  if (parser_->content_length().value_or(0) > max_body_) {
    co_return Problem(
        413, "body_too_large",
        StrCat("a body of ", *parser_->content_length(), " bytes; the limit is ", max_body_));
  }
  if (match.route->body == BodyMode::kWhole) {
    if (!parser_->done()) {
      open_body_ = match.route->open;
      absl::Status read = co_await ReadBody();
      body_begun_.reset();
      if (!read.ok()) {
        co_return ProblemOf(read);
      }
    }
    co_return co_await Call(*match.route);
  }
  ConnectionBody body(*this);
  request_.body_stream = &body;
  Response response = co_await Call(*match.route);
  request_.body_stream = nullptr;
  co_return response;
}

asio::awaitable<Response> HttpConnection::Call(const Route& route) {
  try {
    if (route.direct) {
      co_return route.direct(request_);
    }
    co_return co_await route.handler(request_);
  } catch (const boost::system::system_error& error) {
    if (IsCancellation(error)) {
      throw;
    }
    service_->log.Error("handler_threw", {{"path", request_.path}, {"error", error.what()}});
  } catch (const std::exception& error) {
    service_->log.Error("handler_threw", {{"path", request_.path}, {"error", error.what()}});
  }
  co_return Problem(500, "internal", "an internal error; the controller's log has more");
}

asio::awaitable<absl::Status> HttpConnection::ReadBody() {
  if (const auto length = parser_->content_length(); length.has_value()) {
    request_.body.reserve(std::min<uint64_t>(*length, service_->options.limits.body_bytes));
  }
  const HttpLimits& limits = service_->options.limits;
  const uint64_t expected = parser_->content_length().value_or(max_body_);
  body_begun_ = SteadyClock::now();
  body_ends_ = *body_begun_ + limits.body +
               std::chrono::seconds(static_cast<int64_t>(expected / limits.body_rate));
  for (;;) {
    auto piece = co_await ReadBodyPiece();
    if (!piece.ok()) {
      co_return piece.status();
    }
    if (piece->empty()) {
      co_return absl::OkStatus();
    }
    if (request_.body.empty() && parser_->done()) {
      request_.body = *std::move(piece);
    } else {
      request_.body += *piece;
    }
  }
}

asio::awaitable<absl::StatusOr<std::string>> HttpConnection::ReadBodyPiece() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const HttpLimits& limits = service_->options.limits;
  for (;;) {
    size_t used = 0;
    if (in_start_ < in_.size() && !parser_->done()) {
      absl::StatusOr<size_t> pushed = parser_->Push(std::string_view(in_).substr(in_start_));
      if (!pushed.ok()) {
        co_return pushed.status();
      }
      used = *pushed;
      in_start_ += used;
    }
    if (!parser_->body().empty()) {
      co_return parser_->TakeBody();
    }
    if (parser_->done()) {
      co_return std::string();
    }
    if (used > 0 && in_start_ < in_.size()) {
      continue;
    }
    // A line between chunks that does not end.
    if (in_.size() - in_start_ > limits.header_bytes) {
      co_return absl::InvalidArgumentError("malformed HTTP: a chunk's header is too long");
    }
    if (!continue_sent_ && EqualIgnoringCase(request_.headers.Get("Expect"), "100-continue")) {
      continue_sent_ = true;
      if (!co_await WriteBytes(kContinue)) {
        co_return absl::UnavailableError("the client is gone");
      }
    }
    if (body_begun_.has_value()) {
      WaitBegins(limits.body_stall, open_body_);
      deadline_ = std::min(deadline_, body_ends_);
      since_ = *body_begun_;
      if (body_ends_ <= SteadyClock::now()) {
        WaitEnds();
        co_return absl::DeadlineExceededError("the body came too slowly");
      }
    }
    const bool more = co_await ReadMore(limits.body_stall, /*disposable=*/false);
    WaitEnds();
    if (!more) {
      co_return absl::UnavailableError("the client is gone, or was silent for too long");
    }
  }
}

// Reads on until the client has closed, so that the kernel does not throw away, with what we did
// not read, what we said.
asio::awaitable<void> HttpConnection::Linger() {
  size_t dropped = 0;
  stream_->CloseWrite();
  WaitBegins(kMaxLinger, /*disposable=*/true);
  while (dropped < kMaxLingerBytes) {
    in_.clear();
    in_start_ = 0;
    if (!co_await ReadMore(kMaxLinger, /*disposable=*/true)) {
      break;
    }
    dropped += in_.size();
  }
  WaitEnds();
}

Response HttpConnection::Problem(int status, std::string_view code, std::string_view detail) const {
  return service_->options.problem ? service_->options.problem(status, code, detail)
                                   : DefaultProblem(status, code, detail);
}

Response HttpConnection::ProblemOf(const absl::Status& status) const {
  return absl::IsResourceExhausted(status)
             ? Problem(413, "body_too_large",
                       StrCat(MessageOf(status), "; the limit is ", max_body_, " bytes"))
             : Problem(400, "bad_request", MessageOf(status));
}

}  // namespace bramble
