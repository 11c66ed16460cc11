#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/job.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The steps of the queue capability. A step is *check(state) → apply*: its check reads only the
/// state before the transaction; its apply cannot fail. See `store` for how steps are committed.
///
/// Before any check, everything that is due on the store's clock has happened: jobs whose `run_at`
/// has come are queued, and leases whose end has come have ended their run. It happens at its due
/// time, however late it is noticed (an expired lease has `failed_at` its end), all of it in one
/// order: of time, then of id. Within a priority, jobs are handed out in the order in which they
/// became available.
///
/// Steps are applied in order. `lease_jobs` and `purge_jobs` choose when they are applied, so that
/// a lease may hand out what an enqueue before it has made; they pass over the jobs that other
/// steps of the transaction address. An enqueue addresses the holder of its unique key, and a
/// `fire_cron` the entry's last job where its overlap policy looks at it.
namespace millrace::engine {

/// Makes a job. The queue exists from then on.
///
/// Refused: queue_full (exhausted; the jobs that this transaction makes there count together),
/// queue_draining (conflict, also for what would be a duplicate), too_many_queues (exhausted).
/// A `unique` key that is held is no error: see `unique_mode`. The level is cut to the strongest
/// that the store gives. The job made has neither `spec.delay` nor `spec.run_at`: `job::run_at`
/// says both.
struct enqueue_job {
  queue_key queue;
  job_spec spec;
  durability level{durability::durable};
  /// Take max_attempts, backoff from the queue's settings where it has them.
  bool default_attempts{false};
  bool default_backoff{false};
  /// The durability is the queue's own where it has one; `level` where it has none.
  bool default_level{false};
};
struct job_enqueued {
  job made;
  /// The job is the one that held the unique key, unchanged.
  bool duplicate{false};
  /// The job is the one that held the unique key, with the new data.
  bool replaced{false};
};

/// Hands out up to `max` available jobs, from the first queue that has any, then the next.
/// Paused queues, and jobs whose queue or group is at its rate or concurrency bound, are passed
/// over. Each job's attempts grow by one; it gets a new token. Never refused; may hand out none.
/// A queue exists from its first lease call on.
struct lease_jobs {
  /// In the order in which they are tried; all of one project.
  std::vector<queue_key> queues;
  std::uint32_t max{1};
  /// Zero: the job's own lease, else `lease_default`.
  duration lease{0};
  /// Who asks; for people. At most 128 bytes.
  std::string worker;
};
struct jobs_leased {
  std::vector<leased_job> jobs;
  /// When something may become available without a further step (due job, rate window, lease end);
  /// empty when only a step can. May be too early, never too late.
  std::optional<timestamp> next_at;
};

// The steps of a run name the job and its token. Refused: job_not_found; stale_token (conflict)
// when the token is not that of the current lease — expired, handed to another worker, cancelled.

/// The run succeeded: the job is completed, its result kept.
struct ack_job {
  job_id id;
  std::uint64_t token{0};
  /// JSON text; empty counts as `null`.
  std::string result;
};

/// The run failed: retried after the job's backoff (or `retry_in`; queued at once where that is
/// zero), dead after the last attempt or when `permanent`; cancelled where cancellation had been
/// asked for. However it goes on, the error is kept and the run counts as failed.
struct fail_job {
  job_id id;
  std::uint64_t token{0};
  std::string error;
  bool permanent{false};
  /// The handler knows better when to try again. Does not grant a further attempt.
  std::optional<duration> retry_in;
};

/// The handler is alive: the lease ends `lease` from now, be that sooner than before, but never
/// beyond the job's `timeout`, counted from the start of the run.
struct extend_lease {
  job_id id;
  std::uint64_t token{0};
  /// Zero: as long as the lease was granted for.
  duration lease{0};
  /// JSON text, carried to the next attempt; empty keeps what there is.
  std::optional<std::string> checkpoint;
};
struct lease_extended {
  timestamp leased_until{};
  bool cancel_requested{false};
};

/// Hands the job back unharmed: available again after `delay`, and this run does not count as an
/// attempt. With delay zero the job is queued at once.
struct snooze_job {
  job_id id;
  std::uint64_t token{0};
  duration delay{0};
};

/// What a handler tells about itself. Async: a crash of the store may lose the latest.
struct report_progress {
  job_id id;
  std::uint64_t token{0};
  /// 0 to 1.
  std::optional<double> value;
  std::optional<std::string> message;
  std::vector<std::string> log;
};

/// What became of the job a step addressed: the outcome of ack, fail, snooze, report, cancel,
/// delete and requeue.
struct job_changed {
  job_id id;
  job_status status{job_status::queued};
  std::uint32_t attempts{0};
  timestamp run_at{};
  bool cancel_requested{false};
};

/// A waiting job is cancelled; a running one is asked to stop (`cancel_requested`), and is
/// cancelled when its run fails, is handed back or expires. If it completes all the same it counts
/// as completed. Refused: job_not_found, job_ended (conflict).
struct cancel_job {
  job_id id;
};

/// Forgets the job; answers as it was. Refused: job_not_found, job_running (conflict).
struct delete_job {
  job_id id;
};

/// Brings a dead job back: same id, attempts 0, available at once. Error, checkpoint, progress and
/// log stay. Refused: job_not_found, job_not_dead (conflict), queue_draining; never for the depth.
/// The unique key is taken again where it is free, else dropped.
struct requeue_dead {
  job_id id;
};

enum class purge_target : std::uint8_t {
  /// queued, scheduled and retrying.
  waiting,
  dead,
  /// completed and cancelled.
  finished,
};
/// Deletes up to `max` jobs of a queue, oldest first (waiting: by id; dead: by failure; finished:
/// by end). Repeat until it answers fewer. Refused: queue_not_found.
struct purge_jobs {
  queue_key queue;
  purge_target target{purge_target::waiting};
  std::uint32_t max{1000};
};
struct jobs_purged {
  std::uint64_t count{0};
};

/// Replaces a queue's settings, and its state where given. The queue exists from then on. Starts
/// that still count under a changed rate go on counting. Refused: too_many_queues.
struct configure_queue {
  queue_key queue;
  std::optional<queue_settings> settings;
  std::optional<bool> paused;
  std::optional<bool> draining;
};
struct queue_configured {};

/// Makes or replaces a recurring job. `entry.next_at` is computed by the caller (the queue room);
/// counters and `last_*` of an existing entry are kept. Answers `cron_fired` with the entry as it
/// is now. Refused: too_many_crons (exhausted).
struct put_cron {
  cron_entry entry;
};
/// Answers `cron_fired` with the entry as it was. Refused: cron_not_found.
struct delete_cron {
  std::string project;
  std::string name;
};
/// Fires one slot: enqueues the entry's job and moves the entry on, in one commit. However many
/// schedulers try, one wins. Refused: cron_not_found, cron_moved (conflict) unless `version` and
/// `slot` are the entry's own.
struct fire_cron {
  std::string project;
  std::string name;
  std::uint64_t version{0};
  timestamp slot{};
  /// The entry's next slot, empty for none.
  std::optional<timestamp> next_at;
  /// Only move on: the slot is passed over (catch-up policy).
  bool pass_over{false};
};
struct cron_fired {
  cron_entry entry;
  /// Empty when the slot was left out by the overlap policy, passed over, or the queue or the job's
  /// unique key refused: counted in `skipped`. A refusal of the queue comes before everything else,
  /// and a slot that was left out makes no queue.
  std::optional<job_id> made;
};

}  // namespace millrace::engine
