#include "limit_fixture.hpp"

/// Each algorithm at its edges.
namespace millrace::conformance {
namespace {

MILLRACE_LIMIT_SUITE(SlidingLimit);

TEST_P(SlidingLimit, ForgetsEachChargeAWindowAfterIt) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(allows(per_minute(3)));
    advance(10s);
  }
  EXPECT_EQ(peek(per_minute(3)).retry_after, 30s);
  advance(30s - 1us);
  EXPECT_FALSE(allows(per_minute(3)));
  advance(1us);
  EXPECT_TRUE(allows(per_minute(3)));
  EXPECT_FALSE(allows(per_minute(3)));
  EXPECT_EQ(peek(per_minute(3)).retry_after, 10s);
  EXPECT_EQ(peek(per_minute(3)).reset_time, now() + 60s);
}

TEST_P(SlidingLimit, SaysWhenACostFits) {
  take(with_cost(per_minute(10), 2));
  advance(10s);
  take(with_cost(per_minute(10), 5));
  advance(10s);
  take(with_cost(per_minute(10), 3));
  EXPECT_EQ(peek(with_cost(per_minute(10), 1)).retry_after, 40s);
  EXPECT_EQ(peek(with_cost(per_minute(10), 2)).retry_after, 40s);
  EXPECT_EQ(peek(with_cost(per_minute(10), 3)).retry_after, 50s);
  EXPECT_EQ(peek(with_cost(per_minute(10), 7)).retry_after, 50s);
  EXPECT_EQ(peek(with_cost(per_minute(10), 8)).retry_after, 60s);
  EXPECT_EQ(peek(with_cost(per_minute(10), 10)).retry_after, 60s);
}

TEST_P(SlidingLimit, SaysWhenACostFitsAmongManyCharges) {
  for (int i = 0; i < 200; ++i) {
    take(per_minute(200));
    advance(100ms);
  }
  // The first was 20 s ago, the 150th 5.1 s.
  EXPECT_EQ(peek(per_minute(200)).retry_after, 40s);
  EXPECT_EQ(peek(with_cost(per_minute(200), 150)).retry_after, 54'900ms);
  EXPECT_EQ(peek(with_cost(per_minute(200), 200)).retry_after, 59'900ms);
}

TEST_P(SlidingLimit, IsExactUpToAThousand) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(allows(with_cost(per_minute(1000), 100)));
    advance(1ms);
  }
  EXPECT_FALSE(allows(per_minute(1000)));
  advance(60s - 10ms);
  EXPECT_TRUE(allows(with_cost(per_minute(1000), 100)));
  EXPECT_FALSE(allows(per_minute(1000)));
}

