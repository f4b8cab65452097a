// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator.h"

#include <algorithm>

#include "api/project.h"
#include "base/status.h"
#include "controller/catalog_services.h"
#include "controller/cluster_service.h"
#include "controller/drainer.h"
#include "controller/network_services.h"
#include "controller/node_service.h"

namespace bramble::controller {
namespace {

// Two histories of one epoch must not look alike: the next epoch is not the next number (a backup
// that is restored twice opens two different ones).
constexpr uint64_t kEpochSpread = 1000;
constexpr std::chrono::minutes kTidyEvery{5};
constexpr std::chrono::hours kPendingKept{24};
constexpr size_t kErasedAtOnce = 1000;

}  // namespace

struct Coordinator::Subjects {
  Subjects(const CoordinatorSettings& chosen, const CoordinatorParts& parts)
      : settings(chosen),
        ledger(*parts.store, *parts.clock, *parts.random, settings.max_kept_answers),
        fleet(ledger, *parts.prober, settings.scheduler),
        operation_tracker(ledger, settings.operation_deadline),
        signed_clock(ledger),
        health(ledger, fleet, operation_tracker, {settings.timing, settings.mass_loss}),
        feed(ledger, fleet, parts.network),
        sessions({ledger, fleet, operation_tracker, health, *parts.links, *parts.issuer,
                  signed_clock, feed}),
        mover(
            ledger, fleet, operation_tracker,
            [this](const NodeId& node, const ContainerRecord& container) {
              return sessions.MoveFactsOf(node, container);
            },
            parts.copier),
        drainer(ledger, fleet, operation_tracker, mover,
                [this](const NodeId& node, const ContainerId& container) {
                  return sessions.ConfirmedStopped(node, container);
                }),
        containers(ledger, fleet, operation_tracker,
                   [this](const NodeId& node) { return sessions.Connected(node); }),
        nodes({ledger, fleet, operation_tracker, health, sessions, signed_clock, mover}),
        images(ledger, settings.images_per_project),
        keys(ledger),
        flavors(ledger),
        floating_ips(ledger, fleet),
        port_forwards(ledger, parts.network, settings.own_ports),
        security_groups(ledger, fleet),
        network({ledger, fleet, sessions, *parts.prober, parts.network}),
        tokens(ledger, *parts.issuer, settings.node_addresses),
        operations(ledger, operation_tracker, containers, fleet),
        events(ledger),
        cluster(ledger, health, signed_clock,
                {settings.certificate_sha256, settings.setup_code_valid}) {}

  absl::Status MakeCluster();
  absl::Status OpenEpochAfterRestore();
  void MakeNetworkObjects();
  absl::Status RebuildAll();
  void Tidy();
  std::vector<std::string> OldAnswers(WallTime now) const;
  void ForgetPendingNodes(Change& change, WallTime now);

