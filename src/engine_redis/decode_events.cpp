#include "event_codec.hpp"
#include "job_codec.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/live_rules.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace millrace::engine_redis {
namespace {

using engine::text_field_reader;

std::uint64_t natural(unpacker& in) { return static_cast<std::uint64_t>(in.integer()); }

engine::stream_info unpack_stream(unpacker& in) {
  engine::stream_info out;
  out.stream.project = in.text();
  out.stream.name = in.text();
  out.retention.count = natural(in);
  out.retention.age = duration(in.integer());
  out.retention.bytes = natural(in);
  out.epoch = natural(in);
  out.first = natural(in);
  out.last = natural(in);
  out.last_stamp = natural(in);
  out.bytes = natural(in);
  out.last_at = maybe_time(in);
  return out;
}

engine::progress_entry unpack_progress(unpacker& in) {
  engine::progress_entry out;
  out.project = in.text();
  out.correlation_id = in.text();
  out.started_at = unpack_time(in);
  out.updated_at = unpack_time(in);
  out.expires_at = unpack_time(in);
  out.version = natural(in);
  out.total_steps = static_cast<std::uint32_t>(in.integer());
  out.current_step = static_cast<std::uint32_t>(in.integer());
  out.status = static_cast<engine::progress_status>(in.integer());
  out.message = in.text();
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::progress_mark& each = out.marks.emplace_back();
    each.step = static_cast<std::uint32_t>(in.integer());
    each.at = unpack_time(in);
    each.message = in.text();
  }
  return out;
}

engine::agent_progress unpack_agent(unpacker& in) {
  engine::agent_progress out;
  out.agent = in.text();
  static_cast<void>(in.integer());
  out.updated_at = unpack_time(in);
  out.version = natural(in);
  text_field_reader value(in.text());
  out.progress = std::bit_cast<double>(value.number());
  out.status = value.text();
  out.details = value.text();
  if (value.failed()) in.fail();
  return out;
}

engine::live_connection unpack_connection(unpacker& in) {
  engine::live_connection out;
  out.id = in.text();
  out.connected_at = unpack_time(in);
  out.seen_at = unpack_time(in);
  static_cast<void>(in.integer());
  text_field_reader value(in.text());
  out.flow_id = value.text();
  out.user = value.text();
  out.server = value.text();
  if (value.failed()) in.fail();
  return out;
}

}  // namespace

std::optional<engine::outcome> unpack_event_outcome(std::string_view kind, unpacker& in) {
  if (kind == "v") {
    engine::event_published out;
    out.place.epoch = natural(in);
    out.place.offset = natural(in);
    out.place.stamp = natural(in);
    out.at = unpack_time(in);
    out.duplicate = in.boolean();
    return out;
  }
  if (kind == "s") return engine::stream_configured{.stream = unpack_stream(in)};
  if (kind == "g") return engine::progress_changed{.entry = unpack_progress(in)};
  if (kind == "a") return engine::agent_changed{.what = unpack_agent(in)};
  if (kind == "n") return engine::connection_changed{.what = unpack_connection(in)};
  return std::nullopt;
}

engine::event unpack_event(unpacker& in) {
  engine::event out;
  out.offset = natural(in);
  out.stamp = natural(in);
  out.at = unpack_time(in);
  static_cast<void>(in.integer());
  out.type = in.text();
  out.source = in.text_or_empty();
  out.correlation_id = in.text_or_empty();
  out.id = in.text_or_empty();
  out.payload = in.text();
  return out;
}

engine::read_events::page unpack_answer(const engine::read_events&, unpacker& in) {
  engine::read_events::page out;
  out.gap = static_cast<engine::gap_reason>(in.integer());
  out.more = in.boolean();
  out.end.epoch = natural(in);
  out.end.offset = natural(in);
  out.end.stamp = natural(in);
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.events.push_back(unpack_event(in));
  }
  return out;
}

std::optional<engine::stream_info> unpack_answer(const engine::find_stream&, unpacker& in) {
  if (!in.boolean()) return std::nullopt;
  return unpack_stream(in);
}

std::optional<engine::progress_entry> unpack_answer(const engine::find_progress&, unpacker& in) {
  if (!in.boolean()) return std::nullopt;
  return unpack_progress(in);
}

std::vector<engine::agent_progress> unpack_answer(const engine::list_agents&, unpacker& in) {
  std::vector<engine::agent_progress> out;
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.push_back(unpack_agent(in));
  }
  return out;
}

engine::connection_page unpack_answer(const engine::list_connections& what, unpacker& in) {
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  engine::connection_page out;
  bool more = in.boolean();
  std::string last;
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    if (out.items.size() == most) {
      more = true;
      break;
    }
    engine::live_connection one = unpack_connection(in);
    last = one.id;
    const bool wanted =
        (!what.flow_id || one.flow_id == *what.flow_id) && (!what.user || one.user == *what.user);
    if (wanted) out.items.push_back(std::move(one));
  }
  if (more) out.cursor = "@" + last;
  return out;
}

}  // namespace millrace::engine_redis
