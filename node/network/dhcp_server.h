// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/log.h"
#include "base/scope.h"
#include "node/network/dhcp_answer.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// A container's port, beside what DHCP says to it.
struct DhcpPort {
  std::string interface;  // where the answer goes out, and nowhere else
  DhcpHost host;
};

// Answers DHCP on the bridge, to containers of this node only: an answer leaves by the container's
// own port as a frame, so that nobody else hears it.  Loop only.
class DhcpServer {
 public:
  // kUnavailable: the port is taken (another DHCP server on this machine).
  static absl::StatusOr<std::unique_ptr<DhcpServer>> Open(asio::io_context& loop,
                                                          const std::string& bridge, Logger log);
  ~DhcpServer();

  // `server` is this node's address; answers wait until there is one.
  void SetHosts(std::vector<DhcpPort> hosts, Ipv4 server);

 private:
  struct Sockets;
  DhcpServer(asio::io_context& loop, std::unique_ptr<Sockets> sockets, Logger log);
  asio::awaitable<void> Read();
  void Answer(std::string_view payload);

  const Logger log_;
  std::unique_ptr<Sockets> sockets_;
  std::map<MacAddress, DhcpPort> hosts_;
  Ipv4 server_;
  Scope scope_;
};

}  // namespace bramble::node
