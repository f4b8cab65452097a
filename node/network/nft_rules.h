// SPDX-License-Identifier: Apache-2.0
#pragma once

// Compiles a PacketPolicy to nftables rules.  Pure.
//
// Two tables, both named "bramble", which one transaction replaces whole:
//
//   bridge  Anti-spoofing, on every frame that a container's port sends, before bridge, stack or
//           br_netfilter see it; and on every frame that is bridged to such a port: its own
//           addresses only.  Interfaces are looked up in sets, so the cost does not grow with the
//           number of containers, and one that is in no set is closed.
//   inet    Security groups, stateful, on what is bridged (through br_netfilter) and what is routed
//           alike: by the addresses of the connection's first packet, looked up in verdict maps.
//
// A connection that was accepted bears the policy's hash as its conntrack mark, and its packets are
// accepted by that alone.  Another policy has another hash: then each connection is judged anew at
// its next packet, by its original addresses and port, and ends there if it is no longer allowed.

#include <cstdint>
#include <string>

#include "node/network/packet_policy.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The input of `nft -f -`.  kInvalidArgument: a name or an interface that is none, a rule of a set
// or a port of a group that is not there, ports of a protocol that has none.  kResourceExhausted:
// more than kMaxPacketRules or kMaxSetAddresses.  About 1 ms for 1,000 rules.
absl::StatusOr<std::string> CompileNftRules(const PacketPolicy& policy);

}  // namespace bramble::node
