// SPDX-License-Identifier: Apache-2.0
#include "controller/network_feed.h"

#include <algorithm>

#include "base/status.h"
#include "controller/network_view.h"

namespace bramble::controller {

NetworkFeed::Revisions NetworkFeed::Stamp() const {
  const State& state = ledger_.state();
  const NetworkSettings& settings = state.cluster().network;
  return {.containers = state.containers().revision(),
          .nodes = state.nodes().revision(),
          .groups = state.security_groups().revision(),
          .floating = state.floating_ips().revision(),
          .forwards = state.port_forwards().revision(),
          .reservations = state.reservations().revision(),
          .settings = settings.generation,
          .images = state.images().revision(),
          .epoch = state.cluster().epoch,
          .old_prefix = std::chrono::milliseconds(settings.old_prefix_until_ms) >
                        ledger_.clock().Wall().time_since_epoch()};
}

bool NetworkFeed::Due() const {
  return Waiting() && (!told_.has_value() || ledger_.clock().Boot() >= last_ + kTogether);
}

void NetworkFeed::WorkOut() {
  const State& state = ledger_.state();
  filtered_.clear();
  on_node_.clear();
  for (const auto& [id, entry] : state.containers().entries()) {
    on_node_[entry.record.api.status.node_id].push_back(filtered_.size());
    filtered_.push_back(FilteredOf(entry.record));
  }
  std::vector<const api::SecurityGroup*> groups;
  for (const auto& [id, entry] : state.security_groups().entries()) {
    groups.push_back(&entry.record.api);
  }
  compiler_.emplace(groups, filtered_);
  node_addresses_.clear();
  for (const auto& [id, entry] : state.nodes().entries()) {
    if (const Ipv4 address = AddressOf(entry.record.api.address); !address.empty()) {
      node_addresses_.push_back(address);
    }
  }
  std::sort(node_addresses_.begin(), node_addresses_.end());
  outputs_ = OutputsOf(state, fleet_.plan(), ledger_.clock().Wall());
  api::Names names{.domain = kDomain,
                   .prefix = fleet_.plan().prefix(),
                   .forwarders = {outputs_.dnsmasq.gateway},
                   .records = outputs_.dnsmasq.names};
  names.version = names_.version;
  if (names_number_ == 0 || names != names_) {
    names_ = std::move(names);
    names_text_ = nullptr;
    ++names_number_;
  }
}

void NetworkFeed::Start() {
  told_ = Stamp();
  last_ = ledger_.clock().Boot();
  WorkOut();
  if (services_ != nullptr) {
    services_->Apply(outputs_);
  }
}

void NetworkFeed::Update(Change& change) {
  told_ = Stamp();
  last_ = ledger_.clock().Boot();
  WorkOut();
  if (services_ != nullptr) {
    change.AfterDurable([services = services_, outputs = outputs_] { services->Apply(outputs); });
  }
}

void NetworkFeed::ForgetAll() {
  sent_.clear();
  told_.reset();
}

api::NodeNetwork NetworkFeed::NetworkOf(const NodeRecord& node) const {
  const AddressPlan& plan = fleet_.plan();
  api::NodeNetwork network{.prefix = plan.prefix(),
                           .address = {AddressOf(node.api.address), plan.length()},
                           .gateway = outputs_.dnsmasq.gateway,
                           .controllers = {outputs_.dnsmasq.gateway},
                           .nodes = node_addresses_};
  if (outputs_.old_address.has_value()) {
    network.controllers.push_back(outputs_.old_address->address);
  }
  if (const auto found = on_node_.find(node.api.id); found != on_node_.end()) {
    std::vector<const FilteredContainer*> containers;
    for (const size_t index : found->second) {
      containers.push_back(&filtered_[index]);
    }
    FirewallCompiler::Needed needed = compiler_->NeededBy(containers);
    network.policies = std::move(needed.policies);
    network.sets = std::move(needed.sets);
  }
  return network;
}

SharedText NetworkFeed::EncodeNames(api::Version version) {
  if (names_text_ == nullptr || names_.version.epoch != version.epoch) {
    names_.version = version;
    names_text_ = std::make_shared<const std::string>(api::Encode(api::ControllerMessage(names_)));
  }
  return names_text_;
}

NetworkFeed::News NetworkFeed::NewsFor(const NodeId& node, const Change& change) {
  const NodeRecord* record = ledger_.state().nodes().Find(node.str());
  if (record == nullptr || AddressOf(record->api.address).empty() || !compiler_.has_value()) {
    return {};
  }
  const api::Version version{ledger_.state().cluster().epoch, change.revision()};
  News news;
  const auto [sent, first] = sent_.try_emplace(node);
  api::NodeNetwork network = NetworkOf(*record);
  if (first || sent->second.network != network) {
    sent->second.network = network;
    network.version = version;
    news.network = std::make_shared<const std::string>(
        api::Encode(api::ControllerMessage(std::move(network))));
  }
  if (first || sent->second.names != names_number_) {
    sent->second.names = names_number_;
    news.names = EncodeNames(version);
  }
  return news;
}

NetworkFeed::News NetworkFeed::AllFor(const NodeId& node, const Change& change) {
  Forget(node);
  WorkOut();
  return NewsFor(node, change);
}

}  // namespace bramble::controller
