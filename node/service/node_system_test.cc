// SPDX-License-Identifier: Apache-2.0
// bramble-node and bramble-lease-holder as processes, with real containers, against a simulated
// controller: what happens to containers when the agent is killed, alone, or hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/file.h"
#include "base/run_on_loop.h"
#include "base/subprocess.h"
#include "base/temporary_directory.h"
#include "base/timer.h"
#include "node/runtime/lxc_runtime.h"
#include "node/service/simulated_controller.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class NodeSystemTest : public testing::Test {
 protected:
  // The agent's packet filter is for a network of our own, not for this machine's.
  static void SetUpTestSuite() {
    if (getuid() == 0) {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      ASSERT_TRUE(RunCommandForOutput({.argv = {"ip", "link", "set", "lo", "up"}}).ok());
    }
  }

  void SetUp() override {
    if (getuid() != 0) {
      GTEST_SKIP() << "needs root: real containers";
    }
    // Containers' root ids, which are users of no name, pass through it.
    ASSERT_EQ(chmod(directory_.path().c_str(), 0711), 0);
    const std::filesystem::path archive = directory_ / "busybox.tar";
    const absl::StatusOr<std::string> made =
        RunCommandForOutput({.argv = {"tools/dev/image-busybox", archive.string()}});
    ASSERT_TRUE(made.ok()) << made.status();
    const std::string bytes = ReadFile(archive, 64 << 20).value();
    digest_ = Sha256(bytes).Hex();
    controller_.blobs[digest_] = bytes;
    runtime_ = std::make_unique<LxcRuntime>(
        loop_,
        LxcRuntime::Options{.program = Bin() / "bramble-runtime",
                            .state = directory_ / "state",
                            .run = directory_ / "run",
                            .seccomp_profile = Bin() / "container.seccomp"},
        Logger());
    StartHolder();
    StartAgent();
    ASSERT_TRUE(Until([&] { return !controller_.heartbeats.empty(); }));
  }

  void TearDown() override {
    agent_.reset();
    if (runtime_ != nullptr) {
      for (const auto& [id, container] : List()) {
        EXPECT_TRUE(RunOnLoop(loop_, runtime_->Delete(id)).ok());
      }
    }
    holder_.reset();
    runtime_.reset();
    RunOnLoop(loop_, controller_.Stop());
  }

  static std::filesystem::path Bin() {
    const char* bin = getenv("BRAMBLE_BIN");
    return bin != nullptr ? bin : "build/debug/bin";
  }
  Process Spawn(std::vector<std::string> argv) {
    absl::StatusOr<Process> process =
        Process::Spawn({.argv = std::move(argv), .out = Stdio::Inherit(), .err = Stdio::Inherit()});
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  void StartHolder() {
    ASSERT_TRUE(MakeDirectories(directory_ / "run", 0711).ok());
    holder_ = Spawn({(Bin() / "bramble-lease-holder").string(), "--socket",
                     (directory_ / "run/lease.sock").string()});
  }
  void StartAgent() {
    const std::string config =
        StrCat("name = \"pi-1\"\njoin_token = \"", controller_.Token(), "\"\nstate_dir = \"",
               (directory_ / "state").string(), "\"\nrun_dir = \"", (directory_ / "run").string(),
               "\"\nstart_jitter = \"1ms\"\nreconnect_max = \"100ms\"\nid_first = 1342177280\n",
               "id_ranges = 8\n",
               libexec_.empty() ? "" : StrCat("libexec_dir = \"", libexec_.string(), "\"\n"),
               "[network]\nmanage = false\n");
    ASSERT_TRUE(WriteFileAtomically(directory_ / "node.toml", config).ok());
    agent_ =
        Spawn({(Bin() / "bramble-node").string(), "--config", (directory_ / "node.toml").string()});
  }

  asio::awaitable<bool> UntilTrue(std::function<bool()> condition) {
    for (int i = 0; i < 3000 && !condition(); ++i) {
      co_await SleepFor(milliseconds(10));
    }
    co_return condition();
  }
  [[nodiscard]] bool Until(std::function<bool()> condition) {
    return RunOnLoop(loop_, UntilTrue(std::move(condition)));
  }

  std::map<ContainerId, RuntimeContainer> List() {
    std::map<ContainerId, RuntimeContainer> all;
    const absl::StatusOr<std::vector<RuntimeContainer>> listed = RunOnLoop(loop_, runtime_->List());
    EXPECT_TRUE(listed.ok()) << listed.status();
    for (const RuntimeContainer& container : listed.value_or(std::vector<RuntimeContainer>())) {
      all[container.spec.id] = container;
    }
    return all;
  }
  pid_t InitOf(const ContainerId& id) { return List()[id].init_pid; }

  api::NodeContainer Container(const std::string& name, api::PlacementClass placement) {
    api::NodeContainer container;
    // Unique on this machine: cgroups are named by it.
    container.id = ContainerId::Trusted(StrCat("t", getpid(), "-", name));
    container.name = ContainerName::Trusted(name);
    container.project = ProjectName::Trusted("default");
    container.spec.image = "busybox";
    container.spec.placement.placement_class = placement;
    container.spec.stop_grace_s = 1;
    container.image_digest = digest_;
    container.architecture = "amd64";
    return container;
  }
  api::NodeContainer Pinned() { return Container("pinned", api::PlacementClass::kPinned); }
  api::NodeContainer Movable() { return Container("movable", api::PlacementClass::kMovable); }

  void Want(std::vector<api::NodeContainer> containers) {
    controller_.Send(api::Desired{
        .version = {1, ++generation_}, .full = true, .containers = std::move(containers)});
  }
  bool Runs(const ContainerId& id) {
    return controller_.containers[id].state == api::ContainerState::kRunning;
  }

  asio::io_context loop_;
  TemporaryDirectory directory_;
  SimulatedController controller_{loop_};
  std::unique_ptr<LxcRuntime> runtime_;
  std::optional<Process> holder_;
  std::optional<Process> agent_;
  std::string digest_;
  std::filesystem::path libexec_;  // empty: beside the program
  uint64_t generation_ = 0;
};

