// SPDX-License-Identifier: Apache-2.0
#include "node/network/cluster_network.h"

#include <algorithm>

#include "base/status.h"
#include "node/network/nft_rules.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPrepareLimit{20};
constexpr seconds kFilterRetry{2};
// A flood of foreign changes costs no more than this often a re-application; also the bound of how
// long the tables are away: a transaction, and this pause.
constexpr milliseconds kTouchedPause{100};
// What a container's own network software does to addresses while it boots is looked after then.
constexpr seconds kInsideAgain[] = {seconds(2), seconds(8), seconds(20)};
constexpr int kAnnouncements = 3;  // some switches and caches miss the first
constexpr seconds kBetweenAnnouncements{1};
constexpr std::chrono::minutes kRivalForgotten{1};
constexpr size_t kMaxRivals = 64;

}  // namespace

ClusterNetwork::ClusterNetwork(Parts parts)
    : parts_(std::move(parts)),
      log_(parts_.log),
      filter_dirty_(parts_.loop),
      filter_done_(parts_.loop),
      ports_dirty_(parts_.loop),
      changed_(parts_.loop),
      scope_(parts_.loop, log_) {
  parts_.filter.OnTouched([this] {
    touched_ = true;
    filter_dirty_.Set();
  });
  filter_dirty_.Set();
  Spawn(scope_, "packet_filter", KeepFilter());
  Spawn(scope_, "ports", KeepPorts());
}

ClusterNetwork::~ClusterNetwork() { parts_.filter.OnTouched(nullptr); }

bool ClusterNetwork::SetNetwork(api::NodeNetwork network) {
  if (network_.has_value() && network.version <= network_->version) {
    return false;
  }
  network_ = std::move(network);
  Replan();
  return true;
}

bool ClusterNetwork::SetNames(api::Names names) {
  if (names_.has_value() && names.version <= names_->version) {
    return false;
  }
  names_ = std::move(names);
  parts_.names.SetNames(*names_);
  changed_.Set();
  return true;
}

void ClusterNetwork::SetOwnAddress(Ipv4 address) {
  if (own_ != address) {
    own_ = address;
    Replan();
  }
}

void ClusterNetwork::SetContainers(std::vector<NetworkContainer> containers) {
  for (const NetworkContainer& container : containers) {
    starting_.erase(container.definition.id);
  }
  if (containers_ == containers && starting_.empty()) {
    return;
  }
  containers_ = std::move(containers);
  Replan();
}

asio::awaitable<absl::Status> ClusterNetwork::Prepare(api::NodeContainer container) {
  const absl::StatusOr<std::optional<ContainerLink>> link = LinkOf(container);
  if (!link.ok()) {
    co_return link.status();
  }
  if (!link->has_value()) {
    co_return absl::OkStatus();
  }
  const bool known =
      std::any_of(containers_.begin(), containers_.end(), [&](const NetworkContainer& one) {
        const absl::StatusOr<std::optional<ContainerLink>> other = LinkOf(one.definition);
        return one.definition.id == container.id && other.ok() && *other == *link;
      });
  if (!known) {
    const ContainerId id = container.id;
    starting_[id] = std::move(container);
    Replan();
  }
  // Any rules of ours close a port that they do not know, so the start need not wait for the new
  // ones.
  if (!in_force_.empty() || !filter_status_.ok()) {
    co_return in_force_.empty() ? filter_status_ : absl::OkStatus();
  }
  auto settle = Settle();
  co_return co_await WithDeadline(std::move(settle), kPrepareLimit, "firewall");
}

asio::awaitable<absl::Status> ClusterNetwork::Settle() {
  const uint64_t wanted = wanted_;
  while (applied_ < wanted) {
    filter_done_.Reset();
    co_await filter_done_.Wait();
  }
  co_return filter_status_;
}

