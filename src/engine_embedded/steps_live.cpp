#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/live_rules.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace millrace::embedded {
namespace {

using engine::text_field_reader;
using engine::text_fields;

live_key progress_key(const std::string& project, const std::string& id) {
  return {.kind = live_kind::progress, .project = project, .flow = {}, .name = id};
}

live_key key_of(const engine::put_agent& step) {
  return {.kind = live_kind::agent,
          .project = step.project,
          .flow = step.flow_id,
          .name = step.what.agent};
}

live_key connection_key(const std::string& project, const std::string& id) {
  return {.kind = live_kind::connection, .project = project, .flow = {}, .name = id};
}

// ---- values

std::string to_text(const engine::progress_entry& what) {
  text_fields out;
  out.add(std::int64_t{what.total_steps}).add(std::int64_t{what.current_step});
  out.add(std::int64_t{std::to_underlying(what.status)}).add(what.message);
  for (const engine::progress_mark& each : what.marks) {
    out.add(std::int64_t{each.step}).add(to_micros(each.at)).add(each.message);
  }
  return out.take();
}

bool read_value(const live_row& row, engine::progress_entry& into) {
  text_field_reader in(row.value);
  into.total_steps = static_cast<std::uint32_t>(in.number());
  into.current_step = static_cast<std::uint32_t>(in.number());
  into.status = static_cast<engine::progress_status>(in.number());
  into.message = in.text();
  while (!in.failed() && !in.at_end()) {
    engine::progress_mark& each = into.marks.emplace_back();
    each.step = static_cast<std::uint32_t>(in.number());
    each.at = from_micros(in.number());
    each.message = in.text();
  }
  into.started_at = row.made_at;
  into.updated_at = row.updated_at;
  into.expires_at = row.expires_at;
  into.version = row.version;
  return !in.failed();
}

std::string to_text(const engine::agent_progress& what) {
  // Whole microunits do not hold every double: the text of one does.
  return text_fields()
      .add(std::bit_cast<std::int64_t>(what.progress))
      .add(what.status)
      .add(what.details)
      .take();
}

bool read_value(const live_row& row, engine::agent_progress& into) {
  text_field_reader in(row.value);
  into.progress = std::bit_cast<double>(in.number());
  into.status = in.text();
  into.details = in.text();
  into.updated_at = row.updated_at;
  into.version = row.version;
  return !in.failed();
}

std::string to_text(const engine::live_connection& what) {
  return text_fields().add(what.flow_id).add(what.user).add(what.server).take();
}

bool read_value(const live_row& row, engine::live_connection& into) {
  text_field_reader in(row.value);
  into.flow_id = in.text();
  into.user = in.text();
  into.server = in.text();
  into.connected_at = row.made_at;
  into.seen_at = row.updated_at;
  return !in.failed();
}

}  // namespace

template <class Value>
std::optional<Value> group_writer::find_live(const live_key& key) {
  const std::optional<live_row> row = live_.find(key);
  if (!row) return std::nullopt;
  Value out;
  if (read_value(*row, out)) return out;
  db_->note(SQLITE_CORRUPT);
  return std::nullopt;
}

// ---- progress

std::optional<engine::progress_entry> group_writer::find_progress_entry(
    const std::string& project, const std::string& correlation_id) {
  auto entry = find_live<engine::progress_entry>(progress_key(project, correlation_id));
  if (entry) {
    entry->project = project;
    entry->correlation_id = correlation_id;
  }
  return entry;
}

group_writer::refused group_writer::check(const engine::put_progress& step, plan& with) {
  const auto before = find_progress_entry(step.project, step.correlation_id);
  const auto next = engine::next_progress(before ? &*before : nullptr, step, now_);
  if (!next) return next.error();
  if (before) return std::nullopt;
  if (live_.count(live_kind::progress) + with.progress_added++ < engine::live_records_max) {
    return std::nullopt;
  }
  return engine::too_many_records();
}

engine::outcome group_writer::apply(engine::put_progress& step, const plan&) {
  const auto before = find_progress_entry(step.project, step.correlation_id);
  auto next = engine::next_progress(before ? &*before : nullptr, step, now_);
  // Only where the disk cannot be read any more; the group is going to fail.
  if (!next) return engine::progress_changed{};
  next->version = stamps_.next(now_);
  next->expires_at = now_ + step.ttl;
  const live_key key = progress_key(step.project, step.correlation_id);
  static_cast<void>(to_write());
  live_.write(key, {.made_at = next->started_at,
                    .updated_at = now_,
                    .expires_at = next->expires_at,
                    .version = next->version,
                    .value = to_text(*next)});
  hint_record(key);
  return engine::progress_changed{.entry = std::move(*next)};
}