TEST_F(NodeSystemTest, AnAgentThatIsKilledAndStartedAgainDoesNotTouchContainers) {
  const ContainerId id = Pinned().id;
  Want({Pinned()});
  ASSERT_TRUE(Until([&] { return Runs(id); }));
  const RuntimeContainer before = List()[id];
  ASSERT_GT(before.init_pid, 0);

  for (int kill_number = 0; kill_number < 3; ++kill_number) {
    agent_->Signal(SIGKILL);
    ASSERT_TRUE(agent_->Wait().ok());
    controller_.containers.clear();
    const size_t hellos = controller_.hellos.size();
    StartAgent();
    ASSERT_TRUE(Until([&] { return controller_.hellos.size() > hellos && Runs(id); }));
    EXPECT_EQ(controller_.hellos.back().version, (api::Version{1, generation_}));
    const RuntimeContainer after = List()[id];
    EXPECT_EQ(after.init_pid, before.init_pid);
    EXPECT_EQ(after.init_start_ticks, before.init_start_ticks);
  }

  agent_->Signal(SIGTERM);
  const absl::StatusOr<ExitStatus> ended = agent_->Wait();
  ASSERT_TRUE(ended.ok());
  EXPECT_TRUE(ended->ok()) << ended->ToString();
  EXPECT_EQ(InitOf(id), before.init_pid) << "stopping the service leaves containers running";
}

TEST_F(NodeSystemTest, StartsWhatItsJournalSaysWithNoController) {
  const ContainerId id = Pinned().id;
  Want({Pinned()});
  ASSERT_TRUE(Until([&] { return Runs(id); }));
  const pid_t before = InitOf(id);
  ASSERT_GT(before, 0);
  // The controller says that it has taken note before the power goes.
  ASSERT_TRUE(Until([&] {
    return controller_.reports.back().version == api::Version{1, generation_};
  }));
  agent_->Signal(SIGKILL);
  ASSERT_TRUE(agent_->Wait().ok());
  RunOnLoop(loop_, controller_.Stop());
  ASSERT_EQ(kill(before, SIGKILL), 0);
  ASSERT_TRUE(Until([&] { return InitOf(id) == 0; }));
  std::filesystem::remove(directory_ / "run/notes.json");  // a boot empties the run directory

  StartAgent();
  ASSERT_TRUE(Until([&] { return InitOf(id) > 0; }));
  EXPECT_NE(InitOf(id), before);
  const absl::StatusOr<std::string> status =
      RunCommandForOutput({.argv = {(Bin() / "bramble-node").string(), "status", "--config",
                                    (directory_ / "node.toml").string()}});
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_THAT(*status, testing::HasSubstr("pinned"));
}

