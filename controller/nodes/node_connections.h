// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/scope.h"
#include "base/websocket.h"
#include "controller/coordinator_sessions.h"
#include "controller/seams.h"

namespace bramble::controller {

// The WebSockets of connected nodes, /v1/node on 8444: carries messages between them and the
// coordinator.  Loop only.
class NodeConnections : public NodeLinks {
 public:
  NodeConnections(asio::io_context& loop, Logger log);
  ~NodeConnections() override;

  // Must be set before the first connection.
  void SetSessions(NodeSessions* sessions) { sessions_ = sessions; }

  // Serves one connection of `node` until it ends.
  asio::awaitable<void> Serve(NodeId node, std::unique_ptr<WebSocket> socket);

  void Send(LinkId link, SharedText message) override;
  void Close(LinkId link, std::string reason) override;

  size_t size() const { return links_.size(); }

 private:
  struct Link {
    NodeId node;
    std::unique_ptr<WebSocket> socket;
    bool closing = false;  // the coordinator wants to hear no more of it
  };

  asio::awaitable<void> ReceiveAll(LinkId id, std::shared_ptr<Link> link);
  asio::awaitable<void> CloseLink(std::shared_ptr<Link> link, std::string reason);

  const Logger log_;
  NodeSessions* sessions_ = nullptr;
  LinkId next_ = 1;
  std::map<LinkId, std::shared_ptr<Link>> links_;
  Scope scope_;
};

}  // namespace bramble::controller