group_writer::refused group_writer::check(const engine::delete_progress& step, plan&) {
  if (live_.contains(progress_key(step.project, step.correlation_id))) return std::nullopt;
  return engine::progress_not_found();
}

engine::outcome group_writer::apply(engine::delete_progress& step, const plan&) {
  const live_key key = progress_key(step.project, step.correlation_id);
  auto before = find_progress_entry(step.project, step.correlation_id);
  static_cast<void>(to_write());
  live_.erase(key);
  hint_record(key);
  return engine::progress_changed{.entry = std::move(before).value_or(engine::progress_entry{})};
}

result<engine::answer> group_writer::answer(const engine::find_progress& what) {
  return find_progress_entry(what.project, what.correlation_id);
}

// ---- agents

group_writer::refused group_writer::check(const engine::put_agent& step, plan& with) {
  if (live_.contains(key_of(step))) return std::nullopt;
  const std::size_t added = with.agents_added_to[{step.project, step.flow_id}]++;
  const std::size_t there = live_.count_of_flow(live_kind::agent, step.project, step.flow_id);
  if (there + added >= engine::agents_max) return engine::too_many_agents();
  if (live_.count(live_kind::agent) + with.agents_added++ < engine::live_records_max) {
    return std::nullopt;
  }
  return engine::too_many_records();
}

engine::outcome group_writer::apply(engine::put_agent& step, const plan&) {
  const live_key key = key_of(step);
  engine::agent_progress& what = step.what;
  what.updated_at = now_;
  what.version = stamps_.next(now_);
  static_cast<void>(to_write());
  live_.write(key, {.made_at = now_,
                    .updated_at = now_,
                    .expires_at = now_ + step.ttl,
                    .version = what.version,
                    .value = to_text(what)});
  hint_record(key);
  return engine::agent_changed{.what = std::move(what)};
}

result<engine::answer> group_writer::answer(const engine::list_agents& what) {
  std::vector<engine::agent_progress> out;
  for (auto& each :
       live_.list(live_kind::agent, what.project, what.flow_id, "", engine::agents_max)) {
    engine::agent_progress& one = out.emplace_back();
    one.agent = std::move(each.name);
    if (!read_value(each.row, one)) db_->note(SQLITE_CORRUPT);
  }
  return out;
}

// ---- connections

group_writer::refused group_writer::check(const engine::put_connection& step, plan& with) {
  if (live_.contains(connection_key(step.project, step.what.id))) return std::nullopt;
  if (live_.count(live_kind::connection) + with.connections_added++ < engine::live_records_max) {
    return std::nullopt;
  }
  return engine::too_many_records();
}

engine::outcome group_writer::apply(engine::put_connection& step, const plan&) {
  const live_key key = connection_key(step.project, step.what.id);
  const std::optional<live_row> before = live_.find(key);
  engine::live_connection& what = step.what;
  what.connected_at = before ? before->made_at : now_;
  what.seen_at = now_;
  static_cast<void>(to_write());
  live_.write(key, {.made_at = what.connected_at,
                    .updated_at = now_,
                    .expires_at = now_ + step.ttl,
                    .version = 0,
                    .value = to_text(what)});
  return engine::connection_changed{.what = std::move(what)};
}

group_writer::refused group_writer::check(const engine::drop_connection& step, plan&) {
  if (live_.contains(connection_key(step.project, step.connection))) return std::nullopt;
  return engine::connection_not_found();
}

engine::outcome group_writer::apply(engine::drop_connection& step, const plan&) {
  const live_key key = connection_key(step.project, step.connection);
  auto before = find_live<engine::live_connection>(key);
  engine::connection_changed out{.what = std::move(before).value_or(engine::live_connection{})};
  out.what.id = step.connection;
  static_cast<void>(to_write());
  live_.erase(key);
  return out;
}

result<engine::answer> group_writer::answer(const engine::list_connections& what) {
  if (!what.cursor.empty() && what.cursor.front() != '@') {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  std::string after = what.cursor.empty() ? std::string() : what.cursor.substr(1);
  engine::connection_page out;
  std::size_t looked_at = 0;
  while (true) {
    auto rows = live_.list(live_kind::connection, what.project, "", after, most + 1);
    for (auto& each : rows) {
      if (out.items.size() == most || looked_at == engine::listing_rows_max) {
        out.cursor = "@" + after;
        return out;
      }
      ++looked_at;
      after = each.name;
      engine::live_connection one{.id = std::move(each.name)};
      if (!read_value(each.row, one)) db_->note(SQLITE_CORRUPT);
      const bool wanted =
          (!what.flow_id || one.flow_id == *what.flow_id) && (!what.user || one.user == *what.user);
      if (wanted) out.items.push_back(std::move(one));
    }
    if (rows.size() <= most) return out;
  }
}

}  // namespace millrace::embedded
