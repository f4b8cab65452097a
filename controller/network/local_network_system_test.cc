// SPDX-License-Identifier: Apache-2.0
// The controller's machine as gateway, DNS and DHCP server, with the real dnsmasq, nft and ip, in
// network namespaces of its own: ours is the controller, "lan" a machine on its segment.  Needs
// root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "base/run_on_loop.h"
#include "base/status.h"
#include "base/temporary_directory.h"
#include "controller/network/local_network.h"

namespace bramble::controller {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::chrono::seconds kSoon{15};
constexpr char kMac[] = "02:00:00:00:00:51";

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

std::string Lan() { return StrCat("brnet", ::getpid()); }

class LocalNetworkSystemTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root";
    const std::string lan = Lan();
    ASSERT_EQ(Shell(StrCat("ip link set lo up && ip netns add ", lan,
                           " && ip link add br0 type veth peer name eth0 netns ", lan,
                           " && ip link add up0 type veth peer name up1 netns ", lan,
                           " && ip link set br0 up && ip link set up0 up && ip address add "
                           "192.0.2.1/24 dev up0")),
              0);
    ASSERT_EQ(InLan(StrCat("ip link set lo up; ip link set eth0 address ", kMac,
                           "; ip link set eth0 up; ip link set up1 up; "
                           "ip address add 192.0.2.2/24 dev up1")),
              0);
  }
  static void TearDownTestSuite() { Shell(StrCat("ip netns delete ", Lan())); }

  void SetUp() override { Make(); }
  void TearDown() override {
    network_.reset();
    InLan("ip address flush dev eth0");
    Shell("nft delete table ip bramble_gateway 2>/dev/null; ip address flush dev br0");
  }

  void Make() {
    network_ = std::make_unique<LocalNetwork>(
        loop_,
        LocalNetwork::Options{.interface = "br0",
                              .uplink = "up0",
                              .dnsmasq = {.paths = {.directory = directory_.path() / "dnsmasq",
                                                    .leases = directory_.path() / "leases"}}},
        clock_, random_, Logger());
  }

  static NetworkOutputs Some() {
    const AddressPlan plan = AddressPlan::Make("172.16.0.0/24").value();
    NetworkOutputs outputs{.address = {At("172.16.0.1"), 24}};
    outputs.dnsmasq = {.prefix = plan.prefix(),
                       .gateway = At("172.16.0.1"),
                       .node_range = plan.nodes(),
                       .guest_range = plan.guests(),
                       .names = {{"web.bramble.internal", At("172.16.0.64")},
                                 {"web.default.bramble.internal", At("172.16.0.64"), true}},
                       .hosts = {{.macs = {kMac}, .address = At("172.16.0.12"), .name = "pi-1"}}};
    outputs.gateway = {.prefix = plan.prefix()};
    return outputs;
  }

  static int Shell(const std::string& command) { return std::system(command.c_str()); }
  static int InLan(const std::string& command) {
    return Shell(StrCat("ip netns exec ", Lan(), " sh -c '", command, "'"));
  }
  // What a command in the lan prints.  The loop goes on meanwhile, and so does our server.
  std::string Output(const std::string& command) {
    Command run;
    run.argv = {"ip", "netns", "exec", Lan(), "sh", "-c", StrCat(command, " 2>&1")};
    run.deadline = kSoon;
    const absl::StatusOr<CommandResult> result = RunOnLoop(loop_, RunCommandAsync(std::move(run)));
    return result.ok() ? result->out : std::string(result.status().message());
  }
  // Runs the loop until it is so.
  template <typename Condition>
  bool Eventually(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + kSoon;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) {
        return false;
      }
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  void Serve(const NetworkOutputs& outputs) {
    network_->Apply(outputs);
    ASSERT_TRUE(Eventually([this] {
      return network_->state().dns == "running" && network_->state().address_present;
    })) << network_->state().dns;
  }
  std::string Lookup(const std::string& name) {
    return Output(
        StrCat("ip address add 172.16.0.12/24 dev eth0 2>/dev/null; "
               "busybox nslookup ",
               name, " 172.16.0.1"));
  }
  // What udhcpc is given; "" when nobody answers.
  std::string Ask(const std::string& more = "") {
    const std::filesystem::path script = directory_.path() / "lease.sh";
    std::ofstream(script) << "#!/bin/sh\n[ \"$1\" != bound ] || echo \"given $ip router=$router "
                             "dns=$dns domain=$domain\"\n";
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
    const std::string said =
        Output(StrCat("busybox udhcpc -i eth0 -n -q -f -t 3 -T 1 -s ", script.string(), " ", more));
    const size_t given = said.find("given ");
    return given == std::string::npos ? "" : said.substr(given);
  }

  std::string Written(const std::string& file) {
    return ReadFile(directory_.path() / "dnsmasq" / file, 1 << 20).value_or("?");
  }
  static std::string Shown(const std::string& command) {
    Command run;
    run.argv = {"sh", "-c", command};
    return RunCommand(run).value().out;
  }
  static std::string Table() { return Shown("nft list table ip bramble_gateway 2>/dev/null"); }
  static std::string Addresses() { return Shown("ip -4 -o address show dev br0"); }

  TemporaryDirectory directory_;
  asio::io_context loop_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<LocalNetwork> network_;
};

