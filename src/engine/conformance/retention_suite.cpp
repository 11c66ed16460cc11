#include "fixture.hpp"

namespace millrace::conformance {
namespace {

class retention_test : public engine_test {
protected:
  job complete() {
    const job made = enqueue();
    ack(lease_one());
    return made;
  }
};

#define MILLRACE_RETENTION_SUITE(suite)   \
  class suite : public retention_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_RETENTION_SUITE(Retention);

TEST_P(Retention, KeepsEndedJobsForADay) {
  const job done = complete();
  const job cancelled = enqueue();
  run(cancel_job{cancelled.id});
  advance(24h - 1s);
  settle();
  EXPECT_EQ(status_of(done.id), job_status::completed);
  EXPECT_EQ(status_of(cancelled.id), job_status::cancelled);
  advance(1s);
  settle();
  EXPECT_FALSE(exists(done.id));
  EXPECT_FALSE(exists(cancelled.id));
  EXPECT_EQ(info().completed, 0U);
  EXPECT_EQ(info().cancelled, 0U);
}

TEST_P(Retention, KeepsEndedJobsAsLongAsTheQueueSays) {
  configure({.keep_finished = 10s});
  const job brief = complete();
  advance(10s);
  settle();
  EXPECT_FALSE(exists(brief.id));
  configure({.keep_finished = 0s});
  const job lasting = complete();
  advance(24h * 365);
  settle();
  EXPECT_TRUE(exists(lasting.id)) << "zero is no bound";
}

TEST_P(Retention, FollowsASettingThatChangesLater) {
  const job done = complete();
  advance(1h);
  configure({.keep_finished = 30min});
  settle();
  EXPECT_FALSE(exists(done.id));
}

TEST_P(Retention, KeepsTheNewestOfAQueue) {
  configure({.keep_finished_count = 3});
  std::vector<job_id> ids;
  for (int i = 0; i < 8; ++i) {
    ids.push_back(complete().id);
    advance(1s);
  }
  settle();
  EXPECT_EQ(info().completed, 3U);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(exists(ids[i]), i >= 5) << i;
}

// Cancelled jobs count with the completed ones.
TEST_P(Retention, CountsByWhenTheyEnded) {
  configure({.keep_finished_count = 1});
  const job first = enqueue();
  const job second = enqueue();
  run(cancel_job{second.id});
  advance(1s);
  run(cancel_job{first.id});
  settle();
  EXPECT_TRUE(exists(first.id));
  EXPECT_FALSE(exists(second.id));
}

TEST_P(Retention, NeverTakesAJobThatHasNotEnded) {
  configure({.keep_finished = 1s, .keep_finished_count = 1, .keep_dead = 1s});
  const job scheduled = enqueue({.delay = 24h * 300});
  const job waiting = enqueue();
  advance(24h * 299);
  settle();
  EXPECT_TRUE(exists(scheduled.id));
  EXPECT_TRUE(exists(waiting.id));
}

MILLRACE_RETENTION_SUITE(Purge);

TEST_P(Purge, TakesWhatWaitsOldestFirst) {
  const job a = enqueue();
  const job b = enqueue({.delay = 1h});
  const job c = enqueue();
  EXPECT_EQ(run(purge_jobs{.queue = work, .max = 2}).count, 2U);
  EXPECT_FALSE(exists(a.id));
  EXPECT_FALSE(exists(b.id));
  EXPECT_TRUE(exists(c.id));
  EXPECT_EQ(run(purge_jobs{.queue = work, .max = 2}).count, 1U);
  EXPECT_TRUE(lease(1).empty());
  EXPECT_EQ(info().waiting, 0U);
  EXPECT_EQ(info().scheduled, 0U);
}

TEST_P(Purge, TakesWhatCameBetweenTwoPurges) {
  const job a = enqueue();
  const job b = enqueue();
  EXPECT_EQ(run(purge_jobs{.queue = work, .max = 1}).count, 1U);
  const job c = enqueue();
  EXPECT_EQ(run(purge_jobs{.queue = work, .max = 2}).count, 2U);
  EXPECT_FALSE(exists(a.id) || exists(b.id) || exists(c.id));
}

TEST_P(Purge, TakesRetryingJobsToo) {
  enqueue();
  fail(lease_one());
  EXPECT_EQ(run(purge_jobs{.queue = work}).count, 1U);
  EXPECT_EQ(info().retrying, 0U);
}

TEST_P(Purge, SparesWhatIsNotAskedFor) {
  const job done = complete();
  const job dead = kill_job();
  enqueue();
  const leased_job running = lease_one();
  const job waiting = enqueue();
  EXPECT_EQ(run(purge_jobs{.queue = work, .target = purge_target::finished}).count, 1U);
  EXPECT_FALSE(exists(done.id));
  EXPECT_EQ(run(purge_jobs{.queue = work, .target = purge_target::waiting}).count, 1U);
  EXPECT_FALSE(exists(waiting.id));
  EXPECT_EQ(run(purge_jobs{.queue = work, .target = purge_target::dead}).count, 1U);
  EXPECT_FALSE(exists(dead.id));
  ack(running);
}

TEST_P(Purge, IsOfOneQueue) {
  const job spared = enqueue({}, other);
  enqueue();
  run(purge_jobs{.queue = work});
  EXPECT_TRUE(exists(spared.id));
}

TEST_P(Purge, NamesAQueueThatIsNotThere) {
  EXPECT_EQ(refusal_of(purge_jobs{.queue = work}), "queue_not_found");
}

}  // namespace
}  // namespace millrace::conformance
