// SPDX-License-Identifier: Apache-2.0
#include "controller/store/row_codec.h"

#include <algorithm>

#include "api/json_lists.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxDocBytes = 16 << 20;

template <typename Record>
SharedText RenderApi(const Record& record) {
  return std::make_shared<const std::string>(json::serialize(api::ToJson(record.api)));
}

// {"api": body, and the members of `own`}.
std::string Doc(const std::string& body, const json::object& own) {
  std::string rest = json::serialize(own);
  if (own.empty()) {
    return StrCat("{\"api\":", body, "}");
  }
  rest.front() = ',';
  return StrCat("{\"api\":", body, rest);
}

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::string Unhex(std::string_view text) {
  std::string bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  }
  return bytes;
}

WallTime FromMs(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
int64_t ToMs(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace

SharedText Render(const ContainerRecord& record) { return RenderApi(record); }
SharedText Render(const NodeRecord& record) { return RenderApi(record); }
SharedText Render(const ImageRecord& record) { return RenderApi(record); }
SharedText Render(const FlavorRecord& record) { return RenderApi(record); }
SharedText Render(const TokenRecord& record) { return RenderApi(record); }
SharedText Render(const OperationRecord& record) { return RenderApi(record); }
SharedText Render(const ProjectRecord& record) { return RenderApi(record); }
SharedText Render(const SecurityGroupRecord& record) { return RenderApi(record); }
SharedText Render(const FloatingIpRecord& record) { return RenderApi(record); }
SharedText Render(const PortForwardRecord& record) { return RenderApi(record); }
SharedText Render(const ReservationRecord& record) { return RenderApi(record); }
SharedText Render(const KeyRecord& record) { return RenderApi(record); }

Row ToRow(const ContainerRecord& record, const std::string& body) {
  const api::Container& container = record.api;
  json::object own;
  own["image_size_bytes"] = record.image_size.count;
  if (record.orphaned) {
    own["orphaned"] = true;
  }
  if (record.moving) {
    own["moving"] = true;
  }
  if (!record.home.empty()) {
    own["home"] = record.home.str();
  }
  if (record.move.has_value()) {
    const ContainerMove& move = *record.move;
    own["move"] = json::object{{"id", move.id},
                               {"phase", kMovePhaseNames[static_cast<size_t>(move.phase)]},
                               {"source", move.source.str()},
                               {"target", move.target.str()},
                               {"tries", move.tries},
                               {"restoring", move.restoring}};
    json::array refused;
    for (const NodeId& node : move.refused) {
      refused.emplace_back(node.str());
    }
    own["move"].as_object()["refused"] = std::move(refused);
  }
  if (!record.context.empty()) {
    own["context"] = record.context;
  }
  if (record.context_mode != api::ContextMode::kFindOut) {
    own["context_mode"] = api::kContextModeNames[static_cast<size_t>(record.context_mode)];
  }
  if (!record.move_failed.empty()) {
    own["move_failed"] = record.move_failed;
  }
  return {
      .kind = RowKind::kContainer,
      .id = container.id.str(),
      .project = container.project.str(),
      .name = container.name.str(),
      .owner = container.status.node_id.str(),
      .state = std::string(api::kContainerStateNames[static_cast<size_t>(container.status.state)]),
      .generation = container.generation,
      .doc = Doc(body, own)};
}

Row ToRow(const NodeRecord& record, const std::string& body) {
  const json::object own = {{"key_sha256", record.key_sha256},
                            {"approved_by", record.approved_by},
                            {"token", record.token.str()},
                            {"session_value", record.session_value},
                            {"previous_session_value", record.previous_session_value},
                            {"tombstones", api::ToJson(record.tombstones)},
                            {"declared_labels", api::ToJson(record.declared_labels)},
                            {"drain_pace", record.drain_pace},
                            {"drain_leaves_pinned", record.drain_leaves_pinned},
                            {"restoring", record.restoring},
                            {"drain_operation", record.drain_operation.str()},
                            {"reset", record.reset}};
  return {.kind = RowKind::kNode,
          .id = record.api.id.str(),
          .name = record.api.name.str(),
          .state = std::string(api::kNodeStateNames[static_cast<size_t>(record.api.state)]),
          .generation = record.api.generation,
          .doc = Doc(body, own)};
}

Row ToRow(const ImageRecord& record, const std::string& body) {
  return {.kind = RowKind::kImage,
          .id = record.api.id.str(),
          .project = record.api.project.str(),
          .name = StrCat(record.api.name, ":", record.api.tag),
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const FlavorRecord& record, const std::string& body) {
  return {.kind = RowKind::kFlavor,
          .id = record.api.name.str(),
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const TokenRecord& record, const std::string& body) {
  return {.kind = RowKind::kToken,
          .id = record.api.id.str(),
          .state = record.api.revoked ? "revoked" : "valid",
          .generation = record.api.generation,
          .doc = Doc(body, {{"secret_sha256", Hex(record.secret_sha256)}})};
}

Row ToRow(const OperationRecord& record, const std::string& body) {
  const json::object own = {{"project", record.project},
                            {"deadline_ms", ToMs(record.deadline)},
                            {"wanted_generation", record.wanted_generation}};
  return {.kind = RowKind::kOperation,
          .id = record.api.id.str(),
          .project = record.project,
          .name = record.api.kind,
          .state = std::string(api::kOperationStateNames[static_cast<size_t>(record.api.state)]),
          .doc = Doc(body, own)};
}

Row ToRow(const ProjectRecord& record, const std::string& body) {
  return {.kind = RowKind::kProject,
          .id = record.api.name.str(),
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const SecurityGroupRecord& record, const std::string& body) {
  return {.kind = RowKind::kSecurityGroup,
          .id = record.Id(),
          .project = record.api.project.str(),
          .name = record.api.name,
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const FloatingIpRecord& record, const std::string& body) {
  return {.kind = RowKind::kFloatingIp,
          .id = record.api.address.str(),
          .project = record.api.project.str(),
          .owner = record.api.container_id.str(),
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const PortForwardRecord& record, const std::string& body) {
  return {.kind = RowKind::kPortForward,
          .id = record.api.Key(),
          .project = record.api.project.str(),
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const ReservationRecord& record, const std::string& body) {
  return {.kind = RowKind::kReservation,
          .id = record.api.name,
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const KeyRecord& record, const std::string& body) {
  return {.kind = RowKind::kKey,
          .id = record.Id(),
          .project = record.api.project.str(),
          .name = record.api.name,
          .generation = record.api.generation,
          .doc = Doc(body, {})};
}

Row ToRow(const ContextRecord& record) {
  return {.kind = RowKind::kContext,
          .id = record.id,
          .doc = json::serialize(api::ToJson(record.context))};
}

namespace {

json::object SettingsToJson(const NetworkSettings& settings) {
  json::array upstream;
  for (const Ipv4 address : settings.upstream_dns) {
    upstream.emplace_back(address.str());
  }
  return {{"generation", settings.generation},
          {"ranges", api::ToJson(settings.ranges)},
          {"guests", settings.guests},
          {"masquerade", settings.masquerade},
          {"upstream_dns", std::move(upstream)},
          {"old_prefix", settings.old_prefix},
          {"old_prefix_until_ms", settings.old_prefix_until_ms}};
}

}  // namespace

Row ToRow(const ClusterRecord& record) {
  json::array frozen_pools;
  for (const std::string& pool : record.frozen_pools) {
    frozen_pools.emplace_back(pool);
  }
  const json::object doc = {{"name", record.name},
                            {"epoch", record.epoch},
                            {"prefix", record.prefix},
                            {"initialised", record.initialised},
                            {"adopting", record.adopting},
                            {"lost_after_ms", record.lost_after_ms},
                            {"highest_signed_time_ms", record.highest_signed_time_ms},
                            {"frozen_pools", std::move(frozen_pools)},
                            {"network", SettingsToJson(record.network)}};
  return {.kind = RowKind::kCluster,
          .id = record.id.str(),
          .name = record.name,
          .doc = json::serialize(doc)};
}

Row ToRow(const UserRecord& record) {
  const json::object doc = {{"role", record.role}, {"created_at_ms", ToMs(record.created_at)}};
  return {.kind = RowKind::kUser,
          .id = record.id.str(),
          .name = record.name,
          .doc = json::serialize(doc)};
}

Row ToRow(const CredentialRecord& record) {
  json::object doc = {{"secret_sha256", record.secret_sha256},
                      {"created_at_ms", ToMs(record.created_at)}};
  if (record.expires_at.has_value()) {
    doc["expires_at_ms"] = ToMs(*record.expires_at);
  }
  return {.kind = RowKind::kCredential,
          .id = record.id,
          .name = record.label,
          .owner = record.user.str(),
          .doc = json::serialize(doc)};
}

Row ToRow(const IdempotencyRecord& record) {
  const json::object doc = {
      {"fingerprint", record.fingerprint},  {"body", record.body},
      {"operation", record.operation_body}, {"operation_id", record.operation_id},
      {"generation", record.generation},    {"created_at_ms", ToMs(record.created_at)}};
  return {.kind = RowKind::kIdempotency, .id = record.key, .doc = json::serialize(doc)};
}

namespace {

// The part of a row that is not the API's, and the API's part in `doc`.
struct Reader {
  explicit Reader(const Row& of) : row(of) {}

  absl::Status Open() {
    json::error_code error;
    value = json::parse(row.doc, error);
    if (error || !value.is_object() || row.doc.size() > kMaxDocBytes) {
      return absl::DataLossError("not a JSON object");
    }
    own.emplace(value, "doc");
    return absl::OkStatus();
  }
  const json::value& api() {
    static const json::value kMissing;
    const json::value* found = own->Find("api");
    return found == nullptr ? kMissing : *found;
  }
  std::string Text(std::string_view key) {
    return own->OptionalString(key, {.max = kMaxDocBytes, .allow_control = true}).value_or("");
  }
  int64_t Int(std::string_view key) { return own->OptionalInt(key).value_or(0); }
  uint64_t Unsigned(std::string_view key) { return static_cast<uint64_t>(Int(key)); }
  bool Bool(std::string_view key) { return own->OptionalBool(key).value_or(false); }

  const Row& row;
  json::value value;
  std::optional<JsonObjectReader> own;
};

absl::StatusOr<ContainerMove> ReadMove(const json::value& value) {
  ContainerMove move;
  JsonObjectReader reader(value, "move");
  move.id = reader.String("id");
  const std::string phase = reader.String("phase");
  const auto* const known =
      std::find(std::begin(kMovePhaseNames), std::end(kMovePhaseNames), phase);
  if (known == std::end(kMovePhaseNames)) {
    reader.Fail("phase", "unknown");
  }
  move.phase = static_cast<MovePhase>(known - std::begin(kMovePhaseNames));
  move.source = NodeId::Trusted(reader.String("source"));
  move.target = NodeId::Trusted(reader.String("target"));
  move.tries = reader.Int("tries", {.min = 0});
  move.restoring = reader.OptionalBool("restoring").value_or(false);
  for (const std::string& node : reader.StringList("refused", kMaxMoveTargets)) {
    move.refused.push_back(NodeId::Trusted(node));
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return move;
}

absl::Status ReadContainer(Reader& reader, uint64_t revision, State& state) {
  ContainerRecord record;
  BRAMBLE_ASSIGN_OR_RETURN(record.api, api::ContainerFromJson(reader.api()));
  record.image_size.count = reader.Int("image_size_bytes");
  record.orphaned = reader.Bool("orphaned");
  record.moving = reader.Bool("moving");
  record.home = NodeId::Trusted(reader.Text("home"));
  if (const json::value* move = reader.own->Find("move")) {
    BRAMBLE_ASSIGN_OR_RETURN(record.move, ReadMove(*move));
  }
  record.context = reader.Text("context");
  record.context_mode = api::ParseContextMode(reader.Text("context_mode"));
  record.move_failed = reader.Text("move_failed");
  state.Put(std::move(record), revision);
  return absl::OkStatus();
}

absl::Status ReadNode(Reader& reader, uint64_t revision, State& state) {
  NodeRecord record;
  BRAMBLE_ASSIGN_OR_RETURN(record.api, api::NodeFromJson(reader.api()));
  record.key_sha256 = reader.Text("key_sha256");
  record.approved_by = reader.Text("approved_by");
  record.token = TokenId::Trusted(reader.Text("token"));
  record.session_value = reader.Text("session_value");
  record.previous_session_value = reader.Text("previous_session_value");
  record.tombstones = reader.own->StringList("tombstones", kMaxDocBytes);
  record.declared_labels = reader.own->StringMap("declared_labels");
  record.drain_pace = reader.Int("drain_pace");
  record.drain_leaves_pinned = reader.Bool("drain_leaves_pinned");
  record.restoring = reader.Bool("restoring");
  record.drain_operation = OperationId::Trusted(reader.Text("drain_operation"));
  record.reset = reader.Bool("reset");
  state.Put(std::move(record), revision);
  return absl::OkStatus();
}

absl::Status ReadOperation(Reader& reader, uint64_t revision, State& state) {
  OperationRecord record;
  BRAMBLE_ASSIGN_OR_RETURN(record.api, api::OperationFromJson(reader.api()));
  record.project = reader.Text("project");
  record.deadline = FromMs(reader.Int("deadline_ms"));
  record.wanted_generation = reader.Unsigned("wanted_generation");
  state.Put(std::move(record), revision);
  return absl::OkStatus();
}

absl::Status ReadToken(Reader& reader, uint64_t revision, State& state) {
  TokenRecord record;
  BRAMBLE_ASSIGN_OR_RETURN(record.api, api::TokenFromJson(reader.api()));
  record.secret_sha256 = Unhex(reader.Text("secret_sha256"));
  state.Put(std::move(record), revision);
  return absl::OkStatus();
}

NetworkSettings SettingsField(JsonObjectReader& parent) {
  NetworkSettings settings;
  const json::value* value = parent.Find("network");
  if (value == nullptr) {
    return settings;  // of a version that had none
  }
  JsonObjectReader reader(*value, "network");
  settings.generation = static_cast<uint64_t>(reader.OptionalInt("generation").value_or(1));
  settings.ranges = api::RangesField(reader, "ranges", UnknownKeys::kIgnore);
  settings.guests = reader.OptionalBool("guests").value_or(false);
  settings.masquerade = reader.OptionalBool("masquerade").value_or(false);
  settings.upstream_dns = api::AddressList(reader, "upstream_dns", api::kMaxUpstreamDns);
  settings.old_prefix = reader.OptionalString("old_prefix").value_or("");
  settings.old_prefix_until_ms = reader.OptionalInt("old_prefix_until_ms").value_or(0);
  parent.Merge(reader.Finish());
  return settings;
}

// A record that is all API.
template <typename Record, typename Parse>
absl::Status ReadApiOnly(Reader& reader, uint64_t revision, State& state, const Parse& parse) {
  Record record;
  BRAMBLE_ASSIGN_OR_RETURN(record.api, parse(reader.api()));
  state.Put(std::move(record), revision);
  return absl::OkStatus();
}

absl::Status ReadNetworkObject(Reader& reader, uint64_t revision, State& state) {
  switch (reader.row.kind) {
    case RowKind::kProject:
      return ReadApiOnly<ProjectRecord>(reader, revision, state, [](const json::value& value) {
        return api::ProjectFromJson(value);
      });
    case RowKind::kSecurityGroup:
      return ReadApiOnly<SecurityGroupRecord>(
          reader, revision, state,
          [](const json::value& value) { return api::SecurityGroupFromJson(value); });
    case RowKind::kFloatingIp:
      return ReadApiOnly<FloatingIpRecord>(reader, revision, state, [](const json::value& value) {
        return api::FloatingIpFromJson(value);
      });
    case RowKind::kPortForward:
      return ReadApiOnly<PortForwardRecord>(reader, revision, state, [](const json::value& value) {
        return api::PortForwardFromJson(value);
      });
    default:
      return ReadApiOnly<ReservationRecord>(reader, revision, state, [](const json::value& value) {
        return api::ReservationFromJson(value);
      });
  }
}

absl::Status ReadCluster(Reader& reader, uint64_t revision, State& state) {
  ClusterRecord record;
  record.id = ClusterId::Trusted(reader.row.id);
  record.name = reader.Text("name");
  record.epoch = reader.Unsigned("epoch");
  record.prefix = reader.Text("prefix");
  record.initialised = reader.Bool("initialised");
  record.adopting = reader.Bool("adopting");
  record.lost_after_ms = reader.Int("lost_after_ms");
  record.highest_signed_time_ms = reader.Int("highest_signed_time_ms");
  const std::vector<std::string> frozen = reader.own->StringList("frozen_pools", kMaxDocBytes);
  record.frozen_pools = {frozen.begin(), frozen.end()};
  record.network = SettingsField(*reader.own);
  state.Put(std::move(record), revision);
  return absl::OkStatus();
}

absl::Status ReadPlain(Reader& reader, uint64_t revision, State& state) {
  const Row& row = reader.row;
  if (row.kind == RowKind::kUser) {
    state.Put(UserRecord{.id = UserId::Trusted(row.id),
                         .name = row.name,
                         .role = reader.Text("role"),
                         .created_at = FromMs(reader.Int("created_at_ms"))},
              revision);
  } else if (row.kind == RowKind::kCredential) {
    CredentialRecord record{.id = row.id,
                            .user = UserId::Trusted(row.owner),
                            .secret_sha256 = reader.Text("secret_sha256"),
                            .label = row.name,
                            .created_at = FromMs(reader.Int("created_at_ms"))};
    if (reader.own->Has("expires_at_ms")) {
      record.expires_at = FromMs(reader.Int("expires_at_ms"));
    }
    state.Put(std::move(record), revision);
  } else {
    state.Put(IdempotencyRecord{.key = row.id,
                                .fingerprint = reader.Text("fingerprint"),
                                .body = reader.Text("body"),
                                .operation_body = reader.Text("operation"),
                                .operation_id = reader.Text("operation_id"),
                                .generation = reader.Unsigned("generation"),
                                .created_at = FromMs(reader.Int("created_at_ms"))},
              revision);
  }
  return absl::OkStatus();
}

absl::Status ReadInto(Reader& reader, uint64_t revision, State& state) {
  BRAMBLE_RETURN_IF_ERROR(reader.Open());
  switch (reader.row.kind) {
    case RowKind::kCluster:
      return ReadCluster(reader, revision, state);
    case RowKind::kNode:
      return ReadNode(reader, revision, state);
    case RowKind::kContainer:
      return ReadContainer(reader, revision, state);
    case RowKind::kImage: {
      BRAMBLE_ASSIGN_OR_RETURN(api::Image image, api::ImageFromJson(reader.api()));
      state.Put(ImageRecord{std::move(image)}, revision);
      return absl::OkStatus();
    }
    case RowKind::kFlavor: {
      BRAMBLE_ASSIGN_OR_RETURN(api::Flavor flavor, api::FlavorFromJson(reader.api()));
      state.Put(FlavorRecord{std::move(flavor)}, revision);
      return absl::OkStatus();
    }
    case RowKind::kToken:
      return ReadToken(reader, revision, state);
    case RowKind::kOperation:
      return ReadOperation(reader, revision, state);
    case RowKind::kUser:
    case RowKind::kCredential:
    case RowKind::kIdempotency:
      return ReadPlain(reader, revision, state);
    case RowKind::kProject:
    case RowKind::kSecurityGroup:
    case RowKind::kFloatingIp:
    case RowKind::kPortForward:
    case RowKind::kReservation:
      return ReadNetworkObject(reader, revision, state);
    case RowKind::kKey:
      return ReadApiOnly<KeyRecord>(reader, revision, state, [](const json::value& value) {
        return api::KeyFromJson(value);
      });
    case RowKind::kContext: {
      ContextRecord record;
      record.id = reader.row.id;
      BRAMBLE_ASSIGN_OR_RETURN(record.context,
                               api::ContextFromJson(reader.value, "context", UnknownKeys::kIgnore));
      state.Put(std::move(record), revision);
      return absl::OkStatus();
    }
  }
  return absl::InternalError("unknown kind");
}

}  // namespace

absl::Status ReadRow(const Row& row, uint64_t revision, State& state) {
  Reader reader(row);
  absl::Status status = ReadInto(reader, revision, state);
  if (status.ok() && reader.own.has_value()) {
    status = reader.own->Finish();
  }
  if (!status.ok()) {
    return absl::DataLossError(StrCat("stored object \"", row.id, "\": ", MessageOf(status)));
  }
  return absl::OkStatus();
}

absl::StatusOr<EventRecord> ReadEvent(const StoredEvent& stored) {
  json::error_code error;
  const json::value value = json::parse(stored.doc, error);
  if (error) {
    return absl::DataLossError(StrCat("stored event of revision ", stored.revision, ": not JSON"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const api::Event event, api::EventFromJson(value));
  return EventRecord{.revision = stored.revision,
                     .type = event.type,
                     .project = event.object.project,
                     .body = std::make_shared<const std::string>(stored.doc)};
}

}  // namespace bramble::controller
