#include "describe_events.hpp"

#include <fmt/format.h>

#include <variant>

namespace millrace::conformance {

using namespace engine;

namespace {

std::string at(timestamp when, timestamp start) {
  return fmt::format("{}us", (when - start).count());
}

std::string text(const event& what, timestamp start) {
  return fmt::format("{} at {} '{}' '{}' by '{}' of '{}' id '{}'", what.offset, at(what.at, start),
                     what.type, what.payload, what.source, what.correlation_id, what.id);
}

std::string text(const agent_progress& what, timestamp start) {
  return fmt::format("agent '{}' {} '{}' '{}' at {}", what.agent, what.progress, what.status,
                     what.details, at(what.updated_at, start));
}

std::string text(const live_connection& what, timestamp start) {
  return fmt::format("connection '{}' flow '{}' user '{}' server '{}' since {} seen {}", what.id,
                     what.flow_id, what.user, what.server, at(what.connected_at, start),
                     at(what.seen_at, start));
}

struct describe_outcome {
  timestamp start;

  std::string operator()(const event_published& done) const {
    return fmt::format("published {} at {} duplicate {}", done.place.offset, at(done.at, start),
                       done.duplicate);
  }
  std::string operator()(const stream_configured& done) const {
    return describe(std::optional(done.stream), start);
  }
  std::string operator()(const lock_answer& done) const {
    return fmt::format("granted {} queued {} behind {} {}", done.granted, done.queued, done.ahead,
                       describe(std::optional(done.lock), start));
  }
  std::string operator()(const progress_changed& done) const {
    return describe(std::optional(done.entry), start);
  }
  std::string operator()(const agent_changed& done) const { return text(done.what, start); }
  std::string operator()(const connection_changed& done) const { return text(done.what, start); }
  std::string operator()(const auto&) const { return "configured"; }
};

}  // namespace

std::string describe_correlated(const std::vector<correlated_event>& events, timestamp start) {
  std::string out;
  for (const correlated_event& each : events) {
    out += fmt::format("\n  in {}: {}", each.stream.name, text(each.what, start));
  }
  return out;
}

std::string describe(const read_events::page& page, timestamp start) {
  std::string out = fmt::format("events, gap {}, more {}, end {}{}", to_string(page.gap), page.more,
                                page.end.offset, page.end.epoch == 0 ? " of nothing" : "");
  for (const event& each : page.events) out += "\n  " + text(each, start);
  return out;
}

std::string describe(const std::optional<stream_info>& info, timestamp start) {
  if (!info) return "no stream";
  return fmt::format("stream {} {} to {}, {} bytes, last at {}, keeps {} {}us {} bytes",
                     info->stream.name, info->first, info->last, info->bytes,
                     info->last_at ? at(*info->last_at, start) : "never", info->retention.count,
                     info->retention.age.count(), info->retention.bytes);
}

std::string describe(const std::optional<lock_info>& lock, timestamp start) {
  if (!lock) return "no lock";
  const std::string since = lock->fence == 0 ? "never" : at(lock->acquired_at, start);
  return fmt::format("{} lock {} of '{}' since {} until {}, {} holders, {} waiters",
                     to_string(lock->mode), lock->key.resource, lock->owner, since,
                     at(lock->expires_at, start), lock->holders, lock->waiters);
}

std::string describe(const std::optional<progress_entry>& entry, timestamp start) {
  if (!entry) return "no progress";
  std::string out = fmt::format(
      "progress {} {}/{} '{}' {} started {} updated {} until {}", entry->correlation_id,
      entry->current_step, entry->total_steps, entry->message, to_string(entry->status),
      at(entry->started_at, start), at(entry->updated_at, start), at(entry->expires_at, start));
  for (const progress_mark& each : entry->marks) {
    out += fmt::format("\n  {} at {} '{}'", each.step, at(each.at, start), each.message);
  }
  return out;
}

std::string describe(const std::vector<agent_progress>& agents, timestamp start) {
  std::string out = "agents";
  for (const agent_progress& each : agents) out += "\n  " + text(each, start);
  return out;
}

std::string describe(const connection_page& page, timestamp start) {
  std::string out = "connections";
  for (const live_connection& each : page.items) out += "\n  " + text(each, start);
  return out;
}

std::string describe_other(const outcome& done, timestamp start) {
  return std::visit(describe_outcome{start}, done);
}

}  // namespace millrace::conformance
