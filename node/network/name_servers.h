// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/scope.h"
#include "node/network/cluster_network.h"

namespace bramble::node {

// DHCP and DNS for the containers on one bridge.  Both are opened once the bridge is there, and
// tried again where their ports are taken.  Loop only.
class NameServers : public NameService {
 public:
  NameServers(asio::io_context& loop, std::string bridge, Random& random, Logger log);
  ~NameServers() override;

  void SetHosts(std::vector<DhcpPort> hosts, Ipv4 server) override;
  void SetClients(std::set<Ipv4> clients) override;
  void SetNames(const api::Names& names) override;

 private:
  asio::awaitable<void> Open();
  void Fill();

  asio::io_context& loop_;
  const std::string bridge_;
  Random& random_;
  const Logger log_;
  std::vector<DhcpPort> hosts_;
  Ipv4 server_;
  std::set<Ipv4> clients_;
  std::optional<api::Names> names_;
  std::unique_ptr<DhcpServer> dhcp_;
  std::unique_ptr<DnsServer> dns_;
  Scope scope_;
};

}  // namespace bramble::node
