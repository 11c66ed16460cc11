#include "event_log.hpp"

#include "sql.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>

namespace millrace::embedded {

using engine::event;
using engine::event_cursor;

namespace {

constexpr unsigned offset_bits = 40;

std::uint64_t offset_of(std::int64_t row) {
  return static_cast<std::uint64_t>(row) & ((std::uint64_t{1} << offset_bits) - 1);
}

}  // namespace

std::int64_t event_log::row_of(const stream_state& stream, std::uint64_t offset) {
  return (stream.row << offset_bits) + static_cast<std::int64_t>(offset);
}

const stream_state* event_log::stream_of_row(std::int64_t row) const {
  const auto at = by_row_.find(row >> offset_bits);
  return at == by_row_.end() ? nullptr : at->second;
}

std::optional<engine::event> event_log::event_of_row(const stream_state& stream, std::int64_t row) {
  return event_at(stream, offset_of(row));
}

event_log::event_log(database& db, correlation_index& carried)
    : db_(db),
      carried_(carried),
      write_stream_(db, sql::write_stream),
      delete_stream_(db, sql::delete_stream),
      insert_event_(db, sql::insert_event),
      delete_event_(db, sql::delete_event),
      read_place_(db, sql::read_event_place),
      read_from_(db, sql::read_events_from),
      read_back_(db, sql::read_events_back),
      insert_id_(db, sql::insert_event_id),
      find_id_(db, sql::find_event_id),
      delete_id_(db, sql::delete_event_id) {}

void event_log::load() {
  streams_.clear();
  by_row_.clear();
  changed_.clear();
  forgetting_.clear();
  free_rows_.clear();
  ids_.clear();
  next_row_ = 1;
  statement from(db_, sql::read_streams);
  while (from.row()) {
    auto made = std::make_unique<stream_state>();
    made->row = from.integer(0);
    for (; next_row_ < made->row; ++next_row_) free_rows_.push_back(next_row_);
    next_row_ = made->row + 1;
    engine::stream_info& info = made->info;
    info.stream = {.project = std::string(from.text(1)), .name = std::string(from.text(2))};
    info.epoch = from.natural(3);
    info.first = from.natural(4);
    info.last = from.natural(5);
    info.last_stamp = from.natural(6);
    info.last_at = from.moment(7);
    made->before = from.natural(8);
    made->first_at = from_micros(from.integer(9));
    info.bytes = from.natural(10);
    made->own = from.integer(11) != 0;
    info.retention = {
        .count = from.natural(12), .age = duration(from.integer(13)), .bytes = from.natural(14)};
    relist(*made);
    engine::stream_key key = info.stream;
    by_row_.emplace(made->row, made.get());
    streams_.emplace(std::move(key), std::move(made));
  }
  statement ages(db_, sql::read_event_id_ages);
  while (ages.row()) ids_.push_back({ages.natural(0), from_micros(ages.integer(1))});
}

// ---- streams

stream_state* event_log::find(const engine::stream_key& key) {
  const auto at = streams_.find(key);
  return at == streams_.end() ? nullptr : at->second.get();
}

stream_state& event_log::open(const engine::stream_key& key, std::uint64_t epoch) {
  auto made = std::make_unique<stream_state>();
  made->info.stream = key;
  made->info.epoch = epoch;
  if (free_rows_.empty()) {
    made->row = next_row_++;
  } else {
    made->row = free_rows_.back();
    free_rows_.pop_back();
  }
  stream_state& out = *streams_.emplace(key, std::move(made)).first->second;
  by_row_.emplace(out.row, &out);
  change(out);
  return out;
}

void event_log::change(stream_state& stream) {
  if (!std::exchange(stream.changed, true)) changed_.push_back(&stream);
}

void event_log::relist(stream_state& stream) {
  std::optional<timestamp> next;
  if (stream.info.count() > 0) next = stream.first_at + stream.info.retention.age;
  if (next == stream.listed) return;
  if (stream.listed) forgetting_.erase({*stream.listed, &stream});
  if (next) forgetting_.emplace(*next, &stream);
  stream.listed = next;
}

void event_log::configure(stream_state& stream, const engine::event_retention& kept) {
  stream.info.retention = kept;
  stream.own = true;
  trim(stream);
  change(stream);
  relist(stream);
}

void event_log::flush() {
  for (stream_state* each : changed_) {
    each->changed = false;
    const engine::stream_info& info = each->info;
    write_stream_.put(each->row).put(info.stream.project).put(info.stream.name);
    write_stream_.put(info.epoch).put(info.first).put(info.last).put(info.last_stamp);
    write_stream_.put(info.last_at).put(each->before).put(each->first_at).put(info.bytes);
    write_stream_.put(int{each->own}).put(info.retention.count);
    write_stream_.put(info.retention.age.count()).put(info.retention.bytes).run();
  }
  changed_.clear();
}

// ---- events

std::optional<engine::event_published> event_log::known(const engine::stream_key& key,
                                                        const std::string& id, timestamp now) {
  const stream_state* stream = find(key);
  if (stream == nullptr) return std::nullopt;
  find_id_.put(stream->row).put(id);
  const reset_after reset(find_id_);
  if (!find_id_.row() || find_id_.natural(1) != stream->info.epoch) return std::nullopt;
  const timestamp at = from_micros(find_id_.integer(3));
  if (at + engine::event_id_kept <= now) return std::nullopt;
  return engine::event_published{
      .place = {stream->info.epoch, find_id_.natural(2), find_id_.natural(0)},
      .at = at,
      .duplicate = true};
}

engine::event_published event_log::publish(stream_state& stream, event what, std::uint64_t stamp,
                                           timestamp now) {
  engine::stream_info& info = stream.info;
  const std::uint64_t bytes = bytes_of(what);
  what.offset = ++info.last;
  if (info.count() == 1) stream.first_at = now;
  info.last_stamp = stamp;
  info.last_at = now;
  info.bytes += bytes;
  insert_event_.put(row_of(stream, what.offset)).put(stamp).put(now).put(bytes).put(what.type);
  insert_event_.put_filled(what.source).put_filled(what.correlation_id).put_filled(what.id);
  insert_event_.put(what.payload).run();
  if (!what.id.empty()) {
    insert_id_.put(stamp).put(stream.row).put(info.epoch).put(what.id).put(what.offset);
    insert_id_.put(now).run();
    ids_.push_back({stamp, now});
  }
  trim(stream);
  change(stream);
  relist(stream);
  return {.place = {info.epoch, what.offset, stamp}, .at = now, .duplicate = false};
}

event_log::place event_log::place_of(const stream_state& stream, std::uint64_t offset) {
  read_place_.put(row_of(stream, offset));
  const reset_after reset(read_place_);
  if (!read_place_.row()) return {};
  return {read_place_.natural(0), from_micros(read_place_.integer(1)), read_place_.natural(2)};
}

void event_log::drop_first(stream_state& stream) {
  const place first = place_of(stream, stream.info.first);
  delete_event_.put(row_of(stream, stream.info.first)).run();
  carried_.forget(first.stamp);
  stream.before = first.stamp;
  stream.first_at = std::max(stream.first_at, first.at);
  stream.info.bytes -= std::min(stream.info.bytes, first.bytes);
  ++stream.info.first;
}

void event_log::trim(stream_state& stream) {
  const engine::stream_info& info = stream.info;
  for (std::size_t gone = 0; gone < engine::events_trimmed_at_once; ++gone) {
    const bool too_many = info.count() > info.retention.count || info.bytes > info.retention.bytes;
    if (!too_many || info.count() <= 1 || db_.failed()) return;
    drop_first(stream);
  }
}

// ---- what is old

std::optional<timestamp> event_log::next_event() const {
  std::optional<timestamp> next;
  if (!forgetting_.empty()) next = forgetting_.begin()->first;
  if (!ids_.empty()) {
    const timestamp at = ids_.front().at + engine::event_id_kept;
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

void event_log::forget_stream(stream_state& stream) {
  std::erase(changed_, &stream);
  delete_stream_.put(stream.row).run();
  free_rows_.push_back(stream.row);
  by_row_.erase(stream.row);
  // The key is part of what is erased.
  const engine::stream_key key = stream.info.stream;
  streams_.erase(key);
}

void event_log::forget(timestamp now) {
  constexpr int forgotten_max = 1000;
  for (int i = 0; i < forgotten_max && !forgetting_.empty() && !db_.failed(); ++i) {
    const auto [at, stream] = *forgetting_.begin();
    if (at > now) break;
    // How old the first event is, is only known to a bound.
    stream->first_at = place_of(*stream, stream->info.first).at;
    if (stream->first_at + stream->info.retention.age <= now) drop_first(*stream);
    change(*stream);
    relist(*stream);
    if (stream->info.count() == 0 && !stream->own) forget_stream(*stream);
  }
  for (int i = 0; i < forgotten_max && !ids_.empty(); ++i) {
    if (ids_.front().at + engine::event_id_kept > now) break;
    delete_id_.put(ids_.front().stamp).run();
    ids_.pop_front();
  }
}

// ---- reading

template <class Passed>
std::uint64_t event_log::first_where(const stream_state& stream, Passed passed) {
  std::uint64_t low = stream.info.first;
  std::uint64_t high = stream.info.last + 1;
  while (low < high && !db_.failed()) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (passed(place_of(stream, middle))) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Whether history still is what the cursor knows of it.
engine::gap_reason event_log::gap_at(const stream_state* stream, const event_cursor& from) {
  using enum engine::gap_reason;
  if (stream == nullptr) return from == event_cursor{} ? none : other_epoch;
  const engine::stream_info& info = stream->info;
  if (from == event_cursor{}) return info.first > 1 ? trimmed : none;
  if (from.epoch != info.epoch) return other_epoch;
  if (from.offset > info.last) return lost;
  if (from.offset + 1 < info.first) return trimmed;
  std::uint64_t there = stream->before;
  if (from.offset >= info.first) there = place_of(*stream, from.offset).stamp;
  return there == from.stamp ? none : lost;
}

// The offset of the first event that is wanted.
std::uint64_t event_log::begin_of(const stream_state& stream, const engine::read_events& what,
                                  engine::gap_reason gap) {
  if (what.at) {
    return first_where(stream, [&](const place& each) { return each.at >= *what.at; });
  }
  if (!what.from) return stream.info.first;
  if (gap == engine::gap_reason::none) return std::max(what.from->offset + 1, stream.info.first);
  return first_where(stream, [&](const place& each) { return each.stamp > what.from->stamp; });
}

// Reading backwards: the offset behind the first event that is wanted.
std::uint64_t event_log::end_of(const stream_state& stream, const engine::read_events& what,
                                engine::gap_reason gap) {
  if (what.at) {
    return first_where(stream, [&](const place& each) { return each.at > *what.at; });
  }
  if (!what.from) return stream.info.last + 1;
  if (gap == engine::gap_reason::none) return std::max(what.from->offset, stream.info.first);
  return first_where(stream, [&](const place& each) { return each.stamp >= what.from->stamp; });
}

void event_log::take_events(statement& from, std::uint64_t low, std::uint64_t high,
                            const stream_state& stream, std::uint32_t limit,
                            engine::read_events::page& into) {
  if (low > high) return;
  const std::size_t most = std::clamp<std::size_t>(limit, 1, engine::page_items_max);
  from.put(row_of(stream, low)).put(row_of(stream, high)).put(static_cast<std::int64_t>(most));
  const reset_after reset(from);
  std::uint64_t bytes = 0;
  while (bytes < engine::event_page_bytes_max && from.row()) {
    event& each = into.events.emplace_back();
    each.offset = offset_of(from.integer(0));
    each.stamp = from.natural(1);
    each.at = from_micros(from.integer(2));
    each.type = from.text(3);
    each.source = from.text(4);
    each.correlation_id = from.text(5);
    each.id = from.text(6);
    each.payload = from.text(7);
    bytes += bytes_of(each);
  }
}

std::optional<event> event_log::event_at(const stream_state& stream, std::uint64_t offset) {
  if (offset < stream.info.first || offset > stream.info.last) return std::nullopt;
  engine::read_events::page one;
  take_events(read_from_, offset, offset, stream, 1, one);
  if (one.events.empty()) return std::nullopt;
  return std::move(one.events.front());
}

engine::read_events::page event_log::read(const engine::read_events& what) {
  const stream_state* stream = find(what.stream);
  const bool forward = what.way == engine::read_events::order::oldest_first;
  engine::read_events::page out;
  if (what.from && !what.at) {
    out.gap = gap_at(stream, *what.from);
    // What is older and gone is no gap for who reads backwards.
    if (!forward && out.gap == engine::gap_reason::trimmed) out.gap = engine::gap_reason::none;
  }
  if (stream == nullptr) {
    if (!forward && what.from) out.end = *what.from;
    return out;
  }
  const engine::stream_info& info = stream->info;
  if (forward) {
    take_events(read_from_, begin_of(*stream, what, out.gap), info.last, *stream, what.limit, out);
  } else {
    take_events(read_back_, info.first, end_of(*stream, what, out.gap) - 1, *stream, what.limit,
                out);
  }
  if (!out.events.empty()) {
    const event& last = out.events.back();
    out.end = {info.epoch, last.offset, last.stamp};
    out.more = forward ? last.offset < info.last : last.offset > info.first;
  } else {
    out.end = !forward && what.from ? *what.from : info.end();
  }
  return out;
}

}  // namespace millrace::embedded
