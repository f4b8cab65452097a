// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/asio.h"
#include "base/log.h"
#include "base/random.h"
#include "base/scope.h"
#include "base/timer.h"
#include "node/network/dns_answer.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// Answers the containers of this node by DNS, UDP and TCP, on its bridge.  Loop only.
//
// What is forwarded goes out from a port and with an id of its own each time (RFC 5452), to each
// forwarder in turn; an answer is passed on as it came.
class DnsServer {
 public:
  struct Limits {
    int forwards = 256;    // under way; more are answered with "server failure"
    int connections = 64;  // of TCP
    std::chrono::milliseconds forward_wait{1'500};  // for each forwarder
    std::chrono::milliseconds connection_wait{5'000};
  };
  // Binds UDP to port 53 of `interface` ("" and another port, both for UDP and TCP: for tests).
  // kUnavailable: it is taken.
  static absl::StatusOr<std::unique_ptr<DnsServer>> Open(asio::io_context& loop,
                                                         const std::string& interface,
                                                         uint16_t port, Random& random,
                                                         Limits limits, Logger log);
  ~DnsServer();

  // Takes TCP connections at this address of ours: at every one would want the port of the whole
  // machine, where systemd-resolved has 127.0.0.53.  While it is taken that is logged, and tried
  // again every 5 s.
  void SetAddress(Ipv4 address);
  void SetZone(DnsZone zone) { zone_ = std::move(zone); }
  // "172.16.0.1", port 53; or another port, for tests.
  void SetForwarders(std::vector<std::pair<Ipv4, uint16_t>> forwarders) {
    forwarders_ = std::move(forwarders);
  }
  // Only these are answered.
  void SetClients(std::set<Ipv4> clients) { clients_ = std::move(clients); }
  uint16_t port() const { return port_; }

 private:
  using Udp = asio::ip::udp;
  using Tcp = asio::ip::tcp;

  DnsServer(asio::io_context& loop, std::string interface, Udp::socket udp, Random& random,
            Limits limits, Logger log);
  absl::Status Listen();
  asio::awaitable<void> ServeUdp();
  asio::awaitable<void> ServeTcp();
  asio::awaitable<void> ServeConnection(Tcp::socket socket);
  asio::awaitable<absl::Status> Talk(Tcp::socket& socket);
  asio::awaitable<void> ForwardUdp(std::string message, DnsQuery query, Udp::endpoint client);
  // What to answer; nullopt: it has to be forwarded.
  std::optional<std::string> AnswerHere(std::string_view message, const DnsQuery& query,
                                        size_t max_bytes);
  // nullopt: no forwarder answers.
  asio::awaitable<std::optional<std::string>> Forward(std::string message, DnsQuery query,
                                                      bool by_tcp);
  asio::awaitable<absl::StatusOr<std::string>> AskUdp(std::string message, Udp::endpoint server,
                                                      DnsQuery query);
  asio::awaitable<absl::StatusOr<std::string>> AskTcp(std::string message, Tcp::endpoint server);

  asio::io_context& loop_;
  const std::string interface_;
  Udp::socket udp_;
  Tcp::acceptor tcp_;
  Random& random_;
  const Limits limits_;
  const Logger log_;
  const uint16_t port_;
  DnsZone zone_;
  std::vector<std::pair<Ipv4, uint16_t>> forwarders_;
  std::set<Ipv4> clients_;
  Ipv4 address_;  // where TCP connections are taken; empty: nowhere yet
  Event moved_;
  int forwards_ = 0;
  int connections_ = 0;
  Scope scope_;
};

}  // namespace bramble::node
