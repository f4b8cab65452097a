// SPDX-License-Identifier: Apache-2.0
#include "node/network/cluster_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/run_on_loop.h"
#include "node/network/fake_network.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

Ipv4 Address(const char* text) { return Ipv4::Parse(text).value(); }

NetworkContainer Container(const std::string& name, const std::string& last) {
  NetworkContainer container;
  api::NodeContainer& definition = container.definition;
  definition.id = ContainerId::Trusted("id-" + name);
  definition.name = ContainerName::Trusted(name);
  definition.project = ProjectName::Trusted("default");
  definition.address = "172.16.0." + last + "/24";
  definition.mac = "02:42:ac:10:00:" + last;
  definition.firewall = api::ContainerFirewall{.policies = {"g/default/web"}};
  container.init_pid = std::stoi(last);
  container.init_start_ticks = 7;
  return container;
}

api::NodeNetwork Network(uint64_t generation, uint16_t port) {
  api::NodeNetwork network;
  network.version = {1, generation};
  network.policies = {
      {.name = "g/default/web",
       .rules = {{.protocol = api::Protocol::kTcp, .port_first = port, .port_last = port}}}};
  return network;
}

struct World {
  asio::io_context loop;
  FakeClock clock;
  FakePacketFilter filter;
  FakePortSetup ports;
  FakeNameService names;
  std::vector<std::pair<MacAddress, Ipv4>> announced;
  MemoryLogSink log;
  ClusterNetwork network{{.loop = loop,
                          .clock = clock,
                          .filter = filter,
                          .ports = ports,
                          .names = names,
                          .announce =
                              [this](MacAddress mac, Ipv4 address) {
                                announced.push_back({mac, address});
                              },
                          .log = Logger(log)}};

  void Settle() {
    ASSERT_TRUE(RunOnLoop(loop, network.Settle()).ok());
    Pass(milliseconds(5));  // the ports' turn
  }
  static asio::awaitable<void> Sleep(milliseconds time) { co_await SleepFor(time); }
  void Pass(milliseconds time) { RunOnLoop(loop, Sleep(time)); }
};

TEST(ClusterNetworkTest, PortsAreClosedFromTheFirstMoment) {
  World w;
  w.Settle();
  EXPECT_THAT(w.filter.rules, HasSubstr("iifname \"vb-*\" goto port"));
  EXPECT_THAT(w.filter.rules, Not(HasSubstr("elements")));
}

