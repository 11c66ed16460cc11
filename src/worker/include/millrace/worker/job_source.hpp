#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/progress_steps.hpp>
#include <millrace/engine/queue_steps.hpp>
#include <millrace/queue/queue.hpp>

#include <cstdint>
#include <variant>
#include <vector>

namespace millrace {

/// What ends a run.
using settle_step = std::variant<engine::ack_job, engine::fail_job, engine::snooze_job>;

/// Where a worker gets its jobs and leaves what became of them: the port between `worker` and
/// `queue_source` (in process) or `http_source` (a server).
///
/// Guarantees: the answers to several steps come in their order, one each.
/// Errors:     not_found and conflict: the run is no longer this worker's. unavailable, exhausted,
///             outcome_unknown, deadline_exceeded, storage_full, cancelled: try again. Others: the
///             request itself is wrong.
class job_source {
public:
  virtual ~job_source() = default;

  /// As `queues::reserve`: waits up to `wait` for the first job.
  ///
  /// Cancellation: terminal; nothing stays reserved as far as the source can see to it.
  [[nodiscard]] virtual awaitable<result<std::vector<engine::leased_job>>> reserve(
      reserve_request request) = 0;
  [[nodiscard]] virtual awaitable<std::vector<result<engine::job_changed>>> settle(
      std::vector<settle_step> steps) = 0;
  [[nodiscard]] virtual awaitable<std::vector<result<engine::lease_extended>>> extend(
      std::vector<engine::extend_lease> steps) = 0;
  [[nodiscard]] virtual awaitable<std::vector<result<engine::job_changed>>> report(
      std::vector<engine::report_progress> steps) = 0;
  /// Changes the progress of requests; answers how many steps each of them has.
  [[nodiscard]] virtual awaitable<std::vector<result<std::uint32_t>>> tell(
      std::vector<engine::put_progress> steps) = 0;
};

}  // namespace millrace
