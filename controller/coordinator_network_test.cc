// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"
#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class NetworkTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddNode("pi-1");
    AddImage();
    ASSERT_TRUE(Create(Request("web")).ok());
    ReportAll("pi-1");
    Pass(std::chrono::seconds(2));
  }
  absl::StatusOr<Written> Alter(api::NetworkPatch patch, WriteOptions options = {}) {
    return Do([&](WriteDone done) {
      coordinator_->network().Alter(Admin(), patch, options, std::move(done));
    });
  }
  absl::StatusOr<Written> Reserve(api::Reservation reservation) {
    return Do([&](WriteDone done) {
      coordinator_->network().Reserve(Admin(), reservation, {}, std::move(done));
    });
  }
  absl::StatusOr<Written> Release(const std::string& key) {
    return Do([&](WriteDone done) {
      coordinator_->network().Release(Admin(), key, {}, std::move(done));
    });
  }
  std::string Addresses(const std::string& filter = "") {
    return *coordinator_->network().Addresses(Admin(), {.filter = filter}).value().body;
  }
  std::vector<std::string> Names(const std::string& node) {
    std::vector<std::string> texts;
    for (const api::NameRecord& record : nodes_[node].names.value().records) {
      texts.push_back(record.name + " " + record.address.str());
    }
    return texts;
  }
  static Ipv4Prefix Prefix(std::string_view text) { return Ipv4Prefix::Parse(text).value(); }
  static Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }
  static api::IpRange Range(std::string_view text) { return api::ParseIpRange(text).value(); }
};

TEST_F(NetworkTest, NodesAreSentTheWholeZoneAndAnswerWithoutUs) {
  EXPECT_THAT(Names("pi-1"), Contains("web.bramble.internal " + Container("web").status.address));
  EXPECT_THAT(Names("pi-1"), Contains("pi-1.node.bramble.internal " + Node("pi-1").address));
  const api::NodeContainer& told = nodes_["pi-1"].containers.at(Container("web").id.str());
  EXPECT_THAT(told.dns, ElementsAre(Node("pi-1").address, "172.16.0.1"));
  EXPECT_EQ(network_.applied.back().dnsmasq.names, nodes_["pi-1"].names->records);
}

TEST_F(NetworkTest, KnownMachinesAreToldToDhcpAndNamesNeverComeFromThem) {
  const std::vector<DhcpHost>& hosts = network_.applied.back().dnsmasq.hosts;
  ASSERT_THAT(hosts, SizeIs(1));
  EXPECT_EQ(hosts[0].name, "pi-1");
  EXPECT_EQ(hosts[0].serial, "serial-pi-1");
}

TEST_F(NetworkTest, APrefixChangeMovesEverythingAndLosesNoContainer) {
  const std::string id = Container("web").id.str();
  const absl::StatusOr<Rendered> plan =
      coordinator_->network().Plan(Admin(), {.prefix = Prefix("10.1.0.0/22")});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const api::NetworkPlan moves = api::NetworkPlanFromJson(json::parse(*plan->body)).value();
  EXPECT_THAT(moves.moves, SizeIs(3)) << "controller, node, container";
  EXPECT_EQ(Container("web").status.address, "172.16.0.64") << "a dry run changes nothing";

  ASSERT_TRUE(Alter({.prefix = Prefix("10.1.0.0/22")}).ok());
  Pass(std::chrono::seconds(2));

  EXPECT_EQ(Container("web").id.str(), id);
  EXPECT_EQ(Container("web").status.address, "10.1.1.0");
  EXPECT_EQ(nodes_["pi-1"].containers.at(id).address, "10.1.1.0/22");
  EXPECT_EQ(nodes_["pi-1"].containers.at(id).gateway, "10.1.0.1");
  EXPECT_EQ(nodes_["pi-1"].containers.at(id).dns.at(0), Node("pi-1").address);
  EXPECT_EQ(nodes_["pi-1"].network->address.str(), Node("pi-1").address + "/22");
  EXPECT_THAT(nodes_["pi-1"].network->controllers, ElementsAre(At("10.1.0.1"), At("172.16.0.1")));
  EXPECT_TRUE(nodes_["pi-1"].buried.empty());
  const NetworkOutputs& outputs = network_.applied.back();
  EXPECT_EQ(outputs.address.str(), "10.1.0.1/22");
  EXPECT_EQ(outputs.old_address.value().str(), "172.16.0.1/24");
  Restart();
  EXPECT_EQ(Container("web").status.address, "10.1.1.0");
}

