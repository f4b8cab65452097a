// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/container_record.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>

namespace bramble::node {
namespace {

namespace fs = std::filesystem;

class LockContainerTest : public ::testing::Test {
 protected:
  LockContainerTest() {
    std::string pattern = (fs::temp_directory_path() / "bramble-lock-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    paths_.run = base_;
    paths_.state = base_;
  }
  ~LockContainerTest() override { fs::remove_all(base_); }

  // How many descriptors of this process are on `file`, by device and inode.
  static int Openings(const struct stat& file) {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      struct stat opened {};
      if (::stat(entry.path().c_str(), &opened) == 0 && opened.st_dev == file.st_dev &&
          opened.st_ino == file.st_ino) {
        ++count;
      }
    }
    return count;
  }

  fs::path base_;
  RuntimePaths paths_;
  const ContainerId id_ = ContainerId::Trusted("c1");
};

// A delete takes the lock's file away while another verb waits on it.
TEST_F(LockContainerTest, WhoWaitedOnADeletedLockHoldsTheOneThatTheNextWillTake) {
  absl::StatusOr<Fd> deleting = LockContainer(paths_, id_);
  ASSERT_TRUE(deleting.ok()) << deleting.status();
  struct stat first {};
  ASSERT_EQ(::fstat(deleting->get(), &first), 0);
  auto waiting = std::async(std::launch::async, [this] { return LockContainer(paths_, id_); });
  for (int i = 0; i < 2000 && Openings(first) < 2; ++i) {
    // lint: allow(sleep) the kernel does not tell who waits for a lock
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(Openings(first), 2) << "it waits on the same file";

  ASSERT_EQ(::unlink(paths_.Lock(id_).c_str()), 0);
  deleting->Reset();
  const absl::StatusOr<Fd> held = waiting.get();
  ASSERT_TRUE(held.ok()) << held.status();

  const Fd next(::open(paths_.Lock(id_).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(next.valid());
  EXPECT_NE(::flock(next.get(), LOCK_EX | LOCK_NB), 0) << "two verbs at once";
  EXPECT_EQ(errno, EWOULDBLOCK);
}

}  // namespace
}  // namespace bramble::node
