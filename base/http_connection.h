// SPDX-License-Identifier: Apache-2.0
#pragma once

// One connection of the HTTPS server.  For http_server.cc only.

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/asio.h"
#include "base/http_parser.h"
#include "base/http_server.h"
#include "base/tls.h"

namespace bramble {

// What all connections of a server share.
struct HttpService {
  asio::io_context& loop;
  Router router;
  HttpServerOptions options;
  Logger log;
  std::string always;            // options.always, as bytes
  char scratch[32 * 1024] = {};  // read into between two suspensions, by whoever reads
  std::string date_line;         // "Date: …\r\n"
  std::chrono::system_clock::time_point date_until{};
};

class HttpConnection {
 public:
  using SteadyClock = std::chrono::steady_clock;

  HttpConnection(std::shared_ptr<HttpService> service, std::unique_ptr<TlsStream> stream);
  ~HttpConnection();

  // From the handshake to the end.
  asio::awaitable<void> Serve();

  // Closes at once; Serve() ends soon.
  void Abort();
  // When this wait has lasted too long; max() where the handler waits, not the client.
  SteadyClock::time_point deadline() const { return deadline_; }
  // Whether it may be closed to make room: it has no request under way.
  bool disposable() const { return disposable_; }
  SteadyClock::time_point since() const { return since_; }
  const std::string& peer_address() const { return stream_->peer_address(); }

 private:
  friend class ConnectionBody;
  friend class ConnectionWriter;

  void WaitBegins(std::chrono::milliseconds limit, bool disposable);
  void WaitEnds();
  // Reads into in_; false at the end of the connection.
  asio::awaitable<bool> ReadMore(std::chrono::milliseconds limit, bool disposable);
  asio::awaitable<bool> ReadHeaders();
  asio::awaitable<absl::Status> ReadBody();
  asio::awaitable<absl::StatusOr<std::string>> ReadBodyPiece();
  absl::Status CheckHead();
  asio::awaitable<bool> ServeOne();
  asio::awaitable<Response> Answer();
  asio::awaitable<Response> Call(const Route& route);
  std::optional<Response> Refuse(const Router::Match& match);
  Response Problem(int status, std::string_view code, std::string_view detail) const;
  Response ProblemOf(const absl::Status& status) const;

  asio::awaitable<bool> WriteResponse(Response response);
  asio::awaitable<bool> WriteWhole(const Response& response, std::string_view body);
  asio::awaitable<bool> WriteFile(Response response, FileBody file);
  asio::awaitable<bool> WriteStream(Response response, StreamBody stream);
  asio::awaitable<bool> HandOver(Response response, WebSocketBody socket);
  asio::awaitable<bool> WriteBytes(std::string_view bytes);
  asio::awaitable<void> Linger();
  void AppendHead(const Response& response, std::optional<uint64_t> length);
  std::string_view DateLine();

  const std::shared_ptr<HttpService> service_;
  std::unique_ptr<TlsStream> stream_;
  SteadyClock::time_point deadline_ = SteadyClock::time_point::max();
  SteadyClock::time_point since_ = SteadyClock::now();
  bool disposable_ = true;

  std::string in_;  // read and not yet parsed
  size_t in_start_ = 0;
  std::string out_;
  RequestHead head_;
  Request request_;
  std::optional<HttpRequestParser> parser_;
  bool keep_ = false;           // the connection after this response
  bool continue_sent_ = false;  // "100 Continue"
  uint64_t max_body_ = 0;
  bool open_body_ = false;  // of a route that is asked for without credentials
  std::optional<SteadyClock::time_point> body_begun_;  // while a whole body is read
  SteadyClock::time_point body_ends_;
};

}  // namespace bramble
