// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/network.h"
#include "api/project.h"

namespace bramble::api {

// A second address of a container that can be moved to another while both run.  An item of
// GET /v1/floating-ips; it exists while it is attached, and the rest of the range is free.
struct FloatingIp {
  Ipv4 address;
  uint64_t generation = 1;
  ProjectName project;
  ContainerId container_id;
  ContainerName container;
  std::string node;        // that announces it; empty: its container is on none
  bool automatic = false;  // given at creation (Project::auto_floating_ip): goes with the container
  WallTime attached_at{};
};
json::object ToJson(const FloatingIp& ip);
absl::StatusOr<FloatingIp> FloatingIpFromJson(const json::value& value,
                                              std::string path = "floating IP");

// The body of POST /v1/floating-ips (no address: any free one).  An address that another container
// holds is refused unless `move`; one whose holder's node is silent also needs `force`, which says
// that the node is off.
struct AttachFloatingIp {
  Ipv4 address;
  std::string container;  // name or id
  ProjectName project = ProjectName::Trusted(kDefaultProject);
  bool move = false;
  bool force = false;
};
json::object ToJson(const AttachFloatingIp& request);
absl::StatusOr<AttachFloatingIp> AttachFloatingIpFromJson(const json::value& value,
                                                          std::string path = "floating IP");

}  // namespace bramble::api
