#include "memory_state.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/retry.hpp>
#include <millrace/engine/wakeups.hpp>

#include <algorithm>

namespace millrace::embedded {

using engine::job_status;

// ---- queues

queue_state* memory_state::find_queue(const engine::queue_key& key) {
  const auto at = queue_names_.find(key);
  return at == queue_names_.end() ? nullptr : queues_[at->second].get();
}

queue_state* memory_state::find_queue_row(std::int64_t row) {
  const auto at = queue_rows_.find(row);
  return at == queue_rows_.end() ? nullptr : queues_[at->second].get();
}

queue_state& memory_state::add_queue(engine::queue_key key, std::int64_t row) {
  auto made = std::make_unique<queue_state>(&pool_);
  made->index = static_cast<std::uint32_t>(queues_.size());
  made->row = row;
  made->tag = routing_tag(key.name);
  made->topic = engine::queue_topic(key.project, key.name);
  made->key = std::move(key);
  queue_names_.emplace(made->key, made->index);
  queue_rows_.emplace(row, made->index);
  set_settings(*made, {});
  queues_.push_back(std::move(made));
  return *queues_.back();
}

void memory_state::set_settings(queue_state& queue, engine::queue_settings to) {
  engine::follow_defaults(to, defaults_);
  if (to.rate != queue.settings.rate) queue.starts.rebind(to.rate);
  queue.settings = std::move(to);
  queue.ready.set_bounds({.group_rate = queue.settings.group_rate,
                          .group_concurrency = queue.settings.group_concurrency});
  relist_forgotten(queue);
}

void memory_state::take_starts(memory_state& from) {
  for (const auto& queue : queues_) {
    queue_state* old = from.find_queue(queue->key);
    if (old == nullptr) continue;
    queue->minutes = std::move(old->minutes);
    if (old->settings.rate == queue->settings.rate) queue->starts = std::move(old->starts);
    if (old->settings.group_rate == queue->settings.group_rate)
      queue->ready.take_starts(old->ready);
  }
}

// ---- live jobs

job_slot memory_state::add_job(std::uint64_t id, queue_state& queue, const std::string& group) {
  const job_slot slot = jobs.insert(id);
  live_job& job = jobs[slot];
  job.queue = queue.index;
  job.group = queue.ready.group_of(group);
  queue.ready.refer(job.group);
  return slot;
}

void memory_state::place_queued(job_slot slot, timestamp at) {
  live_job& job = jobs[slot];
  queue_state& queue = queue_of(job);
  job.status = job_status::queued;
  job.run_at = to_micros(at);
  job.ready_seq = ++last_seq_;
  ++queue.count[static_cast<std::size_t>(job_status::queued)];
  queue.ready.add(jobs, slot);
  if (!queue.purge_plan.empty() && job.id < queue.purge_plan.back()) queue.purge_plan.clear();
}

void memory_state::place_waiting(job_slot slot, job_status status, timestamp at) {
  live_job& job = jobs[slot];
  queue_state& queue = queue_of(job);
  job.status = status;
  job.run_at = to_micros(at);
  ++queue.count[static_cast<std::size_t>(status)];
  queue.due.emplace(job.run_at, job.id);
  relist_due(queue);
  if (!queue.purge_plan.empty() && job.id < queue.purge_plan.back()) queue.purge_plan.clear();
}

void memory_state::place_running(job_slot slot) {
  live_job& job = jobs[slot];
  // `ready_set::take` has taken it from the queued ones.
  job.status = job_status::running;
  ++queue_of(job).count[static_cast<std::size_t>(job_status::running)];
}

void memory_state::displace(job_slot slot) {
  live_job& job = jobs[slot];
  queue_state& queue = queue_of(job);
  --queue.count[static_cast<std::size_t>(job.status)];
  switch (job.status) {
    case job_status::queued:
      if (job.ready_seq != 0) queue.ready.remove(jobs, slot);
      break;
    case job_status::running: queue.ready.end_run(jobs, job.group); break;
    default:
      queue.due.erase({job.run_at, job.id});
      relist_due(queue);
      break;
  }
}

void memory_state::drop_job(job_slot slot) {
  const live_job& job = jobs[slot];
  if (job.has_unique) uniques.release(job.id);
  queue_of(job).ready.release(job.group);
  jobs.erase(slot);
}

void memory_state::relist_due(queue_state& queue) {
  std::optional<due_entry> first;
  if (!queue.due.empty()) first = *queue.due.begin();
  if (first == queue.due_listed) return;
  if (queue.due_listed) due_queues_.erase({*queue.due_listed, queue.index});
  if (first) due_queues_.emplace(*first, queue.index);
  queue.due_listed = first;
}

std::optional<due_entry> memory_state::first_due() const {
  if (due_queues_.empty()) return std::nullopt;
  return due_queues_.begin()->first;
}

// ---- ended jobs

void memory_state::relist_forgotten(queue_state& queue) {
  const auto& settings = queue.settings;
  std::optional<std::int64_t> first;
  const auto consider = [&](const ended_list& list, duration kept) {
    if (list.empty() || kept == duration{0}) return;
    const std::int64_t at = list[0].at() + kept.count();
    first = first ? std::min(*first, at) : at;
  };
  consider(queue.finished, settings.keep_finished);
  consider(queue.dead, settings.keep_dead);
  // Too many are to be forgotten at once.
  const std::uint64_t most = settings.keep_finished_count;
  if (most != 0 && queue.finished.size() > most) first = 0;
  if (first == queue.forget_listed) return;
  if (queue.forget_listed) forget_queues_.erase({*queue.forget_listed, queue.index});
  if (first) forget_queues_.emplace(*first, queue.index);
  queue.forget_listed = first;
}

namespace {

std::size_t finished_status(const ended_list::entry& what) {
  return static_cast<std::size_t>(what.cancelled() ? job_status::cancelled : job_status::completed);
}

}  // namespace

void memory_state::add_finished(queue_state& queue, ended_list::entry what) {
  ++queue.count[finished_status(what)];
  queue.finished.add(what);
  relist_forgotten(queue);
}

bool memory_state::remove_finished(queue_state& queue, ended_list::entry what) {
  if (!queue.finished.remove(what)) return false;
  --queue.count[finished_status(what)];
  relist_forgotten(queue);
  return true;
}

void memory_state::sort_ended(queue_state& queue) {
  queue.finished.sort();
  queue.dead.sort();
  relist_forgotten(queue);
}

void memory_state::add_dead(queue_state& queue, ended_list::entry what, std::uint32_t attempts,
                            const std::string& fingerprint, std::string_view error) {
  ++queue.count[static_cast<std::size_t>(job_status::dead)];
  queue.dead.add(what);
  queue.dead_attempts += attempts;
  queue.causes.add(fingerprint, error);
  relist_forgotten(queue);
}

void memory_state::remove_dead(queue_state& queue, ended_list::entry what, std::uint32_t attempts,
                               const std::string& fingerprint) {
  if (!queue.dead.remove(what)) return;
  --queue.count[static_cast<std::size_t>(job_status::dead)];
  queue.dead_attempts -= attempts;
  queue.causes.remove(fingerprint);
  relist_forgotten(queue);
}

std::optional<std::pair<std::int64_t, std::uint32_t>> memory_state::first_forgotten() const {
  if (forget_queues_.empty()) return std::nullopt;
  return *forget_queues_.begin();
}

// ---- recurring jobs

void memory_state::put_cron(engine::cron_entry entry) {
  cron_name name{entry.project, entry.name};
  drop_cron(name);
  if (!entry.paused && entry.next_at) cron_slots.emplace(*entry.next_at, name.first, name.second);
  crons.emplace(std::move(name), std::move(entry));
}

void memory_state::drop_cron(const cron_name& name) {
  const auto at = crons.find(name);
  if (at == crons.end()) return;
  const engine::cron_entry& old = at->second;
  if (!old.paused && old.next_at) cron_slots.erase({*old.next_at, name.first, name.second});
  crons.erase(at);
}

}  // namespace millrace::embedded
