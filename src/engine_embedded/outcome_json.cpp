#include "json_fields.hpp"
#include "outcome_json_events.hpp"
#include "outcome_json_groups.hpp"
#include "outcome_json_sessions.hpp"
#include "spec_json.hpp"

#include <variant>
#include <vector>

namespace millrace::embedded {
namespace {

using reader = json_reader;
using writer = json_writer;

std::unexpected<error> unreadable() {
  return fail(errc::corrupted, "database_corrupt",
              "millrace.db holds an idempotency record that cannot be read.");
}

json::value text_of(const engine::job_id& id) { return json::value(id.text()); }

json::object to_object(const engine::job_enqueued& what) {
  return {{"enqueued", text_of(what.made.id)},
          {"duplicate", what.duplicate},
          {"replaced", what.replaced}};
}

json::object to_object(const engine::jobs_leased& what) {
  json::array jobs;
  for (const engine::leased_job& each : what.jobs) {
    jobs.push_back(json::object{{"id", text_of(each.what.id)},
                                {"token", each.token},
                                {"until", to_micros(each.leased_until)}});
  }
  writer out;
  out.add_value("leased", std::move(jobs));
  out.add("next_at", what.next_at);
  return out.take();
}

json::object to_object(const engine::job_changed& what) {
  return {{"changed", text_of(what.id)},
          {"status", static_cast<int>(what.status)},
          {"attempts", what.attempts},
          {"run_at", to_micros(what.run_at)},
          {"cancel_requested", what.cancel_requested}};
}

json::object to_object(const engine::lease_extended& what) {
  return {{"extended", to_micros(what.leased_until)}, {"cancel_requested", what.cancel_requested}};
}

json::object to_object(const engine::jobs_purged& what) { return {{"purged", what.count}}; }

json::object to_object(const engine::queue_configured&) { return {{"configured", true}}; }

json::object to_object(const engine::cron_fired& what) {
  const engine::cron_entry& entry = what.entry;
  const engine::cron_entry normal;
  writer out;
  out.add_value("fired", json::value(entry.name));
  out.add("project", entry.project, normal.project);
  out.add("queue", entry.queue, normal.queue);
  out.add("schedule", entry.schedule, normal.schedule);
  out.add("time_zone", entry.time_zone, normal.time_zone);
  out.add_value("job", json::value(spec_to_json(entry.job)));
  out.add("default_attempts", entry.default_attempts, normal.default_attempts);
  out.add("default_backoff", entry.default_backoff, normal.default_backoff);
  out.add("default_level", entry.default_level, normal.default_level);
  out.add("catch_up", entry.catch_up, normal.catch_up);
  out.add("overlap", entry.overlap, normal.overlap);
  out.add("paused", entry.paused, normal.paused);
  out.add("next_at", entry.next_at);
  out.add("last_fired_at", entry.last_fired_at);
  if (entry.last_job) out.add_value("last_job", text_of(*entry.last_job));
  out.add("fired_count", entry.fired, normal.fired);
  out.add("skipped", entry.skipped, normal.skipped);
  out.add("version", entry.version, normal.version);
  if (what.made) out.add_value("made", text_of(*what.made));
  return out.take();
}

json::object to_object(const engine::cache_stored& what) {
  return {{"stored", what.version},
          {"created_at", to_micros(what.created_at)},
          {"expires_at", to_micros(what.expires_at)}};
}

// Without what was found, which may have changed since.
json::object to_object(const engine::cache_claimed& what) {
  return {{"claimed", static_cast<int>(what.state)},
          {"lease", what.lease},
          {"until", to_micros(what.until)},
          {"now", to_micros(what.now)}};
}

json::object to_object(const engine::cache_dropped& what) {
  return {{"dropped", what.count}, {"cursor", what.cursor}};
}

void take_id(reader& in, std::string_view name, engine::job_id& into) {
  std::string text;
  in.take(name, text);
  std::optional<engine::job_id> id = routed_id::parse(text);
  if (!id) return in.fail();
  into = std::move(*id);
}

json::object to_object(const engine::limits_checked& what) {
  json::array limits;
  for (const engine::limit_state& each : what.limits) {
    limits.push_back(json::object{{"count", each.count},
                                  {"limit", each.limit},
                                  {"remaining", each.remaining},
                                  {"window_start", to_micros(each.window_start)},
                                  {"reset_time", to_micros(each.reset_time)},
                                  {"allowed", each.allowed},
                                  {"retry_after", each.retry_after.count()},
                                  {"blocked_until", to_micros(each.blocked_until)}});
  }
  return {{"limits", std::move(limits)},
          {"allowed", what.allowed},
          {"granted", what.granted},
          {"at", to_micros(what.at)},
          {"permit", what.permit}};
}

engine::limits_checked read_limits(reader& in) {
  engine::limits_checked out;
  in.take("allowed", out.allowed);
  in.take("granted", out.granted);
  in.take("at", out.at);
  in.take("permit", out.permit);
  const json::array* limits = in.array("limits");
  if (limits == nullptr) return out;
  for (const json::value& each : *limits) {
    if (!each.is_object()) {
      in.fail();
      break;
    }
    reader limit(each.get_object());
    engine::limit_state& state = out.limits.emplace_back();
    limit.take("count", state.count);
    limit.take("limit", state.limit);
    limit.take("remaining", state.remaining);
    limit.take("window_start", state.window_start);
    limit.take("reset_time", state.reset_time);
    limit.take("allowed", state.allowed);
    limit.take("retry_after", state.retry_after);
    limit.take("blocked_until", state.blocked_until);
    if (limit.failed()) in.fail();
  }
  return out;
}

engine::jobs_leased read_leased(reader& in) {
  engine::jobs_leased out;
  in.take("next_at", out.next_at);
  const json::array* jobs = in.array("leased");
  if (jobs == nullptr) return out;
  for (const json::value& each : *jobs) {
    if (!each.is_object()) {
      in.fail();
      break;
    }
    reader job(each.get_object());
    engine::leased_job& leased = out.jobs.emplace_back();
    take_id(job, "id", leased.what.id);
    job.take("token", leased.token);
    job.take("until", leased.leased_until);
    if (job.failed()) in.fail();
  }
  return out;
}

engine::cron_fired read_fired(reader& in) {
  engine::cron_fired out;
  engine::cron_entry& entry = out.entry;
  in.take("fired", entry.name);
  in.take("project", entry.project);
  in.take("queue", entry.queue);
  in.take("schedule", entry.schedule);
  in.take("time_zone", entry.time_zone);
  std::string job;
  in.take("job", job);
  if (result<engine::job_spec> spec = spec_from_json(job)) {
    entry.job = std::move(*spec);
  } else {
    in.fail();
  }
  in.take("default_attempts", entry.default_attempts);
  in.take("default_backoff", entry.default_backoff);
  in.take("default_level", entry.default_level);
  in.take("catch_up", entry.catch_up);
  in.take("overlap", entry.overlap);
  in.take("paused", entry.paused);
  in.take("next_at", entry.next_at);
  in.take("last_fired_at", entry.last_fired_at);
  std::optional<std::string> id;
  in.take("last_job", id);
  if (id) entry.last_job = routed_id::parse(*id);
  in.take("fired_count", entry.fired);
  in.take("skipped", entry.skipped);
  in.take("version", entry.version);
  id.reset();
  in.take("made", id);
  if (id) out.made = routed_id::parse(*id);
  return out;
}

std::optional<engine::outcome> read_cache_outcome(const json::object& from, reader& in) {
  if (from.contains("stored")) {
    engine::cache_stored stored;
    in.take("stored", stored.version);
    in.take("created_at", stored.created_at);
    in.take("expires_at", stored.expires_at);
    return stored;
  }
  if (from.contains("claimed")) {
    engine::cache_claimed claimed;
    in.take("claimed", claimed.state);
    in.take("lease", claimed.lease);
    in.take("until", claimed.until);
    in.take("now", claimed.now);
    return claimed;
  }
  if (!from.contains("dropped")) return std::nullopt;
  engine::cache_dropped dropped;
  in.take("dropped", dropped.count);
  in.take("cursor", dropped.cursor);
  return dropped;
}

std::optional<engine::outcome> read_outcome(const json::object& from) {
  reader in(from);
  engine::outcome out;
  if (from.contains("enqueued")) {
    engine::job_enqueued made;
    take_id(in, "enqueued", made.made.id);
    in.take("duplicate", made.duplicate);
    in.take("replaced", made.replaced);
    out = std::move(made);
  } else if (from.contains("leased")) {
    out = read_leased(in);
  } else if (from.contains("changed")) {
    engine::job_changed changed;
    take_id(in, "changed", changed.id);
    in.take("status", changed.status);
    in.take("attempts", changed.attempts);
    in.take("run_at", changed.run_at);
    in.take("cancel_requested", changed.cancel_requested);
    out = std::move(changed);
  } else if (from.contains("extended")) {
    engine::lease_extended extended;
    in.take("extended", extended.leased_until);
    in.take("cancel_requested", extended.cancel_requested);
    out = extended;
  } else if (from.contains("purged")) {
    engine::jobs_purged purged;
    in.take("purged", purged.count);
    out = purged;
  } else if (from.contains("fired")) {
    out = read_fired(in);
  } else if (auto cached = read_cache_outcome(from, in)) {
    out = std::move(*cached);
  } else if (from.contains("limits")) {
    out = read_limits(in);
  } else if (auto other = read_event_outcome(from, in)) {
    out = std::move(*other);
  } else if (auto session = read_session_outcome(from, in)) {
    out = std::move(*session);
  } else if (auto group = read_group_outcome(from, in)) {
    out = std::move(*group);
  } else {
    out = engine::queue_configured{};
  }
  if (in.failed()) return std::nullopt;
  return out;
}

}  // namespace

std::string outcomes_to_json(const std::vector<engine::outcome>& outcomes) {
  json::array out;
  out.reserve(outcomes.size());
  for (const engine::outcome& each : outcomes) {
    out.push_back(std::visit([](const auto& what) { return to_object(what); }, each));
  }
  return json::serialize(out);
}

result<std::vector<engine::outcome>> outcomes_from_json(std::string_view text) {
  result<json::value> parsed = parse_json(text);
  if (!parsed || !parsed->is_array()) return unreadable();
  std::vector<engine::outcome> out;
  for (const json::value& each : parsed->get_array()) {
    std::optional<engine::outcome> one =
        each.is_object() ? read_outcome(each.get_object()) : std::nullopt;
    if (!one) return unreadable();
    out.push_back(std::move(*one));
  }
  return out;
}

}  // namespace millrace::embedded
