// SPDX-License-Identifier: Apache-2.0
#include "api/node_protocol.h"

#include "api/labels.h"
#include "base/status.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxImages = 1000;
constexpr size_t kMaxFloatingAddresses = 64;

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

json::array IdsToJson(const std::vector<ContainerId>& ids) {
  json::array array;
  for (const ContainerId& id : ids) {
    array.emplace_back(id.str());
  }
  return array;
}

std::vector<ContainerId> IdsField(JsonObjectReader& reader, std::string_view key) {
  std::vector<ContainerId> ids;
  for (const std::string& text : reader.StringList(key, kMaxContainersPerNode)) {
    absl::StatusOr<ContainerId> id = ContainerId::Parse(text);
    if (!id.ok()) {
      reader.Fail(key, MessageOf(id.status()));
      break;
    }
    ids.push_back(*std::move(id));
  }
  return ids;
}

Inventory InventoryField(JsonObjectReader& reader) {
  const json::value* value = reader.Find("inventory");
  if (value == nullptr) {
    reader.Fail("inventory", "missing");
    return {};
  }
  absl::StatusOr<Inventory> inventory = InventoryFromJson(*value, reader.PathOf("inventory"));
  reader.Merge(inventory.status());
  return std::move(inventory).value_or(Inventory{});
}

json::value ValueField(JsonObjectReader& reader, std::string_view key) {
  const json::value* value = reader.Find(key);
  return value == nullptr ? json::value() : *value;
}

template <typename Int = int64_t>
Int CountField(JsonObjectReader& reader, std::string_view key) {
  return static_cast<Int>(reader.OptionalInt(key, {.min = 0}).value_or(0));
}

std::string TextField(JsonObjectReader& reader, std::string_view key) {
  return reader.OptionalString(key).value_or("");
}

json::object WithNetwork(json::object body, const std::optional<NetworkReport>& network) {
  if (network.has_value()) {
    body["network"] = ToJson(*network);
  }
  return body;
}

std::optional<NetworkReport> NetworkField(JsonObjectReader& reader) {
  const json::value* value = reader.Find("network");
  if (value == nullptr) {
    return std::nullopt;
  }
  absl::StatusOr<NetworkReport> report = NetworkReportFromJson(*value, reader.PathOf("network"));
  reader.Merge(report.status());
  return std::move(report).value_or(NetworkReport{});
}

// ---- one pair per message

json::object Body(const Hello& m) {
  json::object body = {{"type", "hello"},
                       {"protocol", m.protocol},
                       {"version", VersionToJson(m.version)},
                       {"session_value", m.session_value},
                       {"previous_session_value", m.previous_session_value},
                       {"inventory", ToJson(m.inventory)},
                       {"conditions", ToJson(m.conditions)},
                       {"hostname", m.hostname},
                       {"address", m.address},
                       {"labels", ToJson(m.labels)},
                       {"images", ToJson(m.images)},
                       {"wall_time_ms", m.wall_time_ms}};
  return WithNetwork(std::move(body), m.network);
}
void Read(JsonObjectReader& r, Hello& m) {
  m.protocol = static_cast<int>(r.Int("protocol", {.min = 1, .max = 1'000'000}));
  m.version = VersionField(r, "version");
  m.session_value = TextField(r, "session_value");
  m.previous_session_value = TextField(r, "previous_session_value");
  m.inventory = InventoryField(r);
  m.conditions = ConditionsField(r, "conditions");
  m.hostname = TextField(r, "hostname");
  m.address = TextField(r, "address");
  m.labels = r.StringMap("labels", kMaxLabels);
  m.images = r.StringList("images", kMaxImages);
  m.wall_time_ms = r.OptionalInt("wall_time_ms").value_or(0);
  m.network = NetworkField(r);
}

json::object Body(const Heartbeat& m) {
  json::object body = {{"type", "heartbeat"},
                       {"sequence", m.sequence},
                       {"sent_boot_ns", m.sent_boot_ns},
                       {"version", VersionToJson(m.version)},
                       {"conditions", ToJson(m.conditions)}};
  if (m.clock_step_ms != 0) {
    body["clock_step_ms"] = m.clock_step_ms;
  }
  return body;
}
void Read(JsonObjectReader& r, Heartbeat& m) {
  m.sequence = CountField<uint64_t>(r, "sequence");
  m.sent_boot_ns = r.Int("sent_boot_ns", {.min = 0});
  m.version = VersionField(r, "version");
  m.conditions = ConditionsField(r, "conditions");
  m.clock_step_ms = r.OptionalInt("clock_step_ms").value_or(0);
}

