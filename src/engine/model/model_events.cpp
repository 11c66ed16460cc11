#include "model_state.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace millrace::model {

using engine::event;
using engine::event_cursor;
using engine::gap_reason;
using order = engine::read_events::order;

model_state::refused model_state::refuse_new_stream(const engine::stream_key& key,
                                                    plan& with) const {
  if (streams_.contains(key) || with.streams_added.contains(key)) return std::nullopt;
  if (streams_.size() + with.streams_added.size() >= engine::streams_max) {
    return engine::too_many_streams();
  }
  with.streams_added.insert(key);
  return std::nullopt;
}

stream_record& model_state::open_stream(const engine::stream_key& key) {
  const auto [at, fresh] = streams_.try_emplace(key);
  if (fresh) {
    at->second.info.stream = key;
    at->second.info.epoch = next_stamp();
  }
  return at->second;
}

void model_state::drop_first(stream_record& of) const {
  of.before = of.events.front().stamp;
  of.info.bytes -= bytes_of(of.events.front());
  of.events.erase(of.events.begin());
  ++of.info.first;
}

void model_state::trim(stream_record& of) const {
  const engine::event_retention& kept = of.info.retention;
  for (std::size_t gone = 0; gone < engine::events_trimmed_at_once; ++gone) {
    const bool too_many = of.events.size() > kept.count || of.info.bytes > kept.bytes;
    if (!too_many || of.events.size() <= 1) return;
    drop_first(of);
  }
}

model_state::refused model_state::check(const engine::publish_event& step, plan& with) const {
  if (!step.what.id.empty()) {
    if (event_ids_.contains({step.stream, step.what.id})) return std::nullopt;
    if (event_ids_.size() + with.event_ids_added++ >= engine::event_ids_max) {
      return engine::too_many_event_ids();
    }
  }
  return refuse_new_stream(step.stream, with);
}

engine::outcome model_state::apply(const engine::publish_event& step, const plan&) {
  if (!step.what.id.empty()) {
    const auto known = event_ids_.find({step.stream, step.what.id});
    if (known != event_ids_.end()) {
      engine::event_published again = known->second;
      again.duplicate = true;
      return again;
    }
  }
  stream_record& stream = open_stream(step.stream);
  event made = step.what;
  made.offset = ++stream.info.last;
  made.stamp = next_stamp();
  made.at = now_;
  stream.info.last_stamp = made.stamp;
  stream.info.last_at = made.at;
  stream.info.bytes += bytes_of(made);
  const engine::event_published out{
      .place = {stream.info.epoch, made.offset, made.stamp}, .at = now_, .duplicate = false};
  if (!made.id.empty()) {
    event_ids_[{step.stream, made.id}] = out;
    happens_at(now_ + engine::event_id_kept);
  }
  happens_at(now_ + stream.info.retention.age);
  stream.events.push_back(std::move(made));
  trim(stream);
  changed_topics_.push_back(engine::stream_topic(step.stream.project, step.stream.name));
  return out;
}

model_state::refused model_state::check(const engine::configure_stream& step, plan& with) const {
  return refuse_new_stream(step.stream, with);
}

engine::outcome model_state::apply(const engine::configure_stream& step, const plan&) {
  stream_record& stream = open_stream(step.stream);
  stream.info.retention = step.retention;
  stream.own = true;
  trim(stream);
  if (!stream.events.empty()) happens_at(stream.events.front().at + stream.info.retention.age);
  return engine::stream_configured{.stream = stream.info};
}

void model_state::forget_old_events() {
  for (auto at = streams_.begin(); at != streams_.end();) {
    stream_record& stream = at->second;
    const duration age = stream.info.retention.age;
    while (!stream.events.empty() && stream.events.front().at + age <= now_) drop_first(stream);
    const bool over = stream.events.empty() && !stream.own;
    at = over ? streams_.erase(at) : std::next(at);
  }
  std::erase_if(event_ids_, [this](const auto& known) {
    return known.second.at + engine::event_id_kept <= now_;
  });
}

timestamp model_state::next_event_of_streams() const {
  timestamp next = timestamp::max();
  for (const auto& [key, stream] : streams_) {
    if (stream.events.empty()) continue;
    next = std::min(next, stream.events.front().at + stream.info.retention.age);
  }
  for (const auto& [key, known] : event_ids_) {
    next = std::min(next, known.at + engine::event_id_kept);
  }
  return next;
}

namespace {

// Whether history still is what the cursor knows of it.
gap_reason gap_at(const stream_record* stream, const event_cursor& from) {
  if (stream == nullptr) {
    return from == event_cursor{} ? gap_reason::none : gap_reason::other_epoch;
  }
  const engine::stream_info& info = stream->info;
  if (from == event_cursor{}) return info.first > 1 ? gap_reason::trimmed : gap_reason::none;
  if (from.epoch != info.epoch) return gap_reason::other_epoch;
  if (from.offset > info.last) return gap_reason::lost;
  if (from.offset + 1 < info.first) return gap_reason::trimmed;
  const stamp there =
      from.offset < info.first ? stream->before : stream->events[from.offset - info.first].stamp;
  return there == from.stamp ? gap_reason::none : gap_reason::lost;
}

std::vector<event> behind(const stream_record& stream, const engine::read_events& what,
                          gap_reason gap) {
  std::vector<event> out;
  for (const event& each : stream.events) {
    const bool wanted = what.at                   ? each.at >= *what.at
                        : !what.from              ? true
                        : gap != gap_reason::none ? each.stamp > what.from->stamp
                                                  : each.offset > what.from->offset;
    if (wanted) out.push_back(each);
  }
  return out;
}

std::vector<event> before(const stream_record& stream, const engine::read_events& what,
                          gap_reason gap) {
  std::vector<event> out;
  for (const event& each : std::views::reverse(stream.events)) {
    const bool wanted = what.at                   ? each.at <= *what.at
                        : !what.from              ? true
                        : gap != gap_reason::none ? each.stamp < what.from->stamp
                                                  : each.offset < what.from->offset;
    if (wanted) out.push_back(each);
  }
  return out;
}

void cut_page(std::vector<event>& events, std::uint32_t limit) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, engine::page_items_max);
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  while (count < events.size() && count < most && bytes < engine::event_page_bytes_max) {
    bytes += bytes_of(events[count++]);
  }
  events.resize(count);
}

}  // namespace

result<engine::answer> model_state::read(const engine::read_events& what) const {
  const auto found = streams_.find(what.stream);
  const stream_record* stream = found == streams_.end() ? nullptr : &found->second;
  const bool forward = what.way == order::oldest_first;
  engine::read_events::page out;
  if (what.from && !what.at) {
    out.gap = gap_at(stream, *what.from);
    // What is older and gone is no gap for who reads backwards.
    if (!forward && out.gap == gap_reason::trimmed) out.gap = gap_reason::none;
  }
  if (stream != nullptr) {
    out.events = forward ? behind(*stream, what, out.gap) : before(*stream, what, out.gap);
  }
  const std::size_t all = out.events.size();
  cut_page(out.events, what.limit);
  out.more = out.events.size() < all;
  if (!out.events.empty()) {
    const event& last = out.events.back();
    out.end = {stream->info.epoch, last.offset, last.stamp};
  } else if (!forward && what.from) {
    out.end = *what.from;
  } else if (stream != nullptr) {
    out.end = stream->info.end();
  }
  return out;
}

result<engine::answer> model_state::read(const engine::find_stream& what) const {
  const auto found = streams_.find(what.stream);
  return found == streams_.end() ? std::optional<engine::stream_info>()
                                 : std::optional(found->second.info);
}

}  // namespace millrace::model
