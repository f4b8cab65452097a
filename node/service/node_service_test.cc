// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "node/service/node_testing.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(NodeServiceTest, JoinsByItsTokenRunsAContainerAndReports) {
  Machine m;
  m.controller.blobs[kDigest] = "an archive";
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected() && !m.controller.reports.empty(); }));
  EXPECT_THAT(m.controller.proofs, SizeIs(1));
  EXPECT_EQ(m.controller.hellos[0].hostname, "pi-1");
  EXPECT_EQ(m.controller.hellos[0].inventory.gpio_chips, m.gpio.chips);
  EXPECT_EQ(m.service->uplink_state().phase, UplinkState::Phase::kConnected);

  m.controller.Send(Desired(1, {Container("web")}));
  const ContainerId id = Container("web").id;
  ASSERT_TRUE(m.Until([&] {
    return m.controller.containers.contains(id) &&
           m.controller.containers[id].state == api::ContainerState::kRunning;
  })) << testing::PrintToString(m.log.lines());
  EXPECT_THAT(m.machine->calls, ElementsAre("start c-web"));
  EXPECT_EQ(m.machine->containers[id].observed.spec.nic->address.str(), "172.16.0.64/24");
  EXPECT_THAT(m.service->StatusText(), HasSubstr("\"web\""));
  ASSERT_TRUE(m.Until([&] { return m.controller.reports.back().version.generation == 1; }));

  m.controller.Send(Desired(2, {}, {id}));
  ASSERT_TRUE(m.Until([&] { return m.machine->containers.empty(); }));
  ASSERT_TRUE(m.Until([&] { return !m.controller.containers.contains(id); }));
}

TEST(NodeServiceTest, ReportsWhatAContainerRunsWithoutForAsLongAsItDoes) {
  Machine m;
  m.controller.blobs[kDigest] = "an archive";
  m.machine->degraded = {"apparmor", "swap"};
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected() && !m.controller.reports.empty(); }));
  api::NodeContainer web = Container("web");
  const auto lacks = [&m, id = web.id] {
    std::string types;
    for (const api::Condition& condition : m.controller.containers[id].conditions) {
      types += condition.type + " ";
    }
    return types;
  };

  m.controller.Send(Desired(1, {web}));
  ASSERT_TRUE(m.Until([&] { return lacks() == "apparmor swap "; })) << lacks();
  EXPECT_THAT(m.controller.containers[web.id].conditions[1].message,
              HasSubstr("limit of swap does not hold"));

  m.machine->degraded = {"disk-restart"};
  web.spec.limits.memory.count = 64 * kMiB;
  web.generation = 2;
  m.controller.Send(Desired(2, {web}));
  ASSERT_TRUE(m.Until([&] { return lacks() == "disk-restart "; })) << lacks();

  m.Halt();
  m.controller.containers.clear();
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return lacks() == "disk-restart "; })) << "the runtime knows it";

  web.spec.desired = api::DesiredState::kStopped;
  web.generation = 3;
  m.controller.Send(Desired(3, {web}));
  ASSERT_TRUE(m.Until(
      [&] { return m.controller.containers[web.id].state == api::ContainerState::kStopped; }));
  EXPECT_EQ(lacks(), "") << "what does not run lacks nothing";
}

TEST(NodeServiceTest, WaitsForAPortThatComesLateBeforeItStartsContainers) {
  Machine m;
  m.network.missing = 2;
  m.Boot();

  EXPECT_THAT(m.network.applied, SizeIs(testing::Ge(3u))) << "at once, not after the next retry";
  EXPECT_THAT(m.service->StatusText(), testing::Not(HasSubstr("network-failed")));
}

