#include <millrace/engine/limit_window.hpp>

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

constexpr timestamp start = from_micros(1'767'225'600'000'000);

TEST(SlidingCount, CountsUntilEachMomentHasCome) {
  sliding_count kept;
  kept.add(2, start + 10s, start);
  kept.add(3, start + 20s, start + 1s);
  EXPECT_EQ(kept.count(start + 1s), 5U);
  EXPECT_EQ(kept.count(start + 10s - 1us), 5U);
  EXPECT_EQ(kept.count(start + 10s), 3U);
  EXPECT_EQ(kept.count(start + 20s), 0U);
  EXPECT_EQ(kept.fits_at(5, start + 1s), start + 1s);
  EXPECT_EQ(kept.fits_at(3, start + 1s), start + 10s);
  EXPECT_EQ(kept.fits_at(2, start + 1s), start + 20s);
  EXPECT_EQ(kept.ends(), start + 20s);
}

TEST(SlidingCount, RemembersOneMomentOnceAndForgetsWhatIsOver) {
  sliding_count kept;
  EXPECT_EQ(kept.add(1, start + 10s, start), 1);
  EXPECT_EQ(kept.add(1, start + 10s, start), 0);
  EXPECT_EQ(kept.moments(), 1U);
  EXPECT_EQ(kept.add(1, start + 30s, start + 10s), 0) << "one came, one went";
  EXPECT_EQ(kept.count(start + 10s), 1U);
  for (int i = 0; i < 1000; ++i) kept.add(1, start + 30s + i * 1s, start + 20s + i * 1s);
  EXPECT_LE(kept.moments(), 11U);
}

TEST(SlidingCount, GivesTheOldestBackFirst) {
  sliding_count kept;
  kept.add(4, start + 10s, start);
  kept.add(4, start + 20s, start);
  EXPECT_EQ(kept.give_back(5, start), -1);
  EXPECT_EQ(kept.count(start), 3U);
  EXPECT_EQ(kept.count(start + 10s), 3U);
  EXPECT_EQ(kept.fits_at(2, start), start + 20s);
  kept.give_back(100, start);
  EXPECT_EQ(kept.count(start), 0U);
  EXPECT_FALSE(kept.ends());
}

TEST(SlidingEnd, IsExactOrByPartsOfTheWindow) {
  EXPECT_EQ(sliding_end(60s, 1000, start + 1us), start + 60s + 1us);
  const timestamp by_parts = sliding_end(60s, 1001, start + 1us);
  EXPECT_GE(by_parts, start + 60s + 1us);
  EXPECT_LE(by_parts, start + 60s + 60s / 32);
  // Every charge of one part ends at one moment.
  EXPECT_EQ(by_parts, sliding_end(60s, 5000, start + 900ms));
}

TEST(BucketRate, IsInSmallestWholeNumbers) {
  const limit_check what{.algorithm = limit_algorithm::token_bucket, .limit = 90, .window = 60s};
  const auto rate = bucket_rate_of(what);
  ASSERT_TRUE(rate);
  EXPECT_EQ(rate->unit, 2'000'000);
  EXPECT_EQ(rate->drain, 3);
  EXPECT_EQ(rate->capacity, 180'000'000);
}

TEST(LimitName, TellsCountsApart) {
  limit_check what{.scope = "user", .id = "42", .limit = 1, .window = 60s};
  EXPECT_EQ(limit_name(what), "user:42:60");
  what.window = 1500ms;
  EXPECT_EQ(limit_name(what), "user:42:1.5");
  what.window = 1ms;
  what.algorithm = limit_algorithm::fixed;
  EXPECT_EQ(limit_name(what), "user:42:0.001:fixed");
  what.window = 1h;
  what.algorithm = limit_algorithm::token_bucket;
  EXPECT_EQ(limit_name(what), "user:42:3600:bucket");
  what.algorithm = limit_algorithm::calendar;
  what.period = limit_period::monthly;
  EXPECT_EQ(limit_name(what), "user:42:monthly");
}

TEST(LimitWords, AreReadBack) {
  using enum limit_algorithm;
  for (const auto each : {sliding, fixed, token_bucket, calendar}) {
    EXPECT_EQ(parse_limit_algorithm(to_string(each)), each);
  }
  for (const auto each : {limit_period::daily, limit_period::weekly, limit_period::monthly}) {
    EXPECT_EQ(parse_limit_period(to_string(each)), each);
  }
  EXPECT_FALSE(parse_limit_algorithm("slide"));
  EXPECT_FALSE(parse_limit_period("yearly"));
}

}  // namespace
}  // namespace millrace::engine
