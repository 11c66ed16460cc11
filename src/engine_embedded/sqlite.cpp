#include "sqlite.hpp"

#include <millrace/base/assert.hpp>

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace millrace::embedded {
namespace {

bool disk_full(sqlite3* handle, int code) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  if ((code & 0xff) != SQLITE_IOERR || handle == nullptr) return false;
  const int native = sqlite3_system_errno(handle);
  return native == ENOSPC || native == EDQUOT;
}

}  // namespace

error to_error(sqlite3* handle, int code) {
  const char* said = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  const std::string native = fmt::format("{} (SQLite {})", said, code);
  if (disk_full(handle, code)) {
    return {errc::storage_full,
            "storage_full",
            "The disk that holds the data directory is full; make room. " + native,
            "",
            {}};
  }
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {errc::corrupted,
              "database_corrupt",
              "millrace.db is damaged or no database: restore a backup with `millrace restore`, or "
              "move the data directory away to begin anew. " +
                  native,
              "",
              {}};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {errc::unavailable, "database_locked",
              "Another program has millrace.db open; close it. " + native, "",
              std::chrono::seconds{1}};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return {errc::forbidden,
              "directory_unwritable",
              "The data directory or a file in it cannot be written. " + native,
              "",
              {}};
    default:
      return {errc::unavailable, "storage_error",
              "The data could not be read or written. " + native, "", std::chrono::seconds{1}};
  }
}

result<std::unique_ptr<database>> database::open(const std::filesystem::path& file,
                                                 const std::string& vfs, mode how) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= how == mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (how == mode::create) flags |= SQLITE_OPEN_CREATE;
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  std::unique_ptr<database> out(new database(handle));
  if (code != SQLITE_OK) return std::unexpected(to_error(handle, code));
  return out;
}

database::~database() {
  const int code = sqlite3_close(handle_);
  MILLRACE_ASSERT(code == SQLITE_OK);
}

result<void> database::run_script(std::string_view sql) {
  const int code = sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(to_error(handle_, code));
  return {};
}

result<std::int64_t> database::number(std::string_view sql) {
  statement asked(*this, sql);
  const reset_after reset(asked);
  const std::int64_t found = asked.row() ? asked.integer(0) : 0;
  if (!failed()) return found;
  return std::unexpected(*std::exchange(failure_, std::nullopt));
}

void database::note(int code) {
  if (!failure_) failure_ = to_error(handle_, code);
}

bool database::idle() const noexcept { return sqlite3_get_autocommit(handle_) != 0; }

std::int64_t database::changes() const noexcept { return sqlite3_changes64(handle_); }

sqlite3_file* database::log_file() const noexcept {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&file));
  return file != nullptr && file->pMethods != nullptr ? file : nullptr;
}

void database::watch_log() {
  const auto keep = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<database*>(self)->log_pages_ = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(handle_, keep, this);
}

void database::prepare_log(std::size_t bytes) {
  constexpr int chunk = 65'536;
  sqlite3_file* log = log_file();
  sqlite3_int64 size = 0;
  if (log == nullptr || log->pMethods->xFileSize(log, &size) != SQLITE_OK) return;
  const std::vector<char> zeros(chunk);
  for (sqlite3_int64 at = size; at < static_cast<sqlite3_int64>(bytes); at += chunk) {
    if (log->pMethods->xWrite(log, zeros.data(), chunk, at) == SQLITE_OK) continue;
    log->pMethods->xTruncate(log, size);
    return;
  }
}

result<void> database::sync_log() {
  sqlite3_file* log = log_file();
  MILLRACE_ASSERT(log != nullptr);
  // SQLite's own call, so that it goes through the VFS and to the file SQLite writes to. It touches
  // nothing that a write on another thread changes.
  const int code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
  if (code == SQLITE_OK) return {};
  return fail(errc::outcome_unknown, "outcome_unknown",
              fmt::format("The disk did not confirm what was written ({}, SQLite {}).",
                          sqlite3_errstr(code), code));
}

result<int> database::run_checkpoint(checkpoint how) {
  int in_log = 0;
  int written_back = 0;
  const int kind =
      how == checkpoint::passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
  const int code = sqlite3_wal_checkpoint_v2(handle_, "main", kind, &in_log, &written_back);
  if (code != SQLITE_OK) return std::unexpected(to_error(handle_, code));
  if (in_log == written_back) log_pages_ = 0;
  return in_log - written_back;
}

statement::statement(database& in, std::string_view sql) : in_(in) {
  const int code = sqlite3_prepare_v3(in.handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle_, nullptr);
  if (code != SQLITE_OK) in.note(code);
}

statement::~statement() { sqlite3_finalize(handle_); }

statement& statement::put(std::int64_t value) {
  sqlite3_bind_int64(handle_, next_++, value);
  return *this;
}

statement& statement::put(double value) {
  sqlite3_bind_double(handle_, next_++, value);
  return *this;
}

statement& statement::put(std::string_view text) {
  // A null pointer would bind NULL.
  const char* begin = text.data() == nullptr ? "" : text.data();
  sqlite3_bind_text(handle_, next_++, begin, static_cast<int>(text.size()), SQLITE_STATIC);
  return *this;
}

statement& statement::put_bytes(std::string_view bytes) {
  const char* begin = bytes.data() == nullptr ? "" : bytes.data();
  sqlite3_bind_blob(handle_, next_++, begin, static_cast<int>(bytes.size()), SQLITE_STATIC);
  return *this;
}

statement& statement::put_null() {
  sqlite3_bind_null(handle_, next_++);
  return *this;
}

bool statement::row() {
  if (in_.failed()) return false;
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) in_.note(code);
  return false;
}

bool statement::run() {
  while (row()) {
  }
  reset();
  return !in_.failed();
}

void statement::reset() {
  sqlite3_reset(handle_);
  next_ = 1;
}

bool statement::is_null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

std::int64_t statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

double statement::real(int column) const { return sqlite3_column_double(handle_, column); }

std::string_view statement::text(int column) const {
  const auto* begin = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (begin == nullptr) return {};
  return {begin, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

std::optional<timestamp> statement::moment(int column) const {
  if (is_null(column)) return std::nullopt;
  return from_micros(integer(column));
}

}  // namespace millrace::embedded
