// SPDX-License-Identifier: Apache-2.0
#include "base/peer_group.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

TEST(PeerGroupTest, AnIpv4AddressIsItsOwnAndAnIpv6AddressItsSlash64) {
  EXPECT_EQ(PeerGroupOf("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(PeerGroupOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(PeerGroupOf("2001:db8:1:2:ffff::1"), PeerGroupOf("2001:db8:1:2::7"));
  EXPECT_NE(PeerGroupOf("2001:db8:1:3::1"), PeerGroupOf("2001:db8:1:2::1"));
  EXPECT_EQ(PeerGroupOf("fe80::1%eth0"), "fe80::/64");
  EXPECT_EQ(PeerGroupOf("::1"), "::/64");
  EXPECT_EQ(PeerGroupOf(""), "");
}

}  // namespace
}  // namespace bramble