TEST(ClusterNetworkTest, AContainerDoesNotStartUnguarded) {
  World w;
  w.filter.next = absl::InternalError("no nft");
  const absl::Status refused =
      RunOnLoop(w.loop, w.network.Prepare(Container("web", "64").definition));
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(w.filter.rules, IsEmpty());
  api::NetworkReport report;
  w.network.FillReport(report);
  EXPECT_THAT(report.errors, ElementsAre("no nft"));

  w.Pass(milliseconds(2'100));
  EXPECT_TRUE(RunOnLoop(w.loop, w.network.Prepare(Container("web", "64").definition)).ok());
  w.Settle();
  EXPECT_THAT(w.filter.rules, HasSubstr("\"vb-id-web\" . 172.16.0.64"));
}

TEST(ClusterNetworkTest, WhatTheControllerSendsIsInForceAtOnceAndOlderIsNot) {
  World w;
  w.network.SetContainers({Container("web", "64")});
  EXPECT_TRUE(w.network.SetNetwork(Network(2, 80)));
  w.Settle();
  EXPECT_THAT(w.filter.rules, HasSubstr("proto-dst { 80 }"));
  EXPECT_FALSE(w.network.SetNetwork(Network(1, 22)));
  w.Settle();
  EXPECT_THAT(w.filter.rules, HasSubstr("proto-dst { 80 }"));
  EXPECT_TRUE(w.network.SetNetwork(Network(3, 443)));
  w.Settle();
  EXPECT_THAT(w.filter.rules, HasSubstr("proto-dst { 443 }"));
  api::NetworkReport report;
  w.network.FillReport(report);
  EXPECT_EQ(report.network_version, (api::Version{1, 3}));
}

TEST(ClusterNetworkTest, NothingIsAppliedTwiceForNothing) {
  World w;
  w.network.SetContainers({Container("web", "64")});
  w.Settle();
  const int before = w.filter.applied;
  w.network.SetContainers({Container("web", "64")});
  w.network.OnPortChange();
  w.Settle();
  EXPECT_EQ(w.filter.applied, before);
}

TEST(ClusterNetworkTest, WhatSomebodyFlushedIsThereAgain) {
  World w;
  w.network.SetContainers({Container("web", "64")});
  w.Settle();
  const std::string rules = w.filter.rules;
  w.filter.Flush();
  EXPECT_THAT(w.filter.rules, IsEmpty());
  w.Pass(milliseconds(10));
  EXPECT_EQ(w.filter.rules, rules);
  const int before = w.filter.applied;
  for (int i = 0; i < 50; ++i) {
    w.filter.Flush();
    w.Pass(milliseconds(10));
  }
  EXPECT_LE(w.filter.applied - before, 8) << "a fight with another program has a pause";
}

TEST(ClusterNetworkTest, WithTheControllerAwayForAnHourAddressesNamesAndRulesAreKept) {
  World w;
  api::Names names;
  names.version = {1, 1};
  names.domain = "bramble.internal";
  names.records = {{.name = "web.bramble.internal", .address = Address("172.16.0.64")}};
  w.network.SetContainers({Container("web", "64")});
  w.network.SetNetwork(Network(1, 80));
  w.network.SetNames(names);
  w.network.SetOwnAddress(Address("172.16.0.11"));
  w.Settle();
  const std::string rules = w.filter.rules;
  const int applied = w.filter.applied;
  for (int minute = 0; minute < 60; ++minute) {
    w.clock.Advance(std::chrono::minutes(1));
    w.network.OnPortChange();
    w.Pass(milliseconds(1));
  }
  EXPECT_EQ(w.filter.rules, rules);
  EXPECT_EQ(w.filter.applied, applied);
  ASSERT_THAT(w.names.hosts, SizeIs(1));
  EXPECT_EQ(w.names.hosts[0].host.address.str(), "172.16.0.64/24");
  EXPECT_EQ(w.names.server, Address("172.16.0.11"));
  EXPECT_EQ(w.names.names, names);
}

TEST(ClusterNetworkTest, AFloatingAddressComesIsAnnouncedAndGoes) {
  World w;
  NetworkContainer web = Container("web", "64");
  web.definition.floating_addresses = {Address("172.16.0.230")};
  w.network.SetContainers({web});
  w.Settle();
  EXPECT_THAT(w.ports.inside[64], ElementsAre(Address("172.16.0.230")));
  ASSERT_THAT(w.announced, SizeIs(1));
  EXPECT_EQ(w.announced[0].second, Address("172.16.0.230"));
  EXPECT_THAT(w.filter.rules, HasSubstr("\"vb-id-web\" . 172.16.0.230"));
  EXPECT_TRUE(w.names.clients.contains(Address("172.16.0.230")));

  w.network.SetContainers({Container("web", "64")});
  w.Settle();
  EXPECT_THAT(w.ports.inside[64], IsEmpty());
  EXPECT_THAT(w.filter.rules, Not(HasSubstr("172.16.0.230")));
  w.Pass(milliseconds(1'100));
  EXPECT_THAT(w.announced, SizeIs(1)) << "what has gone is announced no more";
}

TEST(ClusterNetworkTest, AnotherThatUsesAContainersAddressIsReportedForAMinute) {
  World w;
  w.network.SetContainers({Container("web", "64")});
  w.Settle();
  const MacAddress rival = MacAddress::Parse("02:00:00:00:00:99").value();
  w.network.OnArp(
      ArpAnnouncement(MacAddress::Parse("02:42:ac:10:00:64").value(), Address("172.16.0.64")));
  w.network.OnArp(ArpProbe(rival, Address("172.16.0.64")));
  api::NetworkReport quiet;
  w.network.FillReport(quiet);
  EXPECT_THAT(quiet.conflicts, IsEmpty());
  w.network.OnArp(ArpAnnouncement(rival, Address("172.16.0.64")));
  api::NetworkReport report;
  w.network.FillReport(report);
  ASSERT_THAT(report.conflicts, SizeIs(1));
  EXPECT_EQ(report.conflicts[0].mac, rival.str());
  EXPECT_EQ(report.conflicts[0].container, ContainerId::Trusted("id-web"));
  w.clock.Advance(std::chrono::seconds(61));
  api::NetworkReport later;
  w.network.FillReport(later);
  EXPECT_THAT(later.conflicts, IsEmpty());
}

TEST(ClusterNetworkTest, NobodyIsARivalForAnAddressThatWentElsewhere) {
  World w;
  NetworkContainer web = Container("web", "64");
  web.definition.floating_addresses = {Address("172.16.0.230")};
  w.network.SetContainers({web});
  w.Settle();
  w.network.OnArp(
      ArpAnnouncement(MacAddress::Parse("02:00:00:00:00:99").value(), Address("172.16.0.230")));
  api::NetworkReport report;
  w.network.FillReport(report);
  EXPECT_THAT(report.conflicts, SizeIs(1));
  w.network.SetContainers({Container("web", "64")});
  w.Settle();
  api::NetworkReport later;
  w.network.FillReport(later);
  EXPECT_THAT(later.conflicts, IsEmpty());
}

TEST(ClusterNetworkTest, TooManyRulesAreRefusedAndThoseBeforeStay) {
  World w;
  w.network.SetContainers({Container("web", "64")});
  w.network.SetNetwork(Network(1, 80));
  w.Settle();
  const std::string rules = w.filter.rules;
  api::NodeNetwork huge = Network(2, 80);
  huge.policies[0].rules.resize(kMaxPacketRules + 1, huge.policies[0].rules[0]);
  w.network.SetNetwork(huge);
  EXPECT_FALSE(RunOnLoop(w.loop, w.network.Settle()).ok());
  EXPECT_EQ(w.filter.rules, rules);
  api::NetworkReport report;
  w.network.FillReport(report);
  ASSERT_THAT(report.errors, SizeIs(1));
  EXPECT_THAT(report.errors[0], HasSubstr("at most 20000 are taken"));
  EXPECT_EQ(report.network_version, (api::Version{1, 1}));
}

}  // namespace
}  // namespace bramble::node
