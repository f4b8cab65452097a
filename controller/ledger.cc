// SPDX-License-Identifier: Apache-2.0
#include "controller/ledger.h"

#include <algorithm>

#include "api/problem.h"
#include "base/status.h"
#include "controller/store/row_codec.h"

namespace bramble::controller {
namespace {

constexpr std::chrono::seconds kReloadEvery{2};
constexpr std::chrono::seconds kTryEvery{2};

}  // namespace

const State& Change::state() const { return ledger_->state_; }
uint64_t Change::revision() const { return ledger_->state_.revision() + 1; }
WallTime Change::now() const { return ledger_->clock_.Wall(); }

void Change::Touch(RowKind kind, std::string id) {
  std::pair<RowKind, std::string> key(kind, std::move(id));
  if (std::find(touched_.begin(), touched_.end(), key) == touched_.end()) {
    touched_.push_back(std::move(key));
  }
}

template <typename Record>
void Change::Put(RowKind kind, const std::string& id, Record record) {
  Touch(kind, id);
  ledger_->state_.Put(std::move(record), revision());
}

void Change::Put(ContainerRecord r) {
  const std::string id = r.api.id.str();
  Put(RowKind::kContainer, id, std::move(r));
}
void Change::Put(NodeRecord r) {
  const std::string id = r.api.id.str();
  Put(RowKind::kNode, id, std::move(r));
}
void Change::Put(ImageRecord r) {
  const std::string id = r.api.id.str();
  Put(RowKind::kImage, id, std::move(r));
}
void Change::Put(FlavorRecord r) {
  const std::string id = r.api.name.str();
  Put(RowKind::kFlavor, id, std::move(r));
}
void Change::Put(TokenRecord r) {
  const std::string id = r.api.id.str();
  Put(RowKind::kToken, id, std::move(r));
}
void Change::Put(OperationRecord r) {
  const std::string id = r.api.id.str();
  Put(RowKind::kOperation, id, std::move(r));
}
void Change::Put(UserRecord r) {
  const std::string id = r.id.str();
  Put(RowKind::kUser, id, std::move(r));
}
void Change::Put(CredentialRecord r) {
  const std::string id = r.id;
  Put(RowKind::kCredential, id, std::move(r));
}
void Change::Put(IdempotencyRecord r) {
  const std::string id = r.key;
  Put(RowKind::kIdempotency, id, std::move(r));
}
void Change::Put(ProjectRecord r) {
  const std::string id = r.api.name.str();
  Put(RowKind::kProject, id, std::move(r));
}
void Change::Put(SecurityGroupRecord r) {
  const std::string id = r.Id();
  Put(RowKind::kSecurityGroup, id, std::move(r));
}
void Change::Put(FloatingIpRecord r) {
  const std::string id = r.api.address.str();
  Put(RowKind::kFloatingIp, id, std::move(r));
}
void Change::Put(PortForwardRecord r) {
  const std::string id = r.api.Key();
  Put(RowKind::kPortForward, id, std::move(r));
}
void Change::Put(ReservationRecord r) {
  const std::string id = r.api.name;
  Put(RowKind::kReservation, id, std::move(r));
}
void Change::Put(KeyRecord r) {
  const std::string id = r.Id();
  Put(RowKind::kKey, id, std::move(r));
}
void Change::Put(ContextRecord r) {
  const std::string id = r.id;
  Put(RowKind::kContext, id, std::move(r));
}
void Change::Put(ClusterRecord r) {
  const std::string id = r.id.str();
  Put(RowKind::kCluster, id, std::move(r));
}

void Change::Erase(RowKind kind, const std::string& id) {
  Touch(kind, id);
  ledger_->state_.Erase(kind, id, revision());
}

void Change::About(api::ObjectReference object) {
  if (about_.kind.empty()) {
    about_ = std::move(object);
  }
}

void Change::AddEvent(std::string type, api::ObjectReference object, std::string message,
                      json::value data) {
  About(object);
  const api::Event event{.revision = revision(),
                         .time = now(),
                         .type = type,
                         .object = object,
                         .actor = who_->Actor(),
                         .message = std::move(message),
                         .data = std::move(data)};
  auto body = std::make_shared<const std::string>(api::Encode(event));
  events_.push_back(
      {.type = type, .object_kind = object.kind, .object_id = object.id, .doc = *body});
  ledger_->state_.AddEvent({.revision = event.revision,
                            .type = std::move(type),
                            .project = object.project,
                            .body = std::move(body)},
                           kStoredEvents);
}

api::ObjectReference ReferenceTo(const ContainerRecord& record) {
  return {"container", record.api.id.str(), record.api.name.str(), record.api.project.str()};
}
api::ObjectReference ReferenceTo(const NodeRecord& record) {
  return {"node", record.api.id.str(), record.api.name.str(), ""};
}
api::ObjectReference ReferenceTo(const ImageRecord& record) {
  return {"image", record.api.id.str(), StrCat(record.api.name, ":", record.api.tag),
          record.api.project.str()};
}
api::ObjectReference ReferenceTo(const FlavorRecord& record) {
  return {"flavor", record.api.name.str(), record.api.name.str(), ""};
}
api::ObjectReference ReferenceTo(const TokenRecord& record) {
  return {"token", record.api.id.str(), record.api.id.str(), ""};
}

api::ObjectReference ReferenceTo(const ProjectRecord& record) {
  return {"project", record.api.name.str(), record.api.name.str(), record.api.name.str()};
}
api::ObjectReference ReferenceTo(const SecurityGroupRecord& record) {
  return {"security-group", record.Id(), record.api.name, record.api.project.str()};
}
api::ObjectReference ReferenceTo(const FloatingIpRecord& record) {
  const std::string address = record.api.address.str();
  return {"floating-ip", address, address, record.api.project.str()};
}
api::ObjectReference ReferenceTo(const PortForwardRecord& record) {
  return {"port-forward", record.api.Key(), record.api.Key(), record.api.project.str()};
}
api::ObjectReference ReferenceTo(const ReservationRecord& record) {
  return {"address", record.api.name, record.api.name, ""};
}
api::ObjectReference ReferenceTo(const KeyRecord& record) {
  return {"key", record.Id(), record.api.name, record.api.project.str()};
}

template <typename Record>
SharedText Ledger::Body(const Table<Record>& table, std::string_view id) const {
  const auto* entry = table.FindEntry(id);
  if (entry == nullptr) {
    return nullptr;
  }
  if (entry->body == nullptr) {
    entry->body = Render(entry->record);
  }
  return entry->body;
}
template SharedText Ledger::Body(const Table<ContainerRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<NodeRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<ImageRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<FlavorRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<TokenRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<OperationRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<ProjectRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<SecurityGroupRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<FloatingIpRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<PortForwardRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<ReservationRecord>&, std::string_view) const;
template SharedText Ledger::Body(const Table<KeyRecord>&, std::string_view) const;

absl::Status Ledger::Writable() const {
  if (!broken_) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      StrCat("the controller's store failed and is being read again; try again",
             last_write_.ok() ? "" : StrCat(" (", MessageOf(last_write_), ")")));
}

