// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_containers.h"

#include <algorithm>

#include "api/problem.h"
#include "api/project.h"
#include "api/public_key.h"
#include "base/status.h"
#include "controller/container_service.h"
#include "controller/coordinator_images.h"
#include "controller/network_services.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

constexpr int64_t kLeastMemory = 4 * kMiB;

std::string Field(const ContainerRecord& record, std::string_view key) {
  const api::Container& container = record.api;
  if (key == "name") return container.name.str();
  if (key == "id") return container.id.str();
  if (key == "project") return container.project.str();
  if (key == "node") return container.status.node;
  if (key == "image") return container.spec.image;
  if (key == "flavor") return container.spec.flavor;
  if (key == "address") return container.status.address;
  if (key == "class") {
    return std::string(
        api::kPlacementClassNames[static_cast<size_t>(container.spec.placement.placement_class)]);
  }
  return std::string(api::kContainerStateNames[static_cast<size_t>(container.status.state)]);
}

Listing<ContainerRecord> ContainerListing() {
  return {.keys = {"name", "id", "project", "state", "node", "image", "flavor", "address", "class"},
          .field = Field,
          .labels = [](const ContainerRecord& record) { return &record.api.spec.labels; },
          .project = [](const ContainerRecord& record) { return record.api.project.str(); },
          .order =
              [](const ContainerRecord& record) {
                return StrCat(record.api.name.str(), "/", record.api.project.str());
              }};
}

// RFC 7396.
void MergePatch(json::value& target, const json::value& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) {
    target = json::object();
  }
  for (const auto& member : patch.as_object()) {
    if (member.value().is_null()) {
      target.as_object().erase(member.key());
    } else {
      MergePatch(target.as_object()[member.key()], member.value());
    }
  }
}

absl::Status CheckSpec(const api::ContainerSpec& spec, const State& state,
                       const std::string& project) {
  if (spec.limits.memory.count < kLeastMemory) {
    return absl::InvalidArgumentError(
        StrCat("limits.memory_bytes: at least ", kLeastMemory, " (4 MiB)"));
  }
  BRAMBLE_RETURN_IF_ERROR(api::CheckLabels(spec.labels, "labels"));
  BRAMBLE_RETURN_IF_ERROR(api::ParseImageReference(spec.image).status());
  if (state.FindImage(project, spec.image) == nullptr) {
    return absl::NotFoundError(StrCat("image \"", spec.image,
                                      "\": not found; `bramble image list` "
                                      "shows what there is, `bramble image import` adds one"));
  }
  BRAMBLE_RETURN_IF_ERROR(LedgerSecurityGroups::Check(state, project, spec.groups));
  if (!spec.placement.node.empty() && state.FindNode(spec.placement.node) == nullptr) {
    return NotFound("node", spec.placement.node);
  }
  return absl::OkStatus();
}

// What the image's label says.
api::ContextMode ContextModeOf(const State& state, const ContainerRecord& record) {
  const ImageRecord* image = state.FindImage(record.api.project.str(), record.api.spec.image);
  if (image == nullptr) {
    return api::ContextMode::kFindOut;
  }
  const auto label = image->api.labels.find(api::kContextLabel);
  return label == image->api.labels.end() ? api::ContextMode::kFindOut
                                          : api::ParseContextMode(label->second);
}

// What a move carries from node to node must not change on its way.
absl::Status CheckNotMoving(const ContainerRecord& record, std::string_view what) {
  return record.move.has_value()
             ? absl::FailedPreconditionError(
                   StrCat("container \"", record.api.name.str(), "\": ", what,
                          " cannot change while it is moved with its files; wait for that"))
             : absl::OkStatus();
}

