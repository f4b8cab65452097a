// SPDX-License-Identifier: Apache-2.0

// The packets themselves: the kernel's bridge and nftables, DHCP and DNS clients, traffic shaping,
// and an uplink that takes no foreign MACs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/run_on_loop.h"
#include "node/network/cluster_network.h"
#include "node/network/lan_keeper.h"
#include "node/network/name_servers.h"
#include "node/network/network_machine_testing.h"
#include "node/network/packet_socket.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using Steady = std::chrono::steady_clock;

constexpr milliseconds kShort{400};  // for what must not come

Ipv4 At(int number) { return NetworkMachine::Address(number); }

api::FirewallRule TcpFromAnybody(uint16_t port) {
  return {.protocol = api::Protocol::kTcp, .port_first = port, .port_last = port};
}

class NetworkSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* reason = NetworkMachine::Unfit(); reason != nullptr) {
      GTEST_SKIP() << reason;
    }
    machine_ = std::make_unique<NetworkMachine>();
    auto filter = NftPacketFilter::Open(machine_->loop(), Logger(log_));
    ASSERT_TRUE(filter.ok()) << filter.status();
    filter_ = *std::move(filter);
    ports_ = std::make_unique<IpPortSetup>(Logger(log_));
    names_ = std::make_unique<NameServers>(machine_->loop(), NetworkMachine::kBridge, random_,
                                           Logger(log_));
    arp_ = PacketArpChannel::Open(machine_->loop(), NetworkMachine::kBridge,
                                  PacketArpChannel::Hear::kOwn)
               .value();
    network_ = std::make_unique<ClusterNetwork>(ClusterNetwork::Parts{
        .loop = machine_->loop(),
        .clock = clock_,
        .filter = *filter_,
        .ports = *ports_,
        .names = *names_,
        .announce = [this](MacAddress mac,
                           Ipv4 address) { (void)arp_->Send(ArpAnnouncement(mac, address)); },
        .log = Logger(log_)});
    network_->SetOwnAddress(At(1));
    Settle();
  }
  void TearDown() override {
    network_.reset();
    arp_.reset();
    names_.reset();
    ports_.reset();
    filter_.reset();
    machine_.reset();
    if (HasFailure()) {
      for (const std::string& line : log_.lines()) {
        fprintf(stderr, "%s\n", line.c_str());
      }
    }
  }

  void Settle() {
    const absl::Status settled = RunOnLoop(machine_->loop(), network_->Settle());
    ASSERT_TRUE(settled.ok()) << settled;
  }
  void Tell() {
    network_->SetContainers(machine_->containers());
    Settle();
  }
  // "web" as number 64, with the group `web` of these rules.
  void StartWeb(std::vector<api::FirewallRule> rules) {
    machine_->AddContainer("web", 64).definition.firewall =
        api::ContainerFirewall{.policies = {"g/default/web"}};
    machine_->PlugIn("web");
    SetRules(std::move(rules));
    Tell();
  }
  void SetRules(std::vector<api::FirewallRule> rules) {
    api::NodeNetwork network;
    network.version = {1, ++generation_};
    network.prefix = Ipv4Prefix(At(0), 24);
    network.controllers = {At(250)};
    network.sets = {{.name = "p/default", .addresses = {At(64), At(65)}}};
    network.policies = {{.name = "g/default/web", .rules = std::move(rules)}};
    network_->SetNetwork(std::move(network));
  }
  bool Reaches(const std::string& from, Ipv4 to, int port, milliseconds limit = kShort) {
    return machine_->TcpConnect(from, to, port, limit).has_value();
  }

  SystemClock clock_;
  SeededRandom random_{1};
  MemoryLogSink log_;
  std::unique_ptr<NetworkMachine> machine_;
  std::unique_ptr<NftPacketFilter> filter_;
  std::unique_ptr<IpPortSetup> ports_;
  std::unique_ptr<NameServers> names_;
  std::unique_ptr<PacketArpChannel> arp_;
  std::unique_ptr<ClusterNetwork> network_;
  uint64_t generation_ = 0;
};

