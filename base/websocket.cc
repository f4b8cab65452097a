// SPDX-License-Identifier: Apache-2.0
#include "base/websocket.h"

#include <algorithm>
#include <deque>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/encoding.h"
#include "base/http_parser.h"
#include "base/random.h"
#include "base/status.h"
#include "base/timer.h"
#include "base/websocket_frames.h"

namespace bramble {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Small: it is part of what an idle connection holds.
constexpr size_t kReadBytes = 4096;
constexpr size_t kMaxUpgradeReplyBytes = 16 * 1024;

WebSocket::Role PeerOf(WebSocket::Role role) {
  return role == WebSocket::Role::kClient ? WebSocket::Role::kServer : WebSocket::Role::kClient;
}

}  // namespace

struct WebSocket::State : std::enable_shared_from_this<WebSocket::State> {
  State(asio::io_context& loop_in, std::unique_ptr<TlsStream> stream_in, Role role_in,
        WebSocketOptions options_in, std::string_view buffered)
      : loop(loop_in),
        stream(std::move(stream_in)),
        role(role_in),
        options(std::move(options_in)),
        decoder(PeerOf(role_in), options.max_message_bytes),
        changed(loop_in),
        ended(loop_in) {
    decoder.Push(buffered);
  }

  absl::Status Queue(WebSocketOpcode opcode, std::string_view payload);
  void PushOut();
  static asio::awaitable<void> WriteOut(std::shared_ptr<State> self);
  static asio::awaitable<void> KeepAlive(std::shared_ptr<State> self);
  static asio::awaitable<absl::StatusOr<std::optional<WebSocketMessage>>> Receive(
      std::shared_ptr<State> self);
  static asio::awaitable<absl::StatusOr<std::optional<WebSocketMessage>>> ReceiveNext(
      std::shared_ptr<State> self);
  static asio::awaitable<absl::Status> WaitForRoom(std::shared_ptr<State> self, size_t bytes);
  static asio::awaitable<void> Finish(std::shared_ptr<State> self);
  void Fail(absl::Status status);
  void SendClose(uint16_t code, std::string_view reason);
  bool HasRoom(size_t bytes) const {
    return queued_bytes == 0 || queued_bytes + bytes <= options.max_queued_bytes;
  }
  uint32_t NextMask();

  asio::io_context& loop;
  std::unique_ptr<TlsStream> stream;
  const Role role;
  const WebSocketOptions options;
  WebSocketDecoder decoder;
  std::deque<std::string> out;
  size_t out_offset = 0;  // of out.front(): already taken by the socket
  size_t queued_bytes = 0;
  bool writing = false;
  bool receiving = false;
  bool close_sent = false;
  bool close_received = false;
  uint16_t close_code = 0;
  std::string close_reason;
  absl::Status failure;  // why it ended
  Event changed;         // the queue became shorter, or it all ended
  Event ended;
  std::string masks;  // random bytes in stock
};

uint32_t WebSocket::State::NextMask() {
  if (masks.size() < 4) {
    masks = SystemRandom().Bytes(256);
  }
  uint32_t key = 0;
  for (int i = 0; i < 4; ++i) {
    key = key << 8 | static_cast<unsigned char>(masks.back());
    masks.pop_back();
  }
  return key;
}

absl::Status WebSocket::State::Queue(WebSocketOpcode opcode, std::string_view payload) {
  if (ended.is_set() || close_sent) {
    return failure.ok() ? absl::UnavailableError("the connection is closed") : failure;
  }
  std::optional<uint32_t> mask;
  if (role == Role::kClient) {
    mask = NextMask();
  }
  out.push_back(EncodeWebSocketFrame(opcode, payload, mask));
  queued_bytes += out.back().size();
  close_sent = opcode == WebSocketOpcode::kClose;
  PushOut();
  return absl::OkStatus();
}

// Gives the socket what it takes at once; a coroutine does the rest, if any.
void WebSocket::State::PushOut() {
  if (writing) {
    return;
  }
  while (!out.empty()) {
    const std::string_view rest = std::string_view(out.front()).substr(out_offset);
    absl::StatusOr<std::optional<size_t>> taken = stream->TryWrite(rest);
    if (!taken.ok()) {
      Fail(taken.status());
      return;
    }
    if (!taken->has_value()) {
      writing = true;
      asio::co_spawn(loop, WriteOut(shared_from_this()), asio::detached);
      return;
    }
    out_offset += **taken;
    if (out_offset == out.front().size()) {
      queued_bytes -= out.front().size();
      out.pop_front();
      out_offset = 0;
    }
  }
  changed.Set();
}

