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

#include "api/container.h"
#include "api/node.h"

#include "absl/container/flat_hash_map.h"

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

  // What follows is for the scheduler's own files: rows and the numbers that stand for texts.
  using Label = std::pair<int32_t, int32_t>;  // key and value, interned

  struct NodeRow {
    NodeId id;
    NodeName name;
    bool used = false;
    bool cordoned = false;
    api::NodeState state = api::NodeState::kPending;
    api::DrainState drain = api::DrainState::kNone;
    bool warning = false;  // has a condition "warning"
    bool critical = false;
    api::Resources capacity;
    api::Resources allocated;
    std::vector<int32_t> architectures;      // native first
    std::vector<Label> labels;               // sorted; with pool, arch and node
    std::vector<int32_t> images;             // sorted
    std::vector<int32_t> containers;         // rows
    std::vector<api::Condition> conditions;  // warnings and worse
  };

  // Where a container stands in the list of those that bear a label.
  struct LabelPosition {
    int32_t label = 0;
    int32_t position = 0;
  };
  struct Bearer {
    int32_t container = 0;
    int32_t node = 0;
  };

  struct ContainerRow {
    ContainerId id;
    std::string full_name;  // "project/name"
    int32_t node = -1;      // -1: this row is free
    int32_t position = 0;   // in its node's `containers`
    api::Resources limits;
    std::vector<LabelPosition> labels;
    std::vector<std::string> avoid;  // full names, sorted
  };

  const std::vector<NodeRow>& nodes() const { return nodes_; }  // skip those not `used`
  const ContainerRow& container(int32_t row) const { return containers_[row]; }
  const Interner& words() const { return words_; }
  // A row, or -1.
  int32_t NodeNamed(std::string_view name) const;
  int32_t NodeWithId(const NodeId& id) const;
  int32_t ContainerNamed(const ProjectName& project, std::string_view name) const;
  // The rows of containers that do not want to share a node with "project/name".
  const std::vector<int32_t>* AvoidersOf(const ProjectName& project, std::string_view name) const;
  // The number of a label that some container bears, or -1; numbers are used again.
  int32_t LabelNumber(std::string_view key, std::string_view value) const;
  const std::vector<Bearer>& BearersOf(int32_t label) const { return labels_[label].bearers; }

 private:
  struct ContainerLabel {
    std::string text;
    std::vector<Bearer> bearers;
  };

  void AddBearer(int32_t container, const std::string& label);
  void RemoveBearer(LabelPosition where);
  void Attach(int32_t row, const PlacedContainer& container, int32_t node);
  void Detach(int32_t row);
  std::vector<Label> InternLabels(const api::Labels& labels);

  Interner
      words_;  // of nodes: labels, digests, architectures; what containers bring comes and goes
  std::vector<NodeRow> nodes_;
  std::vector<int32_t> free_nodes_;
  absl::flat_hash_map<NodeId, int32_t> node_index_;
  absl::flat_hash_map<std::string, int32_t> node_by_name_;
  std::vector<ContainerRow> containers_;
  std::vector<int32_t> free_containers_;
  absl::flat_hash_map<ContainerId, int32_t> container_index_;
  absl::flat_hash_map<std::string, int32_t> container_by_name_;
  absl::flat_hash_map<std::string, std::vector<int32_t>> avoiders_;  // of a full name
  absl::flat_hash_map<std::string, int32_t> label_numbers_;          // of "key=value"
  std::vector<ContainerLabel> labels_;
  std::vector<int32_t> free_labels_;
};

}  // namespace bramble::controller
