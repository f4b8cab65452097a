// SPDX-License-Identifier: Apache-2.0
// A whole node but its kernel, over real TLS, against a simulated controller on loopback.
#include "node/service/node_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/fake_disk.h"
#include "base/run_on_loop.h"
#include "base/temporary_directory.h"
#include "node/images/fake_image_cache.h"
#include "node/network/fake_network.h"
#include "node/runtime/fake_runtime.h"
#include "node/service/simulated_controller.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SilentNetwork : public NetworkSetup {
 public:
  asio::awaitable<absl::Status> Apply(BridgeSetting setting) override {
    applied.push_back(std::move(setting));
    if (missing > 0) {
      --missing;
      co_return absl::FailedPreconditionError("network: there is no interface \"eth0\"");
    }
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::StatusOr<NetworkFacts>> Look() override { co_return NetworkFacts(); }
  bool IsWireless(const std::string& /*port*/) override { return false; }
  int missing = 0;  // so many more tries the port is not there
  std::vector<BridgeSetting> applied;
};

class FakeIndicator : public Indicator {
 public:
  absl::StatusOr<std::string> Blink(std::chrono::seconds time) override {
    asked.push_back(time);
    return led.empty() ? absl::StatusOr<std::string>(absl::NotFoundError("no LED here")) : led;
  }
  std::vector<std::chrono::seconds> asked;
  std::string led = "ACT";
};

// A machine whose wall clock is wrong by `error`, and can be set.
class WrongClock : public Clock, public WallSetter {
 public:
  BootTime Boot() const override { return system_.Boot(); }
  WallTime Wall() const override { return system_.Wall() + error; }
  bool KeptByAnother() const override { return kept_by_another; }
  absl::Status Set(WallTime time) override {
    error = time - system_.Wall();
    ++sets;
    return absl::OkStatus();
  }
  milliseconds error{0};
  bool kept_by_another = false;
  int sets = 0;

 private:
  SystemClock system_;
};

// What a machine keeps when the agent on it is started anew.
struct Machine {
  asio::io_context loop;
  WrongClock clock;
  WallSetter* wall_setter = nullptr;
  FakeIndicator indicator;
  SeededRandom random{1};
  SystemDisk system_disk;
  FakeDisk fake_disk;
  Disk* disk = &system_disk;  // where the journal is
  TemporaryDirectory directory;
  std::shared_ptr<FakeMachine> machine = std::make_shared<FakeMachine>();
  FakeRuntime runtime{loop, machine};
  FakeImageCache images{directory.path() / "images"};
  SilentNetwork network;
  FakePacketFilter filter;
  FakePortSetup ports;
  FakeNameService names;
  MemoryLogSink log;
  SimulatedController controller{loop};
  PrivateKey key = PrivateKey::Generate();
  std::unique_ptr<NodeService> service;

  NodeConfig Config() {
    NodeConfig config;
    config.name = "pi-1";
    config.join_token = controller.Token();
    config.state_dir = directory.path() / "state";
    config.run_dir = directory.path() / "run";
    config.start_jitter = milliseconds(1);
    config.reconnect_max = milliseconds(20);
    return config;
  }

  void Boot() { Boot(Config()); }
  void Make(NodeConfig config) {
    service = std::make_unique<NodeService>(NodeService::Parts{.loop = loop,
                                                               .clock = clock,
                                                               .random = random,
                                                               .disk = *disk,
                                                               .runtime = runtime,
                                                               .access = runtime,
                                                               .images = images,
                                                               .network = network,
                                                               .indicator = indicator,
                                                               .filter = filter,
                                                               .ports = ports,
                                                               .names = names,
                                                               .open_arp = nullptr,
                                                               .machine = nullptr,
                                                               .wall_setter = wall_setter,
                                                               .log = Logger(log)},
                                            std::move(config), key);
  }
  void Boot(NodeConfig config) {
    Make(std::move(config));
    const absl::Status started = RunOnLoop(loop, service->Start());
    ASSERT_TRUE(started.ok()) << started;
  }
  void Halt() {
    if (service != nullptr) {
      RunOnLoop(loop, service->Stop());
      service.reset();
    }
  }