// A node stops a container with its lease only if it started it as a movable one; so one that may
// still run as pinned must not become movable behind its back.
absl::Status CheckClassChange(const ContainerRecord& record, const api::ContainerSpec& wanted) {
  const api::ContainerStatus& status = record.api.status;
  const bool stopped = status.state == api::ContainerState::kStopped &&
                       status.observed_generation >= record.api.generation &&
                       record.api.spec.desired == api::DesiredState::kStopped;
  if (wanted.placement.placement_class == record.api.spec.placement.placement_class ||
      status.node_id.empty()) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(CheckNotMoving(record, "its class"));
  if (stopped) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      StrCat("container \"", record.api.name.str(),
             "\": its class can change only while it is stopped; stop it first"));
}

}  // namespace

LedgerContainers::LedgerContainers(Ledger& ledger, Fleet& fleet, OperationTracker& operations,
                                   Connected connected)
    : ledger_(ledger),
      fleet_(fleet),
      operations_(operations),
      connected_(std::move(connected)),
      list_(ContainerListing()) {}

absl::StatusOr<const ContainerRecord*> LedgerContainers::Find(const Principal& who, Access access,
                                                              const ContainerKey& key) const {
  const ContainerRecord* record = ledger_.state().FindContainer(key.project, key.name_or_id);
  if (record == nullptr || !May(who, access, key.project)) {
    return NotFound("container", key.name_or_id);
  }
  return record;
}

absl::StatusOr<const ContainerRecord*> LedgerContainers::FindForWrite(
    const Principal& who, const ContainerKey& key, const WriteOptions& options) const {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord* record, Find(who, Access::kWrite, key));
  BRAMBLE_RETURN_IF_ERROR(
      CheckIfMatch(options, record->api.generation, "container", record->api.name.str()));
  return record;
}

absl::StatusOr<Rendered> LedgerContainers::Get(const Principal& who, const ContainerKey& key) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord* record, Find(who, Access::kRead, key));
  return Rendered{ledger_.Body(ledger_.state().containers(), record->api.id.str()),
                  record->api.generation};
}

absl::StatusOr<Rendered> LedgerContainers::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().containers(), who, query);
}

Written LedgerContainers::Answer(const ContainerId& id, const OperationId& operation) const {
  const State& state = ledger_.state();
  const ContainerRecord* record = state.containers().Find(id.str());
  return {.object = ledger_.Body(state.containers(), id.str()),
          .generation = record == nullptr ? 0 : record->api.generation,
          .operation = ledger_.Body(state.operations(), operation.str()),
          .operation_id = operation};
}

absl::StatusOr<ContainerRecord> LedgerContainers::Prepare(const Principal& who,
                                                          const CreateContainer& request) const {
  const std::string& project = request.project.str();
  if (project != api::kDefaultProject || !May(who, Access::kWrite, project)) {
    return NotFound("project", project);
  }
  ContainerRecord record;
  record.api.name = request.name;
  record.api.project = request.project;
  record.api.spec = request.spec;
  record.api.spec.restart_count = 0;
  record.api.spec.rebuild_count = 0;
  BRAMBLE_RETURN_IF_ERROR(fleet_.ResolveLimits(record.api.spec));
  BRAMBLE_RETURN_IF_ERROR(CheckSpec(record.api.spec, ledger_.state(), project));
  record.context_mode = ContextModeOf(ledger_.state(), record);
  return record;
}

absl::StatusOr<api::Context> LedgerContainers::ResolveContext(const CreateContainer& request,
                                                              ContainerRecord& record) const {
  api::Context context = request.context;
  std::vector<std::string> lines;
  for (const std::string& name : context.keys) {
    const KeyRecord* key = ledger_.state().keys().Find(StrCat(request.project.str(), "/", name));
    if (key == nullptr) {
      return absl::NotFoundError(StrCat("key \"", name,
                                        "\": not found; `bramble key list` shows what there is, "
                                        "`bramble key add` adds one"));
    }
    lines.push_back(key->api.public_key);
  }
  for (const std::string& line : context.authorized_keys) {
    const absl::StatusOr<api::PublicKey> key = api::ParsePublicKey(line);
    if (!key.ok()) {
      return Annotate(key.status(), "container.context.authorized_keys");
    }
    lines.push_back(key->str());
  }
  context.authorized_keys.clear();
  for (std::string& line : lines) {
    std::vector<std::string>& all = context.authorized_keys;
    if (std::find(all.begin(), all.end(), line) == all.end()) {
      all.push_back(std::move(line));
    }
  }
  BRAMBLE_RETURN_IF_ERROR(api::CheckContext(context, "container.context"));
  if (!context.empty()) {
    record.api.context = api::SummaryOf(context);
  }
  return context;
}

