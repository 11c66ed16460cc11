#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_file;

namespace millrace::embedded {

/// One connection.
///
/// Errors:    the first failure of any statement sticks: from then on statements do nothing and
///            give no rows, until `clear_failure`. So the work of a group is written as if nothing
///            could fail, and asked once, at its end, whether it did.
/// Threading: one thread at a time. Lifetime: outlives its statements.
class database final {
public:
  enum class mode { create, existing, read_only };

  [[nodiscard]] static result<std::unique_ptr<database>> open(const std::filesystem::path& file,
                                                              const std::string& vfs, mode how);
  ~database();
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  /// Several statements whose rows nobody wants.
  [[nodiscard]] result<void> run_script(std::string_view sql);
  /// The first number of the first row.
  [[nodiscard]] result<std::int64_t> number(std::string_view sql);

  [[nodiscard]] bool failed() const noexcept { return failure_.has_value(); }
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }
  void clear_failure() noexcept { failure_.reset(); }
  /// Keeps the first failure. `code` is SQLite's.
  void note(int code);

  /// No transaction is open.
  [[nodiscard]] bool idle() const noexcept;
  /// Rows changed by the last statement.
  [[nodiscard]] std::int64_t changes() const noexcept;
  /// From now on `log_pages` says how long the log is.
  void watch_log();
  /// Pages in the log after the last commit of this connection.
  [[nodiscard]] int log_pages() const noexcept { return log_pages_; }
  /// Writes the log up to this size, behind what it holds: zeros, which no reader takes for more.
  /// What cannot be written is left out.
  void prepare_log(std::size_t bytes);
  /// Brings the log to the disk. Unlike all else, from any thread.
  [[nodiscard]] result<void> sync_log();

  enum class checkpoint { passive, truncate };
  /// Writes the log back into the file. Says how many pages the log holds that are not yet there.
  [[nodiscard]] result<int> run_checkpoint(checkpoint how);

  [[nodiscard]] sqlite3* handle() const noexcept { return handle_; }

private:
  explicit database(sqlite3* handle) noexcept : handle_(handle) {}
  /// The write-ahead log, once something has been written. It stays the same file while the
  /// connection is open.
  [[nodiscard]] sqlite3_file* log_file() const noexcept;

  sqlite3* handle_;
  std::optional<error> failure_;
  int log_pages_{0};
};

/// What a code of SQLite means to a caller. `database_corrupt`, `storage_full` and the rest.
[[nodiscard]] error to_error(sqlite3* handle, int code);

/// A prepared statement, bound in order: `put` fills the next parameter.
///
/// Lifetime: text that was put is borrowed until `run` or `reset`.
class statement final {
public:
  statement(database& in, std::string_view sql);
  ~statement();
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;

  statement& put(std::int64_t value);
  statement& put(std::uint64_t value) { return put(static_cast<std::int64_t>(value)); }
  statement& put(int value) { return put(std::int64_t{value}); }
  statement& put(std::uint32_t value) { return put(std::int64_t{value}); }
  statement& put(double value);
  statement& put(std::string_view text);
  /// As a BLOB.
  statement& put_bytes(std::string_view bytes);
  statement& put(timestamp at) { return put(to_micros(at)); }
  statement& put_null();
  template <class T>
  statement& put(const std::optional<T>& value) {
    return value ? put(*value) : put_null();
  }
  /// NULL for an empty text.
  statement& put_filled(std::string_view text) { return text.empty() ? put_null() : put(text); }
  template <class T>
  void put(T*) = delete;

  /// Steps to the next row: true when there is one. Columns are read from the left by index.
  [[nodiscard]] bool row();
  /// Steps to the end and resets. False when it failed.
  bool run();
  void reset();

  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::uint64_t natural(int column) const {
    return static_cast<std::uint64_t>(integer(column));
  }
  [[nodiscard]] double real(int column) const;
  /// Valid until the next step.
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::optional<timestamp> moment(int column) const;

private:
  database& in_;
  sqlite3_stmt* handle_{nullptr};
  int next_{1};
};

/// Resets a statement of which not all rows were read.
class reset_after final {
public:
  explicit reset_after(statement& what) noexcept : what_(what) {}
  ~reset_after() { what_.reset(); }
  reset_after(const reset_after&) = delete;
  reset_after& operator=(const reset_after&) = delete;

private:
  statement& what_;
};

}  // namespace millrace::embedded
