// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "api/network.h"
#include "base/asio.h"
#include "base/random.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// Asks on `interface` by a DHCPDISCOVER who serves DHCP there, and waits kDhcpProbeWait for offers.
// Our own server does not hear it: it is sent below our own IP stack.  Nothing is requested, so no
// address is taken.  In order of address.  Needs CAP_NET_RAW.
// kNotFound: no such interface; kUnavailable: its link is down.
inline constexpr std::chrono::milliseconds kDhcpProbeWait{2500};
asio::awaitable<absl::StatusOr<std::vector<api::RivalDhcp>>> ProbeForDhcp(std::string interface,
                                                                          uint32_t transaction,
                                                                          WallTime now);

}  // namespace bramble::controller
