// SPDX-License-Identifier: Apache-2.0
#pragma once

// SQLite as values: a connection and prepared statements whose calls answer with a Status.  One
// thread at a time.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

namespace bramble::controller {

class SqliteStatement {
 public:
  SqliteStatement() = default;
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;
  ~SqliteStatement();

  // Text is not copied: it must live until Run() or Reset().
  void Bind(int index, std::string_view text);
  void Bind(int index, int64_t number);
  void BindNull(int index);
  // Runs it to its end and resets it, keeping nothing bound.
  absl::Status Run();
  // One row: true; the end: false, and reset.
  absl::StatusOr<bool> Step();
  void Reset();
  std::string Text(int column) const;
  int64_t Int(int column) const;

 private:
  sqlite3* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class SqliteDatabase {
 public:
  SqliteDatabase() = default;
  SqliteDatabase(SqliteDatabase&& other) noexcept;
  SqliteDatabase& operator=(SqliteDatabase&& other) noexcept;
  ~SqliteDatabase();

  // Opens or makes `path`, mode 0600, in WAL with every commit synced.
  static absl::StatusOr<SqliteDatabase> Open(const std::filesystem::path& path);

  absl::Status Exec(const std::string& sql);
  absl::StatusOr<SqliteStatement> Prepare(const std::string& sql);
  absl::StatusOr<int64_t> QueryInt(const std::string& sql);
  // kDataLoss with the first finding unless PRAGMA quick_check (`full`: integrity_check) is
  // content.
  absl::Status Check(bool full);
  // Rolls back when a transaction is open.
  void Rollback();
  // A consistent copy in a new file of mode 0600, checked.
  absl::Status CopyTo(const std::filesystem::path& path);
  bool is_open() const { return database_ != nullptr; }

 private:
  sqlite3* database_ = nullptr;
  std::string path_;
};

}  // namespace bramble::controller
