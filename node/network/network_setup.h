// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/asio.h"
#include "base/log.h"
#include "node/network/bridge_plan.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The network of this node.  IpNetworkSetup is the real one.
class NetworkSetup {
 public:
  virtual ~NetworkSetup() = default;
  // Makes it so; what is so already is left alone.  Called at start and when the address changes.
  virtual asio::awaitable<absl::Status> Apply(BridgeSetting setting) = 0;
};

// By iproute2's `ip`.
class IpNetworkSetup : public NetworkSetup {
 public:
  explicit IpNetworkSetup(Logger log) : log_(log) {}
  asio::awaitable<absl::Status> Apply(BridgeSetting setting) override;

 private:
  const Logger log_;
};

}  // namespace bramble::node
