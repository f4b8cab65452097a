// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/lxc_machine_testing.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "base/run_on_loop.h"
#include "base/strings.h"
#include "base/subprocess.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;

constexpr char kBusybox[] = "/bin/busybox";
constexpr uint32_t kImageFirst = 0x10000000;
constexpr uint32_t kFirst = 0x11000000;
constexpr char kBridge[] = "brtest";

bool unified_cgroups = false;

constexpr char kInittab[] =
    "::sysinit:/etc/rcS\n"
    "::respawn:/bin/sleep 100000\n"
    "console::askfirst:-/bin/sh\n";

void Run(std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  const auto result = RunCommand(command);
  BRAMBLE_CHECK(result.ok() && result->exit.ok(), "a command that sets up the test works");
}

// Ours from the first machine on: the bridge and every veth go with the test.  liblxc looks for
// bridges in /sys, which shows the network namespace that mounted it.
void EnterOwnNetwork(bool unified) {
  static bool entered = false;
  if (std::exchange(entered, true)) {
    return;
  }
  BRAMBLE_CHECK(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "the test runs as root");
  Run({"mount", "--make-rprivate", "/"});
  if (unified) {
    Run({"mount", "-t", "sysfs", "sysfs", "/sys"});
    Run({"mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"});
    return;
  }
  char name[] = "/tmp/bramble-cgroup-XXXXXX";
  BRAMBLE_CHECK(mkdtemp(name) != nullptr, "/tmp can be written");
  Run({"mount", "--rbind", "/sys/fs/cgroup", name});
  Run({"mount", "-t", "sysfs", "sysfs", "/sys"});
  Run({"mount", "--move", name, "/sys/fs/cgroup"});
  rmdir(name);
}

void Write(const std::string& path, const std::string& text, int mode = 0644) {
  std::ofstream(path) << text;
  chmod(path.c_str(), static_cast<mode_t>(mode));
}

// Below `root`, which each run has of its own: others run containers of the same name.
int CountDirectories(const std::string& root, const std::string& name) {
  int count = 0;
  std::error_code ignored;
  for (auto entry = fs::recursive_directory_iterator("/sys/fs/cgroup", ignored);
       entry != fs::recursive_directory_iterator(); entry.increment(ignored)) {
    const std::string found = entry->path().filename();
    const bool ours = entry->path().string().find(StrCat("/", root, "/")) != std::string::npos;
    count += ours && (found == name || found == name + ".monitor") ? 1 : 0;
    if (entry.depth() > 3 || !entry->is_directory(ignored)) {
      entry.disable_recursion_pending();
    }
  }
  return count;
}

}  // namespace

const char* LxcMachine::Unfit() {
  if (geteuid() != 0) {
    return "needs root";
  }
  if (::access(kBusybox, X_OK) != 0) {
    return "needs busybox-static";
  }
  return getenv("BRAMBLE_BIN") == nullptr ? "needs BRAMBLE_BIN (run by ctest)" : nullptr;
}

void LxcMachine::UseUnifiedCgroups() { unified_cgroups = true; }

LxcMachine::LxcMachine() {
  umask(022);
  EnterOwnNetwork(unified_cgroups);
  char name[] = "/tmp/bramble-lxc-XXXXXX";
  BRAMBLE_CHECK(mkdtemp(name) != nullptr, "/tmp can be written");
  directory_ = name;
  cgroup_root_ = StrCat("bramble-test-", getpid());
  MakeImage();
  MakeBridge();
  umask(077);  // as the service has it
  RestartAgent();
}

LxcMachine::~LxcMachine() {
  auto containers = RunOnLoop(loop_, runtime_->List());
  if (containers.ok()) {
    for (const RuntimeContainer& container : *containers) {
      const absl::Status deleted = RunOnLoop(loop_, runtime_->Delete(container.spec.id));
      if (!deleted.ok()) {
        fprintf(stderr, "cleaning up: %s\n", deleted.ToString().c_str());
      }
    }
  }
  runtime_.reset();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup", ignored)) {
    const std::string root = hierarchy.path() / cgroup_root_;
    rmdir((root + "/lxc.pivot").c_str());
    rmdir(root.c_str());
  }
  rmdir(("/sys/fs/cgroup/" + cgroup_root_ + "/lxc.pivot").c_str());
  rmdir(("/sys/fs/cgroup/" + cgroup_root_).c_str());
}

