// SPDX-License-Identifier: Apache-2.0
#include "node/network/dhcp_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace bramble::node {
namespace {

using testing::HasSubstr;

Ipv4 Address(const char* text) { return Ipv4::Parse(text).value(); }

DhcpHost Host() {
  return {.mac = MacAddress::Parse("02:42:ac:10:00:40").value(),
          .address = Ipv4Interface::Parse("172.16.0.64/24").value(),
          .gateway = Address("172.16.0.1"),
          .dns = {Address("172.16.0.11"), Address("172.16.0.1")},
          .hostname = "web",
          .search_domain = "bramble.internal"};
}
const Ipv4 kServer = Address("172.16.0.11");

// As a client sends it.
std::string Message(uint8_t type, const std::string& options = "", Ipv4 client = Ipv4()) {
  std::string text(
      "\x01\x01\x06\x00"
      "ABCD\x00\x00\x80\x00",
      12);
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += static_cast<char>(client.bits() >> shift);
  }
  text.resize(28, '\0');
  text += std::string("\x02\x42\xac\x10\x00\x40", 6);
  text.resize(236, '\0');
  text += "\x63\x82\x53\x63";
  text += std::string("\x35\x01", 2) + static_cast<char>(type);
  return text + options + "\xff";
}

std::string Option(uint8_t number, Ipv4 address) {
  std::string text{static_cast<char>(number), 4};
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += static_cast<char>(address.bits() >> shift);
  }
  return text;
}

std::map<int, std::string> OptionsOf(const std::string& answer) {
  std::map<int, std::string> options;
  size_t at = 240;
  while (at < answer.size() && answer[at] != '\xff') {
    const auto size = static_cast<uint8_t>(answer[at + 1]);
    options[static_cast<uint8_t>(answer[at])] = answer.substr(at + 2, size);
    at += 2U + size;
  }
  return options;
}

std::optional<std::string> Answer(const std::string& message) {
  const std::optional<DhcpRequest> request = DecodeDhcpRequest(message);
  EXPECT_TRUE(request.has_value());
  return AnswerDhcp(request.value_or(DhcpRequest()), Host(), kServer);
}

TEST(DhcpAnswerTest, OffersTheContainersOwnAddressWithEverythingItNeeds) {
  const std::string offer = Answer(Message(1)).value();
  EXPECT_EQ(offer.substr(4, 4), "ABCD");
  EXPECT_EQ(offer.substr(16, 4), std::string("\xac\x10\x00\x40", 4)) << "yiaddr";
  const std::map<int, std::string> options = OptionsOf(offer);
  EXPECT_EQ(options.at(53), "\x02");
  EXPECT_EQ(options.at(54), std::string("\xac\x10\x00\x0b", 4));
  EXPECT_EQ(options.at(1), std::string("\xff\xff\xff\x00", 4));
  EXPECT_EQ(options.at(3), std::string("\xac\x10\x00\x01", 4));
  EXPECT_EQ(options.at(6), std::string("\xac\x10\x00\x0b\xac\x10\x00\x01", 8));
  EXPECT_EQ(options.at(12), "web");
  EXPECT_EQ(options.at(15), "bramble.internal");
  EXPECT_GE(offer.size(), 300U);
}

TEST(DhcpAnswerTest, AcknowledgesItsAddressAndRefusesAnyOther) {
  EXPECT_EQ(OptionsOf(*Answer(Message(3, Option(50, Host().address.address))))[53], "\x05");
  EXPECT_EQ(OptionsOf(*Answer(Message(3, "", Host().address.address)))[53], "\x05") << "renewal";
  const std::string nak = Answer(Message(3, Option(50, Address("172.16.0.65")))).value();
  EXPECT_EQ(OptionsOf(nak)[53], "\x06");
  EXPECT_EQ(OptionsOf(nak).count(51), 0U);
  EXPECT_EQ(nak.substr(16, 4), std::string(4, '\0'));
  EXPECT_EQ(OptionsOf(*Answer(Message(8, "", Host().address.address))).count(51), 0U)
      << "no lease to one that only asks for information";
}

TEST(DhcpAnswerTest, StaysSilentWhereAnotherServerIsMeantOrNothingIsAsked) {
  EXPECT_EQ(Answer(Message(3, Option(54, Address("192.168.1.1")))), std::nullopt);
  EXPECT_EQ(Answer(Message(4)), std::nullopt) << "decline";
  EXPECT_EQ(Answer(Message(7)), std::nullopt) << "release";
}

TEST(DhcpAnswerTest, ReadsNoMessageThatIsCutOrAnAnswer) {
  const std::string good = Message(1);
  for (size_t size = 0; size < good.size() - 1; ++size) {
    const std::optional<DhcpRequest> request = DecodeDhcpRequest(good.substr(0, size));
    EXPECT_TRUE(size >= good.size() - 1 || !request.has_value() || size == good.size() - 1) << size;
  }
  std::string reply = good;
  reply[0] = '\x02';
  EXPECT_EQ(DecodeDhcpRequest(reply), std::nullopt);
  EXPECT_EQ(DecodeDhcpRequest(Message(2)), std::nullopt) << "an offer";
  EXPECT_EQ(DecodeDhcpRequest(good.substr(0, good.size() - 1) + "\x32\xff\x01"), std::nullopt)
      << "an option that is longer than the message";
}

TEST(DhcpAnswerTest, TheFrameIsForTheContainerAlone) {
  const MacAddress from = MacAddress::Parse("fe:00:00:00:00:01").value();
  const std::string frame = DhcpFrame("payload", from, kServer, Host().mac, Host().address.address);
  EXPECT_EQ(frame.substr(0, 6), std::string("\x02\x42\xac\x10\x00\x40", 6));
  EXPECT_EQ(frame.size(), 14U + 20 + 8 + 7);
  uint32_t sum = 0;
  for (size_t i = 14; i < 34; i += 2) {
    sum += static_cast<uint8_t>(frame[i]) << 8 | static_cast<uint8_t>(frame[i + 1]);
  }
  EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffU) << "the header's checksum";
  EXPECT_THAT(frame, HasSubstr("payload"));
}

}  // namespace
}  // namespace bramble::node
