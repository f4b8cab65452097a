// SPDX-License-Identifier: Apache-2.0
#include "node/network/address_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using testing::IsEmpty;

const AddressSpan kNodes{.first = Ipv4::Parse("172.16.0.11").value(),
                         .last = Ipv4::Parse("172.16.0.63").value()};

MacAddress Mac(uint8_t last) { return {{2, 0, 0, 0, 0, last}}; }

// Stations on one segment: what one sends all others hear, unless its cable is out.
class Segment {
 public:
  AddressClaim& Add(uint8_t mac, AddressClaim::Options options) {
    options.mac = Mac(mac);
    return claims_.emplace(mac, AddressClaim(std::move(options))).first->second;
  }
  void Unplug(uint8_t mac, bool unplugged) { unplugged_[mac] = unplugged; }

  void RunFor(milliseconds time) {
    const BootTime end = now_ + time;
    for (; now_ < end; now_ += milliseconds(10)) {
      for (auto& [mac, claim] : claims_) {
        for (const ArpFrame& frame : claim.Poll(now_)) {
          Deliver(mac, frame);
        }
      }
    }
  }
  // Someone that is no claimant speaks.
  void Deliver(uint8_t from, const ArpFrame& frame) {
    ++frames_;
    for (auto& [mac, claim] : claims_) {
      if (mac != from && !unplugged_[mac] && !unplugged_[from]) {
        claim.OnFrame(frame, now_);
      }
    }
  }
  int frames() const { return frames_; }
  BootTime now() const { return now_; }

 private:
  std::map<uint8_t, AddressClaim> claims_;
  std::map<uint8_t, bool> unplugged_;
  BootTime now_{std::chrono::seconds(5)};
  int frames_ = 0;
};

TEST(ChooseAddressTest, VisitsTheWholeRangeOnceAndDependsOnTheSerial) {
  std::set<Ipv4> seen;
  for (uint32_t i = 0; i < kNodes.size(); ++i) {
    const Ipv4 address = ChooseAddress("10000000abcdef01", kNodes, i);
    EXPECT_TRUE(kNodes.Contains(address));
    seen.insert(address);
  }
  EXPECT_EQ(seen.size(), kNodes.size());
  EXPECT_EQ(ChooseAddress("a", kNodes, 0), ChooseAddress("a", kNodes, 0));
  std::set<Ipv4> firsts;
  for (int i = 0; i < 40; ++i) {
    firsts.insert(ChooseAddress("10000000abcdef" + std::to_string(i), kNodes, 0));
  }
  EXPECT_GT(firsts.size(), 20U);
  const AddressSpan one{.first = kNodes.first, .last = kNodes.first};
  EXPECT_EQ(ChooseAddress("a", one, 7), kNodes.first);
}

