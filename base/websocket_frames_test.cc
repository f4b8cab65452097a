// SPDX-License-Identifier: Apache-2.0
#include "base/websocket_frames.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

using Kind = WebSocketEvent::Kind;
using Role = WebSocket::Role;

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) {
    bytes += static_cast<char>(value);
  }
  return bytes;
}

uint16_t ViolationOf(std::string bytes, Role peer = Role::kServer, size_t max = 100) {
  WebSocketDecoder decoder(peer, max);
  decoder.Push(bytes);
  while (decoder.Next().has_value()) {
  }
  return decoder.violation().has_value() ? decoder.violation()->code : 0;
}

TEST(WebSocketFramesTest, ReadsTheExamplesOfTheStandard) {
  // RFC 6455, 5.7: an unmasked and a masked "Hello".
  WebSocketDecoder from_server(Role::kServer, 100);
  from_server.Push(Bytes({0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}));
  WebSocketDecoder from_client(Role::kClient, 100);
  from_client.Push(Bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));

  EXPECT_EQ(from_server.Next()->bytes, "Hello");
  EXPECT_EQ(from_client.Next()->bytes, "Hello");
  EXPECT_EQ(EncodeWebSocketFrame(WebSocketOpcode::kText, "Hello", 0x37fa213d),
            Bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
  EXPECT_EQ(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketFramesTest, EveryLengthSurvivesWhateverThePieces) {
  for (const size_t size : {0u, 1u, 125u, 126u, 127u, 65535u, 65536u, 200000u}) {
    const std::string payload(size, 'x');
    const std::string frame = EncodeWebSocketFrame(WebSocketOpcode::kBinary, payload, 0x01020304);
    WebSocketDecoder decoder(Role::kClient, 1 << 20);
    std::optional<WebSocketEvent> event;
    const size_t step = size < 1000 ? 1 : 1000;
    for (size_t at = 0; at < frame.size(); at += step) {
      ASSERT_FALSE(event.has_value());
      decoder.Push(std::string_view(frame).substr(at, step));
      event = decoder.Next();
    }
    ASSERT_TRUE(event.has_value()) << size;
    EXPECT_TRUE(event->binary);
    EXPECT_EQ(event->bytes, payload);
  }
}

TEST(WebSocketFramesTest, JoinsFragmentsAroundAPing) {
  WebSocketDecoder decoder(Role::kServer, 100);
  decoder.Push(Bytes({0x01, 0x03, 'H', 'e', 'l', 0x89, 0x01, 'p', 0x80, 0x02, 'l', 'o'}));

  const auto ping = decoder.Next();
  const auto message = decoder.Next();

  EXPECT_EQ(ping->kind, Kind::kPing);
  EXPECT_EQ(ping->bytes, "p");
  EXPECT_EQ(message->kind, Kind::kMessage);
  EXPECT_FALSE(message->binary);
  EXPECT_EQ(message->bytes, "Hello");
  EXPECT_FALSE(decoder.Next().has_value());
}

TEST(WebSocketFramesTest, RefusesWhatBreaksTheProtocol) {
  EXPECT_EQ(ViolationOf(Bytes({0xc1, 0x00})), kWebSocketProtocolError) << "reserved bit";
  EXPECT_EQ(ViolationOf(Bytes({0x83, 0x00})), kWebSocketProtocolError) << "unknown opcode";
  EXPECT_EQ(ViolationOf(Bytes({0x09, 0x00})), kWebSocketProtocolError) << "a ping in fragments";
  EXPECT_EQ(ViolationOf(Bytes({0x89, 0x7e, 0x00, 0x7e})), kWebSocketProtocolError) << "long ping";
  EXPECT_EQ(ViolationOf(Bytes({0x80, 0x00})), kWebSocketProtocolError) << "nothing to continue";
  EXPECT_EQ(ViolationOf(Bytes({0x01, 0x00, 0x81, 0x00})), kWebSocketProtocolError)
      << "a message within a message";
  EXPECT_EQ(ViolationOf(Bytes({0x81, 0x80, 0, 0, 0, 0})), kWebSocketProtocolError)
      << "a server that masks";
  EXPECT_EQ(ViolationOf(Bytes({0x81, 0x00}), Role::kClient), kWebSocketProtocolError)
      << "a client that does not";
  EXPECT_EQ(ViolationOf(Bytes({0x81, 0x02, 0xc3, 0x28})), kWebSocketNotUtf8);
  EXPECT_EQ(ViolationOf(Bytes({0x88, 0x01, 0x03})), kWebSocketProtocolError) << "half a code";
  EXPECT_EQ(ViolationOf(Bytes({0x88, 0x02, 0x03, 0xed})), kWebSocketProtocolError) << "code 1005";
}

TEST(WebSocketFramesTest, RefusesTooLongAMessageBeforeItHasCome) {
  EXPECT_EQ(ViolationOf(Bytes({0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})),
            kWebSocketTooBig);
  EXPECT_EQ(ViolationOf(Bytes({0x82, 0x65})), kWebSocketTooBig) << "101 of at most 100";
  // The sum of fragments counts.
  std::string fragments = EncodeWebSocketFrame(WebSocketOpcode::kText, std::string(60, 'x'), {});
  fragments[0] = 0x01;
  std::string more = EncodeWebSocketFrame(WebSocketOpcode::kContinuation, std::string(60, 'x'), {});
  EXPECT_EQ(ViolationOf(fragments + more), kWebSocketTooBig);
}

TEST(WebSocketFramesTest, CloseCarriesCodeAndReason) {
  WebSocketDecoder decoder(Role::kServer, 100);
  decoder.Push(EncodeWebSocketFrame(WebSocketOpcode::kClose,
                                    EncodeWebSocketClose(1001, std::string(200, 'r')), {}));

  const auto event = decoder.Next();

  EXPECT_EQ(event->kind, Kind::kClose);
  EXPECT_EQ(event->code, 1001);
  EXPECT_EQ(event->bytes, std::string(123, 'r'));
}

}  // namespace
}  // namespace bramble
