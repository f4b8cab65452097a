// SPDX-License-Identifier: Apache-2.0
#include "controller/network/arp_prober.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace bramble::controller {
namespace {

const std::string kMac("\x02\x00\x00\x00\x00\x01", 6);
const std::string kOther("\x02\x00\x00\x00\x00\x02", 6);

TEST(ArpProberTest, AProbeNamesNoSenderAddress) {
  const std::string probe = MakeArpProbe(kMac, Ipv4::Parse("172.16.0.64").value());

  EXPECT_EQ(HexEncode(probe),
            "0001080006040001"
            "020000000001"
            "00000000"
            "000000000000"
            "ac100040");
}

TEST(ArpProberTest, AnAnswerAndAnothersProbeBothClaimTheAddress) {
  const std::string foreign_probe = MakeArpProbe(kOther, Ipv4::Parse("172.16.0.64").value());
  const std::string answer = HexDecode(
                                 "0001080006040002"
                                 "020000000002"
                                 "ac100041"
                                 "020000000001"
                                 "00000000")
                                 .value();

  EXPECT_EQ(ArpClaim(foreign_probe, kMac).str(), "172.16.0.64");
  EXPECT_EQ(ArpClaim(answer, kMac).str(), "172.16.0.65");
}

TEST(ArpProberTest, OurOwnPacketsAndOtherBytesClaimNothing) {
  const std::string own = MakeArpProbe(kMac, Ipv4::Parse("172.16.0.64").value());

  EXPECT_TRUE(ArpClaim(own, kMac).empty());
  EXPECT_TRUE(ArpClaim(own.substr(0, kArpBytes - 1), kOther).empty());
  EXPECT_TRUE(ArpClaim(std::string(kArpBytes, 'x'), kMac).empty());
}

TEST(ArpProberTest, WithoutAnInterfaceEveryAddressIsFreeAndSaysSoLater) {
  asio::io_context loop;
  NoProber prober(loop);
  int calls = 0;
  bool in_use = true;
  prober.Probe("172.16.0.64", [&](bool answer) {
    ++calls;
    in_use = answer;
  });

  EXPECT_EQ(calls, 0);
  loop.run();
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(in_use);
}

}  // namespace
}  // namespace bramble::controller
