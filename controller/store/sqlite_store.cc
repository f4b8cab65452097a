// SPDX-License-Identifier: Apache-2.0
#include "controller/store/sqlite_store.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "controller/store/migrations.h"
#include "controller/store/sqlite_database.h"
#include "controller/store/table_shape.h"

namespace bramble::controller {
namespace {

using SteadyClock = std::chrono::steady_clock;

// More would make the first of a batch wait for long.
constexpr size_t kMaxBatch = 256;
// Turns of the loop that a batch waits for others to join it, while some do.
constexpr int kMaxTurns = 64;
// Old events and audit rows are dropped once in so many transactions.
constexpr uint64_t kTrimEvery = 1000;

std::string UpsertSql(const TableShape& shape) {
  std::string columns = "id";
  std::string values = "?1";
  std::string updates = "doc = excluded.doc";
  int next = 2;
  for (std::string_view column :
       {shape.project, shape.name, shape.owner, shape.state, shape.generation}) {
    if (!column.empty()) {
      columns = StrCat(columns, ", ", column);
      values = StrCat(values, ", ?", next);
      updates = StrCat(updates, ", ", column, " = excluded.", column);
    }
    ++next;
  }
  return StrCat("INSERT INTO ", shape.table, " (", columns, ", doc) VALUES (", values,
                ", ?7) ON CONFLICT (id) DO UPDATE SET ", updates);
}

std::string SelectSql(const TableShape& shape) {
  std::string columns = "id, doc";
  for (std::string_view column :
       {shape.project, shape.name, shape.owner, shape.state, shape.generation}) {
    columns = StrCat(columns, ", ", column.empty() ? "NULL" : column);
  }
  return StrCat("SELECT ", columns, " FROM ", shape.table, " ORDER BY id");
}

absl::Status Migrate(SqliteDatabase& database) {
  BRAMBLE_ASSIGN_OR_RETURN(const int64_t done, database.QueryInt("PRAGMA user_version"));
  const auto migrations = Migrations();
  if (done > static_cast<int64_t>(migrations.size())) {
    return absl::FailedPreconditionError(
        StrCat("the controller's database was made by a newer Bramble (schema ", done,
               ", this one knows ", migrations.size(), "); install that version"));
  }
  for (size_t i = static_cast<size_t>(done); i < migrations.size(); ++i) {
    const std::string sql =
        StrCat("BEGIN IMMEDIATE;", migrations[i].sql, ";PRAGMA user_version = ", i + 1, ";COMMIT");
    if (absl::Status status = database.Exec(sql); !status.ok()) {
      database.Rollback();
      return Annotate(status, StrCat("migration ", migrations[i].name));
    }
  }
  return absl::OkStatus();
}

}  // namespace

struct SqliteStore::Waiting {
  Transaction transaction;
  Done done;
};

// What the lane and the loop hand to each other: while `busy`, the database and the statements are
// the lane's, otherwise the loop's.
struct SqliteStore::Shared {
  std::filesystem::path path;
  std::filesystem::path open_mark;  // exists while the store is open: an unclean stop leaves it
  Executors executors;
  SqliteDatabase database;
  std::array<SqliteStatement, kRowKinds> upsert;
  std::array<SqliteStatement, kRowKinds> erase;
  SqliteStatement add_event, add_audit, set_revision, set_adopted, begin, commit;
  uint64_t stored_revision = 0;
  uint64_t trimmed_at = 0;

  // How long the last batch took; the loop's while not `busy`, as all above.
  SteadyClock::duration last_batch = SteadyClock::duration::max();

  // The loop's.
  std::deque<Waiting> waiting;
  SteadyClock::time_point waiting_since;  // of the first of them
  struct WaitingBackup {
    size_t after = 0;  // so many of those that wait belong into it
    std::function<void()> start;
  };
  std::deque<WaitingBackup> backups;
  bool busy = false;
  bool gathering = false;
  bool failed = false;

