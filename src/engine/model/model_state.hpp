#pragma once

#include "model_cache.hpp"
#include "model_sessions.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/group_rules.hpp>
#include <millrace/engine/live_rules.hpp>
#include <millrace/engine/lock_rules.hpp>
#include <millrace/engine/rate_window.hpp>
#include <millrace/engine/retry.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the port means, written down once in the simplest form that is correct: plain containers,
/// one thread, a clock that is handed in. `model_store` adds the lock, the hints and the timer.
namespace millrace::model {

using stamp = std::uint64_t;

struct job_record {
  engine::job what;
  /// The place among available jobs: a stamp taken when the job last became available.
  stamp available{0};
  /// What the current lease was granted for, before `timeout` cut it.
  duration lease_length{0};
  std::vector<engine::job_log_line> log;
};

struct queue_record {
  engine::queue_settings settings;
  bool paused{false};
  bool draining{false};
  engine::rate_window starts;
  std::map<std::string, engine::rate_window> group_starts;
  /// Jobs by status, kept by `set_status` and `forget` alone.
  std::array<std::uint64_t, 7> count{};
  std::map<timestamp, engine::minute_count> minutes;

  [[nodiscard]] std::uint64_t in(engine::job_status status) const {
    return count[static_cast<std::size_t>(status)];
  }
  [[nodiscard]] std::uint64_t waiting() const {
    return in(engine::job_status::queued) + in(engine::job_status::scheduled) +
           in(engine::job_status::retrying);
  }
};

struct idempotency_record {
  std::uint64_t fingerprint{0};
  timestamp made_at{};
  engine::committed answer;
};

/// What still counts against one limit.
struct limit_record {
  /// When each charge counts no more, and how much it is; in this order.
  std::vector<std::pair<timestamp, std::uint64_t>> charges;
  /// Of a token bucket: what is missing, in tokens times microseconds of a window, at a moment.
  __extension__ __int128 bucket_missing{0};
  timestamp bucket_at{};
  std::uint64_t bucket_limit{1};
  /// Permits by their numbers: until when, and how many.
  std::map<std::uint64_t, std::pair<timestamp, std::uint64_t>> permits;

  [[nodiscard]] std::uint64_t count(timestamp now) const;
};
/// Refusals that count for a penalty.
struct strike_record {
  std::uint64_t count{0};
  timestamp ends{};
};

struct hint {
  engine::topic what;
  std::size_t count{engine::wakeups::all};
};

struct stream_record {
  engine::stream_info info;
  /// The retention is the stream's own: it is not forgotten.
  bool own{false};
  /// Of the event before the first one that is kept; 0 where there was none.
  stamp before{0};
  std::vector<engine::event> events;
};

/// The newest fence that a resource has passed.
struct fence_record {
  std::uint64_t fence{0};
  timestamp expires_at{};
};

struct agent_record {
  engine::agent_progress what;
  timestamp expires_at{};
};

struct connection_record {
  engine::live_connection what;
  timestamp expires_at{};
};

/// What the checks of one transaction found out, for its applies.
struct plan {
  engine::durability level{engine::durability::memory};
  /// Jobs that its steps write to, which lease and purge therefore pass over.
  std::set<stamp> addressed;
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

class model_state final {
public:
  explicit model_state(const options& with) : limits_(with), cache_(with.cache_bytes_max) {}

  /// Lets everything happen that is due at `clock_now`. The state's time never goes back.
  void advance(timestamp clock_now);
  [[nodiscard]] engine::commit_result commit(const engine::transaction& what);
  [[nodiscard]] result<engine::answer> ask(const engine::query& what) const;

  /// As `model_store::restart`. Nothing that is due at `clock_now` has happened yet.
  void restart(timestamp clock_now);

  void set_defaults(const engine::queue_settings& to);

  /// When `advance` has something to do next.
  [[nodiscard]] timestamp next_event() const { return next_event_; }
  [[nodiscard]] std::vector<hint> take_hints();

private:
  using refused = std::optional<error>;
  using cron_name = std::pair<std::string, std::string>;
  using listed = std::pair<timestamp, const job_record*>;