TEST_F(NetworkTest, NewAddressesAreAskedForAndThoseOfOthersAreGivenToNobody) {
  prober_.in_use = {"10.1.0.64", "10.1.0.65"};
  ASSERT_TRUE(Alter({.prefix = Prefix("10.1.0.0/24")}).ok());
  EXPECT_EQ(Container("web").status.address, "10.1.0.66");

  prober_.in_use = {"10.2.0.1"};
  const absl::StatusOr<Written> refused = Alter({.prefix = Prefix("10.2.0.0/24")});
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("10.2.0.1 is used by a machine"));
  EXPECT_EQ(Container("web").status.address, "10.1.0.66");
}

TEST_F(NetworkTest, AChangeThatFindsOnlyMachinesOfOthersEndsAndChangesNothing) {
  for (int i = 64; i < 200; ++i) {
    prober_.in_use.insert("10.1.0." + std::to_string(i));
  }
  const absl::StatusOr<Written> refused = Alter({.prefix = Prefix("10.1.0.0/24")});
  EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
  EXPECT_EQ(Container("web").status.address, "172.16.0.64");
}

TEST_F(NetworkTest, TheOldAddressGoesAfterItsTime) {
  ASSERT_TRUE(Alter({.prefix = Prefix("10.1.0.0/22")}).ok());
  Pass(std::chrono::seconds(2));
  Pass(std::chrono::seconds(api::kOldAddressKeptSeconds), std::chrono::seconds(60));
  Pass(std::chrono::seconds(2));
  EXPECT_EQ(network_.applied.back().old_address, std::nullopt);
}

TEST_F(NetworkTest, AFloatingIpMovesWithThePrefix) {
  const auto attached = Do([&](WriteDone done) {
    coordinator_->floating_ips().Attach(Admin(), {.container = "web"}, {}, std::move(done));
  });
  ASSERT_TRUE(attached.ok());
  ASSERT_TRUE(Alter({.prefix = Prefix("10.1.0.0/24")}).ok());
  EXPECT_THAT(Container("web").status.floating_ips, ElementsAre("10.1.0.225"));
  EXPECT_NE(coordinator_->state().floating_ips().Find("10.1.0.225"), nullptr);
  EXPECT_EQ(coordinator_->state().floating_ips().size(), 1u);
  Restart();
  EXPECT_EQ(coordinator_->state().floating_ips().size(), 1u);
}

TEST_F(NetworkTest, WhatFindsNoRoomIsRefusedAndNothingMoves) {
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(Create(Request("c" + std::to_string(i))).ok());
  }
  const absl::Status status = Alter({.prefix = Prefix("10.1.0.0/28")}).status();
  EXPECT_EQ(api::ProblemOf(status).code, api::kCodePrefixTooSmall);
  EXPECT_EQ(Container("web").status.address, "172.16.0.64");
  EXPECT_TRUE(Create(Request("later")).ok()) << "the network is as it was";
}

TEST_F(NetworkTest, ChangedRangesAreUsedAtOnce) {
  ASSERT_TRUE(Alter({.ranges = {{"containers", Range("172.16.0.100-172.16.0.199")}}}).ok());
  EXPECT_EQ(Container("web").status.address, "172.16.0.100");
  ASSERT_TRUE(Create(Request("next")).ok());
  ReportAll("pi-1");
  EXPECT_EQ(Container("next").status.address.rfind("172.16.0.1", 0), 0u);
}

