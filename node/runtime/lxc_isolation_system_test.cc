// SPDX-License-Identifier: Apache-2.0

// What the real runtime does beyond the contract: what a container can and cannot do, what its
// limits are worth, and what is left when everything is killed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/run_on_loop.h"
#include "base/strings.h"
#include "base/subprocess.h"
#include "base/timer.h"
#include "node/runtime/lxc_machine_testing.h"
#include "node/runtime/runtime_spec_json.h"

namespace bramble::node {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class LxcIsolationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* reason = LxcMachine::Unfit(); reason != nullptr) {
      GTEST_SKIP() << reason;
    }
    machine_ = std::make_unique<LxcMachine>();
  }

  template <typename T>
  T Await(asio::awaitable<T> task) {
    return RunOnLoop(machine_->loop(), std::move(task));
  }
  LxcRuntime& runtime() { return machine_->runtime(); }
  RuntimeContainer Start(const RuntimeSpec& spec) {
    auto started = Await(runtime().Start(spec));
    EXPECT_TRUE(started.ok()) << started.status();
    return started.value_or(RuntimeContainer());
  }
  // What a shell in the container prints, and its exit code as the last line.
  std::string Shell(const std::string& id, const std::string& script,
                    const std::string& user = "") {
    ExecRequest request;
    request.id = ContainerId::Parse(id).value();
    request.argv = {"sh", "-c", script};
    request.user = user;
    return Collect(std::move(request));
  }
  std::string Collect(ExecRequest request) {
    auto stream = Await(runtime().Exec(std::move(request)));
    if (!stream.ok()) {
      return stream.status().ToString();
    }
    std::string out;
    while (true) {
      auto piece = Await((*stream)->Read());
      if (!piece.ok()) {
        return out + piece.status().ToString();
      }
      if (piece->kind == StreamPiece::Kind::kExit) {
        return StrCat(out, "exit ", piece->exit_code);
      }
      out += piece->bytes;
    }
  }
  absl::Status Stop(const std::string& id) {
    return Await(runtime().Stop(ContainerId::Parse(id).value(), std::chrono::milliseconds(0)));
  }
  absl::Status Delete(const std::string& id) {
    return Await(runtime().Delete(ContainerId::Parse(id).value()));
  }
  void Sleep(int ms) { Await(SleepFor(std::chrono::milliseconds(ms))); }
  // Waits, 10 s at most.
  bool Until(const std::function<bool()>& holds) {
    for (int i = 0; i < 200 && !holds(); ++i) {
      Sleep(50);
    }
    return holds();
  }

  std::unique_ptr<LxcMachine> machine_;
};

bool Alive(pid_t pid) {
  std::ifstream stat(StrCat("/proc/", pid, "/stat"));
  std::string line;
  return std::getline(stat, line) && line.find(") Z ") == std::string::npos;
}

