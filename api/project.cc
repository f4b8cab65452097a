// SPDX-License-Identifier: Apache-2.0
#include "api/project.h"

#include "base/status.h"

namespace bramble::api {

json::object ToJson(const Project& project) {
  return {{"name", project.name.str()},
          {"generation", project.generation},
          {"auto_floating_ip", project.auto_floating_ip}};
}

absl::StatusOr<Project> ProjectFromJson(const json::value& value, std::string path,
                                        UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Project project;
  project.name = reader.Parsed<ProjectName>("name");
  project.generation = reader.OptionalInt("generation", {.min = 0}).value_or(1);
  project.auto_floating_ip = reader.OptionalBool("auto_floating_ip").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return project;
}

}  // namespace bramble::api