asio::awaitable<void> WebSocket::State::WriteOut(std::shared_ptr<State> self) {
  while (self->writing) {
    absl::Status ready = co_await self->stream->Writable();
    self->writing = false;
    if (self->ended.is_set()) {
      co_return;
    }
    if (!ready.ok()) {
      self->Fail(ready);
      co_return;
    }
    const size_t before = self->queued_bytes;
    // As PushOut, but staying in this coroutine when the socket is full again.
    self->writing = true;
    while (!self->out.empty()) {
      const std::string_view rest = std::string_view(self->out.front()).substr(self->out_offset);
      absl::StatusOr<std::optional<size_t>> taken = self->stream->TryWrite(rest);
      if (!taken.ok()) {
        self->writing = false;
        self->Fail(taken.status());
        co_return;
      }
      if (!taken->has_value()) {
        break;
      }
      self->out_offset += **taken;
      if (self->out_offset == self->out.front().size()) {
        self->queued_bytes -= self->out.front().size();
        self->out.pop_front();
        self->out_offset = 0;
      }
    }
    self->writing = !self->out.empty();
    if (self->queued_bytes < before) {
      self->changed.Set();
    }
  }
}

void WebSocket::State::Fail(absl::Status status) {
  if (failure.ok()) {
    failure = std::move(status);
  }
  stream->Abort();
  ended.Set();
  changed.Set();
}

void WebSocket::State::SendClose(uint16_t code, std::string_view reason) {
  if (!close_sent) {
    // A peer that is gone will not mind.
    Queue(WebSocketOpcode::kClose, EncodeWebSocketClose(code, reason)).IgnoreError();
  }
}

asio::awaitable<void> WebSocket::State::KeepAlive(std::shared_ptr<State> self) {
  const WebSocketOptions& options = self->options;
  uint64_t heard_bytes = self->stream->bytes_received();
  SteadyClock::time_point heard = SteadyClock::now();
  bool pinged = false;
  for (;;) {
    const auto wake = heard + (pinged ? options.dead_after : options.ping_after);
    const auto now = SteadyClock::now();
    if (wake > now) {
      const bool over = co_await self->ended.WaitFor(wake - now);
      if (over) {
        co_return;
      }
    }
    if (self->stream->bytes_received() != heard_bytes) {
      heard_bytes = self->stream->bytes_received();
      heard = SteadyClock::now();
      pinged = false;
    } else if (pinged) {
      self->Fail(absl::UnavailableError(StrCat(self->stream->peer_address(), ": silent for ",
                                               options.dead_after.count(), " ms")));
      co_return;
    } else {
      pinged = true;
      self->Queue(WebSocketOpcode::kPing, "").IgnoreError();
    }
  }
}

// Our last frame is on its way: give it to the socket and close.
asio::awaitable<void> WebSocket::State::Finish(std::shared_ptr<State> self) {
  const auto deadline = SteadyClock::now() + std::chrono::seconds(2);
  while (!self->out.empty() && !self->ended.is_set() && SteadyClock::now() < deadline) {
    self->changed.Reset();
    co_await self->changed.WaitFor(deadline - SteadyClock::now());
  }
  self->stream->Close();
  self->ended.Set();
  self->changed.Set();
}

