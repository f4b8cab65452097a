// SPDX-License-Identifier: Apache-2.0
#include "controller/model/state.h"

#include <algorithm>

namespace bramble::controller {
namespace {

const std::set<std::string> kNone;

std::string NameKey(std::string_view project, std::string_view name) {
  return StrCat(project, "/", name);
}

// "name:tag", its own first.
std::vector<std::string> NamesOf(const ImageRecord& record) {
  std::vector<std::string> names = {StrCat(record.api.name, ":", record.api.tag)};
  names.insert(names.end(), record.api.aliases.begin(), record.api.aliases.end());
  return names;
}

template <typename Index>
const std::string* Lookup(const Index& index, std::string_view key) {
  const auto found = index.find(key);
  return found == index.end() ? nullptr : &found->second;
}

// Removes `key` only while it still leads to `id`: a rename may have given it away.
template <typename Index>
void Forget(Index& index, const std::string& key, const std::string& id) {
  const auto found = index.find(key);
  if (found != index.end() && found->second == id) {
    index.erase(found);
  }
}

}  // namespace

const ContainerRecord* State::FindContainer(std::string_view project,
                                            std::string_view name_or_id) const {
  if (const std::string* id = Lookup(container_by_name_, NameKey(project, name_or_id))) {
    return containers_.Find(*id);
  }
  const ContainerRecord* record = containers_.Find(name_or_id);
  return record != nullptr && record->api.project.str() == project ? record : nullptr;
}

const NodeRecord* State::FindNode(std::string_view name_or_id) const {
  const std::string* id = Lookup(node_by_name_, name_or_id);
  return nodes_.Find(id != nullptr ? std::string_view(*id) : name_or_id);
}

const NodeRecord* State::FindNodeByKey(std::string_view key_sha256) const {
  const std::string* id = Lookup(node_by_key_, key_sha256);
  return id == nullptr ? nullptr : nodes_.Find(*id);
}

const ImageRecord* State::FindImage(std::string_view project, std::string_view reference) const {
  std::string key = NameKey(project, reference);
  if (reference.find(':') == std::string_view::npos) {
    key += ":latest";
  }
  if (const std::string* id = Lookup(image_by_name_, key)) {
    return images_.Find(*id);
  }
  // Of other projects those that they show to all; of several, the first project's in order.
  const std::string name = key.substr(project.size());
  const auto shown = public_images_.lower_bound(StrCat(name, "/"));
  if (shown != public_images_.end() && shown->first.starts_with(StrCat(name, "/"))) {
    return images_.Find(shown->second);
  }
  const ImageRecord* record = images_.Find(reference);
  const bool visible = record != nullptr && (record->api.project.str() == project ||
                                             record->api.visibility == api::Visibility::kPublic);
  return visible ? record : nullptr;
}

const CredentialRecord* State::FindCredential(std::string_view secret_sha256) const {
  const std::string* id = Lookup(credential_by_secret_, secret_sha256);
  return id == nullptr ? nullptr : credentials_.Find(*id);
}

const std::set<std::string>& State::ContainersOn(const NodeId& node) const {
  const auto found = containers_on_.find(node.str());
  return found == containers_on_.end() ? kNone : found->second;
}

std::vector<std::string> State::Pending() const {
  const std::set<std::string>& ids = ContainersOn(NodeId());
  std::vector<std::string> pending(ids.begin(), ids.end());
  auto older = [this](const std::string& a, const std::string& b) {
    const WallTime at = containers_.Find(a)->api.created_at;
    const WallTime bt = containers_.Find(b)->api.created_at;
    return at != bt ? at < bt : a < b;
  };
  std::sort(pending.begin(), pending.end(), older);
  return pending;
}

std::string State::AddressOwner(std::string_view address) const {
  const std::string* owner = Lookup(address_owner_, address);
  return owner == nullptr ? std::string() : *owner;
}

const std::set<std::string>& State::OpenOperations(std::string_view object_id) const {
  const auto found = open_operations_.find(object_id);
  return found == open_operations_.end() ? kNone : found->second;
}

void State::Put(ClusterRecord record, uint64_t) { cluster_ = std::move(record); }

void State::GiveBack(const std::string& address, const std::string& id) {
  Forget(address_owner_, address, id);
  if (const std::string* reservation = Lookup(reservation_by_address_, address)) {
    address_owner_.try_emplace(address, *reservation);
  }
}

void State::CountOnNode(const ContainerRecord& record, int sign) {
  NodeRecord* node = nodes_.Edit(record.api.status.node_id.str());
  if (node == nullptr) {
    return;
  }
  const api::Resources& limits = record.api.spec.limits;
  node->api.allocated.cpu.count += sign * limits.cpu.count;
  node->api.allocated.memory.count += sign * limits.memory.count;
  node->api.allocated.disk.count += sign * limits.disk.count;
  node->api.allocated.pids += sign * limits.pids;
  node->api.container_count += sign;
}

void State::Unindex(const ContainerRecord& record) {
  const std::string& id = record.api.id.str();
  Forget(container_by_name_, NameKey(record.api.project.str(), record.api.name.str()), id);
  const auto on_node = containers_on_.find(record.api.status.node_id.str());
  if (on_node != containers_on_.end()) {
    on_node->second.erase(id);
    if (on_node->second.empty()) {
      containers_on_.erase(on_node);
    }
  }
  GiveBack(record.api.status.address, id);
  CountOnNode(record, -1);
}

void State::Put(ContainerRecord record, uint64_t revision) {
  const std::string id = record.api.id.str();
  if (const ContainerRecord* old = containers_.Find(id)) {
    Unindex(*old);
  }
  container_by_name_[NameKey(record.api.project.str(), record.api.name.str())] = id;
  containers_on_[record.api.status.node_id.str()].insert(id);
  if (!record.api.status.address.empty()) {
    address_owner_[record.api.status.address] = id;
  }
  CountOnNode(record, +1);
  containers_.Put(id, std::move(record), revision);
}

void State::Unindex(const NodeRecord& record) {
  const std::string& id = record.api.id.str();
  Forget(node_by_name_, record.api.name.str(), id);
  Forget(node_by_key_, record.key_sha256, id);
  GiveBack(record.api.address, id);
}

void State::Put(NodeRecord record, uint64_t revision) {
  const std::string id = record.api.id.str();
  if (const NodeRecord* old = nodes_.Find(id)) {
    Unindex(*old);
  }
  node_by_name_[record.api.name.str()] = id;
  node_by_key_[record.key_sha256] = id;
  if (!record.api.address.empty()) {
    address_owner_[record.api.address] = id;
  }
  // Counted here, whatever the caller's copy said.
  record.api.allocated = {};
  record.api.container_count = 0;
  nodes_.Put(id, std::move(record), revision);
  for (const std::string& container : ContainersOn(NodeId::Trusted(id))) {
    CountOnNode(*containers_.Find(container), +1);
  }
}

void State::Put(ImageRecord record, uint64_t revision) {
  const std::string id = record.api.id.str();
  if (const ImageRecord* old = images_.Find(id)) {
    Unindex(*old);
  }
  const std::string& project = record.api.project.str();
  for (const std::string& name : NamesOf(record)) {
    image_by_name_[NameKey(project, name)] = id;
    if (record.api.visibility == api::Visibility::kPublic) {
      public_images_[StrCat("/", name, "/", project)] = id;
    }
  }
  images_.Put(id, std::move(record), revision);
}

void State::Unindex(const ImageRecord& record) {
  const std::string id = record.api.id.str();
  const std::string& project = record.api.project.str();
  for (const std::string& name : NamesOf(record)) {
    Forget(image_by_name_, NameKey(project, name), id);
    Forget(public_images_, StrCat("/", name, "/", project), id);
  }
}

void State::Put(FlavorRecord record, uint64_t revision) {
  const std::string id = record.api.name.str();
  flavors_.Put(id, std::move(record), revision);
}

void State::Put(TokenRecord record, uint64_t revision) {
  const std::string id = record.api.id.str();
  tokens_.Put(id, std::move(record), revision);
}

void State::Put(OperationRecord record, uint64_t revision) {
  const std::string id = record.api.id.str();
  const std::string& object = record.api.object.id;
  if (record.api.finished()) {
    if (const auto open = open_operations_.find(object); open != open_operations_.end()) {
      open->second.erase(id);
      if (open->second.empty()) {
        open_operations_.erase(open);
      }
    }
  } else {
    open_operations_[object].insert(id);
  }
  operations_.Put(id, std::move(record), revision);
}

void State::Put(UserRecord record, uint64_t revision) {
  const std::string id = record.id.str();
  users_.Put(id, std::move(record), revision);
}

void State::Put(CredentialRecord record, uint64_t revision) {
  const std::string id = record.id;
  credential_by_secret_[record.secret_sha256] = id;
  credentials_.Put(id, std::move(record), revision);
}

void State::Put(IdempotencyRecord record, uint64_t revision) {
  const std::string id = record.key;
  if (const auto* old = idempotency_.FindEntry(id)) {
    answers_by_age_.erase({old->revision, id});
  }
  answers_by_age_.emplace(revision, id);
  idempotency_.Put(id, std::move(record), revision);
}

std::string State::OldestAnswer() const {
  return answers_by_age_.empty() ? "" : answers_by_age_.begin()->second;
}

void State::Put(ProjectRecord record, uint64_t revision) {
  const std::string id = record.api.name.str();
  projects_.Put(id, std::move(record), revision);
}

void State::Put(SecurityGroupRecord record, uint64_t revision) {
  const std::string id = record.Id();
  security_groups_.Put(id, std::move(record), revision);
}

void State::Put(FloatingIpRecord record, uint64_t revision) {
  const std::string id = record.api.address.str();
  address_owner_[id] = record.api.container_id.str();
  floating_ips_.Put(id, std::move(record), revision);
}

void State::Put(PortForwardRecord record, uint64_t revision) {
  const std::string id = record.api.Key();
  port_forwards_.Put(id, std::move(record), revision);
}

void State::Put(ReservationRecord record, uint64_t revision) {
  const std::string id = record.api.name;
  if (const ReservationRecord* old = reservations_.Find(id)) {
    reservation_by_address_.erase(old->api.address.str());
    Forget(address_owner_, old->api.address.str(), id);
  }
  reservation_by_address_[record.api.address.str()] = id;
  address_owner_.try_emplace(record.api.address.str(), id);
  reservations_.Put(id, std::move(record), revision);
}

void State::Put(KeyRecord record, uint64_t revision) {
  const std::string id = record.Id();
  keys_.Put(id, std::move(record), revision);
}

void State::Put(ContextRecord record, uint64_t revision) {
  const std::string id = record.id;
  contexts_.Put(id, std::move(record), revision);
}

void State::Erase(RowKind kind, const std::string& id, uint64_t revision) {
  switch (kind) {
    case RowKind::kCluster:
      break;  // there is always one
    case RowKind::kNode:
      if (const NodeRecord* old = nodes_.Find(id)) {
        Unindex(*old);
        nodes_.Erase(id, revision);
      }
      break;
    case RowKind::kContainer:
      if (const ContainerRecord* old = containers_.Find(id)) {
        Unindex(*old);
        containers_.Erase(id, revision);
      }
      break;
    case RowKind::kImage:
      if (const ImageRecord* old = images_.Find(id)) {
        Unindex(*old);
        images_.Erase(id, revision);
      }
      break;
    case RowKind::kFlavor:
      flavors_.Erase(id, revision);
      break;
    case RowKind::kToken:
      tokens_.Erase(id, revision);
      break;
    case RowKind::kOperation:
      operations_.Erase(id, revision);
      break;
    case RowKind::kUser:
      users_.Erase(id, revision);
      break;
    case RowKind::kCredential:
      if (const CredentialRecord* old = credentials_.Find(id)) {
        Forget(credential_by_secret_, old->secret_sha256, id);
        credentials_.Erase(id, revision);
      }
      break;
    case RowKind::kIdempotency:
      if (const auto* old = idempotency_.FindEntry(id)) {
        answers_by_age_.erase({old->revision, id});
        idempotency_.Erase(id, revision);
      }
      break;
    case RowKind::kProject:
      projects_.Erase(id, revision);
      break;
    case RowKind::kSecurityGroup:
      security_groups_.Erase(id, revision);
      break;
    case RowKind::kFloatingIp:
      address_owner_.erase(id);
      floating_ips_.Erase(id, revision);
      break;
    case RowKind::kPortForward:
      port_forwards_.Erase(id, revision);
      break;
    case RowKind::kReservation:
      if (const ReservationRecord* old = reservations_.Find(id)) {
        reservation_by_address_.erase(old->api.address.str());
        Forget(address_owner_, old->api.address.str(), id);
        reservations_.Erase(id, revision);
      }
      break;
    case RowKind::kKey:
      keys_.Erase(id, revision);
      break;
    case RowKind::kContext:
      contexts_.Erase(id, revision);
      break;
  }
}

void State::Succeed(const State& old) {
  nodes_.Succeed(old.nodes_);
  containers_.Succeed(old.containers_);
  images_.Succeed(old.images_);
  flavors_.Succeed(old.flavors_);
  tokens_.Succeed(old.tokens_);
  operations_.Succeed(old.operations_);
  projects_.Succeed(old.projects_);
  security_groups_.Succeed(old.security_groups_);
  floating_ips_.Succeed(old.floating_ips_);
  port_forwards_.Succeed(old.port_forwards_);
  reservations_.Succeed(old.reservations_);
  keys_.Succeed(old.keys_);
}

void State::AddEvent(EventRecord event, size_t keep) {
  events_.push_back(std::move(event));
  while (events_.size() > keep) {
    events_begin_ = events_.front().revision;
    events_.pop_front();
  }
}

}  // namespace bramble::controller
