#include "cache_codec.hpp"
#include "call_codec.hpp"
#include "correlation_codec.hpp"
#include "event_codec.hpp"
#include "fields.hpp"
#include "group_codec.hpp"
#include "job_codec.hpp"
#include "limit_codec.hpp"
#include "lock_codec.hpp"
#include "session_codec.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/cache_refusals.hpp>
#include <millrace/engine/group_rules.hpp>
#include <millrace/engine/lock_rules.hpp>
#include <millrace/engine/retry.hpp>
#include <millrace/engine/session_rules.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace millrace::engine_redis {

using namespace std::chrono_literals;

error bad_answer() {
  return {errc::corrupted, "bad_redis_answer",
          "Redis answered something that is no answer of millrace's script.", "", std::nullopt};
}

namespace {

struct refusal_word {
  std::string_view code;
  errc kind;
  std::string_view detail;
  std::string_view field;
  std::chrono::milliseconds retry_after;
};

constexpr std::array refusal_words{
    refusal_word{"too_many_queues", errc::exhausted, "The store holds as many queues as it can.",
                 "queue", 0ms},
    refusal_word{"queue_draining", errc::conflict,
                 "The queue is being drained and takes no new jobs.", "", 0ms},
    refusal_word{"queue_full", errc::exhausted, "As many jobs wait in the queue as it may hold.",
                 "", 1s},
    refusal_word{"queue_not_found", errc::not_found, "There is no such queue.", "", 0ms},
    refusal_word{"job_not_found", errc::not_found, "There is no such job (any more).", "", 0ms},
    refusal_word{"job_ended", errc::conflict, "The job has ended already.", "", 0ms},
    refusal_word{"job_running", errc::conflict, "The job runs: cancel it first.", "", 0ms},
    refusal_word{"job_not_dead", errc::conflict, "Only a dead job can be requeued.", "", 0ms},
    refusal_word{"stale_token", errc::conflict, "The token is not that of the job's current lease.",
                 "", 0ms},
    refusal_word{"duplicate_target", errc::invalid_argument,
                 "Two steps of the transaction address the same job.", "", 0ms},
    refusal_word{"too_many_crons", errc::exhausted,
                 "The store holds as many recurring jobs as it can.", "", 0ms},
    refusal_word{"cron_not_found", errc::not_found, "There is no recurring job of this name.", "",
                 0ms},
    refusal_word{"cron_moved", errc::conflict,
                 "The slot was fired or the recurring job changed meanwhile.", "", 0ms},
    refusal_word{"limit_period_moved", errc::conflict,
                 "The store's clock is outside the period of the budget: compute it anew.", "",
                 0ms},
    refusal_word{"lock_lost", errc::conflict,
                 "The lock is not held by this token: it has ended, or was never granted.", "",
                 0ms},
    refusal_word{"too_many_locks", errc::exhausted, "As many locks are held as the store can take.",
                 "", 1s},
    refusal_word{"progress_not_found", errc::not_found,
                 "There is no such progress (any more): start it with total_steps.", "", 0ms},
    refusal_word{"progress_ended", errc::conflict,
                 "The progress has ended: give total_steps to start it again.", "", 0ms},
    refusal_word{"step_beyond_total", errc::invalid_argument,
                 "step is beyond the total of the progress.", "step", 0ms},
    refusal_word{"connection_not_found", errc::not_found, "There is no such connection (any more).",
                 "", 0ms},
    refusal_word{"too_many_records", errc::exhausted, "The store keeps as many of these as it can.",
                 "", 1s},
    refusal_word{"too_many_agents", errc::exhausted, "The flow has as many agents as one can have.",
                 "", 1s},
    refusal_word{"too_many_streams", errc::exhausted, "The store holds as many streams as it can.",
                 "", 1s},
    refusal_word{"too_many_event_ids", errc::exhausted,
                 "The store remembers as many ids of events as it can: publish without id.", "",
                 1s},
    refusal_word{"idempotency_mismatch", errc::invalid_argument,
                 "The idempotency key was used with another request.", "", 0ms},
    refusal_word{"bad_cursor", errc::malformed, "The cursor is not one of this listing.", "cursor",
                 0ms},
    refusal_word{"idempotency_store_full", errc::unavailable,
                 "The store keeps as many idempotency keys as it can.", "", 1min},
    refusal_word{"permit_lost", errc::conflict,
                 "The permit is not held: it has ended, was released, or was never given.", "",
                 0ms},
    refusal_word{"limit_reached", errc::exhausted, "A limit is reached: nothing was done.", "",
                 0ms},
    refusal_word{"limit_blocked", errc::exhausted,
                 "Whose limits these are is blocked: nothing was done.", "", 0ms},
};

}  // namespace

