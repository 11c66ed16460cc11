#include "fixture.hpp"

namespace millrace::conformance {
namespace {

constexpr backoff_spec exact{.jitter = backoff_jitter::none};

MILLRACE_CONFORMANCE_SUITE(Retry);

TEST_P(Retry, WaitsSixtyThenTwiceThenFourTimesThatAndThenTheJobIsDead) {
  const job made = enqueue({.backoff = exact});
  for (const duration wait : {60s, 120s, 240s}) {
    const job_changed failed = fail(lease_one(), "broken");
    EXPECT_EQ(failed.status, job_status::retrying);
    EXPECT_EQ(failed.run_at, now() + wait);
    EXPECT_EQ(look(made.id).run_at, now() + wait);
    advance(wait - 1us);
    EXPECT_TRUE(lease(1).empty());
    EXPECT_EQ(status_of(made.id), job_status::retrying);
    advance(1us);
  }
  const job_changed last = fail(lease_one(), "broken for good");
  EXPECT_EQ(last.status, job_status::dead);
  EXPECT_EQ(last.attempts, 4U);
  const job seen = look(made.id);
  EXPECT_EQ(seen.error, "broken for good");
  EXPECT_EQ(seen.error_code, "handler_failed");
  EXPECT_EQ(seen.failed_at, now());
  EXPECT_EQ(seen.finished_at, now());
  EXPECT_EQ(seen.first_failed_at, now() - 420s);
  EXPECT_EQ(info().dead, 1U);
  EXPECT_TRUE(lease(1).empty());
}

TEST_P(Retry, FollowsEachStrategy) {
  using enum backoff_strategy;
  const std::vector<std::pair<backoff_strategy, std::vector<duration>>> table{
      {exponential, {2s, 4s, 8s, 16s, 20s}},
      {linear, {2s, 4s, 6s, 8s, 10s}},
      {fixed, {2s, 2s, 2s, 2s, 2s}},
      {polynomial, {2s, 20s, 20s, 20s, 20s}},
  };
  for (const auto& [strategy, waits] : table) {
    const job made =
        enqueue({.max_attempts = 10, .backoff = {strategy, 2s, 20s, backoff_jitter::none}});
    for (const duration wait : waits) {
      EXPECT_EQ(fail(lease_one()).run_at, now() + wait);
      advance(wait);
    }
    run(delete_job{made.id});
  }
}

TEST_P(Retry, JittersOnlyWithinItsBounds) {
  for (int i = 0; i < 20; ++i) {
    const job made = enqueue({.backoff = {.base = 10s, .jitter = backoff_jitter::lengthen}});
    const duration wait = fail(lease_one()).run_at - now();
    EXPECT_GE(wait, 10s);
    EXPECT_LE(wait, 11s);
    run(delete_job{made.id});
  }
}

TEST_P(Retry, IsAtOnceWithABaseOfZero) {
  enqueue({.backoff = {.base = 0s}});
  const job_changed failed = fail(lease_one());
  EXPECT_EQ(failed.status, job_status::queued);
  EXPECT_EQ(failed.run_at, now());
  EXPECT_EQ(lease_one().what.attempts, 2U);
}

TEST_P(Retry, TakesTheHandlersWordForTheTime) {
  enqueue({.backoff = exact});
  leased_job run_of = lease_one();
  const fail_job later{
      .id = run_of.what.id, .token = run_of.token, .error = "busy", .retry_in = 7s};
  EXPECT_EQ(run(later).run_at, now() + 7s);
  advance(7s);
  run_of = lease_one();
  EXPECT_EQ(run_of.what.error, "busy") << "the next attempt is told why the last one failed";
}

TEST_P(Retry, GrantsNoFurtherAttemptForATimeOfTheHandlers) {
  enqueue({.max_attempts = 1});
  const leased_job run_of = lease_one();
  EXPECT_EQ(run(fail_job{.id = run_of.what.id, .token = run_of.token, .error = "x", .retry_in = 1s})
                .status,
            job_status::dead);
}

TEST_P(Retry, EndsWithAPermanentFailure) {
  const job made = enqueue();
  const leased_job run_of = lease_one();
  const job_changed failed = run(fail_job{
      .id = made.id, .token = run_of.token, .error = "no such document", .permanent = true});
  EXPECT_EQ(failed.status, job_status::dead);
  EXPECT_EQ(failed.attempts, 1U);
  EXPECT_EQ(look(made.id).error_code, "permanent");
  EXPECT_EQ(look(made.id).error, "no such document");
}

TEST_P(Retry, IsCountedInTheQueue) {
  enqueue({.backoff = exact});
  fail(lease_one());
  EXPECT_EQ(info().retrying, 1U);
  EXPECT_EQ(info().running, 0U);
  EXPECT_EQ(info().waiting, 0U);
}

TEST_P(Retry, CutsALongErrorBetweenCharacters) {
  const job made = enqueue();
  std::string text(error_bytes_max - 1, 'x');
  const std::string start = text;
  text += "äöü";
  fail(lease_one(), text);
  EXPECT_EQ(look(made.id).error, start);
}

TEST_P(Retry, MovesThePriorityByTheQueuesStep) {
  configure({.priority_step_on_failure = 3});
  const job made = enqueue({.priority = 5, .backoff = {.base = 0s}});
  for (const int priority : {2, 0, 0}) {
    fail(lease_one());
    EXPECT_EQ(look(made.id).spec.priority, priority);
  }
}

TEST_P(Retry, MayMoveThePriorityUp) {
  configure({.priority_step_on_failure = -4});
  const job made = enqueue({.priority = 5, .max_attempts = 9, .backoff = {.base = 0s}});
  fail(lease_one());
  fail(lease_one());
  EXPECT_EQ(look(made.id).spec.priority, 9);
  enqueue_named("normal");
  EXPECT_EQ(lease_one().what.id, made.id);
}

TEST_P(Retry, LeavesThePriorityAloneWhenALeaseExpires) {
  configure({.priority_step_on_failure = 3});
  const job made = enqueue({.priority = 5});
  lease_one({.queues = {work}, .lease = 5s});
  advance(5s);
  EXPECT_EQ(look(made.id).spec.priority, 5);
}

}  // namespace
}  // namespace millrace::conformance
