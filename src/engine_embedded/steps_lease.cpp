#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

group_writer::refused group_writer::check(const engine::lease_jobs& step, plan&) {
  std::uint64_t available = 0;
  for (const engine::queue_key& key : step.queues) {
    if (const queue_state* queue = memory_->find_queue(key)) {
      available += queue->in(job_status::queued);
    }
  }
  // Room in the journal, for jobs that an earlier step makes available too.
  const std::uint64_t most = std::min<std::uint64_t>(step.max, available + engine::steps_max);
  const result<void> room = journal_->reserve(static_cast<std::size_t>(most));
  return room ? std::nullopt : refused(room.error());
}

engine::outcome group_writer::apply(engine::lease_jobs& step, const plan& with) {
  engine::jobs_leased out;
  for (const engine::queue_key& key : step.queues) {
    queue_state* queue = open_queue(key);
    if (queue != nullptr && !queue->paused) lease_from(*queue, step, with, out.jobs);
  }
  out.next_at = next_available_at(step);
  return out;
}

void group_writer::lease_from(queue_state& queue, const engine::lease_jobs& step, const plan& with,
                              std::vector<engine::leased_job>& out) {
  const auto passed_over = [&with](const live_job& job) {
    return !with.addressed.empty() && with.addressed.contains(job.id);
  };
  while (out.size() < step.max && !db_->failed()) {
    const std::uint32_t most = queue.settings.concurrency;
    if (most != 0 && queue.in(job_status::running) >= most) return;
    if (!queue.starts.allows(now_)) return;
    const job_slot slot = queue.ready.take(memory_->jobs, now_, passed_over);
    if (slot == no_slot) return;
    std::optional<engine::leased_job> started = start_run(queue, slot, step);
    if (!started) return;
    out.push_back(std::move(*started));
  }
}

std::optional<engine::leased_job> group_writer::start_run(queue_state& queue, job_slot slot,
                                                          const engine::lease_jobs& step) {
  live_job& job = memory_->jobs[slot];
  std::optional<engine::leased_job> out(std::in_place);
  engine::job& what = out->what;
  if (std::optional<hot_jobs::entry> hot = hot_.take(job.id)) {
    what.spec.type = std::move(hot->type);
    what.spec.data = std::move(hot->data);
    what.spec.correlation_id = std::move(hot->correlation_id);
    what.spec.max_attempts = job.max_attempts;
    what.created_at = hot->created_at;
    what.level = hot->level;
    what.id = {.tag = queue.tag, .stamp = job.id};
    what.queue = queue.key;
  } else {
    std::optional<stored_job> stored = load(id_of(job));
    if (!stored) return std::nullopt;
    what = std::move(stored->what);
  }
  memory_->displace(slot);
  memory_->place_running(slot);
  queue.starts.record(now_);
  ++job.attempts;

  lease held{.token = stamps_.next(now_),
             .started_at = now_,
             .timeout = what.spec.timeout,
             .worker = step.worker};
  job.version = held.token;
  held.length = engine::lease_default;
  if (what.spec.lease != duration{0}) held.length = what.spec.lease;
  if (step.lease != duration{0}) held.length = step.lease;
  held.until = held.end_of(now_, held.length);

  what.status = job_status::running;
  what.attempts = job.attempts;
  what.run_at = from_micros(job.run_at);
  what.spec.priority = job.priority;
  what.cancel_requested = job.cancel_requested;
  what.started_at = now_;
  what.token = out->token = held.token;
  what.version = job.version;
  what.worker = step.worker;
  what.leased_until = out->leased_until = held.until;
  leases_.grant(job.id, std::move(held), job.attempts);
  hint_changed(job);
  return out;
}

// A hint: never later than the real moment, but it may be earlier. The end of the first lease
// stands for those of the queues asked for.
std::optional<timestamp> group_writer::next_available_at(const engine::lease_jobs& step) {
  std::optional<timestamp> next;
  const auto consider = [&](std::optional<timestamp> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (const engine::queue_key& key : step.queues) {
    const queue_state* queue = memory_->find_queue(key);
    if (queue == nullptr || queue->paused) continue;
    if (queue->in(job_status::running) > 0) consider(leases_.next_end());
    if (!queue->due.empty()) consider(from_micros(queue->due.begin()->first));
    if (queue->in(job_status::queued) == 0) continue;
    if (!queue->starts.allows(now_)) consider(queue->starts.next_at(now_));
    consider(queue->ready.next_group_at());
  }
  return next;
}

}  // namespace millrace::embedded
