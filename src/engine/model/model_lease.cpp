#include "model_state.hpp"

#include <millrace/base/names.hpp>

#include <algorithm>

namespace millrace::model {

using engine::job_status;

engine::ended_run ended(const job_record& job, timestamp at) {
  return {.stamp = job.what.id.stamp,
          .attempts = job.what.attempts,
          .cancel_requested = job.what.cancel_requested,
          .now = at};
}

// ---- lease

model_state::refused model_state::check(const engine::lease_jobs&, plan&) const {
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::lease_jobs& step, const plan& with) {
  engine::jobs_leased out;
  for (const engine::queue_key& key : step.queues) {
    queue_record* queue = open_queue(key);
    if (queue != nullptr && !queue->paused) lease_from(key, *queue, step, with, out.jobs);
  }
  out.next_at = next_available_at(step);
  return out;
}

void model_state::lease_from(const engine::queue_key& key, queue_record& queue,
                             const engine::lease_jobs& step, const plan& with,
                             std::vector<engine::leased_job>& out) {
  std::vector<job_record*> available;
  for (auto& [id, job] : jobs_) {
    if (job.what.status == job_status::queued && job.what.queue == key &&
        !with.addressed.contains(id)) {
      available.push_back(&job);
    }
  }
  // A heap, since most calls want the first few of many.
  const auto later = [](const job_record* a, const job_record* b) {
    return std::pair(b->what.spec.priority, a->available) >
           std::pair(a->what.spec.priority, b->available);
  };
  std::ranges::make_heap(available, later);
  while (!available.empty() && out.size() < step.max) {
    const std::uint32_t most = queue.settings.concurrency;
    if (most != 0 && queue.in(job_status::running) >= most) return;
    if (!queue.starts.allows(now_)) return;
    std::ranges::pop_heap(available, later);
    job_record& job = *available.back();
    available.pop_back();
    if (group_may_start(queue, job)) out.push_back(start_run(queue, job, step));
  }
}

bool model_state::group_may_start(const queue_record& queue, const job_record& job) const {
  const std::string& group = job.what.spec.group;
  if (group.empty()) return true;
  const auto starts = queue.group_starts.find(group);
  if (starts != queue.group_starts.end() && !starts->second.allows(now_)) return false;
  const std::uint32_t most = queue.settings.group_concurrency;
  const auto runs_in_group = [&](const auto& other) {
    const engine::job& what = other.second.what;
    return what.status == job_status::running && what.queue == job.what.queue &&
           what.spec.group == group;
  };
  return most == 0 || std::ranges::count_if(jobs_, runs_in_group) < most;
}

engine::leased_job model_state::start_run(queue_record& queue, job_record& job,
                                          const engine::lease_jobs& step) {
  queue.starts.record(now_);
  const std::string& group = job.what.spec.group;
  if (!group.empty() && queue.settings.group_rate.limit != 0) {
    queue.group_starts.try_emplace(group, queue.settings.group_rate).first->second.record(now_);
  }
  const engine::job_spec& spec = job.what.spec;
  job.lease_length = engine::lease_default;
  if (spec.lease != duration{0}) job.lease_length = spec.lease;
  if (step.lease != duration{0}) job.lease_length = step.lease;

  set_status(job, job_status::running);
  ++job.what.attempts;
  job.what.started_at = now_;
  job.what.token = next_stamp();
  job.what.worker = step.worker;
  job.what.leased_until = lease_end(job, job.lease_length);
  happens_at(*job.what.leased_until);
  touch(job);
  return {.what = job.what, .token = job.what.token, .leased_until = *job.what.leased_until};
}

timestamp model_state::lease_end(const job_record& job, duration length) const {
  const duration timeout = job.what.spec.timeout;
  if (timeout == duration{0}) return now_ + length;
  return std::min(now_ + length, job.what.started_at.value() + timeout);
}

std::optional<timestamp> model_state::next_available_at(const engine::lease_jobs& step) const {
  timestamp next = timestamp::max();
  const auto asked = [&](const engine::queue_key& key) {
    const queue_record* queue = find(key);
    return queue != nullptr && !queue->paused &&
           std::ranges::find(step.queues, key) != step.queues.end();
  };
  for (const auto& [id, job] : jobs_) {
    if (is_final(job.what.status) || !asked(job.what.queue)) continue;
    if (job.what.status == job_status::running) {
      next = std::min(next, job.what.leased_until.value());
    } else if (job.what.status != job_status::queued) {
      next = std::min(next, job.what.run_at);
    } else {
      const queue_record& queue = *find(job.what.queue);
      if (!queue.starts.allows(now_)) next = std::min(next, queue.starts.next_at(now_));
      const auto starts = queue.group_starts.find(job.what.spec.group);
      if (starts != queue.group_starts.end() && !starts->second.allows(now_)) {
        next = std::min(next, starts->second.next_at(now_));
      }
    }
  }
  return next == timestamp::max() ? std::nullopt : std::optional(next);
}

// ---- the steps of a run

model_state::refused model_state::check_run(const engine::job_id& id, std::uint64_t token) const {
  const job_record* job = find(id);
  if (job == nullptr) return job_not_found();
  if (job->what.status == job_status::running && job->what.token == token) return std::nullopt;
  return conflict("stale_token", "The token is not that of the job's current lease.");
}

model_state::refused model_state::check(const engine::ack_job& step, plan&) const {
  return check_run(step.id, step.token);
}

model_state::refused model_state::check(const engine::fail_job& step, plan&) const {
  return check_run(step.id, step.token);
}

model_state::refused model_state::check(const engine::extend_lease& step, plan&) const {
  return check_run(step.id, step.token);
}

model_state::refused model_state::check(const engine::snooze_job& step, plan&) const {
  return check_run(step.id, step.token);
}

model_state::refused model_state::check(const engine::report_progress& step, plan&) const {
  return check_run(step.id, step.token);
}

void model_state::release(job_record& job) {
  job.what.leased_until.reset();
  job.what.worker.clear();
  // The permit that is free again may let another job of the queue start.
  const queue_record& queue = queue_of(job);
  const bool bounded = queue.settings.concurrency != 0 || queue.settings.group_concurrency != 0;
  if (bounded && queue.in(job_status::queued) > 0) ++available_hints_[job.what.queue];
}

engine::outcome model_state::apply(const engine::ack_job& step, const plan&) {
  job_record& job = *find(step.id);
  release(job);
  job.what.result = step.result.empty() ? "null" : step.result;
  count(queue_of(job), now_, &engine::minute_count::completed);
  end_job(job, job_status::completed, now_);
  touch(job);
  return changed(job);
}

engine::outcome model_state::apply(const engine::fail_job& step, const plan&) {
  job_record& job = *find(step.id);
  const engine::next_run next =
      engine::after_failure(job.what.spec, queue_of(job).settings, ended(job, now_),
                            {.permanent = step.permanent, .retry_in = step.retry_in});
  end_failed_run(job, now_, step.error, next);
  touch(job);
  return changed(job);
}

void model_state::end_failed_run(job_record& job, timestamp at, std::string_view why,
                                 engine::next_run next) {
  engine::job& what = job.what;
  queue_record& queue = queue_of(job);
  release(job);
  what.error = cut_utf8(why, engine::error_bytes_max);
  what.error_code = next.error_code;
  what.failed_at = at;
  if (!what.first_failed_at) what.first_failed_at = at;
  what.spec.priority = next.priority;
  count(queue, at, &engine::minute_count::failed);
  if (next.status == job_status::dead) count(queue, at, &engine::minute_count::dead);
  if (is_final(next.status)) {
    end_job(job, next.status, at);
  } else {
    wait_until(job, next.status, next.run_at);
  }
}

engine::outcome model_state::apply(const engine::extend_lease& step, const plan&) {
  job_record& job = *find(step.id);
  engine::job& what = job.what;
  what.leased_until = lease_end(job, step.lease == duration{0} ? job.lease_length : step.lease);
  happens_at(*what.leased_until);
  if (step.checkpoint && !step.checkpoint->empty()) what.checkpoint = *step.checkpoint;
  touch(job);
  return engine::lease_extended{.leased_until = *what.leased_until,
                                .cancel_requested = what.cancel_requested};
}

engine::outcome model_state::apply(const engine::snooze_job& step, const plan&) {
  job_record& job = *find(step.id);
  release(job);
  --job.what.attempts;
  if (job.what.cancel_requested) {
    end_job(job, job_status::cancelled, now_);
  } else {
    wait_until(job, job_status::scheduled, now_ + step.delay);
  }
  touch(job);
  return changed(job);
}

engine::outcome model_state::apply(const engine::report_progress& step, const plan&) {
  job_record& job = *find(step.id);
  if (step.value || step.message) {
    engine::job_progress now = job.what.progress.value_or(engine::job_progress{});
    now.value = step.value.value_or(now.value);
    if (step.message) now.message = *step.message;
    now.updated_at = now_;
    job.what.progress = std::move(now);
  }
  for (const std::string& line : step.log) {
    job.log.push_back({.stamp = next_stamp(), .at = now_, .text = line});
  }
  if (job.log.size() > engine::log_lines_max) {
    job.log.erase(job.log.begin(), job.log.end() - engine::log_lines_max);
  }
  touch(job);
  return changed(job);
}

}  // namespace millrace::model