json::object Body(const Report& m) {
  json::array containers;
  for (const ObservedContainer& container : m.containers) {
    containers.push_back(ToJson(container));
  }
  json::object body = {{"type", "report"},
                       {"full", m.full},
                       {"version", VersionToJson(m.version)},
                       {"containers", std::move(containers)},
                       {"removed", IdsToJson(m.removed)},
                       {"images", ToJson(m.images)},
                       {"images_changed", m.images_changed}};
  return WithNetwork(std::move(body), m.network);
}
void Read(JsonObjectReader& r, Report& m) {
  m.full = r.Bool("full");
  m.version = VersionField(r, "version");
  for (const json::value* value : r.List("containers", kMaxContainersPerNode)) {
    absl::StatusOr<ObservedContainer> container =
        ObservedContainerFromJson(*value, r.PathOf("containers"));
    r.Merge(container.status());
    m.containers.push_back(std::move(container).value_or(ObservedContainer{}));
  }
  m.removed = IdsField(r, "removed");
  m.images = r.StringList("images", kMaxImages);
  m.images_changed = r.OptionalBool("images_changed").value_or(false);
  m.network = NetworkField(r);
}

json::object Body(const CommandResult& m) {
  return {{"type", "command_result"},
          {"command_id", m.command_id},
          {"error_code", m.error_code},
          {"error", m.error},
          {"result", m.result}};
}
void Read(JsonObjectReader& r, CommandResult& m) {
  m.command_id = r.String("command_id", {.max = 64});
  m.error_code = TextField(r, "error_code");
  m.error = r.OptionalString("error", {.allow_control = true}).value_or("");
  m.result = ValueField(r, "result");
}

json::object Body(const Resync&) { return {{"type", "resync"}}; }
void Read(JsonObjectReader&, Resync&) {}

json::object Body(const Welcome& m) {
  return {{"type", "welcome"},
          {"epoch", m.epoch},
          {"cluster_id", m.cluster_id.str()},
          {"name", m.name.str()},
          {"session_value", m.session_value},
          {"heartbeat_ms", m.heartbeat_ms},
          {"lease_ms", m.lease_ms},
          {"stop_ms", m.stop_ms},
          {"signed_time_ms", m.signed_time_ms},
          {"address", m.address}};
}
void Read(JsonObjectReader& r, Welcome& m) {
  m.epoch = CountField<uint64_t>(r, "epoch");
  m.cluster_id = r.Parsed<ClusterId>("cluster_id");
  m.name = r.Parsed<NodeName>("name");
  m.session_value = TextField(r, "session_value");
  m.heartbeat_ms = r.Int("heartbeat_ms", {.min = 1});
  m.lease_ms = CountField(r, "lease_ms");
  m.stop_ms = CountField(r, "stop_ms");
  m.signed_time_ms = CountField(r, "signed_time_ms");
  m.address = TextField(r, "address");
}

json::object Body(const HeartbeatReply& m) {
  return {{"type", "heartbeat_reply"},      {"sequence", m.sequence},
          {"sent_boot_ns", m.sent_boot_ns}, {"lease_ms", m.lease_ms},
          {"heartbeat_ms", m.heartbeat_ms}, {"signed_time_ms", m.signed_time_ms}};
}
void Read(JsonObjectReader& r, HeartbeatReply& m) {
  m.sequence = CountField<uint64_t>(r, "sequence");
  m.sent_boot_ns = CountField(r, "sent_boot_ns");
  m.lease_ms = CountField(r, "lease_ms");
  m.heartbeat_ms = r.Int("heartbeat_ms", {.min = 1});
  m.signed_time_ms = CountField(r, "signed_time_ms");
}

json::object Body(const Desired& m) {
  json::array containers;
  for (const NodeContainer& container : m.containers) {
    containers.push_back(ToJson(container));
  }
  return {{"type", "desired"},
          {"version", VersionToJson(m.version)},
          {"base", VersionToJson(m.base)},
          {"full", m.full},
          {"containers", std::move(containers)},
          {"tombstones", IdsToJson(m.tombstones)}};
}
void Read(JsonObjectReader& r, Desired& m) {
  m.version = VersionField(r, "version");
  m.base = VersionField(r, "base");
  m.full = r.Bool("full");
  for (const json::value* value : r.List("containers", kMaxContainersPerNode)) {
    absl::StatusOr<NodeContainer> container = NodeContainerFromJson(*value, r.PathOf("containers"));
    r.Merge(container.status());
    m.containers.push_back(std::move(container).value_or(NodeContainer{}));
  }
  m.tombstones = IdsField(r, "tombstones");
}

