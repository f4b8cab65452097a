// SPDX-License-Identifier: Apache-2.0
#include "node/network/network_machine_testing.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/async_subprocess.h"
#include "base/check.h"
#include "base/file.h"
#include "base/run_on_loop.h"
#include "base/strings.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

constexpr uint32_t kNetwork = 0xac1f6200;  // 172.31.98.0/24

void Must(std::vector<std::string> argv) {
  const std::string shown = argv.size() > 3 ? StrCat(argv[0], " ", argv[1], " ", argv[2]) : argv[0];
  const auto result = RunCommand({.argv = std::move(argv)});
  if (!result.ok() || !result->exit.ok()) {
    fprintf(stderr, "%s: %s\n", shown.c_str(),
            result.ok() ? result->err.c_str() : result.status().ToString().c_str());
  }
  BRAMBLE_CHECK(result.ok() && result->exit.ok(), "a command that sets up the test works");
}

// Ours from the first machine on: links and rules go with the test.
void EnterOwnNetwork() {
  static bool entered = false;
  if (std::exchange(entered, true)) {
    return;
  }
  BRAMBLE_CHECK(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "the test runs as root");
  Must({"mount", "--make-rprivate", "/"});
  Must({"mount", "-t", "tmpfs", "tmpfs", "/run/netns"});
  Must({"ip", "link", "set", "lo", "up"});
}

uint64_t StartTicks(pid_t pid) {
  std::ifstream stat(StrCat("/proc/", pid, "/stat"));
  std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
  size_t at = text.rfind(')');
  for (int field = 2; field < 22; ++field) {
    at = text.find(' ', at + 1);
  }
  return strtoull(text.c_str() + at, nullptr, 10);
}

sockaddr_in EndpointOf(Ipv4 address, int port) {
  sockaddr_in endpoint = {};
  endpoint.sin_family = AF_INET;
  endpoint.sin_port = htons(static_cast<uint16_t>(port));
  endpoint.sin_addr.s_addr = htonl(address.bits());
  return endpoint;
}

asio::awaitable<void> SleepABit(std::chrono::milliseconds time) { co_await SleepFor(time); }

}  // namespace

const char* NetworkMachine::Unfit() { return geteuid() == 0 ? nullptr : "needs root"; }

Ipv4 NetworkMachine::Address(int number) { return Ipv4(kNetwork + static_cast<uint32_t>(number)); }