void LedgerContainers::Create(const Principal& who, CreateContainer request, WriteOptions options,
                              WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(ContainerRecord record, Prepare(who, request));
    if (const ContainerRecord* other =
            ledger_.state().FindContainer(request.project.str(), request.name.str())) {
      return absl::AlreadyExistsError(
          StrCat("container \"", request.name.str(),
                 other->api.deleting
                     ? "\": is being deleted; its name is free when its node has confirmed that"
                     : "\": exists already; choose another name"));
    }
    record.api.id = ContainerId::Trusted(RandomIdText(ledger_.random()));
    record.api.created_at = change.now();
    BRAMBLE_ASSIGN_OR_RETURN(api::Context context, ResolveContext(request, record));
    if (!context.empty()) {
      record.context = RandomIdText(ledger_.random());
      change.Put(ContextRecord{.id = record.context, .context = std::move(context)});
    }
    NoteImageUse(change, record);
    fleet_.Place(record);
    const api::ObjectReference reference = ReferenceTo(record);
    change.AddEvent("container.created", reference,
                    record.api.status.node.empty()
                        ? record.api.status.reason
                        : StrCat("placed on node \"", record.api.status.node, "\""));
    const ContainerId id = record.api.id;
    const Written written = PutWithOperation(change, std::move(record), "container.create");
    GiveFloatingIp(change, id);
    return Answer(id, written.operation_id);
  };
  ledger_.Write(who, "container.create", options, std::move(done), apply);
}

// Where the project says that every new container gets one.
void LedgerContainers::GiveFloatingIp(Change& change, const ContainerId& id) {
  const State& state = ledger_.state();
  const ContainerRecord record = *state.containers().Find(id.str());
  const ProjectRecord* project = state.projects().Find(record.api.project.str());
  if (project == nullptr || !project->api.auto_floating_ip) {
    return;
  }
  const AddressRange range = fleet_.plan().floating();
  const std::optional<Ipv4> free = FreeAddress(state, range);
  if (!free.has_value()) {
    change.AddEvent("floating-ip.exhausted", ReferenceTo(record),
                    StrCat("it gets none, all are attached: ", HoldersText(state, range)));
    return;
  }
  FloatingIpRecord ip;
  ip.api.automatic = true;
  fleet_.AttachFloating(change, record, std::move(ip), *free);
}

// To the hour: each is a write of the image too.
void LedgerContainers::NoteImageUse(Change& change, const ContainerRecord& record) {
  const ImageRecord* image =
      ledger_.state().FindImage(record.api.project.str(), record.api.spec.image);
  if (image == nullptr || (image->api.last_used_at.has_value() &&
                           change.now() - *image->api.last_used_at < kImageUseStep)) {
    return;
  }
  ImageRecord used = *image;
  used.api.last_used_at = change.now();
  change.Put(std::move(used));
}

Written LedgerContainers::PutWithOperation(Change& change, ContainerRecord record,
                                           std::string kind) {
  const ContainerId id = record.api.id;
  const OperationId operation =
      operations_.Begin(change, {.kind = std::move(kind),
                                 .object = ReferenceTo(record),
                                 .wanted_generation = record.api.generation});
  fleet_.Put(change, std::move(record));
  operations_.OnContainer(change, *ledger_.state().containers().Find(id.str()));
  return Answer(id, operation);
}

