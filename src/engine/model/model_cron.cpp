#include "model_state.hpp"

#include <utility>

namespace millrace::model {

using engine::cron_overlap;
using engine::job_status;

namespace {

error cron_not_found() {
  return {errc::not_found, "cron_not_found", "There is no recurring job of this name.", "",
          std::nullopt};
}

}  // namespace

model_state::refused model_state::check(const engine::put_cron& step, plan& with) const {
  if (crons_.contains({step.entry.project, step.entry.name})) return std::nullopt;
  if (crons_.size() + with.crons_added++ < limits_.crons_max) return std::nullopt;
  return error{errc::exhausted, "too_many_crons",
               "The store holds as many recurring jobs as it can.", "", std::nullopt};
}

engine::outcome model_state::apply(const engine::put_cron& step, const plan&) {
  engine::cron_entry& kept = crons_[{step.entry.project, step.entry.name}];
  const engine::cron_entry before = std::exchange(kept, step.entry);
  kept.last_fired_at = before.last_fired_at;
  kept.last_job = before.last_job;
  kept.fired = before.fired;
  kept.skipped = before.skipped;
  kept.version = next_stamp();
  crons_changed_ = true;
  return engine::cron_fired{.entry = kept, .made = std::nullopt};
}

model_state::refused model_state::check(const engine::delete_cron& step, plan&) const {
  if (crons_.contains({step.project, step.name})) return std::nullopt;
  return cron_not_found();
}

engine::outcome model_state::apply(const engine::delete_cron& step, const plan&) {
  const auto at = crons_.find({step.project, step.name});
  engine::cron_fired last{.entry = std::move(at->second), .made = std::nullopt};
  crons_.erase(at);
  crons_changed_ = true;
  return last;
}

model_state::refused model_state::check(const engine::fire_cron& step, plan&) const {
  const auto at = crons_.find({step.project, step.name});
  if (at == crons_.end()) return cron_not_found();
  const engine::cron_entry& entry = at->second;
  if (entry.version == step.version && entry.next_at == step.slot) return std::nullopt;
  return conflict("cron_moved", "The slot was fired or the recurring job changed meanwhile.");
}

engine::outcome model_state::apply(const engine::fire_cron& step, const plan& with) {
  engine::cron_entry& entry = crons_.at({step.project, step.name});
  const std::optional<engine::job_id> made = step.pass_over ? std::nullopt : fire(entry, with);
  if (made) {
    entry.last_fired_at = now_;
    entry.last_job = made;
    ++entry.fired;
  } else {
    ++entry.skipped;
  }
  entry.next_at = step.next_at;
  entry.version = next_stamp();
  crons_changed_ = true;
  return engine::cron_fired{.entry = entry, .made = made};
}

std::optional<engine::job_id> model_state::fire(engine::cron_entry& entry, const plan& with) {
  const engine::queue_key queue{.project = entry.project, .name = entry.queue};
  if (!may_open(queue) || refuse_job(find(queue), 1)) return std::nullopt;
  if (const job_record* before = predecessor(entry)) {
    if (entry.overlap == cron_overlap::skip) return std::nullopt;
    if (entry.overlap == cron_overlap::replace && is_waiting(before->what.status)) {
      job_record& waiting = jobs_.at(before->what.id.stamp);
      end_job(waiting, job_status::cancelled, now_);
      touch(waiting);
    }
  }
  engine::enqueue_job asked{.queue = queue,
                            .spec = entry.job,
                            .level = with.level,
                            .default_attempts = entry.default_attempts,
                            .default_backoff = entry.default_backoff,
                            .default_level = entry.default_level};
  apply_defaults(asked, *open_queue(queue));
  const engine::job_enqueued job = enqueue(queue, std::move(asked.spec), asked.level);
  return job.duplicate ? std::nullopt : std::optional(job.made.id);
}

const job_record* model_state::predecessor(const engine::cron_entry& entry) const {
  if (!entry.last_job || entry.overlap == cron_overlap::allow) return nullptr;
  const job_record* job = find(*entry.last_job);
  return job == nullptr || is_final(job->what.status) ? nullptr : job;
}

}  // namespace millrace::model
