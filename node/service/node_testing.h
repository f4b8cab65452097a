// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "base/run_on_loop.h"
#include "base/temporary_directory.h"
#include "node/images/fake_image_cache.h"
#include "node/network/fake_network.h"
#include "node/runtime/fake_runtime.h"
#include "node/service/node_service.h"
#include "node/service/simulated_controller.h"

// A whole node but its kernel, over real TLS, against a simulated controller on loopback.
namespace bramble::node {

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

class FakeGpioChips : public GpioChips {
 public:
  std::vector<api::GpioChip> List() override { return chips; }
  std::vector<api::GpioChip> chips = {{.name = "gpiochip0", .label = "pinctrl", .lines = 54}};
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
  std::chrono::milliseconds error{0};
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
  FakeGpioChips gpio;
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
    config.start_jitter = std::chrono::milliseconds(1);
    config.reconnect_max = std::chrono::milliseconds(20);
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
                                                               .gpio = gpio,
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
      co_await SleepFor(std::chrono::milliseconds(5));
    }
    co_return condition() ? absl::OkStatus() : absl::DeadlineExceededError("never came true");
  }
  [[nodiscard]] bool Until(std::function<bool()> condition) {
    return RunOnLoop(loop, UntilTrue(std::move(condition))).ok();
  }
  void Pass(std::chrono::milliseconds time) { RunOnLoop(loop, Sleep(time)); }
  static asio::awaitable<void> Sleep(std::chrono::milliseconds time) { co_await SleepFor(time); }

  ~Machine() {
    Halt();
    controller.EndStream();
    RunOnLoop(loop, controller.Stop());
  }
};

inline constexpr char kDigest[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

inline api::NodeContainer Container(std::string name) {
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

inline api::Desired Desired(uint64_t generation, std::vector<api::NodeContainer> containers,
                            std::vector<ContainerId> tombstones = {}) {
  return {.version = {1, generation},
          .full = true,
          .containers = std::move(containers),
          .tombstones = std::move(tombstones)};
}

}  // namespace bramble::node
