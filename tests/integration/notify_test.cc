// SPDX-License-Identifier: Apache-2.0
// What the units' Type=notify and WatchdogSec= wait for is really sent by the programs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/fd.h"

namespace bramble {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLimit{30'000};

// A service manager's end of sd_notify(3), and the program that it started.
class NotifyTest : public ::testing::Test {
 protected:
  NotifyTest() {
    std::string pattern = (fs::temp_directory_path() / "bramble-notify-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    manager_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    Socket().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(manager_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~NotifyTest() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    fs::remove_all(base_);
  }

  std::string Socket() const { return (base_ / "notify").string(); }

  void Start(std::vector<std::string> argv, std::string_view watchdog_us) {
    const char* bin = std::getenv("BRAMBLE_BIN");
    argv[0] = std::string(bin == nullptr ? "build/debug/bin" : bin) + "/" + argv[0];
    std::vector<std::string> environment = {"NOTIFY_SOCKET=" + Socket(), "PATH=/usr/sbin:/usr/bin",
                                            "WATCHDOG_USEC=" + std::string(watchdog_us)};
    const std::string log = (base_ / "log").string();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT, 0600);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> all;
      for (std::string& text : texts) {
        all.push_back(text.data());
      }
      all.push_back(nullptr);
      return all;
    };
    ASSERT_EQ(::posix_spawn(&pid_, argv[0].c_str(), &actions, nullptr, pointers(argv).data(),
                            pointers(environment).data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
  }

  // Whether the line comes before the limit.
  bool Hears(const std::string& wanted) {
    const auto until = steady_clock::now() + kLimit;
    while (steady_clock::now() < until) {
      pollfd said = {manager_.get(), POLLIN, 0};
      if (::poll(&said, 1, 100) != 1) {
        continue;
      }
      char text[1024] = {};
      if (::recv(manager_.get(), text, sizeof(text) - 1, 0) <= 0) {
        return false;
      }
      if (("\n" + std::string(text) + "\n").find("\n" + wanted + "\n") != std::string::npos) {
        return true;
      }
    }
    std::ifstream log(base_ / "log");
    ADD_FAILURE() << "not heard: " << wanted << "; the program's log: "
                  << std::string(std::istreambuf_iterator<char>(log), {});
    return false;
  }

  void ExpectAWholeLife() {
    ASSERT_TRUE(Hears("READY=1"));
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(Hears("WATCHDOG=1"));
    }
    ASSERT_EQ(::kill(pid_, SIGTERM), 0);
    ASSERT_TRUE(Hears("STOPPING=1"));
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

  fs::path base_;
  Fd manager_;
  pid_t pid_ = -1;
};

TEST_F(NotifyTest, TheControllerIsReadyAliveAndStopping) {
  std::ofstream(base_ / "controller.toml")
      << "state_dir = \"" << (base_ / "state").string() << "\"\nrun_dir = \""
      << (base_ / "run").string() << "\"\n[people]\nlisten = [\"127.0.0.1\"]\nport = 0\n"
      << "[nodes]\nlisten = [\"127.0.0.1\"]\nport = 0\n";
  Start({"bramble-controller", "--config", (base_ / "controller.toml").string()}, "400000");
  ExpectAWholeLife();
}

TEST_F(NotifyTest, TheAgentIsReadyAliveAndStopping) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  std::ofstream(base_ / "node.toml")
      << "name = \"notify\"\nstate_dir = \"" << (base_ / "state").string() << "\"\nrun_dir = \""
      << (base_ / "run").string() << "\"\ncontrollers = [\"127.0.0.1:9\"]\n"
      << "[network]\nmanage = false\n";
  Start({"bramble-node", "--config", (base_ / "node.toml").string()}, "400000");
  ExpectAWholeLife();
}

}  // namespace
}  // namespace bramble
