#include <millrace/engine/rate_window.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

const timestamp start = manual_clock::default_start();

TEST(RateWindow, WithoutALimitAllowsEverything) {
  rate_window window;
  for (int i = 0; i < 100; ++i) window.record(start);
  EXPECT_TRUE(window.allows(start));
  EXPECT_EQ(window.next_at(start), start);
  EXPECT_TRUE(window.idle(start));
}

TEST(RateWindow, AllowsAgainExactlyWhenTheOldestStartLeaves) {
  rate_window window({.limit = 2, .per = 10s});
  EXPECT_TRUE(window.allows(start));
  window.record(start);
  window.record(start + 4s);
  EXPECT_FALSE(window.allows(start + 4s));
  EXPECT_EQ(window.next_at(start + 4s), start + 10s);
  EXPECT_FALSE(window.allows(start + 10s - 1us));
  EXPECT_TRUE(window.allows(start + 10s));
  window.record(start + 10s);
  EXPECT_EQ(window.next_at(start + 10s), start + 14s);
}

TEST(RateWindow, IsIdleOnceTheLastStartHasLeft) {
  rate_window window({.limit = 5, .per = 1s});
  window.record(start);
  EXPECT_FALSE(window.idle(start + 1s - 1us));
  EXPECT_TRUE(window.idle(start + 1s));
}

// Against the plain definition, over random steps of time.
TEST(RateWindow, AgreesWithALogOfAllStarts) {
  std::mt19937 random(20260101);
  for (const std::uint32_t limit : {1U, 3U, 7U, 64U}) {
    rate_window window({.limit = limit, .per = 1ms});
    std::deque<timestamp> log;
    timestamp now = start;
    for (int i = 0; i < 20'000; ++i) {
      now += duration{random() % 60};
      while (!log.empty() && log.front() + 1ms <= now) log.pop_front();
      ASSERT_EQ(window.allows(now), log.size() < limit) << "limit " << limit << " step " << i;
      if (!window.allows(now)) continue;
      window.record(now);
      log.push_back(now);
    }
  }
}

TEST(RateWindow, ALowerLimitCountsTheLatestStarts) {
  rate_window window({.limit = 4, .per = 10s});
  for (int i = 0; i < 4; ++i) window.record(start + i * 1s);
  window.rebind({.limit = 2, .per = 10s});
  EXPECT_EQ(window.next_at(start + 3s), start + 12s);
  window.record(start + 12s);
  EXPECT_EQ(window.next_at(start + 12s), start + 13s);
}

TEST(RateWindow, AHigherLimitKeepsWhatWasCounted) {
  rate_window window({.limit = 2, .per = 10s});
  window.record(start);
  window.record(start + 1s);
  window.rebind({.limit = 3, .per = 10s});
  EXPECT_TRUE(window.allows(start + 2s));
  window.record(start + 2s);
  EXPECT_EQ(window.next_at(start + 2s), start + 10s);
  window.rebind({});
  EXPECT_TRUE(window.allows(start + 2s));
}

}  // namespace
}  // namespace millrace::engine
