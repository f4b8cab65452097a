// SPDX-License-Identifier: Apache-2.0
#pragma once

// Carries the network from the model to the nodes (api/node_network.h) and to the controller's own
// machine: works out what each is to have, and says what is new since it was last told.

#include <functional>
#include <map>
#include <optional>

#include "controller/fleet.h"
#include "controller/ledger.h"
#include "controller/network/firewall_compiler.h"
#include "controller/seams.h"

namespace bramble::controller {

class NetworkFeed {
 public:
  // Changes that come thick are told together: at the latest with the next Tick after this.
  static constexpr std::chrono::milliseconds kTogether{100};

  // `services` may be null: nothing is served on this machine.
  NetworkFeed(Ledger& ledger, Fleet& fleet, NetworkServices* services)
      : ledger_(ledger), fleet_(fleet), services_(services) {}

  // What a node is to be sent; null: nothing new.
  struct News {
    SharedText network;
    SharedText names;
  };

  // True: something changed and it is time to tell.  Then Update, and NewsFor each node.
  bool Due() const;
  // True: something changed and was not told yet, for want of time.
  bool Waiting() const { return Stamp() != told_; }
  // Works everything out from the model as it is in `change`, and applies it to this machine once
  // that is durable.
  void Update(Change& change);
  // At the start, when all that is known is durable.
  void Start();

  News NewsFor(const NodeId& node, const Change& change);
  // Everything, for a session that begins.
  News AllFor(const NodeId& node, const Change& change);
  void Forget(const NodeId& node) { sent_.erase(node); }
  // The model was read again.
  void ForgetAll();

 private:
  // Of all that the network follows from.
  struct Revisions {
    uint64_t containers = 0;
    uint64_t nodes = 0;
    uint64_t groups = 0;
    uint64_t floating = 0;
    uint64_t forwards = 0;
    uint64_t reservations = 0;
    uint64_t settings = 0;
    uint64_t images = 0;
    uint64_t epoch = 0;
    bool old_prefix = false;
    friend bool operator==(const Revisions&, const Revisions&) = default;
  };
  struct Sent {
    api::NodeNetwork network;  // without its version
    uint64_t names = 0;        // the number of the names that it has
  };

  Revisions Stamp() const;
  void WorkOut();
  api::NodeNetwork NetworkOf(const NodeRecord& node) const;
  SharedText EncodeNames(api::Version version);

  Ledger& ledger_;
  Fleet& fleet_;
  NetworkServices* const services_;
  std::optional<Revisions> told_;
  BootTime last_{};
  std::map<NodeId, Sent> sent_;
  std::vector<FilteredContainer> filtered_;
  std::map<NodeId, std::vector<size_t>> on_node_;  // indexes into filtered_
  std::optional<FirewallCompiler> compiler_;
  std::vector<Ipv4> node_addresses_;
  NetworkOutputs outputs_;
  api::Names names_;
  uint64_t names_number_ = 0;  // raised with every change of the names
  SharedText names_text_;
};

}  // namespace bramble::controller