void LedgerContainers::Update(const Principal& who, const ContainerKey& key, json::value patch,
                              WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord* found, FindForWrite(who, key, options));
    ContainerRecord record = *found;
    if (!patch.is_object()) {
      return absl::InvalidArgumentError("the body must be a JSON object");
    }
    if (record.api.deleting) {
      return absl::FailedPreconditionError(
          StrCat("container \"", record.api.name.str(), "\" is being deleted"));
    }
    json::value spec = api::ToJson(record.api.spec);
    // A flavor brings its limits, unless the patch has its own.
    const json::object& changes = patch.as_object();
    if (changes.contains("flavor") && !changes.contains("limits")) {
      spec.as_object().erase("limits");
    }
    MergePatch(spec, patch);
    BRAMBLE_ASSIGN_OR_RETURN(api::ContainerSpec wanted,
                             api::ContainerSpecFromJson(spec, "container", UnknownKeys::kRefuse));
    if (wanted.restart_count != record.api.spec.restart_count ||
        wanted.rebuild_count != record.api.spec.rebuild_count) {
      return absl::InvalidArgumentError(
          "restart_count, rebuild_count: raised by the verbs restart and rebuild only");
    }
    BRAMBLE_RETURN_IF_ERROR(fleet_.ResolveLimits(wanted));
    BRAMBLE_RETURN_IF_ERROR(CheckSpec(wanted, ledger_.state(), record.api.project.str()));
    BRAMBLE_RETURN_IF_ERROR(CheckClassChange(record, wanted));
    record.api.spec = std::move(wanted);
    record.orphaned = false;
    ++record.api.generation;
    if (record.api.status.node_id.empty()) {
      fleet_.Place(record);
    }
    change.AddEvent("container.updated", ReferenceTo(record), "");
    return PutWithOperation(change, std::move(record), "container.update");
  };
  ledger_.Write(who, "container.update", options, std::move(done), apply);
}

namespace {

// What a verb makes of the spec.
void ApplyVerb(ContainerVerb verb, api::ContainerSpec& spec) {
  switch (verb) {
    case ContainerVerb::kStart:
    case ContainerVerb::kUnfreeze:
      spec.desired = api::DesiredState::kRunning;
      break;
    case ContainerVerb::kStop:
      spec.desired = api::DesiredState::kStopped;
      break;
    case ContainerVerb::kFreeze:
      spec.desired = api::DesiredState::kFrozen;
      break;
    case ContainerVerb::kRestart:
      spec.desired = api::DesiredState::kRunning;
      ++spec.restart_count;
      break;
    case ContainerVerb::kRebuild:
      ++spec.rebuild_count;
      break;
  }
}

}  // namespace

void LedgerContainers::Act(const Principal& who, const ContainerKey& key, ContainerVerb verb,
                           WriteOptions options, WriteDone done) {
  const std::string_view name = kContainerVerbNames[static_cast<size_t>(verb)];
  const std::string kind = StrCat("container.", name);
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord* found, FindForWrite(who, key, options));
    ContainerRecord record = *found;
    if (record.api.deleting) {
      return absl::FailedPreconditionError(
          StrCat("container \"", record.api.name.str(), "\" is being deleted"));
    }
    ApplyVerb(verb, record.api.spec);
    if (verb == ContainerVerb::kRebuild) {
      BRAMBLE_RETURN_IF_ERROR(CheckNotMoving(record, "its writable layer"));
      // The image as it is now, of the architecture that its node runs.
      const ImageRecord* image =
          ledger_.state().FindImage(record.api.project.str(), record.api.spec.image);
      if (image == nullptr) {
        return NotFound("image", record.api.spec.image);
      }
      for (const api::ImageVariant& variant : image->api.variants) {
        if (variant.architecture == record.api.status.architecture) {
          record.api.status.image_digest = variant.digest;
          record.image_size = variant.size;
        }
      }
      NoteImageUse(change, record);
      record.context_mode = ContextModeOf(ledger_.state(), record);
    }
    record.orphaned = false;
    ++record.api.generation;
    if (record.api.status.node_id.empty()) {
      fleet_.Place(record);
    }
    change.AddEvent(StrCat("container.", name), ReferenceTo(record), "");
    return PutWithOperation(change, std::move(record), kind);
  };
  ledger_.Write(who, kind, options, std::move(done), apply);
}

