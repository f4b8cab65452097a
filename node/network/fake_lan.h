// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment with stations that answer ARP, and the kernel's settings of the node beside it.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "node/network/arp_channel.h"
#include "node/network/network_setup.h"

namespace bramble::node {

class FakeLan {
 public:
  struct Sent {
    std::string interface;
    ArpFrame frame;
  };

  FakeLan(asio::io_context& loop, MacAddress own) : loop_(loop), own_(own) {}

  std::map<Ipv4, MacAddress> stations;
  // Else what comes from another MAC than the node's is not passed on.
  bool takes_foreign_macs = true;
  std::vector<Sent> sent;

  absl::StatusOr<std::unique_ptr<ArpChannel>> Open(const std::string& interface) {
    return std::unique_ptr<ArpChannel>(std::make_unique<Channel>(*this, interface));
  }

  // A frame of somebody on the segment, or of a container.
  void Deliver(const ArpFrame& frame) {
    // A listener may close its channel.
    const std::vector<Channel*> channels = channels_;
    for (Channel* channel : channels) {
      if (channel->listener) {
        channel->listener(frame);
      }
    }
  }

 private:
  struct Channel : ArpChannel {
    Channel(FakeLan& on, std::string name) : lan(on), interface(std::move(name)) {
      lan.channels_.push_back(this);
    }
    ~Channel() override { std::erase(lan.channels_, this); }
    absl::Status Send(const ArpFrame& frame) override {
      lan.sent.push_back({interface, frame});
      lan.Answer(frame);
      return absl::OkStatus();
    }
    void OnFrame(std::function<void(const ArpFrame&)> to) override { listener = std::move(to); }
    MacAddress mac() const override { return lan.own_; }

    FakeLan& lan;
    const std::string interface;
    std::function<void(const ArpFrame&)> listener;
  };

  void Answer(const ArpFrame& frame) {
    const auto station = stations.find(frame.target);
    if (frame.operation != ArpOperation::kRequest || station == stations.end() ||
        (!takes_foreign_macs && frame.source != own_)) {
      return;
    }
    const ArpFrame reply{.operation = ArpOperation::kReply,
                         .source = station->second,
                         .destination = frame.source,
                         .sender_mac = station->second,
                         .sender = station->first,
                         .target_mac = frame.sender_mac,
                         .target = frame.sender};
    asio::post(loop_, [this, reply] { Deliver(reply); });
  }

  asio::io_context& loop_;
  const MacAddress own_;
  std::vector<Channel*> channels_;
};

class FakeNetworkSetup : public NetworkSetup {
 public:
  std::vector<BridgeSetting> applied;
  absl::Status failure;  // what the next `failures` calls of Apply answer
  int failures = 0;
  NetworkFacts facts;
  bool wireless = false;

  asio::awaitable<absl::Status> Apply(BridgeSetting setting) override {
    if (failures > 0) {
      --failures;
      co_return failure;
    }
    const absl::StatusOr<std::vector<std::string>> plan = PlanBridge(setting, facts);
    if (!plan.ok()) {
      co_return plan.status();
    }
    Carry(setting);
    applied.push_back(std::move(setting));
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::StatusOr<NetworkFacts>> Look() override { co_return facts; }
  bool IsWireless(const std::string&) override { return wireless; }

  void AddPort(const std::string& name) { facts.links.push_back({.name = name, .up = true}); }
  LinkFacts& Link(const std::string& name) {
    for (LinkFacts& link : facts.links) {
      if (link.name == name) {
        return link;
      }
    }
    return facts.links.emplace_back(LinkFacts{.name = name, .up = true});
  }

 private:
  void Carry(const BridgeSetting& setting) {
    std::vector<Ipv4Interface> addresses = Link(setting.bridge).addresses;
    if (!setting.port.empty()) {
      LinkFacts& port = Link(setting.port);
      addresses.insert(addresses.end(), port.addresses.begin(), port.addresses.end());
      port.addresses.clear();
      port.master = setting.routed ? "" : setting.bridge;
    }
    if (setting.address.has_value()) {
      std::erase(addresses, *setting.address);
      addresses.push_back(*setting.address);
    }
    for (const Ipv4Interface& dropped : setting.dropped) {
      std::erase(addresses, dropped);
    }
    Link(setting.bridge).addresses.clear();
    Link(setting.routed ? setting.port : setting.bridge).addresses = std::move(addresses);
  }
};

}  // namespace bramble::node