  asio::awaitable<absl::Status> UntilTrue(std::function<bool()> condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      co_await SleepFor(milliseconds(5));
    }
    co_return condition() ? absl::OkStatus() : absl::DeadlineExceededError("never came true");
  }
  [[nodiscard]] bool Until(std::function<bool()> condition) {
    return RunOnLoop(loop, UntilTrue(std::move(condition))).ok();
  }
  void Pass(milliseconds time) { RunOnLoop(loop, Sleep(time)); }
  static asio::awaitable<void> Sleep(milliseconds time) { co_await SleepFor(time); }

  ~Machine() {
    Halt();
    controller.EndStream();
    RunOnLoop(loop, controller.Stop());
  }
};

constexpr char kDigest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

api::NodeContainer Container(std::string name) {
  api::NodeContainer container;
  container.id = ContainerId::Trusted("c-" + name);
  container.name = ContainerName::Trusted(name);
  container.project = ProjectName::Trusted("default");
  container.spec.image = "busybox";
  container.image_digest = kDigest;
  container.architecture = "amd64";
  container.address = "172.16.0.64/24";
  container.mac = "02:42:ac:10:00:40";
  return container;
}

api::Desired Desired(uint64_t generation, std::vector<api::NodeContainer> containers,
                     std::vector<ContainerId> tombstones = {}) {
  return {.version = {1, generation},
          .full = true,
          .containers = std::move(containers),
          .tombstones = std::move(tombstones)};
}

TEST(NodeServiceTest, JoinsByItsTokenRunsAContainerAndReports) {
  Machine m;
  m.controller.blobs[kDigest] = "an archive";
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected() && !m.controller.reports.empty(); }));
  EXPECT_THAT(m.controller.proofs, SizeIs(1));
  EXPECT_EQ(m.controller.hellos[0].hostname, "pi-1");
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

TEST(NodeServiceTest, SendsNothingSecretToAControllerWithAnotherKey) {
  Machine m;
  NodeConfig config = m.Config();
  m.controller.BecomeAnother();
  m.Boot(config);
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kRefused; }));
  EXPECT_THAT(m.controller.joins, IsEmpty());
  EXPECT_THAT(m.service->uplink_state().reason, HasSubstr("its key is another one than expected"));
}

TEST(NodeServiceTest, OnceJoinedItRefusesAnotherKeyAtTheSameAddress) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.Disconnect();
  m.controller.BecomeAnother();
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kRefused; }));
  EXPECT_TRUE(m.log.Contains("controller_refused"));
  EXPECT_THAT(m.controller.hellos, SizeIs(1));
}

TEST(NodeServiceTest, ANodeThatWasRemovedJoinsAgainByItsToken) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.controller.knows_it = false;
  m.controller.Disconnect();

  ASSERT_TRUE(m.Until([&] { return m.controller.hellos.size() == 2; }));
  EXPECT_THAT(m.controller.joins, SizeIs(2));
  EXPECT_THAT(m.controller.proofs, SizeIs(2));
  EXPECT_EQ(m.controller.hellos[1].session_value, "") << "of the identity that it has now";
  EXPECT_TRUE(m.log.Contains("identity_refused"));
}

TEST(NodeServiceTest, ANodeThatWasRemovedAndHasNoTokenKeepsWhatItIs) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.Halt();
  NodeConfig config = m.Config();
  config.join_token.clear();
  m.controller.knows_it = false;
  m.Boot(config);
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kRefused; }));
  EXPECT_THAT(m.controller.joins, SizeIs(1));
  m.controller.knows_it = true;
  ASSERT_TRUE(m.Until([&] { return m.controller.hellos.size() == 2; }));
}