TEST(NodeServiceTest, RestartedItReconcilesFromItsJournalWithNoController) {
  Machine m;
  m.controller.blobs[kDigest] = "an archive";
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected(); }));
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(Desired(1, {Container("web"), Container("db")}));
  ASSERT_TRUE(m.Until([&] { return m.machine->containers.size() == 2; }));
  ASSERT_TRUE(m.Until([&] { return m.controller.reports.back().version.generation == 1; }));
  m.Halt();
  m.machine->calls.clear();

  NodeConfig alone = m.Config();
  alone.controllers = {"127.0.0.1:1"};
  RunOnLoop(m.loop, m.controller.Stop());
  m.Boot(alone);
  m.Pass(milliseconds(50));
  EXPECT_THAT(m.machine->calls, IsEmpty()) << "an agent's restart touches nothing";

  m.Halt();
  for (auto& [id, container] : m.machine->containers) {
    container.observed.state = RuntimeState::kStopped;
    container.observed.init_pid = 0;
  }
  std::filesystem::remove_all(m.directory.path() / "run");  // a boot
  m.Boot(alone);
  ASSERT_TRUE(m.Until([&] { return m.machine->calls.size() == 2; }));
  EXPECT_EQ(m.service->agent().version(), (api::Version{1, 1}));
}

TEST(NodeServiceTest, ComesBackAfterTheControllerDropsItAndShowsTheRollingValue) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  EXPECT_EQ(m.controller.hellos[0].session_value, "");
  m.controller.session_value = "s2";
  m.controller.Disconnect();
  ASSERT_TRUE(m.Until([&] { return m.controller.hellos.size() == 2; }));
  EXPECT_EQ(m.controller.hellos[1].session_value, "s1");
  ASSERT_TRUE(m.Until([&] { return m.controller.heartbeats.size() >= 2; }));
  m.Halt();
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.hellos.size() == 3; }));
  EXPECT_EQ(m.controller.hellos[2].session_value, "s2");
  EXPECT_EQ(m.controller.hellos[2].previous_session_value, "s1");
  EXPECT_THAT(m.controller.joins, SizeIs(1)) << "it joined once";
}

TEST(NodeServiceTest, AsksForAllWhenADeltaDoesNotFitAndRefusesWhatIsOlder) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(api::Desired{.version = {1, 9}, .base = {1, 8}});
  ASSERT_TRUE(m.Until([&] { return m.controller.resyncs == 1; }));
  m.controller.Send(Desired(9, {}));
  m.controller.Send(Desired(8, {Container("old")}));
  ASSERT_TRUE(m.Until([&] { return m.log.Contains("desired_refused"); }));
  EXPECT_EQ(m.service->agent().version(), (api::Version{1, 9}));
}