error refused_as(std::string_view code) {
  for (const refusal_word& each : refusal_words) {
    if (each.code != code) continue;
    error why{each.kind, each.code, std::string(each.detail), std::string(each.field),
              std::nullopt};
    if (each.retry_after > 0ms) why.retry_after = each.retry_after;
    return why;
  }
  if (auto why = engine::session_refusal(code)) return std::move(*why);
  for (const error& each :
       {engine::too_many_waiters(), engine::stale_fence(), engine::too_many_groups(),
        engine::group_not_found(), engine::delivery_lost()}) {
    if (each.code == code) return each;
  }
  for (const error& each : {engine::stale_lease(), engine::version_mismatch(),
                            engine::over_cache_quota(), engine::too_many_claims()}) {
    if (each.code == code) return each;
  }
  return bad_answer();
}

namespace {

engine::cron_entry unpack_cron(std::string name, std::string_view packed, bool& failed) {
  unpacker in(packed);
  engine::cron_entry entry{.name = std::move(name)};
  entry.next_at = maybe_time(in);
  entry.last_fired_at = maybe_time(in);
  if (in.nil()) {
    if (!in.nil()) in.fail();
  } else {
    entry.last_job.emplace().tag = in.text();
    entry.last_job->stamp = static_cast<std::uint64_t>(in.integer());
  }
  entry.fired = static_cast<std::uint64_t>(in.integer());
  entry.skipped = static_cast<std::uint64_t>(in.integer());
  entry.version = static_cast<std::uint64_t>(in.integer());
  entry.paused = in.boolean();
  entry.overlap = static_cast<engine::cron_overlap>(in.integer());
  entry.project = in.text();
  entry.queue = in.text();
  static_cast<void>(in.text());
  left_to_queue left;
  unpacker job(in.text());
  entry.job = unpack_spec(job, left);
  entry.default_attempts = left.attempts;
  entry.default_backoff = left.backoff;
  entry.default_level = left.level;
  unpacker rest(in.text());
  entry.schedule = rest.text();
  entry.time_zone = rest.text();
  entry.catch_up = static_cast<engine::cron_catch_up>(rest.integer());
  failed = in.failed() || job.failed() || rest.failed();
  return entry;
}

/// The job that an enqueue has made: what it asked for, and what became of it.
engine::job_enqueued made_job(const engine::enqueue_job& step, unpacker& in) {
  engine::job_enqueued out;
  engine::job& made = out.made;
  made.spec = step.spec;
  made.spec.delay = duration{0};
  made.spec.run_at.reset();
  made.queue = step.queue;
  made.id = {.tag = std::string(routing_tag(step.queue.name)),
             .stamp = static_cast<std::uint64_t>(in.integer())};
  made.status = static_cast<engine::job_status>(in.integer());
  made.created_at = unpack_time(in);
  made.run_at = unpack_time(in);
  made.version = static_cast<std::uint64_t>(in.integer());
  made.level = static_cast<engine::durability>(in.integer());
  made.spec.max_attempts = static_cast<std::uint32_t>(in.integer());
  made.spec.backoff = {};
  unpack_backoff(in.text_or_empty(), made.spec.backoff);
  return out;
}

engine::jobs_leased unpack_leased(unpacker& in) {
  engine::jobs_leased out;
  out.next_at = maybe_time(in);
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::leased_job& leased = out.jobs.emplace_back();
    leased.token = static_cast<std::uint64_t>(in.integer());
    leased.leased_until = unpack_time(in);
    begun_run run{.token = leased.token, .leased_until = leased.leased_until};
    const std::optional<timestamp> started = maybe_time(in);
    run.attempts = static_cast<std::uint32_t>(in.integer_or(0));
    run.worker = in.text_or_empty();
    leased.what = unpack_job(in);
    // A lease that is told again tells of the job as it is by now.
    if (!started) continue;
    run.started_at = *started;
    note_run(run, leased.what);
  }
  return out;
}