NetworkMachine::NetworkMachine() {
  std::error_code ignored;
  std::filesystem::create_directories("/run/netns", ignored);
  EnterOwnNetwork();
  Must({"ip", "link", "add", kBridge, "type", "bridge", "forward_delay", "0"});
  Must({"ip", "link", "set", kBridge, "address", "02:00:00:00:98:01"});
  Must({"ip", "address", "add", Address(1).str() + "/24", "dev", kBridge});
  Must({"ip", "link", "set", kBridge, "up"});
  AddNamespace("lan");
  Must({"ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "lan"});
  Must({"ip", "link", "set", "eth0", "master", kBridge, "up"});
  Must({"ip", "-n", "lan", "address", "add", Address(250).str() + "/24", "dev", "eth0"});
  Must({"ip", "-n", "lan", "link", "set", "eth0", "up"});
}

NetworkMachine::~NetworkMachine() {
  inits_.clear();
  for (const std::string& name : namespaces_) {
    (void)RunCommand({.argv = {"ip", "netns", "delete", name}});
  }
  for (const auto& [name, container] : containers_) {
    (void)RunCommand({.argv = {"ip", "link", "delete", HostInterfaceOf(container.definition.id)}});
  }
  (void)RunCommand({.argv = {"ip", "link", "delete", "eth0"}});
  (void)RunCommand({.argv = {"ip", "link", "delete", kBridge}});
  (void)RunCommand({.argv = {"nft", "flush", "ruleset"}});
}

void NetworkMachine::AddNamespace(const std::string& name) {
  Must({"ip", "netns", "add", name});
  Must({"ip", "-n", name, "link", "set", "lo", "up"});
  namespaces_.push_back(name);
}

NetworkContainer& NetworkMachine::AddContainer(const std::string& name, int number) {
  AddNamespace(name);
  NetworkContainer& container = containers_[name];
  api::NodeContainer& definition = container.definition;
  definition.id = ContainerId::Trusted(name);
  definition.name = ContainerName::Trusted(name);
  definition.project = ProjectName::Trusted("default");
  definition.address = Address(number).str() + "/24";
  definition.mac = StrCat("02:00:00:00:00:", number);
  definition.gateway = Address(250).str();
  definition.search_domain = "bramble.internal";
  ProcessSpec spec;
  spec.argv = {"ip", "netns", "exec", name, "sleep", "1000"};
  Process init = Process::Spawn(spec).value();
  container.init_pid = init.pid();
  container.init_start_ticks = StartTicks(init.pid());
  inits_.emplace(name, std::move(init));
  const std::string port = HostInterfaceOf(definition.id);
  Must({"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "address",
        definition.mac, "netns", name});
  Must({"ip", "-n", name, "address", "add", definition.address, "dev", "eth0"});
  Must({"ip", "-n", name, "link", "set", "eth0", "up"});
  return container;
}

void NetworkMachine::PlugIn(const std::string& name) {
  Must({"ip", "link", "set", HostInterfaceOf(containers_.at(name).definition.id), "master", kBridge,
        "up"});
}

std::vector<NetworkContainer> NetworkMachine::containers() const {
  std::vector<NetworkContainer> all;
  for (const auto& [name, container] : containers_) {
    all.push_back(container);
  }
  return all;
}

bool NetworkMachine::Run(const std::string& where, std::vector<std::string> argv,
                         std::string* out) {
  if (!where.empty()) {
    const std::vector<std::string> prefix = {"ip", "netns", "exec", where};
    argv.insert(argv.begin(), prefix.begin(), prefix.end());
  }
  // On the loop: what is under test answers meanwhile.
  Command command{.argv = std::move(argv)};
  const auto result = RunOnLoop(loop_, RunCommandAsync(std::move(command)));
  if (out != nullptr && result.ok()) {
    *out = result->out + result->err;
  }
  return result.ok() && result->exit.ok();
}

void NetworkMachine::In(const std::string& where, const std::function<void()>& work) {
  if (where.empty()) {
    work();
    return;
  }
  const Fd home = OpenFile("/proc/thread-self/ns/net", O_RDONLY).value();
  const Fd there = OpenFile("/run/netns/" + where, O_RDONLY).value();
  BRAMBLE_CHECK(setns(there.get(), CLONE_NEWNET) == 0, "the namespace is ours");
  work();
  BRAMBLE_CHECK(setns(home.get(), CLONE_NEWNET) == 0, "the namespace is ours");
}

Fd NetworkMachine::TcpListener(const std::string& where, int port) {
  Fd fd;
  In(where, [&] { fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in any = EndpointOf(Ipv4(), port);
  BRAMBLE_CHECK(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0 &&
                    ::listen(fd.get(), 8) == 0,
                "the port is free");
  return fd;
}

std::optional<Fd> NetworkMachine::TcpConnect(const std::string& where, Ipv4 to, int port,
                                             std::chrono::milliseconds limit) {
  Fd fd;
  In(where, [&] { fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); });
  const sockaddr_in server = EndpointOf(to, port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&server), sizeof(server)) != 0 &&
      errno != EINPROGRESS) {
    return std::nullopt;
  }
  pollfd poll = {.fd = fd.get(), .events = POLLOUT, .revents = 0};
  int error = 0;
  socklen_t size = sizeof(error);
  if (::poll(&poll, 1, static_cast<int>(limit.count())) != 1 ||
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    return std::nullopt;
  }
  return fd;
}

bool NetworkMachine::Ping(const std::string& where, Ipv4 to) {
  return Run(where, {"busybox", "ping", "-q", "-c", "1", "-W", "1", to.str()});
}

void NetworkMachine::Pass(std::chrono::milliseconds time) { RunOnLoop(loop_, SleepABit(time)); }

bool NetworkMachine::Until(std::function<bool()> condition, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    Pass(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace bramble::node
