#pragma once

#include "cache_rows.hpp"
#include "cache_table.hpp"
#include "correlation_index.hpp"
#include "event_groups.hpp"
#include "event_log.hpp"
#include "hot_jobs.hpp"
#include "job_rows.hpp"
#include "lease_journal.hpp"
#include "lease_table.hpp"
#include "live_table.hpp"
#include "memory_state.hpp"
#include "session_table.hpp"
#include "sqlite.hpp"
#include "stamps.hpp"

#include <millrace/engine/limit_table.hpp>
#include <millrace/engine/lock_rules.hpp>
#include <millrace/engine/retry.hpp>
#include <millrace/engine/store.hpp>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::embedded {

struct hint {
  engine::topic what;
  std::size_t count{engine::wakeups::all};
};

/// What a group has come to, once it is in the log (though not yet synced).
struct group_report {
  /// Something must be on disk before the group is answered.
  bool sync_first{false};
  /// Something was written at all.
  bool wrote{false};
  std::vector<hint> hints;
};

/// The engine without its threads: executes the transactions and queries of one group after the
/// other, against memory and SQLite.
///
///   (advance(now) → execute… / read…)… → commit
///
/// Guarantees: after a failed `commit` everything is as it was after the last successful one, but
///             that starts and charges of the failed group still count against rate bounds and
///             the limits of windows.
/// Threading:  one thread.
class group_writer final {
public:
  struct settings {
    std::filesystem::path directory;
    std::string vfs;
    engine::queue_settings defaults;
    std::size_t hot_jobs_bytes{0};
    std::size_t page_cache_bytes{0};
    std::uint64_t cache_bytes_max{engine::cache_bytes_default};
  };

  /// Opens the files of a directory whose lock is held, and rebuilds what is kept in memory.
  [[nodiscard]] static result<std::unique_ptr<group_writer>> open(settings with, timestamp now);
  ~group_writer();
  group_writer(const group_writer&) = delete;
  group_writer& operator=(const group_writer&) = delete;

  /// Whether anybody wants to hear which jobs changed.
  enum class job_hints { wanted, unwanted };

  /// Everything that is due at `clock_now` happens, as part of the group. The time never goes back.
  void advance(timestamp clock_now, job_hints about_jobs);
  [[nodiscard]] engine::commit_result execute(engine::transaction what);
  [[nodiscard]] result<engine::answer> read(const engine::query& what);
  /// While nothing can be written: answers from what was committed last. Nothing of what is due by
  /// now has happened. Requires: no group has begun.
  [[nodiscard]] result<engine::answer> read_committed(const engine::query& what,
                                                      timestamp clock_now);
  /// Ends the group. On an error nothing of it has happened, and none of its answers may be given.
  [[nodiscard]] result<group_report> commit();

  /// When `advance` has something to do though nobody calls.
  [[nodiscard]] std::optional<timestamp> next_event();
  /// The last group failed, and room may still be missing: try before the next one is executed.
  [[nodiscard]] result<void> try_to_write();

  /// What is cached, which others may read meanwhile.
  [[nodiscard]] cache_table& cache() noexcept { return cache_; }
  [[nodiscard]] database& files() noexcept { return *db_; }
  /// Everything into the file, and a mark that nothing has to be recovered.
  [[nodiscard]] result<void> close();

private:
  using refused = std::optional<error>;

  // What the checks of one transaction found out, for the later ones and for its applies.
  struct plan {
    engine::durability level{engine::durability::durable};
    /// There is one step: nothing to keep apart.
    bool alone{true};
    /// Jobs that its steps write to, which lease and purge therefore pass over.
    std::set<std::uint64_t> addressed;
    std::map<engine::queue_key, std::uint64_t> jobs_added;
    std::set<engine::queue_key> queues_added;
    std::size_t crons_added{0};
    std::size_t claims_added{0};
    std::set<engine::stream_key> streams_added;
    std::size_t event_ids_added{0};
    std::size_t locks_added{0};
    std::size_t fences_added{0};
    std::size_t groups_added{0};
    std::map<engine::stream_key, std::size_t> groups_added_to;
    std::size_t progress_added{0};
    std::size_t agents_added{0};
    std::map<std::pair<std::string, std::string>, std::size_t> agents_added_to;
    std::size_t connections_added{0};
  };
  // Counted in this group, to be taken back should it fail.
  struct counted {
    queue_state* queue;
    timestamp at;
    minute_counts::field what;
    std::uint64_t times;
  };

