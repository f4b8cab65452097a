// SPDX-License-Identifier: Apache-2.0
#include "controller/fleet.h"

#include <algorithm>

#include "api/project.h"
#include "base/status.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

PlacedContainer Placed(const ContainerRecord& record) {
  const api::Container& container = record.api;
  return {.id = container.id,
          .name = container.name,
          .project = container.project,
          .node = container.status.node_id,
          .limits = container.spec.limits,
          .labels = container.spec.labels,
          .avoid = container.spec.placement.avoid};
}

// What stands in the scheduler's view for a container on the other node of its move.
ContainerId Reservation(const ContainerId& id) {
  return ContainerId::Trusted(StrCat(id.str(), ".move"));
}

}  // namespace

absl::Status Fleet::Rebuild() {
  const State& state = ledger_.state();
  BRAMBLE_RETURN_IF_ERROR(Replan());
  view_ = ClusterView();
  desired_.clear();
  dirty_.clear();
  const api::Version version{state.cluster().epoch, state.revision()};
  for (const auto& [id, entry] : state.nodes().entries()) {
    view_.PutNode(entry.record.api);
    for (const std::string& tombstone : entry.record.tombstones) {
      Bury(entry.record.api.id, ContainerId::Trusted(tombstone), version);
    }
  }
  for (const auto& [id, entry] : state.containers().entries()) {
    Follow(entry.record, version);
  }
  dirty_.clear();
  return absl::OkStatus();
}

absl::Status Fleet::Replan() {
  const ClusterRecord& cluster = ledger_.state().cluster();
  BRAMBLE_ASSIGN_OR_RETURN(const AddressPlan plan,
                           AddressPlan::Make(cluster.prefix, cluster.network.ranges));
  plan_ = plan;
  auto owned = [this](uint32_t address) {
    return !ledger_.state().AddressOwner(AddressText(address)).empty();
  };
  pool_ = std::make_unique<AddressPool>(plan.containers(), std::move(owned));
  probes_ = std::make_shared<int>();
  return absl::OkStatus();
}

api::Version Fleet::Now() const {
  return {ledger_.state().cluster().epoch, ledger_.state().revision()};
}

api::Version Fleet::Next(const Change& change) const {
  return {ledger_.state().cluster().epoch, change.revision()};
}

void Fleet::Bury(const NodeId& node, const ContainerId& id, api::Version version) {
  NodeDesiredState& desired = desired_[node];
  if (!desired.Buried(id)) {
    desired.Bury(id, version);
    dirty_.insert(node);
  }
}

void Fleet::Want(const NodeId& node, api::NodeContainer container, api::Version version) {
  if (desired_[node].Put(std::move(container), version)) {
    dirty_.insert(node);
  }
}

void Fleet::Follow(const ContainerRecord& record, api::Version version) {
  const api::Container& container = record.api;
  const NodeId& node = container.status.node_id;
  FollowMove(record, version);
  if (node.empty()) {
    view_.RemoveContainer(container.id);
    return;
  }
  view_.PutContainer(Placed(record));
  if (container.deleting) {
    Bury(node, container.id, version);
  } else if (!record.orphaned) {
    Want(node, Resolve(record), version);
  }
}

// Both nodes of a cold move hold the container, one of them stopped; and the target keeps room for
// it from the beginning.
void Fleet::FollowMove(const ContainerRecord& record, api::Version version) {
  const ContainerId reserved = Reservation(record.api.id);
  if (!record.move.has_value() || record.api.deleting) {
    view_.RemoveContainer(reserved);
    return;
  }
  const ContainerMove& move = *record.move;
  const bool at_source = record.api.status.node_id == move.source;
  api::NodeContainer other = Resolve(record);
  other.spec.desired = api::DesiredState::kStopped;
  other.layer_move = at_source ? move.id : "";
  Want(at_source ? move.target : move.source, std::move(other), version);
  PlacedContainer placed = Placed(record);
  placed.id = reserved;
  placed.node = at_source ? move.target : move.source;
  view_.PutContainer(placed);
}

void Fleet::BuryIn(Change& change, const NodeId& node, const ContainerId& id) {
  if (const NodeRecord* record = ledger_.state().nodes().Find(node.str())) {
    NodeRecord changed = *record;
    changed.tombstones.push_back(id.str());
    change.Put(std::move(changed));
    Bury(node, id, Next(change));
  }
}