TEST_F(LocalNetworkSystemTest, NamesAreAnsweredForwardAndReverseAndNothingElseIsAsked) {
  Serve(Some());
  EXPECT_THAT(Lookup("web.bramble.internal"), HasSubstr("172.16.0.64"));
  EXPECT_THAT(Lookup("172.16.0.64"), HasSubstr("web.default.bramble.internal"));
  EXPECT_THAT(Lookup("nobody.bramble.internal"), HasSubstr("NXDOMAIN"));
  EXPECT_THAT(Lookup("example.org"), HasSubstr("REFUSED"));
}

TEST_F(LocalNetworkSystemTest, ChangedNamesAreServedWithoutARestart) {
  NetworkOutputs outputs = Some();
  Serve(outputs);
  const pid_t before = network_->ServerPid();
  outputs.dnsmasq.names.push_back({"new.bramble.internal", At("172.16.0.65")});
  network_->Apply(outputs);
  EXPECT_TRUE(Eventually([this] { return Written("names").find("new.") != std::string::npos; }));
  EXPECT_TRUE(Eventually(
      [this] { return Lookup("new.bramble.internal").find("172.16.0.65") != std::string::npos; }));
  EXPECT_EQ(network_->ServerPid(), before);
}

TEST_F(LocalNetworkSystemTest, AKnownMachineGetsItsAddressAndAStrangerNothingUntilGuestsAreOn) {
  NetworkOutputs outputs = Some();
  Serve(outputs);
  EXPECT_THAT(Ask(), HasSubstr("172.16.0.12 router= dns=172.16.0.1 domain=bramble.internal"));

  outputs.dnsmasq.hosts.clear();
  network_->Apply(outputs);
  EXPECT_TRUE(Eventually([this] { return Written("dhcp-hosts").empty(); }));
  EXPECT_EQ(Ask(), "") << "a stranger";
  EXPECT_THAT(Ask("-V bramble-node"), HasSubstr("172.16.0.")) << "one of our cards";

  outputs.dnsmasq.guests = true;
  outputs.dnsmasq.router = true;
  network_->Apply(outputs);
  EXPECT_TRUE(Eventually([this] { return Ask().find("172.16.0.2") != std::string::npos; }));
  EXPECT_THAT(Ask(), HasSubstr("router=172.16.0.1"));
}

TEST_F(LocalNetworkSystemTest, AKilledServerIsBackAndItsLeasesAreKept) {
  NetworkOutputs outputs = Some();
  outputs.dnsmasq.hosts.clear();
  outputs.dnsmasq.guests = true;
  Serve(outputs);
  const std::string first = Ask();
  ASSERT_THAT(first, HasSubstr("172.16.0.2"));
  ASSERT_TRUE(Eventually([this] { return !network_->state().leases.empty(); }));

  const pid_t killed = network_->ServerPid();
  ASSERT_EQ(::kill(killed, SIGKILL), 0);

  EXPECT_TRUE(Eventually([this, killed] {
    return network_->state().dns == "running" && network_->ServerPid() != killed;
  }));
  EXPECT_EQ(Ask(), first);
}