// A connection between a socket of the LAN and one of a container.
struct Connection {
  Fd client;
  Fd server;

  // Whether a byte from one side reaches the other within `limit`.
  static bool Passes(const Fd& from, const Fd& to, milliseconds limit) {
    timeval wait = {.tv_sec = limit.count() / 1000, .tv_usec = limit.count() % 1000 * 1000};
    ::setsockopt(to.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    char byte = 'x';
    return ::send(from.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(to.get(), &byte, 1, 0) == 1;
  }
  bool Works(milliseconds limit = seconds(3)) const {
    return Passes(client, server, limit) && Passes(server, client, limit);
  }
};

TEST_F(NetworkSystemTest, APortIsClosedUntilItsRulesAreThere) {
  machine_->AddContainer("web", 64);
  machine_->PlugIn("web");
  EXPECT_FALSE(machine_->Ping("web", At(250))) << "no rule tells of the port";
  EXPECT_FALSE(machine_->Ping("web", At(1)));
  Tell();
  // What it asked in vain for is remembered for seconds by its own kernel.
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("web", At(250)); }, seconds(6)));
  EXPECT_TRUE(machine_->Ping("lan", At(64))) << "without firewalls only spoofing is filtered";
}

TEST_F(NetworkSystemTest, GroupsLetInWhatTheySayAndAnswersComeBack) {
  StartWeb({TcpFromAnybody(80), {.set = "p/default"}});
  machine_->AddContainer("db", 65).definition.firewall = api::ContainerFirewall{};
  machine_->PlugIn("db");
  machine_->AddContainer("alien", 66).definition.firewall = api::ContainerFirewall{};
  machine_->PlugIn("alien");
  Tell();
  const Fd http = machine_->TcpListener("web", 80);
  const Fd other = machine_->TcpListener("web", 81);
  const Fd outside = machine_->TcpListener("lan", 5000);

  EXPECT_TRUE(Reaches("lan", At(64), 80));
  EXPECT_FALSE(Reaches("lan", At(64), 81));
  EXPECT_FALSE(machine_->Ping("lan", At(64)));
  EXPECT_TRUE(Reaches("web", At(250), 5000)) << "out is open, and answers come back";
  EXPECT_TRUE(machine_->Ping("web", At(250)));
  EXPECT_TRUE(Reaches("db", At(64), 81)) << "its project's set may";
  EXPECT_TRUE(machine_->Ping("db", At(64)));
  EXPECT_FALSE(Reaches("alien", At(64), 81)) << "a neighbour on the node of another project";
  EXPECT_TRUE(Reaches("alien", At(64), 80));
  EXPECT_TRUE(Reaches("", At(64), 81)) << "the node itself is trusted";
}

TEST_F(NetworkSystemTest, ARestrictedContainerReachesOnlyWhatItsRulesName) {
  StartWeb({{.direction = api::Direction::kOut,
             .protocol = api::Protocol::kTcp,
             .port_first = 5000,
             .port_last = 5000}});
  machine_->container("web").definition.firewall->restrict_out = true;
  Tell();
  const Fd allowed = machine_->TcpListener("lan", 5000);
  const Fd denied = machine_->TcpListener("lan", 5001);
  EXPECT_TRUE(Reaches("web", At(250), 5000));
  EXPECT_FALSE(Reaches("web", At(250), 5001));
}

TEST_F(NetworkSystemTest, ManagementPortsAreOutOfReachWhateverTheRulesSay) {
  StartWeb({{}});
  const Fd people = machine_->TcpListener("lan", 8443);
  const Fd nodes = machine_->TcpListener("lan", 8444);
  const Fd fine = machine_->TcpListener("lan", 8446);
  const Fd blobs = machine_->TcpListener("", 8445);
  EXPECT_TRUE(Reaches("web", At(250), 8446));
  EXPECT_FALSE(Reaches("web", At(250), 8443));
  EXPECT_FALSE(Reaches("web", At(250), 8444));
  EXPECT_FALSE(Reaches("web", At(1), 8445)) << "of its own node, by any of its addresses";
  EXPECT_TRUE(Reaches("lan", At(1), 8445)) << "the port is there";
  machine_->Run("lan", {"ip", "address", "add", "169.254.169.254/16", "dev", "eth0"});
  machine_->Run("web", {"ip", "route", "add", "169.254.0.0/16", "dev", "eth0"});
  const Fd metadata = machine_->TcpListener("lan", 80);
  EXPECT_FALSE(Reaches("web", Ipv4::Parse("169.254.169.254").value(), 80));
}

