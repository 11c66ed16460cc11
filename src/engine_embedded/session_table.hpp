#pragma once

#include "sqlite.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/engine/session_steps.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::embedded {

struct session_row {
  engine::session_info what;
  /// The hash of its former id, or of its present one where this is the former.
  std::string other;
};

/// Sessions: rows, and in memory how many there are and when the next may end.
///
/// Threading: the writer's. Errors: stick to the database.
class session_table final {
public:
  explicit session_table(database& db);

  /// Builds memory anew from the disk.
  void load();

  [[nodiscard]] std::optional<session_row> find(const engine::session_key& key);
  void write(const session_row& row);
  /// Only its times have changed.
  void touch(const engine::session_info& session);
  /// With all ids of the session.
  void erase(const engine::session_key& key);

  /// All rows; former ids are some.
  [[nodiscard]] std::size_t count() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t count_of(const std::string& project) const;
  [[nodiscard]] std::uint64_t count_of(const std::string& project, const std::string& user);
  /// By age, behind `after` (0: from the first), without fields. Its `limit` does not count.
  [[nodiscard]] std::vector<engine::session_info> list(const engine::list_sessions& what,
                                                       std::uint64_t after, std::size_t most);

  /// Nothing ends before.
  [[nodiscard]] timestamp first_end() const noexcept { return first_end_; }
  void forget_ended(timestamp now);

private:
  void erase_row(const engine::session_key& key, bool former);
  void count_off(const std::string& project, std::uint64_t rows, std::uint64_t former);

  database& db_;
  statement find_;
  statement write_;
  statement touch_;
  statement delete_;
  statement count_of_user_;
  statement list_of_user_;
  statement list_newest_of_user_;
  statement list_;
  statement list_newest_;
  statement count_ending_;
  statement delete_ended_;
  statement first_end_of_;
  std::size_t rows_{0};
  /// By project, former ids left out.
  std::map<std::string, std::uint64_t> sessions_;
  timestamp first_end_{timestamp::max()};
};

}  // namespace millrace::embedded
