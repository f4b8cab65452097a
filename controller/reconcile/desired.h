// SPDX-License-Identifier: Apache-2.0
#pragma once

// What each node must be sent.  Desired state only ever grows in (epoch, generation); a node that
// says which version it has applied is sent what changed since, or all of it.

#include <map>
#include <optional>
#include <vector>

#include "api/node_protocol.h"

namespace bramble::controller {

// The desired state of one node, with the version at which each part changed.
class NodeDesiredState {
 public:
  // `loaded` is the version that the store knows: containers put at it are not a change, and a node
  // that has applied less is sent all.
  explicit NodeDesiredState(api::Version loaded = {}) : version_(loaded), dropped_(loaded) {}

  // `container` is to be on the node as it says.  False, and `version` is not used: it was already.
  bool Put(api::NodeContainer container, api::Version version);
  // `container` is to be destroyed there, until the node confirms.
  void Bury(const ContainerId& container, api::Version version);
  // The container is the node's no longer, but nothing is to be destroyed (it was never there, or
  // an adopted state no longer mentions it): the node keeps what it has as an orphan.
  void Drop(const ContainerId& container, api::Version version);
  // The node says that it carried out the tombstone.
  void OnRemoved(const ContainerId& container);

  // The message that takes a node from `applied` to here; nullopt: it is there already.  A version
  // of another epoch, zero, from the future, or from before something was dropped gives the full
  // state.
  std::optional<api::Desired> Since(api::Version applied) const;
  api::Desired Full() const;

  template <typename Visit>
  void ForEach(Visit visit) const {  // every container, by id
    for (const auto& [id, entry] : containers_) {
      visit(entry.container);
    }
  }

  api::Version version() const { return version_; }
  bool Holds(const ContainerId& container) const { return containers_.contains(container); }
  bool Buried(const ContainerId& container) const { return tombstones_.contains(container); }
  // The version that last changed what is wanted of `container`, or that buried it: what a node
  // says of it before it has applied that much says nothing about that order.  Nullopt: neither.
  std::optional<api::Version> OrderedAt(const ContainerId& container) const;

 private:
  struct Entry {
    api::NodeContainer container;
    api::Version changed;
  };

  void Raise(api::Version version);

  std::map<ContainerId, Entry> containers_;
  std::map<ContainerId, api::Version> tombstones_;
  api::Version version_;
  api::Version dropped_;  // before this a delta cannot say what changed
};

// The epoch to open because a node has seen more than the controller knows (a rolled-back snapshot,
// a backup restored twice); nullopt: `seen` is not ahead of `ours`, or so far that the node lies
// and would use the epochs up.
inline constexpr uint64_t kMaxEpochsAhead = 1'000'000;
std::optional<uint64_t> EpochAbove(api::Version ours, api::Version seen);

// What a report says beside the state of what is known.
struct ReportDifference {
  std::vector<api::ObservedContainer> unknown;  // adopt: show, never delete
  std::vector<ContainerId> missing;             // desired, and absent from a full report
  std::vector<ContainerId> buried;              // has a tombstone and is still there
};
ReportDifference CompareReport(const NodeDesiredState& desired, const api::Report& report);

}  // namespace bramble::controller