  absl::Status Prepare();
  absl::Status Apply(const Transaction& transaction);
  absl::Status PutRow(const Row& row);
  absl::Status AddAudit(const AuditRow& audit, int64_t revision);
  absl::Status CommitBatch(const std::vector<Waiting>& batch);
  absl::Status Trim();
};

absl::Status SqliteStore::Shared::Prepare() {
  for (const TableShape& shape : kTableShapes) {
    const auto i = static_cast<size_t>(shape.kind);
    BRAMBLE_ASSIGN_OR_RETURN(upsert[i], database.Prepare(UpsertSql(shape)));
    BRAMBLE_ASSIGN_OR_RETURN(
        erase[i], database.Prepare(StrCat("DELETE FROM ", shape.table, " WHERE id = ?1")));
  }
  const std::pair<SqliteStatement*, const char*> others[] = {
      {&add_event, "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
      {&add_audit, "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {&set_revision, "UPDATE meta SET value = ?1 WHERE key = 'revision'"},
      {&set_adopted, "DELETE FROM meta WHERE key = 'restored'"},
      {&begin, "BEGIN IMMEDIATE"},
      {&commit, "COMMIT"}};
  for (const auto& [statement, sql] : others) {
    BRAMBLE_ASSIGN_OR_RETURN(*statement, database.Prepare(sql));
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::Shared::PutRow(const Row& row) {
  const TableShape& shape = ShapeOf(row.kind);
  SqliteStatement& statement = upsert[static_cast<size_t>(row.kind)];
  statement.Bind(1, row.id);
  if (!shape.project.empty()) {
    statement.Bind(2, row.project);
  }
  if (!shape.name.empty()) {
    statement.Bind(3, row.name);
  }
  if (!shape.owner.empty()) {
    if (row.owner.empty()) {
      statement.BindNull(4);
    } else {
      statement.Bind(4, row.owner);
    }
  }
  if (!shape.state.empty()) {
    statement.Bind(5, row.state);
  }
  if (!shape.generation.empty()) {
    statement.Bind(6, static_cast<int64_t>(row.generation));
  }
  statement.Bind(7, row.doc);
  return statement.Run();
}

absl::Status SqliteStore::Shared::Apply(const Transaction& transaction) {
  if (transaction.revision != stored_revision + 1) {
    return absl::InternalError(
        StrCat("revision ", transaction.revision, " after ", stored_revision));
  }
  for (const RowKey& key : transaction.erase) {
    SqliteStatement& statement = erase[static_cast<size_t>(key.kind)];
    statement.Bind(1, key.id);
    BRAMBLE_RETURN_IF_ERROR(statement.Run());
  }
  for (const Row& row : transaction.put) {
    BRAMBLE_RETURN_IF_ERROR(PutRow(row));
  }
  const auto revision = static_cast<int64_t>(transaction.revision);
  int64_t number = 0;
  for (const EventRow& event : transaction.events) {
    add_event.Bind(1, revision);
    add_event.Bind(2, number++);
    add_event.Bind(3, event.type);
    add_event.Bind(4, event.object_kind);
    add_event.Bind(5, event.object_id);
    add_event.Bind(6, event.doc);
    BRAMBLE_RETURN_IF_ERROR(add_event.Run());
  }
  const AuditRow& audit = transaction.audit;
  if (!audit.actor.empty()) {
    BRAMBLE_RETURN_IF_ERROR(AddAudit(audit, revision));
  }
  if (transaction.adopted) {
    BRAMBLE_RETURN_IF_ERROR(set_adopted.Run());
  }
  stored_revision = transaction.revision;
  return absl::OkStatus();
}

absl::Status SqliteStore::Shared::AddAudit(const AuditRow& audit, int64_t revision) {
  add_audit.Bind(1, revision);
  add_audit.Bind(2, audit.time_ms);
  int column = 3;
  for (const std::string* text : {&audit.actor, &audit.action, &audit.object_kind, &audit.object_id,
                                  &audit.object_name, &audit.detail}) {
    add_audit.Bind(column++, *text);
  }
  return add_audit.Run();
}

absl::Status SqliteStore::Shared::Trim() {
  trimmed_at = stored_revision;
  BRAMBLE_RETURN_IF_ERROR(database.Exec(
      StrCat("DELETE FROM events WHERE revision <= (SELECT revision FROM events ORDER BY revision "
             "DESC, number DESC LIMIT 1 OFFSET ",
             kStoredEvents, ")")));
  const uint64_t keep_from =
      stored_revision < kStoredAuditRows ? 0 : stored_revision - kStoredAuditRows;
  return database.Exec(StrCat("DELETE FROM audit WHERE revision < ", keep_from));
}

absl::Status SqliteStore::Shared::CommitBatch(const std::vector<Waiting>& batch) {
  const uint64_t before = stored_revision;
  const SteadyClock::time_point start = SteadyClock::now();
  auto run = [&]() -> absl::Status {
    BRAMBLE_RETURN_IF_ERROR(begin.Run());
    for (const Waiting& waiting_one : batch) {
      BRAMBLE_RETURN_IF_ERROR(Apply(waiting_one.transaction));
    }
    const std::string revision = StrCat(stored_revision);
    set_revision.Bind(1, revision);
    BRAMBLE_RETURN_IF_ERROR(set_revision.Run());
    if (stored_revision - trimmed_at >= kTrimEvery) {
      BRAMBLE_RETURN_IF_ERROR(Trim());
    }
    return commit.Run();
  };
  absl::Status status = run();
  if (!status.ok()) {
    database.Rollback();
    stored_revision = before;
  }
  last_batch = SteadyClock::now() - start;
  return status;
}

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::filesystem::path& path,
                                                               Executors executors) {
  auto shared = std::make_shared<Shared>();
  shared->path = path;
  shared->open_mark = path.string() + ".open";
  shared->executors = std::move(executors);
  std::error_code ignored;
  const bool unclean = std::filesystem::exists(shared->open_mark, ignored);
  BRAMBLE_ASSIGN_OR_RETURN(shared->database, SqliteDatabase::Open(path));
  if (unclean) {
    BRAMBLE_RETURN_IF_ERROR(shared->database.Check(/*full=*/false));
  }
  BRAMBLE_RETURN_IF_ERROR(Migrate(shared->database));
  BRAMBLE_RETURN_IF_ERROR(shared->Prepare());
  BRAMBLE_ASSIGN_OR_RETURN(
      const int64_t revision,
      shared->database.QueryInt("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'"));
  shared->stored_revision = static_cast<uint64_t>(revision);
  shared->trimmed_at = shared->stored_revision;
  std::ofstream(shared->open_mark) << "";  // without it the next start merely checks less
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(shared)));
}

SqliteStore::SqliteStore(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

SqliteStore::~SqliteStore() {
  const std::filesystem::path mark = shared_->open_mark;
  const bool clean = !shared_->failed && !shared_->busy;
  shared_.reset();
  if (clean) {
    std::error_code ignored;
    std::filesystem::remove(mark, ignored);
  }
}

absl::StatusOr<Snapshot> SqliteStore::Load() {
  Shared& shared = *shared_;
  if (shared.busy || !shared.waiting.empty()) {
    return absl::UnavailableError("the store is busy");
  }
  Snapshot snapshot;
  BRAMBLE_RETURN_IF_ERROR(shared.database.Exec("BEGIN"));
  auto read = [&]() -> absl::Status {
    for (const TableShape& shape : kTableShapes) {
      BRAMBLE_ASSIGN_OR_RETURN(SqliteStatement select, shared.database.Prepare(SelectSql(shape)));
      absl::StatusOr<bool> more = select.Step();
      for (; more.ok() && *more; more = select.Step()) {
        snapshot.rows.push_back({.kind = shape.kind,
                                 .id = select.Text(0),
                                 .project = select.Text(2),
                                 .name = select.Text(3),
                                 .owner = select.Text(4),
                                 .state = select.Text(5),
                                 .generation = static_cast<uint64_t>(select.Int(6)),
                                 .doc = select.Text(1)});
      }
      BRAMBLE_RETURN_IF_ERROR(more.status());
    }
    BRAMBLE_ASSIGN_OR_RETURN(SqliteStatement events,
                             shared.database.Prepare(StrCat(
                                 "SELECT revision, doc FROM (SELECT revision, number, doc FROM "
                                 "events ORDER BY revision DESC, number DESC LIMIT ",
                                 kStoredEvents, ") ORDER BY revision, number")));
    absl::StatusOr<bool> more = events.Step();
    for (; more.ok() && *more; more = events.Step()) {
      snapshot.events.push_back({static_cast<uint64_t>(events.Int(0)), events.Text(1)});
    }
    BRAMBLE_RETURN_IF_ERROR(more.status());
    BRAMBLE_ASSIGN_OR_RETURN(
        const int64_t restored,
        shared.database.QueryInt("SELECT count(*) FROM meta WHERE key = 'restored'"));
    snapshot.restored = restored != 0;
    return absl::OkStatus();
  };
  absl::Status status = read();
  shared.database.Rollback();
  BRAMBLE_RETURN_IF_ERROR(status);
  snapshot.revision = shared.stored_revision;
  shared.failed = false;
  return snapshot;
}

void SqliteStore::Commit(Transaction transaction, Done done) {
  if (shared_->waiting.empty()) {
    shared_->waiting_since = SteadyClock::now();
  }
  shared_->waiting.push_back({std::move(transaction), std::move(done)});
  Gather();
}

// A batch begins when the loop has nothing more to add to it: of many clients that were answered
// together, the first to ask again does not get a commit of its own.  On a quick disk it begins
// when it has gathered for as long as the last one took: then the loop gathers the next one while
// the disk works, and neither waits for the other.
void SqliteStore::Gather() {
  Shared& shared = *shared_;
  if (shared.busy || shared.gathering) {
    return;
  }
  shared.gathering = true;
  Turn(0, 0);
}

void SqliteStore::Turn(size_t seen, int turns) {
  Shared& shared = *shared_;
  const size_t now = shared.waiting.size();
  const bool more = turns == 0 || (now > seen && now < kMaxBatch && turns < kMaxTurns);
  if (more && SteadyClock::now() - shared.waiting_since < shared.last_batch) {
    shared.executors.loop([this, alive = std::weak_ptr<int>(alive_), now, turns] {
      if (!alive.expired()) {
        Turn(now, turns + 1);
      }
    });
    return;
  }
  shared.gathering = false;
  StartBatch();
}

void SqliteStore::Backup(std::string path, Done done) {
  auto copy = [this, path = std::move(path), done = std::move(done)]() mutable {
    auto result = std::make_shared<absl::Status>();
    auto work = [shared = shared_, path = std::move(path), result] {
      *result = shared->database.CopyTo(path);
    };
    auto finished = [result, done = std::move(done)] { done(*result); };
    RunOnLane(std::move(work), std::move(finished));
  };
  shared_->backups.push_back({shared_->waiting.size(), std::move(copy)});
  Gather();
}

absl::Status SqliteStore::LimitPagesForTest(int pages) {
  return shared_->database.Exec(StrCat("PRAGMA max_page_count = ", pages));
}

void SqliteStore::RunOnLane(Work work, Work finished) {
  shared_->busy = true;
  auto back = [this, alive = std::weak_ptr<int>(alive_), finished = std::move(finished)] {
    if (alive.expired()) {
      return;
    }
    shared_->busy = false;
    finished();
    if (!alive.expired() && (!shared_->waiting.empty() || !shared_->backups.empty())) {
      Gather();
    }
  };
  auto job = [shared = shared_, work = std::move(work), back = std::move(back)] {
    work();
    shared->executors.loop(back);
  };
  BRAMBLE_CHECK(shared_->executors.lane(std::move(job)),
                "the store gives its lane one job at a time");
}

void SqliteStore::StartBatch() {
  Shared& shared = *shared_;
  if (shared.busy) {
    return;
  }
  if (!shared.backups.empty() && shared.backups.front().after == 0) {
    auto start = std::move(shared.backups.front().start);
    shared.backups.pop_front();
    start();
    return;
  }
  if (shared.waiting.empty()) {
    return;
  }
  auto batch = std::make_shared<std::vector<Waiting>>();
  while (!shared.waiting.empty() && batch->size() < kMaxBatch) {
    batch->push_back(std::move(shared.waiting.front()));
    shared.waiting.pop_front();
  }
  shared.waiting_since = SteadyClock::now();
  for (auto& backup : shared.backups) {
    backup.after -= std::min(backup.after, batch->size());
  }
  auto result = std::make_shared<absl::Status>();
  if (shared.failed) {
    *result = absl::UnavailableError("the store failed before; its state is being read again");
  }
  auto work = [shared = shared_, batch, result] {
    if (result->ok()) {
      *result = shared->CommitBatch(*batch);
    }
  };
  auto finished = [this, batch, result] {
    shared_->failed = shared_->failed || !result->ok();
    for (Waiting& waiting : *batch) {
      waiting.done(*result);
    }
  };
  RunOnLane(std::move(work), std::move(finished));
}

absl::Status MarkRestored(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(SqliteDatabase database, SqliteDatabase::Open(path));
  BRAMBLE_RETURN_IF_ERROR(database.Check(/*full=*/true));
  BRAMBLE_RETURN_IF_ERROR(Migrate(database));
  return database.Exec(
      "INSERT OR REPLACE INTO meta VALUES ('restored', '1');"
      "PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace bramble::controller