engine::job_changed unpack_changed(unpacker& in) {
  engine::job_changed out;
  out.id.tag = in.text();
  out.id.stamp = static_cast<std::uint64_t>(in.integer());
  out.status = static_cast<engine::job_status>(in.integer());
  out.attempts = static_cast<std::uint32_t>(in.integer());
  out.run_at = unpack_time(in);
  out.cancel_requested = in.boolean();
  return out;
}

engine::cron_entry unpack_named_cron(unpacker& in) {
  std::string name(in.text());
  bool failed = false;
  engine::cron_entry entry = unpack_cron(std::move(name), in.text(), failed);
  if (failed) in.fail();
  return entry;
}

engine::cron_fired unpack_fired(unpacker& in) {
  engine::cron_fired out;
  if (in.nil()) {
    if (!in.nil()) in.fail();
  } else {
    out.made.emplace().tag = in.text();
    out.made->stamp = static_cast<std::uint64_t>(in.integer());
  }
  out.entry = unpack_named_cron(in);
  return out;
}

// `asked`: the enqueue it may be of.
engine::outcome unpack_outcome(const engine::enqueue_job* asked, unpacker& in) {
  const std::string_view kind = in.text();
  if (kind == "e" && asked != nullptr) return made_job(*asked, in);
  if (kind == "E") {
    engine::job_enqueued out{.duplicate = in.boolean(), .replaced = in.boolean()};
    out.made = unpack_job(in);
    return out;
  }
  if (kind == "l") return unpack_leased(in);
  if (kind == "c") return unpack_changed(in);
  if (kind == "x") {
    engine::lease_extended out{.leased_until = unpack_time(in)};
    out.cancel_requested = in.boolean();
    return out;
  }
  if (kind == "p") return engine::jobs_purged{.count = static_cast<std::uint64_t>(in.integer())};
  if (kind == "f") return unpack_fired(in);
  if (auto cached = unpack_cache_outcome(kind, in)) return std::move(*cached);
  if (kind == "m") return unpack_limits(in);
  if (std::optional<engine::outcome> other = unpack_event_outcome(kind, in)) {
    return std::move(*other);
  }
  if (auto session = unpack_session_outcome(kind, in)) return std::move(*session);
  if (auto lock = unpack_lock_outcome(kind, in)) return std::move(*lock);
  if (auto group = unpack_group_outcome(kind, in)) return std::move(*group);
  if (kind != "q") in.fail();
  return engine::queue_configured{};
}

engine::queue_info unpack_info(unpacker& in) {
  engine::queue_info out;
  out.queue.project = in.text();
  out.queue.name = in.text();
  bool failed = false;
  if (!in.nil()) out.settings = settings_from_json(in.text(), failed);
  if (!in.nil()) engine::follow_defaults(out.settings, settings_from_json(in.text(), failed));
  if (failed) in.fail();
  out.paused = in.boolean();
  out.draining = in.boolean();
  for (std::uint64_t* count : {&out.waiting, &out.scheduled, &out.running, &out.retrying,
                               &out.completed, &out.dead, &out.cancelled}) {
    *count = static_cast<std::uint64_t>(in.integer());
  }
  out.oldest_available_at = maybe_time(in);
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::minute_count& one = out.minutes.emplace_back();
    one.minute = timestamp{std::chrono::minutes{in.integer()}};
    for (std::uint64_t* count : {&one.enqueued, &one.completed, &one.failed, &one.dead}) {
      *count = static_cast<std::uint64_t>(in.integer());
    }
  }
  return out;
}

