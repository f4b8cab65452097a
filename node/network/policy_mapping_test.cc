// SPDX-License-Identifier: Apache-2.0
#include "node/network/policy_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/network/nft_rules.h"

namespace bramble::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

Ipv4 Address(const char* text) { return Ipv4::Parse(text).value(); }

NetworkContainer Container(const std::string& name, const std::string& address) {
  NetworkContainer container;
  api::NodeContainer& definition = container.definition;
  definition.id = ContainerId::Trusted("id-" + name);
  definition.name = ContainerName::Trusted(name);
  definition.project = ProjectName::Trusted("default");
  definition.address = address + "/24";
  const std::string last = address.substr(address.rfind('.') + 1);
  definition.mac = "02:42:ac:10:00:" + last;
  definition.gateway = "172.16.0.1";
  definition.dns = {"172.16.0.11", "172.16.0.1"};
  definition.firewall = api::ContainerFirewall{.policies = {"g/default/web"}};
  return container;
}

api::NodeNetwork Network() {
  api::NodeNetwork network;
  network.version = {1, 1};
  network.controllers = {Address("172.16.0.1")};
  network.nodes = {Address("172.16.0.11"), Address("172.16.0.12")};
  network.sets = {{.name = "p/default", .addresses = {Address("172.16.0.64")}}};
  network.policies = {
      {.name = "g/default/web",
       .rules = {{.protocol = api::Protocol::kTcp, .port_first = 80, .port_last = 81},
                 {.set = "p/default"},
                 {.set = "p/gone"}}}};
  return network;
}

TEST(PolicyMappingTest, ContainersBecomePortsWithTheirGroups) {
  NetworkContainer web = Container("web", "172.16.0.64");
  web.definition.floating_addresses = {Address("172.16.0.230")};
  web.definition.firewall->rules = {
      {.protocol = api::Protocol::kUdp, .port_first = 53, .port_last = 53}};
  web.definition.spec.bandwidth = {.in_bps = 1'000'000, .out_bps = 2'000'000};
  const NetworkPlan plan = PlanNetwork({web}, Network(), Address("172.16.0.11"));
  ASSERT_THAT(plan.policy.ports, SizeIs(1));
  const ContainerPort& port = plan.policy.ports[0];
  EXPECT_EQ(port.interface, "vb-id-web");
  EXPECT_THAT(port.addresses, ElementsAre(Address("172.16.0.64"), Address("172.16.0.230")));
  EXPECT_THAT(port.groups, ElementsAre("g/default/web", "c/id-web"));
  EXPECT_FALSE(port.open_in);
  EXPECT_TRUE(port.open_out);
  EXPECT_THAT(plan.policy.groups[0].rules, SizeIs(2)) << "a set that is not here lets nothing in";
  EXPECT_EQ(plan.rates[0].out_bits_per_second, 2'000'000);
  EXPECT_THAT(plan.hosts[0].dns, ElementsAre(Address("172.16.0.11"), Address("172.16.0.1")));
  EXPECT_THAT(plan.errors, IsEmpty());
  EXPECT_TRUE(CompileNftRules(plan.policy).ok()) << CompileNftRules(plan.policy).status();
}

TEST(PolicyMappingTest, APolicyThatIsNotHereLetsNothingIn) {
  const NetworkPlan plan = PlanNetwork({Container("web", "172.16.0.64")}, std::nullopt, Ipv4());
  EXPECT_THAT(plan.policy.ports[0].groups, IsEmpty());
  EXPECT_FALSE(plan.policy.ports[0].open_in);
  const std::string rules = CompileNftRules(plan.policy).value();
  EXPECT_THAT(rules, HasSubstr("chain in_0 {\n    drop\n"));
  EXPECT_THAT(rules, HasSubstr("elements = { 172.16.0.1 }")) << "the controller, by the plan";
  EXPECT_THAT(rules, HasSubstr("elements = { 172.16.0.11-172.16.0.63 }")) << "nodes, likewise";
}

// A node that has just been switched on has an address of its own choice, and port 8445 open.
TEST(PolicyMappingTest, TheBlobPortOfNodesThatNobodyToldOfIsClosedToo) {
  api::NodeNetwork network = Network();
  network.prefix = Ipv4Prefix(Address("172.16.0.0"), 24);
  network.nodes = {Address("172.16.0.11"), Address("172.16.0.100")};
  const auto rules = [&](const std::string& container) {
    const NetworkPlan plan = PlanNetwork({Container("web", container)}, network, Ipv4());
    return CompileNftRules(plan.policy).value();
  };
  EXPECT_THAT(rules("172.16.0.64"),
              HasSubstr("set nodes {\n    type ipv4_addr; flags interval\n"
                        "    elements = { 172.16.0.11-172.16.0.63, 172.16.0.100 }"));
  EXPECT_THAT(rules("10.7.0.64"), HasSubstr("elements = { 10.7.0.11-10.7.0.63, 172.16.0.11-"))
      << "while the prefix changes both ranges have nodes";
}

TEST(PolicyMappingTest, WithoutFirewallsOnlySpoofingIsFiltered) {
  NetworkContainer web = Container("web", "172.16.0.64");
  web.definition.firewall.reset();
  const NetworkPlan plan = PlanNetwork({web}, std::nullopt, Ipv4());
  EXPECT_TRUE(plan.policy.ports[0].open_in);
  EXPECT_TRUE(plan.policy.ports[0].open_out);
}

TEST(PolicyMappingTest, ThePortOfWhatIsWrongIsClosedAndSaysSo) {
  NetworkContainer bad = Container("bad", "172.16.0.70");
  bad.definition.mac = "nonsense";
  NetworkContainer twin = Container("twin", "172.16.0.64");
  twin.definition.mac = "02:42:ac:10:00:99";
  const NetworkPlan plan =
      PlanNetwork({Container("web", "172.16.0.64"), bad, twin}, Network(), Address("172.16.0.11"));
  ASSERT_THAT(plan.policy.ports, SizeIs(2));
  EXPECT_THAT(plan.policy.ports[1].addresses, IsEmpty());
  ASSERT_THAT(plan.errors, SizeIs(2));
  EXPECT_THAT(plan.errors[0], HasSubstr("\"bad\""));
  EXPECT_THAT(plan.errors[1], HasSubstr("172.16.0.64 is another container's"));
  EXPECT_TRUE(CompileNftRules(plan.policy).ok());
}

TEST(PolicyMappingTest, AContainerWithoutANetworkHasNoPort) {
  NetworkContainer lonely = Container("lonely", "172.16.0.64");
  lonely.definition.address.clear();
  EXPECT_THAT(PlanNetwork({lonely}, Network(), Ipv4()).policy.ports, IsEmpty());
}

TEST(PolicyMappingTest, AnInterfaceNameIsTheEndOfTheIdAndNeverTooLong) {
  EXPECT_EQ(HostInterfaceOf(ContainerId::Trusted("c1")), "vb-c1");
  EXPECT_EQ(HostInterfaceOf(ContainerId::Trusted("0123456789abcdefghjkmnpqrs")), "vb-efghjkmnpqrs");
}

}  // namespace
}  // namespace bramble::node
