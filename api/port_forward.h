// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/network.h"
#include "api/project.h"
#include "api/security_group.h"

namespace bramble::api {

// What arrives at a port of the controller's uplink goes on to a container.
// /v1/port-forwards/{name} with the name "tcp-8080".
struct PortForward {
  uint64_t generation = 1;
  Protocol protocol = Protocol::kTcp;  // tcp or udp
  uint16_t port = 0;                   // at the uplink
  ProjectName project = ProjectName::Trusted(kDefaultProject);
  std::string container;  // its name
  uint16_t container_port = 0;
  std::string address;  // of the container now; empty: it has none.  Not written by people.
  WallTime created_at{};

  std::string Key() const;
  friend bool operator==(const PortForward&, const PortForward&) = default;
};
inline constexpr size_t kMaxPortForwards = 1024;

json::object ToJson(const PortForward& forward);
absl::StatusOr<PortForward> PortForwardFromJson(const json::value& value,
                                                std::string path = "port forward",
                                                UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