  // model_commit.cpp: a transaction.
  [[nodiscard]] std::expected<plan, engine::refusal> check_all(
      const engine::transaction& what) const;
  [[nodiscard]] std::optional<engine::commit_result> replay(const engine::transaction& what) const;
  void refresh(engine::outcome& kept) const;
  void refresh(engine::job& kept) const;
  [[nodiscard]] std::vector<stamp> addressed_by(const engine::step& what) const;

  // Checks read the state before the transaction and change nothing; applies cannot fail.
  // model_jobs.cpp
  refused check(const engine::enqueue_job& step, plan& with) const;
  refused check(const engine::cancel_job& step, plan& with) const;
  refused check(const engine::delete_job& step, plan& with) const;
  refused check(const engine::requeue_dead& step, plan& with) const;
  refused check(const engine::purge_jobs& step, plan& with) const;
  refused check(const engine::configure_queue& step, plan& with) const;
  engine::outcome apply(const engine::enqueue_job& step, const plan& with);
  engine::outcome apply(const engine::cancel_job& step, const plan& with);
  engine::outcome apply(const engine::delete_job& step, const plan& with);
  engine::outcome apply(const engine::requeue_dead& step, const plan& with);
  engine::outcome apply(const engine::purge_jobs& step, const plan& with);
  engine::outcome apply(const engine::configure_queue& step, const plan& with);
  [[nodiscard]] engine::job_enqueued enqueue(const engine::queue_key& queue, engine::job_spec spec,
                                             engine::durability level);
  [[nodiscard]] engine::job_enqueued make_job(const engine::queue_key& queue, engine::job_spec spec,
                                              engine::durability level);
  void renew(job_record& holder, engine::job_spec spec, engine::unique_mode mode);

  // model_lease.cpp
  refused check(const engine::lease_jobs& step, plan& with) const;
  refused check(const engine::ack_job& step, plan& with) const;
  refused check(const engine::fail_job& step, plan& with) const;
  refused check(const engine::extend_lease& step, plan& with) const;
  refused check(const engine::snooze_job& step, plan& with) const;
  refused check(const engine::report_progress& step, plan& with) const;
  engine::outcome apply(const engine::lease_jobs& step, const plan& with);
  engine::outcome apply(const engine::ack_job& step, const plan& with);
  engine::outcome apply(const engine::fail_job& step, const plan& with);
  engine::outcome apply(const engine::extend_lease& step, const plan& with);
  engine::outcome apply(const engine::snooze_job& step, const plan& with);
  engine::outcome apply(const engine::report_progress& step, const plan& with);
  refused check_run(const engine::job_id& id, std::uint64_t token) const;
  void lease_from(const engine::queue_key& key, queue_record& queue, const engine::lease_jobs& step,
                  const plan& with, std::vector<engine::leased_job>& out);
  [[nodiscard]] bool group_may_start(const queue_record& queue, const job_record& job) const;
  [[nodiscard]] engine::leased_job start_run(queue_record& queue, job_record& job,
                                             const engine::lease_jobs& step);
  [[nodiscard]] std::optional<timestamp> next_available_at(const engine::lease_jobs& step) const;
  /// The job gives its lease back, however its run ended.
  void release(job_record& job);
  void end_failed_run(job_record& job, timestamp at, std::string_view why, engine::next_run next);

  // model_cron.cpp
  refused check(const engine::put_cron& step, plan& with) const;
  refused check(const engine::delete_cron& step, plan& with) const;
  refused check(const engine::fire_cron& step, plan& with) const;
  engine::outcome apply(const engine::put_cron& step, const plan& with);
  engine::outcome apply(const engine::delete_cron& step, const plan& with);
  engine::outcome apply(const engine::fire_cron& step, const plan& with);
  [[nodiscard]] std::optional<engine::job_id> fire(engine::cron_entry& entry, const plan& with);
  [[nodiscard]] const job_record* predecessor(const engine::cron_entry& entry) const;