void LxcMachine::MakeImage() {
  const std::string root = tree();
  for (const char* path : {"bin", "sbin", "etc/network", "usr/bin", "usr/sbin", "dev", "proc",
                           "sys", "tmp", "run", "root"}) {
    fs::create_directories(root + "/" + path);
  }
  fs::copy_file(kBusybox, root + "/bin/busybox");
  Run({kBusybox, "chroot", root, "/bin/busybox", "--install", "-s", "/bin"});
  fs::create_symlink("/bin/busybox", root + "/sbin/init");
  Write(root + "/etc/inittab", kInittab);
  Write(root + "/etc/rcS", "#!/bin/sh\necho booted\n", 0755);
  Write(root + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n");
  Write(root + "/etc/group", "root:x:0:\nuser:x:1000:\naudio:x:29:user\n");
  chmod((root + "/tmp").c_str(), 01777);
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    BRAMBLE_CHECK(lchown(entry.path().c_str(), kImageFirst, kImageFirst) == 0, "as root");
  }
  BRAMBLE_CHECK(chown(root.c_str(), kImageFirst, kImageFirst) == 0, "as root");
}

void LxcMachine::MakeBridge() {
  Command exists;
  exists.argv = {"ip", "link", "show", "dev", kBridge};
  const auto found = RunCommand(exists);
  if (!found.ok() || !found->exit.ok()) {
    Run({"ip", "link", "add", kBridge, "type", "bridge"});
    Run({"ip", "address", "add", "172.31.99.1/24", "dev", kBridge});
    Run({"ip", "link", "set", kBridge, "up"});
    Run({"ip", "link", "set", "lo", "up"});
  }
}

std::string LxcMachine::program() const {
  return StrCat(getenv("BRAMBLE_BIN"), "/bramble-runtime");
}

LxcRuntime::Options LxcMachine::RuntimeOptions() const {
  LxcRuntime::Options options;
  options.program = program();
  options.state = state();
  options.run = run();
  options.cgroup_root = cgroup_root_;
  // Tests run in the checkout.
  options.seccomp_profile = fs::absolute("config/lxc/container.seccomp");
  return options;
}

void LxcMachine::RestartAgent() {
  runtime_.reset();
  runtime_ = std::make_unique<LxcRuntime>(loop_, RuntimeOptions(), Logger());
}

RuntimeSpec LxcMachine::Spec(const std::string& id) {
  const auto next = static_cast<uint32_t>(first_ids_.size());
  const uint32_t first = first_ids_.emplace(id, kFirst + next * IdRange::kCount).first->second;
  RuntimeSpec spec;
  spec.id = ContainerId::Parse(id).value();
  spec.name = ContainerName::Parse(id).value();
  spec.project = ProjectName::Parse("default").value();
  spec.hostname = id;
  spec.image_digest = std::string(64, 'b');
  spec.image_tree = tree();
  spec.image_ids.first = kImageFirst;
  spec.ids.first = first;
  spec.limits.memory.count = 64 * kMiB;
  return spec;
}

RuntimeSpec LxcMachine::AddressedSpec(const std::string& id, int host_number) {
  RuntimeSpec spec = Spec(id);
  RuntimeNic nic;
  nic.bridge = kBridge;
  nic.host_interface = StrCat("vt", host_number);
  nic.mac = StrCat("02:42:ac:1f:63:", host_number);
  nic.address = Ipv4Interface::Parse(StrCat("172.31.99.", host_number, "/24")).value();
  nic.gateway = Ipv4::Parse("172.31.99.1").value();
  nic.dns = {nic.gateway};
  nic.search_domain = "bramble.internal";
  spec.nic = nic;
  return spec;
}

int LxcMachine::MountsLeft() const {
  std::ifstream mounts("/proc/self/mountinfo");
  int count = 0;
  for (std::string line; std::getline(mounts, line);) {
    count +=
        line.find(directory_) != std::string::npos || line.find("/lxc/rootfs") != std::string::npos
            ? 1
            : 0;
  }
  return count;
}

int LxcMachine::CgroupsLeft(const std::string& id) const {
  return CountDirectories(cgroup_root_, id);
}

}  // namespace bramble::node
