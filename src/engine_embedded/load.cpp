#include "group_writer.hpp"
#include "schema.hpp"
#include "spec_json.hpp"
#include "sql.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <sys/statvfs.h>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

namespace {

// The columns of `read_jobs` and of `read_states`.
namespace in_job {
enum column {
  id,
  queue,
  priority,
  max_attempts,
  created_at,
  run_at,
  group_key,
  unique_key,
  correlation_id,
};
}
namespace in_state {
enum column {
  id,
  status,
  attempts,
  token,
  version,
  run_at,
  ready,
  priority,
  cancel_requested,
  finished_at,
  log_lines,
  fingerprint,
  error,
};
}

}  // namespace

result<std::unique_ptr<group_writer>> group_writer::open(settings with, timestamp now) {
  auto db = open_database(with.directory / "millrace.db", with.vfs, with.page_cache_bytes);
  if (!db) return std::unexpected(std::move(db.error()));
  auto journal = lease_journal::open(with.directory / "leases");
  if (!journal) return std::unexpected(std::move(journal.error()));
  std::unique_ptr<group_writer> out(
      new group_writer(std::move(with), std::move(*db), std::move(*journal)));
  if (result<void> begun = out->begin_life(now); !begun) {
    return std::unexpected(std::move(begun.error()));
  }
  return out;
}

result<void> group_writer::begin_life(timestamp now) {
  now_ = now;
  const auto meta = [this](std::string_view name) {
    read_meta_.put(name);
    const reset_after reset(read_meta_);
    return read_meta_.row() ? read_meta_.natural(0) : 0;
  };
  // Where it stopped is known after a clean close; else only the ceiling it stayed below.
  const std::uint64_t last = meta("clean") != 0 ? meta("last_stamp") : meta("stamp_ceiling");
  stamps_ = stamp_source(last);
  const std::uint64_t ceiling =
      std::max(last, static_cast<std::uint64_t>(to_micros(now))) + stamp_source::ahead_us;
  const bool clean = meta("clean") != 0;
  const std::uint64_t boot = meta("boot");
  begin_.run();
  distrust_cache(clean, boot);
  write_meta_.put(std::string_view("clean")).put(0).run();
  write_meta_.put(std::string_view("stamp_ceiling")).put(ceiling).run();
  write_meta_.put(std::string_view("epoch")).put(meta("epoch") + 1).run();
  commit_.run();
  stamps_.ceiling_written(ceiling);
  adopt_leases();
  if (!db_->failed() && reload()) return {};
  return std::unexpected(*db_->failure());
}

// ---- leases of before

void group_writer::adopt_leases() {
  std::vector<std::uint32_t> useless;
  journal_->for_each([&](std::uint32_t slot, const journaled_lease& found) {
    const lease* other = leases_.find(found.id);
    if (found.id == 0 || (other != nullptr && other->token >= found.token)) {
      useless.push_back(slot);
      return;
    }
    if (other != nullptr) useless.push_back(other->journal_slot);
    // Nobody could renew it while the store was closed: it gets one full interval.
    const duration length{found.length};
    leases_.adopt(found.id, {.token = found.token,
                             .until = now_ + length,
                             .length = length,
                             .started_at = from_micros(found.started_at),
                             .journal_slot = slot});
  });
  for (const std::uint32_t slot : useless) {
    journal_->clear(slot);
    journal_->give_back(slot);
  }
}

void group_writer::settle_adopted_leases(const memory_state& jobs_of) {
  std::vector<std::uint64_t> useless;
  std::vector<std::uint64_t> live;
  leases_.for_each([&](std::uint64_t id, const lease&) {
    const job_slot slot = jobs_of.jobs.find(id);
    const bool runs = slot != no_slot && jobs_of.jobs[slot].status == job_status::running;
    (runs ? live : useless).push_back(id);
  });
  for (const std::uint64_t id : useless) leases_.end(id);
  for (const std::uint64_t id : live) {
    if (const std::optional<stored_job> stored = rows_.read(id)) {
      leases_.renew(id, stored->what.spec.timeout, now_);
    }
  }
  leases_.commit();
}

// ---- memory from the disk

bool group_writer::reload() {
  auto fresh = std::make_unique<memory_state>(with_.defaults);
  load_queues(*fresh);
  events_.load();
  load_carrying_events();
  load_jobs(*fresh);
  if (!memory_ && !db_->failed()) settle_adopted_leases(*fresh);
  place_rest(*fresh);
  load_crons(*fresh);
  load_keys(*fresh);
  load_cache();
  load_budgets();
  live_.load();
  sessions_.load();
  groups_.load();
  memory_is_stale_ = db_->failed();
  if (memory_is_stale_) return false;
  if (memory_) fresh->take_starts(*memory_);
  memory_ = std::move(fresh);
  hot_.clear();
  return true;
}