  const CoordinatorSettings settings;
  Ledger ledger;
  Fleet fleet;
  OperationTracker operation_tracker;
  SignedClock signed_clock;
  NodeHealth health;
  NetworkFeed feed;
  LedgerSessions sessions;
  Mover mover;
  Drainer drainer;
  LedgerContainers containers;
  LedgerNodes nodes;
  LedgerImages images;
  LedgerKeys keys;
  LedgerFlavors flavors;
  LedgerFloatingIps floating_ips;
  LedgerPortForwards port_forwards;
  LedgerSecurityGroups security_groups;
  LedgerNetwork network;
  LedgerTokens tokens;
  LedgerOperations operations;
  LedgerEvents events;
  LedgerCluster cluster;
  BootTime started{};
  BootTime next_tidy{};
};

Coordinator::Coordinator(CoordinatorSettings settings, CoordinatorParts parts)
    : subjects_(std::make_unique<Subjects>(settings, parts)) {}

Coordinator::~Coordinator() = default;

absl::Status Coordinator::Subjects::MakeCluster() {
  BRAMBLE_RETURN_IF_ERROR(AddressPlan::Make(settings.prefix).status());
  const Principal system = Principal::System();
  Change change(ledger, system, "cluster.create");
  const ClusterId id = ClusterId::Trusted(RandomIdText(ledger.random()));
  change.AddEvent("cluster.created", {"cluster", id.str(), settings.cluster_name, ""}, "");
  change.Put(ClusterRecord{.id = id,
                           .name = settings.cluster_name,
                           .epoch = 1,
                           .prefix = settings.prefix,
                           .lost_after_ms = settings.timing.lost_after.count()});
  for (api::Flavor& flavor : api::BuiltinFlavors()) {
    flavor.builtin = true;
    change.Put(FlavorRecord{std::move(flavor)});
  }
  ledger.Commit(std::move(change), nullptr);
  return absl::OkStatus();
}

// The project and the groups that are shipped; a cluster of an earlier version has none.
void Coordinator::Subjects::MakeNetworkObjects() {
  const Principal system = Principal::System();
  Change change(ledger, system, "network.create");
  const ProjectName project = ProjectName::Trusted(api::kDefaultProject);
  if (ledger.state().projects().Find(project.str()) == nullptr) {
    change.Put(ProjectRecord{{.name = project}});
    for (api::SecurityGroup& group : api::BuiltinSecurityGroups(project)) {
      change.Put(SecurityGroupRecord{std::move(group)});
    }
    ledger.Commit(std::move(change), nullptr);
  }
}

absl::Status Coordinator::Subjects::OpenEpochAfterRestore() {
  const Principal system = Principal::System();
  Change change(ledger, system, "cluster.restore");
  ClusterRecord cluster_record = ledger.state().cluster();
  cluster_record.epoch += 1 + ledger.random().Below(kEpochSpread);
  cluster_record.adopting = true;
  change.AddEvent("cluster.epoch_opened", {"cluster", cluster_record.id.str(), "", ""},
                  "a backup was restored: nothing is destroyed, and what nodes run is adopted",
                  json::object{{"epoch", cluster_record.epoch}});
  change.Put(std::move(cluster_record));
  std::vector<NodeRecord> all;
  for (const auto& [id, entry] : ledger.state().nodes().entries()) {
    all.push_back(entry.record);
  }
  for (NodeRecord& node : all) {
    node.session_value.clear();
    node.previous_session_value.clear();
    node.tombstones.clear();  // what it moved away may have been moved back since
    change.Put(std::move(node));
  }
  change.MarkAdopted();
  ledger.Commit(std::move(change), nullptr);
  return absl::OkStatus();
}

absl::Status Coordinator::Subjects::RebuildAll() {
  BRAMBLE_RETURN_IF_ERROR(fleet.Rebuild());
  health.Rebuild(started);
  return absl::OkStatus();
}

absl::Status Coordinator::Start() {
  Subjects& all = *subjects_;
  all.started = all.ledger.clock().Boot();
  BRAMBLE_RETURN_IF_ERROR(CheckTiming(all.settings.timing));
  BRAMBLE_RETURN_IF_ERROR(all.ledger.Load());
  if (all.ledger.state().cluster().id.empty()) {
    BRAMBLE_RETURN_IF_ERROR(all.MakeCluster());
  } else if (all.ledger.restored()) {
    BRAMBLE_RETURN_IF_ERROR(all.OpenEpochAfterRestore());
  }
  all.MakeNetworkObjects();
  BRAMBLE_RETURN_IF_ERROR(all.RebuildAll());
  all.feed.Start();
  all.ledger.OnCommit([&all](Change& change) {
    all.sessions.OnCommit(change);
    all.drainer.Wake();
  });
  all.ledger.OnReload([&all] {
    if (all.RebuildAll().ok()) {
      all.sessions.OnReload();
      all.fleet.FillAddresses();
    }
  });
  all.fleet.OnAddress([&all] {
    all.drainer.Wake();
    if (!all.ledger.state().ContainersOn(NodeId()).empty()) {
      all.drainer.Tick();
    }
  });
  all.health.OnBack([&all](const NodeId& node) { all.sessions.Reapply(node); });
  all.cluster.Start();
  all.fleet.FillAddresses();
  return absl::OkStatus();
}

// Machines that asked to join, were never approved, and no longer ask.
void Coordinator::Subjects::ForgetPendingNodes(Change& change, WallTime now) {
  std::vector<NodeId> gone;
  for (const auto& [id, entry] : ledger.state().nodes().entries()) {
    const api::Node& node = entry.record.api;
    if (node.state == api::NodeState::kPending &&
        node.last_seen_at.value_or(node.joined_at) + kPendingKept <= now) {
      gone.push_back(node.id);
    }
  }
  for (const NodeId& id : gone) {
    fleet.EraseNode(change, id);
  }
}

// The answers to keyed writes that are given up, at most kErasedAtOnce: those of yesterday.
std::vector<std::string> Coordinator::Subjects::OldAnswers(WallTime now) const {
  std::vector<std::string> old;
  for (const auto& [id, entry] : ledger.state().idempotency().entries()) {
    if (entry.record.created_at + kIdempotencyKept <= now && old.size() < kErasedAtOnce) {
      old.push_back(id);
    }
  }
  return old;
}

void Coordinator::Subjects::Tidy() {
  const BootTime now = ledger.clock().Boot();
  if (now < next_tidy || !ledger.Writable().ok()) {
    return;
  }
  next_tidy = now + kTidyEvery;
  const WallTime wall = ledger.clock().Wall();
  const Principal system = Principal::System();
  Change change(ledger, system, "cluster.tidy");
  change.OmitAudit();
  const std::vector<std::string> old = OldAnswers(wall);
  for (const std::string& id : old) {
    change.Erase(RowKind::kIdempotency, id);
  }
  if (old.size() >= kErasedAtOnce) {
    next_tidy = now;  // there may be more
  }
  ForgetPendingNodes(change, wall);
  // A shorter time counts only once no lease of the longer one can be held any more.
  const int64_t lost_after = settings.timing.lost_after.count();
  ClusterRecord record = ledger.state().cluster();
  if (record.lost_after_ms < lost_after ||
      (record.lost_after_ms > lost_after &&
       now > started + std::chrono::milliseconds(record.lost_after_ms))) {
    record.lost_after_ms = lost_after;
    change.Put(std::move(record));
  }
  if (!change.empty()) {
    ledger.Commit(std::move(change), nullptr);
  }
}

void Coordinator::Tick() {
  Subjects& all = *subjects_;
  all.ledger.Tick();
  all.health.Tick();
  all.sessions.Tick();
  all.network.Tick();
  all.drainer.Tick();
  all.mover.Tick();
  all.operation_tracker.Tick();
  all.fleet.FillAddresses();
  all.Tidy();
}

absl::Status Coordinator::Ready() const {
  BRAMBLE_RETURN_IF_ERROR(subjects_->ledger.Writable());
  const absl::Status last = subjects_->ledger.LastWrite();
  return last.ok() ? last
                   : absl::UnavailableError(StrCat("the last write failed: ", MessageOf(last)));
}

absl::StatusOr<Principal> Coordinator::Authenticate(std::string_view bearer) const {
  return subjects_->cluster.Authenticate(bearer);
}

absl::StatusOr<Principal> Coordinator::AuthenticateNode(const NodeId& node,
                                                        std::string_view key_sha256) const {
  const NodeRecord* record = subjects_->ledger.state().nodes().Find(node.str());
  if (record == nullptr || record->key_sha256 != key_sha256 ||
      record->api.state == api::NodeState::kPending) {
    return absl::UnauthenticatedError("this certificate is of no node of this cluster");
  }
  return Principal::Node(record->api.id, record->api.name);
}

ClusterService& Coordinator::cluster() { return subjects_->cluster; }
ContainerService& Coordinator::containers() { return subjects_->containers; }
EventService& Coordinator::events() { return subjects_->events; }
FlavorService& Coordinator::flavors() { return subjects_->flavors; }
FloatingIpService& Coordinator::floating_ips() { return subjects_->floating_ips; }
PortForwardService& Coordinator::port_forwards() { return subjects_->port_forwards; }
SecurityGroupService& Coordinator::security_groups() { return subjects_->security_groups; }
NetworkService& Coordinator::network() { return subjects_->network; }
ImageService& Coordinator::images() { return subjects_->images; }
KeyService& Coordinator::keys() { return subjects_->keys; }
NodeService& Coordinator::nodes() { return subjects_->nodes; }
NodeSessions& Coordinator::sessions() { return subjects_->sessions; }
OperationService& Coordinator::operations() { return subjects_->operations; }
TokenService& Coordinator::tokens() { return subjects_->tokens; }
const State& Coordinator::state() const { return subjects_->ledger.state(); }

}  // namespace bramble::controller
