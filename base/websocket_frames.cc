// SPDX-License-Identifier: Apache-2.0
#include "base/websocket_frames.h"

#include <openssl/evp.h>

#include "base/encoding.h"
#include "base/strings.h"

namespace bramble {
namespace {

constexpr size_t kMaxControlPayload = 125;
constexpr uint16_t kNoCloseCode = 1005;
// What is consumed is kept at the buffer's front until there is this much of it.
constexpr size_t kCompactBytes = 64 * 1024;

void Mask(char* bytes, size_t size, uint32_t key) {
  const unsigned char parts[4] = {
      static_cast<unsigned char>(key >> 24), static_cast<unsigned char>(key >> 16),
      static_cast<unsigned char>(key >> 8), static_cast<unsigned char>(key)};
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ parts[i & 3]);
  }
}

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

void AppendBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 255);
  }
}

// RFC 6455, 7.4: which codes may be on the wire.
bool IsCloseCode(uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace

std::string EncodeWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                                 std::optional<uint32_t> mask_key) {
  std::string frame;
  frame.reserve(payload.size() + 14);
  frame += static_cast<char>(0x80 | static_cast<unsigned char>(opcode));
  const int mask_bit = mask_key.has_value() ? 0x80 : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
  } else if (payload.size() <= 0xffff) {
    frame += static_cast<char>(mask_bit | 126);
    AppendBigEndian(frame, payload.size(), 2);
  } else {
    frame += static_cast<char>(mask_bit | 127);
    AppendBigEndian(frame, payload.size(), 8);
  }
  if (mask_key.has_value()) {
    AppendBigEndian(frame, *mask_key, 4);
  }
  const size_t start = frame.size();
  frame += payload;
  if (mask_key.has_value()) {
    Mask(frame.data() + start, payload.size(), *mask_key);
  }
  return frame;
}

std::string EncodeWebSocketClose(uint16_t code, std::string_view reason) {
  std::string payload;
  AppendBigEndian(payload, code, 2);
  reason = reason.substr(0, kMaxControlPayload - 2);
  while (!IsUtf8(reason)) {
    reason.remove_suffix(1);
  }
  payload += reason;
  return payload;
}

void WebSocketDecoder::Fail(uint16_t code, std::string what) {
  violation_ = WebSocketViolation{code, std::move(what)};
  buffer_.clear();
  start_ = 0;
}

std::optional<WebSocketDecoder::Header> WebSocketDecoder::ReadHeader() {
  const std::string_view bytes = std::string_view(buffer_).substr(start_);
  if (bytes.size() < 2) {
    return std::nullopt;
  }
  const auto first = static_cast<unsigned char>(bytes[0]);
  const auto second = static_cast<unsigned char>(bytes[1]);
  Header header;
  header.final = (first & 0x80) != 0;
  header.opcode = static_cast<WebSocketOpcode>(first & 0x0f);
  if ((first & 0x70) != 0) {
    Fail(kWebSocketProtocolError, "a reserved bit is set");
    return std::nullopt;
  }
  const int short_length = second & 0x7f;
  const size_t length_bytes = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
  const size_t mask_bytes = (second & 0x80) != 0 ? 4 : 0;
  header.size = 2 + length_bytes + mask_bytes;
  if (bytes.size() < header.size) {
    return std::nullopt;
  }
  header.length = length_bytes == 0 ? static_cast<uint64_t>(short_length)
                                    : BigEndian(bytes.substr(2, length_bytes));
  if (mask_bytes != 0) {
    header.mask = static_cast<uint32_t>(BigEndian(bytes.substr(2 + length_bytes, 4)));
  }
  if (!CheckHeader(header)) {
    return std::nullopt;
  }
  return header;
}