absl::Status Ledger::Load() { return Reload(); }

absl::Status Ledger::Reload() {
  BRAMBLE_ASSIGN_OR_RETURN(const Snapshot snapshot, store_.Load());
  State fresh;
  // Rows that count others come after what they count in: the order of RowKind.
  for (const Row& row : snapshot.rows) {
    BRAMBLE_RETURN_IF_ERROR(ReadRow(row, snapshot.revision, fresh));
  }
  const bool all_kept = !snapshot.events.empty() && snapshot.events.front().revision == 1;
  fresh.SetEventsBegin(snapshot.events.empty() ? snapshot.revision
                       : all_kept              ? 0
                                               : snapshot.events.front().revision);
  for (const StoredEvent& stored : snapshot.events) {
    BRAMBLE_ASSIGN_OR_RETURN(EventRecord event, ReadEvent(stored));
    fresh.AddEvent(std::move(event), kStoredEvents);
  }
  fresh.SetRevision(snapshot.revision);
  fresh.Succeed(state_);
  state_ = std::move(fresh);
  durable_ = snapshot.revision;
  restored_ = snapshot.restored;
  broken_ = false;
  return absl::OkStatus();
}

void Ledger::Fail() {
  broken_ = true;
  Tick();
}

void Ledger::Tick() {
  TryAgain();
  if (!broken_ || under_way_ > 0 || clock_.Boot() < next_reload_) {
    return;
  }
  next_reload_ = clock_.Boot() + kReloadEvery;
  if (Reload().ok() && on_reload_) {
    on_reload_();
  }
}

// While nobody writes, a write of nothing says whether the disk takes writes again.
void Ledger::TryAgain() {
  if (last_write_.ok() || broken_ || under_way_ > 0 || clock_.Boot() < next_try_) {
    return;
  }
  next_try_ = clock_.Boot() + kTryEvery;
  const Principal system = Principal::System();
  Change change(*this, system, "store.try");
  change.OmitAudit();
  Commit(std::move(change), nullptr);
}

