#include "limit_fixture.hpp"

#include <thread>

/// What holds for every algorithm: several limits as one, modes, refunds, refusals.
namespace millrace::conformance {
namespace {

MILLRACE_LIMIT_SUITE(Limits);

TEST_P(Limits, SayWhatIsCountedLeftAndWhenItEnds) {
  const limits_checked taken = take(with_cost(per_minute(100), 3));
  EXPECT_TRUE(taken.allowed);
  EXPECT_EQ(taken.at, now());
  ASSERT_EQ(taken.limits.size(), 1U);
  const limit_state& state = taken.limits[0];
  EXPECT_EQ(state.count, 3U);
  EXPECT_EQ(state.limit, 100U);
  EXPECT_EQ(state.remaining, 97U);
  EXPECT_EQ(state.window_start, now() - 60s);
  EXPECT_EQ(state.reset_time, now() + 60s);
  EXPECT_TRUE(state.allowed);
  EXPECT_EQ(state.retry_after, 0s);
}

TEST_P(Limits, ChargeAllOrNothing) {
  const std::vector checks{per_minute(1000, "all", "global"), per_minute(100),
                           per_minute(2, "10.0.0.1", "ip")};
  EXPECT_TRUE(take(checks).allowed);
  EXPECT_TRUE(take(checks).allowed);
  for (int i = 0; i < 5; ++i) {
    const limits_checked refused = take(checks);
    EXPECT_FALSE(refused.allowed);
    ASSERT_EQ(refused.limits.size(), 3U);
    EXPECT_TRUE(refused.limits[0].allowed);
    EXPECT_TRUE(refused.limits[1].allowed);
    EXPECT_FALSE(refused.limits[2].allowed);
    EXPECT_EQ(refused.limits[2].retry_after, 60s);
    EXPECT_EQ(refused.limits[0].count, 2U) << "a refused call charges nothing";
    EXPECT_EQ(refused.limits[1].count, 2U);
  }
  advance(60s);
  EXPECT_TRUE(take(checks).allowed);
}

TEST_P(Limits, AreKeptApartByProjectScopeIdWindowAndAlgorithm) {
  ASSERT_TRUE(allows(per_minute(1)));
  ASSERT_FALSE(allows(per_minute(1)));
  EXPECT_TRUE(allows(per_minute(1, "43")));
  EXPECT_TRUE(allows(per_minute(1, "42", "ip")));
  limit_check hourly = per_minute(1);
  hourly.window = 1h;
  EXPECT_TRUE(allows(hourly));
  limit_check fixed = per_minute(1);
  fixed.algorithm = limit_algorithm::fixed;
  EXPECT_TRUE(allows(fixed));
  EXPECT_TRUE(allows(bucket(1, 60s, 1)));
  EXPECT_TRUE(allows(daily(1, now())));
  EXPECT_TRUE(run(take_limits{.project = "other", .checks = {per_minute(1)}}).allowed);
  // The same texts, cut at another place.
  EXPECT_TRUE(allows(per_minute(1, "42:60")));
  EXPECT_TRUE(allows(per_minute(1, "2:60", "user.4")));
}

TEST_P(Limits, TakeAnyIdThatIsAKey) {
  const std::string odd = "a:b/c \"d\" {e} %00 ü " + std::string(400, 'x');
  EXPECT_TRUE(allows(per_minute(1, odd)));
  EXPECT_FALSE(allows(per_minute(1, odd)));
}

TEST_P(Limits, PeekChargesNothing) {
  EXPECT_EQ(peek(per_minute(2)).remaining, 2U);
  EXPECT_EQ(peek(per_minute(2)).remaining, 2U);
  EXPECT_EQ(exhaust(per_minute(2)), 2U);
  const limit_state full = peek(per_minute(2));
  EXPECT_FALSE(full.allowed);
  EXPECT_EQ(full.retry_after, 60s);
}

TEST_P(Limits, GrantAPartWhereThatIsEnough) {
  const auto part = [this](std::uint64_t cost) {
    return take({with_cost(per_minute(10), cost), with_cost(per_minute(7, "a", "ip"), cost)},
                take_mode::part);
  };
  EXPECT_EQ(part(4).granted, 4U);
  const limits_checked rest = part(100);
  EXPECT_TRUE(rest.allowed);
  EXPECT_EQ(rest.granted, 3U);
  EXPECT_EQ(rest.limits[0].remaining, 3U);
  EXPECT_EQ(rest.limits[1].remaining, 0U);
  const limits_checked none = part(1);
  EXPECT_FALSE(none.allowed);
  EXPECT_EQ(none.granted, 0U);
  EXPECT_EQ(none.limits[0].count, 7U);
}

TEST_P(Limits, OfADryRunRefuseNothing) {
  limit_check tried = per_minute(1, "42", "new");
  tried.dry_run = true;
  const std::vector checks{per_minute(3), tried};
  EXPECT_TRUE(take(checks).limits[1].allowed);
  const limits_checked second = take(checks);
  EXPECT_TRUE(second.allowed);
  EXPECT_FALSE(second.limits[1].allowed);
  EXPECT_EQ(second.limits[1].count, 1U);
  EXPECT_EQ(second.limits[0].count, 2U);
  EXPECT_TRUE(take(checks).allowed);
  EXPECT_FALSE(take(checks).allowed) << "the other one decides";
}

TEST_P(Limits, FollowALimitThatIsChanged) {
  EXPECT_EQ(exhaust(per_minute(5)), 5U);
  EXPECT_EQ(exhaust(per_minute(8)), 3U);
  const limit_state lowered = peek(per_minute(2));
  EXPECT_EQ(lowered.count, 8U);
  EXPECT_EQ(lowered.remaining, 0U);
  EXPECT_FALSE(lowered.allowed);
}

TEST_P(Limits, AreGivenBack) {
  EXPECT_EQ(exhaust(per_minute(5)), 5U);
  EXPECT_EQ(refund(with_cost(per_minute(5), 2)).remaining, 2U);
  EXPECT_EQ(exhaust(per_minute(5)), 2U);
  EXPECT_EQ(refund(with_cost(per_minute(5), 5)).count, 0U);
  EXPECT_EQ(refund(per_minute(5)).count, 0U) << "never more than still counts";
  EXPECT_EQ(exhaust(per_minute(5)), 5U);
}

TEST_P(Limits, AreGivenBackOnlyWhileTheyCount) {
  const timestamp taken_at = now();
  take(per_minute(5));
  advance(30s);
  take(per_minute(5));
  advance(30s);
  EXPECT_EQ(refund(per_minute(5), taken_at).count, 1U) << "the first has gone by itself";
  EXPECT_EQ(refund(per_minute(5), taken_at + 30s).count, 0U);
}

TEST_P(Limits, AreReset) {
  const std::vector checks{per_minute(1), daily(1, now())};
  EXPECT_TRUE(take(checks).allowed);
  EXPECT_FALSE(take(checks).allowed);
  const limits_checked anew = run(reset_limits{.checks = checks});
  EXPECT_EQ(anew.limits[0].count, 0U);
  EXPECT_EQ(anew.limits[1].remaining, 1U);
  EXPECT_TRUE(take(checks).allowed);
}

TEST_P(Limits, BelongIntoATransactionWithOtherSteps) {
  const auto done = commit_all(take_limits{.checks = {per_minute(1)}}, enqueue_job{.queue = work});
  ASSERT_TRUE(done);
  EXPECT_TRUE(std::get<limits_checked>(done->outcomes[0]).allowed);
  // A transaction that is refused charges nothing.
  EXPECT_EQ(word(commit_all(take_limits{.checks = {per_minute(2)}},
                            cancel_job{.id = {.tag = "work", .stamp = 1}})),
            "job_not_found");
  EXPECT_EQ(count(per_minute(2)), 1U);
  EXPECT_EQ(word(commit_all(take_limits{.checks = {per_minute(2)}},
                            reset_limits{.checks = {per_minute(2, "43")}})),
            "duplicate_target");
}

TEST_P(Limits, OfARepeatedRequestAreChargedOnce) {
  for (const bool replayed : {false, true}) {
    transaction one{.level = durability::async,
                    .idempotency = idempotency_key{
                        .project = "default", .route = "r", .key = "k", .fingerprint = 1}};
    one.steps.emplace_back(take_limits{.checks = {with_cost(per_minute(9), 2)}});
    const auto done = commit(std::move(one));
    ASSERT_TRUE(done);
    EXPECT_EQ(done->replayed, replayed);
    const auto& outcome = std::get<limits_checked>(done->outcomes.at(0));
    EXPECT_TRUE(outcome.allowed);
    EXPECT_EQ(outcome.limits.at(0).count, 2U);
    EXPECT_EQ(outcome.limits.at(0).reset_time, now() + 60s);
  }
  EXPECT_EQ(count(per_minute(9)), 2U);
}

TEST_P(Limits, AreRefusedWhereTheyMakeNoSense) {
  const auto refused = [this](limit_check what) {
    return refusal_of(take_limits{.checks = {std::move(what)}});
  };
  limit_check bad = per_minute(1);
  bad.window = 0s;
  EXPECT_EQ(refused(bad), "invalid_value");
  EXPECT_EQ(refused(per_minute(0)), "invalid_value");
  EXPECT_EQ(refused(with_cost(per_minute(5), 6)), "cost_over_limit");
  EXPECT_EQ(refused(per_minute(1, std::string(513, 'x'))), "invalid_key");
  EXPECT_EQ(refused(per_minute(1, "42", "a/b")), "invalid_name");
  EXPECT_EQ(refusal_of(take_limits{.checks = {per_minute(1), per_minute(2)}}), "duplicate_target");
  EXPECT_EQ(refusal_of(take_limits{.checks = std::vector<limit_check>(9, per_minute(1))}),
            "too_many_checks");
  EXPECT_EQ(refusal_of(take_limits{}), "invalid_value");
}

// A caller that computed the period before midnight has to compute it anew.
TEST_P(Limits, RefuseAPeriodThatIsNotThePresentOne) {
  const limit_check today = daily(5, now());
  clock().set(today.period_end);
  EXPECT_EQ(refusal_of(take_limits{.checks = {today}}), "limit_period_moved");
  EXPECT_EQ(refusal_of(refund_limits{.checks = {today}}), "limit_period_moved");
  limit_check tomorrow = daily(5, now());
  EXPECT_TRUE(allows(tomorrow));
  tomorrow.period_start += std::chrono::days{1};
  tomorrow.period_end += std::chrono::days{1};
  EXPECT_EQ(refusal_of(take_limits{.checks = {tomorrow}}), "limit_period_moved");
}

TEST_P(Limits, HoldUnderSixtyFourCallersAtOnce) {
  constexpr int callers = 64;
  constexpr int calls = 10;
  std::atomic<std::uint64_t> admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < calls; ++n) {
        transaction one{.level = durability::memory};
        one.steps.emplace_back(
            take_limits{.checks = {per_minute(500), per_minute(300, "a", "ip")}});
        const auto done = engine::blocking::commit(store(), std::move(one));
        if (done && std::get<limits_checked>(done->outcomes[0]).allowed) ++admitted;
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(admitted, 300U);
  EXPECT_EQ(count(per_minute(500)), 300U);
  EXPECT_EQ(count(per_minute(300, "a", "ip")), 300U);
}

class LimitsRestart : public limit_test {};
INSTANTIATE_TEST_SUITE_P(Engine, LimitsRestart, testing::ValuesIn(reopenable_engines_under_test()),
                         case_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LimitsRestart);

TEST_P(LimitsRestart, KeepsCalendarBudgets) {
  take(with_cost(daily(100, now()), 30));
  take(with_cost(daily(100, now(), "other"), 5));
  restart(ending::killed);
  EXPECT_EQ(count(daily(100, now())), 30U);
  take(with_cost(daily(100, now()), 20));
  refund(with_cost(daily(100, now(), "other"), 4));
  restart(ending::closed);
  EXPECT_EQ(count(daily(100, now())), 50U);
  EXPECT_EQ(count(daily(100, now(), "other")), 1U);
  run(reset_limits{.checks = {daily(100, now())}});
  restart(ending::killed);
  EXPECT_EQ(count(daily(100, now())), 0U);
  advance(std::chrono::days{1});
  EXPECT_EQ(count(daily(100, now(), "other")), 0U);
}

}  // namespace
}  // namespace millrace::conformance