TEST(AddressClaimTest, AsksThreeTimesThenHoldsAndAnnouncesTwice) {
  Segment segment;
  AddressClaim& claim = segment.Add(1, {.serial = "a", .range = kNodes});
  segment.RunFor(milliseconds(700));
  EXPECT_FALSE(claim.address().has_value());
  segment.RunFor(milliseconds(200));
  EXPECT_EQ(claim.address(), ChooseAddress("a", kNodes, 0));
  segment.RunFor(milliseconds(10'000));
  EXPECT_EQ(segment.frames(), 5);
  EXPECT_FALSE(claim.NextWake().has_value());
}

TEST(AddressClaimTest, TakesAnotherWhereItsFirstChoiceIsInUse) {
  Segment segment;
  AddressClaim& first = segment.Add(1, {.serial = "a", .range = kNodes});
  segment.RunFor(milliseconds(2'000));
  AddressClaim& second = segment.Add(2, {.serial = "a", .range = kNodes});
  // The holder answers the probe, as a kernel does for an address that it has.
  segment.RunFor(milliseconds(100));
  segment.Deliver(1, ArpAnnouncement(Mac(1), *first.address()));
  segment.RunFor(milliseconds(2'000));
  EXPECT_EQ(first.address(), ChooseAddress("a", kNodes, 0));
  EXPECT_EQ(second.address(), ChooseAddress("a", kNodes, 1));
}

TEST(AddressClaimTest, TwoSwitchedOnTogetherWithOneClonedAddressEndWithDifferentOnes) {
  Segment segment;
  const Ipv4 cloned = Ipv4::Parse("172.16.0.20").value();
  AddressClaim& first = segment.Add(1, {.serial = "a", .range = kNodes, .preferred = cloned});
  AddressClaim& second = segment.Add(2, {.serial = "b", .range = kNodes, .preferred = cloned});
  segment.RunFor(milliseconds(5'000));
  ASSERT_TRUE(first.address().has_value());
  ASSERT_TRUE(second.address().has_value());
  EXPECT_NE(first.address(), second.address());
}

TEST(AddressClaimTest, TwoThatWereApartFindEachOtherAndOneGivesWay) {
  Segment segment;
  const Ipv4 cloned = Ipv4::Parse("172.16.0.20").value();
  AddressClaim& first = segment.Add(1, {.serial = "a", .range = kNodes, .preferred = cloned});
  AddressClaim& second = segment.Add(2, {.serial = "b", .range = kNodes, .preferred = cloned});
  segment.Unplug(2, true);
  segment.RunFor(milliseconds(5'000));
  ASSERT_EQ(first.address(), cloned);
  ASSERT_EQ(second.address(), cloned);
  segment.Unplug(2, false);
  second.OnLinkUp(segment.now());
  segment.RunFor(milliseconds(15'000));
  EXPECT_NE(first.address(), second.address());
  EXPECT_TRUE(first.rival().has_value() || second.rival().has_value());
}

TEST(AddressClaimTest, AFirmAddressIsDefendedAndKept) {
  Segment segment;
  const Ipv4 mine = Ipv4::Parse("172.16.0.20").value();
  AddressClaim& claim =
      segment.Add(1, {.serial = "a", .range = kNodes, .preferred = mine, .firm = true});
  segment.RunFor(milliseconds(5'000));
  const int before = segment.frames();
  for (int i = 0; i < 100; ++i) {
    segment.Deliver(9, ArpAnnouncement(Mac(9), mine));
    segment.RunFor(milliseconds(100));
  }
  EXPECT_EQ(claim.address(), mine);
  EXPECT_EQ(claim.rival(), Mac(9));
  EXPECT_LE(segment.frames() - before - 100, 2) << "it defends once in ten seconds";
  segment.RunFor(milliseconds(61'000));
  EXPECT_FALSE(claim.rival().has_value());
}

TEST(AddressClaimTest, SlowsDownWhereEveryAddressIsTaken) {
  Segment segment;
  segment.Add(1, {.serial = "a", .range = kNodes});
  for (int i = 0; i < 6'000; ++i) {
    segment.RunFor(milliseconds(20));
    for (uint32_t n = 0; n < kNodes.size(); ++n) {
      segment.Deliver(9, ArpAnnouncement(Mac(9), kNodes.first + n));
    }
  }
  // Two minutes: ten at once, then one a minute.
  EXPECT_LE(segment.frames() - 6'000 * static_cast<int>(kNodes.size()), 10 + 4);
}

TEST(ArpFrameTest, WhatIsWrittenIsRead) {
  const ArpFrame probe = ArpProbe(Mac(1), kNodes.first);
  EXPECT_EQ(EncodeArp(probe).size(), 60U);
  EXPECT_EQ(DecodeArp(EncodeArp(probe)), probe);
  ArpFrame reply = ArpAnnouncement(Mac(2), kNodes.last);
  reply.operation = ArpOperation::kReply;
  EXPECT_EQ(DecodeArp(EncodeArp(reply)), reply);
}

TEST(ArpFrameTest, RefusesWhatIsNotArp) {
  const std::string good = EncodeArp(ArpProbe(Mac(1), kNodes.first));
  for (size_t length = 0; length < 42; ++length) {
    EXPECT_EQ(DecodeArp(good.substr(0, length)), std::nullopt) << length;
  }
  for (const size_t at : {12U, 13U, 14U, 15U, 16U, 17U, 18U, 19U, 20U, 21U}) {
    std::string bad = good;
    bad[at] = '\x63';
    EXPECT_EQ(DecodeArp(bad), std::nullopt) << at;
  }
}

TEST(MacAddressTest, ReadsTheWholeTextOnly) {
  EXPECT_EQ(MacAddress::Parse("02:42:AC:10:00:40").value().str(), "02:42:ac:10:00:40");
  for (const char* bad : {"", "02:42:ac:10:00", "02:42:ac:10:00:4", "02-42-ac-10-00-40",
                          "02:42:ac:10:00:4g", "02:42:ac:10:00:400", "+2:42:ac:10:00:40"}) {
    EXPECT_FALSE(MacAddress::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace bramble::node
