#include "fixture.hpp"

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(QueueState);

TEST_P(QueueState, KeepsItsSettings) {
  const queue_settings settings{.rate = {7, 3s},
                                .group_rate = {2, 500ms},
                                .concurrency = 4,
                                .group_concurrency = 1,
                                .depth_max = 99,
                                .keep_finished = 3h,
                                .keep_finished_count = 12,
                                .keep_dead = 48h,
                                .level = durability::async,
                                .backoff = backoff_spec{.strategy = backoff_strategy::linear},
                                .max_attempts = 6,
                                .priority_step_on_failure = -2};
  configure(settings);
  EXPECT_EQ(info().settings, settings);
  configure({});
  EXPECT_EQ(info().settings, queue_settings{});
}

TEST_P(QueueState, ChangesOnlyWhatIsGiven) {
  configure({.concurrency = 4});
  run(configure_queue{.queue = work, .paused = true});
  run(configure_queue{.queue = work, .draining = true});
  EXPECT_EQ(info().settings.concurrency, 4U);
  EXPECT_TRUE(info().paused);
  EXPECT_TRUE(info().draining);
  run(configure_queue{.queue = work, .paused = false});
  EXPECT_FALSE(info().paused);
  EXPECT_TRUE(info().draining);
}

TEST_P(QueueState, HandsOutNothingWhilePaused) {
  enqueue();
  run(configure_queue{.queue = work, .paused = true});
  EXPECT_TRUE(lease(1).empty());
  enqueue();
  EXPECT_EQ(info().waiting, 2U) << "a paused queue still takes jobs";
  run(configure_queue{.queue = work, .paused = false});
  EXPECT_EQ(lease(10).size(), 2U);
}

TEST_P(QueueState, LetsRunningJobsGoOnWhilePaused) {
  enqueue();
  const leased_job run_of = lease_one();
  run(configure_queue{.queue = work, .paused = true});
  run(extend_lease{.id = run_of.what.id, .token = run_of.token});
  ack(run_of);
}

TEST_P(QueueState, IsPassedOverWhilePaused) {
  enqueue();
  enqueue_named("other", other);
  run(configure_queue{.queue = work, .paused = true});
  EXPECT_EQ(lease_one({.queues = {work, other}}).what.spec.type, "other");
}

TEST_P(QueueState, CanBePausedBeforeItsFirstJob) {
  run(configure_queue{.queue = work, .paused = true});
  enqueue();
  EXPECT_TRUE(lease(1).empty());
}

TEST_P(QueueState, RefusesNewJobsWhileDraining) {
  const job waiting = enqueue({.unique = unique_spec{.key = "k"}});
  run(configure_queue{.queue = work, .draining = true});
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work}), "queue_draining");
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work, .spec = {.unique = unique_spec{.key = "k"}}}),
            "queue_draining");
  // What is there is worked off, retries included.
  const leased_job run_of = lease_one();
  EXPECT_EQ(run_of.what.id, waiting.id);
  EXPECT_EQ(run(fail_job{.id = waiting.id, .token = run_of.token, .retry_in = 0s}).status,
            job_status::queued);
  ack(lease_one());
  run(configure_queue{.queue = work, .draining = false});
  enqueue();
}

TEST_P(QueueState, RefusesJobsBeyondItsDepth) {
  configure({.depth_max = 3});
  enqueue();
  enqueue({.delay = 1h});
  enqueue();
  const commit_result refused = commit_all(enqueue_job{.queue = work});
  ASSERT_EQ(word(refused), "queue_full");
  EXPECT_EQ(refused.error().why.kind, errc::exhausted);
  EXPECT_EQ(info().waiting + info().scheduled, 3U);
  // A running job waits no more.
  lease_one();
  enqueue();
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work}), "queue_full");
}

TEST_P(QueueState, CountsRetryingJobsIntoItsDepth) {
  configure({.depth_max = 1});
  enqueue();
  fail(lease_one());
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work}), "queue_full");
}