TEST(NodeServiceTest, AnExplicitJoinOfANodeThatWasRemovedJoinsAgain) {
  Machine m;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.Halt();
  for (const bool known : {true, false}) {
    m.controller.knows_it = known;
    m.Make(m.Config());
    const absl::Status joined = RunOnLoop(m.loop, m.service->Join());
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_THAT(m.controller.joins, SizeIs(known ? 1 : 2));
    m.service.reset();
  }
}

TEST(NodeServiceTest, WithoutATokenItWaitsForAPersonAndThenPinsTheKey) {
  Machine m;
  m.controller.approve = false;
  NodeConfig config = m.Config();
  config.join_token.clear();
  config.controllers = {m.controller.address()};
  m.Boot(config);
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kPending; }));
  EXPECT_THAT(m.service->uplink_state().code, testing::MatchesRegex("[0-9]+"));
  EXPECT_NE(m.service->uplink_state().code, "123456") << "made of the keys, not taken over";
  EXPECT_EQ(m.controller.joins[0].proof, "");
  m.controller.approve = true;
  ASSERT_TRUE(m.Until([&] { return m.controller.connected(); }));
}

TEST(NodeServiceTest, RenewsACertificateBeyondTwoThirdsOfItsLifeAndNotBefore) {
  Machine m;
  m.controller.certificate_age = std::chrono::hours(1);
  m.controller.certificate_rest = std::chrono::hours(1);
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  m.Pass(milliseconds(50));
  EXPECT_EQ(m.controller.renewals, 0);

  Machine late;
  late.controller.certificate_age = std::chrono::hours(5);
  late.controller.certificate_rest = std::chrono::hours(1);
  late.Boot();
  ASSERT_TRUE(late.Until([&] { return late.controller.renewals == 1; }));
  EXPECT_TRUE(late.controller.connected());
}

TEST(NodeServiceTest, RenewsACertificateThatRanOutWhileItWasAway) {
  Machine m;
  m.controller.certificate_age = std::chrono::hours(5);
  m.controller.certificate_rest = std::chrono::hours(-1);
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.connected(); }));
  EXPECT_EQ(m.controller.renewals, 1);
}

TEST(NodeServiceTest, AHeldNodeWaitsLong) {
  Machine m;
  m.controller.held = "another card shows this key";
  m.Boot();
  ASSERT_TRUE(
      m.Until([&] { return m.service->uplink_state().phase == UplinkState::Phase::kHeld; }));
  m.Pass(milliseconds(100));
  EXPECT_THAT(m.controller.hellos, SizeIs(1));
  EXPECT_THAT(m.service->uplink_state().reason, HasSubstr("another card"));
}

TEST(NodeServiceTest, ACopiedCardJoinsAnewWithAKeyOfItsOwnWhenAPersonSaysSo) {
  Machine m;
  m.controller.held = "two cards show this key";
  m.controller.new_identity = true;
  m.Boot();
  ASSERT_TRUE(m.Until([&] { return m.controller.joins.size() == 2; }))
      << testing::PrintToString(m.log.lines());
  ASSERT_TRUE(m.Until([&] { return !m.controller.heartbeats.empty(); }));
  const auto key_of = [&](size_t join) {
    return ParseCertificateRequest(m.controller.joins[join].csr_pem)->key.Spki();
  };
  EXPECT_NE(key_of(0), key_of(1));
  EXPECT_EQ(m.controller.hellos.back().session_value, "");
  m.Halt();
  m.key = PrivateKey::Load(m.directory.path() / "state/node.key").value();
  EXPECT_EQ(m.key.Spki(), key_of(1)) << "kept for the next start";
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

// ---- streams

asio::awaitable<absl::StatusOr<std::string>> NextFrame(WebSocket& socket) {
  auto message = co_await socket.Receive();
  if (!message.ok()) {
    co_return message.status();
  }
  co_return message->has_value() ? (*message)->bytes : std::string("closed");
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

class NodeStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    m_.controller.blobs[kDigest] = "an archive";
    m_.Boot();
    ASSERT_TRUE(m_.Until([&] { return !m_.controller.heartbeats.empty(); }));
    m_.controller.Send(Desired(1, {Container("web")}));
    ASSERT_TRUE(m_.Until([&] { return m_.machine->containers.size() == 1; }));
  }
  void Open(api::OpenStream request) {
    request.ticket = "ticket";
    m_.controller.Send(request);
    ASSERT_TRUE(m_.Until([&] { return m_.controller.stream != nullptr; }));
  }
  void Send(char channel, std::string_view bytes) {
    ASSERT_TRUE(m_.controller.stream
                    ->TrySend({.binary = true, .bytes = StrCat(std::string(1, channel), bytes)})
                    .ok());
  }
  std::string Next() { return RunOnLoop(m_.loop, NextFrame(*m_.controller.stream)).value(); }

  Machine m_;
};