TEST_F(NetworkSystemTest, AChangeIsInForceWithinASecondAndOpenConnectionsObeyIt) {
  StartWeb({TcpFromAnybody(80), TcpFromAnybody(81)});
  const Fd http = machine_->TcpListener("web", 80);
  const Fd other = machine_->TcpListener("web", 81);
  std::optional<Fd> client = machine_->TcpConnect("lan", At(64), 80, kShort);
  std::optional<Fd> client2 = machine_->TcpConnect("lan", At(64), 81, kShort);
  ASSERT_TRUE(client.has_value() && client2.has_value());
  const Connection kept{.client = *std::move(client),
                        .server = Fd(::accept(http.get(), nullptr, nullptr))};
  const Connection cut{.client = *std::move(client2),
                       .server = Fd(::accept(other.get(), nullptr, nullptr))};
  ASSERT_TRUE(kept.Works());
  ASSERT_TRUE(cut.Works());

  const Steady::time_point before = Steady::now();
  SetRules({TcpFromAnybody(80)});
  Settle();
  const auto took = Steady::now() - before;
  EXPECT_LT(took, seconds(1));
  EXPECT_FALSE(Reaches("lan", At(64), 81));
  EXPECT_FALSE(Connection::Passes(cut.client, cut.server, milliseconds(700)))
      << "an open connection that is no longer allowed ends";
  EXPECT_FALSE(Connection::Passes(cut.server, cut.client, milliseconds(700)));
  EXPECT_TRUE(kept.Works()) << "one that is allowed goes on";

  SetRules({TcpFromAnybody(80), TcpFromAnybody(81)});
  Settle();
  EXPECT_TRUE(Reaches("lan", At(64), 81));
  EXPECT_TRUE(Connection::Passes(cut.client, cut.server, seconds(10)))
      << "allowed again before it timed out, it goes on";
}

TEST_F(NetworkSystemTest, WhatNftFlushRulesetTookAwayIsBackWithinASecond) {
  StartWeb({TcpFromAnybody(80)});
  const Fd http = machine_->TcpListener("web", 80);
  const Fd other = machine_->TcpListener("web", 81);
  std::optional<Fd> client = machine_->TcpConnect("lan", At(64), 80, kShort);
  ASSERT_TRUE(client.has_value());
  const Connection open{.client = *std::move(client),
                        .server = Fd(::accept(http.get(), nullptr, nullptr))};
  ASSERT_TRUE(open.Works());
  const auto is_closed = [&] {
    std::string out;
    return machine_->Run("", {"nft", "list", "chain", "bridge", "bramble", "port"}, &out) &&
           machine_->Run("", {"nft", "list", "map", "inet", "bramble", "in"}, &out);
  };
  for (const std::vector<std::string>& damage :
       {std::vector<std::string>{"nft", "flush", "ruleset"},
        std::vector<std::string>{"nft", "delete", "table", "bridge", "bramble"},
        std::vector<std::string>{"nft", "flush", "table", "inet", "bramble"}}) {
    const Steady::time_point before = Steady::now();
    ASSERT_TRUE(machine_->Run("", damage));
    EXPECT_TRUE(machine_->Until(
        [&] { return is_closed() && !Reaches("lan", At(64), 81, milliseconds(50)); }, seconds(3)));
    EXPECT_LT(Steady::now() - before, seconds(2)) << damage[1] << " " << damage[2];
    EXPECT_TRUE(open.Works()) << "open connections survive it";
    machine_->Pass(milliseconds(200));
  }
}

