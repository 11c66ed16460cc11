#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/queue_steps.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

/// What becomes of a job whose run ended without success: one decision for every engine, free of
/// I/O and of the clock.
namespace millrace::engine {

/// The machine words of `job::error_code`.
inline constexpr std::string_view error_code_handler_failed = "handler_failed";
inline constexpr std::string_view error_code_permanent = "permanent";
inline constexpr std::string_view error_code_lease_expired = "lease_expired";

/// A run that did not succeed.
struct ended_run {
  /// The job's id: decides the jitter, together with `attempts`.
  std::uint64_t stamp{0};
  /// Runs begun, this one included.
  std::uint32_t attempts{1};
  bool cancel_requested{false};
  timestamp now{};
};

/// What the handler said about its failure.
struct failure {
  bool permanent{false};
  std::optional<duration> retry_in{};
};

/// What to write into the job.
struct next_run {
  /// retrying, queued, dead or cancelled.
  job_status status{job_status::retrying};
  /// When it becomes available; for dead and cancelled the moment it ended.
  timestamp run_at{};
  std::uint8_t priority{5};
  /// For `job::error_code`.
  std::string_view error_code;
};

/// The handler failed: cancelled where that was asked for, dead when permanent or after the last
/// attempt, else retrying after `retry_in` or the backoff. A retried job moves by
/// `priority_step_on_failure`, never out of 0 to 9.
[[nodiscard]] next_run after_failure(const job_spec& spec, const queue_settings& settings,
                                     const ended_run& run, const failure& why) noexcept;

/// The lease ended first: cancelled where that was asked for, dead after the last attempt, else
/// queued again at once, with the priority it had.
[[nodiscard]] next_run after_expiry(const job_spec& spec, const ended_run& run) noexcept;

/// Fills what an enqueue leaves to the queue (`default_attempts`, `default_backoff`,
/// `default_level`). Where a store has defaults, they come first, then the queue's settings.
void apply_queue_defaults(enqueue_job& step, const queue_settings& settings);

/// Gives what a queue leaves to the store the values of the store's defaults.
void follow_defaults(queue_settings& settings, const queue_settings& defaults);

}  // namespace millrace::engine
