// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"

namespace bramble::api {

// Something about a node, a container or the cluster that a person or the scheduler should know,
// for as long as it holds.  docs/operations.md explains each type.
struct Condition {
  std::string type;      // "no-lsm", "cgroup-memory-off", "disk-full", "clock-skew" …
  std::string severity;  // "info", "warning" (prefer others), "critical" (do not place)
  std::string message;

  friend bool operator==(const Condition&, const Condition&) = default;
};

json::object ToJson(const Condition& condition);
absl::StatusOr<Condition> ConditionFromJson(const json::value& value, std::string path);
json::array ToJson(const std::vector<Condition>& conditions);
// At most 64; none when `key` is absent.
std::vector<Condition> ConditionsField(JsonObjectReader& reader, std::string_view key);

}  // namespace bramble::api
