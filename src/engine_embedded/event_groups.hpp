#pragma once

#include "sqlite.hpp"

#include <millrace/engine/group_rules.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace millrace::embedded {

struct kept_group {
  engine::group_state state;
  std::int64_t row{0};
};

/// The groups of consumers: as a whole in memory, and rows.
///
/// Threading: the writer's. Errors: stick to the database.
class event_groups final {
public:
  explicit event_groups(database& db);

  /// Builds memory anew from the disk.
  void load();

  [[nodiscard]] kept_group* find(const engine::group_key& key);
  [[nodiscard]] std::size_t count() const noexcept { return groups_.size(); }
  /// Of one stream, by name.
  [[nodiscard]] std::vector<const std::pair<const engine::group_key, kept_group>*> of_stream(
      const engine::stream_key& stream) const;

  kept_group& add(const engine::group_key& key, engine::group_state state);
  /// Another state as a whole.
  void replace(const engine::group_key& key, kept_group& group, engine::group_state state);
  void erase(const engine::group_key& key);

  /// Writes down where the group stands, or one of its deliveries as it is or is not any more.
  void keep_place(const engine::group_key& key, const kept_group& group);
  void keep_delivery(const kept_group& group, std::uint64_t offset);

private:
  statement write_group_;
  statement delete_group_;
  statement write_delivery_;
  statement delete_delivery_;
  statement delete_deliveries_;
  database& db_;
  std::map<engine::group_key, kept_group> groups_;
  std::int64_t last_row_{0};
};

}  // namespace millrace::embedded
