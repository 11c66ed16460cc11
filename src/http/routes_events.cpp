#include "route_support.hpp"
#include "routes.hpp"
#include "sse.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/async.hpp>

#include <charconv>
#include <chrono>
#include <utility>

namespace millrace::http {
namespace {

// Where a stream begins: 0 at the beginning, empty at what comes now.
using position = std::optional<std::uint64_t>;

// A cursor, a time, or a word. Stamps are microseconds of the store's clock or later, so that a
// time is a cursor too.
result<position> parse_position(std::string_view text) {
  if (text.empty() || text == "earliest") return 0;
  if (text == "latest") return std::nullopt;
  std::uint64_t stamp = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, stamp);
  if (code == std::errc{} && stopped == end) return stamp;
  const result<timestamp> at = parse_rfc3339(text, "from");
  if (at) return static_cast<std::uint64_t>(to_micros(*at));
  return fail(errc::malformed, "bad_cursor",
              "from is no position: it is earliest, latest, a time or the id of an event.", "from");
}

// Looks at the job once; false when it is over.
// borrows: awaited in place
awaitable<bool> look(engine::store& store, const engine::job_id& id, job_feed& feed,
                     std::string& out) {
  const auto found = co_await engine::ask(store, engine::find_job{id});
  // A store that cannot serve now may do so at the next look; the client need not know.
  if (!found) co_return true;
  if (!*found) {
    feed.take_gone(id, out);
    co_return false;
  }
  auto lines =
      co_await engine::ask(store, engine::read_job_log{.id = id, .after = feed.log_cursor()});
  if (!lines) co_return true;
  feed.take(**found, std::move(*lines), out);
  co_return !feed.ended();
}

awaitable<void> stream_job(engine::store* store, connection* to, engine::job_id id, position from,
                           std::chrono::milliseconds comment_interval) {
  auto listener = store->hints().listen({engine::job_topic(id.text())});
  job_feed feed(from);
  std::string out{sse_retry};
  while (true) {
    const bool more = co_await look(*store, id, feed, out);
    if (out.empty()) out = sse_comment;
    const bool sent = co_await send_chunk(*to, out);
    if (!more || !sent) co_return;
    out.clear();
    (void)co_await listener.wait(comment_interval);
  }
}

}  // namespace

awaitable<response> job_events(service& with, request& what) {
  const auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const auto from_text = query->text("from");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  // What the browser got last counts more than where it once began.
  const auto from = parse_position(what.has(header::last_event_id)
                                       ? what[header::last_event_id]
                                       : std::string_view{from_text ? *from_text : ""});
  if (!from) co_return problem(from.error());
  const auto found = co_await engine::ask(with.store, engine::find_job{*id});
  if (!found) co_return problem(found.error());
  if (!*found || (*found)->queue.project != with.project) co_return problem(job_not_found());
  response answer{.content_type = event_stream_type,
                  .headers = "X-Accel-Buffering: no\r\n",
                  .farewell = sse_retry};
  answer.stream = [store = &with.store, to = what.from, id = *id, from = *from,
                   interval = with.options.limits.comment_interval] {
    return stream_job(store, to, id, from, interval);
  };
  co_return answer;
}

}  // namespace millrace::http
