#include "group_writer.hpp"

#include "spec_json.hpp"
#include "sql.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace::embedded {

using engine::durability;
using engine::job_status;
using engine::refusal;

group_writer::group_writer(settings with, std::unique_ptr<database> db,
                           std::unique_ptr<lease_journal> journal)
    : with_(std::move(with)),
      db_(std::move(db)),
      journal_(std::move(journal)),
      rows_(*db_),
      begin_(*db_, sql::begin),
      commit_(*db_, sql::commit),
      rollback_(*db_, sql::rollback),
      read_meta_(*db_, sql::read_meta),
      write_meta_(*db_, sql::write_meta),
      write_queue_(*db_, sql::write_queue),
      write_cron_(*db_, sql::write_cron),
      delete_cron_(*db_, sql::delete_cron),
      find_key_(*db_, sql::find_idempotency),
      insert_key_(*db_, sql::insert_idempotency),
      delete_key_(*db_, sql::delete_idempotency),
      cache_rows_(*db_),
      write_budget_(*db_, sql::write_budget),
      delete_budget_(*db_, sql::delete_budget),
      sweep_budgets_(*db_, sql::sweep_budgets),
      first_budget_(*db_, sql::first_budget),
      read_budgets_(*db_, sql::read_budgets),
      leases_(*journal_),
      hot_(with_.hot_jobs_bytes),
      events_(*db_, correlated_),
      live_(*db_),
      sessions_(*db_),
      groups_(*db_) {}

group_writer::~group_writer() = default;

// ---- a group

void group_writer::advance(timestamp clock_now, job_hints about_jobs) {
  about_jobs_ = about_jobs;
  now_ = std::max(now_, clock_now);
  if (memory_is_stale_ && !reload()) return;
  apply_due();
  sweep_cache();
  forget_events_and_records();
  forget_sessions();
}

engine::commit_result group_writer::execute(engine::transaction what) {
  if (auto why = engine::check_transaction(what)) return std::unexpected(std::move(*why));
  if (auto before = replay(what)) return std::move(*before);

  engine::committed done{.level = what.level};
  plan with{.level = what.level, .alone = what.steps.size() == 1};
  for (std::size_t i = 0; i < what.steps.size(); ++i) {
    if (refused why = check_step_state(what.steps[i], with)) {
      // A check that could not read knows nothing; `commit` is going to tell the whole group.
      if (db_->failed()) return done;
      return std::unexpected(refusal{std::move(*why), i});
    }
  }
  const std::uint64_t writes_before = writes_;
  done.outcomes.reserve(what.steps.size());
  for (engine::step& step : what.steps) {
    done.outcomes.push_back(std::visit([&](auto& one) { return apply(one, with); }, step));
    if (const auto* made = std::get_if<engine::enqueue_job>(&step)) {
      done.level = std::max(done.level, made->level);
    }
  }
  if (what.idempotency) keep_answer(*what.idempotency, done);
  if (writes_ != writes_before && done.level == durability::durable) sync_first_ = true;
  return done;
}

group_writer::refused group_writer::check_step_state(const engine::step& what, plan& with) {
  if (!with.alone) {
    for (const std::uint64_t id : addressed_by(what)) {
      if (with.addressed.insert(id).second) continue;
      return error{errc::invalid_argument, "duplicate_target",
                   "Two steps of the transaction address the same job.", "", std::nullopt};
    }
  }
  return std::visit([&](const auto& step) { return check(step, with); }, what);
}

std::vector<std::uint64_t> group_writer::addressed_by(const engine::step& what) {
  std::vector<std::uint64_t> out;
  const auto add = [&](std::uint64_t id) {
    if (id != 0) out.push_back(id);
  };
  const auto holder = [&](const engine::queue_key& key, const engine::job_spec& spec) {
    const queue_state* queue = spec.unique ? memory_->find_queue(key) : nullptr;
    return queue == nullptr ? 0 : memory_->uniques.holder(queue->index, spec.unique->key);
  };
  if (const auto* made = std::get_if<engine::enqueue_job>(&what)) {
    add(holder(made->queue, made->spec));
  } else if (const auto* fired = std::get_if<engine::fire_cron>(&what)) {
    const auto at = memory_->crons.find({fired->project, fired->name});
    if (at == memory_->crons.end() || fired->pass_over) return out;
    const engine::cron_entry& entry = at->second;
    const job_slot before = predecessor(entry);
    const std::uint64_t before_id = before == no_slot ? 0 : memory_->jobs[before].id;
    const std::uint64_t held_by = holder({entry.project, entry.queue}, entry.job);
    add(before_id);
    if (held_by != before_id) add(held_by);
  } else {
    std::visit(
        [&](const auto& step) {
          if constexpr (requires { step.id; }) add(step.id.stamp);
        },
        what);
  }
  return out;
}

