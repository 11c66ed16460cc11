#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/wakeups.hpp>

namespace millrace::conformance {
namespace {

class hint_test : public engine_test {
protected:
  [[nodiscard]] wakeups::listener listen(topic to) {
    return store().hints().listen({std::move(to)});
  }
  [[nodiscard]] wakeups::listener listen_to(const queue_key& queue) {
    return listen(queue_topic(queue.project, queue.name));
  }
  /// Waits for a hint: long enough that only a hint that never comes fails.
  [[nodiscard]] static bool woken(wakeups::listener& by) {
    const bool hint = run_coro(by.wait(10s));
    by.consume();
    return hint;
  }
};

#define MILLRACE_HINT_SUITE(suite)   \
  class suite : public hint_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_HINT_SUITE(QueueHint);

TEST_P(QueueHint, ComesWithAnEnqueue) {
  auto listener = listen_to(work);
  enqueue();
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ReachesAsManyAsThereAreJobs) {
  auto first = listen_to(work);
  auto second = listen_to(work);
  ASSERT_TRUE(commit_all(enqueue_job{.queue = work}, enqueue_job{.queue = work}));
  EXPECT_TRUE(woken(first));
  EXPECT_TRUE(woken(second));
}

// Nobody called since the job became due: the next call, of whatever kind, lets it happen.
TEST_P(QueueHint, ComesWhenAJobIsDue) {
  enqueue({.delay = 10s});
  auto listener = listen_to(work);
  advance(10s);
  enqueue({}, other);
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWhenALeaseEnds) {
  enqueue();
  lease_one({.queues = {work}, .lease = 5s});
  auto listener = listen_to(work);
  advance(5s);
  enqueue({}, other);
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWhenAJobIsHandedBack) {
  const leased_job run_of = begin_run();
  auto listener = listen_to(work);
  run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWhenAJobIsRetriedAtOnce) {
  const leased_job run_of = begin_run();
  auto listener = listen_to(work);
  run(fail_job{.id = run_of.what.id, .token = run_of.token, .retry_in = 0s});
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWithARequeue) {
  const job dead = kill_job();
  auto listener = listen_to(work);
  run(requeue_dead{dead.id});
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWhenTheQueueIsResumed) {
  run(configure_queue{.queue = work, .paused = true});
  enqueue();
  auto listener = listen_to(work);
  run(configure_queue{.queue = work, .paused = false});
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWhenABoundIsLifted) {
  configure({.concurrency = 1});
  enqueue();
  enqueue();
  lease_one();
  auto listener = listen_to(work);
  configure({.concurrency = 2});
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWhenAPermitIsFree) {
  configure({.concurrency = 1});
  enqueue();
  enqueue();
  const leased_job run_of = lease_one();
  auto listener = listen_to(work);
  ack(run_of);
  EXPECT_TRUE(woken(listener));
}

TEST_P(QueueHint, ComesWithAFiredCron) {
  const cron_entry entry =
      run(put_cron{{.name = "c", .queue = "work", .schedule = "* * * * *", .next_at = now()}})
          .entry;
  auto listener = listen_to(work);
  run(fire_cron{.project = "default", .name = "c", .version = entry.version, .slot = now()});
  EXPECT_TRUE(woken(listener));
}

MILLRACE_HINT_SUITE(JobHint);

TEST_P(JobHint, ComesWithEveryChangeOfTheJob) {
  const job made = enqueue();
  const auto told = [&](auto change) {
    auto listener = listen(job_topic(made.id.text()));
    change();
    return woken(listener);
  };
  leased_job run_of;
  EXPECT_TRUE(told([&] { run_of = lease_one(); }));
  EXPECT_TRUE(
      told([&] { run(report_progress{.id = made.id, .token = run_of.token, .value = 0.5}); }));
  EXPECT_TRUE(told([&] { run(extend_lease{.id = made.id, .token = run_of.token}); }));
  EXPECT_TRUE(told([&] { run(cancel_job{made.id}); }));
  EXPECT_TRUE(told([&] { ack(run_of); }));
  EXPECT_TRUE(told([&] { run(delete_job{made.id}); }));
}

TEST_P(JobHint, ComesWhenTheLeaseExpires) {
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 5s});
  auto listener = listen(job_topic(run_of.what.id.text()));
  advance(5s);
  enqueue({}, other);
  EXPECT_TRUE(woken(listener));
}

MILLRACE_HINT_SUITE(CronHint);

TEST_P(CronHint, ComesWithEveryChange) {
  auto listener = listen(cron_topic());
  run(put_cron{{.name = "c", .queue = "work", .schedule = "* * * * *", .next_at = now()}});
  EXPECT_TRUE(woken(listener));
  auto second = listen(cron_topic());
  run(delete_cron{.project = "default", .name = "c"});
  EXPECT_TRUE(woken(second));
}

}  // namespace
}  // namespace millrace::conformance
