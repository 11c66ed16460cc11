#include "live_table.hpp"

#include "sql.hpp"

#include <algorithm>
#include <utility>

namespace millrace::embedded {

live_table::live_table(database& db)
    : db_(db),
      find_(db, sql::find_live),
      write_(db, sql::write_live),
      delete_(db, sql::delete_live),
      list_(db, sql::list_live) {}

void live_table::load() {
  ends_.clear();
  by_end_.clear();
  counts_ = {};
  statement from(db_, sql::read_live);
  while (from.row()) {
    remember({.kind = static_cast<live_kind>(static_cast<std::size_t>(from.integer(0)) &
                                             (live_kinds - 1)),
              .project = std::string(from.text(1)),
              .flow = std::string(from.text(2)),
              .name = std::string(from.text(3))},
             from_micros(from.integer(4)));
  }
}

void live_table::remember(const live_key& key, timestamp end) {
  drop(key);
  ends_.emplace(key, end);
  by_end_.emplace(end, key);
  ++counts_[static_cast<std::size_t>(key.kind)];
}

bool live_table::drop(const live_key& key) {
  const auto at = ends_.find(key);
  if (at == ends_.end()) return false;
  by_end_.erase({at->second, key});
  ends_.erase(at);
  --counts_[static_cast<std::size_t>(key.kind)];
  return true;
}

std::size_t live_table::count_of_flow(live_kind kind, const std::string& project,
                                      const std::string& flow) const {
  std::size_t count = 0;
  for (auto at = ends_.lower_bound({kind, project, flow, ""}); at != ends_.end(); ++at) {
    const live_key& key = at->first;
    if (key.kind != kind || key.project != project || key.flow != flow) break;
    ++count;
  }
  return count;
}

std::optional<live_row> live_table::find(const live_key& key) {
  if (!contains(key)) return std::nullopt;
  find_.put(static_cast<int>(key.kind)).put(key.project).put(key.flow).put(key.name);
  const reset_after reset(find_);
  if (!find_.row()) return std::nullopt;
  return live_row{.made_at = from_micros(find_.integer(0)),
                  .updated_at = from_micros(find_.integer(1)),
                  .expires_at = from_micros(find_.integer(2)),
                  .version = find_.natural(3),
                  .value = std::string(find_.text(4))};
}

void live_table::write(const live_key& key, const live_row& row) {
  write_.put(static_cast<int>(key.kind)).put(key.project).put(key.flow).put(key.name);
  write_.put(row.made_at).put(row.updated_at).put(row.expires_at).put(row.version);
  write_.put(row.value).run();
  remember(key, row.expires_at);
}

void live_table::erase(const live_key& key) {
  if (!drop(key)) return;
  delete_.put(static_cast<int>(key.kind)).put(key.project).put(key.flow).put(key.name).run();
}

std::vector<live_table::named_row> live_table::list(live_kind kind, const std::string& project,
                                                    const std::string& flow, std::string_view after,
                                                    std::size_t most) {
  std::vector<named_row> out;
  list_.put(static_cast<int>(kind)).put(project).put(flow).put(after);
  list_.put(static_cast<std::int64_t>(most));
  const reset_after reset(list_);
  while (list_.row()) {
    out.push_back({.name = std::string(list_.text(0)),
                   .row = {.made_at = from_micros(list_.integer(1)),
                           .updated_at = from_micros(list_.integer(2)),
                           .expires_at = from_micros(list_.integer(3)),
                           .version = list_.natural(4),
                           .value = std::string(list_.text(5))}});
  }
  return out;
}

std::optional<timestamp> live_table::next_event() const {
  if (by_end_.empty()) return std::nullopt;
  return by_end_.begin()->first;
}

std::optional<live_key> live_table::first_over(timestamp now) const {
  if (by_end_.empty() || by_end_.begin()->first > now) return std::nullopt;
  return by_end_.begin()->second;
}

}  // namespace millrace::embedded
