// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace bramble::node {

// Where the node keeps things.  The only place that builds these paths.
//
//   STATE (/var/lib/bramble/node)       on the card: written only when something changed
//   ├── node.key                        the node's private key; made here, never leaves
//   ├── identity.{0,1}                  who it is: id, name, certificate, CA, the controller's key
//   ├── desired.{0,1}                   the last desired state
//   ├── session.{0,1}                   the rolling session value
//   ├── network.{0,1}                   addresses, sets and rules, as the controller last sent them
//   ├── names.{0,1}                     the name zone, likewise
//   ├── uplink-routed                   it was found out that the uplink takes no foreign MACs
//   ├── contexts/ID                     what containers are told at their first start (0600)
//   ├── containers/                     of node/runtime
//   └── images/                         of node/images
//
//   RUN (/run/bramble/node)             in memory: gone after a boot
//   ├── notes.json                      restarts and back-off of each container
//   ├── node.sock                       `bramble-node status`
//   ├── lease.sock                      bramble-lease-holder listens here
//   ├── lease.state                     what it goes on with when it is started anew
//   └── containers/                     of node/runtime
struct NodePaths {
  std::filesystem::path state;
  std::filesystem::path run;

  std::filesystem::path Key() const { return state / "node.key"; }
  std::filesystem::path Record(const char* name, int slot) const {
    return state / (std::string(name) + "." + std::to_string(slot));
  }
  std::filesystem::path Containers() const { return state / "containers"; }
  std::filesystem::path Contexts() const { return state / "contexts"; }
  std::filesystem::path Images() const { return state / "images"; }
  std::filesystem::path UplinkRouted() const { return state / "uplink-routed"; }
  std::filesystem::path Notes() const { return run / "notes.json"; }
  std::filesystem::path StatusSocket() const { return run / "node.sock"; }
  std::filesystem::path LeaseSocket() const { return run / "lease.sock"; }
  std::filesystem::path RunContainers() const { return run / "containers"; }
};

}  // namespace bramble::node
