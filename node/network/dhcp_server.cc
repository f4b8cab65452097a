// SPDX-License-Identifier: Apache-2.0
#include "node/network/dhcp_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/status.h"
#include "node/network/packet_socket.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxRequestBytes = 1500;

}  // namespace

struct DhcpServer::Sockets {
  asio::posix::stream_descriptor requests;  // UDP
  Fd answers;                               // packets
};

absl::StatusOr<std::unique_ptr<DhcpServer>> DhcpServer::Open(asio::io_context& loop,
                                                             const std::string& bridge,
                                                             Logger log) {
  Fd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  sockaddr_in any = {};
  any.sin_family = AF_INET;
  any.sin_port = htons(kDhcpServerPort);
  if (!udp.valid() ||
      ::setsockopt(udp.get(), SOL_SOCKET, SO_BINDTODEVICE, bridge.c_str(), bridge.size()) != 0 ||
      ::setsockopt(udp.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::setsockopt(udp.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) != 0 ||
      ::bind(udp.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0) {
    return absl::UnavailableError(StrCat("DHCP for containers on ", bridge, ": ", strerror(errno)));
  }
  BRAMBLE_ASSIGN_OR_RETURN(Fd packets, OpenPacketSocket(0, 0));
  auto sockets = std::unique_ptr<Sockets>(
      new Sockets{.requests = asio::posix::stream_descriptor(loop, udp.Release()),
                  .answers = std::move(packets)});
  return std::unique_ptr<DhcpServer>(new DhcpServer(loop, std::move(sockets), log));
}

DhcpServer::DhcpServer(asio::io_context& loop, std::unique_ptr<Sockets> sockets, Logger log)
    : log_(log), sockets_(std::move(sockets)), scope_(loop, log) {
  Spawn(scope_, "dhcp", Read());
}

DhcpServer::~DhcpServer() = default;

void DhcpServer::SetHosts(std::vector<DhcpPort> hosts, Ipv4 server) {
  server_ = server;
  hosts_.clear();
  for (DhcpPort& port : hosts) {
    const MacAddress mac = port.host.mac;
    hosts_.emplace(mac, std::move(port));
  }
}

asio::awaitable<void> DhcpServer::Read() {
  std::array<char, kMaxRequestBytes> buffer;
  while (true) {
    co_await sockets_->requests.async_wait(asio::posix::stream_descriptor::wait_read,
                                           asio::use_awaitable);
    const ssize_t n =
        ::recv(sockets_->requests.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) {
      Answer({buffer.data(), static_cast<size_t>(n)});
    }
  }
}

// Who asks is known by the MAC that it names.  Where that is another's, this other one is sent what
// is true of it anyway.
void DhcpServer::Answer(std::string_view payload) {
  const std::optional<DhcpRequest> request = DecodeDhcpRequest(payload);
  if (!request.has_value() || server_.empty()) {
    return;
  }
  const auto found = hosts_.find(request->mac);
  if (found == hosts_.end()) {
    return;  // a laptop on the LAN: not ours
  }
  const DhcpPort& port = found->second;
  const std::optional<std::string> answer = AnswerDhcp(*request, port.host, server_);
  const absl::StatusOr<Interface> interface = FindInterface(port.interface);
  if (!answer.has_value() || !interface.ok()) {
    return;
  }
  const std::string frame =
      DhcpFrame(*answer, interface->mac, server_, port.host.mac, port.host.address.address);
  if (const absl::Status sent = SendFrame(sockets_->answers.get(), interface->index, frame);
      !sent.ok()) {
    log_.Warn("dhcp_not_answered", {{"port", port.interface}, {"error", sent}});
  }
}

}  // namespace bramble::node
