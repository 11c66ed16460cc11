#include "group_writer.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/fingerprint.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/engine/retry.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

namespace {

constexpr std::string_view lease_over = "The lease ended before the worker had answered.";

}  // namespace

group_writer::refused group_writer::check_run(const engine::job_id& id, std::uint64_t token) {
  if (find(id) == no_slot) {
    if (!load(id)) return job_not_found();
  } else if (const lease* held = leases_.find(id.stamp); held != nullptr && held->token == token) {
    return std::nullopt;
  }
  return conflict("stale_token", "The token is not that of the job's current lease.");
}

group_writer::refused group_writer::check(const engine::ack_job& step, plan&) {
  return check_run(step.id, step.token);
}
group_writer::refused group_writer::check(const engine::fail_job& step, plan&) {
  return check_run(step.id, step.token);
}
group_writer::refused group_writer::check(const engine::extend_lease& step, plan&) {
  return check_run(step.id, step.token);
}
group_writer::refused group_writer::check(const engine::snooze_job& step, plan&) {
  return check_run(step.id, step.token);
}
group_writer::refused group_writer::check(const engine::report_progress& step, plan&) {
  return check_run(step.id, step.token);
}

// ---- the end of a run

void group_writer::hint_permit(queue_state& queue) {
  // The permit that is free again may let another job of the queue start.
  const engine::queue_settings& settings = queue.settings;
  const bool bounded = settings.concurrency != 0 || settings.group_concurrency != 0;
  if (bounded && queue.in(job_status::queued) > 0) hint_available(queue);
}

void group_writer::release(job_slot slot, stored_job& into) {
  const live_job& job = memory_->jobs[slot];
  const lease* held = leases_.find(job.id);
  MILLRACE_ASSERT(held != nullptr);
  into.what.attempts = job.attempts;
  into.what.token = held->token;
  into.what.started_at = held->started_at;
  leases_.end(job.id);
  memory_->displace(slot);
  hint_permit(memory_->queue_of(job));
}

void group_writer::rest(job_slot slot, stored_job& stored, job_status status, timestamp at) {
  live_job& job = memory_->jobs[slot];
  engine::job& what = stored.what;
  what.version = job.version = stamps_.next(now_);
  what.run_at = at;
  stored.ready.reset();
  if (at > now_) {
    what.status = status;
    memory_->place_waiting(slot, status, at);
  } else {
    what.status = job_status::queued;
    // What a step makes available comes after all that was due at this moment; what was due stands
    // where its moment and id put it.
    if (!applying_due_) stored.ready = job.version;
    memory_->place_queued(slot, at);
    hint_available(memory_->queue_of(job));
  }
  to_write().write_state(stored);
  job.has_state = true;
  hint_changed(job);
}

void group_writer::end_job(job_slot slot, stored_job& stored, job_status status, timestamp at) {
  live_job& job = memory_->jobs[slot];
  queue_state& queue = memory_->queue_of(job);
  engine::job& what = stored.what;
  what.status = status;
  what.finished_at = at;
  what.version = job.version = stamps_.next(now_);
  what.run_at = from_micros(job.run_at);
  what.spec.priority = job.priority;
  what.cancel_requested = job.cancel_requested;
  stored.ready.reset();
  ++ended_;
  ++ended_unswept_;
  if (status == job_status::dead) stored.fingerprint = engine::error_fingerprint(what.error);
  to_write().write_state(stored);
  hint_changed(job);

  const ended_list::entry entry(at, job.id, status);
  memory_->drop_job(slot);
  if (status == job_status::dead) {
    memory_->add_dead(queue, entry, what.attempts, stored.fingerprint, what.error);
  } else {
    memory_->add_finished(queue, entry);
  }
}

engine::outcome group_writer::apply(engine::ack_job& step, const plan&) {
  const job_slot slot = find(step.id);
  live_job& job = memory_->jobs[slot];
  queue_state& queue = memory_->queue_of(job);
  engine::job_changed out = changed(slot);
  out.status = job_status::completed;
  if (step.result.empty()) step.result = "null";
  count(queue, now_, &engine::minute_count::completed);
  if (job.has_state) {
    std::optional<stored_job> stored = load(step.id);
    if (!stored) return out;
    stored->what.result = std::move(step.result);
    release(slot, *stored);
    end_job(slot, *stored, job_status::completed, now_);
    return out;
  }
  const lease& held = *leases_.find(job.id);
  to_write().insert_completed(job.id, job.attempts, held.token, stamps_.next(now_), held.started_at,
                              now_, step.result);
  leases_.end(job.id);
  ++ended_;
  ++ended_unswept_;
  memory_->displace(slot);
  hint_permit(queue);
  hint_changed(job);
  memory_->drop_job(slot);
  memory_->add_finished(queue, {now_, step.id.stamp, job_status::completed});
  return out;
}

