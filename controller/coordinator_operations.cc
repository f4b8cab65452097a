// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_operations.h"

#include "base/status.h"
#include "controller/catalog_services.h"

#include "absl/strings/str_format.h"

namespace bramble::controller {
namespace {

std::string Field(const OperationRecord& record, std::string_view key) {
  const api::Operation& operation = record.api;
  if (key == "id") return operation.id.str();
  if (key == "kind") return operation.kind;
  if (key == "object") return operation.object.name;
  if (key == "object_id") return operation.object.id;
  if (key == "object_kind") return operation.object.kind;
  if (key == "created_by") return operation.created_by;
  return std::string(api::kOperationStateNames[static_cast<size_t>(operation.state)]);
}

Listing<OperationRecord> OperationListing() {
  return {.keys = {"id", "state", "kind", "object", "object_id", "object_kind", "created_by"},
          .field = Field,
          .project = [](const OperationRecord& record) { return record.project; },
          .order =
              [](const OperationRecord& record) {
                // Newest first.
                const int64_t age = INT64_MAX - record.api.created_at.time_since_epoch().count();
                return absl::StrFormat("%019d/%s", age, record.api.id.str());
              }};
}

}  // namespace

LedgerOperations::LedgerOperations(Ledger& ledger, OperationTracker& tracker,
                                   LedgerContainers& containers, Fleet& fleet)
    : ledger_(ledger),
      tracker_(tracker),
      containers_(containers),
      fleet_(fleet),
      list_(OperationListing()) {}

absl::StatusOr<Rendered> LedgerOperations::Get(const Principal& who, const std::string& id) {
  const OperationRecord* record = ledger_.state().operations().Find(id);
  if (record == nullptr || !May(who, Access::kRead, record->project)) {
    return NotFound("operation", id);
  }
  return Rendered{ledger_.Body(ledger_.state().operations(), id)};
}

absl::StatusOr<Rendered> LedgerOperations::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().operations(), who, query);
}

// What a cancelled operation leaves is taken back where that loses nothing.
void LedgerOperations::TakeBack(Change& change, const OperationRecord& record) {
  if (record.api.kind == "container.create") {
    const ContainerRecord* container = ledger_.state().containers().Find(record.api.object.id);
    if (container != nullptr && !container->api.deleting) {
      containers_.DeleteRecord(change, *container);
    }
  } else if (record.api.kind == "node.drain" || record.api.kind == "node.restore") {
    if (const NodeRecord* found = ledger_.state().nodes().Find(record.api.object.id)) {
      NodeRecord node = *found;
      node.api.drain = api::DrainState::kNone;
      node.api.drain_deadline.reset();
      node.restoring = false;
      node.drain_operation = OperationId();
      ++node.api.generation;
      fleet_.Put(change, std::move(node));
    }
  }
}

void LedgerOperations::Cancel(const Principal& who, const std::string& id, WriteOptions options,
                              WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const OperationRecord* found = ledger_.state().operations().Find(id);
    if (found == nullptr || !May(who, Access::kWrite, found->project)) {
      return NotFound("operation", id);
    }
    const OperationRecord record = *found;
    if (record.api.finished()) {
      return absl::FailedPreconditionError(
          StrCat("operation ", id,
                 " has ended: ", api::kOperationStateNames[static_cast<size_t>(record.api.state)]));
    }
    if (record.api.kind == "container.delete" || record.api.kind == "node.reboot" ||
        record.api.kind == "node.poweroff") {
      return absl::FailedPreconditionError(
          StrCat("operation ", id, ": ", record.api.kind, " cannot be taken back"));
    }
    tracker_.Cancel(change, record.api.id, "cancelled");
    TakeBack(change, record);
    return Written{.object = ledger_.Body(ledger_.state().operations(), id),
                   .operation = ledger_.Body(ledger_.state().operations(), id),
                   .operation_id = record.api.id};
  };
  ledger_.Write(who, "operation.cancel", options, std::move(done), apply);
}

}  // namespace bramble::controller
