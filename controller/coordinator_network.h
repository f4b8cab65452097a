// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

// The cluster's network as a whole: prefix, ranges, what is served, what is wrong with it; and the
// settings of projects.
class NetworkService {
 public:
  virtual ~NetworkService() = default;

  virtual absl::StatusOr<Rendered> Get(const Principal& who) = 0;
  // What `patch` would do: api::NetworkPlan.
  virtual absl::StatusOr<Rendered> Plan(const Principal& who, const api::NetworkPatch& patch) = 0;
  // Does it, in one transaction.  kFailedPrecondition (prefix_too_small): not everything finds
  // room.
  virtual void Alter(const Principal& who, api::NetworkPatch patch, WriteOptions options,
                     WriteDone done) = 0;
  // {"items": [api::NetworkFinding]}: what `bramble cluster doctor` says of the network.
  virtual absl::StatusOr<Rendered> Findings(const Principal& who) = 0;

  // Every address that is not free, in order; filter keys: address, use, state, name, kind.
  virtual absl::StatusOr<Rendered> Addresses(const Principal& who, const ListQuery& query) = 0;
  virtual void Reserve(const Principal& who, api::Reservation reservation, WriteOptions options,
                       WriteDone done) = 0;
  // By the reservation's name or its address.
  virtual void Release(const Principal& who, const std::string& key, WriteOptions options,
                       WriteDone done) = 0;

  virtual absl::StatusOr<Rendered> GetProject(const Principal& who, const std::string& name) = 0;
  virtual absl::StatusOr<Rendered> ListProjects(const Principal& who, const ListQuery& query) = 0;
  virtual void ChangeProject(const Principal& who, const std::string& name, bool auto_floating_ip,
                             WriteOptions options, WriteDone done) = 0;

  // Somebody else's DHCP server answered, or no longer does: events.
  virtual void OnRivals(const std::vector<api::RivalDhcp>& rivals) = 0;
};

}  // namespace bramble::controller
