#include "outcome_json_events.hpp"

#include <bit>

namespace millrace::embedded {
namespace {

engine::stream_configured read_stream(json_reader& in) {
  engine::stream_configured out;
  engine::stream_info& info = out.stream;
  in.take("stream", info.stream.name);
  in.take("project", info.stream.project);
  in.take("count", info.retention.count);
  in.take("age", info.retention.age);
  in.take("keep_bytes", info.retention.bytes);
  in.take("epoch", info.epoch);
  in.take("first", info.first);
  in.take("last", info.last);
  in.take("last_stamp", info.last_stamp);
  in.take("bytes", info.bytes);
  in.take("last_at", info.last_at);
  return out;
}

engine::lock_answer read_lock(json_reader& in) {
  engine::lock_answer out;
  in.take("lock", out.lock.key.resource);
  in.take("project", out.lock.key.project);
  in.take("granted", out.granted);
  in.take("owner", out.lock.owner);
  in.take("fence", out.lock.fence);
  in.take("acquired_at", out.lock.acquired_at);
  in.take("expires_at", out.lock.expires_at);
  in.take("mode", out.lock.mode);
  in.take("holders", out.lock.holders);
  in.take("waiters", out.lock.waiters);
  in.take("queued", out.queued);
  in.take("ahead", out.ahead);
  return out;
}

engine::progress_changed read_progress(json_reader& in) {
  engine::progress_changed out;
  engine::progress_entry& entry = out.entry;
  in.take("progress", entry.correlation_id);
  in.take("project", entry.project);
  in.take("total", entry.total_steps);
  in.take("step", entry.current_step);
  in.take("message", entry.message);
  in.take("status", entry.status);
  in.take("started_at", entry.started_at);
  in.take("updated_at", entry.updated_at);
  in.take("expires_at", entry.expires_at);
  in.take("version", entry.version);
  const json::array* marks = in.array("marks");
  if (marks == nullptr) return out;
  for (const json::value& each : *marks) {
    if (!each.is_object()) {
      in.fail();
      break;
    }
    json_reader mark(each.get_object());
    engine::progress_mark& one = entry.marks.emplace_back();
    mark.take("step", one.step);
    mark.take("at", one.at);
    mark.take("message", one.message);
    if (mark.failed()) in.fail();
  }
  return out;
}

engine::agent_changed read_agent(json_reader& in) {
  engine::agent_changed out;
  std::int64_t progress = 0;
  in.take("agent", out.what.agent);
  in.take("progress_bits", progress);
  in.take("status_text", out.what.status);
  in.take("details", out.what.details);
  in.take("updated_at", out.what.updated_at);
  in.take("version", out.what.version);
  out.what.progress = std::bit_cast<double>(progress);
  return out;
}

engine::connection_changed read_connection(json_reader& in) {
  engine::connection_changed out;
  in.take("connection", out.what.id);
  in.take("flow", out.what.flow_id);
  in.take("user", out.what.user);
  in.take("server", out.what.server);
  in.take("connected_at", out.what.connected_at);
  in.take("seen_at", out.what.seen_at);
  return out;
}

}  // namespace

json::object to_object(const engine::event_published& what) {
  return {{"published", what.place.offset},
          {"epoch", what.place.epoch},
          {"stamp", what.place.stamp},
          {"at", to_micros(what.at)},
          {"duplicate", what.duplicate}};
}

json::object to_object(const engine::stream_configured& what) {
  const engine::stream_info& info = what.stream;
  json::object out{{"stream", info.stream.name},
                   {"project", info.stream.project},
                   {"count", info.retention.count},
                   {"age", info.retention.age.count()},
                   {"keep_bytes", info.retention.bytes},
                   {"epoch", info.epoch},
                   {"first", info.first},
                   {"last", info.last},
                   {"last_stamp", info.last_stamp},
                   {"bytes", info.bytes}};
  if (info.last_at) out["last_at"] = to_micros(*info.last_at);
  return out;
}

json::object to_object(const engine::lock_answer& what) {
  return {{"lock", what.lock.key.resource},
          {"project", what.lock.key.project},
          {"granted", what.granted},
          {"owner", what.lock.owner},
          {"fence", what.lock.fence},
          {"acquired_at", to_micros(what.lock.acquired_at)},
          {"expires_at", to_micros(what.lock.expires_at)},
          {"mode", static_cast<int>(what.lock.mode)},
          {"holders", what.lock.holders},
          {"waiters", what.lock.waiters},
          {"queued", what.queued},
          {"ahead", what.ahead}};
}

json::object to_object(const engine::progress_changed& what) {
  const engine::progress_entry& entry = what.entry;
  json::array marks;
  for (const engine::progress_mark& each : entry.marks) {
    marks.push_back(
        json::object{{"step", each.step}, {"at", to_micros(each.at)}, {"message", each.message}});
  }
  return {{"progress", entry.correlation_id},
          {"project", entry.project},
          {"total", entry.total_steps},
          {"step", entry.current_step},
          {"message", entry.message},
          {"status", static_cast<int>(entry.status)},
          {"started_at", to_micros(entry.started_at)},
          {"updated_at", to_micros(entry.updated_at)},
          {"expires_at", to_micros(entry.expires_at)},
          {"version", entry.version},
          {"marks", std::move(marks)}};
}

json::object to_object(const engine::agent_changed& what) {
  // The bits of the number, so that it comes back as it was.
  return {{"agent", what.what.agent},
          {"progress_bits", std::bit_cast<std::int64_t>(what.what.progress)},
          {"status_text", what.what.status},
          {"details", what.what.details},
          {"updated_at", to_micros(what.what.updated_at)},
          {"version", what.what.version}};
}

json::object to_object(const engine::connection_changed& what) {
  return {{"connection", what.what.id},
          {"flow", what.what.flow_id},
          {"user", what.what.user},
          {"server", what.what.server},
          {"connected_at", to_micros(what.what.connected_at)},
          {"seen_at", to_micros(what.what.seen_at)}};
}

std::optional<engine::outcome> read_event_outcome(const json::object& from, json_reader& in) {
  if (from.contains("published")) {
    engine::event_published out;
    in.take("published", out.place.offset);
    in.take("epoch", out.place.epoch);
    in.take("stamp", out.place.stamp);
    in.take("at", out.at);
    in.take("duplicate", out.duplicate);
    return out;
  }
  if (from.contains("stream")) return read_stream(in);
  if (from.contains("lock")) return read_lock(in);
  if (from.contains("progress")) return read_progress(in);
  if (from.contains("agent")) return read_agent(in);
  if (from.contains("connection")) return read_connection(in);
  return std::nullopt;
}

}  // namespace millrace::embedded
