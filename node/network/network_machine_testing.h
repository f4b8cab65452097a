// SPDX-License-Identifier: Apache-2.0
#pragma once

// A node's network for tests of the real thing: a network namespace of the test's own with a bridge
// and a port to a LAN, and "containers" that are network namespaces with a veth as LXC makes it.
// Needs root; all of it goes with the process.

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/fd.h"
#include "base/subprocess.h"
#include "node/network/container_network.h"

namespace bramble::node {

class NetworkMachine {
 public:
  static const char* Unfit();

  NetworkMachine();
  ~NetworkMachine();

  asio::io_context& loop() { return loop_; }

  // 172.31.98.N: the node is 1, the LAN's host 250.
  static Ipv4 Address(int number);
  static constexpr char kBridge[] = "br0";

  // A container and its port, down until PlugIn; the definition is what the agent would tell.
  NetworkContainer& AddContainer(const std::string& name, int number);
  void PlugIn(const std::string& name);
  NetworkContainer& container(const std::string& name) { return containers_.at(name); }
  std::vector<NetworkContainer> containers() const;

  // Runs a command in the network namespace of a container, of "lan", or here (""); false: it
  // failed.
  bool Run(const std::string& where, std::vector<std::string> argv, std::string* out = nullptr);
  // A socket that belongs to a namespace.
  Fd TcpListener(const std::string& where, int port);
  // Does not wait longer than `limit`.
  std::optional<Fd> TcpConnect(const std::string& where, Ipv4 to, int port,
                               std::chrono::milliseconds limit);
  bool Ping(const std::string& where, Ipv4 to);

  void Pass(std::chrono::milliseconds time);
  // Runs the loop until `condition`, at most `limit`.
  bool Until(std::function<bool()> condition, std::chrono::milliseconds limit);

 private:
  void In(const std::string& where, const std::function<void()>& work);
  void AddNamespace(const std::string& name);

  asio::io_context loop_;
  std::map<std::string, NetworkContainer> containers_;
  std::map<std::string, Process> inits_;
  std::vector<std::string> namespaces_;
};

}  // namespace bramble::node