TEST_P(QueueState, TakesBackItsOwnJobsPastTheDepth) {
  configure({.depth_max = 1});
  enqueue();
  const leased_job run_of = lease_one();
  enqueue();
  EXPECT_EQ(run(snooze_job{.id = run_of.what.id, .token = run_of.token}).status,
            job_status::queued);
  EXPECT_EQ(info().waiting, 2U);
}

TEST_P(QueueState, AnswersADuplicateThoughItIsFull) {
  configure({.depth_max = 1});
  const enqueue_job unique{.queue = work, .spec = {.unique = unique_spec{.key = "k"}}};
  run(unique);
  EXPECT_TRUE(run(unique).duplicate);
}

// Of one transaction either all jobs fit or none is made.
TEST_P(QueueState, CountsTheJobsOfOneTransactionTogether) {
  configure({.depth_max = 3});
  enqueue();
  const commit_result three = commit_all(enqueue_job{.queue = work}, enqueue_job{.queue = work},
                                         enqueue_job{.queue = work});
  ASSERT_EQ(word(three), "queue_full");
  EXPECT_EQ(three.error().step_index, 2U);
  EXPECT_EQ(info().waiting, 1U);
  EXPECT_TRUE(commit_all(enqueue_job{.queue = work}, enqueue_job{.queue = work}));
}

TEST_P(QueueState, HasNoDepthWhereZeroIsSet) {
  configure({.depth_max = 0});
  for (int i = 0; i < 20; ++i) enqueue();
  EXPECT_EQ(info().waiting, 20U);
}

TEST_P(QueueState, CountsItsJobsByStatus) {
  enqueue({.delay = 1h});
  ack(begin_run());
  fail(begin_run());
  kill_job();
  run(cancel_job{enqueue().id});
  begin_run();
  enqueue();
  const queue_info seen = info();
  EXPECT_EQ(seen.waiting, 1U);
  EXPECT_EQ(seen.scheduled, 1U);
  EXPECT_EQ(seen.running, 1U);
  EXPECT_EQ(seen.retrying, 1U);
  EXPECT_EQ(seen.dead, 1U);
  EXPECT_EQ(seen.completed, 1U);
  EXPECT_EQ(seen.cancelled, 1U);
}

TEST_P(QueueState, TellsHowLongTheOldestHasWaited) {
  EXPECT_TRUE(lease(1).empty());
  EXPECT_FALSE(info().oldest_available_at);
  enqueue({.priority = 0});
  const timestamp since = now();
  advance(10s);
  enqueue({.priority = 9});
  EXPECT_EQ(info().oldest_available_at, since);
  lease_one();
  EXPECT_EQ(info().oldest_available_at, since) << "the urgent one went first";
  lease_one();
  EXPECT_FALSE(info().oldest_available_at);
}

TEST_P(QueueState, CountsByMinute) {
  enqueue();
  ack(lease_one());
  advance(1min);
  kill_job();
  enqueue({.backoff = {.base = 0s}});
  fail(lease_one());
  const auto minutes = info().minutes;
  ASSERT_EQ(minutes.size(), 2U);
  EXPECT_EQ(minutes[0].minute, now() - 1min);
  EXPECT_EQ(minutes[0].enqueued, 1U);
  EXPECT_EQ(minutes[0].completed, 1U);
  EXPECT_EQ(minutes[0].failed, 0U);
  EXPECT_EQ(minutes[1].minute, now());
  EXPECT_EQ(minutes[1].enqueued, 2U);
  EXPECT_EQ(minutes[1].completed, 0U);
  EXPECT_EQ(minutes[1].failed, 2U);
  EXPECT_EQ(minutes[1].dead, 1U);
  advance(59min);
  EXPECT_EQ(info().minutes.size(), 1U);
  advance(1min);
  EXPECT_TRUE(info().minutes.empty());
}

TEST_P(QueueState, CountsAnExpiryInTheMinuteInWhichTheLeaseEnded) {
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 90s});
  advance(10min);
  const auto minutes = info().minutes;
  ASSERT_EQ(minutes.size(), 2U);
  EXPECT_EQ(minutes[1].minute, std::chrono::floor<std::chrono::minutes>(run_of.leased_until));
  EXPECT_EQ(minutes[1].failed, 1U);
}

}  // namespace
}  // namespace millrace::conformance
