#include <millrace/engine/limit_table.hpp>

#include <gtest/gtest.h>

#include <string>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

constexpr timestamp start = from_micros(1'767'225'600'000'000);

take_limits taking(const std::string& id, std::uint64_t limit = 10) {
  return {.checks = {{.scope = "user", .id = id, .limit = limit, .window = 60s}}};
}

TEST(LimitTable, ForgetsCountsOnceTheyAreEmpty) {
  limit_table table;
  for (int i = 0; i < 100; ++i) table.take(taking(std::to_string(i)), start);
  EXPECT_EQ(table.size(), 100U);
  EXPECT_EQ(table.charges(), 100U);
  table.take(taking("7"), start + 30s);
  EXPECT_FALSE(table.check(taking("new"), start + 60s));
  EXPECT_EQ(table.size(), 1U) << "only the one that was charged again is left";
  EXPECT_FALSE(table.check(taking("new"), start + 90s));
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.charges(), 0U);
}

TEST(LimitTable, RefusesAFurtherCountWhenItIsFull) {
  limit_table table({.records = 2});
  table.take(taking("a"), start);
  table.take(taking("b"), start + 1s);
  const auto refused = table.check(taking("c"), start + 2s);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, "too_many_limits");
  EXPECT_EQ(refused->kind, errc::exhausted);
  EXPECT_FALSE(table.check(taking("a"), start + 2s)) << "those that are there go on";
  take_limits look = taking("c");
  look.mode = take_mode::peek;
  EXPECT_FALSE(table.check(look, start + 2s));
  EXPECT_FALSE(table.check(taking("c"), start + 60s)) << "the first is empty by now";
}

TEST(LimitTable, CountsByPartsWhenItRemembersTooManyCharges) {
  limit_table table({.charges = 3});
  for (int i = 0; i < 50; ++i) table.take(taking("a", 1000), start + i * 1ms);
  EXPECT_LE(table.charges(), 5U);
  const auto seen =
      table.take({.checks = taking("a", 1000).checks, .mode = take_mode::peek}, start + 60s);
  EXPECT_GE(seen.limits[0].count, 46U) << "never fewer than there are";
  EXPECT_LE(seen.limits[0].count, 50U);
}

TEST(LimitTable, DropsWhatIsGivenBackOrReset) {
  limit_table table;
  table.take(taking("a"), start);
  table.refund({.checks = taking("a").checks}, start);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.charges(), 0U);
  table.take(taking("a"), start);
  table.reset({.checks = taking("a").checks}, start);
  EXPECT_EQ(table.size(), 0U);
  // The look at the first one's end does not meet the second.
  table.take(taking("a"), start + 50s);
  EXPECT_FALSE(table.check(taking("b"), start + 60s));
  EXPECT_EQ(table.size(), 1U);
}

TEST(LimitTable, TakesBudgetsOver) {
  limit_table table;
  const limit_check budget{.scope = "user",
                           .id = "a",
                           .algorithm = limit_algorithm::calendar,
                           .limit = 10,
                           .period = limit_period::daily,
                           .period_start = start,
                           .period_end = start + 24h};
  table.put_budget("default", budget, {.start = start, .end = start + 24h, .count = 9});
  EXPECT_TRUE(table.take({.checks = {budget}}, start).allowed);
  EXPECT_FALSE(table.take({.checks = {budget}}, start).allowed);
  ASSERT_NE(table.budget("default", budget), nullptr);
  EXPECT_EQ(table.budget("default", budget)->count, 10U);
  table.take(taking("a"), start);
  table.drop_budgets();
  EXPECT_EQ(table.budget("default", budget), nullptr);
  EXPECT_EQ(table.size(), 1U);
}

}  // namespace
}  // namespace millrace::engine
