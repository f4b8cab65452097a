// SPDX-License-Identifier: Apache-2.0
#pragma once

// The network of this node's containers, put together: what the controller sent (NodeNetwork and
// Names, kept in the journal) and what the agent runs become packet filter, bandwidth limits,
// floating addresses, and what DHCP and DNS say.  Decisions are in policy_mapping.h and
// nft_rules.h; this carries them.
//
// Nothing here needs the controller once it has spoken.  Loop only.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/timer.h"
#include "node/network/arp_channel.h"
#include "node/network/container_network.h"
#include "node/network/dhcp_server.h"
#include "node/network/dns_server.h"
#include "node/network/packet_filter.h"
#include "node/network/policy_mapping.h"
#include "node/network/port_setup.h"

namespace bramble::node {

// Where the answers of DHCP and DNS are given; NameServers is the real one.
class NameService {
 public:
  virtual ~NameService() = default;
  virtual void SetHosts(std::vector<DhcpPort> hosts, Ipv4 server) = 0;
  virtual void SetClients(std::set<Ipv4> clients) = 0;
  virtual void SetNames(const api::Names& names) = 0;
};

class ClusterNetwork : public ContainerNetwork {
 public:
  struct Parts {
    asio::io_context& loop;
    const Clock& clock;
    PacketFilter& filter;
    PortSetup& ports;
    NameService& names;
    // Says to the LAN that `address` is at `mac`; in routed mode the node's own MAC is meant.
    std::function<void(MacAddress mac, Ipv4 address)> announce;
    Logger log;
  };
  explicit ClusterNetwork(Parts parts);
  ClusterNetwork(const ClusterNetwork&) = delete;
  ClusterNetwork& operator=(const ClusterNetwork&) = delete;
  ~ClusterNetwork() override;

  // From the journal, or from the controller.  False: older than what is in force, or the same.
  bool SetNetwork(api::NodeNetwork network);
  bool SetNames(api::Names names);
  const std::optional<api::NodeNetwork>& network() const { return network_; }
  const std::optional<api::Names>& names() const { return names_; }

  // The node's own address, when it has one or another.
  void SetOwnAddress(Ipv4 address);

  asio::awaitable<absl::Status> Prepare(api::NodeContainer container) override;
  void SetContainers(std::vector<NetworkContainer> containers) override;

  // A port came, or anything may have.
  void OnPortChange();
  // Another station claims `address`.
  void OnArp(const ArpFrame& frame);
  // Announces all that is here: the uplink was away.
  void AnnounceAll();

  // Addresses of all containers here, floating ones too.
  std::vector<Ipv4> addresses() const;
  // Adds what it knows.
  void FillReport(api::NetworkReport& report) const;
  // Set when FillReport may have changed, or addresses().
  Event& changed() { return changed_; }

  // Until what was asked for is in force.  For tests, and before the first container.
  asio::awaitable<absl::Status> Settle();

 private:
  void Replan();
  asio::awaitable<void> KeepFilter();
  asio::awaitable<void> KeepPorts();
  asio::awaitable<void> Announce(MacAddress mac, std::vector<Ipv4> addresses);
  asio::awaitable<void> SetInside();

  const Parts parts_;
  const Logger log_;
  std::optional<api::NodeNetwork> network_;
  std::optional<api::Names> names_;
  Ipv4 own_;
  std::vector<NetworkContainer> containers_;
  std::map<ContainerId, api::NodeContainer> starting_;  // asked by Prepare, not told of yet
  NetworkPlan plan_;

  uint64_t wanted_ = 1;   // counts changes of the plan
  uint64_t applied_ = 0;  // the last one that was tried
  std::string in_force_;  // the rules
  bool touched_ = false;
  absl::Status filter_status_;
  absl::Status ports_status_;
  api::Version network_applied_;
  std::map<ContainerId, uint64_t> inside_;  // start ticks of the run whose addresses were checked
  std::map<Ipv4, std::pair<MacAddress, BootTime>> rivals_;

  Event filter_dirty_;
  Event filter_done_;
  Event ports_dirty_;
  Event changed_;
  Scope scope_;
};

}  // namespace bramble::node