  group_writer(settings with, std::unique_ptr<database> db, std::unique_ptr<lease_journal> journal);

  // group_writer.cpp: a transaction, and what every part uses.
  [[nodiscard]] refused check_step_state(const engine::step& what, plan& with);
  [[nodiscard]] std::vector<std::uint64_t> addressed_by(const engine::step& what);
  [[nodiscard]] job_rows& to_write();
  [[nodiscard]] job_slot find(const engine::job_id& id) const;
  /// The rows of a job, live or ended, as they are at rest.
  [[nodiscard]] std::optional<stored_job> load(const engine::job_id& id);
  /// The job as its readers see it: its rows, and what memory knows better.
  [[nodiscard]] engine::job view(stored_job stored);
  [[nodiscard]] std::optional<engine::job> view(const engine::job_id& id);
  [[nodiscard]] engine::job_id id_of(const live_job& job);
  /// The queue is there, or there is room for one more.
  [[nodiscard]] bool may_open(const engine::queue_key& key) const;
  /// The queue, made when it is not there and there is room; else null.
  [[nodiscard]] queue_state* open_queue(const engine::queue_key& key);
  void write_queue(const queue_state& queue);
  [[nodiscard]] refused refuse_new_queue(const engine::queue_key& key, plan& with);
  [[nodiscard]] refused refuse_job(const queue_state* queue, std::uint64_t added) const;
  void apply_defaults(engine::enqueue_job& step, const queue_state& queue) const;
  void count(queue_state& queue, timestamp at, minute_counts::field what);
  void hint_available(queue_state& queue, std::size_t jobs = 1);
  void hint_changed(const live_job& job);
  void hint_changed(const std::string& tag, std::uint64_t id);
  [[nodiscard]] engine::job_changed changed(job_slot slot);

  // idempotency.cpp
  [[nodiscard]] std::optional<engine::commit_result> replay(const engine::transaction& what);
  void keep_answer(const engine::idempotency_key& key, const engine::committed& answer);
  void forget_keys();
  void refresh(engine::job& kept);

  // Checks read the state before the transaction and change nothing; applies cannot fail.
  // steps_enqueue.cpp
  refused check(const engine::enqueue_job& step, plan& with);
  engine::outcome apply(engine::enqueue_job& step, const plan& with);
  [[nodiscard]] engine::job_enqueued enqueue(queue_state& queue, engine::job_spec spec,
                                             engine::durability level);
  [[nodiscard]] engine::job_enqueued make_job(queue_state& queue, engine::job_spec spec,
                                              engine::durability level);
  void renew(job_slot slot, stored_job& holder, engine::job_spec spec, engine::unique_mode mode);

  // steps_lease.cpp
  refused check(const engine::lease_jobs& step, plan& with);
  engine::outcome apply(engine::lease_jobs& step, const plan& with);
  void lease_from(queue_state& queue, const engine::lease_jobs& step, const plan& with,
                  std::vector<engine::leased_job>& out);
  [[nodiscard]] std::optional<engine::leased_job> start_run(queue_state& queue, job_slot slot,
                                                            const engine::lease_jobs& step);
  [[nodiscard]] std::optional<timestamp> next_available_at(const engine::lease_jobs& step);

  // steps_run.cpp
  refused check(const engine::ack_job& step, plan& with);
  refused check(const engine::fail_job& step, plan& with);
  refused check(const engine::extend_lease& step, plan& with);
  refused check(const engine::snooze_job& step, plan& with);
  refused check(const engine::report_progress& step, plan& with);
  engine::outcome apply(engine::ack_job& step, const plan& with);
  engine::outcome apply(engine::fail_job& step, const plan& with);
  engine::outcome apply(engine::extend_lease& step, const plan& with);
  engine::outcome apply(engine::snooze_job& step, const plan& with);
  engine::outcome apply(engine::report_progress& step, const plan& with);
  refused check_run(const engine::job_id& id, std::uint64_t token);
  /// Takes the job's lease away, and copies from it what its rows keep.
  void release(job_slot slot, stored_job& into);
  void hint_permit(queue_state& queue);
  void end_failed_run(job_slot slot, stored_job& stored, timestamp at, std::string_view why,
                      const engine::next_run& next);
  void end_job(job_slot slot, stored_job& stored, engine::job_status status, timestamp at);
  /// Waits until `at`, or is available at once. Writes the job's state.
  void rest(job_slot slot, stored_job& stored, engine::job_status status, timestamp at);
  void expire(std::uint64_t id, timestamp at);