void group_writer::load_queues(memory_state& into) {
  statement from(*db_, sql::read_queues);
  while (from.row()) {
    result<engine::queue_settings> settings = settings_from_json(from.text(5));
    if (!settings) return db_->note(SQLITE_CORRUPT);
    queue_state& made =
        into.add_queue({std::string(from.text(1)), std::string(from.text(2))}, from.integer(0));
    made.paused = from.integer(3) != 0;
    made.draining = from.integer(4) != 0;
    into.set_settings(made, *settings);
    last_queue_row_ = std::max(last_queue_row_, made.row);
  }
}

// Side by side, both in the order of ids: that saves looking the state of each job up.
void group_writer::load_jobs(memory_state& into) {
  loaded_ = {};
  statement jobs(*db_, sql::read_jobs);
  statement states(*db_, sql::read_states);
  bool more_states = states.row();
  while (jobs.row()) {
    const std::int64_t id = jobs.integer(in_job::id);
    while (more_states && states.integer(in_state::id) < id) more_states = states.row();
    const bool has_state = more_states && states.integer(in_state::id) == id;
    load_job(into, jobs, has_state ? &states : nullptr);
  }
  note_loaded_events(std::numeric_limits<std::uint64_t>::max());
  for (const auto& made : into.queues()) into.sort_ended(*made);
  into.any_log = rows_.any_log();
}

void group_writer::load_job(memory_state& into, statement& job, statement* state) {
  queue_state* queue = into.find_queue_row(job.integer(in_job::queue));
  if (queue == nullptr) return db_->note(SQLITE_CORRUPT);
  note_loaded_job(*queue, job.natural(in_job::id), job.text(in_job::correlation_id));
  if (state == nullptr) return load_live(into, *queue, job, nullptr);
  const auto at_rest = static_cast<job_status>(state->integer(in_state::status));
  if (!engine::is_final(at_rest)) return load_live(into, *queue, job, state);
  const std::optional<timestamp> ended = state->moment(in_state::finished_at);
  if (!ended) return db_->note(SQLITE_CORRUPT);
  const ended_list::entry entry(*ended, job.natural(in_job::id), at_rest);
  ++queue->count[static_cast<std::size_t>(at_rest)];
  if (at_rest != job_status::dead) return queue->finished.append(entry);
  queue->dead.append(entry);
  queue->dead_attempts += state->natural(in_state::attempts);
  queue->causes.add(std::string(state->text(in_state::fingerprint)), state->text(in_state::error));
}

void group_writer::load_live(memory_state& into, queue_state& in, statement& from,
                             statement* state) {
  const job_slot slot =
      into.add_job(from.natural(in_job::id), in, std::string(from.text(in_job::group_key)));
  live_job& job = into.jobs[slot];
  job.max_attempts = static_cast<std::uint16_t>(from.integer(in_job::max_attempts));
  job.priority = static_cast<std::uint8_t>(from.integer(in_job::priority));
  job.version = job.id;
  if (!from.is_null(in_job::unique_key)) {
    job.has_unique = into.uniques.take(in.index, from.text(in_job::unique_key), job.id);
  }
  const bool first = from.is_null(in_job::run_at);
  loaded_job waiting{.run_at = from.integer(first ? in_job::created_at : in_job::run_at),
                     .order = job.id,
                     .slot = slot,
                     .status = job_status::scheduled};
  if (state != nullptr) load_state(job, waiting, *state);
  const lease* held = leases_.find(job.id);
  if (held != nullptr && (state == nullptr || held->token > state->natural(in_state::token))) {
    ++job.attempts;
    job.run_at = waiting.run_at;
    job.version = stamps_.next(now_);
    into.place_running(slot);
    in.ready.resume_run(job.group);
    return;
  }
  if (state == nullptr && first) {
    // By far the most frequent: it has been available since it was made, and so come before it
    // only those of its predecessors that had to wait for a moment before that.
    place_loaded(into, waiting.run_at, job.id);
    into.place_queued(slot, from_micros(waiting.run_at));
    return;
  }
  loaded_.push(waiting);
}

void group_writer::load_state(live_job& job, loaded_job& waiting, statement& from) {
  job.has_state = true;
  job.attempts = static_cast<std::uint16_t>(from.integer(in_state::attempts));
  job.version = from.natural(in_state::version);
  job.cancel_requested = from.integer(in_state::cancel_requested) != 0;
  job.has_log = from.integer(in_state::log_lines) > 0;
  if (!from.is_null(in_state::priority)) {
    job.priority = static_cast<std::uint8_t>(from.integer(in_state::priority));
  }
  if (!from.is_null(in_state::run_at)) waiting.run_at = from.integer(in_state::run_at);
  if (!from.is_null(in_state::ready)) waiting.order = from.natural(in_state::ready);
  waiting.status = static_cast<job_status>(from.integer(in_state::status));
}

