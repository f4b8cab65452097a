// SPDX-License-Identifier: Apache-2.0
// The real bramble-lease-holder and real processes.
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/fd.h"
#include "node/lease/lease_connection.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A child that ends by itself on nothing: `ignore` makes it deaf to the halt signal too.
class Sleeper {
 public:
  explicit Sleeper(bool ignore = false) {
    // Before the fork: it is not to be told anything before it is deaf.
    const auto before = std::signal(SIGPWR, ignore ? SIG_IGN : SIG_DFL);
    pid_ = fork();
    if (pid_ == 0) {
      pause();
      _exit(0);
    }
    std::signal(SIGPWR, before);
    pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  }
  ~Sleeper() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  int pidfd() const { return pidfd_.get(); }
  pid_t pid() const { return pid_; }

  // The signal that ended it, within `limit`; 0: it lives.
  int EndedBy(milliseconds limit) {
    pollfd fd = {pidfd_.get(), POLLIN, 0};
    if (poll(&fd, 1, static_cast<int>(limit.count())) != 1) {
      return 0;
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
};

class LeaseHolderTest : public testing::Test {
 protected:
  void SetUp() override {
    if (getuid() != 0) {
      GTEST_SKIP() << "needs root: only root may speak to the lease holder";
    }
    // In memory, as /run is: what the holder notes must not outlast a boot.
    char directory[] = "/dev/shm/bramble-lease-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    Start();
  }
  void TearDown() override {
    Stop();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    const char* bin = getenv("BRAMBLE_BIN");
    const std::string program =
        std::string(bin == nullptr ? "build/debug/bin" : bin) + "/bramble-lease-holder";
    std::string socket = Socket().string();
    char* argv[] = {const_cast<char*>(program.c_str()), const_cast<char*>("--socket"),
                    socket.data(), nullptr};
    ASSERT_EQ(posix_spawn(&holder_, program.c_str(), nullptr, nullptr, argv, environ), 0);
  }
  // Gives the status that it ended with.
  int Stop(int signal = SIGKILL) {
    int status = -1;
    if (holder_ > 0) {
      kill(holder_, signal);
      waitpid(holder_, &status, 0);
      holder_ = -1;
    }
    return status;
  }

  // As a cgroup's directory that `sleeper` is in.
  std::string GroupOf(const Sleeper& sleeper) const {
    const std::filesystem::path group = directory_ / std::to_string(sleeper.pid());
    std::filesystem::create_directory(group);
    std::ofstream(group / "cgroup.procs") << sleeper.pid() << "\n";
    return group.string();
  }

  std::filesystem::path Socket() const { return directory_ / "lease.sock"; }

  LeaseConnection Connect() {
    for (int i = 0; i < 500; ++i) {
      if (absl::StatusOr<LeaseConnection> connection = LeaseConnection::Connect(Socket());
          connection.ok()) {
        return *std::move(connection);
      }
      // lint: allow(sleep) nothing tells that it listens, other than trying
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "the lease holder does not listen";
    abort();
  }

  static LeaseMessage Ask(LeaseConnection& connection) {
    EXPECT_TRUE(connection.Hello().ok());
    pollfd fd = {connection.native(), POLLIN, 0};
    EXPECT_EQ(poll(&fd, 1, 5000), 1);
    const auto state = connection.Receive();
    EXPECT_TRUE(state.ok() && state->has_value());
    return **state;
  }

  std::filesystem::path directory_;
  pid_t holder_ = -1;
  SystemClock clock_;
};

TEST_F(LeaseHolderTest, HaltsThenKillsWhenTheAgentIsGone) {
  Sleeper obedient;
  Sleeper deaf(/*ignore=*/true);
  {
    LeaseConnection agent = Connect();
    ASSERT_TRUE(agent.Renew(clock_.Boot() + milliseconds(300), milliseconds(300)).ok());
    ASSERT_TRUE(agent.Hold("obedient", obedient.pidfd(), SIGPWR).ok());
    ASSERT_TRUE(agent.Hold("deaf", deaf.pidfd(), SIGPWR).ok());
    EXPECT_EQ(Ask(agent).count, 2u);
  }  // the agent dies
  EXPECT_EQ(obedient.EndedBy(seconds(10)), SIGPWR);
  EXPECT_EQ(deaf.EndedBy(seconds(10)), SIGKILL);
}

TEST_F(LeaseHolderTest, TellsARestartedAgentItsDeadlineAndForgetsWhatIsNotNamed) {
  Sleeper kept;
  Sleeper released;
  const BootTime deadline = clock_.Boot() + seconds(300);
  LeaseConnection before = Connect();
  ASSERT_TRUE(before.Renew(deadline, seconds(1)).ok());
  ASSERT_TRUE(before.Hold("kept", kept.pidfd(), SIGPWR).ok());
  ASSERT_TRUE(before.Hold("released", released.pidfd(), SIGPWR).ok());
  EXPECT_EQ(Ask(before).count, 2u);

  LeaseConnection after = Connect();
  EXPECT_EQ(Ask(after).deadline_ns, deadline.time_since_epoch().count());
  ASSERT_TRUE(after.Begin().ok());
  ASSERT_TRUE(after.Hold("kept", kept.pidfd(), SIGPWR).ok());
  ASSERT_TRUE(after.End().ok());
  EXPECT_EQ(Ask(after).count, 1u);
  EXPECT_EQ(kept.EndedBy(milliseconds(0)), 0);
}

TEST_F(LeaseHolderTest, AHolderThatDiedIsNoticedAndAnotherTakesAll) {
  Sleeper sleeper;
  LeaseConnection before = Connect();
  Ask(before);
  Stop();
  pollfd fd = {before.native(), POLLIN, 0};
  ASSERT_EQ(poll(&fd, 1, 5000), 1);
  EXPECT_FALSE(before.Receive().ok());

  Start();
  LeaseConnection after = Connect();
  EXPECT_EQ(Ask(after).deadline_ns, 0);
  ASSERT_TRUE(after.Renew(clock_.Boot() + milliseconds(100), milliseconds(5000)).ok());
  ASSERT_TRUE(after.Hold("sleeper", sleeper.pidfd(), SIGPWR).ok());
  EXPECT_EQ(sleeper.EndedBy(seconds(10)), SIGPWR);
}

TEST_F(LeaseHolderTest, StartedAnewWithNoAgentItStillEndsWhatItHeld) {
  for (const int how : {SIGKILL, SIGTERM}) {
    Sleeper sleeper;
    const BootTime deadline = clock_.Boot() + seconds(2);
    {
      LeaseConnection agent = Connect();
      ASSERT_TRUE(agent.Renew(deadline, milliseconds(100)).ok());
      ASSERT_TRUE(agent.Hold("sleeper", sleeper.pidfd(), SIGPWR, GroupOf(sleeper)).ok());
      EXPECT_EQ(Ask(agent).count, 1u);
    }  // the agent dies, and then the holder
    Stop(how);
    Start();

    EXPECT_EQ(sleeper.EndedBy(seconds(20)), SIGKILL);
    EXPECT_GE(clock_.Boot(), deadline) << "and not before";
  }
}

TEST_F(LeaseHolderTest, StartedAnewItGivesTheAgentTheLeaseAndTakesAllOver) {
  Sleeper sleeper;
  const BootTime deadline = clock_.Boot() + seconds(300);
  {
    LeaseConnection before = Connect();
    ASSERT_TRUE(before.Renew(deadline, seconds(1)).ok());
    ASSERT_TRUE(before.Hold("sleeper", sleeper.pidfd(), SIGPWR, GroupOf(sleeper)).ok());
    EXPECT_EQ(Ask(before).count, 1u);
  }
  Stop();
  Start();

  LeaseConnection after = Connect();
  const LeaseMessage state = Ask(after);
  EXPECT_EQ(state.deadline_ns, deadline.time_since_epoch().count());
  EXPECT_EQ(state.count, 1u);
  ASSERT_TRUE(after.Begin().ok());
  ASSERT_TRUE(after.End().ok());
  EXPECT_EQ(Ask(after).count, 0u) << "what the agent does not name is not held";
  Stop();
  Start();
  LeaseConnection again = Connect();
  EXPECT_EQ(Ask(again).count, 0u);
  EXPECT_EQ(sleeper.EndedBy(milliseconds(0)), 0);
}

TEST_F(LeaseHolderTest, AStateThatCannotBeReadIsSaidAndDoneWithout) {
  Stop();
  std::ofstream(directory_ / "lease.state") << "bramble-lease-holder 1\nnot a number\n";
  Start();
  LeaseConnection agent = Connect();
  EXPECT_EQ(Ask(agent).count, 0u);
}

TEST_F(LeaseHolderTest, WhenTheNodeIsTakenOutOfServiceAllEndsNowAndThenItEndsItself) {
  Sleeper obedient;
  Sleeper deaf(/*ignore=*/true);
  LeaseConnection agent = Connect();
  ASSERT_TRUE(agent.Renew(clock_.Boot() + seconds(300), milliseconds(300)).ok());
  ASSERT_TRUE(agent.Hold("obedient", obedient.pidfd(), SIGPWR).ok());
  ASSERT_TRUE(agent.Hold("deaf", deaf.pidfd(), SIGPWR).ok());
  ASSERT_EQ(Ask(agent).count, 2u);
  ASSERT_EQ(obedient.EndedBy(milliseconds(0)), 0);

  const Fd holder(static_cast<int>(syscall(SYS_pidfd_open, holder_, 0)));
  ASSERT_EQ(kill(holder_, SIGUSR1), 0);
  EXPECT_EQ(obedient.EndedBy(seconds(10)), SIGPWR);
  // Nor does an agent that still lives keep it from that.
  (void)agent.Renew(clock_.Boot() + seconds(600), seconds(300));
  EXPECT_EQ(deaf.EndedBy(seconds(10)), SIGKILL);
  pollfd ended = {holder.get(), POLLIN, 0};
  ASSERT_EQ(poll(&ended, 1, 10'000), 1);
  int status = 0;
  waitpid(holder_, &status, 0);
  holder_ = -1;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(LeaseHolderTest, TellsTheServiceManagerThatItIsReadyAndThatItStops) {
  Stop();
  const std::string path = (directory_ / "notify").string();
  const Fd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const auto said = [&manager] {
    pollfd message = {manager.get(), POLLIN, 0};
    char text[64] = {};
    return poll(&message, 1, 10'000) == 1 && recv(manager.get(), text, sizeof(text) - 1, 0) > 0
               ? std::string(text)
               : "nothing";
  };
  for (const int stop : {SIGTERM, SIGUSR1}) {
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    Start();
    unsetenv("NOTIFY_SOCKET");
    EXPECT_EQ(said(), "READY=1");
    EXPECT_TRUE(LeaseConnection::Connect(Socket()).ok()) << "it is ready only once it listens";
    const int status = Stop(stop);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_EQ(said(), "STOPPING=1");
  }
}

TEST_F(LeaseHolderTest, CostsLessThanAMebibyte) {
  LeaseConnection agent = Connect();
  Ask(agent);
  std::ifstream rollup("/proc/" + std::to_string(holder_) + "/smaps_rollup");
  std::string line;
  long pss_kib = -1;
  while (std::getline(rollup, line)) {
    if (line.rfind("Pss:", 0) == 0) {
      pss_kib = std::stol(line.substr(4));
    }
  }
  RecordProperty("pss_kib", static_cast<int>(pss_kib));
  EXPECT_GT(pss_kib, 0);
#if !defined(BRAMBLE_SANITIZED)
  EXPECT_LT(pss_kib, 1024);
#endif
}

}  // namespace
}  // namespace bramble::node
