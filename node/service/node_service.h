// SPDX-License-Identifier: Apache-2.0
#pragma once

// One node, put together: everything of bramble-node but the program around it, so that a test runs
// several in one process.

#include <memory>
#include <string>

#include "base/scope.h"
#include "node/agent/agent.h"
#include "node/clock/wall_setter.h"
#include "node/config/node_config.h"
#include "node/health/gpio.h"
#include "node/health/indicator.h"
#include "node/health/inventory.h"
#include "node/lease/lease_client.h"
#include "node/network/cluster_network.h"
#include "node/network/lan_keeper.h"
#include "node/network/network_setup.h"
#include "node/runtime/container_access.h"
#include "node/service/status_server.h"
#include "node/uplink/blob_board.h"
#include "node/uplink/blob_server.h"
#include "node/uplink/blob_source.h"
#include "node/uplink/command_runner.h"
#include "node/uplink/stream_server.h"
#include "node/uplink/uplink.h"

namespace bramble::node {

class NodeService {
 public:
  struct Parts {
    asio::io_context& loop;
    const Clock& clock;
    Random& random;
    Disk& disk;
    ContainerRuntime& runtime;
    ContainerAccess& access;
    ImageCache& images;
    NetworkSetup& network;
    Indicator& indicator;
    GpioChips& gpio;
    PacketFilter& filter;
    PortSetup& ports;
    NameService& names;
    // None: no ARP, and no notices of interfaces (tests without a kernel).
    LanKeeper::OpenArp open_arp;
    CommandRunner::Machine machine;
    std::function<std::string(const ContainerId&)> cgroup_of;  // as Agent::Options has it
    WallSetter* wall_setter = nullptr;  // nullptr: the machine's clock is not ours to set
    WallTime time_floor{};
    Logger log;
  };

  // `config.join_token` holds the token itself, whichever way it was given.
  NodeService(Parts parts, NodeConfig config, PrivateKey key);
  NodeService(const NodeService&) = delete;
  NodeService& operator=(const NodeService&) = delete;
  ~NodeService();

  // Sets the network up, takes over what runs, and starts what the journal says; the connection to
  // the controller follows by itself.  Only what makes all of it pointless is an error.
  asio::awaitable<absl::Status> Start();
  // Containers run on.
  asio::awaitable<void> Stop();
  // Joins a controller and does nothing else.
  asio::awaitable<absl::Status> Join();

  Agent& agent() { return agent_; }
  const UplinkState& uplink_state() const { return uplink_.state(); }
  // As `bramble-node status -o json` prints it.
  std::string StatusText() const;

 private:
  asio::awaitable<void> StartNetwork();
  asio::awaitable<void> KeepNetworkJournal();
  void OnConfirmed(Ipv4Interface address, Ipv4Prefix prefix);
  void OnNetwork(api::NodeNetwork network);
  void OnNames(api::Names names);
  void OnLanChange();
  api::NetworkReport NetworkReport() const;
  asio::awaitable<void> KeepDiskFree();
  std::vector<api::Condition> Conditions() const;
  Uplink::Options UplinkOptions(const Parts& parts, PrivateKey key);

  asio::io_context& loop_;
  const Clock& clock_;
  const NodeConfig config_;
  const NodePaths paths_;
  const KernelRoots roots_;
  GpioChips& gpio_;
  const Logger log_;

  Lane disk_lane_{"node-disk"};
  Journal journal_;
  ControllerAccess access_;
  BlobBoard board_;
  BlobSource source_;
  LeaseClient leases_;
  LanKeeper lan_;
  ClusterNetwork network_;
  std::unique_ptr<LinkWatch> links_;
  Agent agent_;
  StreamServer streams_;
  CommandRunner commands_;
  Uplink uplink_;
  BlobServer blobs_;
  StatusServer status_;
  absl::Status network_journal_status_;
  Event network_dirty_;  // what the controller said of it is not in the journal yet
  Scope scope_;
};

}  // namespace bramble::node