TEST_F(NetworkSystemTest, AThousandRulesAndTenThousandAreTaken) {
  StartWeb({TcpFromAnybody(80)});
  const Fd http = machine_->TcpListener("web", 80);
  for (const uint32_t count : {1'000U, 10'000U}) {
    std::vector<api::FirewallRule> rules;
    for (uint32_t i = 0; i + 1 < count; ++i) {
      api::FirewallRule rule = TcpFromAnybody(static_cast<uint16_t>(1 + i));
      rule.prefix = Ipv4Prefix(Ipv4(0x0a000000u + i * 256), 24);
      rules.push_back(rule);
    }
    rules.push_back(TcpFromAnybody(80));
    const Steady::time_point before = Steady::now();
    SetRules(std::move(rules));
    Settle();
    const auto ms = std::chrono::duration_cast<milliseconds>(Steady::now() - before).count();
    printf("%u rules compiled and applied in %ld ms\n", count, static_cast<long>(ms));
    EXPECT_LT(ms, count == 1'000 ? 1'000 : 10'000) << "tools/bench network measures it";
    EXPECT_TRUE(Reaches("lan", At(64), 80)) << "the last of them is in force";
    machine_->Pass(milliseconds(300));
  }
  EXPECT_THAT(testing::PrintToString(log_.lines()), Not(HasSubstr("firewall_restored")))
      << "its own change is not taken for another's";
}

// ---- addresses and names

TEST_F(NetworkSystemTest, PortFiftyThreeOfTheRestOfTheMachineIsFree) {
  ASSERT_TRUE(machine_->Run("", {"ip", "link", "set", "lo", "up"}));
  // As systemd-resolved has it.
  const Fd other(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(other.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in stub{};
  stub.sin_family = AF_INET;
  stub.sin_port = htons(53);
  stub.sin_addr.s_addr = htonl(0x7f000035);
  EXPECT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&stub), sizeof(stub)), 0);
  EXPECT_EQ(::listen(other.get(), 1), 0);
  StartWeb({});
  EXPECT_TRUE(machine_->Until([&] { return Reaches("web", At(1), 53); }, milliseconds(20'000)));
}

TEST_F(NetworkSystemTest, DhcpClientsKeepTheAddressTheyHaveAndLearnTheirName) {
  StartWeb({});
  std::string out;
  // A script of our own: the client must not change the host's files.
  const std::string script = "/tmp/bramble-udhcpc-" + std::to_string(getpid());
  {
    std::ofstream file(script);
    file << "#!/bin/sh\necho \"$1 ip=$ip mask=$mask router=$router dns=$dns domain=$domain "
            "hostname=$hostname server=$serverid\"\n";
  }
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(machine_->Run(
        "web",
        {"busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s", script},
        &out))
        << out;
  }
  std::filesystem::remove(script);
  EXPECT_THAT(out, HasSubstr("bound ip=172.31.98.64 mask=24 router=172.31.98.250 "
                             "dns=172.31.98.1 domain=bramble.internal hostname=web "
                             "server=172.31.98.1"));
  // A laptop on the LAN is not ours to serve.
  EXPECT_FALSE(machine_->Run("lan",
                             {"busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "1", "-T",
                              "1", "-s", "/bin/true"},
                             &out));
}

TEST_F(NetworkSystemTest, ItsOwnContainersAskForNamesAndNobodyElseIsAnswered) {
  StartWeb({});
  api::Names names;
  names.version = {1, 1};
  names.domain = "bramble.internal";
  names.prefix = Ipv4Prefix(At(0), 24);
  names.records = {{.name = "web.bramble.internal", .address = At(64), .reverse = true}};
  network_->SetNames(names);
  std::string out;
  EXPECT_TRUE(
      machine_->Run("web", {"busybox", "nslookup", "web.bramble.internal", "172.31.98.1"}, &out));
  EXPECT_THAT(out, HasSubstr("172.31.98.64"));
  EXPECT_TRUE(machine_->Run("web", {"busybox", "nslookup", "172.31.98.64", "172.31.98.1"}, &out));
  EXPECT_THAT(out, HasSubstr("web.bramble.internal"));
  machine_->Run("web", {"busybox", "nslookup", "none.bramble.internal", "172.31.98.1"}, &out);
  EXPECT_THAT(out, HasSubstr("NXDOMAIN"));
  machine_->Run("web", {"busybox", "nslookup", "example.org", "172.31.98.1"}, &out);
  EXPECT_THAT(out, HasSubstr("REFUSED"));
  EXPECT_FALSE(machine_->Run(
      "lan", {"timeout", "2", "busybox", "nslookup", "web.bramble.internal", "172.31.98.1"}, &out));
}

TEST_F(NetworkSystemTest, AFloatingAddressMovesBetweenContainersWithoutARestart) {
  StartWeb({{}});
  machine_->AddContainer("db", 65).definition.firewall =
      machine_->container("web").definition.firewall;
  machine_->PlugIn("db");
  machine_->container("web").definition.floating_addresses = {At(230)};
  Tell();
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("lan", At(230)); }, seconds(3)));
  const pid_t init = machine_->container("web").init_pid;

  machine_->container("web").definition.floating_addresses.clear();
  machine_->container("db").definition.floating_addresses = {At(230)};
  const Steady::time_point before = Steady::now();
  Tell();
  const Fd listener = machine_->TcpListener("db", 7000);
  EXPECT_TRUE(
      machine_->Until([&] { return Reaches("lan", At(230), 7000, milliseconds(50)); }, seconds(3)));
  const auto outage = std::chrono::duration_cast<milliseconds>(Steady::now() - before);
  printf("outage of a moved floating address: %ld ms\n", static_cast<long>(outage.count()));
  EXPECT_LE(outage, seconds(1));
  EXPECT_EQ(machine_->container("web").init_pid, init);
  std::string out;
  machine_->Run("web", {"ip", "-4", "address", "show", "dev", "eth0"}, &out);
  EXPECT_THAT(out, Not(HasSubstr("172.31.98.230")));
  EXPECT_THAT(out, HasSubstr("172.31.98.64"));
}

