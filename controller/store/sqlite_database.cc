// SPDX-License-Identifier: Apache-2.0
#include "controller/store/sqlite_database.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <sqlite3.h>

#include "base/status.h"

namespace bramble::controller {
namespace {

absl::Status ErrorOf(sqlite3* database, std::string_view context) {
  const int code = sqlite3_extended_errcode(database);
  const std::string text = StrCat(context, ": ", sqlite3_errmsg(database));
  // A full disk shows as another error where SQLite does not write but enlarges a file.
  const int system = sqlite3_system_errno(database);
  if ((code & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT)) {
    return absl::ResourceExhaustedError(
        StrCat(text, ": ", std::strerror(system), "; make room on the controller's disk"));
  }
  switch (code & 0xff) {  // https://www.sqlite.org/rescode.html
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(StrCat(text, "; make room on the controller's disk"));
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(StrCat(text, "; another program has the database open"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(text);
    case SQLITE_CANTOPEN:
      return absl::UnavailableError(text);
    default:
      return absl::InternalError(text);
  }
}

// Not the main file alone: the WAL and the shared memory take its mode.
absl::Status MakePrivateFile(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
  if (fd < 0) {
    return ErrnoStatus(errno, path.string());
  }
  ::close(fd);
  return absl::OkStatus();
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  return *this;
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

void SqliteStatement::Bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement_, index, text.data() == nullptr ? "" : text.data(), text.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
}

void SqliteStatement::Bind(int index, int64_t number) {
  sqlite3_bind_int64(statement_, index, number);
}

void SqliteStatement::BindNull(int index) { sqlite3_bind_null(statement_, index); }

absl::Status SqliteStatement::Run() {
  absl::StatusOr<bool> row = true;
  while (row.ok() && *row) {
    row = Step();
  }
  return row.status();
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) {
    return true;
  }
  if (result == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  absl::Status error = ErrorOf(database_, "the controller's database");
  sqlite3_reset(statement_);
  return error;
}

void SqliteStatement::Reset() { sqlite3_reset(statement_); }

std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr
             ? std::string()
             : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

SqliteDatabase::SqliteDatabase(SqliteDatabase&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), path_(std::move(other.path_)) {}

SqliteDatabase& SqliteDatabase::operator=(SqliteDatabase&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(path_, other.path_);
  return *this;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(database_); }

absl::StatusOr<SqliteDatabase> SqliteDatabase::Open(const std::filesystem::path& path) {
  BRAMBLE_RETURN_IF_ERROR(MakePrivateFile(path, 0));
  SqliteDatabase database;
  database.path_ = path.string();
  // Used by one thread at a time, so that SQLite's own mutexes are not needed.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(path.c_str(), &database.database_, flags, nullptr) != SQLITE_OK) {
    return ErrorOf(database.database_, path.string());
  }
  sqlite3_busy_timeout(database.database_, 2000);
  sqlite3_db_config(database.database_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  for (const char* pragma :
       {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON",
        "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA mmap_size = 0",
        "PRAGMA journal_size_limit = 16777216"}) {
    BRAMBLE_RETURN_IF_ERROR(database.Exec(pragma));
  }
  return database;
}

absl::Status SqliteDatabase::Exec(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return ErrorOf(database_, path_);
  }
  return absl::OkStatus();
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_, sql.c_str(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return ErrorOf(database_, StrCat(path_, ": ", sql));
  }
  return SqliteStatement(database_, statement);
}

absl::StatusOr<int64_t> SqliteDatabase::QueryInt(const std::string& sql) {
  BRAMBLE_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  BRAMBLE_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) {
    return absl::NotFoundError(StrCat(path_, ": no row: ", sql));
  }
  return statement.Int(0);
}

absl::Status SqliteDatabase::Check(bool full) {
  BRAMBLE_ASSIGN_OR_RETURN(SqliteStatement check,
                           Prepare(full ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)"));
  BRAMBLE_ASSIGN_OR_RETURN(const bool row, check.Step());
  const std::string finding = row ? check.Text(0) : "no answer";
  if (finding != "ok") {
    return absl::DataLossError(StrCat(path_, ": damaged: ", finding,
                                      "; stop the controller and restore a backup by "
                                      "`bramble-controller --restore FILE`"));
  }
  return absl::OkStatus();
}

void SqliteDatabase::Rollback() {
  if (database_ != nullptr && sqlite3_get_autocommit(database_) == 0) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

absl::Status SqliteDatabase::CopyTo(const std::filesystem::path& path) {
  BRAMBLE_RETURN_IF_ERROR(MakePrivateFile(path, O_EXCL));
  SqliteDatabase copy;
  copy.path_ = path.string();
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(path.c_str(), &copy.database_, flags, nullptr) != SQLITE_OK) {
    return ErrorOf(copy.database_, path.string());
  }
  sqlite3_backup* backup = sqlite3_backup_init(copy.database_, "main", database_, "main");
  if (backup == nullptr) {
    return ErrorOf(copy.database_, path.string());
  }
  sqlite3_backup_step(backup, -1);
  if (sqlite3_backup_finish(backup) != SQLITE_OK) {
    return ErrorOf(copy.database_, path.string());
  }
  // One file, with no WAL beside it.
  BRAMBLE_RETURN_IF_ERROR(copy.Exec("PRAGMA journal_mode = DELETE"));
  return copy.Check(/*full=*/true);
}

}  // namespace bramble::controller
