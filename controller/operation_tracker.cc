// SPDX-License-Identifier: Apache-2.0
#include "controller/operation_tracker.h"

#include <algorithm>

#include "api/problem.h"

namespace bramble::controller {
namespace {

constexpr std::chrono::hours kFinishedKept{24};
constexpr size_t kMaxFinished = 10000;
constexpr size_t kErasedAtOnce = 2000;

using api::ContainerState;
using api::DesiredState;

}  // namespace

ContainerState WantedState(DesiredState desired) {
  switch (desired) {
    case DesiredState::kRunning:
      return ContainerState::kRunning;
    case DesiredState::kStopped:
      return ContainerState::kStopped;
    case DesiredState::kFrozen:
      return ContainerState::kFrozen;
  }
  return ContainerState::kStopped;
}

namespace {

int64_t PercentOf(ContainerState state) {
  switch (state) {
    case ContainerState::kPending:
      return 0;
    case ContainerState::kPlaced:
      return 25;
    default:
      return 60;
  }
}

// What the container's status means for an operation that wants `generation`; nullopt: not done.
std::optional<absl::Status> Outcome(const ContainerRecord& record, uint64_t generation) {
  const api::ContainerStatus& status = record.api.status;
  if (status.node_id.empty() || record.moving || status.observed_generation < generation) {
    return std::nullopt;
  }
  if (record.api.generation > generation) {
    return absl::OkStatus();  // a later order took its place
  }
  const std::string name = StrCat("container \"", record.api.name.str(), "\": ");
  if (status.state == WantedState(record.api.spec.desired)) {
    // It runs, but not as ordered: the change could not be made.
    return status.state == ContainerState::kStopped || status.reason.empty()
               ? absl::OkStatus()
               : absl::FailedPreconditionError(StrCat(
                     name, status.reason, "; it runs on as it was, and the change is tried again"));
  }
  if (status.state == ContainerState::kFailed) {
    return absl::FailedPreconditionError(
        StrCat(name, status.reason.empty() ? "failed" : status.reason));
  }
  // It ran to its end, and is not to be started again.
  if (status.state == ContainerState::kStopped && status.exit_code.has_value()) {
    return *status.exit_code == 0 ? absl::OkStatus()
                                  : absl::FailedPreconditionError(
                                        StrCat(name, "ended with exit code ", *status.exit_code));
  }
  return std::nullopt;
}

// Which finished operations go: those of yesterday, and the oldest when there are too many.
std::vector<std::string> TooOld(std::vector<std::pair<WallTime, std::string>> finished,
                                WallTime now) {
  const size_t spare = finished.size() > kMaxFinished ? finished.size() - kMaxFinished : 0;
  const size_t some = std::min(finished.size(), kErasedAtOnce);
  std::partial_sort(finished.begin(), finished.begin() + static_cast<std::ptrdiff_t>(some),
                    finished.end());
  std::vector<std::string> old;
  for (size_t i = 0; i < some; ++i) {
    if (i < spare || finished[i].first + kFinishedKept <= now) {
      old.push_back(finished[i].second);
    }
  }
  return old;
}

}  // namespace

OperationId OperationTracker::Begin(Change& change, Start start) {
  OperationRecord record;
  record.api.id = OperationId::Trusted(RandomIdText(ledger_.random()));
  record.api.kind = std::move(start.kind);
  record.api.state = api::OperationState::kRunning;
  record.api.message = std::move(start.message);
  record.api.created_by = change.who().Actor();
  record.api.created_at = record.api.updated_at = change.now();
  record.project = start.object.project;
  record.deadline = change.now() + (start.deadline.count() > 0 ? start.deadline : deadline_);
  record.wanted_generation = start.wanted_generation;
  record.api.object = std::move(start.object);
  const OperationId id = record.api.id;
  change.Put(std::move(record));
  return id;
}

void OperationTracker::Finish(Change& change, const OperationId& id, absl::Status status,
                              json::value result) {
  const OperationRecord* found = ledger_.state().operations().Find(id.str());
  if (found == nullptr || found->api.finished()) {
    return;
  }
  OperationRecord record = *found;
  record.api.updated_at = change.now();
  if (status.ok()) {
    record.api.state = api::OperationState::kSucceeded;
    record.api.percent = 100;
    record.api.message = "done";
    record.api.result = std::move(result);
  } else {
    record.api.state = api::OperationState::kFailed;
    record.api.error_code = api::ProblemOf(status).code;
    record.api.error = std::string(MessageOf(status));
    record.api.message = "failed";
  }
  const bool ok = status.ok();
  const api::ObjectReference object = record.api.object;
  const std::string message = ok ? record.api.kind : record.api.error;
  change.Put(std::move(record));
  change.AddEvent(ok ? "operation.succeeded" : "operation.failed", object, message,
                  json::object{{"operation", id.str()}});
}

void OperationTracker::Cancel(Change& change, const OperationId& id, std::string message) {
  const OperationRecord* found = ledger_.state().operations().Find(id.str());
  if (found == nullptr || found->api.finished()) {
    return;
  }
  OperationRecord record = *found;
  record.api.state = api::OperationState::kCancelled;
  record.api.message = std::move(message);
  record.api.updated_at = change.now();
  const api::ObjectReference object = record.api.object;
  const std::string kind = record.api.kind;
  change.Put(std::move(record));
  change.AddEvent("operation.cancelled", object, kind, json::object{{"operation", id.str()}});
}

void OperationTracker::OnContainer(Change& change, const ContainerRecord& record) {
  const std::set<std::string> open = ledger_.state().OpenOperations(record.api.id.str());
  for (const std::string& id : open) {
    const OperationRecord* operation = ledger_.state().operations().Find(id);
    if (operation->api.kind == "container.delete") {
      continue;
    }
    const api::ContainerStatus& status = record.api.status;
    if (const auto outcome = Outcome(record, operation->wanted_generation)) {
      Finish(change, OperationId::Trusted(id), *outcome,
             json::object{{"node", status.node}, {"address", status.address}});
      continue;
    }
    const std::string_view state = api::kContainerStateNames[static_cast<size_t>(status.state)];
    Note(OperationId::Trusted(id), PercentOf(status.state),
         status.reason.empty() ? std::string(state) : StrCat(state, ": ", status.reason));
  }
}

void OperationTracker::OnContainerGone(Change& change, const ContainerRecord& record) {
  const std::set<std::string> open = ledger_.state().OpenOperations(record.api.id.str());
  for (const std::string& id : open) {
    const bool deletion = ledger_.state().operations().Find(id)->api.kind == "container.delete";
    Finish(change, OperationId::Trusted(id),
           deletion ? absl::OkStatus()
                    : absl::FailedPreconditionError(StrCat("container \"", record.api.name.str(),
                                                           "\" was deleted meanwhile")));
  }
}

void OperationTracker::Note(const OperationId& id, int64_t percent, std::string message) {
  const OperationRecord* known = ledger_.state().operations().Find(id.str());
  if (known == nullptr || (known->api.percent == percent && known->api.message == message)) {
    return;
  }
  OperationRecord* record = ledger_.EditOperation(id.str());
  record->api.percent = percent;
  record->api.message = std::move(message);
}

void OperationTracker::Tick() {
  const BootTime now = ledger_.clock().Boot();
  if (now < next_ || !ledger_.Writable().ok()) {
    return;
  }
  next_ = now + std::chrono::seconds(1);
  const WallTime wall = ledger_.clock().Wall();
  std::vector<OperationId> overdue;
  std::vector<std::pair<WallTime, std::string>> finished;
  for (const auto& [id, entry] : ledger_.state().operations().entries()) {
    const OperationRecord& record = entry.record;
    if (record.api.finished()) {
      finished.emplace_back(record.api.updated_at, id);
    } else if (record.deadline <= wall) {
      overdue.push_back(record.api.id);
    }
  }
  const std::vector<std::string> old = TooOld(std::move(finished), wall);
  if (overdue.empty() && old.empty()) {
    return;
  }
  const Principal system = Principal::System();
  Change change(ledger_, system, "operation.expire");
  for (const OperationId& id : overdue) {
    const OperationRecord& record = *ledger_.state().operations().Find(id.str());
    Finish(change, id,
           absl::DeadlineExceededError(StrCat(record.api.kind, " of ", record.api.object.kind,
                                              " \"", record.api.object.name,
                                              "\" was not done in time: ", record.api.message,
                                              "; it goes on, ask for its state later")));
  }
  for (const std::string& id : old) {
    change.Erase(RowKind::kOperation, id);
  }
  ledger_.Commit(std::move(change), nullptr);
}

}  // namespace bramble::controller
