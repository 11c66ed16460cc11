#include "model_state.hpp"

#include <millrace/base/assert.hpp>

#include <algorithm>
#include <limits>

namespace millrace::model {

using engine::job_status;

stamp model_state::next_stamp() {
  last_stamp_ = std::max(last_stamp_ + 1, static_cast<stamp>(to_micros(now_)));
  return last_stamp_;
}

const job_record* model_state::find(const engine::job_id& id) const {
  const auto at = jobs_.find(id.stamp);
  return at != jobs_.end() && at->second.what.id == id ? &at->second : nullptr;
}

job_record* model_state::find(const engine::job_id& id) {
  return const_cast<job_record*>(std::as_const(*this).find(id));
}

const queue_record* model_state::find(const engine::queue_key& key) const {
  const auto at = queues_.find(key);
  return at == queues_.end() ? nullptr : &at->second;
}

queue_record& model_state::queue_of(const job_record& job) {
  const auto at = queues_.find(job.what.queue);
  MILLRACE_ASSERT(at != queues_.end());
  return at->second;
}

bool model_state::may_open(const engine::queue_key& key) const {
  return queues_.contains(key) || queues_.size() < limits_.queues_max;
}

queue_record* model_state::open_queue(const engine::queue_key& key) {
  if (!may_open(key)) return nullptr;
  const auto [at, fresh] = queues_.try_emplace(key);
  if (fresh) engine::follow_defaults(at->second.settings, limits_.defaults);
  return &at->second;
}

const job_record* model_state::unique_holder(const engine::queue_key& queue,
                                             const engine::job_spec& spec) const {
  if (!spec.unique) return nullptr;
  for (const auto& [id, job] : jobs_) {
    const bool holds = job.what.spec.unique && job.what.spec.unique->key == spec.unique->key;
    if (holds && !is_final(job.what.status) && job.what.queue == queue) return &job;
  }
  return nullptr;
}

model_state::refused model_state::refuse_new_queue(const engine::queue_key& key, plan& with) const {
  if (queues_.contains(key) || with.queues_added.contains(key)) return std::nullopt;
  if (queues_.size() + with.queues_added.size() >= limits_.queues_max) {
    return error{errc::exhausted, "too_many_queues", "The store holds as many queues as it can.",
                 "queue", std::nullopt};
  }
  with.queues_added.insert(key);
  return std::nullopt;
}

void model_state::set_status(job_record& job, job_status status) {
  auto& count = queue_of(job).count;
  --count[static_cast<std::size_t>(job.what.status)];
  ++count[static_cast<std::size_t>(status)];
  job.what.status = status;
}

void model_state::make_available(job_record& job, timestamp at) {
  set_status(job, job_status::queued);
  job.what.run_at = at;
  job.available = next_stamp();
  ++available_hints_[job.what.queue];
}

void model_state::wait_until(job_record& job, job_status status, timestamp at) {
  if (at <= now_) {
    make_available(job, at);
    return;
  }
  set_status(job, status);
  job.what.run_at = at;
  happens_at(at);
}

void model_state::end_job(job_record& job, job_status status, timestamp at) {
  set_status(job, status);
  job.what.finished_at = at;
  ended_in_.insert(job.what.queue);
  happens_at(forgotten_at(job).value_or(timestamp::max()));
}

void model_state::touch(job_record& job) {
  job.what.version = next_stamp();
  changed_jobs_.insert(job.what.id);
}

void model_state::forget(const job_record& job) {
  --queue_of(job).count[static_cast<std::size_t>(job.what.status)];
  changed_jobs_.insert(job.what.id);
  jobs_.erase(job.what.id.stamp);
}

void model_state::count(queue_record& queue, timestamp at,
                        std::uint64_t engine::minute_count::* what) {
  const timestamp minute = std::chrono::floor<std::chrono::minutes>(at);
  engine::minute_count& counted = queue.minutes[minute];
  counted.minute = minute;
  ++(counted.*what);
  queue.minutes.erase(queue.minutes.begin(),
                      queue.minutes.lower_bound(minute - std::chrono::hours{1}));
}

void model_state::happens_at(timestamp at) { next_event_ = std::min(next_event_, at); }

std::optional<timestamp> model_state::forgotten_at(const job_record& job) const {
  const queue_record* queue = find(job.what.queue);
  MILLRACE_ASSERT(queue != nullptr);
  const bool dead = job.what.status == job_status::dead;
  const duration kept = dead ? queue->settings.keep_dead : queue->settings.keep_finished;
  const std::optional<timestamp>& since = dead ? job.what.failed_at : job.what.finished_at;
  if (!is_final(job.what.status) || kept == duration{0}) return std::nullopt;
  return since.value() + kept;
}

timestamp model_state::find_next_event() const {
  timestamp next = timestamp::max();
  for (const auto& [id, job] : jobs_) {
    if (job.what.status == job_status::running) {
      next = std::min(next, job.what.leased_until.value());
    } else if (is_final(job.what.status)) {
      next = std::min(next, forgotten_at(job).value_or(timestamp::max()));
    } else if (job.what.status != job_status::queued) {
      next = std::min(next, job.what.run_at);
    }
  }
  for (const auto& [key, kept] : idempotency_) {
    next = std::min(next, kept.made_at + engine::idempotency_kept);
  }
  return std::min({next, next_event_of_streams(), next_event_of_records(), sessions_.next_end()});
}

void model_state::advance(timestamp clock_now) {
  now_ = std::max(now_, clock_now);
  cache_.expire(now_);
  if (now_ < next_event_) return;
  apply_due();
  forget_old();
  next_event_ = find_next_event();
}

void model_state::restart(timestamp clock_now) {
  now_ = std::max(now_, clock_now);
  for (auto& [id, job] : jobs_) {
    if (job.what.status == job_status::running) {
      job.what.leased_until = lease_end(job, job.lease_length);
    }
  }
  for (auto& [key, queue] : queues_) {
    queue.minutes.clear();
    queue.starts = engine::rate_window(queue.settings.rate);
    queue.group_starts.clear();
  }
  cache_.end_claims();
  next_event_ = now_;
}

void model_state::set_defaults(const engine::queue_settings& to) {
  limits_.defaults = to;
  for (auto& [key, queue] : queues_) {
    engine::follow_defaults(queue.settings, to);
    ended_in_.insert(key);
  }
}

void model_state::apply_due() {
  std::vector<std::pair<timestamp, stamp>> due;
  for (const auto& [id, job] : jobs_) {
    const job_status status = job.what.status;
    if (status == job_status::running && *job.what.leased_until <= now_) {
      due.emplace_back(*job.what.leased_until, id);
    } else if (is_waiting(status) && status != job_status::queued && job.what.run_at <= now_) {
      due.emplace_back(job.what.run_at, id);
    }
  }
  std::ranges::sort(due);
  for (const auto& [at, id] : due) {
    job_record& job = jobs_.at(id);
    if (job.what.status == job_status::running) {
      end_failed_run(job, at, "The lease ended before the worker had answered.",
                     engine::after_expiry(job.what.spec, ended(job, at)));
    } else {
      make_available(job, at);
    }
    touch(job);
  }
  trim_finished();
}

void model_state::forget_old() {
  std::vector<const job_record*> old;
  for (const auto& [id, job] : jobs_) {
    if (forgotten_at(job).value_or(timestamp::max()) <= now_) old.push_back(&job);
  }
  for (const job_record* job : old) forget(*job);
  std::erase_if(idempotency_, [this](const auto& kept) {
    return kept.second.made_at + engine::idempotency_kept <= now_;
  });
  forget_old_events();
  forget_old_records();
  sessions_.expire(now_);
}

void model_state::trim_finished() {
  for (const engine::queue_key& key : ended_in_) {
    const std::uint64_t kept = find(key)->settings.keep_finished_count;
    if (kept == 0) continue;
    const auto finished = [](const engine::job& job) {
      return job.status == job_status::completed || job.status == job_status::cancelled;
    };
    const auto listed =
        select(key, finished, [](const engine::job& job) { return job.finished_at.value(); });
    for (std::size_t i = 0; i + kept < listed.size(); ++i) forget(*listed[i].second);
  }
  ended_in_.clear();
}

std::vector<hint> model_state::take_hints() {
  std::vector<hint> out;
  for (const auto& [key, jobs] : std::exchange(available_hints_, {})) {
    out.push_back({engine::queue_topic(key.project, key.name), jobs});
  }
  for (const engine::job_id& id : std::exchange(changed_jobs_, {})) {
    out.push_back({.what = engine::job_topic(id.text())});
  }
  if (std::exchange(crons_changed_, false)) out.push_back({.what = engine::cron_topic()});
  for (const engine::cache_key& at : cache_.take_hints()) {
    out.push_back({.what = engine::cache_topic(at.project, at.key)});
  }
  for (engine::topic& what : std::exchange(changed_topics_, {})) {
    // A lock goes to one of those who wait for it.
    const std::size_t count = what.what == engine::topic::kind::lock ? 1 : engine::wakeups::all;
    out.push_back({.what = std::move(what), .count = count});
  }
  return out;
}

engine::job_changed changed(const job_record& job) {
  return {.id = job.what.id,
          .status = job.what.status,
          .attempts = job.what.attempts,
          .run_at = job.what.run_at,
          .cancel_requested = job.what.cancel_requested};
}

}  // namespace millrace::model
