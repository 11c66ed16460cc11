#include <millrace/limiter/limiter.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using conformance::faulty_store;
using engine::take_mode;

limit_rule rule(std::string scope, std::uint64_t limit) {
  return {.scope = std::move(scope), .limit = limit, .window = 60s};
}

// The chat policy of a chatbot platform, small.
limit_settings chat_settings() {
  limit_rule user = rule("user", 3);
  user.fallback = "ip";
  limit_settings settings{.server_id = "web-1"};
  settings.policies.emplace("chat",
                            limit_policy{.rules = {rule("server", 100), user, rule("bot", 5)},
                                         .allow = {"plan=enterprise", "ip=10.1.*"},
                                         .deny = {"user=mallory"}});
  settings.policies.emplace("tokens",
                            limit_policy{.rules = {{.scope = "user",
                                                    .algorithm = engine::limit_algorithm::calendar,
                                                    .limit = 1000,
                                                    .period = engine::limit_period::daily}}});
  return settings;
}

class Limiter : public ::testing::Test {
protected:
  result<limit_answer> take(limit_request what, take_mode mode = take_mode::all) {
    return run_coro(limits_.take(std::move(what), mode));
  }
  static limit_request chat(std::string user, std::string bot = "7") {
    return {.policy = "chat", .parts = {{"user", std::move(user)}, {"bot", std::move(bot)}}};
  }
  static limit_request tokens(std::uint64_t count) {
    return {.policy = "tokens", .parts = {{"user", "42"}}, .cost = count};
  }
  std::string word(limit_request what) {
    const auto answer = take(std::move(what));
    if (!answer) return std::string(answer.error().code);
    return answer->allowed ? "allowed" : "refused";
  }

  manual_clock clock_;
  model::model_store model_{{.clock = &clock_}};
  faulty_store store_{model_};
  limiter limits_{store_, chat_settings()};
};

TEST_F(Limiter, ChecksThePolicysLimitsTogether) {
  const auto first = take(chat("42"));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->allowed);
  ASSERT_EQ(first->limits.size(), 3U);
  EXPECT_EQ(first->limits[0].scope, "server");
  EXPECT_EQ(first->limits[0].id, "web-1");
  EXPECT_EQ(first->limits[1].id, "42");
  EXPECT_EQ(first->limits[2].state.remaining, 4U);
  EXPECT_EQ(first->binding, 1U) << "it has least left of its size";
  EXPECT_EQ(word(chat("42")), "allowed");
  EXPECT_EQ(word(chat("42")), "allowed");
  const auto refused = take(chat("42"));
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->allowed);
  EXPECT_EQ(refused->binding, 1U);
  EXPECT_EQ(refused->retry_after(), 60s);
  EXPECT_EQ(refused->limits[0].state.count, 3U);
  EXPECT_EQ(word(chat("43")), "allowed");
  EXPECT_EQ(word(chat("44")), "allowed");
  EXPECT_EQ(word(chat("45")), "refused") << "the bot's limit";
}

TEST_F(Limiter, NamesTheLimitThatRefusesLongest) {
  for (int i = 0; i < 3; ++i) take(chat("a"));
  clock_.advance(30s);
  for (int i = 0; i < 2; ++i) take(chat("b"));
  const auto refused = take({.policy = "chat", .parts = {{"user", "a"}, {"bot", "7"}}, .cost = 3});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->binding, 1U);
  EXPECT_EQ(refused->retry_after(), 30s);
}

TEST_F(Limiter, TakesAnAnonymousUserForHisIp) {
  const limit_request anonymous{.policy = "chat", .parts = {{"ip", "9.9.9.9"}, {"bot", "7"}}};
  const auto answer = take(anonymous);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->limits[1].scope, "ip");
  EXPECT_EQ(answer->limits[1].id, "9.9.9.9");
  const auto by_default = take({.policy = "default", .parts = {{"ip", "9.9.9.9"}}});
  ASSERT_TRUE(by_default);
  EXPECT_EQ(by_default->limits[0].state.limit, 100U);
}

