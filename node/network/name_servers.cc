// SPDX-License-Identifier: Apache-2.0
#include "node/network/name_servers.h"

#include "base/status.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{300};
constexpr int kTriesBeforeWarning = 5;
constexpr std::chrono::milliseconds kRetry{5'000};

}  // namespace

NameServers::NameServers(asio::io_context& loop, std::string bridge, Random& random, Logger log)
    : loop_(loop), bridge_(std::move(bridge)), random_(random), log_(log), scope_(loop, log) {
  Spawn(scope_, "name_servers", Open());
}

NameServers::~NameServers() = default;

asio::awaitable<void> NameServers::Open() {
  int tries = 0;
  while (dhcp_ == nullptr || dns_ == nullptr) {
    absl::Status failed;
    if (dhcp_ == nullptr) {
      absl::StatusOr<std::unique_ptr<DhcpServer>> opened = DhcpServer::Open(loop_, bridge_, log_);
      failed = opened.status();
      dhcp_ = opened.ok() ? *std::move(opened) : nullptr;
    }
    if (dns_ == nullptr) {
      const DnsServer::Limits limits;
      absl::StatusOr<std::unique_ptr<DnsServer>> opened =
          DnsServer::Open(loop_, bridge_, kDnsPort, random_, limits, log_);
      failed = opened.ok() ? failed : opened.status();
      dns_ = opened.ok() ? *std::move(opened) : nullptr;
    }
    Fill();
    if (failed.ok()) {
      break;
    }
    // The bridge is made while we start.
    if (++tries == kTriesBeforeWarning) {
      log_.Warn("names_not_served", {{"error", failed}});
    }
    co_await SleepFor(tries < kTriesBeforeWarning ? kFirstRetry : kRetry);
  }
}

void NameServers::Fill() {
  if (dhcp_ != nullptr) {
    dhcp_->SetHosts(hosts_, server_);
  }
  if (dns_ == nullptr) {
    return;
  }
  dns_->SetAddress(server_);
  dns_->SetClients(clients_);
  if (names_.has_value()) {
    std::vector<std::pair<Ipv4, uint16_t>> forwarders;
    for (const Ipv4 forwarder : names_->forwarders) {
      forwarders.emplace_back(forwarder, kDnsPort);
    }
    dns_->SetForwarders(std::move(forwarders));
    dns_->SetZone(ZoneOf(*names_));
    names_.reset();  // the zone holds it
  }
}

void NameServers::SetHosts(std::vector<DhcpPort> hosts, Ipv4 server) {
  hosts_ = std::move(hosts);
  server_ = server;
  if (dhcp_ != nullptr) {
    dhcp_->SetHosts(hosts_, server_);
  }
  if (dns_ != nullptr) {
    dns_->SetAddress(server_);
  }
}

void NameServers::SetClients(std::set<Ipv4> clients) {
  clients_ = std::move(clients);
  if (dns_ != nullptr) {
    dns_->SetClients(clients_);
  }
}

void NameServers::SetNames(const api::Names& names) {
  names_ = names;
  Fill();
}

}  // namespace bramble::node
