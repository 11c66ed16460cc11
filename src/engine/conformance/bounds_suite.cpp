#include "fixture.hpp"

namespace millrace::conformance {
namespace {

class bounds_test : public engine_test {
protected:
  void fill(int jobs, std::string group = {}) {
    for (int i = 0; i < jobs; ++i) enqueue({.type = group, .group = group});
  }
};

#define MILLRACE_BOUNDS_SUITE(suite)   \
  class suite : public bounds_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_BOUNDS_SUITE(Concurrency);

TEST_P(Concurrency, BoundsTheJobsThatRunAtOnce) {
  configure({.concurrency = 2});
  fill(5);
  const auto runs = lease(10);
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_TRUE(lease(10).empty());
  ack(runs[0]);
  EXPECT_EQ(lease(10).size(), 1U);
}

// Permits are derived from leases, so every way of ending one gives its permit back.
TEST_P(Concurrency, GivesAPermitBackHoweverTheRunEnds) {
  configure({.concurrency = 1});
  fill(6);
  ack(lease_one());
  fail(lease_one());
  leased_job run_of = lease_one();
  run(snooze_job{.id = run_of.what.id, .token = run_of.token, .delay = 1h});
  run_of = lease_one();
  run(fail_job{.id = run_of.what.id, .token = run_of.token, .permanent = true});
  lease_one({.queues = {work}, .lease = 5s});
  EXPECT_TRUE(lease(1).empty());
  advance(5s);
  EXPECT_EQ(lease(10).size(), 1U) << "the expired lease holds no permit";
}

TEST_P(Concurrency, HoldsOverManyExpiries) {
  configure({.concurrency = 3});
  fill(10);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(run(lease_jobs{.queues = {work}, .max = 10, .lease = 5s}).jobs.size(), 3U);
    ASSERT_EQ(info().running, 3U);
    advance(5s);
  }
}

TEST_P(Concurrency, TellsWhenAPermitMayComeBack) {
  configure({.concurrency = 1});
  fill(2);
  const leased_job run_of = lease_one({.queues = {work}, .lease = 5s});
  const jobs_leased nothing = run(lease_jobs{.queues = {work}});
  ASSERT_TRUE(nothing.next_at);
  EXPECT_LE(*nothing.next_at, run_of.leased_until);
}

TEST_P(Concurrency, FollowsASettingThatChangesLater) {
  fill(5);
  EXPECT_EQ(lease(3).size(), 3U);
  configure({.concurrency = 2});
  EXPECT_TRUE(lease(10).empty());
  configure({.concurrency = 4});
  EXPECT_EQ(lease(10).size(), 1U);
  configure({});
  EXPECT_EQ(lease(10).size(), 1U);
}

TEST_P(Concurrency, BoundsEachGroupByItself) {
  configure({.group_concurrency = 1});
  fill(3, "a");
  fill(2, "b");
  const auto runs = lease(10);
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].what.spec.group, "a");
  EXPECT_EQ(runs[1].what.spec.group, "b");
  ack(runs[0]);
  EXPECT_EQ(lease_one().what.spec.group, "a");
}

TEST_P(Concurrency, PassesOverABusyGroupWithoutLosingItsPlace) {
  configure({.group_concurrency = 1});
  fill(2, "a");
  enqueue_named("alone");
  const auto runs = lease(10);
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].what.spec.type, "a");
  EXPECT_EQ(runs[1].what.spec.type, "alone");
  enqueue_named("behind");
  ack(runs[0]);
  EXPECT_EQ(drain(), (std::vector<std::string>{"a", "behind"}));
}

TEST_P(Concurrency, DoesNotBoundJobsWithoutAGroupByTheGroupsBound) {
  configure({.group_rate = {1, 1h}, .group_concurrency = 1});
  fill(5);
  EXPECT_EQ(lease(10).size(), 5U);
}

TEST_P(Concurrency, GivesAGroupItsPermitBackWhenALeaseExpires) {
  configure({.group_concurrency = 1});
  fill(2, "a");
  lease_one({.queues = {work}, .lease = 5s});
  EXPECT_TRUE(lease(1).empty());
  advance(5s);
  EXPECT_EQ(lease(10).size(), 1U);
}