void ClusterNetwork::Replan() {
  std::vector<NetworkContainer> all = containers_;
  for (const auto& [id, container] : starting_) {
    std::erase_if(all, [&id = id](const NetworkContainer& one) { return one.definition.id == id; });
    all.push_back({.definition = container});
  }
  plan_ = PlanNetwork(all, network_, own_);
  for (const std::string& error : plan_.errors) {
    log_.Warn("container_network", {{"error", error}});
  }
  std::vector<DhcpPort> hosts;
  std::set<Ipv4> clients;
  for (size_t i = 0; i < plan_.hosts.size(); ++i) {
    hosts.push_back({.interface = plan_.policy.ports[i].interface, .host = plan_.hosts[i]});
    clients.insert(plan_.policy.ports[i].addresses.begin(), plan_.policy.ports[i].addresses.end());
  }
  // What is not ours any more, nobody else can have taken from us.
  std::erase_if(rivals_, [&](const auto& rival) {
    return std::none_of(
        plan_.policy.ports.begin(), plan_.policy.ports.end(), [&](const ContainerPort& port) {
          return std::find(port.addresses.begin(), port.addresses.end(), rival.first) !=
                 port.addresses.end();
        });
  });
  parts_.names.SetHosts(std::move(hosts), own_);
  parts_.names.SetClients(std::move(clients));
  ++wanted_;
  filter_dirty_.Set();
  ports_dirty_.Set();
  changed_.Set();
}

// ---- the packet filter

asio::awaitable<void> ClusterNetwork::KeepFilter() {
  while (true) {
    co_await filter_dirty_.Wait();
    filter_dirty_.Reset();
    const uint64_t wanted = wanted_;
    const api::Version version = network_.has_value() ? network_->version : api::Version();
    absl::StatusOr<std::string> rules = CompileNftRules(plan_.policy);
    absl::Status status = rules.status();
    const bool touched = std::exchange(touched_, false);
    if (status.ok() && (touched || *rules != in_force_)) {
      if (touched) {
        log_.Warn("firewall_restored", {{"reason", "somebody else changed its tables"}});
      }
      std::string copy = *rules;
      status = co_await parts_.filter.Apply(std::move(copy));
      if (status.ok()) {
        in_force_ = *std::move(rules);
      }
    }
    if (!status.ok()) {
      if (filter_status_.message() != status.message()) {
        log_.Error("firewall_failed", {{"error", status}});
      }
      touched_ = touched_ || touched;
    } else {
      network_applied_ = version;
    }
    filter_status_ = status;
    applied_ = std::max(applied_, wanted);
    filter_done_.Set();
    changed_.Set();
    if (!status.ok()) {
      // What was before stays in force; new containers wait.
      co_await SleepFor(kFilterRetry);
      filter_dirty_.Set();
    } else if (touched) {
      co_await SleepFor(kTouchedPause);
    }
  }
}

// ---- ports and what is inside

void ClusterNetwork::OnPortChange() { ports_dirty_.Set(); }

asio::awaitable<void> ClusterNetwork::KeepPorts() {
  size_t again = std::size(kInsideAgain);
  while (true) {
    bool asked = true;
    if (again < std::size(kInsideAgain)) {
      const seconds wait = kInsideAgain[again];
      asked = co_await ports_dirty_.WaitFor(wait);
    } else {
      co_await ports_dirty_.Wait();
    }
    again = asked ? 0 : again + 1;
    if (!asked) {
      inside_.clear();
    }
    ports_dirty_.Reset();
    std::vector<PortRate> rates = plan_.rates;
    const absl::Status status = co_await parts_.ports.SetRates(std::move(rates));
    if (!status.ok() && ports_status_.ok()) {
      log_.Error("bandwidth_failed", {{"error", status}});
    }
    if (status.ok() != ports_status_.ok()) {
      changed_.Set();
    }
    ports_status_ = status;
    co_await SetInside();
  }
}

asio::awaitable<void> ClusterNetwork::SetInside() {
  const std::vector<NetworkContainer> containers = containers_;
  for (const NetworkContainer& container : containers) {
    const absl::StatusOr<std::optional<ContainerLink>> link = LinkOf(container.definition);
    if (container.init_pid == 0 || !link.ok() || !link->has_value()) {
      inside_.erase(container.definition.id);
      continue;
    }
    // Most have none and never had: nothing is looked up for them.
    const bool had = inside_.contains(container.definition.id);
    if ((*link)->floating.empty() && !had) {
      continue;
    }
    InsideAddresses inside{.init_pid = container.init_pid,
                           .init_start_ticks = container.init_start_ticks,
                           .address = (*link)->address,
                           .floating = (*link)->floating};
    absl::StatusOr<std::vector<Ipv4>> added = co_await parts_.ports.SetAddresses(std::move(inside));
    if (!added.ok()) {
      log_.Warn("floating_addresses_failed",
                {{"container", container.definition.name}, {"error", added.status()}});
      continue;
    }
    if ((*link)->floating.empty()) {
      inside_.erase(container.definition.id);
    } else {
      inside_[container.definition.id] = container.init_start_ticks;
    }
    if (!added->empty()) {
      Spawn(scope_, "announce", Announce((*link)->mac, *std::move(added)));
    }
  }
}

