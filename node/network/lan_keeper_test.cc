// SPDX-License-Identifier: Apache-2.0
#include "node/network/lan_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/run_on_loop.h"
#include "node/network/fake_lan.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr seconds kLong{20};  // for a busy machine; what is waited for comes much sooner

Ipv4 At(int number) { return Ipv4(0xac100000u + static_cast<uint32_t>(number)); }
Ipv4Interface Interface(int number) { return {.address = At(number), .length = 24}; }
MacAddress Mac(uint8_t last) { return {{2, 0, 0, 0, 0, last}}; }

struct World {
  asio::io_context loop;
  SystemClock clock;
  MemoryLogSink log;
  FakeLan segment{loop, Mac(1)};
  FakeNetworkSetup setup;
  LanKeeper::Options options;
  std::unique_ptr<LanKeeper> lan;

  World() {
    options.port = "eth0";
    options.prefix = Ipv4Prefix(At(0), 24);
    options.serial = "10000000abcdef01";
    options.retry = milliseconds(20);
    options.uplink_check = milliseconds(20);
    setup.AddPort("eth0");
  }
  LanKeeper& Start(bool with_arp = true) {
    LanKeeper::OpenArp open;
    if (with_arp) {
      open = [this](const std::string& interface, PacketArpChannel::Hear) {
        return segment.Open(interface);
      };
    }
    lan = std::make_unique<LanKeeper>(LanKeeper::Parts{.loop = loop,
                                                       .clock = clock,
                                                       .setup = setup,
                                                       .open_arp = std::move(open),
                                                       .log = Logger(log)},
                                      options);
    RunOnLoop(loop, lan->Start());
    return *lan;
  }
  static asio::awaitable<void> Sleep(milliseconds time) { co_await SleepFor(time); }
  bool Until(const std::function<bool()>& condition, milliseconds limit = kLong) {
    const BootTime end = clock.Boot() + limit;
    while (!condition()) {
      if (clock.Boot() > end) {
        return false;
      }
      RunOnLoop(loop, Sleep(milliseconds(2)));
    }
    return true;
  }
  bool UntilAddressed() {
    return Until([&] { return lan->address().has_value(); });
  }
  api::NetworkReport Report() const {
    api::NetworkReport report;
    lan->FillReport(report);
    return report;
  }
  // Whom the bridge was told to be at the node's own MAC.
  std::vector<Ipv4> StoodInFor() const {
    std::vector<Ipv4> stations;
    for (const FakeLan::Sent& sent : segment.sent) {
      if (sent.interface == "br0" && sent.frame.sender != At(11) &&
          sent.frame == ArpAnnouncement(Mac(1), sent.frame.sender)) {
        stations.push_back(sent.frame.sender);
      }
    }
    return stations;
  }
};

TEST(LanKeeperTest, AnAddressOfNodeTomlHoldsAtOnceAndIsKeptAgainstARival) {
  World w;
  w.options.address = Interface(11);
  LanKeeper& lan = w.Start();
  EXPECT_EQ(lan.address(), Interface(11));
  EXPECT_FALSE(w.Report().self_chosen);
  EXPECT_THAT(lan.conditions(), IsEmpty());

  w.segment.Deliver(ArpAnnouncement(Mac(9), At(11)));

  ASSERT_TRUE(w.Until([&] { return !lan.conditions().empty(); }));
  EXPECT_EQ(lan.conditions()[0].type, "address-conflict");
  EXPECT_THAT(w.Report().conflicts, SizeIs(1));
  EXPECT_EQ(lan.address(), Interface(11));
  lan.SetConfirmed(Interface(40), Ipv4Prefix(At(0), 24));
  EXPECT_EQ(lan.address(), Interface(11)) << "a person's word on the node comes first";
}