void group_writer::end_failed_run(job_slot slot, stored_job& stored, timestamp at,
                                  std::string_view why, const engine::next_run& next) {
  live_job& job = memory_->jobs[slot];
  queue_state& queue = memory_->queue_of(job);
  engine::job& what = stored.what;
  release(slot, stored);
  what.error = cut_utf8(why, engine::error_bytes_max);
  what.error_code = next.error_code;
  what.failed_at = at;
  if (!what.first_failed_at) what.first_failed_at = at;
  what.spec.priority = job.priority = next.priority;
  count(queue, at, &engine::minute_count::failed);
  if (next.status == job_status::dead) count(queue, at, &engine::minute_count::dead);
  if (engine::is_final(next.status)) {
    end_job(slot, stored, next.status, at);
  } else {
    rest(slot, stored, next.status, next.run_at);
  }
}

engine::outcome group_writer::apply(engine::fail_job& step, const plan&) {
  const job_slot slot = find(step.id);
  const live_job& job = memory_->jobs[slot];
  engine::job_changed out = changed(slot);
  std::optional<stored_job> stored = load(step.id);
  if (!stored) return out;
  const engine::ended_run run{.stamp = job.id,
                              .attempts = job.attempts,
                              .cancel_requested = job.cancel_requested,
                              .now = now_};
  const engine::next_run next =
      engine::after_failure(stored->what.spec, memory_->queue_of(job).settings, run,
                            {.permanent = step.permanent, .retry_in = step.retry_in});
  end_failed_run(slot, *stored, now_, step.error, next);
  out.status = stored->what.status;
  out.run_at = stored->what.run_at;
  return out;
}

void group_writer::expire(std::uint64_t id, timestamp at) {
  const job_slot slot = memory_->jobs.find(id);
  MILLRACE_ASSERT(slot != no_slot);
  const live_job& job = memory_->jobs[slot];
  std::optional<stored_job> stored = load(id_of(job));
  if (!stored) return;
  const engine::next_run next = engine::after_expiry(
      stored->what.spec,
      {.stamp = id, .attempts = job.attempts, .cancel_requested = job.cancel_requested, .now = at});
  end_failed_run(slot, *stored, at, lease_over, next);
}

engine::outcome group_writer::apply(engine::snooze_job& step, const plan&) {
  const job_slot slot = find(step.id);
  live_job& job = memory_->jobs[slot];
  engine::job_changed out = changed(slot);
  std::optional<stored_job> stored = load(step.id);
  if (!stored) return out;
  --job.attempts;
  release(slot, *stored);
  if (job.cancel_requested) {
    end_job(slot, *stored, job_status::cancelled, now_);
  } else {
    rest(slot, *stored, job_status::scheduled, now_ + step.delay);
  }
  out.status = stored->what.status;
  out.attempts = stored->what.attempts;
  out.run_at = stored->what.run_at;
  return out;
}

// ---- while it runs

engine::outcome group_writer::apply(engine::extend_lease& step, const plan&) {
  live_job& job = memory_->jobs[find(step.id)];
  const lease& held = *leases_.find(job.id);
  const timestamp until = held.end_of(now_, step.lease == duration{0} ? held.length : step.lease);
  leases_.extend(job.id, until);
  job.version = stamps_.next(now_);
  hint_changed(job);
  const engine::lease_extended out{.leased_until = until, .cancel_requested = job.cancel_requested};
  if (!step.checkpoint || step.checkpoint->empty()) return out;
  // The row stays that of the job at rest, as it was before this run: a power loss forgets the run.
  if (std::optional<stored_job> stored = load(step.id)) {
    stored->what.checkpoint = std::move(*step.checkpoint);
    stored->what.version = job.version;
    to_write().write_state(*stored);
    job.has_state = true;
  }
  return out;
}

engine::outcome group_writer::apply(engine::report_progress& step, const plan&) {
  const job_slot slot = find(step.id);
  live_job& job = memory_->jobs[slot];
  engine::job_changed out = changed(slot);
  std::optional<stored_job> stored = load(step.id);
  if (!stored) return out;
  engine::job& what = stored->what;
  if (step.value || step.message) {
    engine::job_progress now = what.progress.value_or(engine::job_progress{});
    now.value = step.value.value_or(now.value);
    if (step.message) now.message = std::move(*step.message);
    now.updated_at = now_;
    what.progress = std::move(now);
  }
  for (const std::string& line : step.log) {
    to_write().add_log(job.id, {.stamp = stamps_.next(now_),
                                .at = now_,
                                .text = std::string(cut_utf8(line, engine::log_line_bytes_max))});
    ++stored->log_lines;
    job.has_log = true;
    memory_->any_log = true;
  }
  if (stored->log_lines > engine::log_lines_max) {
    const auto excess = stored->log_lines - static_cast<std::uint32_t>(engine::log_lines_max);
    to_write().trim_log(job.id, excess);
    stored->log_lines -= excess;
  }
  what.version = job.version = stamps_.next(now_);
  to_write().write_state(*stored);
  job.has_state = true;
  hint_changed(job);
  return out;
}

}  // namespace millrace::embedded
