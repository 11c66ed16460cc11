#include "event_groups.hpp"

#include "sql.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace millrace::embedded {

event_groups::event_groups(database& db)
    : write_group_(db, sql::write_group),
      delete_group_(db, sql::delete_group),
      write_delivery_(db, sql::write_delivery),
      delete_delivery_(db, sql::delete_delivery),
      delete_deliveries_(db, sql::delete_deliveries),
      db_(db) {}

void event_groups::load() {
  groups_.clear();
  last_row_ = 0;
  std::unordered_map<std::int64_t, kept_group*> by_row;
  statement from(db_, sql::read_groups);
  while (from.row()) {
    kept_group& group = groups_[{
        .stream = {.project = std::string(from.text(1)), .name = std::string(from.text(2))},
        .group = std::string(from.text(3))}];
    group.row = from.integer(0);
    group.state.created_at = from_micros(from.integer(4));
    group.state.place = {from.natural(5), from.natural(6), from.natural(7)};
    by_row[group.row] = &group;
    last_row_ = std::max(last_row_, group.row);
  }
  statement pending(db_, sql::read_deliveries);
  while (pending.row()) {
    const auto of = by_row.find(pending.integer(0));
    if (of == by_row.end()) continue;
    of->second->state.pending[pending.natural(1)] = {
        .stamp = pending.natural(2),
        .consumer = std::string(pending.text(3)),
        .deliveries = static_cast<std::uint32_t>(pending.integer(4)),
        .delivered_at = from_micros(pending.integer(5)),
        .lease_ends_at = from_micros(pending.integer(6))};
  }
}

kept_group* event_groups::find(const engine::group_key& key) {
  const auto at = groups_.find(key);
  return at == groups_.end() ? nullptr : &at->second;
}

std::vector<const std::pair<const engine::group_key, kept_group>*> event_groups::of_stream(
    const engine::stream_key& stream) const {
  std::vector<const std::pair<const engine::group_key, kept_group>*> out;
  for (auto at = groups_.lower_bound({.stream = stream, .group = ""}); at != groups_.end(); ++at) {
    if (at->first.stream != stream) break;
    out.push_back(&*at);
  }
  return out;
}

kept_group& event_groups::add(const engine::group_key& key, engine::group_state state) {
  kept_group& group = groups_[key];
  group.row = ++last_row_;
  group.state = std::move(state);
  keep_place(key, group);
  return group;
}

void event_groups::replace(const engine::group_key& key, kept_group& group,
                           engine::group_state state) {
  group.state = std::move(state);
  keep_place(key, group);
  delete_deliveries_.put(group.row).run();
}

void event_groups::erase(const engine::group_key& key) {
  const auto at = groups_.find(key);
  if (at == groups_.end()) return;
  delete_group_.put(at->second.row).run();
  delete_deliveries_.put(at->second.row).run();
  groups_.erase(at);
}

void event_groups::keep_place(const engine::group_key& key, const kept_group& group) {
  const engine::group_state& is = group.state;
  write_group_.put(group.row).put(key.stream.project).put(key.stream.name).put(key.group);
  write_group_.put(is.created_at).put(is.place.epoch).put(is.place.offset).put(is.place.stamp);
  write_group_.run();
}

void event_groups::keep_delivery(const kept_group& group, std::uint64_t offset) {
  const auto at = group.state.pending.find(offset);
  if (at == group.state.pending.end()) {
    delete_delivery_.put(group.row).put(offset).run();
    return;
  }
  const engine::group_state::delivery& is = at->second;
  write_delivery_.put(group.row).put(offset).put(is.stamp).put(is.consumer).put(is.deliveries);
  write_delivery_.put(is.delivered_at).put(is.lease_ends_at).run();
}

}  // namespace millrace::embedded
