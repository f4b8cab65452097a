// SPDX-License-Identifier: Apache-2.0
#include "controller/nodes/stream_broker.h"

#include "api/problem.h"
#include "base/encoding.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

constexpr size_t kTicketBytes = 24;
constexpr size_t kPushPiece = 64 * 1024;
constexpr std::chrono::seconds kPushResultLimit{60};

// From one end to the other until `from` has no more or `to` takes no more.
asio::awaitable<void> Pump(WebSocket& from, WebSocket& to) {
  while (true) {
    absl::StatusOr<std::optional<WebSocketMessage>> message = co_await from.Receive();
    if (!message.ok() || !message->has_value()) {
      co_return;
    }
    WebSocketMessage next = **std::move(message);
    if (const absl::Status sent = co_await to.Send(std::move(next)); !sent.ok()) {
      co_return;
    }
  }
}

struct BridgeEnds {
  std::unique_ptr<WebSocket> person;
  std::shared_ptr<NodeEnd> node;
};

asio::awaitable<void> PumpToNode(std::shared_ptr<BridgeEnds> ends) {
  co_await Pump(*ends->person, ends->node->socket());
  // The person has gone: the node ends the process.
  ends->node->socket().Abort();
}

// The result of a push; its receiver outlives a sender that was cancelled.
struct PushResult {
  explicit PushResult(asio::io_context& loop) : known(loop) {}
  Event known;
  absl::Status status;
};

asio::awaitable<absl::StatusOr<absl::Status>> ReceiveEnd(WebSocket& node) {
  while (true) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(const std::optional<WebSocketMessage> message,
                                co_await node.Receive());
    if (!message.has_value()) {
      co_return absl::UnavailableError("it closed the stream");
    }
    BRAMBLE_CO_ASSIGN_OR_RETURN(const StreamFrame frame, ParseFrame(*message));
    if (std::optional<absl::Status> end = EndOf(frame)) {
      co_return *std::move(end);
    }
  }
}

asio::awaitable<void> ReceivePushResult(std::shared_ptr<NodeEnd> node,
                                        std::shared_ptr<PushResult> result) {
  const absl::StatusOr<absl::Status> end = co_await ReceiveEnd(node->socket());
  result->status = end.ok() ? *end
                            : absl::UnavailableError(StrCat("stream: the node gave no result (",
                                                            MessageOf(end.status()),
                                                            "); look whether the file is there"));
  result->known.Set();
}

asio::awaitable<absl::Status> SendPieces(WebSocket& node, StreamBroker::NextPiece next,
                                         std::shared_ptr<PushResult> result) {
  while (!result->known.is_set()) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(const std::string piece, co_await next());
    if (piece.empty()) {
      WebSocketMessage end = MakeFrame(StreamChannel::kControl, R"({"eof":true})");
      (void)co_await node.Send(std::move(end));
      co_return absl::OkStatus();
    }
    for (size_t at = 0; at < piece.size(); at += kPushPiece) {
      WebSocketMessage frame =
          MakeFrame(StreamChannel::kIn, std::string_view(piece).substr(at, kPushPiece));
      // A node that takes no more has said why.
      if (const absl::Status sent = co_await node.Send(std::move(frame)); !sent.ok()) {
        co_return absl::OkStatus();
      }
    }
  }
  co_return absl::OkStatus();
}

}  // namespace

StreamBroker::StreamBroker(Parts parts) : parts_(parts), scope_(parts.loop, parts.log) {}

std::string StreamBroker::NewTicket() { return Base64UrlEncode(parts_.random.Bytes(kTicketBytes)); }

void StreamBroker::DropOldTickets() {
  const BootTime now = parts_.clock.Boot();
  std::erase_if(tickets_, [now](const auto& ticket) { return ticket.second.until <= now; });
}

absl::StatusOr<std::string> StreamBroker::Issue(Request request) {
  DropOldTickets();
  if (tickets_.size() >= kMaxTickets) {
    return absl::ResourceExhaustedError(StrCat("streams: ", tickets_.size(),
                                               " tickets wait to be used; try again in ",
                                               kTicketValid.count(), " s"));
  }
  std::string ticket = NewTicket();
  tickets_[ticket] =
      Ticket{.request = std::move(request), .until = parts_.clock.Boot() + kTicketValid};
  return ticket;
}

absl::StatusOr<StreamBroker::Request> StreamBroker::Redeem(const std::string& ticket) {
  DropOldTickets();
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) {
    return absl::NotFoundError(
        "stream: this ticket is not valid (any more): it is good once, within 30 s; ask for a new "
        "one");
  }
  Request request = std::move(found->second.request);
  tickets_.erase(found);
  return request;
}

