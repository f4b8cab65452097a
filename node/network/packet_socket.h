// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "node/network/mac_address.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct Interface {
  int index = 0;
  MacAddress mac;
};
// kNotFound: there is none of that name in this network namespace.
absl::StatusOr<Interface> FindInterface(const std::string& name);

// A packet socket (packet(7)) that sends and, with an `ether_type` other than 0, receives whole
// frames.  Not blocking.  Needs CAP_NET_RAW.
absl::StatusOr<Fd> OpenPacketSocket(int interface_index, uint16_t ether_type);

// Sends `frame` out of the interface.  kUnavailable: it is down, or its queue is full.
absl::Status SendFrame(int fd, int interface_index, std::string_view frame);

}  // namespace bramble::node