  // steps_queue.cpp
  refused check(const engine::cancel_job& step, plan& with);
  refused check(const engine::delete_job& step, plan& with);
  refused check(const engine::requeue_dead& step, plan& with);
  refused check(const engine::purge_jobs& step, plan& with);
  refused check(const engine::configure_queue& step, plan& with);
  engine::outcome apply(engine::cancel_job& step, const plan& with);
  engine::outcome apply(engine::delete_job& step, const plan& with);
  engine::outcome apply(engine::requeue_dead& step, const plan& with);
  engine::outcome apply(engine::purge_jobs& step, const plan& with);
  engine::outcome apply(engine::configure_queue& step, const plan& with);
  [[nodiscard]] std::vector<std::uint64_t> purge_targets(queue_state& queue,
                                                         const engine::purge_jobs& step,
                                                         const plan& with);
  void plan_purge(queue_state& queue);
  void cancel_waiting(job_slot slot);
  /// Forgets a job that does not run, wherever it is.
  void forget(std::uint64_t id);

  // steps_cron.cpp
  refused check(const engine::put_cron& step, plan& with);
  refused check(const engine::delete_cron& step, plan& with);
  refused check(const engine::fire_cron& step, plan& with);
  engine::outcome apply(engine::put_cron& step, const plan& with);
  engine::outcome apply(engine::delete_cron& step, const plan& with);
  engine::outcome apply(engine::fire_cron& step, const plan& with);
  [[nodiscard]] std::optional<engine::job_id> fire(const engine::cron_entry& entry,
                                                   engine::durability level);
  /// The job of the entry's last slot, while it has not ended.
  [[nodiscard]] job_slot predecessor(const engine::cron_entry& entry) const;
  void write_cron(const engine::cron_entry& entry);

  // steps_cache.cpp
  refused check(const engine::put_cache& step, plan& with);
  refused check(const engine::claim_cache& step, plan& with);
  refused check(const engine::renew_claim& step, plan& with);
  refused check(const engine::release_claim& step, plan& with);
  refused check(const engine::delete_cache& step, plan& with);
  refused check(const engine::invalidate_tag& step, plan& with);
  refused check(const engine::delete_matching& step, plan& with);
  refused check(const engine::clear_cache& step, plan& with);
  engine::outcome apply(engine::put_cache& step, const plan& with);
  engine::outcome apply(engine::claim_cache& step, const plan& with);
  engine::outcome apply(engine::renew_claim& step, const plan& with);
  engine::outcome apply(engine::release_claim& step, const plan& with);
  engine::outcome apply(engine::delete_cache& step, const plan& with);
  engine::outcome apply(engine::invalidate_tag& step, const plan& with);
  engine::outcome apply(engine::delete_matching& step, const plan& with);
  engine::outcome apply(engine::clear_cache& step, const plan& with);
  [[nodiscard]] refused check_claim(const engine::cache_key& at, std::uint64_t lease);
  void end_claim(cache_table::project& in, const std::string& key);
  cache_table::entries::iterator forget(cache_table::project& in,
                                        cache_table::entries::iterator which);
  std::vector<std::string> make_room(cache_table::project& in, const cache_table::entry& but);
  void write_mark(const std::string& project, std::string_view tag, std::uint64_t stamp);
  /// From the disk, where it is not in memory. False when it cannot be read.
  [[nodiscard]] bool load_value(cache_table::entry& of);