// Places what became available before a moment, in that order.
void group_writer::place_loaded(memory_state& into, std::int64_t before, std::uint64_t order) {
  while (!loaded_.empty()) {
    const loaded_job next = loaded_.top();
    if (std::pair(next.run_at, next.order) > std::pair(before, order)) return;
    loaded_.pop();
    live_job& job = into.jobs[next.slot];
    if (next.status != job_status::queued && next.run_at > to_micros(now_)) {
      into.place_waiting(next.slot, next.status, from_micros(next.run_at));
      continue;
    }
    // That it was promoted is not on disk: a reader may have seen a version of that change.
    if (next.status != job_status::queued) job.version = stamps_.next(now_);
    into.place_queued(next.slot, from_micros(next.run_at));
  }
}

// Behind the jobs that were available at the end of the life before comes what happened since: what
// became due, and leases that are over. Both are left to `advance`, which puts them into one order;
// before the first of those leases nothing has to wait for it.
void group_writer::place_rest(memory_state& into) {
  due_entry first_left{to_micros(now_), std::numeric_limits<std::uint64_t>::max()};
  if (const auto over = leases_.first_over(now_)) {
    first_left = std::min(first_left, due_entry(to_micros(over->first), over->second));
  }
  place_loaded(into, first_left.first, first_left.second);
  for (; !loaded_.empty(); loaded_.pop()) {
    const loaded_job next = loaded_.top();
    if (next.status == job_status::queued) {
      into.place_queued(next.slot, from_micros(next.run_at));
    } else {
      into.place_waiting(next.slot, next.status, from_micros(next.run_at));
    }
  }
}

void group_writer::load_crons(memory_state& into) {
  statement from(*db_, sql::read_crons);
  while (from.row()) {
    result<engine::job_spec> spec = spec_from_json(from.text(14));
    if (!spec) return db_->note(SQLITE_CORRUPT);
    into.put_cron({.project = std::string(from.text(0)),
                   .name = std::string(from.text(1)),
                   .queue = std::string(from.text(2)),
                   .schedule = std::string(from.text(3)),
                   .time_zone = std::string(from.text(4)),
                   .job = std::move(*spec),
                   .default_attempts = from.integer(15) != 0,
                   .default_backoff = from.integer(16) != 0,
                   .default_level = from.integer(17) != 0,
                   .catch_up = static_cast<engine::cron_catch_up>(from.integer(5)),
                   .overlap = static_cast<engine::cron_overlap>(from.integer(6)),
                   .paused = from.integer(7) != 0,
                   .next_at = from.moment(8),
                   .last_fired_at = from.moment(9),
                   .last_job = routed_id::parse(from.text(10)),
                   .fired = from.natural(11),
                   .skipped = from.natural(12),
                   .version = from.natural(13)});
  }
}

void group_writer::load_keys(memory_state& into) {
  statement from(*db_, sql::read_idempotency_ages);
  while (from.row()) into.idempotency.push_back({from.natural(0), from_micros(from.integer(1))});
}

// ---- failure

error group_writer::roll_back() {
  const error why = *db_->failure();
  db_->clear_failure();
  // SQLite may have rolled the transaction back by itself.
  if (!db_->idle()) rollback_.run();
  db_->clear_failure();
  begun_ = false;
  sync_first_ = false;
  for (const counted& each : std::exchange(counted_, {})) {
    each.queue->minutes.take_back(each.at, each.what, each.times);
  }
  hinted_.clear();
  changed_jobs_.clear();
  crons_changed_ = false;
  claims_ended_.clear();
  changed_topics_.clear();
  leases_.roll_back();
  // The last ceiling may not be on disk.
  stamps_.ceiling_written(0);
  reload();
  db_->clear_failure();
  return why;
}

result<void> group_writer::try_to_write() {
  // Less than this is not worth a try: one large group needs it.
  constexpr std::uint64_t free_bytes_min = std::uint64_t{4} << 20U;
  struct statvfs disk{};
  if (::statvfs(with_.directory.c_str(), &disk) == 0 &&
      std::uint64_t{disk.f_bavail} * disk.f_frsize < free_bytes_min) {
    return fail(errc::storage_full, "storage_full",
                fmt::format("The disk of {} is full; make room.", with_.directory.string()));
  }
  begin_.run();
  write_meta_.put(std::string_view("probe")).put(stamps_.last()).run();
  commit_.run();
  if (!db_->failed()) return {};
  const error why = *db_->failure();
  db_->clear_failure();
  if (!db_->idle()) rollback_.run();
  db_->clear_failure();
  return std::unexpected(why);
}

result<void> group_writer::close() {
  const std::uint64_t last = stamps_.last();
  begin_.run();
  write_meta_.put(std::string_view("last_stamp")).put(last).run();
  write_meta_.put(std::string_view("clean")).put(1).run();
  commit_.run();
  if (db_->failed()) return std::unexpected(*db_->failure());
  if (result<void> synced = journal_->sync(); !synced) return synced;
  result<int> left = db_->run_checkpoint(database::checkpoint::truncate);
  if (!left) return std::unexpected(std::move(left.error()));
  return {};
}

}  // namespace millrace::embedded
