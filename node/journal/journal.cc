// SPDX-License-Identifier: Apache-2.0
#include "node/journal/journal.h"

#include "base/json.h"
#include "base/status.h"

namespace bramble::node {
namespace {

json::object ToJson(const Identity& identity) {
  return {{"node_id", identity.node_id.str()},
          {"name", identity.name.str()},
          {"cluster_id", identity.cluster_id.str()},
          {"controller_key_sha256", identity.controller_key_sha256},
          {"certificate_pem", identity.certificate_pem},
          {"ca_pem", identity.ca_pem},
          {"address", identity.address},
          {"controllers", api::ToJson(identity.controllers)},
          {"time_floor_ms", identity.time_floor_ms}};
}

constexpr StringLimits kPem = {.max = 65536, .allow_control = true};

absl::StatusOr<Identity> IdentityFromJson(const json::value& value) {
  JsonObjectReader reader(value, "identity");
  Identity identity;
  identity.node_id = reader.Parsed<NodeId>("node_id");
  identity.name = reader.OptionalParsed<NodeName>("name");
  identity.cluster_id = reader.OptionalParsed<ClusterId>("cluster_id");
  identity.controller_key_sha256 = reader.String("controller_key_sha256");
  identity.certificate_pem = reader.String("certificate_pem", kPem);
  identity.ca_pem = reader.String("ca_pem", kPem);
  identity.address = reader.OptionalString("address").value_or("");
  identity.controllers = reader.StringList("controllers");
  identity.time_floor_ms = reader.OptionalInt("time_floor_ms").value_or(0);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return identity;
}

json::object ToJson(const DesiredRecord& desired) {
  json::array containers;
  for (const api::NodeContainer& container : desired.containers) {
    containers.push_back(api::ToJson(container));
  }
  json::array tombstones;
  for (const ContainerId& id : desired.tombstones) {
    tombstones.emplace_back(id.str());
  }
  json::object id_ranges;
  for (const auto& [id, first] : desired.id_ranges) {
    id_ranges[id.str()] = first;
  }
  return {{"epoch", desired.version.epoch},
          {"generation", desired.version.generation},
          {"containers", std::move(containers)},
          {"tombstones", std::move(tombstones)},
          {"id_ranges", std::move(id_ranges)}};
}

absl::StatusOr<DesiredRecord> DesiredFromJson(const json::value& value) {
  JsonObjectReader reader(value, "desired");
  DesiredRecord desired;
  desired.version.epoch = static_cast<uint64_t>(reader.Int("epoch", {.min = 0}));
  desired.version.generation = static_cast<uint64_t>(reader.Int("generation", {.min = 0}));
  for (const json::value* element : reader.List("containers", api::kMaxContainersPerNode)) {
    absl::StatusOr<api::NodeContainer> container =
        api::NodeContainerFromJson(*element, reader.PathOf("containers"));
    if (!container.ok()) {
      return container.status();
    }
    desired.containers.push_back(*std::move(container));
  }
  for (const std::string& text : reader.StringList("tombstones", 100'000)) {
    BRAMBLE_ASSIGN_OR_RETURN(ContainerId id, ContainerId::Parse(text));
    desired.tombstones.push_back(std::move(id));
  }
  const json::value* id_ranges = reader.Find("id_ranges");
  if (id_ranges != nullptr && id_ranges->is_object()) {
    for (const auto& [id, first] : id_ranges->get_object()) {
      if (first.is_int64() && first.get_int64() > 0 && first.get_int64() <= UINT32_MAX) {
        desired.id_ranges[ContainerId::Trusted(std::string(id))] =
            static_cast<uint32_t>(first.get_int64());
      }
    }
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return desired;
}

absl::StatusOr<SessionRecord> SessionFromJson(const json::value& value) {
  JsonObjectReader reader(value, "session");
  SessionRecord session;
  session.value = reader.String("value");
  session.previous = reader.String("previous");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return session;
}

// What is whole by its checksum and yet no record of ours is lost data to the caller.
template <typename T, typename Decode>
absl::StatusOr<std::optional<T>> LoadAs(Record& record, Decode decode) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::optional<std::string> text, record.Load());
  if (!text.has_value() || text->empty()) {
    return std::nullopt;
  }
  absl::StatusOr<json::value> value = ParseJson(*text, kMaxRecordBytes);
  if (!value.ok()) {
    return absl::DataLossError(value.status().message());
  }
  absl::StatusOr<T> decoded = decode(*value);
  if (!decoded.ok()) {
    return absl::DataLossError(decoded.status().message());
  }
  return *std::move(decoded);
}

// Records of what the controller sent are its messages.
template <typename T>
absl::StatusOr<std::optional<T>> LoadMessage(Record& record) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::optional<std::string> text, record.Load());
  if (!text.has_value() || text->empty()) {
    return std::nullopt;
  }
  absl::StatusOr<api::ControllerMessage> message = api::DecodeControllerMessage(*text);
  if (!message.ok() || !std::holds_alternative<T>(*message)) {
    return absl::DataLossError(message.ok() ? ToAbsl("another message")
                                            : message.status().message());
  }
  return std::get<T>(*std::move(message));
}

}  // namespace

Journal::Journal(Disk& disk, NodePaths paths)
    : disk_(disk),
      paths_(std::move(paths)),
      identity_(MakeRecord("identity")),
      desired_(MakeRecord("desired")),
      session_(MakeRecord("session")),
      network_(MakeRecord("network")),
      names_(MakeRecord("names")) {}

Record Journal::MakeRecord(const char* name) {
  return Record(disk_, {paths_.Record(name, 0), paths_.Record(name, 1)});
}

absl::Status Journal::Open() {
  if (absl::Status made = disk_.MakeDirectory(paths_.state); !made.ok()) {
    return Annotate(made, "journal");
  }
  return disk_.SyncDirectory(paths_.state.parent_path());
}

absl::StatusOr<std::optional<Identity>> Journal::LoadIdentity() {
  return LoadAs<Identity>(identity_, IdentityFromJson);
}

absl::Status Journal::SaveIdentity(const Identity& identity) {
  return identity_.Save(json::serialize(ToJson(identity)));
}

absl::Status Journal::ForgetIdentity() {
  BRAMBLE_RETURN_IF_ERROR(identity_.Save(""));
  return session_.Save("");
}

absl::StatusOr<std::optional<DesiredRecord>> Journal::LoadDesired() {
  return LoadAs<DesiredRecord>(desired_, DesiredFromJson);
}

absl::Status Journal::SaveDesired(const DesiredRecord& desired) {
  return desired_.Save(json::serialize(ToJson(desired)));
}

absl::StatusOr<std::optional<api::NodeNetwork>> Journal::LoadNetwork() {
  return LoadMessage<api::NodeNetwork>(network_);
}

absl::Status Journal::SaveNetwork(const api::NodeNetwork& network) {
  return network_.Save(api::Encode(network));
}

absl::StatusOr<std::optional<api::Names>> Journal::LoadNames() {
  return LoadMessage<api::Names>(names_);
}

absl::Status Journal::SaveNames(const api::Names& names) { return names_.Save(api::Encode(names)); }

absl::StatusOr<std::optional<SessionRecord>> Journal::LoadSession() {
  return LoadAs<SessionRecord>(session_, SessionFromJson);
}

absl::Status Journal::SaveSession(const SessionRecord& session) {
  const json::object value = {{"value", session.value}, {"previous", session.previous}};
  return session_.Save(json::serialize(value));
}

}  // namespace bramble::node
