// SPDX-License-Identifier: Apache-2.0
#pragma once

// The controller's own nftables table, `ip bramble_gateway`: the cluster's way out, and port
// forwards in.  Pure: typed in, text for `nft -f` out.  The text replaces the table whole, in one
// transaction of the kernel; nothing outside of it is touched.

#include <string>
#include <vector>

#include "api/port_forward.h"
#include "base/ip.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

inline constexpr char kGatewayTable[] = "bramble_gateway";

struct GatewaySettings {
  std::string interface;  // of the cluster
  std::string uplink;     // empty: there is none, and nothing to do
  Ipv4Prefix prefix;
  bool masquerade = false;
  struct Forward {
    api::Protocol protocol = api::Protocol::kTcp;
    uint16_t port = 0;  // at the uplink
    Ipv4 address;
    uint16_t to_port = 0;
    friend bool operator==(const Forward&, const Forward&) = default;
  };
  std::vector<Forward> forwards;

  // Whether packets have to be forwarded at all: net.ipv4.ip_forward is needed.
  bool Routes() const { return !uplink.empty() && (masquerade || !forwards.empty()); }
  friend bool operator==(const GatewaySettings&, const GatewaySettings&) = default;
};

// Where nothing routes, text that removes the table.  kInvalidArgument: an interface's name that
// must not go into it.
absl::StatusOr<std::string> WriteGatewayTable(const GatewaySettings& settings);

}  // namespace bramble::controller
