#include "event_feed.hpp"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

/// Events of one page: with their bytes, which the engine bounds, what one client may hold.
constexpr std::uint32_t events_at_once = 100;

void append_id(std::string& out, const engine::event_cursor& place) {
  fmt::format_to(std::back_inserter(out), "id: {}\n", place.text());
}

}  // namespace

event_feed::event_feed(engine::stream_key stream, event_position from) noexcept
    : stream_(std::move(stream)), from_(from) {}

engine::read_events event_feed::next() const {
  return {.stream = stream_,
          .way = engine::read_events::order::oldest_first,
          .from = from_.cursor,
          .at = from_.at,
          .limit = events_at_once};
}

void event_feed::begin_at(const engine::event_cursor& end, std::string& out) {
  from_ = {.cursor = end, .at = {}, .latest = false};
  // An event without data is none, but the client keeps its id: should it be cut off before the
  // first event, it comes back to here and not to a later end.
  append_id(out, end);
  out += '\n';
}

bool event_feed::take(const engine::read_events::page& page, std::string& out) {
  if (page.gap != engine::gap_reason::none) {
    out += "event: gap\n";
    // Where nothing follows, the gap must not come again.
    if (page.events.empty()) append_id(out, page.end);
    out += "data: ";
    append_gap(out, stream_, from_.cursor.value_or(engine::event_cursor{}), page);
    out += "\n\n";
  }
  for (const engine::event& each : page.events) {
    // A type has no line break: control characters are refused.
    fmt::format_to(std::back_inserter(out), "event: {}\n", each.type);
    append_id(out, {page.end.epoch, each.offset, each.stamp});
    out += "data: ";
    append_event_json(out, stream_, page.end.epoch, each);
    out += "\n\n";
  }
  from_ = {.cursor = page.end, .at = {}, .latest = false};
  return page.more;
}

}  // namespace millrace::http
