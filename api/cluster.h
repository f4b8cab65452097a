// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/node.h"

namespace bramble::api {

// GET /v1/cluster.
struct Cluster {
  ClusterId id;
  std::string name = "bramble";
  std::string version;
  uint64_t epoch = 1;
  uint64_t revision = 0;
  std::string prefix = "172.16.0.0/24";
  bool initialised = false;   // the one-time set-up code was used
  bool moves_frozen = false;  // the mass-loss breaker is open
  std::string moves_frozen_reason;
  bool adopting = false;                      // after a restore or a rolled-back snapshot
  std::map<std::string, int64_t> nodes;       // count by state
  std::map<std::string, int64_t> containers;  // count by state
  std::vector<Condition> conditions;
  std::string certificate_sha256;  // of the certificate on 8443, hex
};

json::object ToJson(const Cluster& cluster);
absl::StatusOr<Cluster> ClusterFromJson(const json::value& value, std::string path = "cluster",
                                        UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