void Fleet::Put(Change& change, ContainerRecord record) {
  const ContainerId id = record.api.id;
  const ContainerRecord* before = ledger_.state().containers().Find(id.str());
  const std::vector<NodeId> had = before == nullptr ? std::vector<NodeId>() : before->Nodes();
  const std::vector<NodeId> has = record.Nodes();
  change.Put(std::move(record));
  for (const NodeId& node : had) {
    if (std::find(has.begin(), has.end(), node) == has.end()) {
      BuryIn(change, node, id);
    }
  }
  for (const NodeId& now_on : has) {
    const NodeRecord* node = ledger_.state().nodes().Find(now_on.str());
    if (node != nullptr && std::find(node->tombstones.begin(), node->tombstones.end(), id.str()) !=
                               node->tombstones.end()) {
      ForgetTombstone(change, now_on, id);  // it came back before the node had destroyed it
    }
  }
  const ContainerRecord& put = *ledger_.state().containers().Find(id.str());
  for (const std::string& address : put.api.status.floating_ips) {
    const FloatingIpRecord* ip = ledger_.state().floating_ips().Find(address);
    if (ip != nullptr && ip->api.node != put.api.status.node) {
      FloatingIpRecord moved = *ip;
      moved.api.node = put.api.status.node;
      change.Put(std::move(moved));
    }
  }
  Follow(put, Next(change));
}

void Fleet::PutWhereFound(Change& change, ContainerRecord record) {
  const ContainerId id = record.api.id;
  const ContainerRecord* before = ledger_.state().containers().Find(id.str());
  const std::vector<NodeId> had = before == nullptr ? std::vector<NodeId>() : before->Nodes();
  const std::vector<NodeId> has = record.Nodes();
  change.Put(std::move(record));
  for (const NodeId& left : had) {
    if (std::find(has.begin(), has.end(), left) == has.end()) {
      desired_[left].Drop(id, Next(change));
      dirty_.insert(left);
    }
  }
  Follow(*ledger_.state().containers().Find(id.str()), Next(change));
}

void Fleet::Put(Change& change, NodeRecord record) {
  const std::string id = record.api.id.str();
  change.Put(std::move(record));
  view_.PutNode(ledger_.state().nodes().Find(id)->api);
}

void Fleet::EraseContainer(Change& change, const ContainerId& id) {
  if (const ContainerRecord* record = ledger_.state().containers().Find(id.str())) {
    desired_[record->api.status.node_id].OnRemoved(id);
    for (const NodeId& node : record->Nodes()) {
      if (node != record->api.status.node_id) {
        desired_[node].Drop(id, Next(change));
        dirty_.insert(node);
      }
    }
    if (!record->context.empty()) {
      const std::string context = record->context;
      change.Erase(RowKind::kContext, context);
    }
    const std::vector<std::string> floating = record->api.status.floating_ips;
    for (const std::string& address : floating) {
      change.Erase(RowKind::kFloatingIp, address);
    }
  }
  view_.RemoveContainer(Reservation(id));
  view_.RemoveContainer(id);
  change.Erase(RowKind::kContainer, id.str());
}

void Fleet::EraseNode(Change& change, const NodeId& id) {
  view_.RemoveNode(id);
  desired_.erase(id);
  dirty_.erase(id);
  change.Erase(RowKind::kNode, id.str());
}

void Fleet::ForgetTombstone(Change& change, const NodeId& node, const ContainerId& id) {
  desired_[node].OnRemoved(id);
  if (const NodeRecord* record = ledger_.state().nodes().Find(node.str())) {
    NodeRecord changed = *record;
    if (std::erase(changed.tombstones, id.str()) > 0) {
      change.Put(std::move(changed));
    }
  }
}

PlacementRequest Fleet::RequestFor(const ContainerRecord& record,
                                   const std::vector<NodeId>& exclude) const {
  PlacementRequest request{.name = record.api.name,
                           .project = record.api.project,
                           .limits = record.api.spec.limits,
                           .placement = record.api.spec.placement,
                           .exclude = exclude};
  const ImageRecord* image =
      ledger_.state().FindImage(record.api.project.str(), record.api.spec.image);
  if (image != nullptr) {
    request.variants = image->api.variants;
  }
  return request;
}

PlacementExplanation Fleet::Explain(const ContainerRecord& record) {
  return controller::Explain(view_, RequestFor(record, {}), options_);
}

