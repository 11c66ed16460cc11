#include "group_writer.hpp"

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

// ---- cancel, delete, requeue

group_writer::refused group_writer::check(const engine::cancel_job& step, plan&) {
  if (find(step.id) != no_slot) return std::nullopt;
  if (!load(step.id)) return job_not_found();
  return conflict("job_ended", "The job has ended already.");
}

engine::outcome group_writer::apply(engine::cancel_job& step, const plan&) {
  const job_slot slot = find(step.id);
  live_job& job = memory_->jobs[slot];
  if (job.status != job_status::running) {
    engine::job_changed out = changed(slot);
    out.status = job_status::cancelled;
    cancel_waiting(slot);
    return out;
  }
  // The row stays that of the job at rest; only the wish is added.
  if (std::optional<stored_job> stored = load(step.id)) {
    job.cancel_requested = true;
    job.has_state = true;
    stored->what.cancel_requested = true;
    stored->what.version = job.version = stamps_.next(now_);
    to_write().write_state(*stored);
    hint_changed(job);
  }
  return changed(slot);
}

void group_writer::cancel_waiting(job_slot slot) {
  const live_job& job = memory_->jobs[slot];
  std::optional<stored_job> stored = load(id_of(job));
  if (!stored) return;
  stored->what.attempts = job.attempts;
  static_cast<void>(hot_.take(job.id));
  memory_->displace(slot);
  end_job(slot, *stored, job_status::cancelled, now_);
}

group_writer::refused group_writer::check(const engine::delete_job& step, plan&) {
  const job_slot slot = find(step.id);
  if (slot == no_slot) return load(step.id) ? std::nullopt : refused(job_not_found());
  if (memory_->jobs[slot].status != job_status::running) return std::nullopt;
  return conflict("job_running", "The job runs: cancel it first.");
}

engine::outcome group_writer::apply(engine::delete_job& step, const plan&) {
  engine::job_changed out{.id = step.id};
  if (const std::optional<engine::job> job = view(step.id)) {
    out.status = job->status;
    out.attempts = job->attempts;
    out.run_at = job->run_at;
    out.cancel_requested = job->cancel_requested;
  }
  forget(step.id.stamp);
  hint_changed(step.id.tag, step.id.stamp);
  return out;
}

void group_writer::forget(std::uint64_t id) {
  static_cast<void>(hot_.take(id));
  correlated_.forget(id);
  const job_slot slot = memory_->jobs.find(id);
  if (slot != no_slot) {
    const bool with_log = memory_->jobs[slot].has_log;
    memory_->displace(slot);
    memory_->drop_job(slot);
    to_write().remove(id, with_log);
    return;
  }
  const std::optional<stored_job> stored = rows_.read(id);
  if (!stored) return;
  const engine::job& what = stored->what;
  to_write().remove(id, stored->log_lines > 0);
  queue_state* queue = memory_->find_queue_row(stored->queue_row);
  if (queue == nullptr || !what.finished_at) return;
  const ended_list::entry entry(*what.finished_at, id, what.status);
  if (what.status == job_status::dead) {
    memory_->remove_dead(*queue, entry, what.attempts, stored->fingerprint);
  } else {
    memory_->remove_finished(*queue, entry);
  }
}

group_writer::refused group_writer::check(const engine::requeue_dead& step, plan&) {
  if (find(step.id) == no_slot) {
    const std::optional<stored_job> stored = load(step.id);
    if (!stored) return job_not_found();
    if (stored->what.status == job_status::dead) {
      const queue_state* queue = memory_->find_queue_row(stored->queue_row);
      return queue->draining ? refuse_job(queue, 0) : std::nullopt;
    }
  }
  return conflict("job_not_dead", "Only a dead job can be requeued.");
}

