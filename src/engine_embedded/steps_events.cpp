#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/live_rules.hpp>

#include <utility>

namespace millrace::embedded {

group_writer::refused group_writer::refuse_new_stream(const engine::stream_key& key, plan& with) {
  if (events_.find(key) != nullptr || with.streams_added.contains(key)) return std::nullopt;
  if (events_.streams() + with.streams_added.size() >= engine::streams_max) {
    return engine::too_many_streams();
  }
  with.streams_added.insert(key);
  return std::nullopt;
}

stream_state& group_writer::open_stream(const engine::stream_key& key) {
  if (stream_state* found = events_.find(key)) return *found;
  return events_.open(key, stamps_.next(now_));
}

group_writer::refused group_writer::check(const engine::publish_event& step, plan& with) {
  if (!step.what.id.empty()) {
    if (events_.known(step.stream, step.what.id, now_)) return std::nullopt;
    if (events_.ids() + with.event_ids_added++ >= engine::event_ids_max) {
      return engine::too_many_event_ids();
    }
  }
  return refuse_new_stream(step.stream, with);
}

engine::outcome group_writer::apply(engine::publish_event& step, const plan&) {
  if (!step.what.id.empty()) {
    if (auto known = events_.known(step.stream, step.what.id, now_)) return *known;
  }
  static_cast<void>(to_write());
  stream_state& stream = open_stream(step.stream);
  changed_topics_.push_back(engine::stream_topic(step.stream.project, step.stream.name));
  const std::string carried = step.what.correlation_id;
  const engine::event_published made =
      events_.publish(stream, std::move(step.what), stamps_.next(now_), now_);
  note_carried(
      step.stream.project, carried,
      {.stamp = made.place.stamp, .event_row = event_log::row_of(stream, made.place.offset)});
  return made;
}

group_writer::refused group_writer::check(const engine::configure_stream& step, plan& with) {
  return refuse_new_stream(step.stream, with);
}

engine::outcome group_writer::apply(engine::configure_stream& step, const plan&) {
  static_cast<void>(to_write());
  stream_state& stream = open_stream(step.stream);
  events_.configure(stream, step.retention);
  return engine::stream_configured{.stream = stream.info};
}

result<engine::answer> group_writer::answer(const engine::read_events& what) {
  return events_.read(what);
}

result<engine::answer> group_writer::answer(const engine::find_stream& what) {
  const stream_state* found = events_.find(what.stream);
  return found == nullptr ? std::optional<engine::stream_info>() : std::optional(found->info);
}

// Events that are too old, and what has not been heard of for long enough.
void group_writer::forget_events_and_records() {
  const std::optional<timestamp> next = events_.next_event();
  if (next && *next <= now_) {
    static_cast<void>(to_write());
    events_.forget(now_);
  }
  // All of them: one that is over must not be taken for one that is held.
  while (const std::optional<live_key> over = live_.first_over(now_)) {
    if (db_->failed()) break;
    static_cast<void>(to_write());
    if (over->kind == live_kind::lock) {
      end_lock(*over);
      continue;
    }
    hint_record(*over);
    live_.erase(*over);
  }
}

void group_writer::hint_record(const live_key& key) {
  switch (key.kind) {
    case live_kind::progress:
      changed_topics_.push_back(engine::progress_topic(key.project, key.name));
      break;
    case live_kind::agent:
      changed_topics_.push_back(engine::flow_topic(key.project, key.flow));
      break;
    case live_kind::lock:
    case live_kind::fence:
    case live_kind::connection: break;
  }
}

}  // namespace millrace::embedded