TEST_F(LocalNetworkSystemTest, AServerThatCannotStartSaysWhyAndGoesOnTrying) {
  ASSERT_EQ(Shell("ip address add 172.16.0.1/24 dev br0"), 0);
  Command other;
  other.argv = {"timeout",
                "8",
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--port=53",
                "--bind-interfaces",
                "--interface=br0",
                "--except-interface=lo",
                "--user=root",
                "--pid-file="};
  absl::StatusOr<Process> blocker = Process::Spawn({.argv = other.argv});
  ASSERT_TRUE(blocker.ok());
  network_->Apply(Some());
  EXPECT_TRUE(Eventually([this] { return !network_->state().busy_ports.empty(); }))
      << network_->state().dns;
  blocker->Signal(SIGKILL);
  EXPECT_TRUE(Eventually([this] { return network_->state().dns == "running"; }))
      << network_->state().dns;
}

TEST_F(LocalNetworkSystemTest, TheTableMasqueradesForwardsAndIsBackAfterAFlush) {
  NetworkOutputs outputs = Some();
  outputs.gateway.masquerade = true;
  outputs.gateway.forwards = {{.port = 8080, .address = At("172.16.0.64"), .to_port = 80}};
  Serve(outputs);
  ASSERT_TRUE(Eventually([this] { return network_->state().gateway == "applied"; }))
      << network_->state().gateway;
  EXPECT_THAT(Table(), HasSubstr("masquerade"));
  EXPECT_THAT(Table(), HasSubstr("dnat to 172.16.0.64:80"));
  EXPECT_TRUE(ReadFile("/proc/sys/net/ipv4/ip_forward", 8).value().starts_with("1"));

  ASSERT_EQ(Shell("nft flush ruleset"), 0);

  EXPECT_TRUE(Eventually([] { return Table().find("masquerade") != std::string::npos; }));
  outputs.gateway.masquerade = false;
  outputs.gateway.forwards.clear();
  network_->Apply(outputs);
  EXPECT_TRUE(Eventually([] { return Table().find("chain") == std::string::npos; }));
}

TEST_F(LocalNetworkSystemTest, AnAddressThatWasTakenAwayIsBackAndTheOldOneGoesInTheEnd) {
  NetworkOutputs outputs = Some();
  Serve(outputs);
  ASSERT_EQ(Shell("ip address flush dev br0"), 0);
  EXPECT_TRUE(Eventually([] { return Addresses().find("172.16.0.1/24") != std::string::npos; }));

  outputs.old_address = outputs.address;
  outputs.address = {At("10.1.0.1"), 22};
  network_->Apply(outputs);
  EXPECT_TRUE(Eventually([] { return Addresses().find("10.1.0.1/22") != std::string::npos; }));
  EXPECT_THAT(Addresses(), HasSubstr("172.16.0.1/24"));
  outputs.old_address.reset();
  network_->Apply(outputs);
  EXPECT_TRUE(Eventually([] { return Addresses().find("172.16.0.1/24") == std::string::npos; }));
}

TEST_F(LocalNetworkSystemTest, AnotherDhcpServerOnTheSegmentIsFound) {
  ASSERT_EQ(InLan("ip address add 192.168.7.1/24 dev eth0"), 0);
  const std::vector<std::string> argv = {
      "ip",
      "netns",
      "exec",
      Lan(),
      "dnsmasq",
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--port=0",
      "--interface=eth0",
      "--user=root",
      "--pid-file=",
      "--dhcp-authoritative",
      "--dhcp-range=192.168.7.50,192.168.7.60",
      "--no-ping",
      StrCat("--dhcp-leasefile=", (directory_.path() / "rival").string())};
  absl::StatusOr<Process> rival = Process::Spawn({.argv = argv});
  ASSERT_TRUE(rival.ok()) << rival.status();
  ASSERT_EQ(Shell("sleep 0.5"), 0);
  network_.reset();
  std::vector<api::RivalDhcp> seen;
  Make();
  network_->SetOnRivals([&seen](const std::vector<api::RivalDhcp>& rivals) { seen = rivals; });
  EXPECT_TRUE(Eventually([&seen] { return !seen.empty(); }));
  ASSERT_THAT(seen, SizeIs(1));
  EXPECT_EQ(seen[0].address, At("192.168.7.1"));
  EXPECT_EQ(seen[0].mac, kMac);
}

}  // namespace
}  // namespace bramble::controller