  // load_cache.cpp
  void distrust_cache(bool clean, std::uint64_t boot_before);
  void load_cache();
  void sweep_cache();
  [[nodiscard]] std::optional<timestamp> next_cache_ending();
  [[nodiscard]] result<engine::answer> answer(const engine::read_cache& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_cache& what);
  [[nodiscard]] result<engine::answer> answer(const engine::read_cache_stats& what);
  // steps_limits.cpp
  refused check(const engine::take_limits& step, plan& with);
  refused check(const engine::refund_limits& step, plan& with);
  refused check(const engine::reset_limits& step, plan& with);
  engine::outcome apply(engine::take_limits& step, const plan& with);
  engine::outcome apply(engine::refund_limits& step, const plan& with);
  engine::outcome apply(engine::reset_limits& step, const plan& with);
  refused check(const engine::block_limit& step, plan& with);
  refused check(const engine::renew_limit_permit& step, plan& with);
  refused check(const engine::release_limit_permit& step, plan& with);
  engine::outcome apply(engine::block_limit& step, const plan& with);
  engine::outcome apply(engine::renew_limit_permit& step, const plan& with);
  engine::outcome apply(engine::release_limit_permit& step, const plan& with);
  [[nodiscard]] result<engine::answer> answer(const engine::list_limit_blocks& what);
  void keep_block(const std::string& project, const std::string& scope, const std::string& id);
  void keep_budgets(const std::string& project, const std::vector<engine::limit_check>& checks);
  void sweep_budgets();
  void load_budgets();
  // steps_events.cpp
  refused check(const engine::publish_event& step, plan& with);
  refused check(const engine::configure_stream& step, plan& with);
  engine::outcome apply(engine::publish_event& step, const plan& with);
  engine::outcome apply(engine::configure_stream& step, const plan& with);
  [[nodiscard]] refused refuse_new_stream(const engine::stream_key& key, plan& with);
  [[nodiscard]] stream_state& open_stream(const engine::stream_key& key);
  void forget_events_and_records();
  void hint_record(const live_key& key);
  [[nodiscard]] result<engine::answer> answer(const engine::read_events& what);
  [[nodiscard]] result<engine::answer> answer(const engine::find_stream& what);

  // steps_live.cpp
  refused check(const engine::put_progress& step, plan& with);
  refused check(const engine::delete_progress& step, plan& with);
  refused check(const engine::put_agent& step, plan& with);
  refused check(const engine::put_connection& step, plan& with);
  refused check(const engine::drop_connection& step, plan& with);
  engine::outcome apply(engine::put_progress& step, const plan& with);
  engine::outcome apply(engine::delete_progress& step, const plan& with);
  engine::outcome apply(engine::put_agent& step, const plan& with);
  engine::outcome apply(engine::put_connection& step, const plan& with);
  engine::outcome apply(engine::drop_connection& step, const plan& with);
  template <class Value>
  [[nodiscard]] std::optional<Value> find_live(const live_key& key);
  [[nodiscard]] std::optional<engine::progress_entry> find_progress_entry(
      const std::string& project, const std::string& correlation_id);
  [[nodiscard]] result<engine::answer> answer(const engine::find_progress& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_agents& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_connections& what);

  // steps_sessions.cpp
  refused check(const engine::create_session& step, plan& with);
  refused check(const engine::touch_session& step, plan& with);
  refused check(const engine::change_session& step, plan& with);
  refused check(const engine::rotate_session& step, plan& with);
  refused check(const engine::end_session& step, plan& with);
  refused check(const engine::end_user_sessions& step, plan& with);
  engine::outcome apply(engine::create_session& step, const plan& with);
  engine::outcome apply(engine::touch_session& step, const plan& with);
  engine::outcome apply(engine::change_session& step, const plan& with);
  engine::outcome apply(engine::rotate_session& step, const plan& with);
  engine::outcome apply(engine::end_session& step, const plan& with);
  engine::outcome apply(engine::end_user_sessions& step, const plan& with);
  /// There is room for one more session, of the user where there is one.
  [[nodiscard]] refused refuse_session_of(const std::string& project, const std::string& user,
                                          std::uint32_t at_most, engine::session_overflow beyond);
  std::uint32_t make_room_for_session(const std::string& project, const std::string& user,
                                      std::uint32_t at_most, engine::session_overflow beyond);
  void forget_sessions();
  [[nodiscard]] result<engine::answer> answer(const engine::find_session& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_sessions& what);

