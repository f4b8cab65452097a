// SPDX-License-Identifier: Apache-2.0
#pragma once

// WebSocket (RFC 6455) over TLS, both sides.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/asio.h"
#include "base/http_message.h"
#include "base/tls.h"

#include "absl/status/statusor.h"

namespace bramble {

struct WebSocketOptions {
  size_t max_message_bytes = 8 << 20;  // incoming; a longer one closes with 1009
  size_t max_queued_bytes = 16 << 20;  // outgoing
  // A peer that has sent nothing for `ping_after` is sent a ping, and is taken for dead when it has
  // sent nothing for `dead_after`.  A ping_after of 0: never.
  std::chrono::milliseconds ping_after{20'000};
  std::chrono::milliseconds dead_after{60'000};
  std::string subprotocol;  // answered when not empty
};

struct WebSocketMessage {
  bool binary = false;
  std::string bytes;  // text is checked to be UTF-8
};

// Close codes (RFC 6455, 7.4.1).
inline constexpr uint16_t kWebSocketNormal = 1000;
inline constexpr uint16_t kWebSocketGoingAway = 1001;
inline constexpr uint16_t kWebSocketProtocolError = 1002;
inline constexpr uint16_t kWebSocketNotUtf8 = 1007;
inline constexpr uint16_t kWebSocketPolicy = 1008;
inline constexpr uint16_t kWebSocketTooBig = 1009;
inline constexpr uint16_t kWebSocketInternal = 1011;

// One receiver at a time, any number of senders, all on the loop.  Destroying it aborts the
// connection; what was accepted and not yet sent is lost, so end with Close().
class WebSocket {
 public:
  struct Dial {
    HostPort target;
    std::shared_ptr<TlsClientContext> tls;
    std::string path;  // "/v1/node"
    HeaderList headers;
    WebSocketOptions options;
    std::chrono::milliseconds limit{10'000};
  };
  // Errors as TlsStream::Connect; an answer other than 101 is kFailedPrecondition (4xx) or
  // kUnavailable (5xx) with the status and the start of the body in the message.
  static asio::awaitable<absl::StatusOr<std::unique_ptr<WebSocket>>> Connect(Dial dial);

  // Over a connection whose HTTP upgrade is done; `buffered` was read beyond it.
  enum class Role { kClient, kServer };
  WebSocket(asio::io_context& loop, std::unique_ptr<TlsStream> stream, Role role,
            WebSocketOptions options, std::string buffered = "");
  ~WebSocket();

  // Puts a message in the queue.  kResourceExhausted: no room; kUnavailable: closed.  Does not
  // suspend.
  absl::Status TrySend(WebSocketMessage message);
  // Waits for room in the queue.
  asio::awaitable<absl::Status> Send(WebSocketMessage message);
  // Resumes when everything accepted has been given to the socket.
  asio::awaitable<absl::Status> Flush();

  // The next message; nullopt when the peer closed.  kUnavailable: cut off, or taken for dead;
  // kInvalidArgument: the peer broke the protocol (it was told).  Cancelling it, as by a deadline,
  // loses nothing.
  asio::awaitable<absl::StatusOr<std::optional<WebSocketMessage>>> Receive();

  // Sends what is queued, then a close frame, and waits at most `limit` for the peer's.
  asio::awaitable<void> Close(uint16_t code, std::string reason,
                              std::chrono::milliseconds limit = std::chrono::milliseconds(2000));
  // At once.
  void Abort();
  bool is_open() const;
  // What the peer's close frame said; 0: none came.
  uint16_t close_code() const;
  const std::string& close_reason() const;

  TlsStream& connection();  // peer(), ExportKeyingMaterial()

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace bramble
