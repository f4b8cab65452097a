// SPDX-License-Identifier: Apache-2.0
// Frames of a WebSocket's peer: however the bytes are cut into pieces, the same is read.
#include <algorithm>

// lint: allow(deps) base_net as a whole is not for clang 14
#include "base/websocket_frames.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

constexpr size_t kMaxMessageBytes = 1000;

// Kind, code and bytes of each event, and what ended it.
std::string Read(std::string_view input, size_t piece, WebSocket::Role peer) {
  WebSocketDecoder decoder(peer, kMaxMessageBytes);
  std::string events;
  while (!input.empty() && !decoder.violation().has_value()) {
    const size_t more = std::min(piece, input.size());
    decoder.Push(input.substr(0, more));
    input.remove_prefix(more);
    while (const std::optional<WebSocketEvent> event = decoder.Next()) {
      BRAMBLE_CHECK(event->bytes.size() <= kMaxMessageBytes, "the limit holds");
      events += std::to_string(static_cast<int>(event->kind)) + (event->binary ? "b" : "t") +
                std::to_string(event->code) + event->bytes + "\n";
    }
  }
  return events;
}

}  // namespace

void Try(std::string_view input) {
  const size_t piece = 1 + TakeByte(input) % 64;
  for (const WebSocket::Role peer : {WebSocket::Role::kClient, WebSocket::Role::kServer}) {
    BRAMBLE_CHECK(Read(input, piece, peer) == Read(input, input.size(), peer),
                  "how the bytes come does not change what they say");
  }
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const std::optional<uint32_t> mask :
       {std::optional<uint32_t>(0x12345678), std::optional<uint32_t>()}) {
    const std::string hello =
        EncodeWebSocketFrame(WebSocketOpcode::kText, R"({"type":"resync"})", mask);
    const std::string ping = EncodeWebSocketFrame(WebSocketOpcode::kPing, "p", mask);
    const std::string close =
        EncodeWebSocketFrame(WebSocketOpcode::kClose, EncodeWebSocketClose(1000, "bye"), mask);
    const std::string large =
        EncodeWebSocketFrame(WebSocketOpcode::kBinary, std::string(300, 'x'), mask);
    seeds.push_back("\x03" + hello + ping + close);
    seeds.push_back("\x40" + large + hello);
    std::string first = hello;
    first[0] = static_cast<char>(first[0] & 0x7f);  // not the last of its message
    std::string rest = hello;
    rest[0] = static_cast<char>(0x80);
    seeds.push_back("\x01" + first + ping + rest);
  }
  return seeds;
}

}  // namespace bramble::fuzz
