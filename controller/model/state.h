// SPDX-License-Identifier: Apache-2.0
#pragma once

// All objects in memory, with the indexes that reads and decisions need.  Pure: no I/O, no clock.
// Only the Ledger writes to it; everybody else gets it const.

#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "controller/model/principal.h"
#include "controller/model/records.h"
#include "controller/model/row_kind.h"

namespace bramble::controller {

// A table of records by id that remembers, per record, its rendering for the API.
template <typename Record>
class Table {
 public:
  struct Entry {
    Record record;
    uint64_t revision = 0;    // of the last change
    mutable SharedText body;  // rendered on demand; reset by every change
  };
  using Map = std::map<std::string, Entry, std::less<>>;

  const Record* Find(std::string_view id) const {
    const auto found = entries_.find(id);
    return found == entries_.end() ? nullptr : &found->second.record;
  }
  const Entry* FindEntry(std::string_view id) const {
    const auto found = entries_.find(id);
    return found == entries_.end() ? nullptr : &found->second;
  }
  const Map& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  uint64_t revision() const { return revision_; }  // of the last change to any record

  Record& Put(const std::string& id, Record record, uint64_t revision) {
    Entry& entry = entries_[id];
    entry.record = std::move(record);
    entry.revision = revision;
    entry.body.reset();
    revision_ = revision;
    ++version_;
    return entry.record;
  }
  void Erase(std::string_view id, uint64_t revision) {
    if (const auto found = entries_.find(id); found != entries_.end()) {
      entries_.erase(found);
      revision_ = revision;
      ++version_;
    }
  }
  // Rises with every change, also with those that are not stored (a node's liveness).
  uint64_t version() const { return version_; }
  // This table replaces `old`: no version is seen twice.
  void Succeed(const Table& old) { version_ += old.version_ + 1; }
  void Touch(std::string_view id) {
    if (const auto found = entries_.find(id); found != entries_.end()) {
      found->second.body.reset();
      ++version_;
    }
  }
  // For what is not stored: changes the record in place.
  Record* Edit(std::string_view id) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
      return nullptr;
    }
    found->second.body.reset();
    ++version_;
    return &found->second.record;
  }
  void Clear() {
    entries_.clear();
    ++version_;
  }

 private:
  Map entries_;
  uint64_t revision_ = 0;
  uint64_t version_ = 0;
};

class State {
 public:
  uint64_t revision() const { return revision_; }
  const ClusterRecord& cluster() const { return cluster_; }
  const Table<ContainerRecord>& containers() const { return containers_; }
  const Table<NodeRecord>& nodes() const { return nodes_; }
  const Table<ImageRecord>& images() const { return images_; }
  const Table<FlavorRecord>& flavors() const { return flavors_; }
  const Table<TokenRecord>& tokens() const { return tokens_; }
  const Table<OperationRecord>& operations() const { return operations_; }
  const Table<UserRecord>& users() const { return users_; }
  const Table<CredentialRecord>& credentials() const { return credentials_; }
  const Table<IdempotencyRecord>& idempotency() const { return idempotency_; }
  const Table<ProjectRecord>& projects() const { return projects_; }
  const Table<SecurityGroupRecord>& security_groups() const { return security_groups_; }
  const Table<FloatingIpRecord>& floating_ips() const { return floating_ips_; }  // by address
  const Table<PortForwardRecord>& port_forwards() const { return port_forwards_; }
  const Table<ReservationRecord>& reservations() const { return reservations_; }  // by name
  const Table<KeyRecord>& keys() const { return keys_; }                          // "project/name"
  const Table<ContextRecord>& contexts() const { return contexts_; }
  const std::deque<EventRecord>& events() const { return events_; }

  // By name or by id; nullptr when there is none.
  const ContainerRecord* FindContainer(std::string_view project, std::string_view name_or_id) const;
  const NodeRecord* FindNode(std::string_view name_or_id) const;
  const NodeRecord* FindNodeByKey(std::string_view key_sha256) const;
  // "name" or "name:tag", its own or an alias, or an id: of `project`, else of one that shows it.
  const ImageRecord* FindImage(std::string_view project, std::string_view reference) const;
  const CredentialRecord* FindCredential(std::string_view secret_sha256) const;
  // Ids of the containers on `node`, also of those being deleted.
  const std::set<std::string>& ContainersOn(const NodeId& node) const;
  // Ids of the containers that no node holds, oldest first.
  std::vector<std::string> Pending() const;
  // Whose address it is: a container's or node's id, the container's for a floating IP, a
  // reservation's name; empty: nobody's.
  std::string AddressOwner(std::string_view address) const;
  // Ids of the unfinished operations on the object `id`.
  const std::set<std::string>& OpenOperations(std::string_view object_id) const;
  // The key of the answer to a keyed write that was kept first; empty: none is kept.
  std::string OldestAnswer() const;
  // Events of this revision and before are not kept.
  uint64_t events_begin() const { return events_begin_; }

