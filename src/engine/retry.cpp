#include <millrace/engine/retry.hpp>

#include <algorithm>

namespace millrace::engine {
namespace {

std::uint8_t moved_priority(std::uint8_t priority, std::int32_t down) noexcept {
  const std::int64_t moved = std::int64_t{priority} - down;
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(moved, 0, 9));
}

template <class T>
void follow(setting<T>& what, const setting<T>& store) {
  if (!what.own()) what = setting<T>::left_to_store(store.value());
}

}  // namespace

next_run after_failure(const job_spec& spec, const queue_settings& settings, const ended_run& run,
                       const failure& why) noexcept {
  next_run next{.run_at = run.now,
                .priority = spec.priority,
                .error_code = why.permanent ? error_code_permanent : error_code_handler_failed};
  if (run.cancel_requested) {
    next.status = job_status::cancelled;
    return next;
  }
  if (why.permanent || run.attempts >= spec.max_attempts) {
    next.status = job_status::dead;
    return next;
  }
  next.status = job_status::retrying;
  next.priority = moved_priority(spec.priority, settings.priority_step_on_failure);
  // The attempt is mixed in so that a job's own retries do not share one jitter.
  next.run_at += why.retry_in ? *why.retry_in
                              : backoff_delay(spec.backoff, run.attempts, run.stamp + run.attempts);
  return next;
}

next_run after_expiry(const job_spec& spec, const ended_run& run) noexcept {
  next_run next{.status = job_status::queued,
                .run_at = run.now,
                .priority = spec.priority,
                .error_code = error_code_lease_expired};
  if (run.cancel_requested) {
    next.status = job_status::cancelled;
  } else if (run.attempts >= spec.max_attempts) {
    next.status = job_status::dead;
  }
  return next;
}

void apply_queue_defaults(enqueue_job& step, const queue_settings& settings) {
  if (step.default_attempts && settings.max_attempts)
    step.spec.max_attempts = *settings.max_attempts;
  if (step.default_backoff && settings.backoff) step.spec.backoff = *settings.backoff;
  if (step.default_level && settings.level) step.level = *settings.level;
}

void follow_defaults(queue_settings& settings, const queue_settings& defaults) {
  follow(settings.depth_max, defaults.depth_max);
  follow(settings.keep_finished, defaults.keep_finished);
  follow(settings.keep_finished_count, defaults.keep_finished_count);
  follow(settings.keep_dead, defaults.keep_dead);
}

}  // namespace millrace::engine
