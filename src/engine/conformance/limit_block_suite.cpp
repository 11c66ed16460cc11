#include "limit_fixture.hpp"

/// Who is shut out for a time: by a caller, or by a limit that is asked for too often.
namespace millrace::conformance {
namespace {

MILLRACE_LIMIT_SUITE(LimitBlocks);

TEST_P(LimitBlocks, ShutAnIdOutOfEveryLimitOfIt) {
  take(per_minute(5));
  const limits_checked blocked = block("42", 10min);
  EXPECT_FALSE(blocked.allowed);
  EXPECT_EQ(blocked.limits.at(0).blocked_until, now() + 10min);
  EXPECT_EQ(blocked.at, now());
  for (const limit_check& each :
       {per_minute(5), bucket(5, 60s, 5), daily(5, now()), at_once(5), per_minute(5000)}) {
    const limits_checked refused = take(each);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.limits.at(0).blocked_until, now() + 10min);
    EXPECT_EQ(refused.limits.at(0).retry_after, 10min);
    EXPECT_EQ(refused.permit, 0U);
  }
  EXPECT_EQ(count(per_minute(5)), 1U) << "a refused call charges nothing";
  EXPECT_TRUE(allows(per_minute(5, "43")));
  EXPECT_TRUE(allows(per_minute(5, "42", "ip")));
  EXPECT_TRUE(run(take_limits{.project = "other", .checks = {per_minute(5)}}).allowed);
}

TEST_P(LimitBlocks, EndToTheMicrosecond) {
  block("42", 90s);
  advance(90s - 1us);
  EXPECT_EQ(peek(per_minute(5)).retry_after, 1us);
  EXPECT_FALSE(allows(per_minute(5)));
  advance(1us);
  EXPECT_EQ(peek(per_minute(5)).blocked_until, timestamp{});
  EXPECT_TRUE(allows(per_minute(5)));
}

TEST_P(LimitBlocks, AreReplacedAndLifted) {
  block("42", 1h);
  block("42", 10s);
  EXPECT_EQ(peek(per_minute(5)).blocked_until, now() + 10s);
  block("42", 2h);
  advance(1h);
  EXPECT_EQ(peek(per_minute(5)).blocked_until, now() + 1h);
  const limits_checked lifted = block("42", 0s);
  EXPECT_TRUE(lifted.allowed);
  EXPECT_EQ(lifted.limits.at(0).blocked_until, timestamp{});
  EXPECT_TRUE(allows(per_minute(5)));
  EXPECT_TRUE(block("never seen", 0s).allowed);
}

TEST_P(LimitBlocks, OfOneAmongSeveralRefuseThemAll) {
  block("10.0.0.1", 5min, "ip");
  const std::vector checks{per_minute(5), per_minute(5, "10.0.0.1", "ip")};
  const limits_checked refused = take(checks);
  EXPECT_FALSE(refused.allowed);
  EXPECT_TRUE(refused.limits[0].allowed);
  EXPECT_EQ(refused.limits[0].blocked_until, timestamp{});
  EXPECT_EQ(refused.limits[1].blocked_until, now() + 5min);
  EXPECT_EQ(refused.limits[0].count, 0U);
  EXPECT_EQ(take(checks, take_mode::part).granted, 0U);
}

// The longer of the two decides: what was used up, or the block.
TEST_P(LimitBlocks, SayWhenBothTheBlockAndTheLimitAreOver) {
  EXPECT_TRUE(allows(per_minute(1)));
  block("42", 10s);
  EXPECT_EQ(peek(per_minute(1)).retry_after, 60s);
  block("42", 100s);
  EXPECT_EQ(peek(per_minute(1)).retry_after, 100s);
}

TEST_P(LimitBlocks, OfADryRunRefuseNothing) {
  block("42", 1h);
  limit_check tried = per_minute(5);
  tried.dry_run = true;
  const limits_checked done = take({per_minute(5, "43"), tried});
  EXPECT_TRUE(done.allowed);
  EXPECT_FALSE(done.limits[1].allowed);
  EXPECT_EQ(done.limits[1].blocked_until, now() + 1h);
  EXPECT_EQ(done.limits[1].count, 0U);
}

TEST_P(LimitBlocks, AreForgottenByAReset) {
  block("42", 1h);
  EXPECT_EQ(run(reset_limits{.checks = {per_minute(5)}}).limits.at(0).blocked_until, timestamp{});
  EXPECT_TRUE(allows(per_minute(5)));
}

TEST_P(LimitBlocks, AreRefusedWhereTheyMakeNoSense) {
  EXPECT_EQ(refusal_of(block_limit{.scope = "user", .whose = "", .length = 1s}), "invalid_key");
  EXPECT_EQ(refusal_of(block_limit{.scope = "a b", .whose = "1", .length = 1s}), "invalid_name");
  EXPECT_EQ(refusal_of(block_limit{.scope = "user", .whose = "1", .length = -1s}), "invalid_value");
  EXPECT_EQ(refusal_of(block_limit{.scope = "user", .whose = "1", .length = 367 * 24h}),
            "invalid_value");
  EXPECT_EQ(refusal_of(block_limit{.scope = "user", .whose = std::string(513, 'x'), .length = 1s}),
            "invalid_key");
  EXPECT_EQ(refusal_of(take_limits{.checks = {with_penalty(per_minute(1), 0, 1s)}}),
            "invalid_value");
  EXPECT_EQ(refusal_of(take_limits{.checks = {with_penalty(per_minute(1), 1, 0s)}}),
            "invalid_value");
}

MILLRACE_LIMIT_SUITE(LimitPenalties);

TEST_P(LimitPenalties, BlockAnIdThatIsRefusedSoOften) {
  const limit_check what = with_penalty(per_minute(2), 3, 10min);
  EXPECT_EQ(exhaust(what), 2U);  // The third call was the first refusal.
  const limits_checked second = take(what);
  EXPECT_EQ(second.limits.at(0).blocked_until, timestamp{});
  EXPECT_EQ(second.limits.at(0).retry_after, 60s);
  const limits_checked third = take(what);
  EXPECT_FALSE(third.allowed);
  EXPECT_EQ(third.limits.at(0).blocked_until, now() + 10min);
  EXPECT_EQ(third.limits.at(0).retry_after, 10min);
  // Whatever asks for it, and however often: the block gets no longer.
  advance(5min);
  EXPECT_FALSE(allows(what));
  EXPECT_FALSE(allows(bucket(9, 1s, 9)));
  EXPECT_EQ(peek(what).blocked_until, now() + 5min);
  advance(5min);
  EXPECT_EQ(exhaust(what), 2U) << "it begins anew";
}

TEST_P(LimitPenalties, AtTheFirstRefusalWhereThatIsWanted) {
  const limit_check what = with_penalty(per_minute(1), 1, 1h);
  EXPECT_TRUE(allows(what));
  EXPECT_EQ(take(what).limits.at(0).blocked_until, now() + 1h);
}

TEST_P(LimitPenalties, CountRefusalsForAWindow) {
  const limit_check what = with_penalty(per_minute(1), 3, 1h);
  EXPECT_TRUE(allows(what));
  advance(1s);
  EXPECT_FALSE(allows(what));
  advance(1s);
  EXPECT_FALSE(allows(what));
  advance(59s - 1us);  // A window after the first of them, but for a microsecond.
  EXPECT_TRUE(allows(what));
  EXPECT_EQ(take(what).limits.at(0).blocked_until, now() + 1h);
  block("42", 0s);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(allows(what));
    EXPECT_FALSE(allows(what));
    advance(60s);
    EXPECT_EQ(peek(what).blocked_until, timestamp{}) << "two in a window are not three";
    EXPECT_TRUE(allows(what));
  }
}