TEST(LanKeeperTest, WithoutAnAddressItTakesAFreeOneOfTheNodeRange) {
  World w;
  const AddressSpan range = NodeRangeOf(w.options.prefix);
  const Ipv4 first = ChooseAddress(w.options.serial, range, 0);
  w.segment.stations[first] = Mac(7);
  w.Start();
  EXPECT_EQ(w.lan->address(), std::nullopt) << "it asks first";
  ASSERT_TRUE(w.UntilAddressed());
  EXPECT_NE(w.lan->address()->address, first);
  EXPECT_TRUE(range.Contains(w.lan->address()->address));
  EXPECT_TRUE(w.Report().self_chosen);
}

TEST(LanKeeperTest, WhatTheControllerConfirmsReplacesTheChoiceAndTheOldAddressGoesLater) {
  World w;
  w.options.old_address_kept = milliseconds(1);
  LanKeeper& lan = w.Start();
  ASSERT_TRUE(w.UntilAddressed());
  const Ipv4Interface chosen = *lan.address();

  lan.SetConfirmed(Interface(20), Ipv4Prefix(At(0), 24));

  ASSERT_TRUE(w.Until([&] { return lan.address() == Interface(20); }));
  EXPECT_FALSE(w.Report().self_chosen);
  ASSERT_TRUE(w.Until([&] {
    return w.setup.Link("br0").addresses == std::vector<Ipv4Interface>{Interface(20)};
  })) << "and not "
      << chosen.str();
}

TEST(LanKeeperTest, AConfirmedAddressThatIsAnothersIsNotTaken) {
  World w;
  w.options.confirmed = Interface(20);
  w.segment.stations[At(20)] = Mac(7);
  LanKeeper& lan = w.Start();
  ASSERT_TRUE(w.UntilAddressed());
  EXPECT_NE(lan.address(), Interface(20));
  EXPECT_TRUE(w.Report().self_chosen);
}

TEST(LanKeeperTest, AnAddressThatThePortHasAnywayIsUsed) {
  World w;
  w.setup.Link("eth0").addresses = {Interface(33)};
  LanKeeper& lan = w.Start();
  EXPECT_EQ(lan.address(), Interface(33));
  EXPECT_FALSE(w.Report().self_chosen);
}

TEST(LanKeeperTest, WithoutArpAddressesAreTakenAsGiven) {
  World w;
  w.options.confirmed = Interface(20);
  LanKeeper& lan = w.Start(/*with_arp=*/false);
  EXPECT_EQ(lan.address(), Interface(20));
  lan.SetConfirmed(Interface(21), Ipv4Prefix(At(0), 24));
  EXPECT_EQ(lan.address(), Interface(21));
}

TEST(LanKeeperTest, APortThatComesAMomentLateIsWaitedFor) {
  World w;
  w.setup.failure = absl::FailedPreconditionError("no interface");
  w.setup.failures = 1;
  w.options.address = Interface(11);
  LanKeeper& lan = w.Start();
  EXPECT_TRUE(lan.status().ok()) << lan.status();
  EXPECT_THAT(w.setup.applied, SizeIs(1));
}

TEST(LanKeeperTest, WhatFailsIsReportedAndTriedAgain) {
  World w;
  w.setup.failure = absl::InternalError("ip: refused");
  w.setup.failures = 3;
  w.options.address = Interface(11);
  LanKeeper& lan = w.Start();
  ASSERT_THAT(lan.conditions(), SizeIs(1));
  EXPECT_EQ(lan.conditions()[0].type, "network-failed");
  EXPECT_THAT(w.Report().errors, SizeIs(1));
  ASSERT_TRUE(w.Until([&] { return lan.status().ok(); }));
  EXPECT_THAT(lan.conditions(), IsEmpty());
}

TEST(LanKeeperTest, WhereForeignMacsPassItStaysBridged) {
  World w;
  w.options.address = Interface(11);
  w.segment.stations[At(1)] = Mac(3);
  LanKeeper& lan = w.Start();
  lan.SetController(At(1));
  ASSERT_TRUE(w.Until([&] {
    return std::any_of(w.segment.sent.begin(), w.segment.sent.end(), [](const auto& sent) {
      return sent.interface == "eth0" && sent.frame.source != Mac(1);
    });
  }));
  w.Until([] { return false; }, seconds(1));
  EXPECT_FALSE(lan.routed());
  EXPECT_EQ(w.Report().mode, api::UplinkMode::kBridged);
  EXPECT_THAT(w.StoodInFor(), Not(Contains(At(1))));
}

