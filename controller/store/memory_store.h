// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <utility>

#include "controller/store/store.h"

namespace bramble::controller {

// A store in memory that behaves: a commit is durable, and its caller told, only when RunPending()
// is called, and it fails when told to.
class MemoryStore : public Store {
 public:
  absl::StatusOr<Snapshot> Load() override;
  void Commit(Transaction transaction, Done done) override;
  void Backup(std::string path, Done done) override;

  // Commits what waits, also what that has others commit.  False: nothing was waiting.
  bool RunPending();
  // Every later commit fails with `status` and leaves no trace; OK ends that.
  void FailWith(absl::Status status) { failure_ = std::move(status); }
  // Loses what is not durable yet, as a power cut does: callers hear nothing.
  void LosePower() {
    waiting_.clear();
    failed_ = false;
  }
  // Turns this store into the copy that was taken by Save, as restoring a backup does.
  struct Copy {
    Snapshot snapshot;
    std::map<std::pair<RowKind, std::string>, Row> rows;
  };
  Copy Save() const;
  void Restore(const Copy& copy, bool as_backup);
  const std::vector<AuditRow>& audit() const { return audit_; }
  uint64_t revision() const { return revision_; }

 private:
  std::map<std::pair<RowKind, std::string>, Row> rows_;
  std::deque<StoredEvent> events_;
  std::vector<AuditRow> audit_;
  uint64_t revision_ = 0;
  bool restored_ = false;
  bool failed_ = false;
  absl::Status failure_;
  std::deque<std::pair<Transaction, Done>> waiting_;
};

}  // namespace bramble::controller
