// SPDX-License-Identifier: Apache-2.0
#include "controller/images/blob_plan.h"

#include <tuple>
#include <utility>

namespace bramble::controller {

// What is over: fetches that ended or of nodes that went, faults that are long ago.
void BlobPlan::Forget(const Question& question, Blob& blob, BootTime now) const {
  std::erase_if(blob.fetches, [&](const auto& entry) {
    return question.holders.contains(entry.first) || !question.connected.contains(entry.first);
  });
  const auto old = [&](const auto& entry) {
    return now - entry.second > options_.fault_remembered;
  };
  std::erase_if(blob.faults, old);
  std::erase_if(blob.liars, old);
}

std::optional<size_t> BlobPlan::DepthOf(const Blob& blob, NodeId node,
                                        const NodeId& fetcher) const {
  size_t depth = 0;
  while (true) {
    if (node == fetcher) {
      return std::nullopt;
    }
    const auto fetch = blob.fetches.find(node);
    if (fetch == blob.fetches.end()) {
      return depth;  // it has the whole, or did when it was last heard of
    }
    ++depth;
    if (fetch->second.source.empty() || depth > blob.fetches.size()) {
      return depth;
    }
    node = fetch->second.source;
  }
}

std::optional<NodeId> BlobPlan::Choose(const Question& question, BootTime now) {
  for (auto& [digest, blob] : blobs_) {
    std::erase_if(blob.fetches, [&](const auto& entry) {
      return now - entry.second.asked > options_.fetch_forgotten;
    });
  }
  std::erase_if(blobs_, [](const auto& entry) { return entry.second.fetches.empty(); });
  Blob& blob = blobs_[question.digest];
  Forget(question, blob, now);
  blob.fetches.erase(question.fetcher);

  std::map<NodeId, size_t> children;
  for (const auto& [id, fetch] : blob.fetches) {
    ++children[fetch.source];
  }
  std::set<NodeId> candidates = question.holders;
  for (const auto& [id, fetch] : blob.fetches) {
    candidates.insert(id);
  }
  std::optional<std::tuple<size_t, size_t, NodeId>> best;  // children, depth, node: the least
  for (const NodeId& node : candidates) {
    if (node == question.fetcher || !question.connected.contains(node) ||
        blob.liars.contains(node) || blob.faults.contains({question.fetcher, node}) ||
        children[node] >= options_.max_children) {
      continue;
    }
    const std::optional<size_t> depth = DepthOf(blob, node, question.fetcher);
    if (!depth.has_value() || *depth >= options_.max_depth) {
      continue;
    }
    const std::tuple<size_t, size_t, NodeId> rank(children[node], *depth, node);
    if (!best.has_value() || rank < *best) {
      best = rank;
    }
  }
  Fetch& fetch = blob.fetches[question.fetcher];
  fetch.asked = now;
  if (!best.has_value()) {
    return std::nullopt;
  }
  fetch.source = std::get<2>(*best);
  return fetch.source;
}

void BlobPlan::OnFault(const std::string& digest, const NodeId& fetcher, const NodeId& neighbour,
                       bool wrong_bytes, BootTime now) {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) {
    return;
  }
  // Of the neighbour that was given only: nobody speaks ill of others.
  const auto fetch = found->second.fetches.find(fetcher);
  if (fetch == found->second.fetches.end() || fetch->second.source != neighbour) {
    return;
  }
  found->second.faults[{fetcher, neighbour}] = now;
  if (wrong_bytes) {
    found->second.liars[neighbour] = now;
  }
}

size_t BlobPlan::fetches() const {
  size_t count = 0;
  for (const auto& [digest, blob] : blobs_) {
    count += blob.fetches.size();
  }
  return count;
}

}  // namespace bramble::controller
