// SPDX-License-Identifier: Apache-2.0
// The floor of a write: what SQLite itself makes durable a second, in the controller's own tables,
// with the changes of 32 clients in each transaction: an object, an event and an audit row each,
// and the revision.
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

// Runs a statement whose parameters are texts and the number `number`, which SQL names ?1.
void Step(sqlite3* database, sqlite3_stmt* statement, int64_t number, const std::string& text) {
  sqlite3_bind_int64(statement, 1, number);
  if (sqlite3_bind_parameter_count(statement) > 1) {
    sqlite3_bind_text(statement, 2, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
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
  Run(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
  Run(database, schema.str());
  sqlite3_stmt* object = Prepare(database, "INSERT INTO flavors VALUES ('flavor-' || ?1, 1, ?2)");
  sqlite3_stmt* event =
      Prepare(database,
              "INSERT INTO events VALUES (?1, 0, 'flavor.created', 'flavor', 'flavor-' || ?1, ?2)");
  sqlite3_stmt* audit = Prepare(database,
                                "INSERT INTO audit VALUES (?1, 1700000000000, 'admin', "
                                "'flavor.create', 'flavor', 'f-' || ?1, 'f-' || ?1, '')");
  sqlite3_stmt* revision = Prepare(database, "UPDATE meta SET value = ?1 WHERE key = 'revision'");
  const std::string document(300, 'x');

  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const Clock::time_point end = start + std::chrono::seconds(std::atoi(argv[3]));
  int64_t writes = 0;
  int64_t commits = 0;
  for (; Clock::now() < end; ++commits) {
    Run(database, "BEGIN IMMEDIATE");
    for (int i = 0; i < per_commit; ++i) {
      ++writes;
      Step(database, object, writes, document);
      Step(database, event, writes, document);
      Step(database, audit, writes, document);
    }
    Step(database, revision, writes, document);
    Run(database, "COMMIT");
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("writes_per_s %.0f\n", static_cast<double>(writes) / seconds);
  std::printf("commits_per_s %.0f\n", static_cast<double>(commits) / seconds);
}