TEST_F(NodeSystemTest, AHungAgentsMovableContainersEndWithTheirLeaseAndPinnedOnesRunOn) {
  controller_.lease_ms = 4000;
  controller_.heartbeat_ms = 500;
  controller_.stop_ms = 1000;
  controller_.Disconnect();  // it learns the new timing
  ASSERT_TRUE(Until([&] { return controller_.hellos.size() > 1; }));
  const ContainerId pinned = Pinned().id;
  const ContainerId movable = Movable().id;
  ASSERT_TRUE(Until([&] { return controller_.heartbeats.size() > 2; }));
  Want({Pinned(), Movable()});
  ASSERT_TRUE(Until([&] { return Runs(pinned) && Runs(movable); }));
  const pid_t pinned_init = InitOf(pinned);
  const pid_t movable_init = InitOf(movable);
  ASSERT_GT(movable_init, 0);
  const size_t beats = controller_.heartbeats.size();
  ASSERT_TRUE(Until([&] { return controller_.heartbeats.size() > beats + 1; }));
  EXPECT_EQ(InitOf(movable), movable_init) << "a renewed lease";

  const SystemClock clock;
  const BootTime hung = clock.Boot();
  ASSERT_EQ(kill(agent_->pid(), SIGSTOP), 0);
  ASSERT_TRUE(Until([&] { return kill(movable_init, 0) != 0; }));
  const auto took = clock.Boot() - hung;
  // The last renewal was up to a heartbeat and its jitter before.
  EXPECT_GT(took, milliseconds(3000));
  EXPECT_LT(took, seconds(10));
  EXPECT_EQ(InitOf(pinned), pinned_init);

  ASSERT_EQ(kill(agent_->pid(), SIGCONT), 0);
  ASSERT_TRUE(Until([&] { return InitOf(movable) > 0; })) << "under a fresh lease it runs again";
  EXPECT_EQ(InitOf(pinned), pinned_init);
}

TEST_F(NodeSystemTest, WithoutALeaseHolderMovableContainersDoNotStart) {
  holder_.reset();
  controller_.lease_ms = 60'000;
  controller_.heartbeat_ms = 500;
  controller_.Disconnect();
  ASSERT_TRUE(Until([&] { return controller_.hellos.size() > 1; }));
  const ContainerId movable = Movable().id;
  Want({Movable()});
  ASSERT_TRUE(Until([&] { return controller_.containers.contains(movable); }));
  EXPECT_THAT(controller_.containers[movable].reason,
              testing::HasSubstr("bramble-lease-holder does not run"));

  StartHolder();
  ASSERT_TRUE(Until([&] { return Runs(movable); }));
}

// The agent dies in the middle of a start: what its runtime then brings up has no init yet that
// anybody could have told the lease holder.
class AgentDiesInAStartTest : public NodeSystemTest {
 protected:
  // A runtime that does `start` as the script says; REAL is the program and its arguments.
  void UseRuntime(const std::string& on_start) {
    ASSERT_TRUE(MakeDirectories(directory_ / "libexec", 0755).ok());
    for (const char* name : {"bramble-unpack", "bramble-container.apparmor", "container.seccomp"}) {
      std::filesystem::create_symlink(std::filesystem::absolute(Bin() / name),
                                      directory_ / "libexec" / name);
    }
    const std::string real = std::filesystem::absolute(Bin() / "bramble-runtime");
    // Which verb it is, "await" reads from its input.
    const std::string script = StrCat(
        "#!/bin/sh\n[ \"$1\" = await ] || exec ", real, " \"$@\"\ncd ", directory_.path().string(),
        "\ncat >request.$$\ngrep -q '^{\"verb\":\"start\"' request.$$ || exec ", real,
        " \"$@\" <request.$$\nmv request.$$ request\nset -- ", real, " \"$@\"\nAGENT=$PPID\n",
        on_start, "\n");
    const std::filesystem::path path = directory_ / "libexec/bramble-runtime";
    ASSERT_TRUE(WriteFileAtomically(path, script, 0755).ok());
    agent_->Signal(SIGKILL);
    ASSERT_TRUE(agent_->Wait().ok());
    libexec_ = directory_ / "libexec";
    controller_.lease_ms = 4000;
    controller_.heartbeat_ms = 500;
    controller_.stop_ms = 1000;
    const size_t hellos = controller_.hellos.size();
    const size_t beats = controller_.heartbeats.size();
    StartAgent();
    ASSERT_TRUE(Until([&] {
      return controller_.hellos.size() > hellos && controller_.heartbeats.size() > beats + 2;
    }));
  }
  // It runs, or did.
  bool Logged(const ContainerId& id) {
    return std::filesystem::exists(directory_ / "state/containers" / id.str() / "console.log");
  }
};

