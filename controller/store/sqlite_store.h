// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "controller/store/store.h"

namespace bramble::controller {

// The store in one SQLite file.  Belongs to the loop; SQLite itself is called on a lane (one
// thread, in order), where all transactions that wait are committed together, with one fsync.
class SqliteStore : public Store {
 public:
  using Work = std::function<void()>;
  struct Executors {
    std::function<bool(Work)> lane;  // runs work elsewhere, in order; false: refused
    std::function<void(Work)> loop;  // runs work on the loop, later
  };

  // Opens or makes the file, carries out the migrations that are missing, and checks it
  // (quick_check) when it was not closed in order.  Blocks.  kDataLoss: damaged;
  // kFailedPrecondition: made by a newer Bramble.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const std::filesystem::path& path,
                                                           Executors executors);
  // What waits is dropped unanswered; what the lane has begun, it ends.
  ~SqliteStore() override;

  absl::StatusOr<Snapshot> Load() override;
  void Commit(Transaction transaction, Done done) override;
  void Backup(std::string path, Done done) override;

  // As if the disk had room for that many pages only.
  absl::Status LimitPagesForTest(int pages);

 private:
  struct Waiting;
  struct Shared;
  explicit SqliteStore(std::shared_ptr<Shared> shared);
  void Gather();
  void Turn(size_t seen, int turns);
  void StartBatch();
  void RunOnLane(Work work, Work finished);

  // The lane's work holds it too: it may outlive the store.
  std::shared_ptr<Shared> shared_;
  // What comes back to the loop looks here whether there still is a store.
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

// Marks a database file that is to replace the live one as restored: the next controller opens an
// epoch above it.  Checks it first.
absl::Status MarkRestored(const std::filesystem::path& path);

}  // namespace bramble::controller
