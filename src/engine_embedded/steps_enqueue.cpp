#include "group_writer.hpp"

#include <millrace/engine/retry.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

group_writer::refused group_writer::check(const engine::enqueue_job& step, plan& with) {
  if (refused why = refuse_new_queue(step.queue, with)) return why;
  const queue_state* queue = memory_->find_queue(step.queue);
  const std::uint64_t holder = queue != nullptr && step.spec.unique
                                   ? memory_->uniques.holder(queue->index, step.spec.unique->key)
                                   : 0;
  if (holder != 0) {
    const live_job& held_by = memory_->jobs[memory_->jobs.find(holder)];
    const bool makes = step.spec.unique->mode != engine::unique_mode::reject &&
                       held_by.status == job_status::running;
    if (!makes) return queue->draining ? refuse_job(queue, 0) : std::nullopt;
  }
  return refuse_job(queue, with.alone ? 1 : ++with.jobs_added[step.queue]);
}

engine::outcome group_writer::apply(engine::enqueue_job& step, const plan&) {
  queue_state& queue = *open_queue(step.queue);
  apply_defaults(step, queue);
  return enqueue(queue, std::move(step.spec), step.level);
}

engine::job_enqueued group_writer::enqueue(queue_state& queue, engine::job_spec spec,
                                           engine::durability level) {
  const std::uint64_t id = spec.unique ? memory_->uniques.holder(queue.index, spec.unique->key) : 0;
  if (id == 0) return make_job(queue, std::move(spec), level);
  const job_slot slot = memory_->jobs.find(id);
  const engine::unique_mode mode = spec.unique->mode;
  if (mode != engine::unique_mode::reject && memory_->jobs[slot].status == job_status::running) {
    // It has taken its data already: the key goes to the job with the newer data.
    live_job& holder = memory_->jobs[slot];
    to_write().drop_unique(id);
    memory_->uniques.release(id);
    holder.has_unique = false;
    holder.version = stamps_.next(now_);
    hint_changed(holder);
    return make_job(queue, std::move(spec), level);
  }
  std::optional<stored_job> holder = load(id_of(memory_->jobs[slot]));
  if (!holder) return {};
  if (mode == engine::unique_mode::reject) {
    return {.made = view(std::move(*holder)), .duplicate = true};
  }
  renew(slot, *holder, std::move(spec), mode);
  return {.made = view(std::move(*holder)), .replaced = true};
}

engine::job_enqueued group_writer::make_job(queue_state& queue, engine::job_spec spec,
                                            engine::durability level) {
  engine::job_enqueued out;
  engine::job& made = out.made;
  made.id = {.tag = queue.tag, .stamp = stamps_.next(now_)};
  made.version = made.id.stamp;
  made.queue = queue.key;
  made.created_at = now_;
  made.level = level;
  made.run_at = std::max(now_, spec.run_at.value_or(now_ + spec.delay));
  spec.run_at.reset();
  spec.delay = duration{0};
  made.spec = std::move(spec);
  to_write().insert(made, queue.row);
  note_carried(queue.key.project, made.spec.correlation_id, {.stamp = made.id.stamp});

  const job_slot slot = memory_->add_job(made.id.stamp, queue, made.spec.group);
  live_job& job = memory_->jobs[slot];
  job.max_attempts = static_cast<std::uint16_t>(made.spec.max_attempts);
  job.priority = made.spec.priority;
  job.version = made.version;
  if (made.spec.unique) {
    job.has_unique = memory_->uniques.take(queue.index, made.spec.unique->key, job.id);
  }
  if (made.run_at <= now_) {
    memory_->place_queued(slot, now_);
    hint_available(queue);
    hot_.put(job.id, made);
  } else {
    memory_->place_waiting(slot, job_status::scheduled, made.run_at);
  }
  made.status = job.status;
  count(queue, now_, &engine::minute_count::enqueued);
  hint_changed(job);
  return out;
}

void group_writer::renew(job_slot slot, stored_job& holder, engine::job_spec spec,
                         engine::unique_mode mode) {
  live_job& job = memory_->jobs[slot];
  engine::job& what = holder.what;
  const timestamp counted_from = mode == engine::unique_mode::replace ? what.created_at : now_;
  const timestamp due = std::max(now_, spec.run_at.value_or(counted_from + spec.delay));
  what.spec.type = std::move(spec.type);
  what.spec.data = std::move(spec.data);
  what.spec.labels = std::move(spec.labels);
  what.spec.priority = spec.priority;
  what.attempts = job.attempts;
  to_write().renew(what);
  static_cast<void>(hot_.take(job.id));

  const bool stays = job.status == job_status::queued && due <= now_;
  if (!stays) {
    memory_->displace(slot);
    job.priority = spec.priority;
    rest(slot, holder, job_status::scheduled, due);
    return;
  }
  if (job.priority != spec.priority) {
    job.priority = spec.priority;
    memory_->queue_of(job).ready.move(memory_->jobs, slot);
  }
  what.version = job.version = stamps_.next(now_);
  to_write().write_state(holder);
  job.has_state = true;
  hint_changed(job);
}

}  // namespace millrace::embedded
