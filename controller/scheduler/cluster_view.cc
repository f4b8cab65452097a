// SPDX-License-Identifier: Apache-2.0
#include "controller/scheduler/cluster_view.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace bramble::controller {
namespace {

constexpr char kWarning[] = "warning";
constexpr char kCritical[] = "critical";

std::string FullName(const ProjectName& project, std::string_view name) {
  return StrCat(project.str(), "/", name);
}

// A key has no '=' in it (api::CheckLabels), so this is unambiguous.
std::string LabelText(std::string_view key, std::string_view value) {
  return StrCat(key, "=", value);
}

void Add(api::Resources& sum, const api::Resources& part) {
  sum.cpu += part.cpu;
  sum.memory += part.memory;
  sum.disk += part.disk;
  sum.pids += part.pids;
}

void Subtract(api::Resources& sum, const api::Resources& part) {
  sum.cpu -= part.cpu;
  sum.memory -= part.memory;
  sum.disk -= part.disk;
  sum.pids -= part.pids;
}

}  // namespace

int32_t Interner::Add(std::string_view text) {
  const auto [entry, is_new] =
      numbers_.try_emplace(std::string(text), static_cast<int32_t>(texts_.size()));
  if (is_new) {
    texts_.emplace_back(text);
  }
  return entry->second;
}

int32_t Interner::Find(std::string_view text) const {
  const auto entry = numbers_.find(ToAbsl(text));
  return entry == numbers_.end() ? 0 : entry->second;
}

std::vector<ClusterView::Label> ClusterView::InternLabels(const api::Labels& labels) {
  std::vector<Label> interned;
  interned.reserve(labels.size());
  for (const auto& [key, value] : labels) {
    interned.emplace_back(words_.Add(key), words_.Add(value));
  }
  std::sort(interned.begin(), interned.end());
  return interned;
}

void ClusterView::PutNode(const api::Node& node) {
  auto [entry, is_new] = node_index_.try_emplace(node.id, 0);
  if (is_new) {
    if (free_nodes_.empty()) {
      entry->second = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      entry->second = free_nodes_.back();
      free_nodes_.pop_back();
    }
  } else {
    node_by_name_.erase(nodes_[entry->second].name.str());
  }
  NodeRow& row = nodes_[entry->second];
  row.id = node.id;
  row.name = node.name;
  row.used = true;
  row.cordoned = node.cordoned;
  row.state = node.state;
  row.drain = node.drain;
  row.capacity = node.inventory.capacity;
  node_by_name_[node.name.str()] = entry->second;

  row.architectures = {words_.Add(node.inventory.architecture)};
  for (const std::string& architecture : node.inventory.also_runs) {
    row.architectures.push_back(words_.Add(architecture));
  }
  api::Labels labels = node.labels;
  labels["pool"] = node.pool;
  labels["arch"] = node.inventory.architecture;
  labels["node"] = node.name.str();
  row.labels = InternLabels(labels);
  row.images.clear();
  for (const std::string& digest : node.images) {
    row.images.push_back(words_.Add(digest));
  }
  std::sort(row.images.begin(), row.images.end());
  row.conditions.clear();
  row.warning = false;
  row.critical = false;
  for (const api::Condition& condition : node.conditions) {
    row.warning |= condition.severity == kWarning;
    row.critical |= condition.severity == kCritical;
    if (condition.severity == kWarning || condition.severity == kCritical) {
      row.conditions.push_back(condition);
    }
  }
}

void ClusterView::RemoveNode(const NodeId& node) {
  const auto entry = node_index_.find(node);
  if (entry == node_index_.end()) {
    return;
  }
  const int32_t index = entry->second;
  while (!nodes_[index].containers.empty()) {
    RemoveContainer(ContainerId(containers_[nodes_[index].containers.back()].id));
  }
  node_by_name_.erase(nodes_[index].name.str());
  node_index_.erase(entry);
  nodes_[index] = NodeRow();
  free_nodes_.push_back(index);
}

bool ClusterView::PutContainer(const PlacedContainer& container) {
  const int32_t node = NodeWithId(container.node);
  if (node < 0) {
    return false;
  }
  const auto [entry, is_new] = container_index_.try_emplace(container.id, 0);
  if (!is_new) {
    Detach(entry->second);
  } else if (free_containers_.empty()) {
    entry->second = static_cast<int32_t>(containers_.size());
    containers_.emplace_back();
  } else {
    entry->second = free_containers_.back();
    free_containers_.pop_back();
  }
  Attach(entry->second, container, node);
  return true;
}