engine::dead_stats unpack_stats(const std::string& project, unpacker& in) {
  engine::dead_stats out;
  out.queue = {.project = project, .name = std::string(in.text())};
  out.count = static_cast<std::uint64_t>(in.integer());
  out.retrying = static_cast<std::uint64_t>(in.integer());
  const auto completed = static_cast<double>(in.integer());
  const auto failed = static_cast<double>(in.integer());
  if (completed + failed > 0) out.failure_rate = failed / (completed + failed);
  out.oldest_failed_at = maybe_time(in);
  const auto attempts = static_cast<std::uint64_t>(in.integer());
  if (out.count > 0) {
    out.average_retries =
        static_cast<double>(attempts - out.count) / static_cast<double>(out.count);
  }
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::error_count& one = out.top_errors.emplace_back();
    one.fingerprint = in.text();
    one.sample = in.text();
    one.count = static_cast<std::uint64_t>(in.integer());
  }
  return out;
}

/// Reads the answer of each query.
struct answer_decoder {
  unpacker& in;

  static std::string name_cursor(unpacker& from) {
    return from.nil() ? std::string() : "@" + std::string(from.text());
  }
  std::optional<engine::job> maybe_job() {
    if (in.nil()) return std::nullopt;
    return unpack_job(in);
  }

  engine::answer operator()(const engine::find_job&) { return maybe_job(); }
  engine::answer operator()(const engine::read_job_log&) {
    std::vector<engine::job_log_line> out;
    for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
      engine::job_log_line& line = out.emplace_back();
      line.stamp = static_cast<std::uint64_t>(in.integer());
      line.at = unpack_time(in);
      line.text = in.text();
    }
    return out;
  }
  engine::answer operator()(const engine::list_jobs&) {
    engine::page<engine::job> out;
    std::int64_t left = in.integer();
    const std::optional<std::int64_t> order = in.maybe_integer();
    const std::optional<std::int64_t> id = in.maybe_integer();
    if (order && id) out.cursor = std::to_string(*order) + "." + std::to_string(*id);
    for (; left > 0 && !in.failed(); --left) out.items.push_back(unpack_job(in));
    return out;
  }
  engine::answer operator()(const engine::dead_at&) { return maybe_job(); }
  engine::answer operator()(const engine::find_queue&) {
    if (!in.boolean()) return std::optional<engine::queue_info>();
    return std::optional(unpack_info(in));
  }
  engine::answer operator()(const engine::list_queues&) {
    engine::page<engine::queue_info> out;
    std::int64_t left = in.integer();
    out.cursor = name_cursor(in);
    for (; left > 0 && !in.failed(); --left) out.items.push_back(unpack_info(in));
    return out;
  }
  engine::answer operator()(const engine::read_dead_stats& what) {
    std::vector<engine::dead_stats> out;
    for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
      out.push_back(unpack_stats(what.project, in));
    }
    return out;
  }
  engine::answer operator()(const engine::find_cron&) {
    if (in.nil()) return std::optional<engine::cron_entry>();
    return std::optional(unpack_named_cron(in));
  }
  engine::answer operator()(const engine::list_crons&) {
    engine::page<engine::cron_entry> out;
    std::int64_t left = in.integer();
    out.cursor = name_cursor(in);
    for (; left > 0 && !in.failed(); --left) out.items.push_back(unpack_named_cron(in));
    return out;
  }
  engine::answer operator()(const engine::due_crons&) {
    engine::due_crons::due out;
    std::int64_t left = in.integer();
    out.next_at = maybe_time(in);
    for (; left > 0 && !in.failed(); --left) out.entries.push_back(unpack_named_cron(in));
    return out;
  }
  // Read by a script of its own.
  engine::answer operator()(const engine::read_cache&) {
    in.fail();
    return engine::read_cache::found{};
  }
  engine::answer operator()(const engine::list_cache&) { return unpack_cache_rows(in); }
  engine::answer operator()(const engine::read_cache_stats&) { return unpack_cache_numbers(in); }
  engine::answer operator()(const engine::read_clock&) { return unpack_time(in); }
  engine::answer operator()(const engine::probe_store&) {
    if (!in.boolean()) in.fail();
    return engine::probe_store::report{};
  }
  template <class Query>
    requires requires(const Query& what, unpacker& from) { unpack_answer(what, from); }
  engine::answer operator()(const Query& what) {
    return unpack_answer(what, in);
  }
};

}  // namespace

