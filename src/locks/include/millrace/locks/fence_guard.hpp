#pragma once

#include <millrace/base/error.hpp>

#include <string>
#include <string_view>

namespace millrace {

/// The statements with which a database refuses what a late holder of a lock writes: one row for
/// each resource, with the newest fence that has written.
///
///   BEGIN;
///   <pass>          -- $1 the resource, $2 the fence: one row, or none where the fence is stale
///   …               -- the writes; ROLLBACK instead where there was no row
///   COMMIT;
///
/// Guarantees: of two transactions with this statement, the one with the older fence never commits
///             behind the other: the row is locked until the first has ended. Equal fences pass, so
///             that one holder writes as often as it likes.
/// Cost:       one statement a transaction, by primary key.
/// Limits:     PostgreSQL 9.5 and SQLite 3.35, or newer.
class fence_guard final {
public:
  /// Errors: invalid_argument where it is not a name, or a schema and a name, of letters, digits
  /// and
  ///         underscores.
  [[nodiscard]] static result<fence_guard> in_table(std::string_view table = "millrace_fence");

  /// Makes the table where it is not there.
  [[nodiscard]] std::string create() const;
  [[nodiscard]] std::string pass() const;

  /// For rows that keep the fence beside what it guards: of an UPDATE the assignment and the
  /// condition, with the fence as parameter `$n`. No row is changed where it is stale.
  ///
  ///   UPDATE report SET body = $2, fence = $3 WHERE id = $1 AND fence <= $3
  [[nodiscard]] static std::string assignment(std::string_view column, int parameter);
  [[nodiscard]] static std::string condition(std::string_view column, int parameter);

private:
  explicit fence_guard(std::string table) : table_(std::move(table)) {}
  std::string table_;
};

}  // namespace millrace
