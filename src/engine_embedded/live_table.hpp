#pragma once

#include "sqlite.hpp"

#include <millrace/base/clock.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::embedded {

enum class live_kind : std::uint8_t {
  lock = 0,
  progress = 1,
  agent = 2,
  connection = 3,
  fence = 4
};
/// A power of two: what a row says is cut to it.
inline constexpr std::size_t live_kinds = 8;

struct live_key {
  live_kind kind{live_kind::lock};
  std::string project;
  /// Of an agent.
  std::string flow;
  std::string name;

  friend auto operator<=>(const live_key&, const live_key&) = default;
};

struct live_row {
  timestamp made_at{};
  timestamp updated_at{};
  timestamp expires_at{};
  std::uint64_t version{0};
  std::string value;
};

/// Records that are kept for a while: rows, and in memory when each is over.
///
/// Threading: the writer's. Errors: stick to the database.
class live_table final {
public:
  explicit live_table(database& db);

  /// Builds memory anew from the disk.
  void load();

  [[nodiscard]] bool contains(const live_key& key) const { return ends_.contains(key); }
  [[nodiscard]] std::size_t count(live_kind kind) const {
    return counts_[static_cast<std::size_t>(kind)];
  }
  /// Records of one kind and flow.
  [[nodiscard]] std::size_t count_of_flow(live_kind kind, const std::string& project,
                                          const std::string& flow) const;
  [[nodiscard]] std::optional<live_row> find(const live_key& key);
  void write(const live_key& key, const live_row& row);
  void erase(const live_key& key);

  struct named_row {
    std::string name;
    live_row row;
  };
  /// By name, behind `after`.
  [[nodiscard]] std::vector<named_row> list(live_kind kind, const std::string& project,
                                            const std::string& flow, std::string_view after,
                                            std::size_t most);

  [[nodiscard]] std::optional<timestamp> next_event() const;
  /// The next record that is over.
  [[nodiscard]] std::optional<live_key> first_over(timestamp now) const;

private:
  void remember(const live_key& key, timestamp end);
  bool drop(const live_key& key);

  database& db_;
  statement find_;
  statement write_;
  statement delete_;
  statement list_;
  std::map<live_key, timestamp> ends_;
  std::set<std::pair<timestamp, live_key>> by_end_;
  std::array<std::size_t, live_kinds> counts_{};
};

}  // namespace millrace::embedded