engine::commit_result decode_commit(const engine::transaction& asked, std::string_view answered,
                                    engine::durability strongest) {
  unpacker in(answered);
  const std::string_view sign = in.text();
  if (sign == "!") {
    error why = refused_as(in.text());
    return std::unexpected(engine::refusal{std::move(why), static_cast<std::size_t>(in.integer())});
  }
  engine::committed done{.level = std::min(asked.level, strongest)};
  done.replayed = in.boolean();
  // What a repeated key answers is not of these steps.
  const auto count = static_cast<std::size_t>(in.integer());
  if (sign != "+" || (!done.replayed && count != asked.steps.size())) in.fail();
  for (std::size_t i = 0; i < count && !in.failed(); ++i) {
    const auto* const enqueue =
        done.replayed ? nullptr : std::get_if<engine::enqueue_job>(&asked.steps[i]);
    done.outcomes.push_back(unpack_outcome(enqueue, in));
    const auto* const made = std::get_if<engine::job_enqueued>(&done.outcomes.back());
    if (made == nullptr || done.replayed) continue;
    // Of one that has made nothing, what it asked for itself.
    const bool is_new = !made->duplicate && !made->replaced;
    if (is_new) done.level = std::max(done.level, made->made.level);
    if (!is_new && enqueue != nullptr && !enqueue->default_level) {
      done.level = std::max(done.level, std::min(enqueue->level, strongest));
    }
  }
  if (in.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
  return done;
}

result<engine::answer> decode_answer(const engine::query& asked, std::string_view answered) {
  unpacker in(answered);
  engine::answer out = std::visit(answer_decoder{in}, asked);
  if (in.failed()) return std::unexpected(bad_answer());
  return out;
}

bool decode_report(std::string_view& report, call_report& out) {
  fields in(report);
  out.now = from_micros(in.distance());
  const std::int64_t next = in.distance();
  if (next != nothing) out.next_at = from_micros(next);
  report = in.rest();
  return !in.failed();
}

bool decode_hints(unpacker& in, call_hints& hints) {
  hints.crons = in.boolean();
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    available_hint& one = hints.available.emplace_back();
    one.queue.project = in.text();
    one.queue.name = in.text();
    one.jobs = static_cast<std::size_t>(in.integer());
  }
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::job_id& id = hints.jobs.emplace_back();
    id.tag = in.text();
    id.stamp = static_cast<std::uint64_t>(in.integer());
  }
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::cache_key& at = hints.cache.emplace_back();
    at.project = in.text();
    at.key = in.text();
  }
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    const std::int64_t kind = in.integer();
    if (kind < 0 || kind >= static_cast<std::int64_t>(engine::topic::kinds)) in.fail();
    if (in.failed()) break;
    const auto what = static_cast<engine::topic::kind>(kind);
    const std::string_view project = in.text();
    hints.topics.push_back(engine::keyed_topic(what, project, in.text()));
  }
  return !in.failed();
}

}  // namespace millrace::engine_redis