result<group_report> group_writer::commit() {
  sweep();
  forget_keys();
  group_report report{.sync_first = sync_first_, .wrote = begun_};
  if (const std::uint64_t ceiling = stamps_.wanted_ceiling(); ceiling != 0 && !db_->failed()) {
    static_cast<void>(to_write());
    write_meta_.put(std::string_view("stamp_ceiling")).put(ceiling).run();
    stamps_.ceiling_written(ceiling);
    report = {.sync_first = true, .wrote = true};
  }
  events_.flush();
  if (begun_ && !db_->failed()) commit_.run();
  if (db_->failed()) return std::unexpected(roll_back());
  begun_ = false;
  sync_first_ = false;
  leases_.commit();
  counted_.clear();
  for (queue_state* queue : hinted_) {
    report.hints.push_back({queue->topic, std::exchange(queue->hinted, 0)});
  }
  hinted_.clear();
  for (const engine::job_id& id : changed_jobs_) {
    report.hints.push_back({.what = engine::job_topic(id.text())});
  }
  changed_jobs_.clear();
  if (std::exchange(crons_changed_, false)) report.hints.push_back({.what = engine::cron_topic()});
  for (const engine::cache_key& at : claims_ended_) {
    report.hints.push_back({.what = engine::cache_topic(at.project, at.key)});
  }
  claims_ended_.clear();
  for (engine::topic& what : std::exchange(changed_topics_, {})) {
    // A lock goes to one of those who wait for it.
    const std::size_t count = what.what == engine::topic::kind::lock ? 1 : engine::wakeups::all;
    report.hints.push_back({std::move(what), count});
  }
  return report;
}

std::optional<timestamp> group_writer::next_event() {
  std::optional<timestamp> next = leases_.next_end();
  const auto consider = [&next](std::int64_t at) {
    const timestamp moment = from_micros(at);
    next = next ? std::min(*next, moment) : moment;
  };
  if (const auto due = memory_->first_due()) consider(due->first);
  if (const auto forgotten = memory_->first_forgotten()) {
    // What the last sweep left to the next one does not hurry.
    constexpr std::int64_t unhurried_us = 10'000;
    const bool left = ended_unswept_ > 0;
    consider(left ? std::max(forgotten->first, to_micros(now_) + unhurried_us) : forgotten->first);
  }
  if (const auto forgotten = events_.next_event()) consider(to_micros(*forgotten));
  if (const auto over = live_.next_event()) consider(to_micros(*over));
  if (sessions_.first_end() < timestamp::max()) consider(to_micros(sessions_.first_end()));
  if (!memory_->idempotency.empty()) {
    consider(to_micros(memory_->idempotency.front().made_at + engine::idempotency_kept));
  }
  if (const auto ending = next_cache_ending()) consider(to_micros(*ending));
  return next;
}

// ---- what every part uses

job_rows& group_writer::to_write() {
  ++writes_;
  if (!begun_) {
    begun_ = true;
    begin_.run();
  }
  return rows_;
}

job_slot group_writer::find(const engine::job_id& id) const {
  const job_slot slot = memory_->jobs.find(id.stamp);
  if (slot == no_slot || memory_->queue_of(memory_->jobs[slot]).tag != id.tag) return no_slot;
  return slot;
}

std::optional<stored_job> group_writer::load(const engine::job_id& id) {
  std::optional<stored_job> stored = rows_.read(id.stamp);
  if (!stored) return std::nullopt;
  const queue_state* queue = memory_->find_queue_row(stored->queue_row);
  if (queue == nullptr || queue->tag != id.tag) return std::nullopt;
  stored->what.id.tag = queue->tag;
  stored->what.queue = queue->key;
  return stored;
}

