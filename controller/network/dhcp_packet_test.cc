// SPDX-License-Identifier: Apache-2.0
#include "controller/network/dhcp_packet.h"

#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

constexpr uint32_t kTransaction = 0x12345678;
const std::string kMac("\x02\x00\x00\x00\x00\x01", 6);

// The discover, turned into what a server answers.
std::string Offer(uint8_t type = 2) {
  std::string packet = MakeDhcpDiscover(kMac, kTransaction);
  packet.replace(12, 4, std::string("\xc0\xa8\x01\x01", 4));
  packet.replace(20, 4, std::string("\x00\x43\x00\x44", 4));
  packet[28] = 2;
  packet.replace(28 + 16, 4, std::string("\xc0\xa8\x01\x63", 4));
  packet[28 + 236 + 4 + 2] = static_cast<char>(type);
  return packet;
}

TEST(DhcpPacketTest, ADiscoverIsABroadcastThatAnyServerTakes) {
  const std::string packet = MakeDhcpDiscover(kMac, kTransaction);
  ASSERT_EQ(packet.size(), 20u + 8 + 300);
  EXPECT_EQ(packet.substr(16, 4), "\xff\xff\xff\xff");
  EXPECT_EQ(packet.substr(20, 4), std::string("\x00\x44\x00\x43", 4));
  EXPECT_EQ(packet.substr(28, 3), std::string("\x01\x01\x06", 3));
  EXPECT_EQ(packet.substr(28 + 28, 6), kMac);
  // RFC 1071: the sum over a right header is zero.
  uint32_t sum = 0;
  for (size_t i = 0; i < 20; i += 2) {
    sum += static_cast<unsigned char>(packet[i]) * 256u + static_cast<unsigned char>(packet[i + 1]);
  }
  EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffu);
}

TEST(DhcpPacketTest, AnOfferTellsItsServer) {
  const auto offer = ParseDhcpOffer(Offer(), kTransaction);
  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(offer->server.str(), "192.168.1.1");
  EXPECT_EQ(offer->offered.str(), "192.168.1.99");
}

TEST(DhcpPacketTest, TheServersOwnOptionCounts) {
  std::string packet = Offer();
  // After type (3 bytes): 54, 4 bytes.
  packet.replace(28 + 236 + 4 + 3, 6, std::string("\x36\x04\x0a\x00\x00\x09", 6));
  EXPECT_EQ(ParseDhcpOffer(packet, kTransaction)->server.str(), "10.0.0.9");
}

TEST(DhcpPacketTest, WhatIsNoAnswerToUsIsLeftAlone) {
  EXPECT_FALSE(ParseDhcpOffer(Offer(), kTransaction + 1).has_value());
  EXPECT_FALSE(ParseDhcpOffer(Offer(/*type=*/6), kTransaction).has_value()) << "a refusal";
  EXPECT_FALSE(ParseDhcpOffer(MakeDhcpDiscover(kMac, kTransaction), kTransaction).has_value());
  std::string fragment = Offer();
  fragment[6] = 0x20;
  EXPECT_FALSE(ParseDhcpOffer(fragment, kTransaction).has_value());
  std::string long_header = Offer();
  long_header[0] = 0x4f;
  EXPECT_FALSE(ParseDhcpOffer(long_header, kTransaction).has_value());
}

TEST(DhcpPacketTest, EveryTruncationAndEveryChangedByteIsSurvived) {
  const std::string whole = Offer();
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(
        ParseDhcpOffer(std::string_view(whole).substr(0, length), kTransaction).has_value());
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char value : {'\0', '\x7f', '\xff'}) {
      std::string changed = whole;
      changed[at] = value;
      (void)ParseDhcpOffer(changed, kTransaction);
    }
  }
}

}  // namespace
}  // namespace bramble::controller