TEST_P(Concurrency, TellsGroupsOfTwoQueuesApart) {
  configure({.group_concurrency = 1});
  configure({.group_concurrency = 1}, other);
  fill(1, "a");
  enqueue({.group = "a"}, other);
  EXPECT_EQ(lease(1).size(), 1U);
  EXPECT_EQ(lease(1, other).size(), 1U);
}

MILLRACE_BOUNDS_SUITE(Rate);

TEST_P(Rate, BoundsTheStartsInAnyWindow) {
  configure({.rate = {2, 10s}});
  fill(10);
  EXPECT_EQ(lease(10).size(), 2U);
  advance(10s - 1us);
  EXPECT_TRUE(lease(10).empty());
  advance(1us);
  EXPECT_EQ(lease(10).size(), 2U);
}

// An exact log, no buckets: the window slides with each start.
TEST_P(Rate, SlidesWithEachStart) {
  configure({.rate = {2, 10s}});
  fill(10);
  EXPECT_EQ(lease(1).size(), 1U);
  advance(6s);
  EXPECT_EQ(lease(10).size(), 1U);
  advance(4s);
  EXPECT_EQ(lease(10).size(), 1U) << "the first start has left the window, the second has not";
  advance(5s);
  EXPECT_TRUE(lease(10).empty());
  advance(1s);
  EXPECT_EQ(lease(10).size(), 1U);
}

TEST_P(Rate, TellsWhenTheWindowOpens) {
  configure({.rate = {1, 10s}});
  fill(2);
  const timestamp start = now();
  ack(lease_one());
  advance(3s);
  const jobs_leased nothing = run(lease_jobs{.queues = {work}});
  EXPECT_TRUE(nothing.jobs.empty());
  ASSERT_TRUE(nothing.next_at);
  EXPECT_LE(*nothing.next_at, start + 10s);
  EXPECT_GT(*nothing.next_at, now());
}

TEST_P(Rate, CountsStartsNotEnds) {
  configure({.rate = {1, 10s}});
  fill(2);
  const leased_job run_of = lease_one();
  run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  EXPECT_TRUE(lease(1).empty()) << "a job handed back has started all the same";
}

TEST_P(Rate, BoundsEachGroupByItself) {
  configure({.group_rate = {1, 10s}});
  fill(3, "a");
  fill(3, "b");
  fill(1);
  const auto runs = lease(10);
  ASSERT_EQ(runs.size(), 3U);
  for (const leased_job& one : runs) ack(one);
  EXPECT_TRUE(lease(10).empty());
  advance(10s);
  EXPECT_EQ(lease(10).size(), 2U);
}

TEST_P(Rate, LetsOtherQueuesGoOn) {
  configure({.rate = {1, 1h}});
  fill(2);
  enqueue_named("other", other);
  EXPECT_EQ(run(lease_jobs{.queues = {work, other}, .max = 5}).jobs.size(), 2U);
}

TEST_P(Rate, EndsWithItsSetting) {
  configure({.rate = {1, 1h}});
  fill(5);
  EXPECT_EQ(lease(10).size(), 1U);
  configure({});
  EXPECT_EQ(lease(10).size(), 4U);
}

TEST_P(Rate, GoesOnCountingWhenTheSameBoundIsSetAgain) {
  configure({.rate = {2, 1h}});
  fill(5);
  EXPECT_EQ(lease(10).size(), 2U);
  configure({.rate = {2, 1h}, .concurrency = 100});
  EXPECT_TRUE(lease(10).empty());
}

TEST_P(Rate, AndConcurrencyHoldTogether) {
  configure({.rate = {3, 10s}, .concurrency = 2});
  fill(10);
  const auto runs = lease(10);
  EXPECT_EQ(runs.size(), 2U);
  for (const leased_job& one : runs) ack(one);
  EXPECT_EQ(lease(10).size(), 1U);
}

}  // namespace
}  // namespace millrace::conformance
