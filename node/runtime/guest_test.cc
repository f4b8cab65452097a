// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/beneath.h"
#include "node/runtime/guest_files.h"
#include "node/runtime/guest_user.h"

namespace bramble::node {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "broken line\n"
    "user:x:1000:1001::/home/user:/bin/sh\n"
    "far:x:70000:70000::/:/bin/sh\n";
constexpr char kGroup[] = "root:x:0:\nuser:x:1001:\naudio:x:29:other,user\nbad:x:999999:user\n";

TEST(GuestUserTest, FindsAUserByNameWithTheirGroups) {
  const auto user = ResolveGuestUser("user", kPasswd, kGroup);

  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 1000u);
  EXPECT_EQ(user->gid, 1001u);
  EXPECT_EQ(user->home, "/home/user");
  EXPECT_THAT(user->groups, ElementsAre(29u));
}

TEST(GuestUserTest, TakesNumbersWithoutAnEntry) {
  EXPECT_EQ(ResolveGuestUser("12:34", kPasswd, kGroup)->gid, 34u);
  EXPECT_EQ(ResolveGuestUser("4321", "", "")->uid, 4321u);
  EXPECT_EQ(ResolveGuestUser("", "", "")->home, "/root");
}

TEST(GuestUserTest, RefusesUnknownNamesAndIdsBeyondTheRange) {
  EXPECT_EQ(ResolveGuestUser("nobody", kPasswd, kGroup).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ResolveGuestUser("far", kPasswd, kGroup).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ResolveGuestUser("user:x", kPasswd, kGroup).ok());
}

TEST(GuestFilesTest, KnowsSignalsByNameAndNumber) {
  EXPECT_EQ(ParseSignal("SIGPWR").value(), SIGPWR);
  EXPECT_EQ(ParseSignal("TERM").value(), SIGTERM);
  EXPECT_EQ(ParseSignal("SIGRTMIN+3").value(), SIGRTMIN + 3);
  EXPECT_EQ(ParseSignal("15").value(), 15);
  EXPECT_FALSE(ParseSignal("SIGNOT").ok());
  EXPECT_FALSE(ParseSignal("-1").ok());
}

class GuestTreeTest : public testing::Test {
 protected:
  GuestTreeTest() {
    char name[] = "/tmp/bramble-guest-XXXXXX";
    path_ = mkdtemp(name);
    root_ = OpenDirectory(path_).value();
    spec_.id = ContainerId::Parse("c1").value();
    spec_.hostname = "web";
    RuntimeNic nic;
    nic.address = Ipv4Interface::Parse("172.16.0.64/24").value();
    nic.gateway = Ipv4::Parse("172.16.0.1").value();
    nic.dns = {nic.gateway};
    spec_.nic = nic;
  }
  ~GuestTreeTest() override { fs::remove_all(path_); }

  // The system call is missing under qemu-user 7.2.
  bool HasOpenat2() {
    return OpenBeneath(root_.get(), ".", O_PATH).status().code() !=
           absl::StatusCode::kUnimplemented;
  }
  std::string Read(const std::string& path) {
    std::ifstream file(path_ + "/" + path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  absl::Status WriteAllFiles() {
    return WriteGuestFiles(root_.get(), GuestFilesFor(spec_), /*all=*/true);
  }

  std::string path_;
  Fd root_;
  RuntimeSpec spec_;
};

TEST_F(GuestTreeTest, WritesOnlyForTheSoftwareThatIsThere) {
  if (!HasOpenat2()) {
    GTEST_SKIP() << "needs openat2 (Linux 5.6)";
  }
  fs::create_directories(path_ + "/etc/network");

  ASSERT_TRUE(WriteAllFiles().ok());

  EXPECT_EQ(Read("etc/hostname"), "web\n");
  EXPECT_EQ(Read("etc/resolv.conf"), "nameserver 172.16.0.1\n");
  EXPECT_THAT(Read("etc/network/interfaces"),
              AllOf(HasSubstr("address 172.16.0.64\n    netmask 255.255.255.0\n"),
                    HasSubstr("up ip address add 127.0.0.1/8 dev lo || true\n")));
  EXPECT_FALSE(fs::exists(path_ + "/etc/systemd"));
  EXPECT_FALSE(fs::exists(path_ + "/etc/netplan"));
}

TEST_F(GuestTreeTest, ReplacesALinkAndDoesNotFollowIt) {
  if (!HasOpenat2()) {
    GTEST_SKIP() << "needs openat2 (Linux 5.6)";
  }
  fs::create_directories(path_ + "/etc");
  std::ofstream(path_ + "/outside") << "untouched";
  fs::create_symlink(path_ + "/outside", path_ + "/etc/resolv.conf");

  ASSERT_TRUE(WriteAllFiles().ok());

  EXPECT_EQ(Read("outside"), "untouched");
  EXPECT_FALSE(fs::is_symlink(path_ + "/etc/resolv.conf"));
}

TEST_F(GuestTreeTest, RefusesADirectoryThatLeadsOut) {
  if (!HasOpenat2()) {
    GTEST_SKIP() << "needs openat2 (Linux 5.6)";
  }
  fs::create_directory_symlink("/tmp", path_ + "/etc");

  EXPECT_FALSE(WriteAllFiles().ok());
  EXPECT_FALSE(fs::exists("/tmp/hostname"));
}

TEST_F(GuestTreeTest, WritesAgainOnlyWhatAPowerCutEmptied) {
  if (!HasOpenat2()) {
    GTEST_SKIP() << "needs openat2 (Linux 5.6)";
  }
  fs::create_directories(path_ + "/etc");
  std::ofstream(path_ + "/etc/hostname");
  std::ofstream(path_ + "/etc/hosts") << "a person's own\n";

  ASSERT_TRUE(WriteGuestFiles(root_.get(), GuestFilesFor(spec_), /*all=*/false).ok());

  EXPECT_EQ(Read("etc/hostname"), "web\n");
  EXPECT_EQ(Read("etc/hosts"), "a person's own\n");
  EXPECT_FALSE(fs::exists(path_ + "/etc/resolv.conf"));
}

TEST_F(GuestTreeTest, AsksEachInitToHaltInItsOwnWay) {
  if (!HasOpenat2()) {
    GTEST_SKIP() << "needs openat2 (Linux 5.6)";
  }
  EXPECT_FALSE(InspectInit(root_.get()).ok()) << "no init at all";
  fs::create_directories(path_ + "/sbin");
  EXPECT_EQ(InspectInit(root_.get()).status().code(), absl::StatusCode::kFailedPrecondition);

  fs::create_symlink("/lib/systemd/systemd", path_ + "/sbin/init");
  EXPECT_EQ(InspectInit(root_.get())->halt_signal, SIGRTMIN + 3);

  fs::remove(path_ + "/sbin/init");
  fs::create_symlink("../bin/busybox", path_ + "/sbin/init");
  EXPECT_EQ(InspectInit(root_.get())->halt_signal, SIGUSR2);

  fs::remove(path_ + "/sbin/init");
  std::ofstream(path_ + "/sbin/init") << "#!";
  EXPECT_EQ(InspectInit(root_.get())->halt_signal, SIGPWR);
}

}  // namespace
}  // namespace bramble::node
