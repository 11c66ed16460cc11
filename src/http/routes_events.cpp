#include "route_support.hpp"
#include "routes.hpp"
#include "sse_response.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/async.hpp>

#include <charconv>
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
  stream_place begin{.what = stream_place::kind::earliest};
  if (!*from) begin.what = stream_place::kind::latest;
  if (*from && **from != 0) begin = {.what = stream_place::kind::resumed, .stamp = **from};
  co_return stream_response({.source = job_changes(with.store, *id), .from = begin});
}

}  // namespace millrace::http