TEST_P(SlidingLimit, CountsTheOldestPartWholeAboveAThousand) {
  EXPECT_TRUE(allows(with_cost(per_minute(100'000), 100'000)));
  advance(60s - 1us);
  EXPECT_FALSE(allows(per_minute(100'000))) << "never over";
  advance(60s / 32 + 1us);
  EXPECT_TRUE(allows(with_cost(per_minute(100'000), 100'000))) << "at most 1/32 under";
}

TEST_P(SlidingLimit, GivesTheOldestChargesBackFirst) {
  take(with_cost(per_minute(10), 4));
  advance(30s);
  take(with_cost(per_minute(10), 4));
  EXPECT_EQ(refund(with_cost(per_minute(10), 5)).count, 3U);
  advance(30s);
  EXPECT_EQ(count(per_minute(10)), 3U) << "what remains counts as long as the latest";
  advance(30s);
  EXPECT_EQ(count(per_minute(10)), 0U);
}

TEST_P(SlidingLimit, CountsOnWhenItIsRaisedBeyondAThousandAndLoweredAgain) {
  take(with_cost(per_minute(1000), 600));
  take(with_cost(per_minute(2000), 1100));
  EXPECT_EQ(count(per_minute(2000)), 1700U);
  EXPECT_FALSE(allows(per_minute(1000)));
  take(with_cost(per_minute(1800), 100));
  EXPECT_EQ(count(per_minute(1800)), 1800U);
  advance(62s);
  EXPECT_EQ(count(per_minute(1000)), 0U);
}

TEST_P(SlidingLimit, SurvivesAClockThatGoesBack) {
  EXPECT_EQ(exhaust(per_minute(2)), 2U);
  clock().set(now() - 1h);
  EXPECT_FALSE(allows(per_minute(2)));
  EXPECT_EQ(peek(per_minute(2)).retry_after, 60s);
}

MILLRACE_LIMIT_SUITE(FixedLimit);

limit_check fixed(std::uint64_t limit) {
  limit_check what = per_minute(limit);
  what.algorithm = limit_algorithm::fixed;
  return what;
}

TEST_P(FixedLimit, BeginsAnewWithEachWindow) {
  advance(50s);  // the clock begins at a full minute
  EXPECT_EQ(exhaust(fixed(3)), 3U);
  const limit_state full = peek(fixed(3));
  EXPECT_EQ(full.window_start, now() - 50s);
  EXPECT_EQ(full.reset_time, now() + 10s);
  EXPECT_EQ(full.retry_after, 10s);
  advance(10s - 1us);
  EXPECT_FALSE(allows(fixed(3)));
  advance(1us);
  EXPECT_EQ(exhaust(fixed(3)), 3U);
}

TEST_P(FixedLimit, GivesBackOnlyWhatWasTakenInThisWindow) {
  advance(50s);
  const timestamp taken_at = now();
  take(fixed(3));
  advance(10s);
  take(fixed(3));
  EXPECT_EQ(refund(fixed(3), taken_at).count, 1U);
  EXPECT_EQ(refund(fixed(3), now()).count, 0U);
}

MILLRACE_LIMIT_SUITE(TokenBucket);

TEST_P(TokenBucket, HoldsItsBurstAndIsRefilledEvenly) {
  const limit_check what = bucket(60, 60s, 5);  // one a second
  EXPECT_EQ(exhaust(what), 5U);
  const limit_state empty = peek(what);
  EXPECT_EQ(empty.limit, 5U);
  EXPECT_EQ(empty.remaining, 0U);
  EXPECT_EQ(empty.retry_after, 1s);
  EXPECT_EQ(empty.reset_time, now() + 5s);
  advance(1s - 1us);
  EXPECT_FALSE(allows(what));
  advance(1us);
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  advance(1h);
  EXPECT_EQ(exhaust(what), 5U) << "it never holds more than its burst";
}

TEST_P(TokenBucket, HoldsItsLimitWithoutABurst) { EXPECT_EQ(exhaust(bucket(7, 60s, 0)), 7U); }

// Seven in a minute: the moment of the next one is no whole number of microseconds.
TEST_P(TokenBucket, IsExactWhereAPeriodDoesNotDivide) {
  const limit_check what = bucket(7, 60s, 1);
  std::uint64_t taken = 0;
  const timestamp until = now() + 600s;
  while (now() < until) {
    if (allows(what)) ++taken;
    advance(peek(what).retry_after);
  }
  EXPECT_EQ(taken, 70U);
}

TEST_P(TokenBucket, SaysWhenACostFits) {
  const limit_check what = bucket(60, 60s, 10);
  take(with_cost(what, 8));
  EXPECT_EQ(peek(with_cost(what, 2)).retry_after, 0s);
  EXPECT_EQ(peek(with_cost(what, 3)).retry_after, 1s);
  EXPECT_EQ(peek(with_cost(what, 10)).retry_after, 8s);
}

TEST_P(TokenBucket, CountsWholeTokensThatAreMissing) {
  const limit_check what = bucket(60, 60s, 10);
  take(with_cost(what, 2));
  advance(500ms);
  EXPECT_EQ(count(what), 2U);
  EXPECT_EQ(peek(what).remaining, 8U);
  advance(500ms);
  EXPECT_EQ(count(what), 1U);
  EXPECT_EQ(refund(with_cost(what, 5)).count, 0U);
}

TEST_P(TokenBucket, FollowsARateThatIsChanged) {
  take(with_cost(bucket(60, 60s, 10), 10));
  advance(500ms);
  EXPECT_EQ(count(bucket(120, 60s, 10)), 10U) << "of what is missing whole tokens are taken over";
  EXPECT_EQ(peek(bucket(120, 60s, 10)).retry_after, 500ms);
}

TEST_P(TokenBucket, RefusesNumbersThatCannotBeExact) {
  EXPECT_EQ(refusal_of(take_limits{.checks = {bucket(999'999'999'989, 366 * 24h, 0)}}),
            "invalid_value");
  EXPECT_TRUE(allows(bucket(1'000'000, 24h, 0)));
}

MILLRACE_LIMIT_SUITE(CalendarBudget);

TEST_P(CalendarBudget, EndsWithItsPeriod) {
  advance(23h);
  EXPECT_TRUE(allows(with_cost(daily(1000, now()), 900)));
  const limits_checked refused = take(with_cost(daily(1000, now()), 101));
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.limits[0].remaining, 100U);
  EXPECT_EQ(refused.limits[0].retry_after, 1h);
  EXPECT_EQ(refused.limits[0].window_start, daily(1, now()).period_start);
  EXPECT_EQ(refused.limits[0].reset_time, daily(1, now()).period_end);
  advance(1h);
  EXPECT_TRUE(allows(with_cost(daily(1000, now()), 1000)));
}

// A zone that is changed makes neither a second budget nor a shorter one.
TEST_P(CalendarBudget, CountsOnWhenItsBoundsAreMoved) {
  take(with_cost(daily(10, now()), 10));
  limit_check moved = daily(10, now());
  moved.period_start -= 2h;
  moved.period_end -= 2h;
  EXPECT_EQ(count(moved), 10U);
  EXPECT_FALSE(allows(moved));
  clock().set(moved.period_end);
  limit_check next = moved;
  next.period_start = moved.period_end;
  next.period_end = moved.period_end + 24h;
  EXPECT_EQ(peek(next).retry_after, 2h);
  advance(2h);
  EXPECT_TRUE(allows(next));
}

}  // namespace
}  // namespace millrace::conformance