// ---- bandwidth

class Flow {
 public:
  // Bits per second from one socket to the other, for a second.
  static double Measure(const Fd& from, const Fd& to) {
    std::vector<char> buffer(64 * 1024);
    const Steady::time_point begin = Steady::now();
    int64_t bytes = 0;
    Steady::time_point now = begin;
    while (now - begin < milliseconds(1'500)) {
      ::send(from.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      const ssize_t n = ::recv(to.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      now = Steady::now();
      // What was under way when the limit came is not counted.
      bytes += n > 0 && now - begin > milliseconds(500) ? n : 0;
    }
    return static_cast<double>(bytes) * 8;
  }
};

TEST_F(NetworkSystemTest, BandwidthIsLimitedInAndOutAndChangesWhileItRuns) {
  StartWeb({{}});
  const Fd listener = machine_->TcpListener("web", 9000);
  const auto measure = [&](bool into) {
    std::optional<Fd> client = machine_->TcpConnect("lan", At(64), 9000, seconds(2));
    EXPECT_TRUE(client.has_value());
    const Fd server(::accept(listener.get(), nullptr, nullptr));
    return into ? Flow::Measure(*client, server) : Flow::Measure(server, *client);
  };
  const auto limit = [&](int64_t in, int64_t out) {
    machine_->container("web").definition.spec.bandwidth = {.in_bps = in, .out_bps = out};
    Tell();
    machine_->Pass(milliseconds(150));
  };
  limit(20'000'000, 8'000'000);
  const double in = measure(true);
  const double out = measure(false);
  printf("limits 20 and 8 Mbit/s: %.1f in, %.1f out\n", in / 1e6, out / 1e6);
  EXPECT_GT(in, 8e6);
  EXPECT_LT(in, 30e6);
  EXPECT_GT(out, 3e6);
  EXPECT_LT(out, 12e6);
  limit(0, 0);
  const double free_in = measure(true);
  const double free_out = measure(false);
  printf("no limits: %.0f in, %.0f out Mbit/s\n", free_in / 1e6, free_out / 1e6);
  EXPECT_GT(free_in, 60e6);
  EXPECT_GT(free_out, 60e6);
  std::string links;
  machine_->Run("", {"ip", "link", "show", "type", "ifb"}, &links);
  EXPECT_THAT(links, Not(HasSubstr("ib-web"))) << "nothing is left of a limit";
}

// ---- the node on its LAN

class LanSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* reason = NetworkMachine::Unfit(); reason != nullptr) {
      GTEST_SKIP() << reason;
    }
    machine_ = std::make_unique<NetworkMachine>();
    // As a node boots: a port, and nothing else.
    machine_->Run("", {"ip", "link", "delete", NetworkMachine::kBridge});
    machine_->Run("", {"ip", "link", "set", "eth0", "up"});
  }
  void TearDown() override {
    lan_.reset();
    machine_.reset();
    if (HasFailure()) {
      for (const std::string& line : log_.lines()) {
        fprintf(stderr, "%s\n", line.c_str());
      }
    }
  }
  LanKeeper::Options Options() {
    LanKeeper::Options options;
    options.port = "eth0";
    options.prefix = Ipv4Prefix(At(0), 24);
    options.serial = "10000000abcdef01";
    options.uplink_check = milliseconds(200);
    return options;
  }
  LanKeeper& Start(LanKeeper::Options options) {
    LanKeeper::OpenArp open =
        [this](const std::string& interface,
               PacketArpChannel::Hear hear) -> absl::StatusOr<std::unique_ptr<ArpChannel>> {
      auto opened = PacketArpChannel::Open(machine_->loop(), interface, hear);
      if (!opened.ok()) {
        return opened.status();
      }
      return std::unique_ptr<ArpChannel>(*std::move(opened));
    };
    lan_ = std::make_unique<LanKeeper>(LanKeeper::Parts{.loop = machine_->loop(),
                                                        .clock = clock_,
                                                        .setup = setup_,
                                                        .open_arp = std::move(open),
                                                        .log = Logger(log_)},
                                       std::move(options));
    RunOnLoop(machine_->loop(), lan_->Start());
    return *lan_;
  }
  bool UntilAddressed() {
    return machine_->Until([&] { return lan_->address().has_value(); }, seconds(30));
  }

