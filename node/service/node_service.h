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
#include "node/health/indicator.h"
#include "node/health/inventory.h"
#include "node/lease/lease_client.h"
#include "node/network/network_setup.h"
#include "node/runtime/container_access.h"
#include "node/service/status_server.h"
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
  BridgeSetting Bridge() const;
  asio::awaitable<void> KeepNetwork();
  asio::awaitable<void> KeepDiskFree();
  std::vector<api::Condition> Conditions() const;
  Uplink::Options UplinkOptions(const Parts& parts, PrivateKey key);

  asio::io_context& loop_;
  const Clock& clock_;
  NetworkSetup& network_;
  const NodeConfig config_;
  const NodePaths paths_;
  const KernelRoots roots_;
  const Logger log_;

  Lane disk_lane_{"node-disk"};
  Journal journal_;
  ControllerAccess access_;
  BlobSource source_;
  LeaseClient leases_;
  Agent agent_;
  StreamServer streams_;
  CommandRunner commands_;
  Uplink uplink_;
  StatusServer status_;
  std::string confirmed_address_;  // "172.16.0.11/24", from the controller
  absl::Status network_status_;
  Event network_dirty_;
  Scope scope_;
};

}  // namespace bramble::node