json::object Body(const OpenStream& m) {
  json::object body = {{"type", "open_stream"},
                       {"ticket", m.ticket},
                       {"kind", Name(kStreamKindNames[static_cast<size_t>(m.kind)])},
                       {"container", m.container.str()},
                       {"command", ToJson(m.command)},
                       {"environment", ToJson(m.environment)},
                       {"user", m.user},
                       {"working_directory", m.working_directory},
                       {"tty", m.tty},
                       {"interactive", m.interactive},
                       {"rows", m.rows},
                       {"columns", m.columns},
                       {"tail_lines", m.tail_lines},
                       {"follow", m.follow},
                       {"path", m.path},
                       {"mode", m.mode},
                       {"uid", m.uid},
                       {"gid", m.gid},
                       {"size_bytes", m.size_bytes}};
  if (!m.move.empty()) {
    body["move"] = m.move;
  }
  if (m.tree) {
    body["tree"] = true;
  }
  return body;
}
void Read(JsonObjectReader& r, OpenStream& m) {
  m.ticket = r.String("ticket", {.max = 128, .allow_empty = false});
  m.kind = EnumField<StreamKind>(r, "kind", kStreamKindNames);
  m.container = r.Parsed<ContainerId>("container");
  m.command = r.StringList("command", 1000, {.max = 131072, .allow_control = true});
  m.environment = r.StringMap("environment", kMaxEnvironment, {.allow_control = true});
  m.user = TextField(r, "user");
  m.working_directory = TextField(r, "working_directory");
  m.tty = r.OptionalBool("tty").value_or(false);
  m.interactive = r.OptionalBool("interactive").value_or(false);
  m.rows = CountField(r, "rows");
  m.columns = CountField(r, "columns");
  m.tail_lines = CountField(r, "tail_lines");
  m.follow = r.OptionalBool("follow").value_or(false);
  m.path = TextField(r, "path");
  m.mode = CountField(r, "mode");
  m.tree = r.OptionalBool("tree").value_or(false);
  m.uid = r.OptionalInt("uid", {.min = -1}).value_or(0);
  m.gid = r.OptionalInt("gid", {.min = -1}).value_or(0);
  m.size_bytes = r.OptionalInt("size_bytes", {.min = -1}).value_or(0);
  m.move = TextField(r, "move");
}

json::object Body(const Command& m) {
  return {{"type", "command"},
          {"command_id", m.command_id},
          {"verb", m.verb},
          {"arguments", m.arguments},
          {"not_after_ms", m.not_after_ms}};
}
void Read(JsonObjectReader& r, Command& m) {
  m.command_id = r.String("command_id", {.max = 64, .allow_empty = false});
  m.verb = r.String("verb", {.max = 64});
  m.arguments = ValueField(r, "arguments");
  m.not_after_ms = CountField(r, "not_after_ms");
}

json::object Body(const Held& m) {
  json::object body = {{"type", "held"}, {"reason", m.reason}};
  if (m.new_identity) {
    body["new_identity"] = true;
  }
  return body;
}
void Read(JsonObjectReader& r, Held& m) {
  m.reason = TextField(r, "reason");
  m.new_identity = r.OptionalBool("new_identity").value_or(false);
}

template <typename Variant, typename Message>
absl::StatusOr<Variant> ReadMessage(JsonObjectReader& reader) {
  Message message;
  Read(reader, message);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return Variant(std::move(message));
}

absl::Status UnknownType(const std::string& type) {
  return absl::UnimplementedError(StrCat("message of unknown type \"", type.substr(0, 40), "\""));
}

template <typename Variant>
std::string EncodeAny(const Variant& message) {
  return std::visit([](const auto& body) { return json::serialize(Body(body)); }, message);
}

}  // namespace

std::string Encode(const NodeMessage& message) { return EncodeAny(message); }
std::string Encode(const ControllerMessage& message) { return EncodeAny(message); }

absl::StatusOr<NodeMessage> DecodeNodeMessage(std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(text, kMaxNodeMessageBytes));
  JsonObjectReader reader(value, "message");
  const std::string type = reader.String("type");
  if (type == "hello") return ReadMessage<NodeMessage, Hello>(reader);
  if (type == "heartbeat") return ReadMessage<NodeMessage, Heartbeat>(reader);
  if (type == "report") return ReadMessage<NodeMessage, Report>(reader);
  if (type == "command_result") return ReadMessage<NodeMessage, CommandResult>(reader);
  if (type == "resync") return ReadMessage<NodeMessage, Resync>(reader);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return UnknownType(type);
}

