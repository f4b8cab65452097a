// SPDX-License-Identifier: Apache-2.0
#pragma once

// Nodes, containers and requests in one line each, for tests and benches.

#include <string>

#include "controller/scheduler/scheduler.h"

namespace bramble::controller {

inline api::Node TestNode(const std::string& name, int64_t memory_mib = 1024 + 64,
                          int64_t cores = 4) {
  api::Node node;
  node.id = NodeId::Trusted(StrCat("id-", name));
  node.name = NodeName::Trusted(name);
  node.state = api::NodeState::kReady;
  node.inventory.architecture = "arm64";
  node.inventory.also_runs = {"armhf"};
  node.inventory.capacity = {
      .cpu = {cores * 1000}, .memory = {memory_mib * kMiB}, .disk = {16 * kGiB}, .pids = 32768};
  return node;
}

inline PlacementRequest TestRequest(const std::string& name, int64_t memory_mib = 256,
                                    int64_t cpu_milli = 1000) {
  PlacementRequest request;
  request.name = ContainerName::Trusted(name);
  request.project = ProjectName::Trusted("default");
  request.limits = {.cpu = {cpu_milli}, .memory = {memory_mib * kMiB}};
  request.variants = {{.architecture = "arm64", .digest = "d-arm64", .size = {kMiB}},
                      {.architecture = "amd64", .digest = "d-amd64", .size = {kMiB}}};
  return request;
}

inline PlacedContainer TestContainer(const PlacementRequest& request, const NodeId& node,
                                     const api::Labels& labels = {}) {
  return {.id = ContainerId::Trusted(StrCat("c-", request.name.str())),
          .name = request.name,
          .project = request.project,
          .node = node,
          .limits = request.limits,
          .labels = labels,
          .avoid = request.placement.avoid};
}

}  // namespace bramble::controller