  SystemClock clock_;
  MemoryLogSink log_;
  IpNetworkSetup setup_{Logger(log_)};
  std::unique_ptr<NetworkMachine> machine_;
  std::unique_ptr<LanKeeper> lan_;
};

TEST_F(LanSystemTest, ANodeWithoutAnAddressTakesAFreeOneOfItsRange) {
  const AddressSpan range = NodeRangeOf(Ipv4Prefix(At(0), 24));
  const Ipv4 first = ChooseAddress("10000000abcdef01", range, 0);
  machine_->Run("lan", {"ip", "address", "add", first.str() + "/24", "dev", "eth0"});
  Start(Options());
  ASSERT_TRUE(UntilAddressed());
  EXPECT_NE(lan_->address()->address, first) << "it was in use";
  EXPECT_TRUE(range.Contains(lan_->address()->address));
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("lan", lan_->address()->address); },
                              seconds(30)));
  api::NetworkReport report;
  lan_->FillReport(report);
  EXPECT_TRUE(report.self_chosen);
  EXPECT_EQ(report.mode, api::UplinkMode::kBridged);

  lan_->SetConfirmed({.address = At(20), .length = 24}, Ipv4Prefix(At(0), 24));
  EXPECT_TRUE(machine_->Until([&] { return lan_->address()->address == At(20); }, seconds(30)));
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("lan", At(20)); }, seconds(30)));
  EXPECT_TRUE(machine_->Ping("lan", lan_->address()->address));
}

TEST_F(LanSystemTest, ALinkThatGoesAndComesFindsTheNodeAsItWas) {
  LanKeeper::Options options = Options();
  options.address = Ipv4Interface{.address = At(11), .length = 24};
  Start(options);
  ASSERT_TRUE(machine_->Until([&] { return machine_->Ping("lan", At(11)); }, seconds(30)));
  auto links = LinkWatch::Open(
      machine_->loop(), [this](const LinkChange& change) { lan_->OnLink(change); }, Logger(log_));
  ASSERT_TRUE(links.ok());
  const auto reports_up = [&] {
    api::NetworkReport report;
    lan_->FillReport(report);
    return report.link_up;
  };
  machine_->Run("lan", {"ip", "link", "set", "eth0", "down"});
  EXPECT_TRUE(machine_->Until([&] { return !reports_up(); }, seconds(30)));
  EXPECT_FALSE(machine_->Ping("lan", At(11)));
  machine_->Run("lan", {"ip", "link", "set", "eth0", "up"});
  EXPECT_TRUE(machine_->Until([&] { return reports_up(); }, seconds(30)));
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("lan", At(11)); }, seconds(30)));
}

