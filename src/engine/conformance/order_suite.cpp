#include "fixture.hpp"

namespace millrace::conformance {
namespace {

using names = std::vector<std::string>;

MILLRACE_CONFORMANCE_SUITE(Order);

TEST_P(Order, IsFirstInFirstOutWithinAPriority) {
  for (const char* name : {"a", "b", "c", "d"}) enqueue_named(name);
  EXPECT_EQ(drain(), (names{"a", "b", "c", "d"}));
}

TEST_P(Order, PutsTheHighestPriorityFirst) {
  enqueue({.type = "low", .priority = 0});
  enqueue({.type = "mid", .priority = 5});
  enqueue({.type = "high", .priority = 9});
  enqueue({.type = "mid again", .priority = 5});
  EXPECT_EQ(drain(), (names{"high", "mid", "mid again", "low"}));
}

TEST_P(Order, LetsAHighPriorityOvertakeWhatWaitedLonger) {
  enqueue({.type = "early", .priority = 3});
  advance(1h);
  enqueue({.type = "urgent", .priority = 4});
  EXPECT_EQ(lease_one().what.spec.type, "urgent");
  EXPECT_EQ(lease_one().what.spec.type, "early");
}

TEST_P(Order, HandsOutNoMoreThanAskedFor) {
  for (const char* name : {"a", "b", "c"}) enqueue_named(name);
  EXPECT_EQ(lease(2).size(), 2U);
  EXPECT_EQ(lease(2).size(), 1U);
  EXPECT_TRUE(lease(2).empty());
}

TEST_P(Order, CountsFromWhenAJobBecameAvailable) {
  enqueue({.type = "late", .delay = 10s});
  enqueue_named("first");
  advance(10s);
  enqueue_named("last");
  EXPECT_EQ(drain(), (names{"first", "late", "last"}));
}

TEST_P(Order, PromotesByDueTimeAndThenById) {
  enqueue({.type = "at 30", .delay = 30s});
  enqueue({.type = "at 10", .delay = 10s});
  enqueue({.type = "at 20, first", .delay = 20s});
  enqueue({.type = "at 20, second", .delay = 20s});
  advance(1min);
  EXPECT_EQ(drain(), (names{"at 10", "at 20, first", "at 20, second", "at 30"}));
}

// An expired lease and a due job take their places by the moment at which each became available.
TEST_P(Order, MergesExpiredLeasesWithDueJobsByTime) {
  enqueue_named("expires at 20");
  ASSERT_EQ(lease_one({.queues = {work}, .lease = 20s}).what.spec.type, "expires at 20");
  enqueue({.type = "due at 10", .delay = 10s});
  enqueue({.type = "due at 30", .delay = 30s});
  advance(1min);
  EXPECT_EQ(drain(), (names{"due at 10", "expires at 20", "due at 30"}));
}

TEST_P(Order, PutsAJobThatComesBackBehindThoseThatWait) {
  enqueue_named("a");
  enqueue_named("b");
  const leased_job first = lease_one();
  run(snooze_job{.id = first.what.id, .token = first.token});
  EXPECT_EQ(drain(), (names{"b", "a"}));
}

TEST_P(Order, TriesTheQueuesInTheOrderGiven) {
  enqueue({.type = "work 1", .priority = 0});
  enqueue({.type = "work 2", .priority = 0});
  enqueue({.type = "other", .priority = 9}, other);
  const auto leased = run(lease_jobs{.queues = {work, other}, .max = 3}).jobs;
  ASSERT_EQ(leased.size(), 3U);
  // Priorities count within a queue only.
  EXPECT_EQ(leased[0].what.spec.type, "work 1");
  EXPECT_EQ(leased[1].what.spec.type, "work 2");
  EXPECT_EQ(leased[2].what.spec.type, "other");
}

TEST_P(Order, GoesToTheNextQueueWhenTheFirstIsEmpty) {
  enqueue_named("only", other);
  EXPECT_EQ(lease_one({.queues = {work, other}}).what.spec.type, "only");
}

TEST_P(Order, HoldsOverManyJobsOfMixedPriorities) {
  std::vector<names> by_priority(10);
  for (int i = 0; i < 300; ++i) {
    const auto priority = static_cast<std::uint8_t>((i * 7) % 10);
    by_priority[priority].push_back(std::to_string(i));
    enqueue({.type = std::to_string(i), .priority = priority});
  }
  names expected;
  for (auto level = by_priority.rbegin(); level != by_priority.rend(); ++level) {
    expected.insert(expected.end(), level->begin(), level->end());
  }
  EXPECT_EQ(drain(), expected);
}

}  // namespace
}  // namespace millrace::conformance
