// SPDX-License-Identifier: Apache-2.0
#include "node/health/out_of_memory.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

namespace bramble::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class OutOfMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/bramble-memory-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    root_ = directory;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Put(const std::string& path, std::string_view text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << text;
  }
  std::set<ContainerId> Found() {
    return ReadOutOfMemory({.proc = root_ / "proc", .sys = root_}, "bramble");
  }

  std::filesystem::path root_;
};

TEST_F(OutOfMemoryTest, NamesContainersOfWhichAProcessWasEnded) {
  EXPECT_THAT(Found(), IsEmpty()) << "no groups at all";

  Put("fs/cgroup/bramble/c1/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n");
  Put("fs/cgroup/bramble/c2/memory.events", "low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\n");
  Put("fs/cgroup/bramble/c3.monitor/memory.events", "oom_kill 1\n");
  Put("fs/cgroup/bramble/cgroup.procs", "");
  EXPECT_THAT(Found(), ElementsAre(ContainerId::Trusted("c1")));
}

TEST_F(OutOfMemoryTest, ReadsTheOldGroupsToo) {
  Put("fs/cgroup/memory/bramble/c1/memory.oom_control",
      "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  EXPECT_THAT(Found(), ElementsAre(ContainerId::Trusted("c1")));
}

}  // namespace
}  // namespace bramble::node