Written LedgerContainers::DeleteRecord(Change& change, const ContainerRecord& found) {
  ContainerRecord record = found;
  const ContainerId id = record.api.id;
  const OperationId operation =
      operations_.Begin(change, {.kind = "container.delete", .object = ReferenceTo(record)});
  NoteImageUse(change, record);
  if (record.api.status.node_id.empty()) {
    change.AddEvent("container.deleted", ReferenceTo(record), "");
    fleet_.EraseContainer(change, id);
    operations_.OnContainerGone(change, record);
    return Answer(id, operation);
  }
  record.move.reset();
  record.moving = false;
  record.api.deleting = true;
  record.api.status.state = api::ContainerState::kDeleting;
  record.api.status.reason = "its node has not confirmed it yet";
  ++record.api.generation;
  change.AddEvent("container.deleting", ReferenceTo(record), "");
  fleet_.Put(change, std::move(record));
  return Answer(id, operation);
}

void LedgerContainers::Delete(const Principal& who, const ContainerKey& key, WriteOptions options,
                              WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord* found, FindForWrite(who, key, options));
    if (found->api.deleting) {
      for (const std::string& id : ledger_.state().OpenOperations(found->api.id.str())) {
        if (ledger_.state().operations().Find(id)->api.kind == "container.delete") {
          change.OmitAudit();
          return Answer(found->api.id, OperationId::Trusted(id));
        }
      }
    }
    return DeleteRecord(change, *found);
  };
  ledger_.Write(who, "container.delete", options, std::move(done), apply);
}

absl::StatusOr<Rendered> LedgerContainers::Plan(const Principal& who,
                                                const CreateContainer& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord record, Prepare(who, request));
  const PlacementExplanation explanation = fleet_.Explain(record);
  json::object plan;
  if (explanation.result.choice.has_value()) {
    plan["node"] = explanation.result.choice->node_name.str();
  } else {
    plan["reason"] = explanation.result.reason;
  }
  json::array nodes;
  for (const NodeVerdict& verdict : explanation.nodes) {
    std::vector<std::string> reasons = verdict.reasons;
    for (const ScorePart& part : verdict.parts) {
      reasons.push_back(part.detail.empty() ? part.name : StrCat(part.name, ": ", part.detail));
    }
    nodes.push_back({{"node", verdict.name.str()},
                     {"fits", verdict.fits},
                     {"score", verdict.score},
                     {"reasons", api::ToJson(reasons)}});
  }
  plan["nodes"] = std::move(nodes);
  return Rendered{std::make_shared<const std::string>(json::serialize(plan))};
}

absl::StatusOr<StreamTarget> LedgerContainers::FindStreamTarget(const Principal& who,
                                                                const ContainerKey& key) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord* record, Find(who, Access::kWrite, key));
  const std::string name = StrCat("container \"", record->api.name.str(), "\"");
  if (record->api.status.node_id.empty()) {
    return absl::FailedPreconditionError(
        StrCat(name, ": is on no node yet: ", record->api.status.reason));
  }
  if (!connected_(record->api.status.node_id)) {
    return absl::UnavailableError(
        StrCat(name, ": its node \"", record->api.status.node, "\" is not connected"));
  }
  return StreamTarget{record->api.status.node_id, record->api.id};
}

}  // namespace bramble::controller