bool WebSocketDecoder::CheckHeader(const Header& header) {
  if (header.mask.has_value() != (peer_ == WebSocket::Role::kClient)) {
    Fail(kWebSocketProtocolError, "a client's frames are masked, a server's are not");
    return false;
  }
  switch (header.opcode) {
    case WebSocketOpcode::kContinuation:
    case WebSocketOpcode::kText:
    case WebSocketOpcode::kBinary:
      if ((header.opcode == WebSocketOpcode::kContinuation) != message_opcode_.has_value()) {
        Fail(kWebSocketProtocolError, "fragments out of order");
        return false;
      }
      if (header.length > max_message_bytes_ - message_.size()) {
        Fail(kWebSocketTooBig, StrCat("a message of more than ", max_message_bytes_, " bytes"));
        return false;
      }
      return true;
    case WebSocketOpcode::kClose:
    case WebSocketOpcode::kPing:
    case WebSocketOpcode::kPong:
      if (!header.final || header.length > kMaxControlPayload) {
        Fail(kWebSocketProtocolError, "a control frame in fragments or of more than 125 bytes");
        return false;
      }
      return true;
  }
  Fail(kWebSocketProtocolError, "an unknown opcode");
  return false;
}

std::optional<WebSocketEvent> WebSocketDecoder::Next() {
  while (!violation_.has_value()) {
    const std::optional<Header> header = ReadHeader();
    if (!header.has_value() || buffer_.size() - start_ - header->size < header->length) {
      if (start_ > 0 && (start_ == buffer_.size() || start_ >= kCompactBytes)) {
        buffer_.erase(0, start_);
        start_ = 0;
      }
      return std::nullopt;
    }
    std::string payload =
        buffer_.substr(start_ + header->size, static_cast<size_t>(header->length));
    start_ += header->size + payload.size();
    if (header->mask.has_value()) {
      Mask(payload.data(), payload.size(), *header->mask);
    }
    std::optional<WebSocketEvent> event = Finish(*header, std::move(payload));
    if (event.has_value()) {
      return event;
    }
  }
  return std::nullopt;
}

std::optional<WebSocketEvent> WebSocketDecoder::Finish(const Header& header, std::string payload) {
  switch (header.opcode) {
    case WebSocketOpcode::kPing:
      return WebSocketEvent{WebSocketEvent::Kind::kPing, false, std::move(payload), 0};
    case WebSocketOpcode::kPong:
      return WebSocketEvent{WebSocketEvent::Kind::kPong, false, std::move(payload), 0};
    case WebSocketOpcode::kClose:
      return FinishClose(std::move(payload));
    default:
      break;
  }
  const WebSocketOpcode opcode = message_opcode_.value_or(header.opcode);
  if (message_.empty()) {
    message_ = std::move(payload);
  } else {
    message_ += payload;
  }
  message_opcode_ = opcode;
  if (!header.final) {
    return std::nullopt;
  }
  message_opcode_.reset();
  WebSocketEvent event;
  event.binary = opcode == WebSocketOpcode::kBinary;
  event.bytes = std::exchange(message_, std::string());
  if (!event.binary && !IsUtf8(event.bytes)) {
    Fail(kWebSocketNotUtf8, "a text message that is not UTF-8");
    return std::nullopt;
  }
  return event;
}

std::optional<WebSocketEvent> WebSocketDecoder::FinishClose(std::string payload) {
  WebSocketEvent event;
  event.kind = WebSocketEvent::Kind::kClose;
  event.code = kNoCloseCode;
  if (!payload.empty()) {
    event.code = static_cast<uint16_t>(BigEndian(std::string_view(payload).substr(0, 2)));
    event.bytes = payload.size() > 2 ? payload.substr(2) : "";
    if (payload.size() == 1 || !IsCloseCode(event.code)) {
      Fail(kWebSocketProtocolError, "a bad close code");
      return std::nullopt;
    }
    if (!IsUtf8(event.bytes)) {
      Fail(kWebSocketNotUtf8, "a close reason that is not UTF-8");
      return std::nullopt;
    }
  }
  return event;
}

std::string WebSocketAccept(std::string_view key) {
  // RFC 6455, 1.3 names the GUID.
  const std::string text = StrCat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  return Base64Encode(std::string_view(reinterpret_cast<char*>(digest), size));
}

}  // namespace bramble