engine::job group_writer::view(stored_job stored) {
  engine::job what = std::move(stored.what);
  const job_slot slot = memory_->jobs.find(what.id.stamp);
  if (slot == no_slot) return what;
  const live_job& job = memory_->jobs[slot];
  what.status = job.status;
  what.attempts = job.attempts;
  what.run_at = from_micros(job.run_at);
  what.spec.priority = job.priority;
  what.cancel_requested = job.cancel_requested;
  what.version = job.version;
  if (const lease* held = leases_.find(job.id)) {
    what.token = held->token;
    what.started_at = held->started_at;
    what.leased_until = held->until;
    what.worker = held->worker;
  }
  return what;
}

std::optional<engine::job> group_writer::view(const engine::job_id& id) {
  std::optional<stored_job> stored = load(id);
  if (!stored) return std::nullopt;
  return view(std::move(*stored));
}

engine::job_id group_writer::id_of(const live_job& job) {
  return {.tag = memory_->queue_of(job).tag, .stamp = job.id};
}

bool group_writer::may_open(const engine::queue_key& key) const {
  return memory_->find_queue(key) != nullptr || memory_->queues().size() < engine::queues_max;
}

queue_state* group_writer::open_queue(const engine::queue_key& key) {
  if (queue_state* found = memory_->find_queue(key)) return found;
  if (!may_open(key)) return nullptr;
  queue_state& made = memory_->add_queue(key, ++last_queue_row_);
  write_queue(made);
  return &made;
}

void group_writer::write_queue(const queue_state& queue) {
  const std::string settings = settings_to_json(queue.settings);
  static_cast<void>(to_write());
  write_queue_.put(queue.row).put(queue.key.project).put(queue.key.name);
  write_queue_.put(int{queue.paused}).put(int{queue.draining}).put(settings).run();
}

group_writer::refused group_writer::refuse_new_queue(const engine::queue_key& key, plan& with) {
  if (memory_->find_queue(key) != nullptr || with.queues_added.contains(key)) return std::nullopt;
  if (memory_->queues().size() + with.queues_added.size() >= engine::queues_max) {
    return error{errc::exhausted, "too_many_queues", "The store holds as many queues as it can.",
                 "queue", std::nullopt};
  }
  with.queues_added.insert(key);
  return std::nullopt;
}

group_writer::refused group_writer::refuse_job(const queue_state* queue,
                                               std::uint64_t added) const {
  if (queue != nullptr && queue->draining) {
    return conflict("queue_draining", "The queue is being drained and takes no new jobs.");
  }
  const std::uint64_t most = (queue == nullptr ? with_.defaults : queue->settings).depth_max;
  const std::uint64_t waiting = queue == nullptr ? 0 : queue->waiting();
  if (most == 0 || waiting + added <= most) return std::nullopt;
  return error{errc::exhausted, "queue_full", "As many jobs wait in the queue as it may hold.", "",
               std::chrono::seconds{1}};
}

void group_writer::apply_defaults(engine::enqueue_job& step, const queue_state& queue) const {
  engine::apply_queue_defaults(step, with_.defaults);
  engine::apply_queue_defaults(step, queue.settings);
}

void group_writer::count(queue_state& queue, timestamp at, minute_counts::field what) {
  queue.minutes.add(at, what);
  if (!counted_.empty()) {
    counted& last = counted_.back();
    if (last.queue == &queue && last.at == at && last.what == what) {
      ++last.times;
      return;
    }
  }
  counted_.push_back({&queue, at, what, 1});
}

void group_writer::hint_available(queue_state& queue, std::size_t jobs) {
  if (queue.hinted == 0) hinted_.push_back(&queue);
  queue.hinted += jobs;
}

void group_writer::hint_changed(const live_job& job) {
  hint_changed(memory_->queue_of(job).tag, job.id);
}

void group_writer::hint_changed(const std::string& tag, std::uint64_t id) {
  if (about_jobs_ == job_hints::wanted) changed_jobs_.push_back({.tag = tag, .stamp = id});
}

engine::job_changed group_writer::changed(job_slot slot) {
  const live_job& job = memory_->jobs[slot];
  return {.id = id_of(job),
          .status = job.status,
          .attempts = job.attempts,
          .run_at = from_micros(job.run_at),
          .cancel_requested = job.cancel_requested};
}

error job_not_found() {
  return {errc::not_found, "job_not_found", "There is no such job (any more).", "", std::nullopt};
}

error conflict(std::string_view code, std::string detail) {
  return {errc::conflict, code, std::move(detail), "", std::nullopt};
}

}  // namespace millrace::embedded