  // steps_groups.cpp
  refused check(const engine::put_group& step, plan& with);
  refused check(const engine::delete_group& step, plan& with);
  refused check(const engine::read_group& step, plan& with);
  refused check(const engine::settle_deliveries& step, plan& with);
  engine::outcome apply(engine::put_group& step, const plan& with);
  engine::outcome apply(engine::delete_group& step, const plan& with);
  engine::outcome apply(engine::read_group& step, const plan& with);
  engine::outcome apply(engine::settle_deliveries& step, const plan& with);
  [[nodiscard]] result<engine::answer> answer(const engine::list_groups& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_pending& what);

  [[nodiscard]] const engine::stream_info* stream_of(const engine::group_key& key);
  [[nodiscard]] engine::group_info info(const engine::group_key& key, const kept_group& group);
  [[nodiscard]] engine::group_state new_group(const engine::group_key& key,
                                              const engine::group_start& start);
  [[nodiscard]] refused refuse_new_group(const engine::group_key& key, plan& with);
  [[nodiscard]] bool deliver_again(const engine::read_group& step, kept_group& group,
                                   engine::group_read& into);
  void deliver_new(const engine::read_group& step, kept_group& group, engine::group_read& into);
  void hint_stream(const engine::stream_key& stream);

  // steps_locks.cpp
  refused check(const engine::acquire_lock& step, plan& with);
  refused check(const engine::extend_lock& step, plan& with);
  refused check(const engine::release_lock& step, plan& with);
  refused check(const engine::pass_fence& step, plan& with);
  engine::outcome apply(engine::acquire_lock& step, const plan& with);
  engine::outcome apply(engine::extend_lock& step, const plan& with);
  engine::outcome apply(engine::release_lock& step, const plan& with);
  engine::outcome apply(engine::pass_fence& step, const plan& with);
  [[nodiscard]] engine::lock_state lock_state_of(const engine::lock_key& key);
  void keep_lock(const engine::lock_key& key, engine::lock_state& state);
  void end_lock(const live_key& row);
  [[nodiscard]] result<engine::answer> answer(const engine::find_lock& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_lock_holders& what);

  // maintenance.cpp
  void apply_due();
  void sweep();
  [[nodiscard]] bool forget_oldest(queue_state& queue);

  // queries.cpp
  [[nodiscard]] result<engine::answer> answer(const engine::find_job& what);
  [[nodiscard]] result<engine::answer> answer(const engine::read_job_log& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_jobs& what);
  [[nodiscard]] result<engine::answer> answer(const engine::dead_at& what);
  [[nodiscard]] result<engine::answer> answer(const engine::find_queue& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_queues& what);
  [[nodiscard]] result<engine::answer> answer(const engine::read_dead_stats& what);
  [[nodiscard]] result<engine::answer> answer(const engine::find_cron& what);
  [[nodiscard]] result<engine::answer> answer(const engine::list_crons& what);
  [[nodiscard]] result<engine::answer> answer(const engine::due_crons& what);
  [[nodiscard]] result<engine::answer> answer(const engine::read_clock& what);
  [[nodiscard]] result<engine::answer> answer(const engine::probe_store& what);
  [[nodiscard]] engine::queue_info info(queue_state& queue);

  // list_jobs.cpp
  /// A place in a listing: what it is ordered by, then the id.
  using place = std::pair<std::int64_t, std::uint64_t>;
  struct candidates {
    std::vector<place> places;
    /// There may be more behind them.
    bool more{false};
  };
  [[nodiscard]] candidates list_by_time(const queue_state& queue, const engine::job_filter& filter,
                                        const std::optional<place>& after) const;
  [[nodiscard]] candidates list_newest(const queue_state& queue, const engine::job_filter& filter,
                                       const std::optional<place>& after);

