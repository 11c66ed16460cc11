#include "disk_limits.hpp"

#include <sqlite3.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace millrace::bench {
namespace {

using steady = std::chrono::steady_clock;

double seconds_since(steady::time_point begin) {
  return std::chrono::duration<double>(steady::now() - begin).count();
}

void must(bool held, const char* what) {
  if (held) return;
  std::perror(what);
  std::exit(1);
}

void run(sqlite3* db, const char* sql) {
  must(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql);
}

}  // namespace

double syncs_per_second(const std::filesystem::path& directory) {
  constexpr off_t file_bytes = off_t{16} << 20U;
  const std::vector<char> block(16'384, 'x');
  const int file = ::open((directory / "sync-probe").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  must(file >= 0, "sync-probe");
  const auto write_at = [&](off_t offset) {
    const auto wanted = static_cast<ssize_t>(block.size());
    must(::pwrite(file, block.data(), block.size(), offset) == wanted, "pwrite");
  };
  for (off_t at = 0; at < file_bytes; at += static_cast<off_t>(block.size())) write_at(at);
  must(::fsync(file) == 0, "fsync");
  int syncs = 0;
  off_t at = 0;
  const auto begin = steady::now();
  while (seconds_since(begin) < 1) {
    write_at(at);
    at = (at + static_cast<off_t>(block.size())) % file_bytes;
    must(::fdatasync(file) == 0, "fdatasync");
    ++syncs;
  }
  const double rate = syncs / seconds_since(begin);
  ::close(file);
  std::filesystem::remove(directory / "sync-probe");
  return rate;
}

double rows_per_second(const std::filesystem::path& directory, std::size_t rows,
                       std::size_t group) {
  const std::string file = (directory / "bare.db").string();
  sqlite3* db = nullptr;
  must(sqlite3_open(file.c_str(), &db) == SQLITE_OK, "bare.db");
  run(db,
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
      "PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32000;"
      "CREATE TABLE job (id INTEGER PRIMARY KEY, queue, priority, max_attempts, created_at, run_at,"
      "level, group_key, unique_key, unique_mode, type, correlation_id, labels, options, data)");
  sqlite3_stmt* insert = nullptr;
  must(sqlite3_prepare_v3(db,
                          "INSERT INTO job (id, queue, priority, max_attempts, created_at, data)"
                          "VALUES (?1, 1, 5, 4, ?1, ?2)",
                          -1, SQLITE_PREPARE_PERSISTENT, &insert, nullptr) == SQLITE_OK,
       "prepare");
  const std::string data(100, 'x');
  const auto begin = steady::now();
  for (std::size_t row = 0; row < rows;) {
    run(db, "BEGIN IMMEDIATE");
    for (std::size_t i = 0; i < group && row < rows; ++i, ++row) {
      sqlite3_bind_int64(insert, 1, 1'700'000'000'000'000 + static_cast<sqlite3_int64>(row));
      sqlite3_bind_text(insert, 2, data.data(), static_cast<int>(data.size()), SQLITE_STATIC);
      must(sqlite3_step(insert) == SQLITE_DONE, "insert");
      sqlite3_reset(insert);
    }
    run(db, "COMMIT");
  }
  const double rate = static_cast<double>(rows) / seconds_since(begin);
  sqlite3_finalize(insert);
  sqlite3_close(db);
  for (const char* each : {"bare.db", "bare.db-wal", "bare.db-shm"}) {
    std::filesystem::remove(directory / each);
  }
  return rate;
}

}  // namespace millrace::bench