absl::StatusOr<ControllerMessage> DecodeControllerMessage(std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(text, kMaxNodeMessageBytes));
  JsonObjectReader reader(value, "message");
  const std::string type = reader.String("type");
  if (type == "welcome") return ReadMessage<ControllerMessage, Welcome>(reader);
  if (type == "heartbeat_reply") return ReadMessage<ControllerMessage, HeartbeatReply>(reader);
  if (type == "desired") return ReadMessage<ControllerMessage, Desired>(reader);
  if (type == "open_stream") return ReadMessage<ControllerMessage, OpenStream>(reader);
  if (type == "command") return ReadMessage<ControllerMessage, Command>(reader);
  if (type == "held") return ReadMessage<ControllerMessage, Held>(reader);
  if (type == "network") return ReadMessage<ControllerMessage, NodeNetwork>(reader);
  if (type == "names") return ReadMessage<ControllerMessage, Names>(reader);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return UnknownType(type);
}

json::object ToJson(const NodeContainer& container) {
  json::object object = {{"id", container.id.str()},
                         {"name", container.name.str()},
                         {"project", container.project.str()},
                         {"generation", container.generation},
                         {"spec", ToJson(container.spec)},
                         {"image_digest", container.image_digest},
                         {"image_size_bytes", container.image_size.count},
                         {"architecture", container.architecture},
                         {"address", container.address},
                         {"mac", container.mac},
                         {"gateway", container.gateway},
                         {"dns", ToJson(container.dns)},
                         {"search_domain", container.search_domain}};
  if (!container.layer_move.empty()) {
    object["layer_move"] = container.layer_move;
  }
  if (!container.context.empty()) {
    object["context"] = container.context;
  }
  if (container.context_mode != ContextMode::kFindOut) {
    object["context_mode"] = kContextModeNames[static_cast<size_t>(container.context_mode)];
  }
  if (!container.floating_addresses.empty()) {
    object["floating_addresses"] = AddressesToJson(container.floating_addresses);
  }
  if (container.firewall.has_value()) {
    object["firewall"] = ToJson(*container.firewall);
  }
  return object;
}

absl::StatusOr<NodeContainer> NodeContainerFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  NodeContainer container;
  container.id = reader.Parsed<ContainerId>("id");
  container.name = reader.Parsed<ContainerName>("name");
  container.project = reader.Parsed<ProjectName>("project");
  container.generation = reader.Int("generation", {.min = 0});
  container.image_digest = TextField(reader, "image_digest");
  container.layer_move = TextField(reader, "layer_move");
  container.context = TextField(reader, "context");
  if (reader.ok() && !container.context.empty()) {
    reader.Merge(Annotate(CheckId("context", container.context), reader.PathOf("context")));
  }
  container.context_mode = ParseContextMode(TextField(reader, "context_mode"));
  container.image_size.count = CountField(reader, "image_size_bytes");
  container.architecture = TextField(reader, "architecture");
  container.address = TextField(reader, "address");
  container.mac = TextField(reader, "mac");
  container.gateway = TextField(reader, "gateway");
  container.dns = reader.StringList("dns", 8);
  container.search_domain = TextField(reader, "search_domain");
  container.floating_addresses = AddressList(reader, "floating_addresses", kMaxFloatingAddresses);
  if (const json::value* firewall = reader.Find("firewall")) {
    absl::StatusOr<ContainerFirewall> parsed =
        ContainerFirewallFromJson(*firewall, reader.PathOf("firewall"));
    reader.Merge(parsed.status());
    container.firewall = std::move(parsed).value_or(ContainerFirewall{});
  }
  const json::value* spec = reader.Find("spec");
  if (spec == nullptr) {
    reader.Fail("spec", "missing");
  } else {
    absl::StatusOr<ContainerSpec> parsed =
        ContainerSpecFromJson(*spec, reader.PathOf("spec"), UnknownKeys::kIgnore);
    reader.Merge(parsed.status());
    container.spec = std::move(parsed).value_or(ContainerSpec{});
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return container;
}