TEST_F(Limiter, RefusesWhatARequestDoesNotSay) {
  EXPECT_EQ(word({.policy = "chat", .parts = {{"user", "42"}}}), "missing_part");
  const auto answer = take({.policy = "chat", .parts = {{"bot", "7"}}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().field, "user");
  EXPECT_EQ(word({.policy = "none"}), "unknown_policy");
  EXPECT_EQ(word(chat("42", std::string(10'240, 'x'))), "invalid_key");
  EXPECT_EQ(word({.policy = "chat", .parts = {{"user", "1"}, {"bot", "1"}}, .cost = 4}),
            "cost_over_limit");
}

TEST_F(Limiter, DoesNotLetARequestChooseWhatIsKnown) {
  limit_request sly = chat("42");
  sly.parts["server"] = "another";
  const auto answer = take(sly);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->limits[0].id, "web-1");
}

TEST_F(Limiter, LetsThroughWhatTheListsSay) {
  limit_request enterprise = chat("42");
  enterprise.parts["plan"] = "enterprise";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(word(enterprise), "allowed");
  limit_request office = chat("42");
  office.parts["ip"] = "10.1.2.3";
  EXPECT_EQ(take(office)->verdict, limit_verdict::listed);
  EXPECT_EQ(word(chat("mallory")), "refused");
  enterprise.parts["user"] = "mallory";
  EXPECT_EQ(word(enterprise), "refused") << "what is denied is looked at first";
  EXPECT_EQ(take(chat("42"))->limits[1].state.count, 1U) << "nothing of it was counted";
}

// The store's clock is far from this machine's: the day is computed anew.
TEST_F(Limiter, KeepsABudgetOfTheStoresDay) {
  const auto first = take(tokens(900));
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_TRUE(first->allowed);
  EXPECT_EQ(first->limits[0].state.window_start, manual_clock::default_start());
  const std::size_t asked = store_.asks();
  EXPECT_FALSE(take(tokens(101))->allowed);
  EXPECT_EQ(store_.asks(), asked) << "now the clock is known";
  EXPECT_EQ(take(tokens(100))->limits[0].state.remaining, 0U);
  clock_.advance(24h);
  EXPECT_EQ(take(tokens(100))->limits[0].state.remaining, 900U);
}

TEST_F(Limiter, RefundsAndSettles) {
  const auto taken = take(tokens(400));
  const auto back = run_coro(limits_.refund(tokens(100), taken->at));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->limits[0].state.count, 300U);
  const auto less = run_coro(limits_.settle(tokens(300), 50, taken->at));
  EXPECT_EQ(less->limits[0].state.count, 50U);
  take(tokens(100));
  const auto more = run_coro(limits_.settle(tokens(100), 700, std::nullopt));
  ASSERT_TRUE(more);
  EXPECT_EQ(more->granted, 600U);
  EXPECT_EQ(more->limits[0].state.count, 750U);
  take(tokens(100));
  EXPECT_EQ(run_coro(limits_.settle(tokens(100), 400, std::nullopt))->granted, 150U)
      << "as far as the limit goes";
  EXPECT_EQ(run_coro(limits_.settle(tokens(100), 100, std::nullopt))->limits[0].state.count, 1000U);
}

TEST_F(Limiter, ResetsThePolicysCounts) {
  for (int i = 0; i < 3; ++i) take(chat("42"));
  EXPECT_EQ(word(chat("42")), "refused");
  ASSERT_TRUE(run_coro(limits_.reset(chat("42"))));
  EXPECT_EQ(word(chat("42")), "allowed");
}

TEST_F(Limiter, TakesLimitsThatTheCallerNames) {
  const limit_request one{
      .limits = {{.check = {.scope = "user", .id = "1", .limit = 1, .window = 1s}}}};
  EXPECT_EQ(word(one), "allowed");
  EXPECT_EQ(word(one), "refused");
  EXPECT_EQ(word({.limits = {{.check = {.scope = "user", .id = "1", .limit = 1}}}}),
            "invalid_value");
}

limit_request with_failure(when_down how, std::string id) {
  return {.limits = {{.check = {.scope = "user", .id = std::move(id), .limit = 2, .window = 60s},
                      .on_failure = how}}};
}

TEST_F(Limiter, DecidesAloneAsEachLimitSaysWhileTheStoreIsAway) {
  EXPECT_EQ(word(with_failure(when_down::local, "a")), "allowed");
  store_.on_submit(1, fault::unavailable(), faulty_store::always);
  const auto second = take(with_failure(when_down::local, "a"));
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->allowed);
  EXPECT_EQ(second->verdict, limit_verdict::degraded);
  EXPECT_EQ(second->limits[0].state.count, 2U) << "it was kept warm";
  const auto third = take(with_failure(when_down::local, "a"));
  ASSERT_TRUE(third);
  EXPECT_FALSE(third->allowed);
  EXPECT_TRUE(third->binding);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(word(with_failure(when_down::open, "b")), "allowed");
  EXPECT_EQ(word(with_failure(when_down::closed, "c")), "limits_unavailable");
  store_.recover();
  EXPECT_EQ(take(with_failure(when_down::open, "b"))->verdict, limit_verdict::counted);
}

TEST_F(Limiter, RefusesAClosedLimitBesideAnOpenOne) {
  store_.on_submit(1, fault::unavailable(), faulty_store::always);
  limit_request both = with_failure(when_down::open, "a");
  both.limits.push_back(with_failure(when_down::closed, "b").limits[0]);
  EXPECT_EQ(word(both), "limits_unavailable");
  both.limits[1].check.dry_run = true;
  EXPECT_EQ(word(both), "allowed");
}

TEST_F(Limiter, ChangesItsPoliciesAtOnce) {
  limit_settings wider = chat_settings();
  wider.policies.at("chat").rules[1].limit = 4;
  for (int i = 0; i < 3; ++i) take(chat("42"));
  EXPECT_EQ(word(chat("42")), "refused");
  ASSERT_TRUE(limits_.change_settings(wider));
  EXPECT_EQ(word(chat("42")), "allowed");
  wider.policies.at("chat").rules.clear();
  EXPECT_FALSE(limits_.change_settings(wider));
  EXPECT_EQ(word(chat("43")), "allowed") << "those of before hold on";
}

TEST_F(Limiter, CountsWhatEachPolicySaid) {
  for (int i = 0; i < 5; ++i) take(chat("42"));
  take(chat("42"), take_mode::peek);
  const auto numbers = limits_.numbers();
  ASSERT_TRUE(numbers.contains("chat"));
  EXPECT_EQ(numbers.at("chat").allowed, 3U);
  EXPECT_EQ(numbers.at("chat").refused, 2U);
  EXPECT_EQ(numbers.at("chat").near, 1U);
}

TEST_F(Limiter, NamesWhoTakesMostAndWhoIsRefused) {
  for (int i = 0; i < 5; ++i) take(chat("42"));
  take(chat("43"));
  take({.limits = {{.check = {.scope = "ip", .id = "1", .limit = 9, .window = 1s, .cost = 9}}}});
  const limit_consumers top = limits_.top(10);
  ASSERT_EQ(top.used.size(), 4U) << "42, 43, the bot and the ip, and nothing of the server";
  EXPECT_EQ(top.used[0].policy, "-");
  EXPECT_EQ(top.used[0].count, 9U);
  EXPECT_EQ(top.used[1].scope, "bot");
  EXPECT_EQ(top.used[1].count, 4U);
  EXPECT_EQ(top.used[2].id, "42");
  EXPECT_EQ(top.used[2].count, 3U);
  ASSERT_EQ(top.refused.size(), 1U);
  EXPECT_EQ(top.refused[0].policy, "chat");
  EXPECT_EQ(top.refused[0].id, "42");
  EXPECT_EQ(top.refused[0].count, 2U);
}

}  // namespace
}  // namespace millrace
