// SPDX-License-Identifier: Apache-2.0
#include "api/port_forward.h"

#include "base/status.h"

namespace bramble::api {

std::string PortForward::Key() const {
  return StrCat(kProtocolNames[static_cast<size_t>(protocol)], "-", port);
}

json::object ToJson(const PortForward& forward) {
  const std::string_view protocol = kProtocolNames[static_cast<size_t>(forward.protocol)];
  return {{"name", forward.Key()},
          {"generation", forward.generation},
          {"protocol", json::string_view(protocol.data(), protocol.size())},
          {"port", forward.port},
          {"project", forward.project.str()},
          {"container", forward.container},
          {"container_port", forward.container_port},
          {"address", forward.address},
          {"created_at", FormatTime(forward.created_at)}};
}

absl::StatusOr<PortForward> PortForwardFromJson(const json::value& value, std::string path,
                                                UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  PortForward forward;
  (void)reader.OptionalString("name");  // follows from protocol and port
  forward.generation = reader.OptionalInt("generation", {.min = 0}).value_or(1);
  forward.protocol = EnumField<Protocol>(reader, "protocol", kProtocolNames, Protocol::kTcp);
  if (forward.protocol != Protocol::kTcp && forward.protocol != Protocol::kUdp) {
    reader.Fail("protocol", "expected tcp or udp");
  }
  forward.port = static_cast<uint16_t>(reader.Int("port", {.min = 1, .max = 65535}));
  if (reader.Has("project")) {
    forward.project = reader.Parsed<ProjectName>("project");
  }
  forward.container = reader.String("container", {.max = 63, .allow_empty = false});
  forward.container_port = static_cast<uint16_t>(
      reader.OptionalInt("container_port", {.min = 1, .max = 65535}).value_or(forward.port));
  forward.address = reader.OptionalString("address").value_or("");
  forward.created_at = OptionalTimeField(reader, "created_at").value_or(WallTime{});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return forward;
}

}  // namespace bramble::api
