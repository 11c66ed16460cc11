#include "event_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"
#include "sse_response.hpp"
#include "stream_cursor.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::http {
namespace {

stream_place place_of(const event_position& from) {
  if (from.cursor) return stream_place::of(*from.cursor);
  if (from.at) {
    return {.what = stream_place::kind::at,
            .stamp = static_cast<std::uint64_t>(to_micros(*from.at))};
  }
  return {.what = from.latest ? stream_place::kind::latest : stream_place::kind::earliest};
}

// Where each stream begins: `all` but for those that have a place of their own.
struct begin {
  stream_place all;
  std::vector<stream_position> own;

  [[nodiscard]] stream_place of(std::uint32_t hash) const {
    const auto found = std::ranges::find(own, hash, &stream_position::hash);
    return found == own.end() ? all : stream_place::of(found->place);
  }
};

result<begin> read_begin(const request& what, query_reader& query) {
  const std::string from = query.text("from").value_or("latest");
  // What the browser got last counts more than where it once began.
  const bool resumes = what.has(header::last_event_id) && !what[header::last_event_id].empty();
  const std::string_view text = resumes ? what[header::last_event_id] : std::string_view{from};
  begin made;
  if (auto places = parse_positions(text)) {
    made.own = std::move(*places);
    // A stream that has no place in it was not followed, or had not begun.
    const bool word = resumes && from != "latest";
    const auto otherwise = parse_event_position(word ? from : "latest", "from");
    if (!otherwise) return std::unexpected(otherwise.error());
    made.all = place_of(*otherwise);
    return made;
  }
  const auto position = parse_event_position(text, resumes ? "Last-Event-ID" : "from");
  if (!position) return std::unexpected(position.error());
  made.all = place_of(*position);
  return made;
}

result<response> follow(service& with, const request& what, query_reader& query,
                        std::vector<std::string> names, bool many) {
  auto from = read_begin(what, query);
  const auto user = read_listener(query);
  if (auto finished = query.finish(); !finished) return std::unexpected(finished.error());
  if (!from) return std::unexpected(std::move(from.error()));
  if (!user) return std::unexpected(user.error());
  subscription made{.parts = {}, .vector_id = many, .listeners = {}};
  for (std::string& name : names) {
    if (auto named = check_key(name, "stream"); !named) return std::unexpected(named.error());
    const std::uint32_t hash = stream_hash(name);
    made.listeners.push_back({.project = with.project, .flow = name, .user = *user});
    made.parts.push_back(
        {.source = events_of(with.store, {.project = with.project, .name = std::move(name)}),
         .from = from->of(hash),
         .hash = hash});
  }
  return stream_response(std::move(made));
}

}  // namespace

awaitable<response> live_events(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  auto answer = follow(with, what, *query, {what.params[0]}, false);
  if (!answer) co_return problem(answer.error());
  co_return std::move(*answer);
}

awaitable<response> live_streams(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  std::vector<std::string> names = query->texts("stream");
  if (names.empty() || names.size() > streams_max) {
    co_return problem(invalid("stream", fmt::format("stream names what is followed, once for each "
                                                    "stream, 1 to {} times.",
                                                    streams_max))
                          .error());
  }
  std::ranges::sort(names);
  const auto again = std::ranges::unique(names);
  names.erase(again.begin(), again.end());
  auto answer = follow(with, what, *query, std::move(names), true);
  if (!answer) co_return problem(answer.error());
  co_return std::move(*answer);
}

}  // namespace millrace::http
