// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which neighbour a node gets an archive from, so that a room full of nodes does not pull as many
// copies through the controller.  Pure: the caller brings who is there, and the time.
//
// A node serves what it has also while it is still getting it, so nodes that ask one after another
// form a chain: each sends at the full rate of its link once, and the last is done hardly later
// than the first.  What a node serves is checked piece by piece by who gets it.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/ids.h"

namespace bramble::controller {

struct BlobPlanOptions {
  // At once, of one node.  A second one is given to a node only when every other has one.
  size_t max_children = 3;
  size_t max_depth = 12;  // nodes between the controller, or a whole copy, and the last of a chain
  // How long a fetch is thought to go on that nobody says anything of.
  std::chrono::minutes fetch_forgotten{15};
  // How long a neighbour that failed one node is not given to that node again, and one that gave
  // wrong bytes to nobody.
  std::chrono::minutes fault_remembered{10};
};

class BlobPlan {
 public:
  explicit BlobPlan(BlobPlanOptions options = {}) : options_(options) {}

  struct Question {
    std::string digest;
    NodeId fetcher;
    std::set<NodeId> connected;  // that are ready to serve
    std::set<NodeId> holders;    // that say they have it, whole
  };
  // The neighbour that `question.fetcher` is to ask, from now on and instead of the one before;
  // nullopt: the controller.
  std::optional<NodeId> Choose(const Question& question, BootTime now);

  // What `fetcher` says of the neighbour that it was given.
  void OnFault(const std::string& digest, const NodeId& fetcher, const NodeId& neighbour,
               bool wrong_bytes, BootTime now);

  size_t fetches() const;

 private:
  struct Fetch {
    NodeId source;  // empty: the controller
    BootTime asked{};
  };
  struct Blob {
    std::map<NodeId, Fetch> fetches;                       // by who fetches
    std::map<std::pair<NodeId, NodeId>, BootTime> faults;  // fetcher, neighbour
    std::map<NodeId, BootTime> liars;                      // neighbours
  };

  void Forget(const Question& question, Blob& blob, BootTime now) const;
  // How many nodes are between `node` and who has the whole; nullopt: `fetcher` is one of them.
  std::optional<size_t> DepthOf(const Blob& blob, NodeId node, const NodeId& fetcher) const;

  const BlobPlanOptions options_;
  std::map<std::string, Blob> blobs_;
};

}  // namespace bramble::controller
