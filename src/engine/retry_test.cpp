#include <millrace/engine/retry.hpp>

#include <gtest/gtest.h>

#include <set>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

const timestamp now = manual_clock::default_start();

job_spec unjittered() {
  job_spec spec;
  spec.backoff.jitter = backoff_jitter::none;
  return spec;
}

ended_run run_number(std::uint32_t attempts) {
  return {.stamp = 77, .attempts = attempts, .now = now};
}

TEST(AfterFailure, RetriesAfter60And120And240SecondsThenIsDead) {
  const job_spec spec = unjittered();
  const duration expected[] = {60s, 120s, 240s};
  for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
    const next_run next = after_failure(spec, {}, run_number(attempt), {});
    EXPECT_EQ(next.status, job_status::retrying);
    EXPECT_EQ(next.run_at, now + expected[attempt - 1]);
    EXPECT_EQ(next.error_code, "handler_failed");
  }
  const next_run last = after_failure(spec, {}, run_number(4), {});
  EXPECT_EQ(last.status, job_status::dead);
  EXPECT_EQ(last.run_at, now);
  EXPECT_EQ(last.error_code, "handler_failed");
}

TEST(AfterFailure, PermanentIsDeadAtOnce) {
  const next_run next = after_failure(unjittered(), {}, run_number(1), {.permanent = true});
  EXPECT_EQ(next.status, job_status::dead);
  EXPECT_EQ(next.error_code, "permanent");
}

TEST(AfterFailure, TheHandlersOwnTimeReplacesTheBackoff) {
  EXPECT_EQ(after_failure(unjittered(), {}, run_number(1), {.retry_in = 5s}).run_at, now + 5s);
  EXPECT_EQ(after_failure(unjittered(), {}, run_number(1), {.retry_in = 0s}).run_at, now);
  // It grants no further attempt.
  EXPECT_EQ(after_failure(unjittered(), {}, run_number(4), {.retry_in = 5s}).status,
            job_status::dead);
}

TEST(AfterFailure, ARequestedCancellationWinsOverEverything) {
  ended_run run = run_number(4);
  run.cancel_requested = true;
  EXPECT_EQ(after_failure(unjittered(), {}, run, {.permanent = true}).status,
            job_status::cancelled);
  EXPECT_EQ(after_expiry(unjittered(), run).status, job_status::cancelled);
}

TEST(AfterFailure, MovesThePriorityWithinItsRange) {
  job_spec spec = unjittered();
  queue_settings settings;
  const auto moved = [&](std::uint8_t from, std::int32_t step) {
    spec.priority = from;
    settings.priority_step_on_failure = step;
    return static_cast<int>(after_failure(spec, settings, run_number(1), {}).priority);
  };
  EXPECT_EQ(moved(5, 0), 5);
  EXPECT_EQ(moved(5, 2), 3);
  EXPECT_EQ(moved(1, 2), 0);
  EXPECT_EQ(moved(5, -2), 7);
  EXPECT_EQ(moved(8, -9), 9);
}

TEST(AfterFailure, JitterOnlyLengthensAndDiffersFromJobToJob) {
  const job_spec spec;
  std::set<timestamp> times;
  for (std::uint64_t stamp = 1; stamp <= 100; ++stamp) {
    const next_run next = after_failure(spec, {}, {.stamp = stamp, .attempts = 1, .now = now}, {});
    EXPECT_GE(next.run_at, now + 60s);
    EXPECT_LE(next.run_at, now + 66s);
    times.insert(next.run_at);
  }
  EXPECT_GT(times.size(), 95U);
}

TEST(AfterExpiry, IsAvailableAtOnceAndDeadAfterTheLastAttempt) {
  job_spec spec = unjittered();
  spec.priority = 7;
  const next_run next = after_expiry(spec, run_number(3));
  EXPECT_EQ(next.status, job_status::queued);
  EXPECT_EQ(next.run_at, now);
  EXPECT_EQ(next.priority, 7);
  const next_run last = after_expiry(spec, run_number(4));
  EXPECT_EQ(last.status, job_status::dead);
  EXPECT_EQ(last.error_code, "lease_expired");
}

TEST(QueueDefaults, FillOnlyWhatTheEnqueueLeftOpen) {
  queue_settings settings;
  settings.max_attempts = 9;
  settings.backoff = backoff_spec{.base = 1s};
  enqueue_job given;
  apply_queue_defaults(given, settings);
  EXPECT_EQ(given.spec.max_attempts, 4U);
  EXPECT_EQ(given.spec.backoff, backoff_spec{});
  enqueue_job open{.default_attempts = true, .default_backoff = true};
  apply_queue_defaults(open, settings);
  EXPECT_EQ(open.spec.max_attempts, 9U);
  EXPECT_EQ(open.spec.backoff.base, 1s);
  enqueue_job nothing_there{.default_attempts = true, .default_backoff = true};
  apply_queue_defaults(nothing_there, {});
  EXPECT_EQ(nothing_there.spec.max_attempts, 4U);
}

}  // namespace
}  // namespace millrace::engine
