// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/json_fields.h"

namespace bramble::api {

inline constexpr char kDefaultProject[] = "default";

// What holds for all containers of a project: /v1/projects/{name}.  There is one, `default`.
struct Project {
  ProjectName name = ProjectName::Trusted(kDefaultProject);
  uint64_t generation = 1;
  bool auto_floating_ip = false;  // every container created from now on gets one
  friend bool operator==(const Project&, const Project&) = default;
};

json::object ToJson(const Project& project);
absl::StatusOr<Project> ProjectFromJson(const json::value& value, std::string path = "project",
                                        UnknownKeys unknown = UnknownKeys::kIgnore);

}  // namespace bramble::api
