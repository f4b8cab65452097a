// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the controller's state survives.  A Transaction is all that one request changes: rows, the
// audit row and the events, stored together or not at all.
//
// SqliteStore is the real one; MemoryStore lives in store_testing, and both pass
// store_contract.h.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "controller/model/row_kind.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// The main fields of an object in columns of their own, for a person with `sqlite3`, and all of it
// as JSON in `doc`.  A column that a kind does not have is ignored.
struct Row {
  RowKind kind = RowKind::kCluster;
  std::string id;
  std::string project;
  std::string name;
  std::string owner;  // the node of a container, the user of a credential
  std::string state;
  uint64_t generation = 0;
  std::string doc;
};

struct RowKey {
  RowKind kind = RowKind::kCluster;
  std::string id;
};

struct EventRow {
  std::string type;
  std::string object_kind;
  std::string object_id;
  std::string doc;  // api::Event as JSON
};

struct AuditRow {
  int64_t time_ms = 0;
  std::string actor;
  std::string action;  // "container.create"
  std::string object_kind;
  std::string object_id;
  std::string object_name;
  std::string detail;
};

struct Transaction {
  uint64_t revision = 0;  // exactly one more than the previous one's
  std::vector<Row> put;   // replaces or inserts
  std::vector<RowKey> erase;
  AuditRow audit;  // none when its actor is empty
  std::vector<EventRow> events;
  bool adopted = false;  // the epoch above a restored backup was opened: see Snapshot::restored
};

struct StoredEvent {
  uint64_t revision = 0;
  std::string doc;
};

struct Snapshot {
  uint64_t revision = 0;
  bool restored = false;  // from a backup, and no epoch was opened above it yet
  std::vector<Row> rows;
  std::vector<StoredEvent> events;  // within the retention, oldest first
};

inline constexpr size_t kStoredEvents = 10000;
inline constexpr size_t kStoredAuditRows = 100000;

class Store {
 public:
  using Done = std::function<void(absl::Status)>;

  virtual ~Store() = default;

  // Everything, as of the last transaction that is durable.  Blocks.  kUnavailable: a commit or a
  // backup is under way.
  virtual absl::StatusOr<Snapshot> Load() = 0;

  // Makes `transaction` durable together with others that wait, in order, and calls `done` on the
  // loop, never from within this call.  After one failure every later transaction fails with
  // kUnavailable until Load() was called: nothing is ever half-applied or applied out of order.
  // kResourceExhausted: the disk is full.  kDataLoss: the disk or the file is bad.
  virtual void Commit(Transaction transaction, Done done) = 0;

  // A consistent copy of all state, as of now, in a new file of mode 0600.
  virtual void Backup(std::string path, Done done) = 0;
};

}  // namespace bramble::controller
