// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's network as far as a test of what stands above it sees.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/network/cluster_network.h"
#include "node/network/packet_filter.h"
#include "node/network/port_setup.h"

namespace bramble::node {

class FakePacketFilter : public PacketFilter {
 public:
  std::string rules;  // in force
  int applied = 0;
  absl::Status next;  // what the next Apply answers, once

  // As `nft flush ruleset` by somebody else.
  void Flush() {
    rules.clear();
    if (listener_) {
      listener_();
    }
  }

  asio::awaitable<absl::Status> Apply(std::string text) override {
    ++applied;
    if (absl::Status status = std::exchange(next, absl::OkStatus()); !status.ok()) {
      co_return status;
    }
    rules = std::move(text);
    co_return absl::OkStatus();
  }
  void OnTouched(std::function<void()> listener) override { listener_ = std::move(listener); }

 private:
  std::function<void()> listener_;
};

class FakePortSetup : public PortSetup {
 public:
  std::vector<PortRate> rates;
  std::map<pid_t, std::set<Ipv4>> inside;  // floating addresses, by init

  asio::awaitable<absl::Status> SetRates(std::vector<PortRate> wanted) override {
    rates = std::move(wanted);
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::StatusOr<std::vector<Ipv4>>> SetAddresses(
      InsideAddresses addresses) override {
    std::set<Ipv4>& there = inside[addresses.init_pid];
    std::vector<Ipv4> added;
    for (const Ipv4 address : addresses.floating) {
      if (!there.contains(address)) {
        added.push_back(address);
      }
    }
    there = {addresses.floating.begin(), addresses.floating.end()};
    co_return added;
  }
};

class FakeNameService : public NameService {
 public:
  std::vector<DhcpPort> hosts;
  Ipv4 server;
  std::set<Ipv4> clients;
  api::Names names;

  void SetHosts(std::vector<DhcpPort> now, Ipv4 by) override {
    hosts = std::move(now);
    server = by;
  }
  void SetClients(std::set<Ipv4> now) override { clients = std::move(now); }
  void SetNames(const api::Names& now) override { names = now; }
};

}  // namespace bramble::node
