// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "base/asio.h"

namespace bramble::node {

// A container as its network needs to know it.
struct NetworkContainer {
  // As desired; of one that nobody desires (an orphan), as it was started.
  api::NodeContainer definition;
  pid_t init_pid = 0;             // 0: it does not run
  uint64_t init_start_ticks = 0;  // with the pid, names one process
  friend bool operator==(const NetworkContainer&, const NetworkContainer&) = default;
};

// What the agent tells of its containers to whoever filters, names and limits their traffic.
// ClusterNetwork is the real one.  Loop only.
class ContainerNetwork {
 public:
  virtual ~ContainerNetwork() = default;

  // Returns when a start of this container can send nothing that it may not: a port of which no
  // rule tells is closed, and its rules follow at once.  On an error it is not to be started.
  virtual asio::awaitable<absl::Status> Prepare(api::NodeContainer container) = 0;

  // All containers of this node, running or not.
  virtual void SetContainers(std::vector<NetworkContainer> containers) = 0;
};

// The end of the container's link on this node: "vb-" and the end of its id, at most 15 bytes.
std::string HostInterfaceOf(const ContainerId& id);
inline constexpr char kHostInterfacePrefix[] = "vb-";

}  // namespace bramble::node