asio::awaitable<absl::StatusOr<std::optional<WebSocketMessage>>> WebSocket::State::ReceiveNext(
    std::shared_ptr<State> self) {
  char bytes[kReadBytes];
  for (;;) {
    std::optional<WebSocketEvent> event = self->decoder.Next();
    if (!event.has_value()) {
      if (self->decoder.violation().has_value()) {
        const WebSocketViolation violation = *self->decoder.violation();
        self->SendClose(violation.code, violation.what);
        co_await Finish(self);
        co_return absl::InvalidArgumentError(
            StrCat(self->stream->peer_address(), ": WebSocket: ", violation.what));
      }
      absl::StatusOr<size_t> got = co_await self->stream->Read(bytes, sizeof(bytes));
      if (absl::IsCancelled(got.status()) && !self->ended.is_set()) {
        co_return got.status();  // only this wait is over
      }
      if (!got.ok() || *got == 0) {
        self->Fail(got.ok() ? absl::UnavailableError(StrCat(self->stream->peer_address(),
                                                            ": closed without a goodbye"))
                            : got.status());
        co_return self->failure;
      }
      self->decoder.Push(std::string_view(bytes, *got));
      continue;
    }
    switch (event->kind) {
      case WebSocketEvent::Kind::kMessage: {
        std::optional<WebSocketMessage> message;
        message.emplace();
        message->binary = event->binary;
        message->bytes = std::move(event->bytes);
        co_return message;
      }
      case WebSocketEvent::Kind::kPing:
        // A peer that sends pings and reads nothing gets no queue of answers.
        if (self->HasRoom(event->bytes.size())) {
          self->Queue(WebSocketOpcode::kPong, event->bytes).IgnoreError();
        }
        break;
      case WebSocketEvent::Kind::kPong:
        break;
      case WebSocketEvent::Kind::kClose:
        self->close_received = true;
        self->close_code = event->code;
        self->close_reason = std::move(event->bytes);
        self->SendClose(kWebSocketNormal, "");
        co_await Finish(self);
        co_return std::optional<WebSocketMessage>();
    }
  }
}

asio::awaitable<absl::StatusOr<std::optional<WebSocketMessage>>> WebSocket::State::Receive(
    std::shared_ptr<State> self) {
  if (self->receiving) {
    co_return absl::InternalError("WebSocket: two receivers at a time");
  }
  if (self->ended.is_set()) {
    if (self->close_received || self->failure.ok()) {
      co_return std::optional<WebSocketMessage>();
    }
    co_return self->failure;
  }
  struct Receiving {
    explicit Receiving(bool& flag_in) : flag(flag_in) { flag = true; }
    ~Receiving() { flag = false; }
    bool& flag;
  };
  const Receiving receiving(self->receiving);
  co_return co_await ReceiveNext(self);
}

asio::awaitable<absl::Status> WebSocket::State::WaitForRoom(std::shared_ptr<State> self,
                                                            size_t bytes) {
  while (!self->ended.is_set() && !self->HasRoom(bytes)) {
    self->changed.Reset();
    co_await self->changed.Wait();
  }
  co_return absl::OkStatus();
}

WebSocket::WebSocket(asio::io_context& loop, std::unique_ptr<TlsStream> stream, Role role,
                     WebSocketOptions options, std::string buffered)
    : state_(std::make_shared<State>(loop, std::move(stream), role, std::move(options), buffered)) {
  if (state_->options.ping_after.count() > 0) {
    asio::co_spawn(loop, State::KeepAlive(state_), asio::detached);
  }
}

WebSocket::~WebSocket() { Abort(); }

absl::Status WebSocket::TrySend(WebSocketMessage message) {
  if (!state_->HasRoom(message.bytes.size())) {
    return absl::ResourceExhaustedError(
        StrCat(state_->stream->peer_address(), ": ", state_->queued_bytes,
               " bytes wait to be sent, no room for ", message.bytes.size()));
  }
  return state_->Queue(message.binary ? WebSocketOpcode::kBinary : WebSocketOpcode::kText,
                       message.bytes);
}

namespace {

WebSocketOpcode OpcodeOf(const WebSocketMessage& message) {
  return message.binary ? WebSocketOpcode::kBinary : WebSocketOpcode::kText;
}

}  // namespace

asio::awaitable<absl::Status> WebSocket::Send(WebSocketMessage message) {
  const std::shared_ptr<State> state = state_;
  absl::Status room = co_await State::WaitForRoom(state, message.bytes.size());
  co_return state->Queue(OpcodeOf(message), message.bytes);
}

asio::awaitable<absl::Status> WebSocket::Flush() {
  const std::shared_ptr<State> state = state_;
  while (!state->ended.is_set() && !state->out.empty()) {
    state->changed.Reset();
    co_await state->changed.Wait();
  }
  co_return state->out.empty() ? absl::OkStatus() : state->failure;
}

asio::awaitable<absl::StatusOr<std::optional<WebSocketMessage>>> WebSocket::Receive() {
  return State::Receive(state_);
}