bool Ledger::AnswerRepeat(const Key& key, WriteDone& done) {
  const IdempotencyRecord* record = state_.idempotency().Find(key.id);
  if (record == nullptr) {
    return false;
  }
  if (record->fingerprint != key.fingerprint) {
    done(api::WithCode(absl::InvalidArgumentError(
                           "this Idempotency-Key was used for another request; use a new one"),
                       "idempotency_key_reused"));
    return true;
  }
  if (const auto open = repeats_.find(key.id); open != repeats_.end()) {
    open->second.push_back(std::move(done));
    return true;
  }
  auto text = [](const std::string& body) {
    return body.empty() ? nullptr : std::make_shared<const std::string>(body);
  };
  done(Written{.object = text(record->body),
               .generation = record->generation,
               .operation = text(record->operation_body),
               .operation_id = OperationId::Trusted(record->operation_id)});
  return true;
}

void Ledger::Write(const Principal& who, std::string_view action, const WriteOptions& options,
                   WriteDone done, const Apply& apply) {
  if (absl::Status writable = Writable(); !writable.ok()) {
    done(writable);
    return;
  }
  Key key;
  if (!options.idempotency_key.empty()) {
    if (options.idempotency_key.size() > kMaxIdempotencyKey) {
      done(absl::InvalidArgumentError(
          StrCat("Idempotency-Key: at most ", kMaxIdempotencyKey, " characters")));
      return;
    }
    key = {StrCat(who.Actor(), "/", options.idempotency_key), options.request_fingerprint};
    if (AnswerRepeat(key, done)) {
      return;
    }
  }
  Change change(*this, who, action);
  absl::StatusOr<Written> written = apply(change);
  if (!written.ok()) {
    const bool clean = change.empty();
    done(written.status());
    if (!clean) {
      Fail();  // half a change: forget it, as after a failure of the store
    }
    return;
  }
  if (!key.id.empty()) {
    // The oldest makes room in the same transaction.  One more where there are too many: they were
    // kept under another limit.
    for (int i = 0; i < 2 && state_.idempotency().size() >= max_answers_; ++i) {
      change.Erase(RowKind::kIdempotency, state_.OldestAnswer());
    }
    change.Put(IdempotencyRecord{.key = key.id,
                                 .fingerprint = key.fingerprint,
                                 .body = written->object ? *written->object : "",
                                 .operation_body = written->operation ? *written->operation : "",
                                 .operation_id = written->operation_id.str(),
                                 .generation = written->generation,
                                 .created_at = clock_.Wall()});
    repeats_[key.id];
  }
  Commit(std::move(change), [this, key_id = key.id, done = std::move(done),
                             written = *std::move(written)](absl::Status status) {
    const absl::StatusOr<Written> answer = status.ok() ? absl::StatusOr<Written>(written) : status;
    std::vector<WriteDone> others;
    if (const auto open = repeats_.find(key_id); open != repeats_.end()) {
      others = std::move(open->second);
      repeats_.erase(open);
    }
    done(answer);
    for (const WriteDone& other : others) {
      other(answer);
    }
  });
}

Row Ledger::RowOf(RowKind kind, const std::string& id) {
  switch (kind) {
    case RowKind::kCluster:
      return ToRow(state_.cluster());
    case RowKind::kNode:
      return ToRow(*state_.nodes().Find(id), *Body(state_.nodes(), id));
    case RowKind::kContainer:
      return ToRow(*state_.containers().Find(id), *Body(state_.containers(), id));
    case RowKind::kImage:
      return ToRow(*state_.images().Find(id), *Body(state_.images(), id));
    case RowKind::kFlavor:
      return ToRow(*state_.flavors().Find(id), *Body(state_.flavors(), id));
    case RowKind::kToken:
      return ToRow(*state_.tokens().Find(id), *Body(state_.tokens(), id));
    case RowKind::kOperation:
      return ToRow(*state_.operations().Find(id), *Body(state_.operations(), id));
    case RowKind::kUser:
      return ToRow(*state_.users().Find(id));
    case RowKind::kCredential:
      return ToRow(*state_.credentials().Find(id));
    case RowKind::kIdempotency:
      return ToRow(*state_.idempotency().Find(id));
    case RowKind::kProject:
      return ToRow(*state_.projects().Find(id), *Body(state_.projects(), id));
    case RowKind::kSecurityGroup:
      return ToRow(*state_.security_groups().Find(id), *Body(state_.security_groups(), id));
    case RowKind::kFloatingIp:
      return ToRow(*state_.floating_ips().Find(id), *Body(state_.floating_ips(), id));
    case RowKind::kPortForward:
      return ToRow(*state_.port_forwards().Find(id), *Body(state_.port_forwards(), id));
    case RowKind::kReservation:
      return ToRow(*state_.reservations().Find(id), *Body(state_.reservations(), id));
    case RowKind::kKey:
      return ToRow(*state_.keys().Find(id), *Body(state_.keys(), id));
    case RowKind::kContext:
      return ToRow(*state_.contexts().Find(id));
  }
  return {};
}