TEST_F(NodeStreamTest, ExecCarriesInputOutputAndTheExitCode) {
  Open({.kind = api::StreamKind::kExec,
        .container = Container("web").id,
        .command = {"cat"},
        .interactive = true});
  Send(0, "ab");
  EXPECT_EQ(Next(), "\1ab");
  Send(3, R"({"eof":true})");
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":0}}");
  EXPECT_EQ(Next(), "closed");
  m_.controller.EndStream();
  m_.controller.stream.reset();

  Open({.kind = api::StreamKind::kExec,
        .container = Container("web").id,
        .command = {"sh", "-c", "exit 7"}});
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":7}}");
}

TEST_F(NodeStreamTest, ATerminalTakesItsSize) {
  Open({.kind = api::StreamKind::kConsole, .container = Container("web").id, .tty = true});
  Send(3, R"({"resize":{"rows":40,"columns":120}})");
  ASSERT_TRUE(m_.Until([&] {
    const auto& sizes = m_.machine->containers[Container("web").id].sizes;
    return !sizes.empty() && sizes.back().rows == 40 && sizes.back().columns == 120;
  }));
}

TEST_F(NodeStreamTest, AFailureIsToldOnTheStream) {
  Open({.kind = api::StreamKind::kExec,
        .container = ContainerId::Trusted("nobody"),
        .command = {"true"}});
  EXPECT_THAT(Next(), HasSubstr("\"code\":\"not_found\""));
}

TEST_F(NodeStreamTest, FilesGoInAndOutAndTheLogComes) {
  Open({.kind = api::StreamKind::kPush,
        .container = Container("web").id,
        .path = "/etc/x",
        .size_bytes = -1});  // as of a body in chunks
  Send(0, "hel");
  Send(0, "lo");
  Send(3, R"({"eof":true})");
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":0}}");
  EXPECT_EQ(m_.machine->containers[Container("web").id].files["/etc/x"], "hello");
  m_.controller.EndStream();
  m_.controller.stream.reset();

  Open({.kind = api::StreamKind::kPull, .container = Container("web").id, .path = "/etc/x"});
  EXPECT_EQ(Next(), "\1hello");
  EXPECT_EQ(Next(), "\3{\"exit\":{\"code\":0}}");
  m_.controller.EndStream();
  m_.controller.stream.reset();

  Open({.kind = api::StreamKind::kLogs, .container = Container("web").id});
  EXPECT_EQ(Next(),
            "\1"
            "started\n");
}

TEST_F(NodeStreamTest, APersonWhoGoesAwayEndsTheCommandAndNothingElse) {
  Open({.kind = api::StreamKind::kExec,
        .container = Container("web").id,
        .command = {"cat"},
        .interactive = true});
  m_.controller.stream->Abort();
  m_.Pass(milliseconds(50));
  EXPECT_TRUE(m_.controller.connected());
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
