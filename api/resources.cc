// SPDX-License-Identifier: Apache-2.0
#include "api/resources.h"

#include "base/status.h"

namespace bramble::api {

json::object ToJson(const Resources& resources) {
  return {{"cpu_milli", resources.cpu.count},
          {"memory_bytes", resources.memory.count},
          {"disk_bytes", resources.disk.count},
          {"pids", resources.pids}};
}

absl::StatusOr<Resources> ResourcesFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  Resources resources;
  resources.cpu.count = reader.OptionalInt("cpu_milli", {.min = 0}).value_or(0);
  resources.memory.count = reader.OptionalInt("memory_bytes", {.min = 0}).value_or(0);
  resources.disk.count = reader.OptionalInt("disk_bytes", {.min = 0}).value_or(0);
  resources.pids = reader.OptionalInt("pids", {.min = 0}).value_or(0);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return resources;
}

}  // namespace bramble::api
