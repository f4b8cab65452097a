// SPDX-License-Identifier: Apache-2.0
#include "controller/store/memory_store.h"

namespace bramble::controller {

absl::StatusOr<Snapshot> MemoryStore::Load() {
  if (!waiting_.empty()) {
    return absl::UnavailableError("the store is busy");
  }
  failed_ = false;
  return Save().snapshot;
}

void MemoryStore::Commit(Transaction transaction, Done done) {
  waiting_.emplace_back(std::move(transaction), std::move(done));
}

void MemoryStore::Backup(std::string, Done done) {
  done(absl::UnimplementedError("a store in memory has no backup"));
}

bool MemoryStore::RunPending() {
  bool any = false;
  while (!waiting_.empty()) {
    any = true;
    auto [transaction, done] = std::move(waiting_.front());
    waiting_.pop_front();
    if (failed_) {
      done(absl::UnavailableError("the store failed before"));
      continue;
    }
    if (!failure_.ok()) {
      failed_ = true;
      done(failure_);
      continue;
    }
    if (transaction.revision != revision_ + 1) {
      failed_ = true;
      done(absl::InternalError("a revision is missing"));
      continue;
    }
    revision_ = transaction.revision;
    restored_ = restored_ && !transaction.adopted;
    for (const RowKey& key : transaction.erase) {
      rows_.erase({key.kind, key.id});
    }
    for (Row& row : transaction.put) {
      rows_[{row.kind, row.id}] = row;
    }
    for (const EventRow& event : transaction.events) {
      events_.push_back({revision_, event.doc});
    }
    audit_.push_back(transaction.audit);
    done(absl::OkStatus());
  }
  return any;
}

MemoryStore::Copy MemoryStore::Save() const {
  Copy copy;
  copy.rows = rows_;
  copy.snapshot.revision = revision_;
  copy.snapshot.restored = restored_;
  for (const auto& [key, row] : rows_) {
    copy.snapshot.rows.push_back(row);
  }
  copy.snapshot.events.assign(events_.begin(), events_.end());
  return copy;
}

void MemoryStore::Restore(const Copy& copy, bool as_backup) {
  waiting_.clear();
  failed_ = false;
  rows_ = copy.rows;
  revision_ = copy.snapshot.revision;
  restored_ = as_backup;
  events_.assign(copy.snapshot.events.begin(), copy.snapshot.events.end());
}

}  // namespace bramble::controller
