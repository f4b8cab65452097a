// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the scheduler knows of the cluster, indexed so that a decision is a walk over flat arrays.
//
// The coordinator keeps one and tells it of every change; each change costs O(what changed).  Text
// (labels, digests, architectures) is interned once, so that a decision compares integers.
// Belongs to the loop; pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "api/container.h"
#include "api/node.h"

namespace bramble::controller {

// What the scheduler needs of a container that has a node.
struct PlacedContainer {
  ContainerId id;
  ContainerName name;
  ProjectName project;
  NodeId node;
  api::Resources limits;
  api::Labels labels;
  std::vector<std::string> avoid;  // Placement::avoid: holds in both directions
};

// Numbers that stand for texts; 0 is none.
class Interner {
 public:
  // The number of `text`, given if it has none yet.
  int32_t Add(std::string_view text);
  // The number of `text`, or 0.
  int32_t Find(std::string_view text) const;
  const std::string& TextOf(int32_t number) const { return texts_[number]; }

 private:
  absl::flat_hash_map<std::string, int32_t> numbers_;
  std::vector<std::string> texts_ = {""};
};

class ClusterView {
 public:
  // Adds a node or replaces what is known of it.  Its containers stay.  A node's `allocated` and
  // `container_count` are ignored: the view sums them itself.
  void PutNode(const api::Node& node);
  // Forgets the node and its containers.
  void RemoveNode(const NodeId& node);

  // Adds a container or replaces it, on another node too.  False, and nothing changed: its node is
  // not in the view.
  bool PutContainer(const PlacedContainer& container);
  void RemoveContainer(const ContainerId& container);

  size_t node_count() const { return node_index_.size(); }
  size_t container_count() const { return container_index_.size(); }
  // What the containers of `node` may use together; zero for a node that is not in the view.
  api::Resources AllocatedOn(const NodeId& node) const;

 private:
  friend class PlacementQuery;

  using Label = std::pair<int32_t, int32_t>;  // key and value, interned

  struct NodeRow {
    NodeId id;
    NodeName name;
    bool used = false;
    api::NodeState state = api::NodeState::kPending;
    bool cordoned = false;
    api::DrainState drain = api::DrainState::kNone;
    int32_t warnings = 0;
    int32_t criticals = 0;
    api::Resources capacity;
    api::Resources allocated;
    int32_t pool = 0;
    std::vector<int32_t> architectures;   // native first
    std::vector<Label> labels;            // sorted
    std::vector<int32_t> images;          // sorted
    std::vector<int32_t> containers;      // rows of container_rows_
    std::vector<api::Condition> conditions;  // warnings and worse, for Explain
  };

  struct ContainerRow {
    ContainerId id;
    int32_t full_name = 0;                // "project/name", interned
    int32_t node = -1;
    int32_t position = 0;                 // in its node's `containers`
    api::Resources limits;
    std::vector<Label> labels;            // sorted
    std::vector<int32_t> avoid;           // full names, interned
  };

  int32_t AddNodeRow(const NodeId& node);
  void Attach(int32_t container, int32_t node);
  void Detach(int32_t container);
  std::vector<Label> InternLabels(const api::Labels& labels);

  Interner words_;
  Interner names_;
  std::vector<NodeRow> nodes_;
  std::vector<int32_t> free_nodes_;
  absl::flat_hash_map<NodeId, int32_t> node_index_;
  absl::flat_hash_map<std::string, int32_t> node_by_name_;
  std::vector<ContainerRow> container_rows_;
  std::vector<int32_t> free_containers_;
  absl::flat_hash_map<ContainerId, int32_t> container_index_;
  absl::flat_hash_map<int32_t, int32_t> container_by_name_;              // full name -> row
  absl::flat_hash_map<int32_t, std::vector<int32_t>> avoided_by_;        // full name -> rows
  absl::flat_hash_map<Label, absl::flat_hash_map<int32_t, int32_t>> label_counts_;  // -> node -> n
};

}  // namespace bramble::controller
