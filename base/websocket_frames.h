// SPDX-License-Identifier: Apache-2.0
#pragma once

// The frames of WebSocket (RFC 6455, 5): bytes in, events out, and messages to frames.  Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/websocket.h"

namespace bramble {

enum class WebSocketOpcode : unsigned char {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// One whole frame.  A client masks by `mask_key`; a server does not mask.
std::string EncodeWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                                 std::optional<uint32_t> mask_key);

// The payload of a close frame.  A reason is cut to what fits (123 bytes).
std::string EncodeWebSocketClose(uint16_t code, std::string_view reason);

struct WebSocketEvent {
  enum class Kind { kMessage, kPing, kPong, kClose };
  Kind kind = Kind::kMessage;
  bool binary = false;
  std::string bytes;  // the message, the ping's payload, or the reason
  uint16_t code = 0;  // of kClose; 1005 when the frame has none (RFC 6455, 7.1.5)
};

// What came wrong, and the code to close with.
struct WebSocketViolation {
  uint16_t code = kWebSocketProtocolError;
  std::string what;
};

// Reads the peer's frames.
class WebSocketDecoder {
 public:
  // `peer` is the other side's role: a client's frames must be masked, a server's not.
  WebSocketDecoder(WebSocket::Role peer, size_t max_message_bytes)
      : peer_(peer), max_message_bytes_(max_message_bytes) {}

  // Takes `bytes` from the connection.
  void Push(std::string_view bytes) { buffer_.append(bytes); }
  // The next event, or nullopt when more bytes are needed or the peer broke the protocol: see
  // violation().  After a violation nothing more is read.
  std::optional<WebSocketEvent> Next();
  const std::optional<WebSocketViolation>& violation() const { return violation_; }

 private:
  struct Header {
    bool final = false;
    WebSocketOpcode opcode = WebSocketOpcode::kContinuation;
    uint64_t length = 0;
    std::optional<uint32_t> mask;
    size_t size = 0;  // of the header itself
  };

  std::optional<Header> ReadHeader();
  bool CheckHeader(const Header& header);
  std::optional<WebSocketEvent> Finish(const Header& header, std::string payload);
  std::optional<WebSocketEvent> FinishClose(std::string payload);
  void Fail(uint16_t code, std::string what);

  const WebSocket::Role peer_;
  const size_t max_message_bytes_;
  std::string buffer_;
  size_t start_ = 0;  // of what is not consumed yet
  std::string message_;
  std::optional<WebSocketOpcode> message_opcode_;  // of a fragmented message under way
  std::optional<WebSocketViolation> violation_;
};

// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, 4.2.2).
std::string WebSocketAccept(std::string_view key);

}  // namespace bramble
