#include "limit_fixture.hpp"

/// Takes that a transaction hangs on.
namespace millrace::conformance {
namespace {

class required_test : public limit_test {
protected:
  static take_limits required(std::vector<limit_check> checks, take_mode mode = take_mode::all) {
    return {.checks = std::move(checks), .mode = mode, .required = true};
  }
  [[nodiscard]] std::uint64_t waiting() {
    const auto found = ask(find_queue{work});
    return found ? found->waiting : 0;
  }
};

class RequiredLimits : public required_test {};
INSTANTIATE_TEST_SUITE_P(Engine, RequiredLimits, ::testing::ValuesIn(engines_under_test()),
                         case_name);

TEST_P(RequiredLimits, AreTakenTogetherWithWhatTheyAllow) {
  const commit_result done = commit_all(required({with_cost(per_minute(5), 2), at_once(3)}),
                                        enqueue_job{.queue = work, .spec = {.type = "t"}});
  ASSERT_TRUE(done);
  const auto& taken = std::get<limits_checked>(done->outcomes.at(0));
  EXPECT_TRUE(taken.allowed);
  EXPECT_EQ(taken.limits.at(0).count, 2U);
  EXPECT_NE(taken.permit, 0U);
  EXPECT_EQ(count(per_minute(5)), 2U);
  EXPECT_EQ(count(at_once(3)), 1U);
  EXPECT_EQ(waiting(), 1U);
}

TEST_P(RequiredLimits, RefuseWhatStandsBesideThem) {
  take(with_cost(per_minute(5), 4));
  const commit_result refused =
      commit_all(enqueue_job{.queue = work, .spec = {.type = "t"}},
                 required({per_minute(9, "43"), with_cost(per_minute(5), 2)}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.code, "limit_reached");
  EXPECT_EQ(refused.error().why.kind, errc::exhausted);
  EXPECT_EQ(refused.error().step_index, 1U);
  EXPECT_EQ(waiting(), 0U);
  EXPECT_EQ(count(per_minute(5)), 4U);
  EXPECT_EQ(count(per_minute(9, "43")), 0U);
  EXPECT_EQ(refusal_of(required({with_cost(per_minute(5), 2)})), "limit_reached");
}

TEST_P(RequiredLimits, ChargeNothingWhereAnotherStepIsRefused) {
  const commit_result refused =
      commit_all(required({per_minute(5), at_once(1)}), delete_job{{.tag = "work", .stamp = 1}});
  EXPECT_EQ(word(refused), "job_not_found");
  EXPECT_EQ(count(per_minute(5)), 0U);
  EXPECT_EQ(count(at_once(1)), 0U);
  EXPECT_TRUE(allows(at_once(1)));
}

TEST_P(RequiredLimits, OfABlockedIdSaySo) {
  block("42", 10min);
  EXPECT_EQ(refusal_of(required({per_minute(5)})), "limit_blocked");
  EXPECT_EQ(refusal_of(required({per_minute(5, "43"), per_minute(5)})), "limit_blocked");
  limit_check tried = per_minute(5);
  tried.dry_run = true;
  EXPECT_TRUE(run(required({per_minute(5, "43"), tried})).allowed);
  EXPECT_EQ(count(per_minute(5, "43")), 1U);
}

TEST_P(RequiredLimits, OfWhichAPartIsEnoughNeedOne) {
  take(with_cost(per_minute(5), 3));
  const limits_checked some = run(required({with_cost(per_minute(5), 4)}, take_mode::part));
  EXPECT_TRUE(some.allowed);
  EXPECT_EQ(some.granted, 2U);
  EXPECT_EQ(refusal_of(required({with_cost(per_minute(5), 4)}, take_mode::part)), "limit_reached");
  EXPECT_EQ(count(per_minute(5)), 5U);
}

TEST_P(RequiredLimits, ThatAreOnlyLookedAtChargeNothing) {
  EXPECT_TRUE(run(required({with_cost(per_minute(5), 5)}, take_mode::peek)).allowed);
  EXPECT_EQ(count(per_minute(5)), 0U);
  take(per_minute(5));
  EXPECT_EQ(refusal_of(required({with_cost(per_minute(5), 5)}, take_mode::peek)), "limit_reached");
}

TEST_P(RequiredLimits, AreRefusedWithoutCountingForAPenalty) {
  const limit_check what = with_penalty(per_minute(1), 2, 10min);
  EXPECT_TRUE(run(required({what})).allowed);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(refusal_of(required({what})), "limit_reached");
  EXPECT_EQ(peek(what).blocked_until, timestamp{});
}

TEST_P(RequiredLimits, OfAnotherDayHaveMoved) {
  const limit_check today = daily(5, now());
  advance(24h);
  EXPECT_EQ(refusal_of(required({today})), "limit_period_moved");
}

TEST_P(RequiredLimits, AnswerARepeatedRequestAsBefore) {
  transaction one;
  one.steps.emplace_back(required({with_cost(per_minute(5), 3), at_once(2)}));
  one.steps.emplace_back(enqueue_job{.queue = work, .spec = {.type = "t"}});
  one.idempotency = idempotency_key{.project = "default", .route = "r", .key = "k"};
  const commit_result first = commit(one);
  const commit_result second = commit(one);
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->replayed);
  const auto& then = std::get<limits_checked>(first->outcomes.at(0));
  const auto& again = std::get<limits_checked>(second->outcomes.at(0));
  EXPECT_EQ(again.permit, then.permit);
  EXPECT_EQ(again.at, then.at);
  EXPECT_EQ(again.limits.at(0).count, 3U);
  EXPECT_EQ(count(per_minute(5)), 3U);
  EXPECT_EQ(waiting(), 1U);
}

}  // namespace
}  // namespace millrace::conformance