TEST_F(NetworkTest, BadInputIsRefusedWithItsCode) {
  const auto code = [&](api::NetworkPatch patch) {
    return api::ProblemOf(Alter(std::move(patch)).status()).code;
  };
  EXPECT_EQ(code({.ranges = {{"guests", Range("172.16.0.190-172.16.0.223")}}}),
            api::kCodeRangesOverlap);
  EXPECT_EQ(code({.ranges = {{"guests", Range("10.0.0.1-10.0.0.9")}}}), api::kCodeAddressOutside);
  EXPECT_EQ(code({.ranges = {{"floating", Range("172.16.0.225-172.16.0.255")}}}),
            api::kCodeAddressUnusable);
  EXPECT_EQ(code({.prefix = Prefix("10.0.0.0/8")}), "invalid_argument");
  EXPECT_EQ(code({.prefix = Prefix("10.0.0.0/29")}), "invalid_argument");
  EXPECT_EQ(Alter({.guests = true}, {.if_match = 99}).status().code(), absl::StatusCode::kAborted);
}

TEST_F(NetworkTest, GuestsMasqueradeAndUpstreamReachTheServices) {
  ASSERT_TRUE(
      Alter({.guests = true, .masquerade = true, .upstream_dns = std::vector<Ipv4>{At("9.9.9.9")}})
          .ok());
  Pass(std::chrono::seconds(2));
  const NetworkOutputs& outputs = network_.applied.back();
  EXPECT_TRUE(outputs.dnsmasq.guests);
  EXPECT_TRUE(outputs.dnsmasq.router);
  EXPECT_TRUE(outputs.gateway.masquerade);
  EXPECT_THAT(outputs.dnsmasq.upstream, ElementsAre(At("9.9.9.9")));
}

TEST_F(NetworkTest, AnAddressIsReservedNamedAndReleased) {
  ASSERT_TRUE(Reserve({.name = "printer", .address = At("172.16.0.5")}).ok());
  Pass(std::chrono::seconds(2));
  EXPECT_THAT(Names("pi-1"), Contains("printer.bramble.internal 172.16.0.5"));
  EXPECT_THAT(Addresses("state=reserved"), HasSubstr("172.16.0.5"));
  EXPECT_EQ(api::ProblemOf(Reserve({.name = "other", .address = At("172.16.0.5")}).status()).code,
            api::kCodeAddressInUse);
  ASSERT_TRUE(Release("172.16.0.5").ok());
  EXPECT_THAT(Addresses("state=reserved"), Not(HasSubstr("172.16.0.5")));
}