TEST_P(LimitPenalties, OfABudgetCountRefusalsOfItsPeriod) {
  const limit_check what = with_penalty(daily(1, now()), 2, 30s);
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  clock().set(what.period_end - 1us);
  EXPECT_EQ(take(what).limits.at(0).blocked_until, now() + 30s);
  advance(30s);
  const limit_check tomorrow = with_penalty(daily(1, now()), 2, 30s);
  EXPECT_TRUE(allows(tomorrow));
  EXPECT_FALSE(allows(tomorrow));
  EXPECT_EQ(peek(tomorrow).blocked_until, timestamp{});
}

TEST_P(LimitPenalties, CountForTheLimitThatRefusesAlone) {
  const std::vector checks{with_penalty(per_minute(5, "10.0.0.1", "ip"), 1, 1h),
                           with_penalty(per_minute(1), 2, 1h)};
  EXPECT_TRUE(take(checks).allowed);
  EXPECT_FALSE(take(checks).allowed);
  const limits_checked refused = take(checks);
  EXPECT_EQ(refused.limits[0].blocked_until, timestamp{});
  EXPECT_EQ(refused.limits[1].blocked_until, now() + 1h);
  EXPECT_TRUE(allows(per_minute(5, "10.0.0.1", "ip")));
}

TEST_P(LimitPenalties, OfTwoLimitsOfOneIdTheLongerBlockCounts) {
  limit_check hourly = with_penalty(per_minute(1), 1, 30s);
  hourly.window = 1h;
  const std::vector checks{with_penalty(per_minute(1), 1, 10min), hourly};
  EXPECT_TRUE(take(checks).allowed);
  const limits_checked refused = take(checks);
  EXPECT_EQ(refused.limits[0].blocked_until, now() + 10min);
  EXPECT_EQ(refused.limits[1].blocked_until, now() + 10min);
  EXPECT_EQ(peek(per_minute(9)).blocked_until, now() + 10min);
}

