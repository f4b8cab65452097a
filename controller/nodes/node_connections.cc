// SPDX-License-Identifier: Apache-2.0
#include "controller/nodes/node_connections.h"

#include <algorithm>

#include "base/status.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxCloseReason = 120;  // RFC 6455, 5.5: a control frame bears 125 bytes

}  // namespace

NodeConnections::NodeConnections(asio::io_context& loop, Logger log)
    : log_(log), scope_(loop, log) {}

NodeConnections::~NodeConnections() = default;

asio::awaitable<void> NodeConnections::Serve(NodeId node, std::unique_ptr<WebSocket> socket) {
  const LinkId id = next_++;
  const auto link = std::make_shared<Link>();
  link->node = node;
  link->socket = std::move(socket);
  links_[id] = link;
  // Also when this task is cancelled.
  const std::shared_ptr<void> end(nullptr, [this, id, link](void*) {
    links_.erase(id);
    if (!link->closing) {
      sessions_->OnDisconnected(id);
    }
  });
  const std::string peer = link->socket->connection().peer_address();
  log_.Info("node_connected", {{"node", node}, {"link", id}, {"address", peer}});
  sessions_->OnConnected(id, node, peer);
  co_await ReceiveAll(id, link);
}

asio::awaitable<void> NodeConnections::ReceiveAll(LinkId id, std::shared_ptr<Link> link) {
  while (true) {
    absl::StatusOr<std::optional<WebSocketMessage>> received = co_await link->socket->Receive();
    if (!received.ok() || !received->has_value()) {
      log_.Info("node_disconnected", {{"node", link->node},
                                      {"link", id},
                                      {"cause", received.ok() ? link->socket->close_reason()
                                                              : received.status().ToString()}});
      co_return;
    }
    if (link->closing) {
      continue;
    }
    absl::StatusOr<api::NodeMessage> message = api::DecodeNodeMessage((*received)->bytes);
    if (absl::IsUnimplemented(message.status())) {
      log_.Warn("node_message_unknown", {{"node", link->node}, {"error", message.status()}});
      continue;
    }
    if (!message.ok()) {
      log_.Warn("node_message_bad", {{"node", link->node}, {"error", message.status()}});
      std::string reason(MessageOf(message.status()).substr(0, kMaxCloseReason));
      co_await link->socket->Close(kWebSocketProtocolError, std::move(reason));
      co_return;
    }
    sessions_->OnMessage(id, *std::move(message));
  }
}

void NodeConnections::Send(LinkId link, SharedText message) {
  const auto found = links_.find(link);
  if (found == links_.end() || found->second->closing) {
    return;
  }
  WebSocketMessage text{.binary = false, .bytes = *message};
  if (absl::Status status = found->second->socket->TrySend(std::move(text)); !status.ok()) {
    log_.Warn("node_link_dropped", {{"node", found->second->node}, {"error", status}});
    found->second->socket->Abort();
  }
}

void NodeConnections::Close(LinkId link, std::string reason) {
  const auto found = links_.find(link);
  if (found == links_.end() || found->second->closing) {
    return;
  }
  found->second->closing = true;
  Spawn(scope_, "node_link_close", CloseLink(found->second, std::move(reason)));
}

asio::awaitable<void> NodeConnections::CloseLink(std::shared_ptr<Link> link, std::string reason) {
  co_await link->socket->Close(kWebSocketPolicy, reason.substr(0, kMaxCloseReason));
  link->socket->Abort();
}

}  // namespace bramble::controller