json::object ToJson(const ObservedContainer& container) {
  json::object object = {
      {"id", container.id.str()},
      {"name", container.name.str()},
      {"project", container.project.str()},
      {"generation", container.generation},
      {"restart_count", container.restart_count},
      {"rebuild_count", container.rebuild_count},
      {"state", Name(kContainerStateNames[static_cast<size_t>(container.state)])},
      {"reason", container.reason},
      {"restarts", container.restarts},
      {"disk_limit_mode", container.disk_limit_mode}};
  if (container.ran) {
    object["ran"] = true;
  }
  if (!container.conditions.empty()) {
    object["conditions"] = ToJson(container.conditions);
  }
  if (container.exit_code.has_value()) {
    object["exit_code"] = *container.exit_code;
  }
  if (container.started_at.has_value()) {
    object["started_at"] = FormatTime(*container.started_at);
  }
  if (container.definition.has_value()) {
    object["definition"] = ToJson(*container.definition);
  }
  return object;
}

absl::StatusOr<ObservedContainer> ObservedContainerFromJson(const json::value& value,
                                                            std::string path) {
  JsonObjectReader reader(value, std::move(path));
  ObservedContainer container;
  container.id = reader.Parsed<ContainerId>("id");
  container.name = reader.OptionalParsed<ContainerName>("name");
  container.project = reader.OptionalParsed<ProjectName>("project");
  container.generation = CountField<uint64_t>(reader, "generation");
  container.restart_count = CountField<uint64_t>(reader, "restart_count");
  container.rebuild_count = CountField<uint64_t>(reader, "rebuild_count");
  container.state = EnumField<ContainerState>(reader, "state", kContainerStateNames);
  container.reason = reader.OptionalString("reason", {.allow_control = true}).value_or("");
  container.exit_code = reader.OptionalInt("exit_code");
  container.started_at = OptionalTimeField(reader, "started_at");
  container.restarts = CountField<uint64_t>(reader, "restarts");
  container.ran = reader.OptionalBool("ran").value_or(false);
  container.disk_limit_mode = TextField(reader, "disk_limit_mode");
  container.conditions = ConditionsField(reader, "conditions");
  if (const json::value* definition = reader.Find("definition")) {
    absl::StatusOr<NodeContainer> parsed =
        NodeContainerFromJson(*definition, reader.PathOf("definition"));
    reader.Merge(parsed.status());
    container.definition = std::move(parsed).value_or(NodeContainer{});
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return container;
}

json::object ToJson(const JoinRequest& request) {
  return {{"csr_pem", request.csr_pem},
          {"token_id", request.token_id.str()},
          {"proof", request.proof},
          {"hostname", request.hostname},
          {"inventory", ToJson(request.inventory)},
          {"address", request.address},
          {"labels", ToJson(request.labels)}};
}

absl::StatusOr<JoinRequest> JoinRequestFromJson(const json::value& value) {
  JsonObjectReader reader(value, "join");
  JoinRequest request;
  request.csr_pem = reader.String("csr_pem", {.max = 8192, .allow_control = true});
  request.token_id = reader.OptionalParsed<TokenId>("token_id");
  request.proof = TextField(reader, "proof");
  request.hostname = TextField(reader, "hostname");
  request.inventory = InventoryField(reader);
  request.address = TextField(reader, "address");
  request.labels = reader.StringMap("labels", kMaxLabels);
  reader.Merge(CheckLabels(request.labels, "join.labels"));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return request;
}

json::object ToJson(const JoinReply& reply) {
  return {{"pending", reply.pending},
          {"code", reply.code},
          {"retry_ms", reply.retry_ms},
          {"node_id", reply.node_id.str()},
          {"name", reply.name.str()},
          {"cluster_id", reply.cluster_id.str()},
          {"certificate_pem", reply.certificate_pem},
          {"ca_pem", reply.ca_pem},
          {"address", reply.address},
          {"signed_time_ms", reply.signed_time_ms}};
}

absl::StatusOr<JoinReply> JoinReplyFromJson(const json::value& value) {
  JsonObjectReader reader(value, "join reply");
  const StringLimits pem = {.max = 65536, .allow_control = true};
  JoinReply reply;
  reply.pending = reader.Bool("pending");
  reply.code = TextField(reader, "code");
  reply.retry_ms = CountField(reader, "retry_ms");
  reply.node_id = reader.OptionalParsed<NodeId>("node_id");
  reply.name = reader.OptionalParsed<NodeName>("name");
  reply.cluster_id = reader.OptionalParsed<ClusterId>("cluster_id");
  reply.certificate_pem = reader.OptionalString("certificate_pem", pem).value_or("");
  reply.ca_pem = reader.OptionalString("ca_pem", pem).value_or("");
  reply.address = TextField(reader, "address");
  reply.signed_time_ms = CountField(reader, "signed_time_ms");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return reply;
}

}  // namespace bramble::api
