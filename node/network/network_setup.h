// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/asio.h"
#include "base/log.h"
#include "node/network/bridge_plan.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The network of this node.  IpNetworkSetup is the real one, FakeNetworkSetup is in fake_lan.h.
class NetworkSetup {
 public:
  virtual ~NetworkSetup() = default;
  // Makes it so; what is so already is left alone.  Called at start and when the address changes.
  virtual asio::awaitable<absl::Status> Apply(BridgeSetting setting) = 0;
  // What is there now.
  virtual asio::awaitable<absl::StatusOr<NetworkFacts>> Look() = 0;
  // Whether `port` is a radio (Wi-Fi): its access point takes no foreign MACs.
  virtual bool IsWireless(const std::string& port) = 0;
};

// By iproute2's `ip`; of a radio the power save is switched off by `iw`, since it sleeps through
// the ARP requests for containers.
class IpNetworkSetup : public NetworkSetup {
 public:
  explicit IpNetworkSetup(Logger log) : log_(log) {}
  asio::awaitable<absl::Status> Apply(BridgeSetting setting) override;
  asio::awaitable<absl::StatusOr<NetworkFacts>> Look() override;
  bool IsWireless(const std::string& port) override;

 private:
  asio::awaitable<absl::Status> SetRouting(BridgeSetting setting);

  const Logger log_;
};

}  // namespace bramble::node
