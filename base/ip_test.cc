// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace bramble {
namespace {

using ::testing::HasSubstr;

TEST(IpTest, AddressSurvivesTheRoundTrip) {
  for (const char* text : {"0.0.0.0", "172.16.0.1", "255.255.255.255"}) {
    EXPECT_EQ(Ipv4::Parse(text)->str(), text);
  }
  EXPECT_EQ(*Ipv4::Parse("172.16.0.255") + 1, *Ipv4::Parse("172.16.1.0"));
  EXPECT_EQ(*Ipv4::Parse("172.16.1.0") - *Ipv4::Parse("172.16.0.0"), 256);
}

TEST(IpTest, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ",
                           " 1.2.3.4", "1..3.4", "1.2.3.-4", "a.b.c.d", "1.2.3.4/24", "1.2.3.4."}) {
    EXPECT_FALSE(Ipv4::Parse(text).ok()) << text;
  }
}

TEST(IpTest, PrefixKnowsItsAddresses) {
  const Ipv4Prefix prefix = Ipv4Prefix::Parse("172.16.0.0/22").value();

  EXPECT_EQ(prefix.str(), "172.16.0.0/22");
  EXPECT_EQ(prefix.size(), 1024u);
  EXPECT_EQ(prefix.mask().str(), "255.255.252.0");
  EXPECT_EQ(prefix.broadcast().str(), "172.16.3.255");
  EXPECT_EQ(prefix.At(257).str(), "172.16.1.1");
  EXPECT_TRUE(prefix.Contains(*Ipv4::Parse("172.16.3.9")));
  EXPECT_FALSE(prefix.Contains(*Ipv4::Parse("172.16.4.0")));
  EXPECT_TRUE(prefix.Overlaps(*Ipv4Prefix::Parse("172.16.2.0/24")));
  EXPECT_FALSE(prefix.Overlaps(*Ipv4Prefix::Parse("172.16.4.0/24")));
  EXPECT_EQ(Ipv4Prefix::Parse("0.0.0.0/0")->size(), uint64_t{1} << 32);
}

TEST(IpTest, PrefixWithHostBitsNamesTheNetwork) {
  const absl::Status status = Ipv4Prefix::Parse("172.16.0.5/24").status();

  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("the network is \"172.16.0.0/24\""));
  EXPECT_FALSE(Ipv4Prefix::Parse("172.16.0.0/33").ok());
  EXPECT_FALSE(Ipv4Prefix::Parse("172.16.0.0").ok());
  EXPECT_EQ(Ipv4Interface::Parse("172.16.0.5/24")->prefix().str(), "172.16.0.0/24");
}

TEST(IpTest, HostAndPort) {
  EXPECT_EQ(HostPort::Parse("controller:8443").value(), (HostPort{"controller", 8443}));
  EXPECT_EQ(HostPort::Parse("controller", 8443).value(), (HostPort{"controller", 8443}));
  EXPECT_EQ(HostPort::Parse("[::1]:8443").value(), (HostPort{"::1", 8443}));
  EXPECT_EQ((HostPort{"::1", 1}).str(), "[::1]:1");
  for (const char* text :
       {"", ":1", "a", "a:", "a:0", "a:65536", "a:x", "a b:1", "[::1", "u@h:1"}) {
    EXPECT_FALSE(HostPort::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace bramble