asio::awaitable<void> WebSocket::Close(uint16_t code, std::string reason,
                                       std::chrono::milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  state->SendClose(code, reason);
  const auto deadline = SteadyClock::now() + limit;
  // Somebody must read the peer's goodbye.
  if (!state->receiving && !state->ended.is_set()) {
    auto drain = [](std::shared_ptr<State> self) -> asio::awaitable<absl::Status> {
      for (;;) {
        auto message = co_await State::Receive(self);
        if (!message.ok() || !message->has_value()) {
          co_return absl::OkStatus();
        }
      }
    };
    auto draining = drain(state);
    co_await WithDeadline(std::move(draining), limit, "closing");
  }
  while (!state->ended.is_set() && SteadyClock::now() < deadline) {
    co_await state->ended.WaitFor(deadline - SteadyClock::now());
  }
  if (!state->ended.is_set()) {
    state->Fail(absl::UnavailableError("the connection is closed"));
  }
}

void WebSocket::Abort() {
  if (!state_->ended.is_set()) {
    state_->Fail(absl::UnavailableError("the connection is closed"));
  }
}

bool WebSocket::is_open() const { return !state_->ended.is_set() && !state_->close_sent; }
uint16_t WebSocket::close_code() const { return state_->close_code; }
const std::string& WebSocket::close_reason() const { return state_->close_reason; }
TlsStream& WebSocket::connection() { return *state_->stream; }

namespace {

std::string UpgradeRequest(const WebSocket::Dial& dial, std::string_view key) {
  std::string head = StrCat("GET ", dial.path, " HTTP/1.1\r\nHost: ", dial.target.str(),
                            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
                            key, "\r\n");
  for (const auto& [name, value] : dial.headers) {
    head += StrCat(name, ": ", value, "\r\n");
  }
  head += "\r\n";
  return head;
}

absl::Status CheckUpgrade(const HttpReply& reply, std::string_view key) {
  if (reply.status == 101) {
    if (reply.headers.Get("Sec-WebSocket-Accept") != WebSocketAccept(key)) {
      return absl::UnavailableError("a wrong Sec-WebSocket-Accept");
    }
    return absl::OkStatus();
  }
  const std::string text = StrCat("answered ", reply.status, " ", HttpReason(reply.status), " ",
                                  reply.body.substr(0, 300));
  return reply.status < 500 ? absl::FailedPreconditionError(text) : absl::UnavailableError(text);
}

// Sends the request and reads the answer; `rest` is what came after it.
asio::awaitable<absl::Status> Upgrade(TlsStream& stream, const WebSocket::Dial& dial,
                                      std::string& rest) {
  const std::string key = Base64Encode(SystemRandom().Bytes(16));
  const std::string request = UpgradeRequest(dial, key);
  absl::Status sent = co_await stream.Write(request);
  if (!sent.ok()) {
    co_return sent;
  }
  HttpReply reply;
  HttpReplyParser parser(reply, kMaxUpgradeReplyBytes);
  char bytes[4096];
  while (!parser.done()) {
    absl::StatusOr<size_t> got = co_await stream.Read(bytes, sizeof(bytes));
    if (!got.ok()) {
      co_return got.status();
    }
    rest.append(bytes, *got);
    absl::Status parsed = *got == 0 ? parser.FinishAtEof() : parser.Push(rest);
    if (!parsed.ok()) {
      co_return parsed;
    }
    reply.body += parser.TakeBody();
    if (parser.header_done() && reply.status == 101) {
      break;
    }
    if (reply.body.size() + rest.size() > kMaxUpgradeReplyBytes) {
      break;
    }
  }
  co_return CheckUpgrade(reply, key);
}

}  // namespace

asio::awaitable<absl::StatusOr<std::unique_ptr<WebSocket>>> WebSocket::Connect(Dial dial) {
  const std::string name = StrCat(dial.target.str(), dial.path);
  auto connected = co_await TlsStream::Connect(dial.tls, dial.target, dial.limit);
  if (!connected.ok()) {
    co_return connected.status();
  }
  std::unique_ptr<TlsStream> stream = *std::move(connected);
  std::string rest;
  auto upgrading = Upgrade(*stream, dial, rest);
  absl::Status upgraded = co_await WithDeadline(std::move(upgrading), dial.limit, "WebSocket");
  if (!upgraded.ok()) {
    co_return Annotate(upgraded, name);
  }
  const auto executor = co_await asio::this_coro::executor;
  auto& loop = static_cast<asio::io_context&>(executor.context());
  co_return std::make_unique<WebSocket>(loop, std::move(stream), Role::kClient, dial.options,
                                        std::move(rest));
}

}  // namespace bramble
