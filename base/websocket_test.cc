// SPDX-License-Identifier: Apache-2.0
#include "base/websocket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/scope.h"
#include "base/status.h"
#include "base/timer.h"
#include "base/tls_testing.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class WebSocketTest : public ::testing::Test {
 protected:
  using Serve = std::function<asio::awaitable<void>(std::unique_ptr<WebSocket>)>;

  void Start(Serve serve, WebSocketOptions options = {}) {
    Router router;
    auto upgrade = [serve, options](Request&) {
      return Response{.body = WebSocketBody{options, serve}};
    };
    router.Add("GET", "/ws", {.direct = upgrade});
    router.Add("GET", "/refuses", {.direct = [](Request&) {
                 return Response{.status = 403, .body = std::string("not you")};
               }});
    server_ = std::make_unique<LoopbackServer>(loop_, ca_, std::move(router), HttpServerOptions{},
                                               Logger(log_));
  }

  absl::StatusOr<std::unique_ptr<WebSocket>> Dial(std::string path = "/ws",
                                                  WebSocketOptions options = {}) {
    WebSocket::Dial dial;
    dial.target = server_->address();
    dial.tls = ca_.Pinned();
    dial.path = std::move(path);
    dial.options = options;
    return RunOnLoop(loop_, WebSocket::Connect(std::move(dial)));
  }
  absl::StatusOr<std::optional<WebSocketMessage>> Receive(WebSocket& socket) {
    return RunOnLoop(loop_, socket.Receive());
  }

  asio::io_context loop_;
  TestCa ca_;
  MemoryLogSink log_;
  std::unique_ptr<LoopbackServer> server_;
};

asio::awaitable<void> Echo(std::unique_ptr<WebSocket> socket) {
  for (;;) {
    auto message = co_await socket->Receive();
    if (!message.ok() || !message->has_value()) {
      co_return;
    }
    absl::Status sent = co_await socket->Send(**std::move(message));
    if (!sent.ok()) {
      co_return;
    }
  }
}

