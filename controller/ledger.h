// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one place where the model changes.  A Change is made in memory at once, so that the next
// request sees it, and stored with others in one transaction; whoever asked is answered, and nodes
// are told, only when it is durable.  When storing fails, all that is not durable is forgotten: the
// model is read again from the store, and everybody who waits is told.

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "controller/coordinator_types.h"
#include "controller/model/state.h"
#include "controller/store/store.h"

namespace bramble::controller {

class Ledger;

// What one request or message changes.  Validate first: what was put is put.
class Change {
 public:
  Change(Ledger& ledger, const Principal& who, std::string_view action)
      : ledger_(&ledger), who_(&who), action_(action) {}

  const Principal& who() const { return *who_; }
  const State& state() const;
  uint64_t revision() const;
  WallTime now() const;

  template <typename Record>
  void Put(RowKind kind, const std::string& id, Record record);
  void Put(ContainerRecord record);
  void Put(NodeRecord record);
  void Put(ImageRecord record);
  void Put(FlavorRecord record);
  void Put(TokenRecord record);
  void Put(OperationRecord record);
  void Put(UserRecord record);
  void Put(CredentialRecord record);
  void Put(IdempotencyRecord record);
  void Put(ProjectRecord record);
  void Put(SecurityGroupRecord record);
  void Put(FloatingIpRecord record);
  void Put(PortForwardRecord record);
  void Put(ReservationRecord record);
  void Put(KeyRecord record);
  void Put(ContextRecord record);
  void Put(ClusterRecord record);
  void Erase(RowKind kind, const std::string& id);

  // `object` is also the audit row's, the first time.
  void AddEvent(std::string type, api::ObjectReference object, std::string message,
                json::value data = nullptr);
  // Says what the audit row is about when there is no event.
  void About(api::ObjectReference object);
  // Runs when the change is durable, before its `done`; never when it is lost.
  void AfterDurable(std::function<void()> then) { after_.push_back(std::move(then)); }
  void MarkAdopted() { adopted_ = true; }
  // Not worth an audit row: nobody asked for it.
  void OmitAudit() { audited_ = false; }

  bool empty() const { return touched_.empty() && events_.empty(); }

 private:
  friend class Ledger;
  void Touch(RowKind kind, std::string id);

  Ledger* ledger_;
  const Principal* who_;
  std::string_view action_;
  std::vector<std::pair<RowKind, std::string>> touched_;
  std::vector<EventRow> events_;
  api::ObjectReference about_;
  std::vector<std::function<void()>> after_;
  bool adopted_ = false;
  bool audited_ = true;
};

api::ObjectReference ReferenceTo(const ContainerRecord& record);
api::ObjectReference ReferenceTo(const NodeRecord& record);
api::ObjectReference ReferenceTo(const ImageRecord& record);
api::ObjectReference ReferenceTo(const FlavorRecord& record);
api::ObjectReference ReferenceTo(const TokenRecord& record);
api::ObjectReference ReferenceTo(const ProjectRecord& record);
api::ObjectReference ReferenceTo(const SecurityGroupRecord& record);
api::ObjectReference ReferenceTo(const FloatingIpRecord& record);
api::ObjectReference ReferenceTo(const PortForwardRecord& record);
api::ObjectReference ReferenceTo(const ReservationRecord& record);
api::ObjectReference ReferenceTo(const KeyRecord& record);

class Ledger {
 public:
  using Done = std::function<void(absl::Status)>;
  // Validates, then puts; the answer is given once that is durable.  An error: nothing was put.
  using Apply = std::function<absl::StatusOr<Written>(Change&)>;

  // `max_answers`: to keyed writes, kept at once.
  Ledger(Store& store, const Clock& clock, Random& random, size_t max_answers)
      : store_(store), clock_(clock), random_(random), max_answers_(max_answers) {}

  // Reads the store.  Blocks.
  absl::Status Load();
  // After a failure: reads the store again, when nothing is under way.  Call from time to time.
  void Tick();

  const State& state() const { return state_; }
  const Clock& clock() const { return clock_; }
  Random& random() { return random_; }
  bool restored() const { return restored_; }
  // OK, or kUnavailable while the state is being read again.
  absl::Status Writable() const;
  // OK when the last write succeeded, else why it failed: known until one has succeeded, and tried
  // again from time to time while nobody writes.
  absl::Status LastWrite() const { return last_write_; }
  uint64_t durable_revision() const { return durable_; }

  // A request of a person or a program: with idempotency.
  void Write(const Principal& who, std::string_view action, const WriteOptions& options,
             WriteDone done, const Apply& apply);
  // Everything else.  `done` may be empty.  An empty change is answered by the next turn of the
  // store, like others.
  void Commit(Change change, Done done);

  // In place, and not stored.
  NodeRecord* EditNode(std::string_view id) { return state_.EditNode(id); }
  OperationRecord* EditOperation(std::string_view id) { return state_.EditOperation(id); }

  // Renderings, made once per change.
  template <typename Record>
  SharedText Body(const Table<Record>& table, std::string_view id) const;

  // Called with every change before it is stored: it may add to it.
  void OnCommit(std::function<void(Change&)> hook) { on_commit_ = std::move(hook); }
  // Called after the model was replaced by what the store holds.
  void OnReload(std::function<void()> hook) { on_reload_ = std::move(hook); }
  // Called after each batch of events became durable.
  void OnEvents(std::function<void()> hook) { on_events_ = std::move(hook); }

 private:
  friend class Change;
  struct Key {
    std::string id;  // "actor/key"
    std::string fingerprint;
  };

  bool AnswerRepeat(const Key& key, WriteDone& done);
  Transaction ToTransaction(Change& change);
  Row RowOf(RowKind kind, const std::string& id);
  void OnStored(uint64_t revision, bool events, const std::vector<std::function<void()>>& after,
                const Done& done, const absl::Status& status);
  void Fail();
  absl::Status Reload();
  void TryAgain();

  Store& store_;
  const Clock& clock_;
  Random& random_;
  const size_t max_answers_;
  State state_;
  uint64_t durable_ = 0;
  size_t under_way_ = 0;
  bool broken_ = false;
  bool restored_ = false;
  absl::Status last_write_;
  BootTime next_reload_{};
  BootTime next_try_{};
  std::map<std::string, std::vector<WriteDone>> repeats_;  // of keys whose first is under way
  std::function<void(Change&)> on_commit_;
  std::function<void()> on_reload_;
  std::function<void()> on_events_;
};

}  // namespace bramble::controller
