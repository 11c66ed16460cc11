#include <millrace/limiter/limit_plan.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::take_mode;

limit_settings chat_settings() {
  limit_settings settings;
  settings.policies.emplace(
      "chat", limit_policy{.rules = {{.scope = "user", .limit = 3, .window = 60s},
                                     {.scope = "user",
                                      .algorithm = engine::limit_algorithm::concurrency,
                                      .limit = 1,
                                      .window = 30s}},
                           .allow = {"plan=enterprise"},
                           .deny = {"user=mallory"}});
  settings.policies.emplace("tokens",
                            limit_policy{.rules = {{.scope = "user",
                                                    .algorithm = engine::limit_algorithm::calendar,
                                                    .limit = 100,
                                                    .period = engine::limit_period::daily}}});
  return settings;
}

class LimitPlans : public ::testing::Test {
protected:
  // The store's clock is not this machine's.
  void SetUp() override { ASSERT_TRUE(run_coro(planner_.follow_clock())); }

  static limit_request chat(std::string user = "42") {
    return {.policy = "chat", .parts = {{"user", std::move(user)}}};
  }
  static limit_request tokens(std::uint64_t cost = 1) {
    return {.policy = "tokens", .parts = {{"user", "42"}}, .cost = cost};
  }
  // With an event beside it.
  engine::commit_result commit(limit_plan& plan) {
    EXPECT_TRUE(planner_.ready(plan));
    engine::transaction one;
    one.steps = {plan.step, engine::publish_event{.stream = {.name = "s"}, .what = {.type = "t"}}};
    return engine::blocking::commit(store_, std::move(one));
  }
  limit_answer done(result<limit_plan> plan) {
    EXPECT_TRUE(plan);
    const auto came_to = commit(*plan);
    EXPECT_TRUE(came_to);
    return planner_.done(*plan, std::get<engine::limits_checked>(came_to->outcomes.at(0)), false);
  }
  std::uint64_t count(limit_request what, std::size_t which = 0) {
    return run_coro(limits_.take(std::move(what), take_mode::peek))->limits.at(which).state.count;
  }
  std::size_t events() {
    return engine::blocking::ask(store_, engine::read_events{.stream = {.name = "s"}})
        ->events.size();
  }

  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  limiter limits_{store_, chat_settings()};
  limit_planner planner_{limits_};
};

TEST_F(LimitPlans, ChargeWithTheRestOfTheTransaction) {
  const limit_answer taken = done(planner_.take(chat(), take_mode::all));
  EXPECT_TRUE(taken.allowed);
  EXPECT_NE(taken.permit, 0U);
  EXPECT_EQ(taken.permit_ends, taken.at + 30s);
  EXPECT_EQ(count(chat()), 1U);
  EXPECT_EQ(events(), 1U);
  EXPECT_EQ(limits_.numbers().at("chat").allowed, 1U);
  EXPECT_NE(done(planner_.renew(chat(), taken.permit)).permit, 0U);
  EXPECT_EQ(done(planner_.release(chat(), taken.permit)).limits.at(0).state.count, 0U);
}

TEST_F(LimitPlans, RefuseTheTransactionAndTellWhy) {
  ASSERT_TRUE(done(planner_.take(chat(), take_mode::all)).allowed);
  auto plan = planner_.take(chat(), take_mode::all);
  const auto refused = commit(*plan);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.code, "limit_reached");
  const auto why = run_coro(planner_.refused(*plan));
  ASSERT_TRUE(why);
  EXPECT_FALSE(why->allowed);
  EXPECT_EQ(why->binding, 1U);
  EXPECT_EQ(why->retry_after(), 30s);
  EXPECT_EQ(events(), 1U);
  EXPECT_EQ(limits_.numbers().at("chat").refused, 1U);
}

TEST_F(LimitPlans, OfARefusalThatIsOverSayToTryAgainSoon) {
  const auto plan = planner_.take(chat(), take_mode::all);
  const auto why = run_coro(planner_.refused(*plan));
  ASSERT_TRUE(why);
  EXPECT_FALSE(why->allowed);
  EXPECT_GT(why->retry_after(), 0s);
  EXPECT_EQ(count(chat()), 0U);
}

TEST_F(LimitPlans, LetThroughWhoIsOnAListAndNobodyElse) {
  limit_request listed = chat();
  listed.parts["plan"] = "enterprise";
  const limit_answer taken = done(planner_.take(std::move(listed), take_mode::all));
  EXPECT_EQ(taken.verdict, limit_verdict::listed);
  EXPECT_TRUE(taken.limits.empty());
  EXPECT_EQ(count(chat()), 0U);
  const auto denied = planner_.take(chat("mallory"), take_mode::all);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, "limit_denied");
  EXPECT_EQ(denied.error().kind, errc::forbidden);
}

TEST_F(LimitPlans, SettleInEitherDirection) {
  done(planner_.take(tokens(50), take_mode::all));
  EXPECT_EQ(done(planner_.settle(tokens(50), 20, std::nullopt)).limits.at(0).state.count, 20U);
  EXPECT_EQ(done(planner_.settle(tokens(20), 20, std::nullopt)).limits.at(0).state.count, 20U);
  const limit_answer more = done(planner_.settle(tokens(20), 150, std::nullopt));
  EXPECT_EQ(more.granted, 80U) << "as far as the limit goes";
  EXPECT_EQ(count(tokens()), 100U);
  const limit_answer none = done(planner_.settle(tokens(20), 21, std::nullopt));
  EXPECT_EQ(none.granted, 0U) << "it refuses nothing";
  EXPECT_EQ(done(planner_.refund(tokens(30), std::nullopt)).limits.at(0).state.count, 70U);
}

TEST_F(LimitPlans, FollowTheClockOfTheStore) {
  auto plan = planner_.take(tokens(5), take_mode::all);
  clock_.advance(48h);
  const auto moved = commit(*plan);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().why.code, "limit_period_moved");
  ASSERT_TRUE(run_coro(planner_.follow_clock()));
  EXPECT_TRUE(commit(*plan));
  EXPECT_EQ(count(tokens()), 5U);
}

TEST_F(LimitPlans, RefuseWhatMakesNoSense) {
  EXPECT_EQ(planner_.take({.policy = "none"}, take_mode::all).error().code, "unknown_policy");
  EXPECT_EQ(planner_.take({.policy = "chat"}, take_mode::all).error().code, "missing_part");
  EXPECT_EQ(planner_.take(tokens(101), take_mode::all).error().code, "cost_over_limit");
  EXPECT_EQ(planner_.renew(tokens(), 1).error().code, "no_permits");
}

}  // namespace
}  // namespace millrace