TEST(NodeServiceTest, GoesOnWithAnArchiveWhereItWasCutOff) {
  Machine m;
  m.controller.blobs[kDigest] = std::string(300'000, 'x');
  const std::filesystem::path archive = m.images.ArchivePath(kDigest);
  ASSERT_TRUE(m.system_disk.Write(archive, std::string(100'000, 'x')).ok());
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  api::NodeContainer web = Container("web");
  web.image_size = {300'000};
  m.controller.Send(Desired(1, {web}));
  ASSERT_TRUE(m.Until([&] { return m.machine->containers.size() == 1; }))
      << testing::PrintToString(m.log.lines());
  EXPECT_THAT(m.controller.ranges, ElementsAre(100'000));
  EXPECT_EQ(std::filesystem::file_size(archive), 300'000u);
}

TEST(NodeServiceTest, AMissingArchiveIsAReasonThatThePersonSees) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(Desired(1, {Container("web")}));
  const ContainerId id = Container("web").id;
  ASSERT_TRUE(
      m.Until([&] { return m.controller.containers[id].state == api::ContainerState::kFailed; }));
  EXPECT_THAT(m.controller.containers[id].reason, HasSubstr("image \"busybox\""));
}

TEST(NodeServiceTest, ALostJournalCostsNoContainer) {
  Machine m;
  m.disk = &m.fake_disk;
  m.controller.blobs[kDigest] = "an archive";
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(Desired(7, {Container("web")}));
  const ContainerId id = Container("web").id;
  ASSERT_TRUE(m.Until([&] {
    return !m.controller.reports.empty() && m.controller.reports.back().version.generation == 7;
  }));
  ASSERT_TRUE(m.Until([&] { return m.machine->containers.contains(id); }));
  m.Halt();
  for (const int slot : {0, 1}) {
    const auto path = m.directory.path() / "state" / ("desired." + std::to_string(slot));
    if (m.fake_disk.Read(path, 1 << 20).ok()) {
      ASSERT_TRUE(m.fake_disk.Write(path, "bramble-record 1 9 9 9 garbage").ok());
    }
  }
  m.machine->calls.clear();
  m.controller.containers.clear();

  m.Boot();
  EXPECT_TRUE(m.log.Contains("journal_lost"));
  ASSERT_TRUE(m.Until([&] { return m.controller.containers.contains(id); }));
  EXPECT_TRUE(m.controller.containers[id].definition.has_value()) << "shown as an orphan";
  m.controller.Send(Desired(7, {Container("web")}));
  ASSERT_TRUE(m.Until([&] { return !m.controller.containers[id].definition.has_value(); }));
  EXPECT_EQ(m.controller.containers[id].state, api::ContainerState::kRunning);
  EXPECT_THAT(m.machine->calls, IsEmpty());
}

// A card lives by what is not written: ten heartbeats of a node that runs what it should, with the
// same said again before each, stand for a day's.
TEST(NodeServiceTest, AnIdleDayWritesLessThanOneMebibyte) {
  constexpr uint64_t kHeartbeats = 10;
  constexpr uint64_t kHeartbeatsOfADay = 24 * 3600 / 10;
  Machine m;
  m.disk = &m.fake_disk;
  m.controller.blobs[kDigest] = "an archive";
  m.controller.heartbeat_ms = 500;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(Desired(1, {Container("web")}));
  const ContainerId id = Container("web").id;
  ASSERT_TRUE(
      m.Until([&] { return m.controller.containers[id].state == api::ContainerState::kRunning; }));
  ASSERT_GT(m.fake_disk.bytes_written(), 0u);
  const uint64_t before = m.fake_disk.bytes_written();

  for (uint64_t i = 0; i < kHeartbeats; ++i) {
    m.controller.Send(Desired(1, {Container("web")}));
    const size_t heard = m.controller.heartbeats.size();
    ASSERT_TRUE(m.Until([&] { return m.controller.heartbeats.size() > heard; }));
  }

  const uint64_t written = m.fake_disk.bytes_written() - before;
  EXPECT_LT(written * kHeartbeatsOfADay / kHeartbeats, 1u << 20) << written;
}

TEST(NodeServiceTest, AFullDiskStopsDeletionsAndIsReported) {
  Machine m;
  m.disk = &m.fake_disk;
  m.controller.blobs[kDigest] = "an archive";
  m.controller.heartbeat_ms = 500;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(Desired(1, {Container("web")}));
  ASSERT_TRUE(m.Until([&] { return m.machine->containers.size() == 1; }));
  ASSERT_TRUE(m.Until([&] { return m.controller.reports.back().version.generation == 1; }));

  m.fake_disk.FailFrom(1, absl::ResourceExhaustedError("desired.1: No space left on device"));
  m.controller.Send(Desired(2, {}, {Container("web").id}));
  ASSERT_TRUE(m.Until([&] {
    for (const api::Condition& condition : m.controller.heartbeats.back().conditions) {
      if (condition.type == "journal-failed") {
        return true;
      }
    }
    return false;
  }));
  EXPECT_EQ(m.machine->containers.size(), 1u) << "not before the tombstone is on disk";
  EXPECT_EQ(m.controller.reports.back().version.generation, 1u);

  m.fake_disk.Heal();
  ASSERT_TRUE(m.Until([&] { return m.machine->containers.empty(); }));
}

TEST(NodeServiceTest, BlinksItsLedWhenAskedAndLogsIt) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Send(
      api::Command{.command_id = "o1", .verb = "identify", .arguments = {{"seconds", 20}}});
  ASSERT_TRUE(m.Until([&] { return m.controller.results.size() == 1; }));
  EXPECT_THAT(m.indicator.asked, ElementsAre(seconds(20)));
  EXPECT_EQ(m.controller.results[0].error_code, "");
  EXPECT_THAT(json::serialize(m.controller.results[0].result), HasSubstr("ACT"));
  EXPECT_THAT(testing::PrintToString(m.log.lines()), HasSubstr("identify"));

  m.indicator.led.clear();
  m.controller.Send(api::Command{.command_id = "o2", .verb = "identify", .arguments = nullptr});
  ASSERT_TRUE(m.Until([&] { return m.controller.results.size() == 2; }));
  EXPECT_THAT(json::serialize(m.controller.results[1].result), HasSubstr("no LED"));
}

TEST(NodeServiceTest, AClockThatIsFarOffIsSetAndSaidSo) {
  for (const milliseconds error : {milliseconds(-3'600'000), milliseconds(3'600'000)}) {
    Machine m;
    m.clock.error = error;
    m.wall_setter = &m.clock;
    m.controller.heartbeat_ms = 500;
    m.Boot();
    ASSERT_TRUE(m.Until([&] { return m.controller.heartbeats.size() >= 3; }));
    EXPECT_EQ(m.clock.sets, 1);
    EXPECT_LT(std::chrono::abs(m.clock.error), kMaxClockError);
    EXPECT_THAT(testing::PrintToString(m.log.lines()), HasSubstr("clock_stepped"));
    int64_t told = 0;
    for (const api::Heartbeat& heartbeat : m.controller.heartbeats) {
      told += heartbeat.clock_step_ms;
    }
    EXPECT_NEAR(static_cast<double>(told), static_cast<double>(-error.count()), 5000) << "once";
  }
}

TEST(NodeServiceTest, AClockIsLeftAloneWhereItMayNotBeSetOrSomebodyElseKeepsIt) {
  for (const bool kept : {false, true}) {
    Machine m;
    m.clock.error = milliseconds(-3'600'000);
    m.clock.kept_by_another = kept;
    m.wall_setter = kept ? &m.clock : nullptr;
    m.controller.heartbeat_ms = 500;
    m.Boot();
    ASSERT_TRUE(m.Until([&] { return m.controller.heartbeats.size() >= 2; }));
    EXPECT_EQ(m.clock.sets, 0);
    EXPECT_EQ(m.controller.heartbeats.back().clock_step_ms, 0);
  }
}

TEST(NodeServiceTest, AControllerWhoseCertificateIsOutOfDateByItsOwnTimeIsNotServed) {
  Machine m;
  m.controller.signed_offset = std::chrono::hours(20);  // its certificate ends in 10
  m.Boot();
  ASSERT_TRUE(m.Until([&] {
    return testing::PrintToString(m.log.lines()).find("controller_certificate_dates") !=
           std::string::npos;
  }));
  EXPECT_NE(m.service->uplink_state().phase, UplinkState::Phase::kConnected);
  EXPECT_THAT(m.controller.heartbeats, IsEmpty());
}

TEST(NodeServiceTest, RulesAndNamesAreInForceAgainAfterAPowerCutWithNoController) {
  Machine m;
  m.controller.blobs[kDigest] = "an archive";
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected() && !m.controller.reports.empty(); }));
  api::NodeContainer web = Container("web");
  web.firewall = api::ContainerFirewall{.policies = {"g/default/web"}};
  m.controller.Send(Desired(1, {web}));
  api::NodeNetwork network;
  network.version = {1, 5};
  network.prefix = Ipv4Prefix::Parse("172.16.0.0/24").value();
  network.policies = {
      {.name = "g/default/web",
       .rules = {{.protocol = api::Protocol::kTcp, .port_first = 8080, .port_last = 8080}}}};
  m.controller.Send(network);
  api::Names names;
  names.version = {1, 6};
  names.domain = "bramble.internal";
  names.prefix = network.prefix;
  names.records = {{.name = "web.bramble.internal", .address = Ipv4::Parse("172.16.0.64").value()}};
  m.controller.Send(names);
  const auto in_force = [&] {
    return m.filter.rules.find("proto-dst { 8080 }") != std::string::npos && m.names.names == names;
  };
  ASSERT_TRUE(m.Until(in_force)) << testing::PrintToString(m.log.lines());
  const auto told = [&](const api::Report& report) {
    return report.network.has_value() && report.network->names_version == names.version &&
           report.network->network_version == network.version;
  };
  ASSERT_TRUE(m.Until([&] { return std::ranges::any_of(m.controller.reports, told); }))
      << "and the controller is told so";
  m.Pass(milliseconds(100));  // the journal

  m.Halt();
  RunOnLoop(m.loop, m.controller.Stop());
  m.filter.rules.clear();
  m.names.names = {};
  m.Boot();
  EXPECT_TRUE(m.Until(in_force)) << testing::PrintToString(m.log.lines());
}

}  // namespace
}  // namespace bramble::node