TEST_F(NetworkTest, AReservationThatCannotBeIsRefused) {
  const auto code = [&](api::Reservation reservation) {
    return api::ProblemOf(Reserve(std::move(reservation)).status()).code;
  };
  EXPECT_EQ(code({.name = "a", .address = At("172.16.0.0")}), api::kCodeAddressUnusable);
  EXPECT_EQ(code({.name = "a", .address = At("172.16.0.255")}), api::kCodeAddressUnusable);
  EXPECT_EQ(code({.name = "a", .address = At("172.16.0.1")}), api::kCodeAddressUnusable);
  EXPECT_EQ(code({.name = "a", .address = At("172.16.1.1")}), api::kCodeAddressOutside);
  const absl::Status taken = Reserve({.name = "a", .address = At("172.16.0.64")}).status();
  EXPECT_THAT(std::string(taken.message()), HasSubstr("container \"web\""));
  EXPECT_EQ(Release("172.16.0.64").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Release("nobody").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(NetworkTest, AnExhaustedRangeNamesWhoHoldsIt) {
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(Reserve({.name = "s" + std::to_string(i)}).ok()) << i;
  }
  const absl::Status status = Reserve({.name = "more"}).status();
  EXPECT_EQ(api::ProblemOf(status).code, api::kCodePoolExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("172.16.0.2 by the reservation \"s0\""));
}

TEST_F(NetworkTest, AContainerGetsTheAddressThatIsReservedForItsName) {
  ASSERT_TRUE(
      Reserve({.name = "shop", .address = At("172.16.0.150"), .use = api::AddressUse::kContainers})
          .ok());
  ASSERT_TRUE(Create(Request("shop")).ok());
  ReportAll("pi-1");
  EXPECT_EQ(Container("shop").status.address, "172.16.0.150");
  ASSERT_TRUE(Delete("shop").ok());
  ReportAll("pi-1");
  ASSERT_TRUE(Create(Request("shop")).ok());
  ReportAll("pi-1");
  EXPECT_EQ(Container("shop").status.address, "172.16.0.150") << "again";
}

TEST_F(NetworkTest, ANodeGetsTheAddressThatIsReservedForItsBoard) {
  ASSERT_TRUE(
      Reserve({.name = "front", .address = At("172.16.0.40"), .serial = "serial-pi-7"}).ok());
  AddNode("pi-7");
  EXPECT_EQ(Node("pi-7").address, "172.16.0.40");
}

TEST_F(NetworkTest, TwoMachinesWithOneAddressAreAnEventAndAFinding) {
  prober_.macs["172.16.0.64"] = {"02:00:00:00:00:01", "02:00:00:00:00:02"};
  Pass(std::chrono::seconds(5));
  EXPECT_THAT(EventTypes(), Contains("network.address_conflict"));
  EXPECT_THAT(*coordinator_->network().Findings(Admin()).value().body,
              HasSubstr("two machines answer for it"));
  EXPECT_THAT(Addresses(), HasSubstr("\"state\":\"conflict\""));
  prober_.macs["172.16.0.64"] = {"02:00:00:00:00:01"};
  Pass(std::chrono::seconds(5));
  EXPECT_THAT(Addresses(), Not(HasSubstr("\"state\":\"conflict\"")));
}

TEST_F(NetworkTest, ARivalDhcpServerIsOneEventAndAFinding) {
  const std::vector<api::RivalDhcp> rivals = {{At("192.168.1.1"), "02:00:00:00:00:09", {}}};
  network_.now.rivals = rivals;
  coordinator_->network().OnRivals(rivals);
  coordinator_->network().OnRivals(rivals);
  Settle();
  const std::vector<std::string> types = EventTypes();
  EXPECT_EQ(std::count(types.begin(), types.end(), "network.rival_dhcp"), 1);
  EXPECT_THAT(*coordinator_->network().Findings(Admin()).value().body, HasSubstr("rival-dhcp"));
  coordinator_->network().OnRivals({});
  Settle();
  EXPECT_THAT(EventTypes(), Contains("network.rival_dhcp_gone"));
}

TEST_F(NetworkTest, WhatANodeSaysOfItsNetworkIsDiagnosed) {
  api::NetworkReport report{.mode = api::UplinkMode::kBridged,
                            .uplink = "eth0",
                            .address = Ipv4Interface{At("172.16.0.11"), 24},
                            .link_up = false,
                            .mtu = 1400,
                            .default_gateway = At("172.16.0.99"),
                            .conflicts = {{At("172.16.0.64"), "02:00:00:00:00:09", {}}},
                            .missing_features = {"br_netfilter"},
                            .errors = {"nft: no such file"}};
  network_.now.mtu = 1500;
  coordinator_->sessions().OnMessage(nodes_["pi-1"].link, api::Report{.network = report});
  Settle();
  const std::string findings = *coordinator_->network().Findings(Admin()).value().body;
  for (const char* check :
       {"duplicate-address", "link", "wrong-gateway", "kernel-feature", "mtu", "node-network"}) {
    EXPECT_THAT(findings, HasSubstr(StrCat("\"check\":\"", check, "\"")));
  }
  EXPECT_THAT(EventTypes(), Contains("network.address_conflict"));
}

TEST_F(NetworkTest, AnOldClusterWithoutNetworkObjectsGetsThem) {
  EXPECT_NE(coordinator_->state().projects().Find("default"), nullptr);
  const auto list = coordinator_->network().ListProjects(Admin(), {});
  EXPECT_THAT(*list.value().body, HasSubstr("\"auto_floating_ip\":false"));
}

TEST_F(NetworkTest, AStrangerIsToldNothing) {
  EXPECT_EQ(coordinator_->network().Get(Stranger()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(coordinator_->network().Addresses(Stranger(), {}).status().code(),
            absl::StatusCode::kNotFound);
  const auto written = Do([&](WriteDone done) {
    coordinator_->network().Alter(Stranger(), {.guests = true}, {}, std::move(done));
  });
  EXPECT_EQ(written.status().code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace bramble::controller
