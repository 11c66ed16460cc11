#include "disk_limits.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <thread>
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

/// A file whose blocks are all there, written over and over.
class sync_probe final {
public:
  explicit sync_probe(const std::filesystem::path& directory) : path_(directory / "sync-probe") {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(file_ >= 0, "sync-probe");
    while (at_ < file_bytes) write();
    must(::fsync(file_) == 0, "fsync");
  }
  ~sync_probe() {
    ::close(file_);
    std::filesystem::remove(path_);
  }
  sync_probe(const sync_probe&) = delete;
  sync_probe& operator=(const sync_probe&) = delete;

  void write_and_sync() {
    if (at_ >= file_bytes) at_ = 0;
    write();
    must(::fdatasync(file_) == 0, "fdatasync");
  }

private:
  static constexpr off_t file_bytes = off_t{16} << 20U;

  void write() {
    const auto wanted = static_cast<ssize_t>(block_.size());
    must(::pwrite(file_, block_.data(), block_.size(), at_) == wanted, "pwrite");
    at_ += static_cast<off_t>(block_.size());
  }

  const std::filesystem::path path_;
  const std::vector<char> block_ = std::vector<char>(16'384, 'x');
  int file_{-1};
  off_t at_{0};
};

}  // namespace

double syncs_per_second(const std::filesystem::path& directory) {
  sync_probe probe(directory);
  int syncs = 0;
  const auto begin = steady::now();
  for (; seconds_since(begin) < 1; ++syncs) probe.write_and_sync();
  return syncs / seconds_since(begin);
}

sync_latency sync_latency_when_idle(const std::filesystem::path& directory) {
  constexpr std::size_t wanted = 1000;
  sync_probe probe(directory);
  std::vector<double> took;
  while (took.size() < wanted) {
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    const auto begin = steady::now();
    probe.write_and_sync();
    took.push_back(seconds_since(begin) * 1000);
  }
  std::ranges::sort(took);
  return {.p50_ms = took[wanted / 2], .p99_ms = took[wanted * 99 / 100]};
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
