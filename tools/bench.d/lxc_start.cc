// SPDX-License-Identifier: Apache-2.0
// The floor of starting a container: liblxc's start() to RUNNING on a root file system that is
// there already, unprivileged, with a port on a bridge, and nothing else.  Prints
// "start_ms VALUE" per round.
//
// usage: bench-lxc-start ROOTFS LXCPATH BRIDGE FIRST_ID ROUNDS

#include <lxc/lxccontainer.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

// Ends the program when the item is refused.
void Set(lxc_container* container, const char* key, const std::string& value) {
  if (!container->set_config_item(container, key, value.c_str())) {
    std::fprintf(stderr, "bench-lxc-start: %s = %s was refused\n", key, value.c_str());
    std::exit(1);
  }
}

void Configure(lxc_container* container, char** argv, int round) {
  const std::string ids = std::string(" 0 ") + argv[4] + " 65536";
  Set(container, "lxc.uts.name", "floor");
  Set(container, "lxc.log.file", std::string(argv[2]) + "/floor.log");
  Set(container, "lxc.log.level", "warn");
  Set(container, "lxc.rootfs.path", std::string("dir:") + argv[1]);
  Set(container, "lxc.idmap", "u" + ids);
  Set(container, "lxc.idmap", "g" + ids);
  Set(container, "lxc.mount.auto", "proc:mixed sys:mixed cgroup:mixed");
  Set(container, "lxc.pty.max", "1024");
  Set(container, "lxc.tty.max", "1");
  Set(container, "lxc.cgroup.dir.container",
      "floor/payload-" + std::to_string(getpid()) + "-" + std::to_string(round));
  Set(container, "lxc.cgroup.dir.monitor",
      "floor/monitor-" + std::to_string(getpid()) + "-" + std::to_string(round));
  Set(container, "lxc.cgroup.dir.monitor.pivot", "floor");
  Set(container, "lxc.net.0.type", "veth");
  Set(container, "lxc.net.0.link", argv[3]);
  Set(container, "lxc.net.0.flags", "up");
  Set(container, "lxc.net.0.name", "eth0");
  Set(container, "lxc.net.0.ipv4.address", "172.16.0.199/24");
  Set(container, "lxc.net.0.ipv4.gateway", "172.16.0.1");
}

double Round(char** argv, int round) {
  lxc_container* container = lxc_container_new("floor", argv[2]);
  if (container == nullptr) {
    std::fprintf(stderr, "bench-lxc-start: no container in %s\n", argv[2]);
    std::exit(1);
  }
  container->clear_config(container);
  Configure(container, argv, round);
  const auto start = std::chrono::steady_clock::now();
  container->want_daemonize(container, true);
  if (!container->start(container, 0, nullptr) || !container->wait(container, "RUNNING", 10)) {
    std::fprintf(stderr, "bench-lxc-start: start failed: %s\n",
                 container->error_string != nullptr ? container->error_string : "no reason given");
    std::exit(1);
  }
  const auto taken = std::chrono::steady_clock::now() - start;
  container->stop(container);
  container->wait(container, "STOPPED", 10);
  lxc_container_put(container);
  return std::chrono::duration<double, std::milli>(taken).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench-lxc-start ROOTFS LXCPATH BRIDGE FIRST_ID ROUNDS\n");
    return 2;
  }
  for (int i = std::atoi(argv[5]); i > 0; --i) {
    std::printf("start_ms %.3f\n", Round(argv, i));
  }
}
