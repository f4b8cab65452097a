// SPDX-License-Identifier: Apache-2.0

// The real runtime on cgroup v2 alone.
#include <gmock/gmock.h>

#include "base/run_on_loop.h"
#include "node/runtime/lxc_machine_testing.h"

namespace bramble::node {
namespace {

class LxcUnifiedTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* reason = LxcMachine::Unfit(); reason != nullptr) {
      GTEST_SKIP() << reason;
    }
    LxcMachine::UseUnifiedCgroups();
    machine_ = std::make_unique<LxcMachine>();
  }
  template <typename T>
  T Await(asio::awaitable<T> task) {
    return RunOnLoop(machine_->loop(), std::move(task));
  }

  std::unique_ptr<LxcMachine> machine_;
};

TEST_F(LxcUnifiedTest, RunsAContainerFromStartToDelete) {
  LxcRuntime& runtime = machine_->runtime();
  const ContainerId id = ContainerId::Parse("c1").value();

  const auto started = Await(runtime.Start(machine_->AddressedSpec("c1", 21)));
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_GT(machine_->CgroupsLeft("c1"), 0);

  EXPECT_TRUE(Await(runtime.Freeze(id)).ok());
  EXPECT_EQ(Await(runtime.List()).value().at(0).state, RuntimeState::kFrozen);
  EXPECT_TRUE(Await(runtime.Unfreeze(id)).ok());
  EXPECT_EQ(Await(runtime.List()).value().at(0).state, RuntimeState::kRunning);

  ExecRequest request;
  request.id = id;
  request.argv = {"sh", "-c", "echo x > /dev/null && cat /proc/self/cgroup"};
  auto stream = Await(runtime.Exec(request));
  ASSERT_TRUE(stream.ok()) << stream.status();
  const auto piece = Await((*stream)->Read());
  ASSERT_TRUE(piece.ok()) << piece.status();
  EXPECT_THAT(piece->bytes, testing::HasSubstr("0::/"));

  EXPECT_TRUE(Await(runtime.Delete(id)).ok());
  EXPECT_EQ(machine_->CgroupsLeft("c1"), 0);
}

TEST_F(LxcUnifiedTest, SaysWhichLimitsThisKernelCannotKeep) {
  RuntimeSpec spec = machine_->Spec("c1");
  spec.limits.cpu.count = 500;

  const auto started = Await(machine_->runtime().Start(spec));

  ASSERT_TRUE(started.ok()) << started.status();
  // Where v1 has the controllers; with all of them in v2 there is nothing to say.
  const bool has_memory =
      std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers") && started->degraded.size() <= 1;
  if (!has_memory) {
    EXPECT_THAT(started->degraded, testing::IsSupersetOf({"memory", "cpu", "pids"}));
  }
}

}  // namespace
}  // namespace bramble::node