TEST_F(AgentDiesInAStartTest, BetweenTheStartAndItsAnswerTheContainerEndsWithTheLease) {
  UseRuntime("\"$@\" <request >answer; kill -KILL $AGENT; sleep 1");
  const ContainerId id = Movable().id;
  const SystemClock clock;
  Want({Movable()});
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(directory_ / "answer"); }));
  ASSERT_TRUE(agent_->Wait().ok());
  const pid_t init = InitOf(id);
  ASSERT_GT(init, 0) << "it runs, and no agent is left to tell the holder";
  const BootTime died = clock.Boot();

  ASSERT_TRUE(Until([&] { return kill(init, 0) != 0; }));
  EXPECT_GT(clock.Boot() - died, seconds(2)) << "not before the lease is over";
  EXPECT_LT(clock.Boot() - died, seconds(8));
  EXPECT_EQ(InitOf(id), 0);
}

TEST_F(AgentDiesInAStartTest, AContainerThatComesUpAfterTheLeaseIsEndedAtOnce) {
  UseRuntime(
      "setsid sh -c 'kill -KILL '$AGENT'; sleep 7; exec \"$@\" <request >answer' sh \"$@\" "
      ">/dev/null 2>&1 & wait");
  const ContainerId id = Movable().id;
  Want({Movable()});
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(directory_ / "request"); }));
  ASSERT_TRUE(agent_->Wait().ok());
  EXPECT_FALSE(Logged(id));
  ASSERT_TRUE(Until([&] { return Logged(id); })) << "the start goes on all the same";
  const SystemClock clock;
  const BootTime up = clock.Boot();
  ASSERT_TRUE(
      Until([&] { return std::filesystem::exists(directory_ / "answer") && InitOf(id) == 0; }));
  EXPECT_LT(clock.Boot() - up, seconds(3));
}

TEST_F(AgentDiesInAStartTest, AnAgentThatComesBackTakesOverWhatWasBeingStarted) {
  UseRuntime(
      "setsid sh -c 'kill -KILL '$AGENT'; exec \"$@\" <request >answer' sh \"$@\" "
      ">/dev/null 2>&1 & wait");
  const ContainerId id = Movable().id;
  Want({Movable()});
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(directory_ / "request"); }));
  ASSERT_TRUE(agent_->Wait().ok());
  libexec_.clear();
  StartAgent();
  ASSERT_TRUE(Until([&] { return Runs(id); }));
  const pid_t init = InitOf(id);
  ASSERT_GT(init, 0);
  const size_t beats = controller_.heartbeats.size();
  ASSERT_TRUE(Until([&] { return controller_.heartbeats.size() > beats + 12; }));
  EXPECT_EQ(InitOf(id), init) << "its lease is renewed, and it is one";

  ASSERT_EQ(kill(agent_->pid(), SIGSTOP), 0);
  EXPECT_TRUE(Until([&] { return kill(init, 0) != 0; })) << "and the holder has it";
  ASSERT_EQ(kill(agent_->pid(), SIGCONT), 0);
}

TEST_F(NodeSystemTest, WithALeaseHolderThatHangsMovableContainersDoNotStart) {
  controller_.lease_ms = 60'000;
  controller_.heartbeat_ms = 500;
  controller_.Disconnect();
  ASSERT_TRUE(Until([&] { return controller_.hellos.size() > 1; }));
  ASSERT_EQ(kill(holder_->pid(), SIGSTOP), 0);
  const ContainerId movable = Movable().id;
  Want({Movable()});
  EXPECT_TRUE(Until([&] {
    return controller_.containers[movable].reason.find("does not answer") != std::string::npos;
  })) << controller_.containers[movable].reason;
  EXPECT_EQ(InitOf(movable), 0);

  ASSERT_EQ(kill(holder_->pid(), SIGCONT), 0);
  EXPECT_TRUE(Until([&] { return Runs(movable); }));
}

}  // namespace
}  // namespace bramble::node
