// SPDX-License-Identifier: Apache-2.0
#pragma once

// Joins the two ends of a stream into a container (exec, console, logs, push, pull): the person's
// on 8443 and the node's on 8444, each known by a one-time ticket.
//
// Frames are binary WebSocket messages whose first byte is the channel.  A slow end holds the other
// one back: neither side's queue grows beyond StreamSocketOptions.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "api/node_protocol.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/scope.h"
#include "base/timer.h"
#include "base/websocket.h"
#include "controller/coordinator_containers.h"
#include "controller/coordinator_sessions.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

enum class StreamChannel : char { kIn = 0, kOut = 1, kError = 2, kControl = 3 };

inline constexpr std::chrono::seconds kTicketValid{30};
inline constexpr std::chrono::seconds kNodeDialLimit{10};
inline constexpr size_t kMaxTickets = 1000;
inline WebSocketOptions StreamSocketOptions() {
  return {.max_message_bytes = 1 << 20, .max_queued_bytes = 1 << 20};
}

// The node's WebSocket, held by whoever serves the person.  Letting go of it ends the stream.
class NodeEnd {
 public:
  explicit NodeEnd(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  WebSocket& socket() { return *socket_; }

 private:
  std::unique_ptr<WebSocket> socket_;
};

// Loop only.
class StreamBroker {
 public:
  struct Parts {
    asio::io_context& loop;
    const Clock& clock;
    Random& random;
    Logger log;
  };
  explicit StreamBroker(Parts parts);

  // `sessions` must be set before anything else is called.
  void SetSessions(NodeSessions* sessions) { sessions_ = sessions; }

  // ---- the person's side

  struct Request {
    StreamTarget target;
    api::OpenStream stream;  // its ticket and container are filled in by Open
  };
  // A ticket by which the request is redeemed, once, within kTicketValid.  kResourceExhausted: too
  // many are outstanding.
  absl::StatusOr<std::string> Issue(Request request);
  // kNotFound: unknown, used, or run out.
  absl::StatusOr<Request> Redeem(const std::string& ticket);

  // Has the node dial, and gives its end.  kUnavailable: it is not connected, or did not dial.
  asio::awaitable<absl::StatusOr<std::shared_ptr<NodeEnd>>> Open(Request request);

  // Carries messages both ways until one end is done.
  asio::awaitable<void> Bridge(std::unique_ptr<WebSocket> person, std::shared_ptr<NodeEnd> node);

  // Sends what `next` gives, until it gives nothing, as the file of a push, and gives the node's
  // result, which may come before the end.
  using NextPiece = std::function<asio::awaitable<absl::StatusOr<std::string>>()>;
  asio::awaitable<absl::Status> Push(std::shared_ptr<NodeEnd> node, NextPiece next);

  // ---- the node's side

  // Whether `node` was asked to dial with `ticket`.
  bool IsAwaited(const std::string& ticket, const NodeId& node) const;
  // Hands the node's WebSocket over; ends when the stream has.
  asio::awaitable<void> ServeNode(std::string ticket, std::unique_ptr<WebSocket> socket);

 private:
  struct Ticket {
    Request request;
    BootTime until;
  };
  struct Awaited {
    explicit Awaited(asio::io_context& loop) : arrived(loop) {}
    NodeId node;
    Event arrived;
    std::shared_ptr<NodeEnd> end;
  };

  std::string NewTicket();
  void DropOldTickets();

  Parts parts_;
  NodeSessions* sessions_ = nullptr;
  std::map<std::string, Ticket> tickets_;
  std::map<std::string, std::shared_ptr<Awaited>> awaited_;
  Scope scope_;
};

// ---- frames

WebSocketMessage MakeFrame(StreamChannel channel, std::string_view bytes);

struct StreamFrame {
  StreamChannel channel = StreamChannel::kControl;
  std::string_view bytes;
};
// kInvalidArgument: not a frame.
absl::StatusOr<StreamFrame> ParseFrame(const WebSocketMessage& message);

// What a control frame says about the stream's end: nullopt when it says nothing of it.  OK for
// {"eof": true} and {"exit": {"code": 0}}; {"error": "…", "code": "not_found"} is that status.
std::optional<absl::Status> EndOf(const StreamFrame& frame);

}  // namespace bramble::controller