  // model_cache.cpp
  template <cache_step Step>
  refused check(const Step& step, plan& with) const {
    return cache_.check(step, with.claims_added, now_);
  }
  template <cache_step Step>
  engine::outcome apply(const Step& step, const plan&) {
    return cache_.apply(step, {.now = now_, .next_stamp = [this] { return next_stamp(); }});
  }
  template <cache_query Query>
  [[nodiscard]] result<engine::answer> read(const Query& what) const {
    return cache_.read(what, now_);
  }
  // model_sessions.cpp
  template <session_step Step>
  refused check(const Step& step, plan&) const {
    return sessions_.check(step, now_);
  }
  template <session_step Step>
  engine::outcome apply(const Step& step, const plan&) {
    const engine::outcome out =
        sessions_.apply(step, {.now = now_, .next_stamp = [this] { return next_stamp(); }});
    happens_at(sessions_.next_end());
    return out;
  }
  template <session_query Query>
  [[nodiscard]] result<engine::answer> read(const Query& what) const {
    return sessions_.read(what);
  }
  // model_limits.cpp
  refused check(const engine::take_limits& step, plan& with) const;
  refused check(const engine::refund_limits& step, plan& with) const;
  refused check(const engine::reset_limits& step, plan& with) const;
  engine::outcome apply(const engine::take_limits& step, const plan& with);
  engine::outcome apply(const engine::refund_limits& step, const plan& with);
  engine::outcome apply(const engine::reset_limits& step, const plan& with);
  // model_limit_blocks.cpp
  refused check(const engine::block_limit& step, plan& with) const;
  refused check(const engine::renew_limit_permit& step, plan& with) const;
  refused check(const engine::release_limit_permit& step, plan& with) const;
  engine::outcome apply(const engine::block_limit& step, const plan& with);
  engine::outcome apply(const engine::renew_limit_permit& step, const plan& with);
  engine::outcome apply(const engine::release_limit_permit& step, const plan& with);
  [[nodiscard]] result<engine::answer> read(const engine::list_limit_blocks& what) const;
  [[nodiscard]] timestamp blocked_until(const std::string& project, const std::string& scope,
                                        const std::string& id) const;
  void show_block(const std::string& project, const engine::limit_check& what,
                  engine::limit_state& in) const;
  void count_strike(const std::string& project, const engine::limit_check& what,
                    engine::limit_state& in);
  void forget_block(const std::string& project, const engine::limit_check& what);
  [[nodiscard]] bool holds_permit(const std::string& project, const engine::limit_check& what,
                                  std::uint64_t permit) const;
  // model_limits.cpp
  [[nodiscard]] refused refuse_moved(const std::vector<engine::limit_check>& checks) const;
  [[nodiscard]] const limit_record& limit_of(const std::string& project,
                                             const engine::limit_check& what) const;
  [[nodiscard]] engine::limit_state look_at(const std::string& project,
                                            const engine::limit_check& what,
                                            std::uint64_t wanted) const;
  void charge(const std::string& project, const engine::limit_check& what, std::uint64_t cost,
              std::uint64_t permit);
  void give_back(const std::string& project, const engine::limit_check& what,
                 std::optional<timestamp> taken_at);
  // model_events.cpp
  refused check(const engine::publish_event& step, plan& with) const;
  refused check(const engine::configure_stream& step, plan& with) const;
  engine::outcome apply(const engine::publish_event& step, const plan& with);
  engine::outcome apply(const engine::configure_stream& step, const plan& with);
  [[nodiscard]] result<engine::answer> read(const engine::read_events& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::find_stream& what) const;
  [[nodiscard]] refused refuse_new_stream(const engine::stream_key& key, plan& with) const;
  [[nodiscard]] stream_record& open_stream(const engine::stream_key& key);
  void drop_first(stream_record& of) const;
  void trim(stream_record& of) const;
  void forget_old_events();
  [[nodiscard]] timestamp next_event_of_streams() const;