bool Fleet::Place(ContainerRecord& record, const std::vector<NodeId>& exclude) {
  api::ContainerStatus& status = record.api.status;
  if (ledger_.state().cluster().adopting) {
    status.state = api::ContainerState::kPending;
    status.reason =
        "the cluster takes stock after a restore; it is placed when every node has reported";
    return false;
  }
  const PlacementRequest request = RequestFor(record, exclude);
  const PlacementResult result = controller::Place(view_, request, options_);
  status.state = api::ContainerState::kPending;
  if (!result.choice.has_value()) {
    status.reason = request.variants.empty()
                        ? StrCat("image \"", record.api.spec.image,
                                 "\" is gone; import it again or change the container's image")
                        : result.reason;
    return false;
  }
  if (status.address.empty()) {
    const std::optional<Ipv4> address = TakeAddress(record);
    if (!address.has_value()) {
      FillAddresses();
      status.reason = pool_->Exhausted()
                          ? StrCat("every container address of ", ledger_.state().cluster().prefix,
                                   " is used: ", HoldersText(ledger_.state(), plan_->containers()),
                                   "; delete containers or choose a larger prefix")
                          : "waits for a free address to be checked";
      return false;
    }
    status.address = address->str();
    FillAddresses();
  }
  status.mac = MacOf(record.api.id.str());
  status.node_id = result.choice->node;
  status.node = result.choice->node_name.str();
  status.architecture = result.choice->architecture;
  status.image_digest = result.choice->image_digest;
  for (const api::ImageVariant& variant : request.variants) {
    if (variant.digest == status.image_digest) {
      record.image_size = variant.size;
    }
  }
  status.state = api::ContainerState::kPlaced;
  status.reason = "its node has not reported it yet";
  status.observed_generation = 0;
  record.moving = false;
  return true;
}

// The address that is reserved for a container of this name, or one of the pool.
std::optional<Ipv4> Fleet::TakeAddress(const ContainerRecord& record) {
  const ReservationRecord* reserved = ledger_.state().reservations().Find(record.api.name.str());
  if (reserved != nullptr && record.api.project.str() == api::kDefaultProject &&
      reserved->api.use == api::AddressUse::kContainers && reserved->api.mac.empty() &&
      reserved->api.serial.empty() &&
      ledger_.state().AddressOwner(reserved->api.address.str()) == reserved->api.name) {
    return reserved->api.address;
  }
  const std::optional<uint32_t> address = pool_->Take();
  return address.has_value() ? std::optional<Ipv4>(*address) : std::nullopt;
}

void Fleet::Refresh(const Change& change, const ContainerRecord& record) {
  Follow(record, Next(change));
}

void Fleet::AttachFloating(Change& change, ContainerRecord container, FloatingIpRecord ip,
                           Ipv4 address) {
  ip.api.address = address;
  ip.api.project = container.api.project;
  ip.api.container_id = container.api.id;
  ip.api.container = container.api.name;
  ip.api.node = container.api.status.node;
  ip.api.attached_at = change.now();
  change.AddEvent("floating-ip.attached", ReferenceTo(ip),
                  StrCat("to container \"", container.api.name.str(), "\""));
  container.api.status.floating_ips.push_back(address.str());
  Put(change, std::move(container));
  change.Put(std::move(ip));
}

void Fleet::Unplace(ContainerRecord& record, std::string reason) {
  api::ContainerStatus& status = record.api.status;
  status.node_id = NodeId();
  status.node.clear();
  status.state = api::ContainerState::kPending;
  status.reason = std::move(reason);
  status.started_at.reset();
  status.exit_code.reset();
  status.observed_generation = 0;
  status.conditions.clear();
  record.moving = false;
  record.move.reset();
}

absl::StatusOr<NodeId> Fleet::FindMoveTarget(const ContainerRecord& record, const NodeId& only,
                                             std::vector<NodeId> exclude) const {
  exclude.push_back(record.api.status.node_id);
  PlacementRequest request = RequestFor(record, exclude);
  request.variants = {{.architecture = record.api.status.architecture,
                       .digest = record.api.status.image_digest,
                       .size = record.image_size}};
  if (const NodeRecord* node = ledger_.state().nodes().Find(only.str())) {
    request.placement.node = node->api.name.str();
  }
  const PlacementResult result = controller::Place(view_, request, options_);
  if (!result.choice.has_value()) {
    return absl::FailedPreconditionError(result.reason);
  }
  return result.choice->node;
}

