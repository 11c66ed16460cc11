#include "group_writer.hpp"
#include "spec_json.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/retry.hpp>

#include <utility>

namespace millrace::embedded {

using engine::job_status;

namespace {

error cron_not_found() {
  return {errc::not_found, "cron_not_found", "There is no such recurring job.", "", std::nullopt};
}

}  // namespace

group_writer::refused group_writer::check(const engine::put_cron& step, plan& with) {
  if (memory_->crons.contains({step.entry.project, step.entry.name})) return std::nullopt;
  if (memory_->crons.size() + ++with.crons_added <= engine::crons_max) return std::nullopt;
  return error{errc::exhausted, "too_many_crons",
               "The store holds as many recurring jobs as it can.", "", std::nullopt};
}

engine::outcome group_writer::apply(engine::put_cron& step, const plan&) {
  engine::cron_entry entry = std::move(step.entry);
  const auto at = memory_->crons.find({entry.project, entry.name});
  if (at == memory_->crons.end()) {
    entry.last_fired_at.reset();
    entry.last_job.reset();
    entry.fired = entry.skipped = 0;
  } else {
    const engine::cron_entry& old = at->second;
    entry.last_fired_at = old.last_fired_at;
    entry.last_job = old.last_job;
    entry.fired = old.fired;
    entry.skipped = old.skipped;
  }
  entry.version = stamps_.next(now_);
  write_cron(entry);
  memory_->put_cron(entry);
  crons_changed_ = true;
  return engine::cron_fired{.entry = std::move(entry)};
}

group_writer::refused group_writer::check(const engine::delete_cron& step, plan&) {
  if (memory_->crons.contains({step.project, step.name})) return std::nullopt;
  return cron_not_found();
}

engine::outcome group_writer::apply(engine::delete_cron& step, const plan&) {
  const cron_name name{step.project, step.name};
  engine::cron_fired out{.entry = memory_->crons.at(name)};
  static_cast<void>(to_write());
  delete_cron_.put(name.first).put(name.second).run();
  memory_->drop_cron(name);
  crons_changed_ = true;
  return out;
}

// Whether the queue takes the job is no check: a refusal there only skips the slot.
group_writer::refused group_writer::check(const engine::fire_cron& step, plan&) {
  const auto at = memory_->crons.find({step.project, step.name});
  if (at == memory_->crons.end()) return cron_not_found();
  const engine::cron_entry& entry = at->second;
  if (entry.version != step.version || entry.next_at != step.slot) {
    return conflict("cron_moved", "The recurring job has moved on since it was read.");
  }
  return std::nullopt;
}

engine::outcome group_writer::apply(engine::fire_cron& step, const plan& with) {
  engine::cron_entry entry = memory_->crons.at({step.project, step.name});
  engine::cron_fired out;
  std::optional<engine::job_id> made;
  if (!step.pass_over) made = fire(entry, with.level);
  if (made) {
    ++entry.fired;
    entry.last_fired_at = now_;
    entry.last_job = made;
    out.made = std::move(made);
  } else {
    ++entry.skipped;
  }
  entry.next_at = step.next_at;
  entry.version = stamps_.next(now_);
  write_cron(entry);
  memory_->put_cron(entry);
  crons_changed_ = true;
  out.entry = std::move(entry);
  return out;
}

job_slot group_writer::predecessor(const engine::cron_entry& entry) const {
  if (!entry.last_job || entry.overlap == engine::cron_overlap::allow) return no_slot;
  return find(*entry.last_job);
}

std::optional<engine::job_id> group_writer::fire(const engine::cron_entry& entry,
                                                 engine::durability level) {
  const engine::queue_key key{entry.project, entry.queue};
  if (!may_open(key) || refuse_job(memory_->find_queue(key), 1)) return std::nullopt;
  const job_slot before = predecessor(entry);
  if (before != no_slot && entry.overlap == engine::cron_overlap::skip) return std::nullopt;
  if (before != no_slot && is_waiting(memory_->jobs[before].status)) {
    cancel_waiting(before);
  }
  queue_state& queue = *open_queue(key);
  engine::enqueue_job asked{.queue = key,
                            .spec = entry.job,
                            .level = level,
                            .default_attempts = entry.default_attempts,
                            .default_backoff = entry.default_backoff,
                            .default_level = entry.default_level};
  apply_defaults(asked, queue);
  engine::job_enqueued made = enqueue(queue, std::move(asked.spec), asked.level);
  if (made.duplicate) return std::nullopt;
  return std::move(made.made.id);
}

void group_writer::write_cron(const engine::cron_entry& entry) {
  const std::string job = spec_to_json(entry.job);
  const std::string last_job = entry.last_job ? entry.last_job->text() : std::string();
  static_cast<void>(to_write());
  write_cron_.put(entry.project).put(entry.name).put(entry.queue).put(entry.schedule);
  write_cron_.put(entry.time_zone).put(static_cast<int>(entry.catch_up));
  write_cron_.put(static_cast<int>(entry.overlap)).put(int{entry.paused}).put(entry.next_at);
  write_cron_.put(entry.last_fired_at).put_filled(last_job).put(entry.fired).put(entry.skipped);
  write_cron_.put(entry.version).put(job).put(int{entry.default_attempts});
  write_cron_.put(int{entry.default_backoff}).put(int{entry.default_level}).run();
}

}  // namespace millrace::embedded