TEST_F(LanSystemTest, AnotherWithItsAddressIsNoticedAndAPersonsAddressKept) {
  LanKeeper::Options options = Options();
  options.address = Ipv4Interface{.address = At(11), .length = 24};
  Start(options);
  machine_->Run("lan", {"ip", "address", "add", At(11).str() + "/24", "dev", "eth0"});
  machine_->Run("lan", {"busybox", "arping", "-A", "-c", "2", "-I", "eth0", At(11).str()});
  EXPECT_TRUE(machine_->Until([&] { return !lan_->conditions().empty(); }, seconds(30)));
  EXPECT_EQ(lan_->conditions()[0].type, "address-conflict");
  EXPECT_EQ(lan_->address()->address, At(11));
}

// The other end of the cable passes frames of one MAC only, as an access point does.
TEST_F(LanSystemTest, WhereTheUplinkDropsForeignMacsContainersAreRoutedAndStillReached) {
  std::string out;
  const auto node = FindInterface("eth0");
  ASSERT_TRUE(node.ok());
  const std::string rules =
      StrCat("table netdev ap { chain in { type filter hook ingress device eth0 priority 0; ",
             "ether saddr != ", node->mac.str(), " drop; }; }");
  ASSERT_TRUE(machine_->Run("lan", {"nft", rules}, &out)) << out;

  LanKeeper::Options options = Options();
  options.address = Ipv4Interface{.address = At(11), .length = 24};
  Start(options);
  machine_->AddContainer("web", 64);
  machine_->PlugIn("web");
  machine_->Run("web", {"ip", "route", "add", "default", "via", At(250).str()});
  lan_->SetContainers({At(64)});
  // What the LAN broadcasts still comes in, so that the container learns a MAC that will not do.
  const auto has_learned = [&] {
    machine_->Ping("lan", At(64));
    return machine_->Run("web", {"ip", "neigh", "show", At(250).str()}, &out) &&
           out.find("lladdr") != std::string::npos;
  };
  EXPECT_TRUE(machine_->Until(has_learned, seconds(30)));
  EXPECT_FALSE(machine_->Ping("lan", At(64)));

  lan_->SetController(At(250));
  EXPECT_TRUE(machine_->Until([&] { return lan_->routed(); }, seconds(30)))
      << "found out by asking the controller in a foreign name";
  const auto has_unlearned = [&] {
    return machine_->Run("web", {"ip", "neigh", "show", At(250).str()}, &out) &&
           out.find(node->mac.str()) != std::string::npos;
  };
  EXPECT_TRUE(machine_->Until(has_unlearned, seconds(30))) << "without sending anything: " << out;
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("lan", At(64)); }, seconds(30)));
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("web", At(250)); }, seconds(30)));
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("web", At(11)); }, seconds(30)))
      << "its own node";
  lan_->SetContainers({});
  EXPECT_TRUE(machine_->Until([&] { return !machine_->Ping("lan", At(64)); }, seconds(30)));
}

TEST_F(LanSystemTest, AnUplinkThatPassesForeignMacsStaysBridged) {
  LanKeeper::Options options = Options();
  options.address = Ipv4Interface{.address = At(11), .length = 24};
  Start(options);
  lan_->SetController(At(250));
  machine_->Pass(seconds(3));
  EXPECT_FALSE(lan_->routed());
  machine_->AddContainer("web", 64);
  machine_->PlugIn("web");
  EXPECT_TRUE(machine_->Until([&] { return machine_->Ping("lan", At(64)); }, seconds(30)));
}

}  // namespace
}  // namespace bramble::node