TEST_F(LxcIsolationTest, RunsAsIdsOfTheHostThatAreNobodyElses) {
  const RuntimeSpec spec = machine_->Spec("c1");
  const RuntimeContainer started = Start(spec);

  std::ifstream status(StrCat("/proc/", started.init_pid, "/status"));
  const std::string text(std::istreambuf_iterator<char>(status), {});

  EXPECT_THAT(text, HasSubstr(StrCat("Uid:\t", spec.ids.first, "\t")));
  EXPECT_THAT(text, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(Shell("c1", "id -u; cat /proc/self/uid_map"), HasSubstr("65536"));
  EXPECT_EQ(Shell("c1", "stat -c %a / /etc /etc/hosts", "user"), "755\n755\n644\nexit 0");
}

TEST_F(LxcIsolationTest, SharesOneTreeBetweenContainersWithRangesOfTheirOwn) {
  const RuntimeSpec one = machine_->Spec("c1");
  const RuntimeSpec two = machine_->Spec("c2");
  Start(one);
  Start(two);

  EXPECT_EQ(Shell("c1", "echo one > /etc/mine; stat -c %u:%g /etc/mine /bin/busybox"),
            "0:0\n0:0\nexit 0");
  EXPECT_EQ(Shell("c2", "cat /etc/mine 2>/dev/null; stat -c %u /bin/busybox"), "0\nexit 0")
      << "each has its own writable layer";

  struct stat info = {};
  const std::string upper = machine_->state() + "/containers/c1/layer/upper/etc/mine";
  ASSERT_EQ(stat(upper.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, one.ids.first);
  ASSERT_EQ(stat((machine_->tree() + "/bin/busybox").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, one.image_ids.first) << "the tree is as it was";
}

TEST_F(LxcIsolationTest, LetsNoContainerDoWhatConcernsTheHost) {
  Start(machine_->Spec("c1"));

  EXPECT_THAT(Shell("c1", "mknod /tmp/sda b 8 0"), Not(HasSubstr("exit 0")));
  EXPECT_THAT(Shell("c1", "date -s 2020-01-01 2>&1"), HasSubstr("not permitted"));
  EXPECT_THAT(Shell("c1", "echo 1 > /proc/sys/kernel/sysrq"), Not(HasSubstr("exit 0")));
  EXPECT_THAT(Shell("c1", "echo b > /proc/sysrq-trigger"), Not(HasSubstr("exit 0")));
  EXPECT_THAT(Shell("c1", "unshare -U true"), Not(HasSubstr("exit 0")));
  EXPECT_THAT(Shell("c1", "dmesg"), Not(HasSubstr("exit 0")));
  EXPECT_THAT(Shell("c1", "insmod /bin/busybox"), Not(HasSubstr("exit 0")));
  EXPECT_EQ(Shell("c1", "echo ok > /dev/null; head -c 4 /dev/urandom | wc -c"), "4\nexit 0");
}

TEST_F(LxcIsolationTest, HidesWhatContainersWriteFromOtherUsersOfTheHost) {
  Start(machine_->Spec("c1"));
  ASSERT_EQ(Shell("c1", "cp /bin/busybox /root/su; chmod 4755 /root/su"), "exit 0");

  Command command;
  command.argv = {"setpriv", "--reuid=65534", "--clear-groups", "ls",
                  machine_->state() + "/containers/c1/layer/upper/root"};
  chmod(machine_->directory().c_str(), 0755);
  const auto result = RunCommand(command);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->exit.ok()) << result->out;
  EXPECT_THAT(result->err, HasSubstr("Permission denied"));
}

TEST_F(LxcIsolationTest, HandsNoDescriptorOfTheHostIn) {
  const Fd secret(
      open(machine_->directory().c_str(), O_RDONLY));  // inheritable, as of a careless caller
  const RuntimeContainer started = Start(machine_->Spec("c1"));

  EXPECT_EQ(Shell("c1", "ls -l /proc/1/fd | grep -v /dev | grep -c -- '->'"), "0\nexit 1");
  EXPECT_EQ(Shell("c1", "for f in /proc/self/fd/*; do echo ${f##*/}; done | sort -n | tail -1"),
            "3\nexit 0")
      << "3 is the shell's own, of the listing";
  for (const auto& entry : fs::directory_iterator(StrCat("/proc/", started.init_pid, "/fd"))) {
    EXPECT_THAT(fs::read_symlink(entry).string(), Not(HasSubstr(machine_->directory())));
  }
}

TEST_F(LxcIsolationTest, HasItsAddressNameAndResolverBeforeInitRuns) {
  Start(machine_->AddressedSpec("c1", 21));
  Start(machine_->AddressedSpec("c2", 22));

  EXPECT_THAT(Shell("c1", "ip -4 address show dev eth0; ip route"),
              testing::AllOf(HasSubstr("172.31.99.21/24"), HasSubstr("default via 172.31.99.1")));
  EXPECT_THAT(Shell("c1", "hostname; cat /etc/hostname /etc/resolv.conf /etc/network/interfaces"),
              testing::AllOf(HasSubstr("c1\nc1\n"), HasSubstr("nameserver 172.31.99.1"),
                             HasSubstr("address 172.31.99.21\n    netmask 255.255.255.0")));
  EXPECT_THAT(Shell("c1", "ping -c 1 -W 5 172.31.99.22"), HasSubstr("exit 0"));
}

TEST_F(LxcIsolationTest, AsksAnInitAgainThatDidNotListenYet) {
  const std::string init = machine_->tree() + "/sbin/init";
  struct stat owner = {};
  ASSERT_EQ(lstat(init.c_str(), &owner), 0);
  fs::remove(init);
  std::ofstream(init) << "#!/bin/sh\nsleep 1\ntrap 'echo asked > /root/asked; halt -f' PWR\n"
                         "while :; do sleep 1 & wait; done\n";
  ASSERT_EQ(chmod(init.c_str(), 0755), 0);
  ASSERT_EQ(chown(init.c_str(), owner.st_uid, owner.st_gid), 0);
  RuntimeSpec spec = machine_->Spec("c1");
  spec.halt_signal = "SIGPWR";
  Start(spec);

  ASSERT_TRUE(Await(runtime().Stop(spec.id, std::chrono::seconds(30))).ok());

  EXPECT_TRUE(fs::exists(machine_->state() + "/containers/c1/layer/upper/root/asked"));
}

TEST_F(LxcIsolationTest, HoldsMemoryAndProcessesToTheirLimits) {
  RuntimeSpec spec = machine_->Spec("c1");
  spec.limits.memory.count = 24 * kMiB;
  spec.limits.pids = 20;
  Start(spec);

  EXPECT_THAT(Shell("c1", "head -c 60000000 /dev/zero | tail -c 60000000 | wc -c"),
              Not(HasSubstr("60000000")))
      << "the kernel kills what takes more";
  EXPECT_THAT(
      Shell("c1", "for i in $(seq 40); do sleep 5 & done 2>/dev/null; ls -d /proc/[0-9]* | wc -l"),
      Not(HasSubstr("4")));

  spec.limits.memory.count = 128 * kMiB;
  spec.limits.pids = 200;
  ASSERT_TRUE(Await(runtime().Adjust(spec)).ok());
  EXPECT_THAT(Shell("c1", "head -c 60000000 /dev/zero | tail -c 60000000 | wc -c"),
              HasSubstr("60000000"))
      << "a limit that grew counts at once";
}

TEST_F(LxcIsolationTest, HoldsTheProcessorToItsLimit) {
  RuntimeSpec spec = machine_->Spec("c1");
  spec.limits.cpu.count = 200;  // a fifth of a core
  Start(spec);
  const auto used = [&] { return Await(runtime().Usage()).value().at(0).cpu_time; };

  const auto before = used();
  Shell("c1", "timeout 2 sh -c 'while :; do :; done'");
  const auto spent = used() - before;

  EXPECT_LT(spent, std::chrono::milliseconds(700)) << "2 s of a fifth are 400 ms";
}

TEST_F(LxcIsolationTest, LimitsTheDiskAndSaysHow) {
  RuntimeSpec spec = machine_->Spec("c1");
  spec.limits.disk.count = 32 * kMiB;

  const RuntimeContainer started = Start(spec);

  EXPECT_THAT(started.disk_mode, testing::AnyOf(kDiskModeLoopFile, kDiskModeProjectQuota));
  EXPECT_THAT(Shell("c1", "head -c 60000000 /dev/zero > /root/big"), Not(HasSubstr("exit 0")));
  EXPECT_EQ(Shell("c1", "rm /root/big; echo kept > /root/small; sync"), "exit 0");
  ASSERT_TRUE(Stop("c1").ok());
  spec.limits.disk.count = 128 * kMiB;
  Start(spec);
  EXPECT_EQ(Shell("c1", "cat /root/small; head -c 60000000 /dev/zero > /root/big"), "kept\nexit 0")
      << "a limit that grew counts at the next start";
  ASSERT_TRUE(Delete("c1").ok());
  EXPECT_TRUE(Until([&] {
    Command command;
    command.argv = {"losetup", "-a"};
    return RunCommand(command)->out.find(machine_->directory()) == std::string::npos;
  })) << "no loop device is left";
}

TEST_F(LxcIsolationTest, GivesACommandATerminalOfTheContainers) {
  Start(machine_->Spec("c1"));
  ExecRequest request;
  request.id = ContainerId::Parse("c1").value();
  request.argv = {"sh", "-c",
                  "tty; stty size; read x; echo got $x; for i in $(seq 100); do "
                  "[ \"$(stty size)\" = '50 120' ] && break; sleep 0.1; done; stty size; exit 3"};
  request.terminal = TerminalSize{.rows = 40, .columns = 100};
  auto stream = Await(runtime().Exec(std::move(request)));
  ASSERT_TRUE(stream.ok()) << stream.status();
  std::string out;
  const auto read_until = [&](const std::string& text) {
    while (out.find(text) == std::string::npos) {
      auto piece = Await((*stream)->Read());
      ASSERT_TRUE(piece.ok()) << piece.status() << out;
      out += piece->kind == StreamPiece::Kind::kExit ? StrCat("exit ", piece->exit_code)
                                                     : piece->bytes;
      ASSERT_TRUE(piece->kind != StreamPiece::Kind::kExit || out.find(text) != std::string::npos)
          << out;
    }
  };

  read_until("40 100");
  ASSERT_TRUE((*stream)->Resize({.rows = 50, .columns = 120}).ok());
  ASSERT_TRUE(Await((*stream)->Write("word\n")).ok());
  read_until("exit 3");

  EXPECT_THAT(out, HasSubstr("/dev/pts/"));
  EXPECT_THAT(out, HasSubstr("got word"));
  EXPECT_THAT(out, HasSubstr("50 120"));
}

TEST_F(LxcIsolationTest, RunsCommandsAsTheUserThatIsAskedFor) {
  Start(machine_->Spec("c1"));

  EXPECT_EQ(Shell("c1", "id -u; id -G; pwd; echo out > /dev/stdout", "user"),
            "1000\n1000 29\n/tmp\nout\nexit 0");
  EXPECT_EQ(Shell("c1", "id -u; id -g", "7:8"), "7\n8\nexit 0");
  EXPECT_THAT(Shell("c1", "true", "stranger"), HasSubstr("NOT_FOUND"));
}

TEST_F(LxcIsolationTest, KeepsWhatTheConsolePrintsAndLetsAPersonType) {
  Start(machine_->Spec("c1"));
  const ContainerId id = ContainerId::Parse("c1").value();
  const auto log = [&] {
    auto source = Await(runtime().Log(id, {}));
    std::string text;
    while (source.ok()) {
      const auto bytes = Await((*source)->Read());
      if (!bytes.ok() || bytes->empty()) {
        break;
      }
      text += *bytes;
    }
    return text;
  };
  ASSERT_TRUE(Until([&] { return log().find("Please press Enter") != std::string::npos; }))
      << log();
  EXPECT_THAT(log(), HasSubstr("booted"));

  auto console = Await(runtime().Console(id, TerminalSize()));
  ASSERT_TRUE(console.ok()) << console.status();
  ASSERT_TRUE(Await((*console)->Write("\necho $((6*7))$((6*7))\n")).ok());
  std::string out;
  while (out.find("4242") == std::string::npos) {
    auto piece = Await((*console)->Read());
    ASSERT_TRUE(piece.ok() && piece->kind != StreamPiece::Kind::kExit) << out;
    out += piece->bytes;
  }
  EXPECT_TRUE(Until([&] { return log().find("4242") != std::string::npos; }));

  auto second = Await(runtime().Console(id, TerminalSize()));
  EXPECT_TRUE(second.ok()) << "who asks last has it: " << second.status();
}

TEST_F(LxcIsolationTest, FollowsNoPathOutOfTheContainer) {
  Start(machine_->Spec("c1"));
  ASSERT_EQ(Shell("c1",
                  "ln -s /etc/shadow /root/a; ln -s ../../../../../etc/passwd /root/b;"
                  "ln -s /proc/self/root/etc/shadow /root/c; mkfifo /root/fifo;"
                  "ln -s /tmp /root/d"),
            "exit 0");
  const ContainerId id = ContainerId::Parse("c1").value();
  for (const char* path : {"/root/a", "/root/b", "/root/c", "/root/fifo", "/../../etc/passwd"}) {
    auto source = Await(runtime().PullFile({.id = id, .path = path}));
    absl::Status status = source.status();
    if (source.ok()) {
      status = Await((*source)->Read()).status();
    }
    EXPECT_FALSE(status.ok()) << path;
  }
  PushRequest push;
  push.id = id;
  push.path = "/root/d/file";
  push.size = Bytes{1};
  EXPECT_FALSE(Await(runtime().PushFile(push)).ok()) << "an absolute link leads out";
  push.kind = TransferKind::kTree;
  push.path = "/root/d";
  push.size.reset();
  EXPECT_FALSE(Await(runtime().PushFile(push)).ok()) << "nor does a directory go there";
}

TEST_F(LxcIsolationTest, RestartsFromInsideWithoutTheAgent) {
  const RuntimeContainer started = Start(machine_->Spec("c1"));

  Shell("c1", "reboot -f");

  ASSERT_TRUE(Until([&] {
    const auto list = Await(runtime().List());
    return list.ok() && list->size() == 1 && (*list)[0].init_pid != started.init_pid &&
           (*list)[0].init_pid > 0;
  }));
  EXPECT_THAT(Shell("c1", "echo back"), HasSubstr("back"));
}

TEST_F(LxcIsolationTest, LeavesNothingWhenMonitorAndInitAreKilled) {
  const RuntimeContainer started = Start(machine_->AddressedSpec("c1", 21));
  EXPECT_EQ(machine_->MountsLeft(), 0) << "the host sees no mount of a container, ever";

  ASSERT_GT(started.monitor_pid, 1);
  kill(started.monitor_pid, SIGKILL);

  EXPECT_TRUE(Until([&] { return !Alive(started.init_pid); })) << "init goes with its monitor";
  EXPECT_EQ(machine_->MountsLeft(), 0);
  const RuntimeContainer again = Start(machine_->AddressedSpec("c1", 21));
  EXPECT_NE(again.init_pid, started.init_pid);
  ASSERT_TRUE(Delete("c1").ok());
  EXPECT_EQ(machine_->CgroupsLeft("c1"), 0);
  EXPECT_FALSE(fs::exists(machine_->state() + "/containers/c1"));
  EXPECT_TRUE(fs::is_empty(machine_->run() + "/runtime"));
}

// bramble-runtime is killed after each of many delays: whatever it was doing, the next start or
// delete finds its way.
TEST_F(LxcIsolationTest, RecoversFromADeathAtAnyMoment) {
  const RuntimeSpec spec = machine_->AddressedSpec("c1", 21);
  const LxcRuntime::Options options = machine_->RuntimeOptions();
  // From the first moment of a start or a delete to a bit after its end, as long as they take here.
  using std::chrono::steady_clock;
  const auto begun = steady_clock::now();
  ASSERT_TRUE(Await(runtime().Start(spec)).ok());
  const auto running = steady_clock::now();
  ASSERT_TRUE(Delete("c1").ok());
  const auto deleted_after = steady_clock::now() - running;
  constexpr int kRounds = 24;
  for (int round = 0; round < kRounds; ++round) {
    const bool deleting = round % 3 == 2;
    ProcessSpec process;
    process.argv = {options.program.string(),
                    deleting ? "delete" : "start",
                    "--state",
                    options.state.string(),
                    "--run",
                    options.run.string(),
                    "--cgroup-root",
                    options.cgroup_root,
                    "--seccomp",
                    options.seccomp_profile.string()};
    process.in = Stdio::Pipe();
    auto victim = Process::Spawn(process);
    ASSERT_TRUE(victim.ok()) << victim.status();
    const std::string request = json::serialize(json::object{{"spec", ToJson(spec)}, {"id", "c1"}});
    ASSERT_EQ(write(victim->in().get(), request.data(), request.size()),
              static_cast<ssize_t>(request.size()));
    victim->in().Reset();
    // lint: allow(sleep) the moment of death is what is tried out
    std::this_thread::sleep_for((deleting ? deleted_after : running - begun) * round * 11 /
                                (10 * kRounds));
    victim->Signal(SIGKILL);
    ASSERT_TRUE(victim->Wait().ok());

    ASSERT_EQ(machine_->MountsLeft(), 0) << "round " << round;
    if (round % 2 == 0) {
      auto started = Await(runtime().Start(spec));
      ASSERT_TRUE(started.ok()) << "round " << round << ": " << started.status();
      EXPECT_THAT(Shell("c1", "echo alive"), HasSubstr("alive")) << "round " << round;
    } else {
      const absl::Status deleted = Delete("c1");
      ASSERT_TRUE(deleted.ok()) << "round " << round << ": " << deleted;
      EXPECT_EQ(machine_->CgroupsLeft("c1"), 0) << "round " << round;
    }
  }
  ASSERT_TRUE(Delete("c1").ok());
  EXPECT_TRUE(fs::is_empty(machine_->state() + "/containers"));
}

TEST_F(LxcIsolationTest, SaysWhatIsMissing) {
  RuntimeSpec spec = machine_->Spec("c1");
  spec.image_tree = machine_->directory() + "/nowhere";
  EXPECT_EQ(Await(runtime().Start(spec)).status().code(), absl::StatusCode::kFailedPrecondition);

  spec = machine_->AddressedSpec("c2", 22);
  spec.nic->bridge = "nobridge";
  const auto started = Await(runtime().Start(spec));
  EXPECT_FALSE(started.ok());
  EXPECT_THAT(started.status().ToString(), HasSubstr("c2"));
  EXPECT_EQ(machine_->CgroupsLeft("c2"), 0) << "a start that failed leaves no group";
}

TEST_F(LxcIsolationTest, DeletesATreeThatIsDeeperThanAnyPath) {
  Start(machine_->Spec("c1"));
  ASSERT_EQ(Shell("c1",
                  "cd /root; i=0; while [ $i -lt 400 ]; do mkdir dddddddd; cd -P dddddddd;"
                  "i=$((i+1)); done"),
            "exit 0");

  const absl::Status deleted = Delete("c1");

  EXPECT_TRUE(deleted.ok()) << deleted;
}

}  // namespace
}  // namespace bramble::node
