#include "sse_sources.hpp"

#include "event_codec.hpp"
#include "progress_codec.hpp"
#include "sse.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::chrono::milliseconds progress_pace{100};

std::string id_line(const engine::event_cursor& place) {
  return fmt::format("id: {}\n", place.text());
}

awaitable<batch_ptr> read_end(engine::store* store, engine::stream_key stream, stream_place from) {
  const auto found = co_await engine::ask(*store, engine::find_stream{std::move(stream)});
  if (!found) co_return nullptr;
  const engine::event_cursor end = *found ? (*found)->end() : engine::event_cursor{};
  auto made = std::make_shared<event_batch>(from);
  // An event without data is none, but the client keeps its id: should it be cut off before the
  // first event, it comes back to here and not to a later end.
  made->add(id_line(end), "\n", stream_place::of(end));
  co_return made;
}

awaitable<batch_ptr> read_stream(engine::store* store, engine::stream_key stream, stream_place from,
                                 std::uint32_t limit) {
  if (from.what == stream_place::kind::latest) {
    co_return co_await read_end(store, std::move(stream), from);
  }
  engine::read_events asked{
      .stream = stream, .way = engine::read_events::order::oldest_first, .limit = limit};
  if (from.what == stream_place::kind::cursor) asked.from = from.cursor();
  if (from.what == stream_place::kind::at) {
    asked.at = from_micros(static_cast<std::int64_t>(from.stamp));
  }
  const auto page = co_await engine::ask(*store, std::move(asked));
  if (!page) co_return nullptr;
  co_return std::make_shared<event_batch>(batch_of(stream, from, *page));
}

awaitable<batch_ptr> read_job(engine::store* store, engine::job_id id, stream_place from) {
  const auto found = co_await engine::ask(*store, engine::find_job{id});
  if (!found) co_return nullptr;
  job_feed feed(from);
  std::string out;
  if (*found) {
    auto lines =
        co_await engine::ask(*store, engine::read_job_log{.id = id, .after = feed.log_cursor()});
    if (!lines) co_return nullptr;
    feed.take(**found, std::move(*lines), out);
  } else {
    feed.take_gone(id, out);
  }
  auto made = std::make_shared<event_batch>(from);
  if (!out.empty()) made->add({}, out, feed.where());
  made->end = feed.where();
  if (feed.ended()) made->finish();
  co_return made;
}

awaitable<batch_ptr> read_progress(engine::store* store, engine::find_progress which,
                                   stream_place from) {
  const auto found = co_await engine::ask(*store, std::move(which));
  if (!found) co_return nullptr;
  co_return std::make_shared<event_batch>(batch_of(from, *found));
}

awaitable<batch_ptr> read_agents(engine::store* store, engine::list_agents which,
                                 stream_place from) {
  auto found = co_await engine::ask(*store, std::move(which));
  if (!found) co_return nullptr;
  co_return std::make_shared<event_batch>(batch_of(from, std::move(*found)));
}

stream_place version_place(std::uint64_t version) {
  return {.what = stream_place::kind::cursor, .stamp = version};
}

}  // namespace

stream_source events_of(engine::store& store, engine::stream_key stream) {
  engine::topic topic = engine::stream_topic(stream.project, stream.name);
  return {
      .topic = std::move(topic),
      .read = [at = &store, stream = std::move(stream)](stream_place from, std::uint32_t limit) {
        return read_stream(at, stream, from, limit);
      }};
}

stream_source job_changes(engine::store& store, engine::job_id id) {
  engine::topic topic = engine::job_topic(id.text());
  return {.topic = std::move(topic),
          .read = [at = &store, id = std::move(id)](stream_place from, std::uint32_t) {
            return read_job(at, id, from);
          }};
}

stream_source progress_changes(engine::store& store, engine::find_progress which) {
  engine::topic topic = engine::progress_topic(which.project, which.correlation_id);
  return {.topic = std::move(topic),
          .read = [at = &store, which = std::move(which)](
                      stream_place from, std::uint32_t) { return read_progress(at, which, from); },
          .pace = progress_pace};
}

stream_source agent_changes(engine::store& store, engine::list_agents which) {
  engine::topic topic = engine::flow_topic(which.project, which.flow_id);
  return {.topic = std::move(topic),
          .read = [at = &store, which = std::move(which)](
                      stream_place from, std::uint32_t) { return read_agents(at, which, from); },
          .pace = progress_pace};
}

event_batch batch_of(const engine::stream_key& stream, stream_place from,
                     const engine::read_events::page& page) {
  event_batch made(from);
  std::string text;
  if (page.gap != engine::gap_reason::none) {
    text = "event: gap\ndata: ";
    append_gap(text, stream,
               from.what == stream_place::kind::cursor ? from.cursor() : engine::event_cursor{},
               page);
    text += "\n\n";
    // Where nothing follows, the gap must not come again.
    const bool last = page.events.empty();
    made.add(last ? id_line(page.end) : std::string{}, text,
             last ? stream_place::of(page.end) : from);
  }
  for (const engine::event& each : page.events) {
    if (made.bytes.size() >= batch_bytes_max) {
      made.more = true;
      return made;
    }
    // A type has no line break: control characters are refused.
    text = fmt::format("event: {}\ndata: ", each.type);
    append_event_json(text, stream, page.end.epoch, each);
    text += "\n\n";
    const engine::event_cursor place{page.end.epoch, each.offset, each.stamp};
    made.add(id_line(place), text, stream_place::of(place));
  }
  made.end = stream_place::of(page.end);
  made.more = page.more;
  return made;
}

event_batch batch_of(stream_place from, const std::optional<engine::progress_entry>& entry) {
  event_batch made(from);
  made.end = version_place(entry ? entry->version : 0);
  std::string text;
  if (!entry) {
    // It may begin yet; one that was there is gone.
    if (from.stamp == 0) return made;
    append_event(text, "end", 0, R"({"status":"deleted"})");
    made.add({}, text, made.end);
    made.finish();
    return made;
  }
  if (entry->version != from.stamp) {
    std::string data;
    append_progress_entry(data, *entry);
    append_event(text, "progress", entry->version, data);
  }
  const bool ended = entry->status != engine::progress_status::running;
  if (ended) {
    append_event(text, "end", entry->version,
                 fmt::format(R"({{"status":"{}"}})", engine::to_string(entry->status)));
  }
  if (!text.empty()) made.add({}, text, made.end);
  if (ended) made.finish();
  return made;
}

event_batch batch_of(stream_place from, std::vector<engine::agent_progress> agents) {
  event_batch made(from);
  made.end = version_place(from.stamp);
  // In the order of their changes, so that each id stands for all before it.
  std::ranges::sort(agents, {}, &engine::agent_progress::version);
  std::string text;
  std::string data;
  for (const engine::agent_progress& each : agents) {
    if (each.version <= from.stamp) continue;
    text.clear();
    data.clear();
    append_agent(data, each);
    append_event(text, "agent", each.version, data);
    made.add({}, text, version_place(each.version));
  }
  return made;
}

}  // namespace millrace::http