  // model_groups.cpp
  refused check(const engine::put_group& step, plan& with) const;
  refused check(const engine::delete_group& step, plan& with) const;
  refused check(const engine::read_group& step, plan& with) const;
  refused check(const engine::settle_deliveries& step, plan& with) const;
  engine::outcome apply(const engine::put_group& step, const plan& with);
  engine::outcome apply(const engine::delete_group& step, const plan& with);
  engine::outcome apply(const engine::read_group& step, const plan& with);
  engine::outcome apply(const engine::settle_deliveries& step, const plan& with);
  [[nodiscard]] result<engine::answer> read(const engine::list_groups& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_pending& what) const;
  [[nodiscard]] refused refuse_new_group(const engine::group_key& key, plan& with) const;
  [[nodiscard]] const stream_record* find_stream_of(const engine::group_key& key) const;
  [[nodiscard]] engine::group_info info(const engine::group_key& key,
                                        const engine::group_state& group) const;
  [[nodiscard]] engine::group_state new_group(const engine::group_key& key,
                                              const engine::group_start& start) const;
  void deliver_again(const engine::read_group& step, engine::group_state& group,
                     engine::group_read& into) const;
  void deliver_new(const engine::read_group& step, engine::group_state& group,
                   engine::group_read& into) const;

  // model_locks.cpp
  refused check(const engine::acquire_lock& step, plan& with) const;
  refused check(const engine::extend_lock& step, plan& with) const;
  refused check(const engine::release_lock& step, plan& with) const;
  refused check(const engine::pass_fence& step, plan& with) const;
  engine::outcome apply(const engine::acquire_lock& step, const plan& with);
  engine::outcome apply(const engine::extend_lock& step, const plan& with);
  engine::outcome apply(const engine::release_lock& step, const plan& with);
  engine::outcome apply(const engine::pass_fence& step, const plan& with);
  [[nodiscard]] result<engine::answer> read(const engine::find_lock& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_lock_holders& what) const;
  [[nodiscard]] const engine::lock_state& state_of(const engine::lock_key& key) const;
  /// After every change of a lock. Whoever it is the turn of is told; a lock that is nobody's is
  /// forgotten.
  void settle_lock(const engine::lock_key& key);
  void end_old_locks();

  // model_live.cpp
  refused check(const engine::put_progress& step, plan& with) const;
  refused check(const engine::delete_progress& step, plan& with) const;
  refused check(const engine::put_agent& step, plan& with) const;
  refused check(const engine::put_connection& step, plan& with) const;
  refused check(const engine::drop_connection& step, plan& with) const;
  engine::outcome apply(const engine::put_progress& step, const plan& with);
  engine::outcome apply(const engine::delete_progress& step, const plan& with);
  engine::outcome apply(const engine::put_agent& step, const plan& with);
  engine::outcome apply(const engine::put_connection& step, const plan& with);
  engine::outcome apply(const engine::drop_connection& step, const plan& with);
  [[nodiscard]] result<engine::answer> read(const engine::find_progress& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_agents& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_connections& what) const;
  void forget_old_records();
  [[nodiscard]] timestamp next_event_of_records() const;

  // model_correlations.cpp
  [[nodiscard]] result<engine::answer> read(const engine::list_correlated& what) const;

  // model_queries.cpp
  [[nodiscard]] result<engine::answer> read(const engine::find_job& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::read_job_log& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_jobs& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::dead_at& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::find_queue& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_queues& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::read_dead_stats& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::find_cron& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_crons& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::due_crons& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::read_clock& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::probe_store& what) const;
  [[nodiscard]] std::vector<listed> select(
      const engine::queue_key& queue, const std::function<bool(const engine::job&)>& wanted,
      const std::function<timestamp(const engine::job&)>& order) const;
  [[nodiscard]] std::vector<listed> dead_letters(const engine::queue_key& queue) const;
  [[nodiscard]] engine::queue_info info(const engine::queue_key& key,
                                        const queue_record& queue) const;
  [[nodiscard]] engine::dead_stats stats(const engine::queue_key& key,
                                         const queue_record& queue) const;
  [[nodiscard]] std::vector<engine::minute_count> recent_minutes(const queue_record& queue) const;

