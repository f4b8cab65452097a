// SPDX-License-Identifier: Apache-2.0
#pragma once

// The HTTPS server: HTTP/1.1 with keep-alive over TlsStream, on the loop.
//
//   Router router;
//   router.Add("GET", "/v1/nodes/{name}", {.handler = …});
//   HttpServer server(loop, std::move(router), options, log);
//   BRAMBLE_RETURN_IF_ERROR(server.Listen({"0.0.0.0", 8443}, tls));
//
// Every wait is bounded by one coarse timer for all connections, every size by HttpLimits.  What a
// client may do wrong costs it its own connection and nobody else's.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/asio.h"
#include "base/fd.h"
#include "base/http_message.h"
#include "base/lane.h"
#include "base/log.h"
#include "base/tls.h"
#include "base/websocket.h"

#include "absl/status/statusor.h"

namespace bramble {

struct HttpLimits {
  size_t header_bytes = 16 * 1024;
  size_t body_bytes = 1 << 20;  // of a request whose route names no other limit
  size_t connections = 2000;
  size_t connections_per_peer = 500;  // of one IPv4 address, or one IPv6 /64
  // When all places are taken, the connection that has waited longest without a request under way
  // makes room.
  std::chrono::milliseconds handshake{10'000};
  std::chrono::milliseconds header{10'000};      // from a request's first byte to its last header's
  std::chrono::milliseconds body_stall{30'000};  // without a byte of the body
  // Of a whole body, beside one second for each `body_rate` bytes of it: a byte now and then does
  // not hold a connection for ever.  A streamed body has only the stall.
  std::chrono::milliseconds body{30'000};
  size_t body_rate = 16 * 1024;
  std::chrono::milliseconds write_stall{30'000};  // without a byte taken by the client
  std::chrono::milliseconds idle{75'000};         // between two requests
  std::chrono::milliseconds sweep{500};           // how coarse all of them are
};

class RequestBody;
class ResponseWriter;

struct Request {
  std::string method;
  std::string target;  // as sent
  std::string path;    // percent-encoded, before '?'
  std::vector<std::pair<std::string, std::string>> query;
  HeaderList headers;
  std::map<std::string, std::string, std::less<>> params;  // of the route's pattern, decoded
  std::string body;                                        // whole, unless the route streams
  RequestBody* body_stream = nullptr;                      // when the route streams
  TlsStream* connection = nullptr;  // peer(), peer_address(), ExportKeyingMaterial()

  // The first query parameter called `name`.
  std::optional<std::string_view> Query(std::string_view name) const;
  const std::string& Param(std::string_view name) const;
};

// The body of a request to a streaming route, read by its handler piece by piece.
class RequestBody {
 public:
  virtual ~RequestBody() = default;
  // The next piece, at least one byte; empty at the end.  kResourceExhausted: over the route's
  // limit;  kInvalidArgument: bad chunking; kUnavailable: the client is gone.
  virtual asio::awaitable<absl::StatusOr<std::string>> Read() = 0;
  // As the client said; nullopt when it sends chunks.
  virtual std::optional<uint64_t> length() const = 0;
};

// A file from `offset` 0 to `size`; the server answers Range and If-Range by itself.
struct FileBody {
  std::shared_ptr<Fd> fd;
  uint64_t size = 0;
};
// Writes a body of unknown length, in chunks: server-sent events.  A failed Write means that the
// client is gone: return.
using StreamBody = std::function<asio::awaitable<absl::Status>(ResponseWriter&)>;
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual asio::awaitable<absl::Status> Write(std::string bytes) = 0;
};
// Answers 101 and hands the connection over; it closes when the coroutine ends.
struct WebSocketBody {
  WebSocketOptions options;
  std::function<asio::awaitable<void>(std::unique_ptr<WebSocket>)> run;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";  // not sent when there is no body
  HeaderList headers;  // without Content-Length, Transfer-Encoding and Connection: the server's
  std::variant<std::string, std::shared_ptr<const std::string>, FileBody, StreamBody, WebSocketBody>
      body;
};

// `request` lives until the handler, and the stream or socket it answered with, have ended.
using Handler = std::function<asio::awaitable<Response>(Request& request)>;
// For what is answered from memory: no coroutine.
using DirectHandler = std::function<Response(Request& request)>;

enum class BodyMode { kWhole, kStream };

struct Route {
  Handler handler;
  DirectHandler direct;  // instead of `handler`
  BodyMode body = BodyMode::kWhole;
  std::optional<uint64_t> max_body_bytes;  // nullopt: HttpLimits::body_bytes
  // Asked for without credentials: it makes room for others while its body is still read.
  bool open = false;
};

// Finds a route by method and path.  A pattern's segment `{name}` matches one segment, decoded, and
// `{name...}` at the end all that is left.  HEAD is answered by GET's route.
class Router {
 public:
  void Add(std::string_view method, std::string_view pattern, Route route);
  // Answers what no pattern matches: the web page.
  void SetFallback(Route route);

  struct Match {
    const Route* route = nullptr;  // nullptr: 404, or 405 when `allowed` is not empty
    std::string allowed;           // "GET, POST"
  };
  // Fills `params`.
  Match Find(std::string_view method, std::string_view path,
             std::map<std::string, std::string, std::less<>>& params) const;

  ~Router();
  Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
  std::unique_ptr<Route> fallback_;
};

struct HttpServerOptions {
  HttpLimits limits;
  // Sees every request before its body is read; a response refuses it (and closes, if there is a
  // body).  For authorisation that must not wait for an upload.
  std::function<std::optional<Response>(Request&)> before_body;
  // Adds headers to every response (security headers).
  HeaderList always;
  // The answer to what the server itself refuses.  `code` is a stable word: "not_found",
  // "method_not_allowed", "body_too_large", "headers_too_large", "bad_request", "upgrade_required",
  // "range_not_satisfiable", "internal".  By default application/problem+json.
  std::function<Response(int status, std::string_view code, std::string_view detail)> problem;
  // Called after each response: for metrics.
  std::function<void(const Request&, int status, std::chrono::nanoseconds)> observe;
  Lane* file_lane = nullptr;  // reads files; nullptr: the loop does
};

class HttpServer {
 public:
  HttpServer(asio::io_context& loop, Router router, HttpServerOptions options, Logger log);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Aborts all connections and runs the loop until their handlers have ended (as Scope does), so it
  // belongs outside of handlers; in a coroutine, await Stop() first.
  ~HttpServer();

  // Serves on an address ("0.0.0.0", "::", a numeric one) and a port; 0 takes a free one.  Gives
  // the port.  May be called for several.  kUnavailable: "port 8443: Address already in use".
  absl::StatusOr<uint16_t> Listen(HostPort address, std::shared_ptr<TlsServerContext> tls);

  // Accepts no more, aborts all connections, and resumes when their handlers have ended.
  asio::awaitable<void> Stop();

  size_t connections() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace bramble
