#include "fixture.hpp"

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(DueTimes);

TEST_P(DueTimes, HoldADelayedJobUntilTheMicrosecondItIsDue) {
  const job made = enqueue({.delay = 10s});
  EXPECT_EQ(made.status, job_status::scheduled);
  EXPECT_EQ(made.run_at, now() + 10s);
  advance(10s - 1us);
  EXPECT_TRUE(lease(1).empty());
  EXPECT_EQ(status_of(made.id), job_status::scheduled);
  advance(1us);
  EXPECT_EQ(lease_one().what.id, made.id);
}

TEST_P(DueTimes, TakeAnAbsoluteTime) {
  const timestamp noon = now() + 12h;
  const job made = enqueue({.run_at = noon});
  EXPECT_EQ(made.status, job_status::scheduled);
  EXPECT_EQ(made.run_at, noon);
  advance(12h);
  EXPECT_EQ(status_of(made.id), job_status::queued);
  EXPECT_EQ(look(made.id).run_at, noon);
}

TEST_P(DueTimes, TakeATimeThatHasPassedAsNow) {
  const job made = enqueue({.run_at = now() - 1h});
  EXPECT_EQ(made.status, job_status::queued);
  EXPECT_EQ(made.run_at, now());
}

TEST_P(DueTimes, AreSeenByQueriesWithoutAStep) {
  const job made = enqueue({.delay = 1s});
  EXPECT_EQ(info().scheduled, 1U);
  advance(1s);
  EXPECT_EQ(status_of(made.id), job_status::queued);
  EXPECT_EQ(info().scheduled, 0U);
  EXPECT_EQ(info().waiting, 1U);
  EXPECT_EQ(listed(work, {.status = job_status::queued}), (std::vector{made.id}));
  // It became available when it was due, not when somebody looked.
  advance(1min);
  EXPECT_EQ(info().oldest_available_at, made.run_at);
}

TEST_P(DueTimes, AreToldToWhoeverFoundNothing) {
  const timestamp due = enqueue({.delay = 30s}).run_at;
  enqueue({.delay = 40s});
  const jobs_leased nothing = run(lease_jobs{.queues = {work, other}});
  EXPECT_TRUE(nothing.jobs.empty());
  ASSERT_TRUE(nothing.next_at);
  EXPECT_LE(*nothing.next_at, due);
  EXPECT_GT(*nothing.next_at, now());
}

TEST_P(DueTimes, AreNotToldWhereOnlyAStepCanHelp) {
  enqueue({}, other);
  EXPECT_FALSE(run(lease_jobs{.queues = {work}}).next_at);
}

TEST_P(DueTimes, OfAPausedQueueDoNotCount) {
  enqueue({.delay = 30s});
  run(configure_queue{.queue = work, .paused = true});
  EXPECT_FALSE(run(lease_jobs{.queues = {work}}).next_at);
}

TEST_P(DueTimes, CountTheEndOfALease) {
  enqueue();
  const leased_job held = lease_one({.queues = {work}, .lease = 20s});
  const jobs_leased nothing = run(lease_jobs{.queues = {work}});
  ASSERT_TRUE(nothing.next_at);
  EXPECT_LE(*nothing.next_at, held.leased_until);
}

TEST_P(DueTimes, MayLieAYearAhead) {
  const job made = enqueue({.delay = delay_max});
  advance(delay_max - 1h);
  EXPECT_EQ(status_of(made.id), job_status::scheduled);
  advance(1h);
  EXPECT_EQ(status_of(made.id), job_status::queued);
}

}  // namespace
}  // namespace millrace::conformance
