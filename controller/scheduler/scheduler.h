// SPDX-License-Identifier: Apache-2.0
#pragma once

// Chooses a node for a container: a filter, then a score, over a ClusterView.  Pure: equal views
// and requests give equal answers, whatever the order in which the view was built.

#include <optional>
#include <string>
#include <vector>

#include "api/container.h"
#include "api/image.h"
#include "controller/scheduler/cluster_view.h"

namespace bramble::controller {

enum class Packing { kSpread, kBinPack };
inline constexpr std::string_view kPackingNames[] = {"spread", "bin-pack"};

struct SchedulerOptions {
  int64_t cpu_overcommit = 4;       // a node's cores are promised this many times over, 1 to 64
  int64_t pids_overcommit = 4;      // so are its process ids; memory and disk never are
  Bytes memory_reserve{64 * kMiB};  // of each node, for its kernel and agent
  Packing packing = Packing::kSpread;
};

struct PlacementRequest {
  ContainerName name;  // itself, so that moving does not compete with where it is
  ProjectName project;
  api::Resources limits;  // memory and CPU are resolved: never 0
  api::Placement placement;
  std::vector<api::ImageVariant> variants;  // what the image offers, one per architecture
  std::vector<NodeId> exclude;  // not there: the node that is being drained, or was lost
};

struct PlacementChoice {
  NodeId node;
  NodeName node_name;
  std::string architecture;  // of the variant that it will run
  std::string image_digest;
  bool image_held = false;  // the node need not fetch it
  double score = 0;
};

struct PlacementResult {
  std::optional<PlacementChoice> choice;
  // Empty with a choice; otherwise why no node will do, for people: "no node has 512MiB free: the
  // most is 200MiB on pi-3; 2 nodes are cordoned".
  std::string reason;
};

// The best node for `request`, or why there is none.  Changes nothing: the caller puts the choice
// into the view.  Ties go to the smaller node name.  Cost: a few tens of nanoseconds per node.
PlacementResult Place(const ClusterView& view, const PlacementRequest& request,
                      const SchedulerOptions& options);

struct ScorePart {
  std::string name;  // "packing", "preferred", "spread", "image", "health"
  double points = 0;
  std::string detail;
};

struct NodeVerdict {
  NodeId node;
  NodeName name;
  bool fits = false;
  std::vector<std::string> reasons;  // all of them, when it does not fit
  std::vector<ScorePart> parts;      // when it fits
  double score = 0;
};

struct PlacementExplanation {
  PlacementResult result;
  std::vector<NodeVerdict> nodes;  // fitting ones first, best first; then by name
};

// What Place decides, and for every node why or why not.  For people: tens of microseconds a node.
PlacementExplanation Explain(const ClusterView& view, const PlacementRequest& request,
                             const SchedulerOptions& options);

}  // namespace bramble::controller
