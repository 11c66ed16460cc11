#include "model_state.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>

#include <algorithm>

namespace millrace::model {

using engine::job_status;

namespace {

error queue_draining() {
  return conflict("queue_draining", "The queue is being drained and takes no new jobs.");
}

}  // namespace

error job_not_found() {
  return {errc::not_found, "job_not_found", "There is no such job (any more).", "", std::nullopt};
}

error conflict(std::string_view code, std::string detail) {
  return {errc::conflict, code, std::move(detail), "", std::nullopt};
}

model_state::refused model_state::refuse_job(const queue_record* queue, std::uint64_t added) const {
  const std::uint64_t most = (queue == nullptr ? limits_.defaults : queue->settings).depth_max;
  const std::uint64_t waiting = queue == nullptr ? 0 : queue->waiting();
  if (queue != nullptr && queue->draining) return queue_draining();
  if (most == 0 || waiting + added <= most) return std::nullopt;
  return error{errc::exhausted, "queue_full", "As many jobs wait in the queue as it may hold.", "",
               std::chrono::seconds{1}};
}

// ---- enqueue

void model_state::apply_defaults(engine::enqueue_job& step, const queue_record& queue) const {
  engine::apply_queue_defaults(step, limits_.defaults);
  engine::apply_queue_defaults(step, queue.settings);
}

model_state::refused model_state::check(const engine::enqueue_job& step, plan& with) const {
  if (refused why = refuse_new_queue(step.queue, with)) return why;
  const job_record* holder = unique_holder(step.queue, step.spec);
  const bool makes = holder == nullptr || (step.spec.unique->mode != engine::unique_mode::reject &&
                                           holder->what.status == job_status::running);
  const queue_record* queue = find(step.queue);
  if (makes) return refuse_job(queue, ++with.jobs_added[step.queue]);
  return queue->draining ? refused(queue_draining()) : std::nullopt;
}

engine::outcome model_state::apply(const engine::enqueue_job& step, const plan&) {
  engine::enqueue_job full = step;
  apply_defaults(full, *open_queue(step.queue));
  return enqueue(full.queue, std::move(full.spec), full.level);
}

engine::job_enqueued model_state::enqueue(const engine::queue_key& queue, engine::job_spec spec,
                                          engine::durability level) {
  const job_record* held_by = unique_holder(queue, spec);
  if (held_by == nullptr) return make_job(queue, std::move(spec), level);
  job_record& holder = jobs_.at(held_by->what.id.stamp);
  const engine::unique_mode mode = spec.unique->mode;
  if (mode == engine::unique_mode::reject) return {.made = holder.what, .duplicate = true};
  if (is_waiting(holder.what.status)) {
    renew(holder, std::move(spec), mode);
    return {.made = holder.what, .replaced = true};
  }
  // It runs, and has taken its data already: the key goes to the job with the newer data.
  holder.what.spec.unique.reset();
  touch(holder);
  return make_job(queue, std::move(spec), level);
}

engine::job_enqueued model_state::make_job(const engine::queue_key& queue, engine::job_spec spec,
                                           engine::durability level) {
  const stamp id = next_stamp();
  job_record& job = jobs_[id];
  job.what.id = {.tag = std::string(routing_tag(queue.name)), .stamp = id};
  job.what.queue = queue;
  job.what.created_at = now_;
  job.what.level = std::min(level, engine::durability::memory);
  const timestamp due = std::max(now_, spec.run_at.value_or(now_ + spec.delay));
  spec.run_at.reset();
  spec.delay = duration{0};
  job.what.spec = std::move(spec);

  queue_record& record = queue_of(job);
  ++record.count[static_cast<std::size_t>(job.what.status)];
  count(record, now_, &engine::minute_count::enqueued);
  wait_until(job, job_status::scheduled, due);
  touch(job);
  return {.made = job.what};
}

void model_state::renew(job_record& holder, engine::job_spec spec, engine::unique_mode mode) {
  engine::job& job = holder.what;
  const timestamp counted_from = mode == engine::unique_mode::replace ? job.created_at : now_;
  const timestamp due = std::max(now_, spec.run_at.value_or(counted_from + spec.delay));
  job.spec.type = std::move(spec.type);
  job.spec.data = std::move(spec.data);
  job.spec.labels = std::move(spec.labels);
  job.spec.priority = spec.priority;
  // What is available already keeps its place.
  const bool stays = job.status == job_status::queued && due <= now_;
  if (!stays) wait_until(holder, job_status::scheduled, due);
  touch(holder);
}

// ---- cancel, delete, requeue

model_state::refused model_state::check(const engine::cancel_job& step, plan&) const {
  const job_record* job = find(step.id);
  if (job == nullptr) return job_not_found();
  if (is_final(job->what.status)) return conflict("job_ended", "The job has ended already.");
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::cancel_job& step, const plan&) {
  job_record& job = *find(step.id);
  if (job.what.status == job_status::running) {
    job.what.cancel_requested = true;
  } else {
    end_job(job, job_status::cancelled, now_);
  }
  touch(job);
  return changed(job);
}

model_state::refused model_state::check(const engine::delete_job& step, plan&) const {
  const job_record* job = find(step.id);
  if (job == nullptr) return job_not_found();
  if (job->what.status == job_status::running) {
    return conflict("job_running", "The job runs: cancel it first.");
  }
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::delete_job& step, const plan&) {
  const job_record& job = *find(step.id);
  const engine::job_changed last = changed(job);
  forget(job);
  return last;
}

model_state::refused model_state::check(const engine::requeue_dead& step, plan&) const {
  const job_record* job = find(step.id);
  if (job == nullptr) return job_not_found();
  if (job->what.status != job_status::dead) {
    return conflict("job_not_dead", "Only a dead job can be requeued.");
  }
  if (find(job->what.queue)->draining) return queue_draining();
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::requeue_dead& step, const plan&) {
  job_record& job = *find(step.id);
  if (unique_holder(job.what.queue, job.what.spec) != nullptr) job.what.spec.unique.reset();
  job.what.attempts = 0;
  job.what.finished_at.reset();
  make_available(job, now_);
  touch(job);
  return changed(job);
}

// ---- purge, configure

model_state::refused model_state::check(const engine::purge_jobs& step, plan&) const {
  if (find(step.queue) != nullptr) return std::nullopt;
  return error{errc::not_found, "queue_not_found", "There is no such queue.", "", std::nullopt};
}

engine::outcome model_state::apply(const engine::purge_jobs& step, const plan& with) {
  std::vector<listed> old;
  switch (step.target) {
    case engine::purge_target::waiting:
      old = select(
          step.queue, [](const engine::job& job) { return is_waiting(job.status); },
          [](const engine::job&) { return timestamp{}; });
      break;
    case engine::purge_target::dead: old = dead_letters(step.queue); break;
    case engine::purge_target::finished:
      old = select(
          step.queue,
          [](const engine::job& job) {
            return is_final(job.status) && job.status != job_status::dead;
          },
          [](const engine::job& job) { return job.finished_at.value(); });
      break;
  }
  std::erase_if(
      old, [&](const listed& one) { return with.addressed.contains(one.second->what.id.stamp); });
  if (old.size() > step.max) old.resize(step.max);
  for (const auto& [at, job] : old) forget(*job);
  return engine::jobs_purged{.count = old.size()};
}

model_state::refused model_state::check(const engine::configure_queue& step, plan& with) const {
  return refuse_new_queue(step.queue, with);
}

engine::outcome model_state::apply(const engine::configure_queue& step, const plan&) {
  queue_record& queue = *open_queue(step.queue);
  if (step.settings) {
    queue.starts.rebind(step.settings->rate);
    for (auto& [group, starts] : queue.group_starts) starts.rebind(step.settings->group_rate);
    queue.settings = *step.settings;
    engine::follow_defaults(queue.settings, limits_.defaults);
    ended_in_.insert(step.queue);
    happens_at(now_);
  }
  queue.paused = step.paused.value_or(queue.paused);
  queue.draining = step.draining.value_or(queue.draining);
  // A queue that is resumed, or a wider bound, may make all that waits available.
  if (queue.in(job_status::queued) > 0) {
    available_hints_[step.queue] += queue.in(job_status::queued);
  }
  return engine::queue_configured{};
}

}  // namespace millrace::model
