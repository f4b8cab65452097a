// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which container is on which node, and what each node is to be told of it.  Every write of a
// container or a node goes through here, so that the scheduler's view, the nodes' desired states
// and the address pool follow the model.
//
// The generation of a desired state is the revision of the transaction that changed it.

#include <map>
#include <memory>
#include <set>

#include "controller/ledger.h"
#include "controller/network/address_plan.h"
#include "controller/network/address_pool.h"
#include "controller/reconcile/desired.h"
#include "controller/scheduler/cluster_view.h"
#include "controller/scheduler/scheduler.h"
#include "controller/seams.h"

namespace bramble::controller {

class Fleet {
 public:
  Fleet(Ledger& ledger, AddressProber& prober, const SchedulerOptions& options)
      : ledger_(ledger), prober_(prober), options_(options) {}

  // From the model, as it was read.  kInvalidArgument: the stored prefix is none.
  absl::Status Rebuild();

  void Put(Change& change, ContainerRecord record);
  void Put(Change& change, NodeRecord record);
  // `record` is found on a node other than the one that it was recorded on: it is followed there,
  // and nothing is destroyed anywhere.
  void PutWhereFound(Change& change, ContainerRecord record);
  // The row goes; nothing is destroyed on the node by this.
  void EraseContainer(Change& change, const ContainerId& id);
  // Its containers must have been put elsewhere before.
  void EraseNode(Change& change, const NodeId& id);
  // `node` says that it destroyed `id`, which lives on elsewhere.
  void ForgetTombstone(Change& change, const NodeId& node, const ContainerId& id);

  // Sets node, variant, address and state of `record`, or says in its status why it has to wait.
  // True: placed.  The caller puts it.
  bool Place(ContainerRecord& record, const std::vector<NodeId>& exclude = {});
  PlacementExplanation Explain(const ContainerRecord& record);
  // Where a container may go with its writable layer, which fits the image that it has and no
  // other: `only`, unless that is empty, or any node but its own and those to `exclude`.
  // kFailedPrecondition: nowhere, and why.
  absl::StatusOr<NodeId> FindMoveTarget(const ContainerRecord& record, const NodeId& only,
                                        std::vector<NodeId> exclude = {}) const;
  // Takes a container off its node, as one that has to be placed again; the node is told to destroy
  // its copy.  The caller puts it.
  static void Unplace(ContainerRecord& record, std::string reason);
  // Fills absent limits from the flavor.
  absl::Status ResolveLimits(api::ContainerSpec& spec) const;

  // Sends `record`'s node what the network means for it now; changes no row.
  void Refresh(const Change& change, const ContainerRecord& record);
  // Gives `address` to `container`, as `ip` (whose other fields are filled in).
  void AttachFloating(Change& change, ContainerRecord container, FloatingIpRecord ip, Ipv4 address);
  // The prefix or its ranges were changed: from now on addresses are of those.
  absl::Status Replan();
  // Nobody is to get `address` from the pool.
  void ClaimAddress(uint32_t address) { pool_->Claim(address); }
  // Addresses for containers that something which is not ours uses.
  std::vector<uint32_t> ForeignAddresses() const { return pool_->Foreign(); }

  // The address that a node gets: the one it has, if that is of the prefix and free, or the next of
  // the nodes' range; empty: the range is used up.
  std::string NodeAddress(const std::string& node_id, const std::string& wanted) const;
  const AddressPlan& plan() const { return *plan_; }

  // Asks about addresses until enough are ready; `OnAddress` is called for each that becomes so.
  void FillAddresses();
  void OnAddress(std::function<void()> hook) { on_address_ = std::move(hook); }

  const NodeDesiredState& Desired(const NodeId& node) { return desired_[node]; }
  api::Version Now() const;
  // The nodes whose desired state changed since the last call.
  std::set<NodeId> TakeDirty() { return std::exchange(dirty_, {}); }

 private:
  PlacementRequest RequestFor(const ContainerRecord& record,
                              const std::vector<NodeId>& exclude) const;
  api::NodeContainer Resolve(const ContainerRecord& record) const;
  void ResolveNetwork(const ContainerRecord& record, api::NodeContainer& resolved) const;
  std::optional<Ipv4> TakeAddress(const ContainerRecord& record);
  api::Version Next(const Change& change) const;
  void Follow(const ContainerRecord& record, api::Version version);
  void FollowMove(const ContainerRecord& record, api::Version version);
  void Want(const NodeId& node, api::NodeContainer container, api::Version version);
  void BuryIn(Change& change, const NodeId& node, const ContainerId& id);
  void Bury(const NodeId& node, const ContainerId& id, api::Version version);

  Ledger& ledger_;
  AddressProber& prober_;
  const SchedulerOptions options_;
  std::optional<AddressPlan> plan_;
  std::unique_ptr<AddressPool> pool_;
  std::shared_ptr<int> probes_;  // those of an earlier pool are recognised by it
  ClusterView view_;
  std::map<NodeId, NodeDesiredState> desired_;
  std::set<NodeId> dirty_;
  std::function<void()> on_address_;
};

}  // namespace bramble::controller