TEST(LanKeeperTest, WhereTheyDoNotItRoutesAndStandsInForTheStationsThatContainersLearned) {
  World w;
  w.options.address = Interface(11);
  w.segment.stations[At(1)] = Mac(3);
  w.segment.takes_foreign_macs = false;
  LanKeeper& lan = w.Start();
  int remembered = 0;
  lan.on_routed = [&] { ++remembered; };
  lan.SetContainers({At(64)});
  // A laptop asks for the container, which learns the laptop's MAC by it; and the container asks.
  w.segment.Deliver({.source = Mac(5), .sender_mac = Mac(5), .sender = At(250), .target = At(64)});
  w.segment.Deliver({.source = Mac(6), .sender_mac = Mac(6), .sender = At(64), .target = At(250)});
  lan.SetController(At(1));

  ASSERT_TRUE(w.Until([&] { return lan.routed() && !w.StoodInFor().empty(); }));

  EXPECT_EQ(remembered, 1);
  EXPECT_THAT(w.StoodInFor(), ElementsAre(At(1), At(250)));
  EXPECT_TRUE(w.setup.applied.back().routed);
  EXPECT_THAT(w.setup.applied.back().containers, ElementsAre(At(64)));
  EXPECT_EQ(w.Report().mode, api::UplinkMode::kRouted);
  lan.SetContainers({At(64), At(65)});
  EXPECT_TRUE(w.Until([&] { return w.setup.applied.back().containers.size() == 2; }));
  w.segment.sent.clear();
  lan.Announce(Mac(6), At(65));
  ASSERT_THAT(w.segment.sent, SizeIs(1));
  EXPECT_EQ(w.segment.sent[0].frame, ArpAnnouncement(Mac(1), At(65))) << "the node's MAC stands";
}

TEST(LanKeeperTest, ARadioAndWhatWasFoundOutBeforeAreRoutedFromTheStart) {
  for (const bool wireless : {true, false}) {
    World w;
    w.options.address = Interface(11);
    w.setup.wireless = wireless;
    w.options.was_routed = !wireless;
    LanKeeper& lan = w.Start();
    EXPECT_TRUE(lan.routed());
    EXPECT_TRUE(w.setup.applied.front().routed);
  }
}

TEST(LanKeeperTest, APersonsWordForBridgedIsNotAskedAbout) {
  World w;
  w.options.address = Interface(11);
  w.options.mode = LanMode::kBridged;
  w.setup.wireless = true;
  w.segment.takes_foreign_macs = false;
  w.segment.stations[At(1)] = Mac(3);
  LanKeeper& lan = w.Start();
  lan.SetController(At(1));
  w.Until([] { return false; }, milliseconds(1'200));
  EXPECT_FALSE(lan.routed());
}

TEST(LanKeeperTest, ALinkThatComesBackIsToldAndItsAddressAnnounced) {
  World w;
  w.options.address = Interface(11);
  LanKeeper& lan = w.Start();
  int ups = 0;
  lan.on_link_up = [&] { ++ups; };
  lan.OnLink({.name = "eth0", .running = false});
  EXPECT_FALSE(w.Report().link_up);
  lan.OnLink({.name = "eth1", .running = true});
  EXPECT_EQ(ups, 0) << "another's";
  w.segment.sent.clear();
  lan.OnLink({.name = "eth0", .running = true});
  EXPECT_EQ(ups, 1);
  EXPECT_TRUE(w.Report().link_up);
  EXPECT_TRUE(w.Until([&] {
    return std::any_of(w.segment.sent.begin(), w.segment.sent.end(), [](const auto& sent) {
      return sent.frame == ArpAnnouncement(Mac(1), At(11));
    });
  }));
}

}  // namespace
}  // namespace bramble::node