absl::Status Fleet::ResolveLimits(api::ContainerSpec& spec) const {
  const std::string name = spec.flavor.empty() ? api::kDefaultFlavor : spec.flavor;
  const FlavorRecord* flavor = ledger_.state().flavors().Find(name);
  if (flavor == nullptr) {
    return NotFound("flavor", name);
  }
  spec.flavor = name;
  const api::Resources& given = flavor->api.resources;
  spec.limits.cpu = spec.limits.cpu.count == 0 ? given.cpu : spec.limits.cpu;
  spec.limits.memory = spec.limits.memory.count == 0 ? given.memory : spec.limits.memory;
  spec.limits.disk = spec.limits.disk.count == 0 ? given.disk : spec.limits.disk;
  spec.limits.pids = spec.limits.pids == 0 ? given.pids : spec.limits.pids;
  return absl::OkStatus();
}

api::NodeContainer Fleet::Resolve(const ContainerRecord& record) const {
  const api::Container& container = record.api;
  api::NodeContainer resolved{.id = container.id,
                              .name = container.name,
                              .project = container.project,
                              .generation = container.generation,
                              .spec = container.spec,
                              .context = record.context,
                              .context_mode = record.context_mode,
                              .image_digest = container.status.image_digest,
                              .image_size = record.image_size,
                              .architecture = container.status.architecture,
                              .mac = container.status.mac,
                              .search_domain = kDomain};
  if (record.moving) {
    resolved.spec.desired = api::DesiredState::kStopped;
  }
  if (record.move.has_value() && container.status.node_id == record.move->target) {
    resolved.layer_move = record.move->id;
  }
  ResolveNetwork(record, resolved);
  return resolved;
}

void Fleet::ResolveNetwork(const ContainerRecord& record, api::NodeContainer& resolved) const {
  const State& state = ledger_.state();
  const api::Container& container = record.api;
  if (!container.status.address.empty()) {
    resolved.address = plan_->WithLength(container.status.address);
    resolved.gateway = plan_->gateway();
    // Its node answers, also when the controller is off; we where the node cannot.
    const NodeRecord* node = state.nodes().Find(container.status.node_id.str());
    if (node != nullptr && !node->api.address.empty()) {
      resolved.dns.push_back(node->api.address);
    }
    resolved.dns.push_back(plan_->gateway());
  }
  const FilteredContainer filtered = FilteredOf(record);
  resolved.floating_addresses = filtered.floating;
  const auto find = [&state, &filtered](const std::string& group) -> const api::SecurityGroup* {
    const SecurityGroupRecord* found =
        state.security_groups().Find(StrCat(filtered.project, "/", group));
    return found == nullptr ? nullptr : &found->api;
  };
  resolved.firewall = CompileContainer(filtered, PortsOf(state, record), find);
}

std::string Fleet::NodeAddress(const std::string& node_id, const std::string& wanted) const {
  const State& state = ledger_.state();
  // A reservation for its board or card goes before what it has.
  if (const NodeRecord* node = state.nodes().Find(node_id)) {
    const std::vector<std::string>& macs = node->api.inventory.macs;
    for (const auto& [name, entry] : state.reservations().entries()) {
      const api::Reservation& reserved = entry.record.api;
      const bool its_board =
          !reserved.serial.empty() && reserved.serial == node->api.inventory.serial;
      const bool its_card =
          !reserved.mac.empty() && std::find(macs.begin(), macs.end(), reserved.mac) != macs.end();
      const std::string holder = state.AddressOwner(reserved.address.str());
      if ((its_board || its_card) && (holder == name || holder == node_id)) {
        return reserved.address.str();
      }
    }
  }
  const std::string owner = state.AddressOwner(wanted);
  if (plan_->nodes().Contains(ParseAddress(wanted)) && (owner.empty() || owner == node_id)) {
    return wanted;
  }
  const AddressRange range = plan_->nodes();
  for (uint32_t i = 0; i < range.size(); ++i) {
    std::string address = AddressText(range.first + i);
    if (state.AddressOwner(address).empty()) {
      return address;
    }
  }
  return "";
}

void Fleet::FillAddresses() {
  const std::weak_ptr<int> alive = probes_;
  for (const uint32_t address : pool_->ToProbe(ledger_.clock().Boot())) {
    auto answered = [this, alive, address](bool in_use) {
      if (!alive.expired() && pool_->OnProbed(address, in_use, ledger_.clock().Boot()) &&
          on_address_) {
        on_address_();
      }
    };
    prober_.Probe(AddressText(address), std::move(answered));
  }
}

}  // namespace bramble::controller