namespace {

bool Exists(const State& state, RowKind kind, const std::string& id) {
  switch (kind) {
    case RowKind::kCluster:
      return true;
    case RowKind::kNode:
      return state.nodes().Find(id) != nullptr;
    case RowKind::kContainer:
      return state.containers().Find(id) != nullptr;
    case RowKind::kImage:
      return state.images().Find(id) != nullptr;
    case RowKind::kFlavor:
      return state.flavors().Find(id) != nullptr;
    case RowKind::kToken:
      return state.tokens().Find(id) != nullptr;
    case RowKind::kOperation:
      return state.operations().Find(id) != nullptr;
    case RowKind::kUser:
      return state.users().Find(id) != nullptr;
    case RowKind::kCredential:
      return state.credentials().Find(id) != nullptr;
    case RowKind::kIdempotency:
      return state.idempotency().Find(id) != nullptr;
    case RowKind::kProject:
      return state.projects().Find(id) != nullptr;
    case RowKind::kSecurityGroup:
      return state.security_groups().Find(id) != nullptr;
    case RowKind::kFloatingIp:
      return state.floating_ips().Find(id) != nullptr;
    case RowKind::kPortForward:
      return state.port_forwards().Find(id) != nullptr;
    case RowKind::kReservation:
      return state.reservations().Find(id) != nullptr;
    case RowKind::kKey:
      return state.keys().Find(id) != nullptr;
    case RowKind::kContext:
      return state.contexts().Find(id) != nullptr;
  }
  return false;
}

}  // namespace

Transaction Ledger::ToTransaction(Change& change) {
  Transaction transaction;
  transaction.revision = change.revision();
  for (const auto& [kind, id] : change.touched_) {
    if (Exists(state_, kind, id)) {
      transaction.put.push_back(RowOf(kind, id));
    } else {
      transaction.erase.push_back({kind, id});
    }
  }
  if (change.audited_) {
    transaction.audit = {.time_ms = clock_.Wall().time_since_epoch().count(),
                         .actor = change.who_->Actor(),
                         .action = std::string(change.action_),
                         .object_kind = change.about_.kind,
                         .object_id = change.about_.id,
                         .object_name = change.about_.name};
  }
  transaction.events = std::move(change.events_);
  transaction.adopted = change.adopted_;
  return transaction;
}

void Ledger::Commit(Change change, Done done) {
  if (broken_) {
    if (done) {
      done(Writable());  // what was put is forgotten when the store is read again
    }
    return;
  }
  if (on_commit_) {
    on_commit_(change);
  }
  Transaction transaction = ToTransaction(change);
  const uint64_t revision = transaction.revision;
  const bool events = !transaction.events.empty();
  state_.SetRevision(revision);
  ++under_way_;
  store_.Commit(std::move(transaction),
                [this, revision, events, after = std::move(change.after_), done = std::move(done)](
                    absl::Status status) { OnStored(revision, events, after, done, status); });
}

void Ledger::OnStored(uint64_t revision, bool events,
                      const std::vector<std::function<void()>>& after, const Done& done,
                      const absl::Status& status) {
  --under_way_;
  if (status.ok()) {
    last_write_ = absl::OkStatus();
    durable_ = revision;
    for (const std::function<void()>& then : after) {
      then();
    }
    if (events && on_events_) {
      on_events_();
    }
  } else {
    // Those behind the first failure fail because of it: the cause is the first one's.
    if (!broken_) {
      last_write_ = status;
      next_try_ = clock_.Boot() + kTryEvery;
    }
    broken_ = true;
  }
  if (done) {
    done(status);
  }
  if (broken_ && under_way_ == 0) {
    Tick();
  }
}

}  // namespace bramble::controller
