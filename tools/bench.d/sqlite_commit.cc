// SPDX-License-Identifier: Apache-2.0
// The floor of a write: what SQLite itself makes durable a second, in the controller's own tables,
// by its own statements and pragmas, with the changes of 32 clients in each transaction.  One write
// is what the controller stores for a flavor: the object (139 bytes of JSON), its event (186 bytes)
// and the audit row; the revision is set once a transaction.  Nothing else happens: no HTTP, no
// TLS, no JSON, no model, no dropping of old events, and no client that shares the processor.
//
// usage: bench-sqlite-commit SCHEMA.sql DATABASE SECONDS [WRITES_PER_COMMIT]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <sqlite3.h>

namespace {

void Check(int result, sqlite3* database, const char* what) {
  if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW) {
    std::fprintf(stderr, "bench-sqlite-commit: %s: %s\n", what, sqlite3_errmsg(database));
    std::exit(1);
  }
}

void Run(sqlite3* database, const std::string& sql) {
  Check(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), database, sql.c_str());
}

sqlite3_stmt* Prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  Check(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr), database, sql);
  return statement;
}

// Runs a statement with `number` as ?1, and, where it has them, `id` as ?2 and `document` as ?3.
void Step(sqlite3* database, sqlite3_stmt* statement, int64_t number, const std::string& id,
          const std::string& document) {
  const int parameters = sqlite3_bind_parameter_count(statement);
  sqlite3_bind_int64(statement, 1, number);
  if (parameters > 1) {
    sqlite3_bind_text(statement, 2, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
  }
  if (parameters > 2) {
    sqlite3_bind_text(statement, 3, document.data(), static_cast<int>(document.size()),
                      SQLITE_STATIC);
  }
  Check(sqlite3_step(statement), database, "step");
  sqlite3_reset(statement);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: bench-sqlite-commit SCHEMA.sql DATABASE SECONDS [WRITES]\n");
    return 2;
  }
  const int per_commit = argc > 4 ? std::atoi(argv[4]) : 32;
  std::stringstream schema;
  schema << std::ifstream(argv[1]).rdbuf();
  sqlite3* database = nullptr;
  Check(sqlite3_open(argv[2], &database), database, argv[2]);
  Run(database,
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
      "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
      "PRAGMA journal_size_limit=16777216");
  Run(database, schema.str());
  sqlite3_stmt* object = Prepare(database,
                                 "INSERT INTO flavors (id, generation, doc) VALUES (?2, ?1, ?3) "
                                 "ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, "
                                 "generation = excluded.generation");
  sqlite3_stmt* event =
      Prepare(database, "INSERT INTO events VALUES (?1, 0, 'flavor.created', 'flavor', ?2, ?3)");
  sqlite3_stmt* audit = Prepare(database,
                                "INSERT INTO audit VALUES (?1, 1700000000000, 'user:admin', "
                                "'flavor.create', 'flavor', ?2, ?2, '')");
  sqlite3_stmt* revision = Prepare(database, "UPDATE meta SET value = ?1 WHERE key = 'revision'");
  const std::string object_document(139, 'x');
  const std::string event_document(186, 'x');

  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const Clock::time_point end = start + std::chrono::seconds(std::atoi(argv[3]));
  int64_t writes = 0;
  int64_t commits = 0;
  for (; Clock::now() < end; ++commits) {
    Run(database, "BEGIN IMMEDIATE");
    for (int i = 0; i < per_commit; ++i) {
      ++writes;
      const std::string id = "f0-" + std::to_string(writes);
      Step(database, object, writes, id, object_document);
      Step(database, event, writes, id, event_document);
      Step(database, audit, writes, id, "");
    }
    Step(database, revision, writes, "", "");
    Run(database, "COMMIT");
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("writes_per_s %.0f\n", static_cast<double>(writes) / seconds);
  std::printf("commits_per_s %.0f\n", static_cast<double>(commits) / seconds);
}