TEST_P(LimitPenalties, CountNeitherLooksNorDryRunsNorWhatIsBlocked) {
  limit_check what = with_penalty(per_minute(1), 2, 1h);
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(peek(what).blocked_until, timestamp{});
  what.dry_run = true;
  for (int i = 0; i < 3; ++i) take({what, per_minute(1, "nobody")});
  EXPECT_EQ(peek(what).blocked_until, timestamp{});
  block("42", 10s);
  what.dry_run = false;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(allows(what));
  EXPECT_EQ(peek(what).blocked_until, now() + 10s);
}

TEST_P(LimitPenalties, CountWherePartIsEnoughAndOfPermits) {
  const limit_check part = with_penalty(with_cost(per_minute(3), 5), 1, 1h);
  EXPECT_EQ(take({part}, take_mode::part).granted, 3U);
  EXPECT_EQ(take({part}, take_mode::part).limits.at(0).blocked_until, now() + 1h);
  const limit_check permits = with_penalty(at_once(1, 30s, "43"), 2, 1h);
  EXPECT_TRUE(allows(permits));
  EXPECT_FALSE(allows(permits));
  EXPECT_EQ(take(permits).limits.at(0).blocked_until, now() + 1h);
}

TEST_P(LimitPenalties, AreForgottenByAReset) {
  const limit_check what = with_penalty(per_minute(1), 2, 1h);
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  run(reset_limits{.checks = {what}});
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  EXPECT_EQ(peek(what).blocked_until, timestamp{});
}

class LimitBlocksRestart : public limit_test {};
INSTANTIATE_TEST_SUITE_P(Engine, LimitBlocksRestart,
                         testing::ValuesIn(reopenable_engines_under_test()), case_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LimitBlocksRestart);

TEST_P(LimitBlocksRestart, KeepsBlocksWhoeverMadeThem) {
  block("42", 1h);
  block("43", 1h);
  block("44", 1h);
  const limit_check what = with_penalty(per_minute(1, "45"), 1, 2h);
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  const timestamp ends = now() + 1h;
  block("43", 0s);
  run(reset_limits{.checks = {per_minute(1, "44")}});
  restart(ending::killed);
  EXPECT_EQ(peek(per_minute(1)).blocked_until, ends);
  EXPECT_EQ(peek(per_minute(1, "43")).blocked_until, timestamp{});
  EXPECT_EQ(peek(per_minute(1, "44")).blocked_until, timestamp{});
  EXPECT_EQ(peek(per_minute(1, "45")).blocked_until, ends + 1h);
  block("42", 0s);
  restart(ending::closed);
  EXPECT_TRUE(allows(per_minute(1)));
  advance(2h);
  EXPECT_TRUE(allows(per_minute(1, "45")));
}

}  // namespace
}  // namespace millrace::conformance
