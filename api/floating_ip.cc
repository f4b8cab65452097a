// SPDX-License-Identifier: Apache-2.0
#include "api/floating_ip.h"

#include "base/status.h"

namespace bramble::api {

json::object ToJson(const FloatingIp& ip) {
  return {{"address", ip.address.str()},     {"generation", ip.generation},
          {"project", ip.project.str()},     {"container_id", ip.container_id.str()},
          {"container", ip.container.str()}, {"node", ip.node},
          {"automatic", ip.automatic},       {"attached_at", FormatTime(ip.attached_at)}};
}

absl::StatusOr<FloatingIp> FloatingIpFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  FloatingIp ip;
  ip.address = reader.Parsed<Ipv4>("address");
  ip.generation = reader.OptionalInt("generation", {.min = 0}).value_or(1);
  ip.project = reader.Parsed<ProjectName>("project");
  ip.container_id = reader.Parsed<ContainerId>("container_id");
  ip.container = reader.Parsed<ContainerName>("container");
  ip.node = reader.OptionalString("node").value_or("");
  ip.automatic = reader.OptionalBool("automatic").value_or(false);
  ip.attached_at = TimeField(reader, "attached_at");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return ip;
}

json::object ToJson(const AttachFloatingIp& request) {
  json::object object = {{"container", request.container},
                         {"project", request.project.str()},
                         {"move", request.move},
                         {"force", request.force}};
  if (!request.address.empty()) {
    object["address"] = request.address.str();
  }
  return object;
}

absl::StatusOr<AttachFloatingIp> AttachFloatingIpFromJson(const json::value& value,
                                                          std::string path) {
  JsonObjectReader reader(value, std::move(path), UnknownKeys::kRefuse);
  AttachFloatingIp request;
  request.address = reader.OptionalParsed<Ipv4>("address");
  request.container = reader.String("container", {.max = 63, .allow_empty = false});
  if (reader.Has("project")) {
    request.project = reader.Parsed<ProjectName>("project");
  }
  request.move = reader.OptionalBool("move").value_or(false);
  request.force = reader.OptionalBool("force").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return request;
}

}  // namespace bramble::api
