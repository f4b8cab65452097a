// SPDX-License-Identifier: Apache-2.0
#include "controller/network/dnsmasq_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

DnsmasqSettings Some() {
  const AddressPlan plan = AddressPlan::Make("172.16.0.0/24").value();
  return {.interface = "br0",
          .prefix = plan.prefix(),
          .gateway = At("172.16.0.1"),
          .node_range = plan.nodes(),
          .guest_range = plan.guests(),
          .names = {{"web.bramble.internal", At("172.16.0.64")},
                    {"web.default.bramble.internal", At("172.16.0.64"), true}},
          .hosts = {{.macs = {"dc:a6:32:00:00:01"},
                     .serial = "10000000abcdef01",
                     .address = At("172.16.0.11"),
                     .name = "pi-1"}}};
}

const DnsmasqPaths kPaths = {.directory = "/run/bramble/controller/dnsmasq",
                             .leases = "/var/lib/bramble/controller/dhcp.leases"};

TEST(DnsmasqConfigTest, AnswersOnlyWhomItKnowsUnlessGuestsAreOn) {
  const DnsmasqFiles closed = WriteDnsmasqFiles(Some(), kPaths).value();
  EXPECT_THAT(closed.config, HasSubstr("\ndhcp-ignore=tag:!known,tag:!card\n"));
  EXPECT_THAT(closed.config, Not(HasSubstr("172.16.0.200")));
  DnsmasqSettings settings = Some();
  settings.guests = true;
  const DnsmasqFiles open = WriteDnsmasqFiles(settings, kPaths).value();
  EXPECT_THAT(open.config, Not(HasSubstr("dhcp-ignore=")));
  EXPECT_THAT(open.config, HasSubstr("dhcp-range=tag:!card,172.16.0.200,172.16.0.223"));
}

TEST(DnsmasqConfigTest, NamesNeverComeFromAClientAndOthersAreAskedOnlyWhereConfigured) {
  DnsmasqSettings settings = Some();
  const std::string alone = WriteDnsmasqFiles(settings, kPaths)->config;
  EXPECT_THAT(alone, HasSubstr("\ndhcp-ignore-names\n"));
  EXPECT_THAT(alone, HasSubstr("\nno-resolv\n"));
  EXPECT_THAT(alone, HasSubstr("\nlocal=/bramble.internal/\n"));
  EXPECT_THAT(alone, HasSubstr("\nlocal=/0.16.172.in-addr.arpa/\n"));
  EXPECT_THAT(alone, Not(HasSubstr("\nserver=")));
  settings.upstream = {At("9.9.9.9")};
  EXPECT_THAT(WriteDnsmasqFiles(settings, kPaths)->config, HasSubstr("\nserver=9.9.9.9\n"));
}

TEST(DnsmasqConfigTest, IsTheWayOutOnlyWhereItMasquerades) {
  DnsmasqSettings settings = Some();
  EXPECT_THAT(WriteDnsmasqFiles(settings, kPaths)->config,
              HasSubstr("\ndhcp-option=option:router\n"));
  settings.router = true;
  EXPECT_THAT(WriteDnsmasqFiles(settings, kPaths)->config,
              HasSubstr("\ndhcp-option=option:router,172.16.0.1\n"));
}

TEST(DnsmasqConfigTest, WritesNamesAndKnownMachines) {
  const DnsmasqFiles files = WriteDnsmasqFiles(Some(), kPaths).value();
  EXPECT_EQ(files.names, "172.16.0.64 web.default.bramble.internal web.bramble.internal\n");
  EXPECT_EQ(files.hosts,
            "dc:a6:32:00:00:01,id:bramble-10000000abcdef01,set:ours,172.16.0.11,pi-1\n");
}

TEST(DnsmasqConfigTest, RefusesWhatCouldBecomeAnOption) {
  const auto refuses = [](auto change) {
    DnsmasqSettings settings = Some();
    change(settings);
    EXPECT_EQ(WriteDnsmasqFiles(settings, kPaths).status().code(),
              absl::StatusCode::kInvalidArgument);
  };
  refuses([](auto& s) { s.interface = "br0\ndhcp-script=/bin/sh"; });
  refuses([](auto& s) { s.interface = ""; });
  refuses([](auto& s) { s.interface = "br0,lo"; });
  refuses([](auto& s) { s.names[0].name = "a\n10.0.0.1 bank.example"; });
  refuses([](auto& s) { s.names[0].name = "a b"; });
  refuses([](auto& s) { s.names[0].name = ""; });
  refuses([](auto& s) { s.hosts[0].macs = {"dc:a6:32:00:00:01,ignore"}; });
  refuses([](auto& s) { s.hosts[0].name = "pi,1"; });
  refuses([](auto& s) { s.hosts[0].serial = "1,set:known"; });
  DnsmasqPaths paths = kPaths;
  for (const char* bad : {"/run/a b", "relative", "/run/a\nb", "/run/a#b"}) {
    paths.directory = bad;
    EXPECT_FALSE(WriteDnsmasqFiles(Some(), paths).ok()) << bad;
  }
}

TEST(DnsmasqConfigTest, KnowsTheReverseZonesOfAPrefix) {
  const auto zones = [](const char* prefix) {
    return ReverseZones(Ipv4Prefix::Parse(prefix).value());
  };
  EXPECT_THAT(zones("172.16.0.0/24"), ElementsAre("0.16.172.in-addr.arpa"));
  EXPECT_THAT(zones("172.16.0.0/16"), ElementsAre("16.172.in-addr.arpa"));
  EXPECT_THAT(zones("172.16.4.16/28"), ElementsAre("4.16.172.in-addr.arpa"));
  EXPECT_THAT(zones("10.1.4.0/23"), ElementsAre("4.1.10.in-addr.arpa", "5.1.10.in-addr.arpa"));
  EXPECT_EQ(zones("10.1.0.0/17").size(), 128u);
}

TEST(DnsmasqConfigTest, ReadsLeasesAndLeavesOutTheRest) {
  const auto leases = ParseLeases(
      "1700000000 02:00:00:00:00:01 172.16.0.200 laptop 01:02\n"
      "garbage\n"
      "1700000000 02:00:00:00:00:02 172.16.0.999 * *\n"
      "x 02:00:00:00:00:02 172.16.0.201 * *\n"
      "duid 00:01\n");
  ASSERT_EQ(leases.size(), 1u);
  EXPECT_EQ(leases[0], (DhcpLease{1700000000, "02:00:00:00:00:01", At("172.16.0.200")}));
}

}  // namespace
}  // namespace bramble::controller
