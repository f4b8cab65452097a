// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace bramble {

// Who counts as one peer where connections or failed attempts are counted: an IPv4 address; of an
// IPv6 address its /64, since whoever has one address there has all of them (RFC 6177).
// "192.0.2.1" -> itself, "2001:db8::1%eth0" -> "2001:db8::/64".  What is no address is itself.
std::string PeerGroupOf(const std::string& address);

}  // namespace bramble
