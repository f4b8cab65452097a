// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cluster's names: forward and reverse.  Pure.  A name comes from an object's own name, which a
// person gave it through the API; never from what a machine calls itself.

#include <set>
#include <string>
#include <vector>

#include "api/node_network.h"

namespace bramble::controller {

inline constexpr char kDomain[] = "bramble.internal";

struct ZoneInput {
  Ipv4 controller;
  struct Node {
    std::string name;
    Ipv4 address;
  };
  struct Container {
    std::string name;
    std::string project;
    Ipv4 address;
    std::vector<Ipv4> floating;
    std::string service;  // its label `service`: a name that several containers may share
  };
  struct Reserved {
    std::string name;
    Ipv4 address;
  };
  std::vector<Node> nodes;
  std::vector<Container> containers;
  std::vector<Reserved> reservations;
};

// In order of name, then address:
//   controller.bramble.internal                       the controller
//   NODE.node.bramble.internal                        a node
//   NAME.PROJECT.bramble.internal, and for project `default` NAME.bramble.internal
//   NAME-floating.PROJECT.bramble.internal            its floating addresses
//   SERVICE.service.bramble.internal                  every container with the label
//   service=SERVICE NAME.bramble.internal                             a reservation, unless a
//   container has the name
// An address is called by the first of these that it has.  What is not a DNS label is left out.
std::vector<api::NameRecord> BuildZone(const ZoneInput& input);

inline constexpr char kServiceLabel[] = "service";

}  // namespace bramble::controller
