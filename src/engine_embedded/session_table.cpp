#include "session_table.hpp"

#include "sql.hpp"

#include <millrace/engine/live_rules.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <utility>

namespace millrace::embedded {
namespace {

/// Refs are stamps.
constexpr std::uint64_t beyond_every_ref = std::uint64_t{1} << 62U;

std::string to_text(const engine::session_fields& fields) {
  engine::text_fields out;
  for (const auto& [name, json] : fields) out.add(name).add(json);
  return out.take();
}

bool read_fields(std::string_view text, engine::session_fields& into) {
  engine::text_field_reader in(text);
  while (!in.failed() && !in.at_end()) {
    std::string name(in.text());
    into.insert_or_assign(std::move(name), std::string(in.text()));
  }
  return !in.failed();
}

engine::session_info read_session(const std::string& project, statement& from) {
  engine::session_info out;
  out.key = {.project = project, .hash = std::string(from.text(0))};
  out.ref = from.natural(1);
  out.user = from.text(2);
  out.label = from.text(3);
  out.rules = {.idle = duration(from.integer(4)),
               .absolute = duration(from.integer(5)),
               .touch_every = duration(from.integer(6))};
  out.times = {.created_at = from_micros(from.integer(7)),
               .touched_at = from_micros(from.integer(8)),
               .expires_at = from_micros(from.integer(9))};
  out.version = from.natural(10);
  return out;
}

}  // namespace

session_table::session_table(database& db)
    : db_(db),
      find_(db, sql::find_session),
      write_(db, sql::write_session),
      touch_(db, sql::touch_session),
      delete_(db, sql::delete_session),
      count_of_user_(db, sql::count_sessions_of_user),
      list_of_user_(db, sql::list_sessions_of_user),
      list_newest_of_user_(db, sql::list_newest_sessions_of_user),
      list_(db, sql::list_sessions),
      list_newest_(db, sql::list_newest_sessions),
      count_ending_(db, sql::count_ending_sessions),
      delete_ended_(db, sql::delete_ended_sessions),
      first_end_of_(db, sql::first_session_end) {}

void session_table::load() {
  rows_ = 0;
  sessions_.clear();
  statement counts(db_, sql::count_sessions);
  while (counts.row()) {
    rows_ += counts.natural(1);
    sessions_[std::string(counts.text(0))] = counts.natural(1) - counts.natural(2);
  }
  const reset_after reset(first_end_of_);
  first_end_ = timestamp::max();
  if (first_end_of_.row()) first_end_ = first_end_of_.moment(0).value_or(timestamp::max());
}

std::optional<session_row> session_table::find(const engine::session_key& key) {
  if (rows_ == 0) return std::nullopt;
  find_.put(key.project).put(key.hash);
  const reset_after reset(find_);
  if (!find_.row()) return std::nullopt;
  session_row out{.what = read_session(key.project, find_), .other = std::string(find_.text(12))};
  out.what.former = find_.integer(11) != 0;
  if (read_fields(find_.text(13), out.what.fields)) return out;
  db_.note(SQLITE_CORRUPT);
  return std::nullopt;
}

void session_table::write(const session_row& row) {
  const engine::session_info& is = row.what;
  // In place of the one with this hash, if there is one.
  const std::optional<session_row> before = find(is.key);
  if (before) count_off(is.key.project, 1, before->what.former ? 1 : 0);
  const std::string fields = to_text(is.fields);
  write_.put(is.key.project).put(is.key.hash).put(is.ref).put(is.user).put(is.label);
  write_.put(is.rules.idle.count()).put(is.rules.absolute.count());
  write_.put(is.rules.touch_every.count());
  write_.put(is.times.created_at).put(is.times.touched_at).put(is.times.expires_at);
  write_.put(is.version).put(is.former ? 1 : 0).put(row.other).put(fields).run();
  ++rows_;
  sessions_[is.key.project] += is.former ? 0 : 1;
  first_end_ = std::min(first_end_, is.times.expires_at);
}

void session_table::touch(const engine::session_info& session) {
  touch_.put(session.key.project).put(session.key.hash);
  touch_.put(session.times.touched_at).put(session.times.expires_at).run();
}

void session_table::erase(const engine::session_key& key) {
  const std::optional<session_row> row = find(key);
  if (!row) return;
  erase_row(key, row->what.former);
  if (row->other.empty()) return;
  const engine::session_key other{.project = key.project, .hash = row->other};
  if (const auto second = find(other)) erase_row(other, second->what.former);
}

void session_table::erase_row(const engine::session_key& key, bool former) {
  delete_.put(key.project).put(key.hash).run();
  count_off(key.project, 1, former ? 1 : 0);
}

void session_table::count_off(const std::string& project, std::uint64_t rows,
                              std::uint64_t former) {
  rows_ -= rows;
  const auto at = sessions_.find(project);
  if (at == sessions_.end()) return;
  at->second -= rows - former;
  if (at->second == 0) sessions_.erase(at);
}

std::uint64_t session_table::count_of(const std::string& project) const {
  const auto at = sessions_.find(project);
  return at == sessions_.end() ? 0 : at->second;
}

std::uint64_t session_table::count_of(const std::string& project, const std::string& user) {
  count_of_user_.put(project).put(user);
  const reset_after reset(count_of_user_);
  return count_of_user_.row() ? count_of_user_.natural(0) : 0;
}

std::vector<engine::session_info> session_table::list(const engine::list_sessions& what,
                                                      std::uint64_t after, std::size_t most) {
  std::vector<engine::session_info> out;
  statement& of_all = what.newest_first ? list_newest_ : list_;
  statement& of_user = what.newest_first ? list_newest_of_user_ : list_of_user_;
  statement& from = what.user ? of_user : of_all;
  from.put(what.project);
  if (what.user) from.put(*what.user);
  const std::uint64_t behind = what.newest_first && after == 0 ? beyond_every_ref : after;
  from.put(behind).put(static_cast<std::int64_t>(most));
  const reset_after reset(from);
  while (from.row()) out.push_back(read_session(what.project, from));
  return out;
}

void session_table::forget_ended(timestamp now) {
  count_ending_.put(now);
  std::vector<std::pair<std::string, std::pair<std::uint64_t, std::uint64_t>>> ending;
  {
    const reset_after reset(count_ending_);
    while (count_ending_.row()) {
      ending.emplace_back(std::string(count_ending_.text(0)),
                          std::pair(count_ending_.natural(1), count_ending_.natural(2)));
    }
  }
  if (!ending.empty()) delete_ended_.put(now).run();
  for (const auto& [project, counts] : ending) count_off(project, counts.first, counts.second);
  const reset_after reset(first_end_of_);
  first_end_ = timestamp::max();
  if (first_end_of_.row()) first_end_ = first_end_of_.moment(0).value_or(timestamp::max());
}

}  // namespace millrace::embedded
