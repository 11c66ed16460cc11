#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

/// One job to be made, as a producer says it. What is left out comes from the queue's settings.
struct enqueue_request {
  engine::queue_key queue;
  /// Its `max_attempts` and `backoff` do not count: the two below do.
  engine::job_spec spec;
  /// Empty: the queue's own, else 4 runs.
  std::optional<std::uint32_t> max_attempts;
  /// Empty: the queue's own, else that of `backoff_spec`.
  std::optional<backoff_spec> backoff;
  /// Empty: the queue's own, else the strongest the store gives.
  std::optional<engine::durability> level;
};

struct weighted_queue {
  engine::queue_key queue;
  /// 1 to 1000. A queue is tried first in proportion to its weight; all are tried.
  std::uint32_t weight{1};
};

struct reserve_request {
  /// 1 to 64 queues of one project.
  std::vector<weighted_queue> queues;
  /// 1 to 1000 jobs.
  std::uint32_t max{1};
  /// How long to wait for the first job. 0 to 60 s.
  duration wait{0};
  /// 0 (the job's own, else 30 s), or 1 s to 24 h.
  duration lease{0};
  std::string worker;
};

/// What `requeue_dead_where` came to.
struct bulk_report {
  /// Dead letters that matched.
  std::uint64_t matched{0};
  /// Jobs that were changed; with `dry_run` none are.
  std::uint64_t changed{0};
};

/// Checks everything a producer can get wrong. The error names the field as API.md does (`data`,
/// `priority`, `labels.key`, `backoff.base`, …).
[[nodiscard]] result<void> check(const enqueue_request& request);
[[nodiscard]] result<void> check(const engine::queue_settings& settings);

/// What ties a job to the logs, events and requests it belongs to: the id it was given, else its
/// own. Jobs that no request made (those of a recurring entry) have none unless the entry gives it.
[[nodiscard]] std::string correlation_of(const engine::job& job);

/// The step that makes a checked request happen, for a transaction of several steps.
///
/// A request that names no durability takes the queue's own, else the strongest the store gives.
/// Errors: unsupported (durability_unavailable) where it names one that the store cannot give.
[[nodiscard]] result<engine::step> to_step(enqueue_request request,
                                           const engine::store_traits& store);

/// Durable background jobs: at least once, fenced by tokens, on any engine.
///
/// Guarantees: a job whose enqueue was answered runs until it is acknowledged, has failed for good,
///             or is cancelled, whatever dies in between. A stale token changes nothing.
/// Threading:  safe from any executor; holds no state of its own.
/// Lifetime:   the store must outlive this object and every call.
/// Cost:       one round trip to the store a call, unless said otherwise.
class queues final {
public:
  explicit queues(engine::store& store) noexcept;

  /// Errors: those of `check`; unsupported (durability_unavailable); queue_full, queue_draining.
  [[nodiscard]] awaitable<result<engine::job_enqueued>> enqueue(enqueue_request request);
  /// Each by itself: one result a request, in order, in one round trip.
  [[nodiscard]] awaitable<std::vector<result<engine::job_enqueued>>> enqueue_each(
      std::vector<enqueue_request> requests);
  /// All or none. The error's field begins with the index of the request: `3.priority`.
  [[nodiscard]] awaitable<result<std::vector<engine::job_enqueued>>> enqueue_all(
      std::vector<enqueue_request> requests);

  /// Hands out jobs, waiting up to `wait` for the first. Woken by the store, never polling (a slow
  /// safety look every 5 s apart).
  ///
  /// Returns:      the jobs; none when the wait ended.
  /// Errors:       invalid_argument; those of the store, at once.
  /// Cancellation: terminal, ends the wait at once with `cancelled`. A lease that was granted
  ///               meanwhile is handed back, attempt intact. A server that stops cancels its
  ///               waiting reserves and answers them empty.
  /// Cost:         one round trip a look.
  [[nodiscard]] awaitable<result<std::vector<engine::leased_job>>> reserve(reserve_request request);

  [[nodiscard]] awaitable<result<engine::job_changed>> ack(engine::ack_job step);
  [[nodiscard]] awaitable<result<engine::job_changed>> fail(engine::fail_job step);
  [[nodiscard]] awaitable<result<engine::lease_extended>> extend(engine::extend_lease step);
  [[nodiscard]] awaitable<result<engine::job_changed>> snooze(engine::snooze_job step);
  [[nodiscard]] awaitable<result<engine::job_changed>> report(engine::report_progress step);
  [[nodiscard]] awaitable<result<engine::job_changed>> cancel(engine::job_id id);
  [[nodiscard]] awaitable<result<engine::job_changed>> remove(engine::job_id id);
  [[nodiscard]] awaitable<result<engine::job_changed>> requeue(engine::job_id id);

  /// Requeues every dead letter that matches and was there when it began, in commits of up to 500;
  /// what another call was faster with is passed over. `filter.status` does not count.
  ///
  /// Errors: the first refusal that is not one job's own (queue_draining, unavailable, …); what was
  ///         requeued before stays requeued.
  [[nodiscard]] awaitable<result<bulk_report>> requeue_dead_where(engine::queue_key queue,
                                                                  engine::job_filter filter,
                                                                  bool dry_run);
  /// Deletes all jobs of a kind that are there when it begins, in commits of up to 1000. Answers
  /// how many. Errors: not_found (queue_not_found).
  [[nodiscard]] awaitable<result<std::uint64_t>> purge(engine::queue_key queue,
                                                       engine::purge_target target);

  /// Errors: also unsupported (durability_unavailable) for a level the store cannot give.
  [[nodiscard]] awaitable<result<void>> configure(engine::configure_queue step);

  [[nodiscard]] engine::store& store() const noexcept { return store_; }

private:
  engine::store& store_;
};

}  // namespace millrace