void ClusterView::RemoveContainer(const ContainerId& container) {
  const auto entry = container_index_.find(container);
  if (entry == container_index_.end()) {
    return;
  }
  Detach(entry->second);
  free_containers_.push_back(entry->second);
  container_index_.erase(entry);
}

void ClusterView::AddBearer(int32_t container, const std::string& label) {
  const auto [entry, is_new] = label_numbers_.try_emplace(label, 0);
  if (is_new && free_labels_.empty()) {
    entry->second = static_cast<int32_t>(labels_.size());
    labels_.emplace_back();
  } else if (is_new) {
    entry->second = free_labels_.back();
    free_labels_.pop_back();
  }
  ContainerLabel& row = labels_[entry->second];
  row.text = label;
  containers_[container].labels.push_back(
      {.label = entry->second, .position = static_cast<int32_t>(row.bearers.size())});
  row.bearers.push_back({.container = container, .node = containers_[container].node});
}

void ClusterView::RemoveBearer(LabelPosition where) {
  ContainerLabel& row = labels_[where.label];
  const Bearer last = row.bearers.back();
  row.bearers[where.position] = last;
  for (LabelPosition& other : containers_[last.container].labels) {
    if (other.label == where.label) {
      other.position = where.position;
    }
  }
  row.bearers.pop_back();
  if (row.bearers.empty()) {
    label_numbers_.erase(row.text);
    row = ContainerLabel();
    free_labels_.push_back(where.label);
  }
}

void ClusterView::Attach(int32_t index, const PlacedContainer& container, int32_t node) {
  ContainerRow& row = containers_[index];
  row.id = container.id;
  row.full_name = FullName(container.project, container.name.str());
  row.node = node;
  row.position = static_cast<int32_t>(nodes_[node].containers.size());
  row.limits = container.limits;
  row.labels.clear();
  for (const auto& [key, value] : container.labels) {
    AddBearer(index, LabelText(key, value));
  }
  row.avoid.clear();
  for (const std::string& name : container.avoid) {
    row.avoid.push_back(FullName(container.project, name));
  }
  std::sort(row.avoid.begin(), row.avoid.end());
  row.avoid.erase(std::unique(row.avoid.begin(), row.avoid.end()), row.avoid.end());
  for (const std::string& other : row.avoid) {
    avoiders_[other].push_back(index);
  }
  nodes_[node].containers.push_back(index);
  Add(nodes_[node].allocated, row.limits);
  container_by_name_[row.full_name] = index;
}

void ClusterView::Detach(int32_t index) {
  ContainerRow& row = containers_[index];
  BRAMBLE_CHECK(row.node >= 0, "a row that the index names is on a node");
  NodeRow& node = nodes_[row.node];
  Subtract(node.allocated, row.limits);
  const int32_t last = node.containers.back();
  node.containers[row.position] = last;
  containers_[last].position = row.position;
  node.containers.pop_back();

  const auto by_name = container_by_name_.find(row.full_name);
  if (by_name != container_by_name_.end() && by_name->second == index) {
    container_by_name_.erase(by_name);
  }
  for (const std::string& other : row.avoid) {
    const auto avoiders = avoiders_.find(other);
    std::erase(avoiders->second, index);
    if (avoiders->second.empty()) {
      avoiders_.erase(avoiders);
    }
  }
  for (const LabelPosition where : row.labels) {
    RemoveBearer(where);
  }
  row = ContainerRow();
}

api::Resources ClusterView::AllocatedOn(const NodeId& node) const {
  const int32_t row = NodeWithId(node);
  return row < 0 ? api::Resources() : nodes_[row].allocated;
}

int32_t ClusterView::NodeNamed(std::string_view name) const {
  const auto entry = node_by_name_.find(ToAbsl(name));
  return entry == node_by_name_.end() ? -1 : entry->second;
}

int32_t ClusterView::NodeWithId(const NodeId& id) const {
  const auto entry = node_index_.find(id);
  return entry == node_index_.end() ? -1 : entry->second;
}

int32_t ClusterView::ContainerNamed(const ProjectName& project, std::string_view name) const {
  const auto entry = container_by_name_.find(FullName(project, name));
  return entry == container_by_name_.end() ? -1 : entry->second;
}

const std::vector<int32_t>* ClusterView::AvoidersOf(const ProjectName& project,
                                                    std::string_view name) const {
  const auto entry = avoiders_.find(FullName(project, name));
  return entry == avoiders_.end() ? nullptr : &entry->second;
}

int32_t ClusterView::LabelNumber(std::string_view key, std::string_view value) const {
  const auto entry = label_numbers_.find(LabelText(key, value));
  return entry == label_numbers_.end() ? -1 : entry->second;
}

}  // namespace bramble::controller