  // model_state.cpp: what every part uses.
  [[nodiscard]] stamp next_stamp();
  [[nodiscard]] job_record* find(const engine::job_id& id);
  [[nodiscard]] const job_record* find(const engine::job_id& id) const;
  [[nodiscard]] const queue_record* find(const engine::queue_key& key) const;
  [[nodiscard]] queue_record& queue_of(const job_record& job);
  /// The queue is there, or there is room for one more.
  [[nodiscard]] bool may_open(const engine::queue_key& key) const;
  /// The queue, made when it is not there and there is room; else null.
  queue_record* open_queue(const engine::queue_key& key);
  [[nodiscard]] const job_record* unique_holder(const engine::queue_key& queue,
                                                const engine::job_spec& spec) const;
  [[nodiscard]] refused refuse_new_queue(const engine::queue_key& key, plan& with) const;
  /// Why a queue takes no new job; `added` are those of the transaction so far, this one included.
  [[nodiscard]] refused refuse_job(const queue_record* queue, std::uint64_t added) const;
  void apply_defaults(engine::enqueue_job& step, const queue_record& queue) const;
  void set_status(job_record& job, engine::job_status status);
  void make_available(job_record& job, timestamp at);
  void wait_until(job_record& job, engine::job_status status, timestamp at);
  void end_job(job_record& job, engine::job_status status, timestamp at);
  /// The last act of every change: a new version, and a hint.
  void touch(job_record& job);
  void forget(const job_record& job);
  void count(queue_record& queue, timestamp at, std::uint64_t engine::minute_count::* what);
  void happens_at(timestamp at);
  /// The end of a lease of the running job that is granted or extended now.
  [[nodiscard]] timestamp lease_end(const job_record& job, duration length) const;
  [[nodiscard]] std::optional<timestamp> forgotten_at(const job_record& job) const;
  [[nodiscard]] timestamp find_next_event() const;
  void apply_due();
  void forget_old();
  /// Keeps the newest `keep_finished_count` of each queue.
  void trim_finished();

  options limits_;
  timestamp now_{};
  timestamp next_event_{timestamp::max()};
  stamp last_stamp_{0};
  std::map<stamp, job_record> jobs_;
  std::map<engine::queue_key, queue_record> queues_;
  std::map<cron_name, engine::cron_entry> crons_;
  std::map<std::array<std::string, 3>, idempotency_record> idempotency_;
  std::map<std::pair<std::string, std::string>, limit_record> limit_records_;
  std::map<std::pair<std::string, std::string>, strike_record> limit_strikes_;
  /// By project, scope and id.
  std::map<std::tuple<std::string, std::string, std::string>, timestamp> limit_blocks_;
  std::map<engine::stream_key, stream_record> streams_;
  /// Events by the ids their publishers gave them.
  std::map<std::pair<engine::stream_key, std::string>, engine::event_published> event_ids_;
  std::map<engine::lock_key, engine::lock_state> locks_;
  std::map<engine::lock_key, fence_record> fences_;
  std::map<engine::group_key, engine::group_state> groups_;
  std::map<std::pair<std::string, std::string>, engine::progress_entry> progress_;
  /// By project, flow and agent; by project and id.
  std::map<std::array<std::string, 3>, agent_record> agents_;
  std::map<std::pair<std::string, std::string>, connection_record> connections_;
  session_model sessions_;
  /// Queues in which a job ended since the last `trim_finished`.
  std::set<engine::queue_key> ended_in_;

  /// A read is a use, which changes what goes first and nothing that can be read.
  mutable cache_model cache_;

  // Hints collected since `take_hints`.
  std::map<engine::queue_key, std::size_t> available_hints_;
  std::set<engine::job_id> changed_jobs_;
  bool crons_changed_{false};
  std::vector<engine::topic> changed_topics_;
};

[[nodiscard]] constexpr bool is_waiting(engine::job_status status) noexcept {
  return status == engine::job_status::queued || status == engine::job_status::scheduled ||
         status == engine::job_status::retrying;
}

[[nodiscard]] engine::job_changed changed(const job_record& job);

/// A run of the job that ended at `at` without success.
[[nodiscard]] engine::ended_run ended(const job_record& job, timestamp at);

// The refusals that several steps share.
[[nodiscard]] error job_not_found();
[[nodiscard]] error conflict(std::string_view code, std::string detail);
}  // namespace millrace::model