asio::awaitable<absl::StatusOr<std::shared_ptr<NodeEnd>>> StreamBroker::Open(Request request) {
  if (awaited_.size() >= kMaxTickets) {
    co_return absl::ResourceExhaustedError("streams: too many are being opened; try again");
  }
  const std::string ticket = NewTicket();
  const auto awaited = std::make_shared<Awaited>(parts_.loop);
  awaited->node = request.target.node;
  request.stream.ticket = ticket;
  request.stream.container = request.target.container;
  const api::ControllerMessage message = std::move(request.stream);
  BRAMBLE_CO_RETURN_IF_ERROR(sessions_->Send(request.target.node, message));
  awaited_[ticket] = awaited;
  // Also when this task is cancelled while it waits.
  const std::shared_ptr<void> forget(nullptr, [this, ticket](void*) { awaited_.erase(ticket); });
  const bool arrived = co_await awaited->arrived.WaitFor(kNodeDialLimit);
  if (!arrived || awaited->end == nullptr) {
    co_return absl::UnavailableError(
        StrCat("node ", request.target.node.str(), ": did not open the stream within ",
               kNodeDialLimit.count(), " s; see `bramble node show`, and try again"));
  }
  co_return std::move(awaited->end);
}

asio::awaitable<void> StreamBroker::Bridge(std::unique_ptr<WebSocket> person,
                                           std::shared_ptr<NodeEnd> node) {
  const auto ends = std::make_shared<BridgeEnds>();
  ends->person = std::move(person);
  ends->node = std::move(node);
  Spawn(scope_, "stream_to_node", PumpToNode(ends));
  co_await Pump(ends->node->socket(), *ends->person);
  co_await ends->person->Close(kWebSocketNormal, "");
}

asio::awaitable<absl::Status> StreamBroker::Push(std::shared_ptr<NodeEnd> node, NextPiece next) {
  const auto result = std::make_shared<PushResult>(parts_.loop);
  Spawn(scope_, "push_result", ReceivePushResult(node, result));
  const absl::Status sent = co_await SendPieces(node->socket(), std::move(next), result);
  if (!sent.ok()) {
    node->socket().Abort();  // without an end: the node drops what it has
    co_return sent;
  }
  if (!co_await result->known.WaitFor(kPushResultLimit)) {
    node->socket().Abort();
    co_return absl::DeadlineExceededError(
        "push: the node gave no result within 60 s; look whether the file is there");
  }
  co_return result->status;
}

bool StreamBroker::IsAwaited(const std::string& ticket, const NodeId& node) const {
  const auto found = awaited_.find(ticket);
  return found != awaited_.end() && found->second->node == node;
}

asio::awaitable<void> StreamBroker::ServeNode(std::string ticket,
                                              std::unique_ptr<WebSocket> socket) {
  const auto found = awaited_.find(ticket);
  if (found == awaited_.end()) {
    co_return;
  }
  const std::shared_ptr<Awaited> awaited = found->second;
  awaited_.erase(found);
  // The end outlives this task's interest in it: only its release is waited for.
  const auto released = std::make_shared<Event>(parts_.loop);
  awaited->end = std::shared_ptr<NodeEnd>(new NodeEnd(std::move(socket)), [released](NodeEnd* end) {
    delete end;
    released->Set();
  });
  const std::weak_ptr<NodeEnd> end = awaited->end;
  // When the server stops this task is cancelled: then the stream ends too.
  const std::shared_ptr<void> abort(nullptr, [end](void*) {
    if (const std::shared_ptr<NodeEnd> still = end.lock()) {
      still->socket().Abort();
    }
  });
  awaited->arrived.Set();
  co_await released->Wait();
}

WebSocketMessage MakeFrame(StreamChannel channel, std::string_view bytes) {
  WebSocketMessage message{.binary = true};
  message.bytes.reserve(bytes.size() + 1);
  message.bytes += static_cast<char>(channel);
  message.bytes += bytes;
  return message;
}

absl::StatusOr<StreamFrame> ParseFrame(const WebSocketMessage& message) {
  if (!message.binary || message.bytes.empty() || message.bytes[0] < 0 || message.bytes[0] > 3) {
    return absl::InvalidArgumentError("stream: a frame is binary and begins with a channel 0 to 3");
  }
  return StreamFrame{.channel = static_cast<StreamChannel>(message.bytes[0]),
                     .bytes = std::string_view(message.bytes).substr(1)};
}

std::optional<absl::Status> EndOf(const StreamFrame& frame) {
  if (frame.channel != StreamChannel::kControl) {
    return std::nullopt;
  }
  const absl::StatusOr<json::value> parsed = ParseJson(frame.bytes);
  if (!parsed.ok() || !parsed->is_object()) {
    return absl::InvalidArgumentError("stream: the node sent a control frame that is not JSON");
  }
  JsonObjectReader reader(*parsed, "control");
  const StringLimits text{.max = 65536, .allow_control = true};
  if (const std::optional<std::string> error = reader.OptionalString("error", text)) {
    const std::string code = reader.OptionalString("code").value_or("unavailable");
    // Our codes map to a status by the table of api/problem.cc.
    for (int each = 1; each <= 16; ++each) {
      const absl::Status status(static_cast<absl::StatusCode>(each), *error);
      if (api::ProblemOf(status).code == code) {
        return status;
      }
    }
    return absl::UnavailableError(*error);
  }
  if (const json::value* exit = reader.Find("exit"); exit != nullptr) {
    JsonObjectReader fields(*exit, "control.exit");
    const int64_t code = fields.OptionalInt("code").value_or(0);
    return code == 0 ? absl::OkStatus()
                     : absl::UnavailableError(StrCat("stream: ended with code ", code));
  }
  if (reader.OptionalBool("eof").value_or(false)) {
    return absl::OkStatus();
  }
  return std::nullopt;
}

}  // namespace bramble::controller
