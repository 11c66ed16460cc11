#include <millrace/engine/checks.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

limit_check sound() { return {.scope = "user", .id = "42", .limit = 100, .window = 60s}; }

limit_check sound_budget() {
  const timestamp start = from_micros(1'767'225'600'000'000);
  return {.scope = "user",
          .id = "42",
          .algorithm = limit_algorithm::calendar,
          .limit = 100,
          .period = limit_period::daily,
          .period_start = start,
          .period_end = start + 24h};
}

// What is wrong with one limit, changed by `change`: the field and the word.
template <class Change>
std::pair<std::string, std::string> wrong(limit_check what, Change change) {
  change(what);
  const auto checked = check_step(take_limits{.checks = {what}});
  if (checked) return {};
  EXPECT_FALSE(checked.error().detail.empty());
  return {checked.error().field, std::string(checked.error().code)};
}

TEST(LimitChecks, TakeWhatIsSound) {
  EXPECT_TRUE(check_step(take_limits{.checks = {sound(), sound_budget()}}));
  EXPECT_TRUE(check_step(refund_limits{.checks = {sound()}}));
  EXPECT_TRUE(check_step(reset_limits{.checks = {sound()}}));
  EXPECT_TRUE(check_limit(sound(), ""));
}

TEST(LimitChecks, NameTheFieldThatIsWrong) {
  using pair = std::pair<std::string, std::string>;
  const auto of = [](auto change) { return wrong(sound(), change); };
  EXPECT_EQ(of([](auto& w) { w.window = 0s; }), pair("checks[0].window", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.window = -1s; }), pair("checks[0].window", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.window = 367 * 24h; }), pair("checks[0].window", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.limit = 0; }), pair("checks[0].limit", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.limit = limit_value_max + 1; }),
            pair("checks[0].limit", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.cost = 0; }), pair("checks[0].cost", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.cost = 101; }), pair("checks[0].cost", "cost_over_limit"));
  EXPECT_EQ(of([](auto& w) { w.burst = 5; }), pair("checks[0].burst", "invalid_value"));
  EXPECT_EQ(of([](auto& w) { w.scope = ""; }), pair("checks[0].scope", "invalid_name"));
  EXPECT_EQ(of([](auto& w) { w.id = ""; }), pair("checks[0].id", "invalid_key"));
  EXPECT_EQ(of([](auto& w) { w.id = std::string(10'240, 'x'); }),
            pair("checks[0].id", "invalid_key"));
  const auto of_budget = [](auto change) { return wrong(sound_budget(), change); };
  EXPECT_EQ(of_budget([](auto& w) { w.period = limit_period::none; }),
            pair("checks[0].period", "invalid_value"));
  EXPECT_EQ(of_budget([](auto& w) { w.period_end = w.period_start; }),
            pair("checks[0].period_end", "invalid_value"));
}

TEST(LimitChecks, TakeAtMostEightDifferentOnes) {
  std::vector<limit_check> many;
  for (int i = 0; i < 9; ++i) {
    many.push_back(sound());
    many.back().id = std::to_string(i);
  }
  const auto nine = check_step(take_limits{.checks = many});
  ASSERT_FALSE(nine);
  EXPECT_EQ(nine.error().code, "too_many_checks");
  many.pop_back();
  EXPECT_TRUE(check_step(take_limits{.checks = many}));
  many[3].id = "5";
  many[3].limit = 7;
  const auto twice = check_step(take_limits{.checks = many});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, "duplicate_target");
  EXPECT_FALSE(check_step(take_limits{}));
}

TEST(LimitChecks, OfAPartAskForOneCost) {
  std::vector<limit_check> two{sound(), sound()};
  two[1].scope = "ip";
  two[0].cost = two[1].cost = 1000;
  EXPECT_TRUE(check_step(take_limits{.checks = two, .mode = take_mode::part}));
  two[1].cost = 999;
  const auto checked = check_step(take_limits{.checks = two, .mode = take_mode::part});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().field, "checks[1].cost");
}

TEST(LimitChecks, HoldATransactionToOneStepAboutLimits) {
  transaction two;
  two.steps.emplace_back(take_limits{.checks = {sound()}});
  two.steps.emplace_back(refund_limits{.checks = {sound_budget()}});
  const auto refused = check_transaction(two);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->why.code, "duplicate_target");
  EXPECT_EQ(refused->step_index, 1U);
}

}  // namespace
}  // namespace millrace::engine
