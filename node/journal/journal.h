// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a node remembers over a power cut: who it is, what it was told to run, and the rolling
// session value.  Written only when something changed, so an idle day writes nothing.
//
// Blocking: calls go through the agent's lane.  A record that cannot be read is kDataLoss and the
// node goes on without it: containers are known from the runtime, the rest from the controller.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/node_protocol.h"
#include "node/journal/paths.h"
#include "node/journal/record.h"

namespace bramble::node {

// From joining on.
struct Identity {
  NodeId node_id;
  NodeName name;
  ClusterId cluster_id;
  std::string controller_key_sha256;  // hex; pinned
  std::string certificate_pem;
  std::string ca_pem;
  std::string address;                   // "172.16.0.11/24"; empty: none
  std::vector<std::string> controllers;  // "172.16.0.1:8444", the last good one first
  int64_t time_floor_ms = 0;             // the highest time that the controller ever signed

  friend bool operator==(const Identity&, const Identity&) = default;
};

struct DesiredRecord {
  api::Version version;
  std::vector<api::NodeContainer> containers;
  std::vector<ContainerId> tombstones;
  std::map<ContainerId, uint32_t> id_ranges;  // first id of each container's range
};

// The value to present in the next session, and the one before it: the power may have gone between
// the controller's write and ours.
struct SessionRecord {
  std::string value;
  std::string previous;
};

class Journal {
 public:
  Journal(Disk& disk, NodePaths paths);

  // Makes the state directory.
  absl::Status Open();

  // nullopt: never written.
  absl::StatusOr<std::optional<Identity>> LoadIdentity();
  absl::Status SaveIdentity(const Identity& identity);
  // Identity and session are as if never written: the node joins anew.
  absl::Status ForgetIdentity();
  absl::StatusOr<std::optional<DesiredRecord>> LoadDesired();
  absl::Status SaveDesired(const DesiredRecord& desired);
  absl::StatusOr<std::optional<api::NodeNetwork>> LoadNetwork();
  absl::Status SaveNetwork(const api::NodeNetwork& network);
  absl::StatusOr<std::optional<api::Names>> LoadNames();
  absl::Status SaveNames(const api::Names& names);
  absl::StatusOr<std::optional<SessionRecord>> LoadSession();
  absl::Status SaveSession(const SessionRecord& session);

  const NodePaths& paths() const { return paths_; }

 private:
  Record MakeRecord(const char* name);

  Disk& disk_;
  const NodePaths paths_;
  Record identity_;
  Record desired_;
  Record session_;
  Record network_;
  Record names_;
};

}  // namespace bramble::node