engine::outcome group_writer::apply(engine::requeue_dead& step, const plan&) {
  std::optional<stored_job> stored = load(step.id);
  if (!stored) return engine::job_changed{.id = step.id};
  engine::job& what = stored->what;
  queue_state& queue = *memory_->find_queue_row(stored->queue_row);
  memory_->remove_dead(queue, {*what.finished_at, step.id.stamp, job_status::dead}, what.attempts,
                       stored->fingerprint);
  what.attempts = 0;
  what.finished_at.reset();

  const job_slot slot = memory_->add_job(step.id.stamp, queue, what.spec.group);
  live_job& job = memory_->jobs[slot];
  job.max_attempts = static_cast<std::uint16_t>(what.spec.max_attempts);
  job.priority = what.spec.priority;
  job.cancel_requested = what.cancel_requested;
  job.has_log = stored->log_lines > 0;
  if (what.spec.unique) {
    job.has_unique = memory_->uniques.take(queue.index, what.spec.unique->key, job.id);
    if (!job.has_unique) to_write().drop_unique(job.id);
  }
  rest(slot, *stored, job_status::queued, now_);
  return changed(slot);
}

// ---- purge

group_writer::refused group_writer::check(const engine::purge_jobs& step, plan&) {
  if (memory_->find_queue(step.queue) != nullptr) return std::nullopt;
  return error{errc::not_found, "queue_not_found", "There is no such queue.", "", std::nullopt};
}

engine::outcome group_writer::apply(engine::purge_jobs& step, const plan& with) {
  queue_state& queue = *memory_->find_queue(step.queue);
  const std::vector<std::uint64_t> targets = purge_targets(queue, step, with);
  for (const std::uint64_t id : targets) {
    hint_changed(queue.tag, id);
    forget(id);
  }
  return engine::jobs_purged{.count = targets.size()};
}

std::vector<std::uint64_t> group_writer::purge_targets(queue_state& queue,
                                                       const engine::purge_jobs& step,
                                                       const plan& with) {
  std::vector<std::uint64_t> out;
  const auto offer = [&](std::uint64_t id) {
    if (out.size() < step.max && !with.addressed.contains(id)) out.push_back(id);
  };
  if (step.target != engine::purge_target::waiting) {
    const bool dead = step.target == engine::purge_target::dead;
    for (const ended_list::entry& each : dead ? queue.dead : queue.finished) {
      if (out.size() >= step.max) break;
      offer(each.id());
    }
    return out;
  }
  const auto still_waits = [&](std::uint64_t id) {
    const job_slot slot = memory_->jobs.find(id);
    return slot != no_slot && is_waiting(memory_->jobs[slot].status);
  };
  // The plan holds the oldest: what is not in it is younger than all of it. A second plan is made
  // when the first did not hold enough.
  for (int plans = 0; plans < 2 && out.size() < step.max; ++plans) {
    if (plans == 1 && queue.waiting() <= queue.purge_plan.size()) break;
    if (plans == 1 || queue.purge_plan.empty()) plan_purge(queue);
    out.clear();
    std::erase_if(queue.purge_plan, [&](std::uint64_t id) { return !still_waits(id); });
    for (const std::uint64_t id : queue.purge_plan) {
      if (out.size() >= step.max) break;
      offer(id);
    }
  }
  return out;
}

void group_writer::plan_purge(queue_state& queue) {
  // Large enough that looking through all jobs is rare, small enough to be forgotten.
  constexpr std::size_t planned_max = 65'536;
  std::vector<std::uint64_t> ids;
  ids.reserve(queue.waiting());
  memory_->jobs.for_each([&](job_slot, const live_job& job) {
    if (job.queue == queue.index && is_waiting(job.status)) ids.push_back(job.id);
  });
  if (ids.size() > planned_max) {
    std::ranges::nth_element(ids, ids.begin() + planned_max);
    ids.resize(planned_max);
  }
  std::ranges::sort(ids);
  queue.purge_plan = std::move(ids);
}

// ---- configure

group_writer::refused group_writer::check(const engine::configure_queue& step, plan& with) {
  return refuse_new_queue(step.queue, with);
}

engine::outcome group_writer::apply(engine::configure_queue& step, const plan&) {
  queue_state& queue = *open_queue(step.queue);
  if (step.settings) memory_->set_settings(queue, std::move(*step.settings));
  queue.paused = step.paused.value_or(queue.paused);
  queue.draining = step.draining.value_or(queue.draining);
  write_queue(queue);
  // A queue that is resumed, or a wider bound, may make all that waits available.
  const std::uint64_t waiting = queue.in(job_status::queued);
  if (waiting > 0) hint_available(queue, waiting);
  return engine::queue_configured{};
}

}  // namespace millrace::embedded