// ---- announcing

asio::awaitable<void> ClusterNetwork::Announce(MacAddress mac, std::vector<Ipv4> addresses) {
  // Not before it is let through: who is turned away at first tries again a second later.
  (void)co_await Settle();
  for (int i = 0; i < kAnnouncements; ++i) {
    if (i > 0) {
      co_await SleepFor(kBetweenAnnouncements);
    }
    for (const Ipv4 address : addresses) {
      // It may have gone to another node meanwhile.
      const bool ours = std::any_of(
          plan_.policy.ports.begin(), plan_.policy.ports.end(), [&](const ContainerPort& port) {
            return port.mac == mac && std::find(port.addresses.begin(), port.addresses.end(),
                                                address) != port.addresses.end();
          });
      if (ours && parts_.announce) {
        parts_.announce(mac, address);
      }
    }
  }
}

void ClusterNetwork::AnnounceAll() {
  for (const NetworkContainer& container : containers_) {
    const absl::StatusOr<std::optional<ContainerLink>> link = LinkOf(container.definition);
    if (container.init_pid != 0 && link.ok() && link->has_value()) {
      std::vector<Ipv4> all = (*link)->floating;
      all.push_back((*link)->address.address);
      Spawn(scope_, "announce", Announce((*link)->mac, std::move(all)));
    }
  }
}

void ClusterNetwork::OnArp(const ArpFrame& frame) {
  if (frame.sender.empty()) {
    return;
  }
  for (const ContainerPort& port : plan_.policy.ports) {
    if (frame.sender_mac == port.mac || std::find(port.addresses.begin(), port.addresses.end(),
                                                  frame.sender) == port.addresses.end()) {
      continue;
    }
    if (!rivals_.contains(frame.sender) && rivals_.size() < kMaxRivals) {
      log_.Warn("address_conflict", {{"address", frame.sender}, {"mac", frame.sender_mac}});
      changed_.Set();
    }
    if (rivals_.size() < kMaxRivals || rivals_.contains(frame.sender)) {
      rivals_[frame.sender] = {frame.sender_mac, parts_.clock.Boot()};
    }
  }
}

std::vector<Ipv4> ClusterNetwork::addresses() const {
  std::vector<Ipv4> all;
  for (const ContainerPort& port : plan_.policy.ports) {
    all.insert(all.end(), port.addresses.begin(), port.addresses.end());
  }
  return all;
}

void ClusterNetwork::FillReport(api::NetworkReport& report) const {
  const BootTime now = parts_.clock.Boot();
  for (const auto& [address, rival] : rivals_) {
    if (now - rival.second >= kRivalForgotten) {
      continue;
    }
    api::AddressConflict conflict{.address = address, .mac = rival.first.str()};
    for (const NetworkContainer& container : containers_) {
      const absl::StatusOr<std::optional<ContainerLink>> link = LinkOf(container.definition);
      if (link.ok() && link->has_value() &&
          ((*link)->address.address == address ||
           std::find((*link)->floating.begin(), (*link)->floating.end(), address) !=
               (*link)->floating.end())) {
        conflict.container = container.definition.id;
      }
    }
    report.conflicts.push_back(std::move(conflict));
  }
  if (in_force_.empty() && absl::IsFailedPrecondition(filter_status_)) {
    report.missing_features.push_back("br_netfilter");
  }
  report.network_version = network_applied_;
  report.names_version = names_.has_value() ? names_->version : api::Version();
  for (const absl::Status& status : {filter_status_, ports_status_}) {
    if (!status.ok()) {
      report.errors.push_back(std::string(MessageOf(status)));
    }
  }
  report.errors.insert(report.errors.end(), plan_.errors.begin(), plan_.errors.end());
}

}  // namespace bramble::node
