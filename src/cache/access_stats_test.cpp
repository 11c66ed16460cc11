#include <millrace/cache/access_stats.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;

TEST(AccessStats, CountsPerFamilyAndTogether) {
  access_stats stats;
  for (int i = 0; i < 6; ++i) stats.hit(3, "bot:7", i == 0);
  stats.miss(3, "bot:8");
  stats.miss(3, "bot:9");
  stats.load(3, 10ms, false);
  stats.load(3, 30ms, true);
  stats.stored(3, 100, 60s);
  stats.stored(3, 300, 120s);
  stats.evicted(3);
  stats.undecodable(3);
  stats.hit(access_stats::no_family, "x", false);
  const family_figures bot = stats.figures(3);
  EXPECT_EQ(bot.hits, 6U);
  EXPECT_EQ(bot.stale, 1U);
  EXPECT_EQ(bot.misses, 2U);
  EXPECT_EQ(bot.loads, 2U);
  EXPECT_EQ(bot.failed_loads, 1U);
  EXPECT_EQ(bot.stored_bytes, 400U);
  EXPECT_EQ(bot.evictions, 1U);
  EXPECT_EQ(bot.undecodable, 1U);
  EXPECT_DOUBLE_EQ(bot.hit_rate(), 0.75);
  EXPECT_EQ(bot.average_ttl(), 90s);
  EXPECT_EQ(bot.average_load_time(), 20ms);
  EXPECT_EQ(stats.figures(2).hits, 0U);
  EXPECT_EQ(stats.all().hits, 7U);
  EXPECT_DOUBLE_EQ(family_figures{}.hit_rate(), 0);
  EXPECT_EQ(family_figures{}.average_ttl(), 0s);
}

TEST(AccessStats, BeginsAgainWhenCleared) {
  access_stats stats(1);
  stats.hit(0, "k", false);
  stats.count_access("k");
  stats.clear();
  EXPECT_EQ(stats.all().hits, 0U);
  EXPECT_TRUE(stats.top().empty());
  EXPECT_EQ(stats.count_access("k"), 1U);
  stats.hit(0, "k", false);
  EXPECT_EQ(stats.figures(0).hits, 1U);
}

// More threads than places of their own, at the same time: nothing is lost.
TEST(AccessStats, LosesNothingWithManyThreads) {
  access_stats stats;
  std::vector<std::thread> running;
  for (int t = 0; t < 80; ++t) {
    running.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) stats.hit(1, "k", i % 2 == 0);
    });
  }
  for (std::thread& one : running) one.join();
  EXPECT_EQ(stats.figures(1).hits, 160'000U);
  EXPECT_EQ(stats.figures(1).stale, 80'000U);
}

// A stream with a long tail: those that are used most are named, with about their counts.
TEST(AccessStats, NamesTheKeysThatAreUsedMost) {
  access_stats stats(1);
  std::mt19937_64 random(11);
  for (int i = 0; i < 200'000; ++i) {
    // A hundred popular ones, of which the first is used most, in half of all steps.
    const auto turn = random();
    if (turn % 2 == 0) {
      const auto rank = std::min((turn >> 8) % 100, (turn >> 20) % 100);
      stats.hit(5, "hot:" + std::to_string(rank), false);
    } else {
      stats.miss(6, "cold:" + std::to_string((turn >> 8) % 50'000));
    }
  }
  const std::vector<used_key> top = stats.top(50);
  ASSERT_EQ(top.size(), 50U);
  EXPECT_EQ(top[0].family, 5U);
  for (const used_key& one : top) EXPECT_TRUE(one.key.starts_with("hot:")) << one.key;
  // 1.99 % of the popular half.
  EXPECT_NEAR(static_cast<double>(top[0].count - top[0].error), 1990.0, 300.0);
  EXPECT_EQ(stats.top(3).size(), 3U);
}

TEST(AccessStats, FindsThemFromSamplesToo) {
  access_stats stats(64);
  for (int i = 0; i < 100'000; ++i) {
    stats.hit(0, i % 4 == 0 ? "first" : "rare:" + std::to_string(i), false);
  }
  const std::vector<used_key> top = stats.top(1);
  ASSERT_EQ(top.size(), 1U);
  EXPECT_EQ(top[0].key, "first");
  EXPECT_NEAR(static_cast<double>(top[0].count), 25'000.0, 6'000.0);
}

TEST(AccessStats, OldUseFades) {
  access_stats stats(1);
  for (int i = 0; i < 100; ++i) stats.hit(0, "k", false);
  std::uint64_t accesses = 0;
  for (int i = 0; i < 100; ++i) accesses = stats.count_access("k");
  EXPECT_EQ(accesses, 100U);
  stats.age();
  EXPECT_EQ(stats.count_access("k"), 51U);
  EXPECT_EQ(stats.top(1)[0].count, 50U);
  EXPECT_EQ(stats.count_access("another"), 1U);
}

TEST(AccessStats, LetsOldUseFadeOnceAnHour) {
  access_stats stats;
  for (int i = 0; i < 100; ++i) stats.count_access("k");
  const auto now = std::chrono::steady_clock::now();
  stats.age_when_due(now + std::chrono::minutes{59});
  EXPECT_EQ(stats.accesses("k"), 100U);
  stats.age_when_due(now + std::chrono::minutes{61});
  stats.age_when_due(now + std::chrono::minutes{61});
  EXPECT_EQ(stats.accesses("k"), 50U);
}

}  // namespace
}  // namespace millrace::cache
