// SPDX-License-Identifier: Apache-2.0
#include "api/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/address.h"
#include "api/floating_ip.h"
#include "api/port_forward.h"
#include "api/project.h"

namespace bramble::api {
namespace {

using ::testing::HasSubstr;

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

TEST(NetworkCodecTest, ANetworkGoesToJsonAndBack) {
  const Network network{.generation = 3,
                        .prefix = Ipv4Prefix::Parse("172.16.0.0/24").value(),
                        .gateway = At("172.16.0.1"),
                        .ranges = {{"nodes", {At("172.16.0.11"), At("172.16.0.63")}}},
                        .guests = true,
                        .masquerade = true,
                        .upstream_dns = {At("9.9.9.9")},
                        .interface = "br0",
                        .uplink = "eth0",
                        .dns_state = "running",
                        .dhcp_state = "running",
                        .gateway_state = "applied",
                        .use = {{"nodes", {53, 3}}},
                        .rivals = {{At("192.168.1.1"), "02:00:00:00:00:01", WallTime{}}}};

  const Network copy = NetworkFromJson(ToJson(network)).value();

  EXPECT_EQ(ToJson(copy), ToJson(network));
  EXPECT_EQ(copy.ranges, network.ranges);
}

TEST(NetworkCodecTest, APatchSaysOnlyWhatChanges) {
  const NetworkPatch none = NetworkPatchFromJson(json::object()).value();
  EXPECT_EQ(json::serialize(ToJson(none)), "{}");
  NetworkPatch patch{.prefix = Ipv4Prefix::Parse("10.1.0.0/22").value(),
                     .ranges = {{"guests", {At("10.1.3.0"), At("10.1.3.99")}}},
                     .guests = false,
                     .upstream_dns = std::vector<Ipv4>{}};
  EXPECT_EQ(json::serialize(ToJson(patch)),
            R"({"prefix":"10.1.0.0/22","ranges":{"guests":"10.1.3.0-10.1.3.99"},)"
            R"("guests":false,"upstream_dns":[]})");
  EXPECT_EQ(ToJson(NetworkPatchFromJson(ToJson(patch)).value()), ToJson(patch));
}

TEST(NetworkCodecTest, APatchThatIsWrongIsRefusedWithThePlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"prefix":"172.16.0.5/24"})", "network.prefix"},
      {R"({"ranges":{"nodes":"172.16.0.9-172.16.0.3"}})", "its end is before its beginning"},
      {R"({"ranges":{"pupils":"172.16.0.9"}})", "pupils"},
      {R"({"upstream_dns":["dns.example"]})", "network.upstream_dns"},
      {R"({"gateway":"172.16.0.9"})", "gateway"},
      {R"({"guests":1})", "network.guests"},
  };
  for (const auto& [text, expected] : cases) {
    const absl::StatusOr<NetworkPatch> patch = NetworkPatchFromJson(ParseJson(text).value());
    EXPECT_EQ(patch.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(patch.status().message()), HasSubstr(expected));
  }
}

TEST(NetworkCodecTest, APlanAndAFindingGoToJsonAndBack) {
  const NetworkPlan plan{.prefix = Ipv4Prefix::Parse("10.1.0.0/22").value(),
                         .ranges = {{"floating", {At("10.1.3.128"), At("10.1.3.254")}}},
                         .moves = {{"container", "c1", "web", At("172.16.0.64"), At("10.1.1.0")}},
                         .refusals = {"too small"}};
  EXPECT_EQ(NetworkPlanFromJson(ToJson(plan)).value().moves, plan.moves);
  const NetworkFinding finding{"rival-dhcp", "critical", "192.168.1.1", "answers", "unplug it"};
  EXPECT_EQ(NetworkFindingFromJson(ToJson(finding), "f").value(), finding);
}

TEST(AddressCodecTest, AddressesAndReservationsGoToJsonAndBack) {
  const Address address{.address = At("172.16.0.64"),
                        .use = AddressUse::kContainers,
                        .state = AddressState::kConflict,
                        .owner = {"container", "c1", "web", "default"},
                        .mac = "02:00:00:00:00:01",
                        .note = "also answered by 02:00:00:00:00:02"};
  EXPECT_EQ(ToJson(AddressFromJson(ToJson(address)).value()), ToJson(address));
  const Reservation reservation{.name = "printer",
                                .address = At("172.16.0.5"),
                                .mac = "02:00:00:00:00:01",
                                .note = "by the door"};
  EXPECT_EQ(ReservationFromJson(ToJson(reservation)).value(), reservation);
}

TEST(AddressCodecTest, AReservationThatCouldBreakAConfigurationIsRefused) {
  for (const char* bad :
       {R"({"name":"a b"})", R"({"name":"UP"})", R"({"name":"-a"})", R"({"name":""})",
        R"({"name":"a.b"})", R"({"name":"a\nb"})", R"({"name":"a","mac":"01:00:5e:00:00:01"})",
        R"({"name":"a","mac":"02-00-00-00-00-01"})", R"({"name":"a","mac":"02:00:00:00:00"})",
        R"({"name":"a","address":"172.16.0.300"})", R"({"name":"a","note":"x\ny"})",
        R"({"name":"a","use":"pupils"})", R"({"name":"a","ip":"1.2.3.4"})"}) {
    EXPECT_FALSE(ReservationFromJson(ParseJson(bad).value(), "address", UnknownKeys::kRefuse).ok())
        << bad;
  }
  EXPECT_EQ(ParseMac("DC:A6:32:01:02:03").value(), "dc:a6:32:01:02:03");
}

TEST(FloatingIpCodecTest, GoesToJsonAndBack) {
  const FloatingIp ip{.address = At("172.16.0.225"),
                      .project = ProjectName::Trusted("default"),
                      .container_id = ContainerId::Trusted("c1"),
                      .container = ContainerName::Trusted("web"),
                      .node = "pi-1",
                      .automatic = true};
  EXPECT_EQ(ToJson(FloatingIpFromJson(ToJson(ip)).value()), ToJson(ip));
  const AttachFloatingIp request{.address = At("172.16.0.225"), .container = "web", .move = true};
  EXPECT_EQ(ToJson(AttachFloatingIpFromJson(ToJson(request)).value()), ToJson(request));
  EXPECT_FALSE(AttachFloatingIpFromJson(json::object{{"container", ""}}).ok());
}

TEST(PortForwardCodecTest, GoesToJsonAndBackAndIsNamedByItsPort) {
  const PortForward forward{.port = 8080, .container = "web", .container_port = 80};
  EXPECT_EQ(forward.Key(), "tcp-8080");
  EXPECT_EQ(PortForwardFromJson(ToJson(forward)).value(), forward);
  for (const char* bad : {R"({"port":0,"container":"web"})", R"({"port":70000,"container":"web"})",
                          R"({"port":80})", R"({"port":80,"container":"web","protocol":"icmp"})",
                          R"({"port":80,"container":"web","container_port":65536})"}) {
    EXPECT_FALSE(PortForwardFromJson(ParseJson(bad).value()).ok()) << bad;
  }
}

TEST(ProjectCodecTest, GoesToJsonAndBack) {
  const Project project{.generation = 2, .auto_floating_ip = true};
  EXPECT_EQ(ProjectFromJson(ToJson(project)).value(), project);
}

}  // namespace
}  // namespace bramble::api