  // Every change bears the revision that it is stored under.
  void SetRevision(uint64_t revision) { revision_ = revision; }
  void Put(ClusterRecord record, uint64_t revision);
  void Put(NodeRecord record, uint64_t revision);
  void Put(ContainerRecord record, uint64_t revision);
  void Put(ImageRecord record, uint64_t revision);
  void Put(FlavorRecord record, uint64_t revision);
  void Put(TokenRecord record, uint64_t revision);
  void Put(OperationRecord record, uint64_t revision);
  void Put(UserRecord record, uint64_t revision);
  void Put(CredentialRecord record, uint64_t revision);
  void Put(IdempotencyRecord record, uint64_t revision);
  void Put(ProjectRecord record, uint64_t revision);
  void Put(SecurityGroupRecord record, uint64_t revision);
  void Put(FloatingIpRecord record, uint64_t revision);
  void Put(PortForwardRecord record, uint64_t revision);
  void Put(ReservationRecord record, uint64_t revision);
  void Put(KeyRecord record, uint64_t revision);
  void Put(ContextRecord record, uint64_t revision);
  void Erase(RowKind kind, const std::string& id, uint64_t revision);
  void AddEvent(EventRecord event, size_t keep);
  void SetEventsBegin(uint64_t revision) { events_begin_ = revision; }
  // This state, read anew, replaces `old`.
  void Succeed(const State& old);

  // What is not stored: in place, with no revision.  nullptr: no such object.
  NodeRecord* EditNode(std::string_view id) { return nodes_.Edit(id); }
  OperationRecord* EditOperation(std::string_view id) { return operations_.Edit(id); }

 private:
  void CountOnNode(const ContainerRecord& record, int sign);
  void Unindex(const ContainerRecord& record);
  void Unindex(const NodeRecord& record);
  void Unindex(const ImageRecord& record);
  // `id` no longer has it; it is its reservation's again, if it has one.
  void GiveBack(const std::string& address, const std::string& id);

  uint64_t revision_ = 0;
  ClusterRecord cluster_;
  Table<ContainerRecord> containers_;
  Table<NodeRecord> nodes_;
  Table<ImageRecord> images_;
  Table<FlavorRecord> flavors_;
  Table<TokenRecord> tokens_;
  Table<OperationRecord> operations_;
  Table<UserRecord> users_;
  Table<CredentialRecord> credentials_;
  Table<IdempotencyRecord> idempotency_;
  Table<ProjectRecord> projects_;
  Table<SecurityGroupRecord> security_groups_;
  Table<FloatingIpRecord> floating_ips_;
  Table<PortForwardRecord> port_forwards_;
  Table<ReservationRecord> reservations_;
  Table<KeyRecord> keys_;
  Table<ContextRecord> contexts_;
  std::deque<EventRecord> events_;

  std::map<std::string, std::string, std::less<>> container_by_name_;  // "project/name" -> id
  std::map<std::string, std::string, std::less<>> node_by_name_;
  std::map<std::string, std::string, std::less<>> node_by_key_;
  std::map<std::string, std::string, std::less<>> image_by_name_;  // "project/name:tag"
  std::map<std::string, std::string, std::less<>> public_images_;  // "/name:tag/project"
  std::map<std::string, std::string, std::less<>> credential_by_secret_;
  std::map<std::string, std::set<std::string>, std::less<>> containers_on_;  // "" -> pending
  std::map<std::string, std::string, std::less<>> address_owner_;
  std::map<std::string, std::string, std::less<>> reservation_by_address_;
  std::map<std::string, std::set<std::string>, std::less<>> open_operations_;
  std::set<std::pair<uint64_t, std::string>> answers_by_age_;  // revision, key
  uint64_t events_begin_ = 0;
};

}  // namespace bramble::controller