  // list_correlated.cpp
  struct carrying_event {
    correlation_index::place at;
    std::uint64_t hash{0};
  };
  void note_carried(const std::string& project, const std::string& id, correlation_index::place at);
  void load_carrying_events();
  /// Those of them with smaller stamps.
  void note_loaded_events(std::uint64_t below);
  void note_loaded_job(const queue_state& queue, std::uint64_t id, std::string_view carried);
  [[nodiscard]] std::optional<engine::job> job_of_stamp(std::uint64_t stamp);
  [[nodiscard]] std::optional<engine::job> job_itself(const engine::list_correlated& what,
                                                      std::uint64_t bound);
  [[nodiscard]] bool add_event(const engine::list_correlated& what,
                               const correlation_index::place& at,
                               engine::list_correlated::page& into);
  [[nodiscard]] result<engine::answer> answer(const engine::list_correlated& what);

  // load.cpp
  [[nodiscard]] result<void> begin_life(timestamp now);
  void load_queues(memory_state& into);
  void load_jobs(memory_state& into);
  /// A live job that has not found its place yet.
  struct loaded_job {
    std::int64_t run_at;
    std::uint64_t order;
    job_slot slot;
    engine::job_status status;
    friend bool operator>(const loaded_job& a, const loaded_job& b) {
      return std::pair(a.run_at, a.order) > std::pair(b.run_at, b.order);
    }
  };
  void load_job(memory_state& into, statement& job, statement* state);
  void load_live(memory_state& into, queue_state& queue, statement& from, statement* state);
  static void load_state(live_job& job, loaded_job& waiting, statement& from);
  void place_loaded(memory_state& into, std::int64_t before, std::uint64_t order);
  void place_rest(memory_state& into);
  void load_crons(memory_state& into);
  void load_keys(memory_state& into);
  /// What the journal says was running when the store was closed or died.
  void adopt_leases();
  /// Renews the leases of jobs that run, drops the others.
  void settle_adopted_leases(const memory_state& jobs_of);
  /// Undoes the present group; says why it failed.
  [[nodiscard]] error roll_back();
  /// Builds memory anew from the disk; false when that cannot be read either.
  bool reload();

  settings with_;
  std::unique_ptr<database> db_;
  std::unique_ptr<lease_journal> journal_;
  job_rows rows_;
  statement begin_;
  statement commit_;
  statement rollback_;
  statement read_meta_;
  statement write_meta_;
  statement write_queue_;
  statement write_cron_;
  statement delete_cron_;
  statement find_key_;
  statement insert_key_;
  statement delete_key_;
  cache_rows cache_rows_;
  cache_table cache_;
  statement write_budget_;
  statement delete_budget_;
  statement sweep_budgets_;
  statement first_budget_;
  statement read_budgets_;

  lease_table leases_;
  std::unique_ptr<memory_state> memory_;
  hot_jobs hot_;
  engine::limit_table limits_;
  /// When the first of the budgets that are rows is over; none is over before.
  timestamp first_budget_end_{timestamp::max()};
  correlation_index correlated_;
  event_log events_;
  live_table live_;
  session_table sessions_;
  event_groups groups_;
  stamp_source stamps_;
  std::int64_t last_queue_row_{0};
  timestamp now_{};

  // Of the present group.
  bool begun_{false};
  bool sync_first_{false};
  bool applying_due_{false};
  job_hints about_jobs_{job_hints::wanted};
  /// Calls of `to_write`.
  std::uint64_t writes_{0};
  std::vector<counted> counted_;
  std::vector<queue_state*> hinted_;
  std::vector<engine::job_id> changed_jobs_;
  bool crons_changed_{false};
  std::vector<engine::cache_key> claims_ended_;
  std::vector<engine::topic> changed_topics_;
  /// Jobs that ended; and those since the last sweep.
  std::size_t ended_{0};
  std::size_t ended_unswept_{0};

  // Of `load_jobs`.
  std::vector<carrying_event> carrying_events_;
  std::priority_queue<loaded_job, std::vector<loaded_job>, std::greater<>> loaded_;
  bool memory_is_stale_{false};
};

[[nodiscard]] error job_not_found();
[[nodiscard]] error conflict(std::string_view code, std::string detail);
[[nodiscard]] constexpr bool is_waiting(engine::job_status status) noexcept {
  return status == engine::job_status::queued || status == engine::job_status::scheduled ||
         status == engine::job_status::retrying;
}

}  // namespace millrace::embedded