TEST_F(WebSocketTest, MessagesOfAllSizesComeBackAsTheyWere) {
  Start(Echo);
  auto socket = Dial().value();

  for (const size_t size : {0u, 1u, 200u, 70'000u, 5'000'000u}) {
    for (const bool binary : {false, true}) {
      const std::string bytes(size, 'x');
      ASSERT_TRUE(socket->TrySend({binary, bytes}).ok());
      auto message = Receive(*socket);
      ASSERT_TRUE(message.ok()) << message.status();
      EXPECT_EQ((*message)->binary, binary);
      EXPECT_EQ((*message)->bytes, bytes);
    }
  }
}

TEST_F(WebSocketTest, ExporterAndKeysAreSeenThroughTheSocket) {
  std::string exported;
  Start([&exported](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
    exported = socket->connection().ExportKeyingMaterial("EXPORTER-bramble").value();
    co_await Echo(std::move(socket));
  });
  auto socket = Dial().value();
  ASSERT_TRUE(socket->TrySend({false, "x"}).ok());
  ASSERT_TRUE(Receive(*socket).ok());

  EXPECT_EQ(socket->connection().ExportKeyingMaterial("EXPORTER-bramble").value(), exported);
  EXPECT_EQ(socket->connection().peer().spki, ca_.server_key.Spki());
}

TEST_F(WebSocketTest, CloseIsAnsweredAndItsReasonSeen) {
  uint16_t code = 0;
  std::string reason;
  Start([&](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
    auto message = co_await socket->Receive();
    EXPECT_TRUE(message.ok() && !message->has_value());
    code = socket->close_code();
    reason = socket->close_reason();
  });
  auto socket = Dial().value();

  RunOnLoop(loop_, socket->Close(kWebSocketGoingAway, "restart"));
  RunOnLoop(loop_, server_->server().Stop());

  EXPECT_EQ(code, kWebSocketGoingAway);
  EXPECT_EQ(reason, "restart");
  EXPECT_FALSE(socket->is_open());
  EXPECT_TRUE(absl::IsUnavailable(socket->TrySend({false, "late"})));
}

TEST_F(WebSocketTest, ServersCloseEndsTheClientsReceive) {
  Start([](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
    std::string reason = "unknown ticket";
    co_await socket->Close(kWebSocketPolicy, reason);
  });
  auto socket = Dial().value();

  auto message = Receive(*socket);

  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_FALSE(message->has_value());
  EXPECT_EQ(socket->close_code(), kWebSocketPolicy);
  EXPECT_EQ(socket->close_reason(), "unknown ticket");
}

TEST_F(WebSocketTest, TooLongAMessageIsRefusedAndSaidSo) {
  absl::Status seen;
  Start(
      [&seen](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
        auto message = co_await socket->Receive();
        seen = message.status();
      },
      {.max_message_bytes = 1000});
  auto socket = Dial().value();

  ASSERT_TRUE(socket->TrySend({true, std::string(1001, 'x')}).ok());
  auto message = Receive(*socket);

  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(socket->close_code(), kWebSocketTooBig);
  EXPECT_TRUE(absl::IsInvalidArgument(seen)) << seen;
}

TEST_F(WebSocketTest, QueueIsBoundedAndSendWaitsForRoom) {
  // A server that reads only when told to.
  Event read(loop_);
  Start([&read](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
    co_await read.Wait();
    co_await Echo(std::move(socket));
  });
  auto socket = Dial("/ws", {.max_queued_bytes = 1'000'000}).value();
  absl::Status full;
  int accepted = 0;
  while ((full = socket->TrySend({true, std::string(500'000, 'x')})).ok() && accepted < 100) {
    ++accepted;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;

  read.Set();
  WebSocketMessage last{true, std::string(500'000, 'y')};
  EXPECT_TRUE(RunOnLoop(loop_, socket->Send(last)).ok());
  for (int i = 0; i < accepted; ++i) {
    ASSERT_EQ(Receive(*socket).value()->bytes[0], 'x');
  }
  EXPECT_EQ(Receive(*socket).value()->bytes[0], 'y');
}

TEST_F(WebSocketTest, PeerThatIsSilentIsTakenForDead) {
  // A server that never reads, so never answers a ping.
  Event never(loop_);
  Start([&never](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
    co_await never.Wait();
    socket->Abort();
  });
  auto socket = Dial("/ws", {.ping_after = 20ms, .dead_after = 60ms}).value();

  auto message = Receive(*socket);

  EXPECT_TRUE(absl::IsUnavailable(message.status())) << message.status();
  EXPECT_THAT(std::string(MessageOf(message.status())), HasSubstr("silent"));
}

TEST_F(WebSocketTest, PeerThatAnswersPingsIsAlive) {
  Start(Echo);
  auto socket = Dial("/ws", {.ping_after = 5ms, .dead_after = 2s}).value();
  auto receive = [](WebSocket& from) -> asio::awaitable<absl::Status> {
    auto message = co_await from.Receive();
    co_return message.status();
  };

  const absl::Status status = RunOnLoop(loop_, WithDeadline(receive(*socket), 100ms, "a message"));

  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(socket->is_open());
}

TEST_F(WebSocketTest, ConnectionCutOffIsUnavailable) {
  Start([](std::unique_ptr<WebSocket> socket) -> asio::awaitable<void> {
    socket->Abort();
    co_return;
  });
  auto socket = Dial().value();

  EXPECT_TRUE(absl::IsUnavailable(Receive(*socket).status()));
  EXPECT_FALSE(socket->is_open());
}

TEST_F(WebSocketTest, RefusedUpgradeSaysWhy) {
  Start(Echo);

  const auto refused = Dial("/refuses");

  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("403 Forbidden not you"));
  EXPECT_THAT(std::string(MessageOf(Dial("/nothing").status())), HasSubstr("404"));
}

TEST_F(WebSocketTest, PlainRequestIsToldToUpgrade) {
  Start(Echo);
  HttpClient client(server_->ClientOptions(ca_));

  auto reply = RunOnLoop(loop_, client.Send({.target = "/ws"}));

  EXPECT_EQ(reply->status, 426);
}

TEST_F(WebSocketTest, DestroyedSocketLeavesNothingBehind) {
  Start(Echo);
  auto socket = Dial("/ws", {.ping_after = 1s}).value();

  socket.reset();
  RunOnLoop(loop_, server_->server().Stop());
  loop_.run();

  EXPECT_EQ(server_->server().connections(), 0u);
}

}  // namespace
}  // namespace bramble
