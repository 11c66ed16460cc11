#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine/correlation_queries.hpp>
#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/group_steps.hpp>
#include <millrace/engine/limit_steps.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/engine/lock_steps.hpp>
#include <millrace/engine/progress_steps.hpp>
#include <millrace/engine/queries.hpp>
#include <millrace/engine/queue_steps.hpp>
#include <millrace/engine/session_steps.hpp>
#include <millrace/engine/wakeups.hpp>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The port: everything a capability may ask of an engine, and all that an engine has to give.
namespace millrace::engine {

/// One atomic step of any capability. A further capability adds its steps here.
using step = std::variant<enqueue_job, lease_jobs, ack_job, fail_job, extend_lease, snooze_job,
                          report_progress, cancel_job, delete_job, requeue_dead, purge_jobs,
                          configure_queue, put_cron, delete_cron, fire_cron,
                          // The cache.
                          put_cache, claim_cache, renew_claim, release_claim, delete_cache,
                          invalidate_tag, delete_matching, clear_cache,
                          // Limits.
                          take_limits, refund_limits, reset_limits,
                          // Events, locks, progress.
                          publish_event, configure_stream, acquire_lock, extend_lock, release_lock,
                          put_progress, delete_progress, put_agent, put_connection, drop_connection,
                          // Sessions.
                          create_session, touch_session, change_session, rotate_session,
                          end_session, end_user_sessions,
                          // Blocks and permits of the limiter.
                          block_limit, renew_limit_permit, release_limit_permit,
                          // Fences and groups of consumers.
                          pass_fence, put_group, delete_group, read_group, settle_deliveries>;

/// What a step came to; the alternative follows from the step.
using outcome = std::variant<job_enqueued, jobs_leased, job_changed, lease_extended, jobs_purged,
                             queue_configured, cron_fired,
                             // The cache.
                             cache_stored, cache_claimed, cache_dropped,
                             // Limits.
                             limits_checked,
                             // Events, locks, progress.
                             event_published, stream_configured, lock_answer, progress_changed,
                             agent_changed, connection_changed,
                             // Sessions.
                             session_changed, sessions_ended,
                             // Fences and groups of consumers.
                             fence_passed, group_changed, group_read, deliveries_settled>;

/// Makes a repeated request harmless: the first answer is kept for 24 h in the same commit as its
/// effect, and given again. A transaction that was refused keeps no key. Looked at before the
/// checks; refused: idempotency_mismatch (invalid_argument), idempotency_store_full (unavailable).
struct idempotency_key {
  std::string project;
  std::string route;
  std::string key;
  /// Of the request's body: the same key with another fingerprint is refused
  /// (idempotency_mismatch).
  std::uint64_t fingerprint{0};
};

/// Steps that happen together or not at all.
///
/// All checks run before any apply, against the state before the transaction, and the first step
/// that is refused is named; one record is addressed at most once (duplicate_target); all records
/// live in one store (not_one_store). At most `steps_max` steps.
struct transaction {
  std::vector<step> steps;
  /// When the answer is given. An enqueue raises it to its own level, or the queue's where that
  /// decides (`default_level`); no other step changes it, and no level of a job that exists does.
  /// The store cuts it to its strongest, and `committed::level` says what it came to.
  durability level{durability::durable};
  std::optional<idempotency_key> idempotency;
};

struct committed {
  /// One a step, in order.
  std::vector<outcome> outcomes;
  durability level{durability::durable};
  /// The idempotency key had been used: nothing was done, these are the outcomes of then. Jobs are
  /// as they are now; one that no longer exists has only its id.
  bool replayed{false};
};

/// A transaction that did not happen: why, and at which step.
struct refusal {
  error why;
  std::size_t step_index{0};
};

using commit_result = std::expected<committed, refusal>;

using query =
    std::variant<find_job, read_job_log, list_jobs, dead_at, find_queue, list_queues,
                 read_dead_stats, find_cron, list_crons, due_crons, read_clock, probe_store,
                 // The cache.
                 read_cache, list_cache, read_cache_stats,
                 // Events, locks, progress.
                 read_events, find_stream, find_lock, find_progress, list_agents, list_connections,
                 // Sessions.
                 find_session, list_sessions,
                 // Holders and groups of consumers.
                 list_lock_holders, list_groups, list_pending,
                 // What belongs together.
                 list_correlated,
                 // Blocks of the limiter.
                 list_limit_blocks>;
using answer =
    std::variant<std::optional<job>, std::vector<job_log_line>, page<job>,
                 std::optional<queue_info>, page<queue_info>, std::vector<dead_stats>,
                 std::optional<cron_entry>, page<cron_entry>, due_crons::due, timestamp,
                 probe_store::report,
                 // The cache.
                 read_cache::found, list_cache::rows, read_cache_stats::numbers,
                 // Events, locks, progress.
                 read_events::page, std::optional<stream_info>, std::optional<lock_info>,
                 std::optional<progress_entry>, std::vector<agent_progress>, connection_page,
                 // Sessions.
                 std::optional<session_info>, session_page,
                 // Holders and groups of consumers.
                 std::vector<lock_info>, std::vector<group_info>, std::vector<pending_delivery>,
                 // What belongs together.
                 list_correlated::page,
                 // Blocks of the limiter.
                 limit_block_page>;

struct store_traits {
  std::string_view engine;
  /// The strongest class this set-up gives, and the default.
  durability strongest{durability::durable};
  /// How long after its answer an `async` change may still be lost.
  std::chrono::milliseconds async_window{0};
};

/// An engine.
///
/// Guarantees: transactions are serializable and committed in the order in which they were
///             submitted by one thread. Of a batch each is atomic by itself and answered by itself;
///             they are committed together where the engine can (group commit). A transaction that
///             was answered with success is as durable as `committed::level` says. One that was
///             refused had no effect, except `outcome_unknown`.
/// Threading:  every method from any thread. Handlers run on a thread of the engine, once each, in
///             the order of submission: they must be short and must not throw or block.
/// Lifetime:   closing (by the destructor) answers everything that was submitted.
/// Errors:     unavailable, storage_full (nothing applied), outcome_unknown, exhausted (store_busy:
///             more than `pending_transactions_max` wait), besides those of the steps.
/// Cost:       one round trip to the store a batch.
class store {
public:
  using commit_handler = std::move_only_function<void(std::vector<commit_result>)>;
  using answer_handler = std::move_only_function<void(result<answer>)>;

  virtual ~store() = default;

  /// Commits each transaction of the batch; one result each, in order. Does not block.
  virtual void submit(std::vector<transaction> batch, commit_handler done) = 0;

  virtual void ask(query what, answer_handler done) = 0;

  [[nodiscard]] virtual wakeups& hints() noexcept = 0;
  [[nodiscard]] virtual store_traits traits() const noexcept = 0;
};

}  // namespace millrace::engine
