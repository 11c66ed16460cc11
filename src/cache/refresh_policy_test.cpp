#include <millrace/cache/refresh_policy.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <tuple>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using enum read_decision;

constexpr timestamp expiry{1'767'225'600s};

TEST(RefreshPolicy, RenewsEarlyByChanceCostAndTimeLeft) {
  // load time, before expiry, chance, eagerness, renews
  const std::tuple<duration, duration, double, double, bool> cases[] = {
      {100ms, 1s, 1.0, 1.0, false},    // -ln 1 = 0
      {100ms, 69ms, 0.5, 1.0, true},   // 69.3 ms ahead
      {100ms, 70ms, 0.5, 1.0, false},  //
      {100ms, 138ms, 0.5, 2.0, true},  // twice as eager
      {100ms, 139ms, 0.5, 2.0, false},
      {0ms, 1us, 1e-9, 1.0, false},  // what costs nothing is not renewed ahead
      {10s, 200s, 1e-9, 1.0, true},
      {10s, 1h, 0.0, 1.0, false},  // a chance of nothing is bounded
      {1ms, 0ms, 1.0, 1.0, true},
      {1ms, -1s, 1.0, 1.0, true},
  };
  for (const auto& [load, left, chance, eagerness, renews] : cases) {
    EXPECT_EQ(renews_early({expiry, load}, expiry - left, chance, eagerness), renews)
        << load.count() << " " << left.count() << " " << chance;
  }
}

// A thousand callers a second over the last seconds of an entry: some renew, few of them.
TEST(RefreshPolicy, OfManyCallersFewRenew) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<> chance(0.0, 1.0);
  int renewed = 0;
  for (int entry = 0; entry < 100; ++entry) {
    int own = 0;
    // Until the first one that renews has had the time to load.
    for (duration left = 10s; left > 0s && own == 0; left -= 1ms) {
      own += renews_early({expiry, 50ms}, expiry - left, chance(random)) ? 1 : 0;
    }
    renewed += own;
  }
  EXPECT_GE(renewed, 99);
}

TEST(RefreshPolicy, DecidesARead) {
  const family_spec strict{};
  const family_spec lenient{.stale_while_revalidate = 10s, .stale_if_error = 60s};
  const std::tuple<const family_spec*, duration, read_decision, read_decision> cases[] = {
      // after expiry, before a load, after a load that failed
      {&strict, -1h, fresh, fresh},
      {&strict, 0s, load, load},
      {&lenient, -1h, fresh, fresh},
      {&lenient, 0s, stale_and_renew, stale},
      {&lenient, 10s - 1us, stale_and_renew, stale},
      {&lenient, 10s, load, stale},
      {&lenient, 60s - 1us, load, stale},
      {&lenient, 60s, load, load},
  };
  for (const auto& [of, after, before, failed] : cases) {
    const entry_times entry{expiry, 1ms};
    EXPECT_EQ(decide_read(*of, entry, expiry + after, 0.5), before) << after.count();
    EXPECT_EQ(decide_failed(*of, entry, expiry + after), failed) << after.count();
  }
  EXPECT_EQ(decide_read(lenient, std::nullopt, expiry, 0.5), load);
  EXPECT_EQ(decide_failed(lenient, std::nullopt, expiry), load);
  EXPECT_EQ(decide_read(strict, entry_times{expiry, 10s}, expiry - 1s, 0.5), fresh_and_renew);
}

TEST(RefreshPolicy, DecidesWithoutItsStoreByTheFamilysRule) {
  const family_spec bypass{};
  const family_spec refusing{.outage = outage_rule::refuse};
  const family_spec serving{
      .stale_if_error = 60s, .outage = outage_rule::serve_stale, .outage_for = 30s};
  const entry_times entry{expiry, 1ms};
  const timestamp lost = expiry + 10s;
  EXPECT_EQ(decide_outage(bypass, entry, lost, lost), load);
  EXPECT_EQ(decide_outage(refusing, entry, lost, lost), refuse);
  EXPECT_EQ(decide_outage(serving, entry, lost, lost), stale);
  EXPECT_EQ(decide_outage(serving, entry, lost + 30s - 1us, lost), stale);
  EXPECT_EQ(decide_outage(serving, entry, lost + 30s, lost), load);
  EXPECT_EQ(decide_outage(serving, std::nullopt, lost, lost), load);
  EXPECT_EQ(decide_outage(serving, entry, expiry + 61s, expiry + 60s), load);
}

TEST(RefreshPolicy, AdaptsTheTimeToLiveToTheAccesses) {
  const std::pair<std::uint64_t, duration> cases[] = {
      {0, 300s}, {10, 300s}, {11, 600s}, {100, 600s}, {101, 3600s}, {1'000'000, 3600s}};
  for (const auto& [accesses, ttl] : cases) {
    EXPECT_EQ(adapted_ttl({}, accesses), ttl) << accesses;
  }
  const adaptive_ttl own{.steps = {{5, 2s}}, .otherwise = 1s};
  EXPECT_EQ(adapted_ttl(own, 5), 1s);
  EXPECT_EQ(adapted_ttl(own, 6), 2s);
}

TEST(RefreshPolicy, ShortensATimeToLiveByChance) {
  const std::tuple<duration, double, double, duration> cases[] = {
      {100s, 0.1, 0.0, 100s}, {100s, 0.1, 1.0, 90s}, {100s, 0.1, 0.5, 95s}, {100s, 0.0, 1.0, 100s},
      {1ms, 0.5, 1.0, 1ms},   {2us, 0.5, 0.5, 1ms},  {100s, 0.5, 7.0, 50s},
  };
  for (const auto& [ttl, jitter, chance, expected] : cases) {
    EXPECT_EQ(jittered_ttl(ttl, jitter, chance), expected) << ttl.count() << " " << chance;
  }
}

TEST(RefreshPolicy, TakesTheFamilysTimeThenTheDefault) {
  EXPECT_EQ(ttl_for({.ttl = 50s, .jitter = 0}, 1h, 1000, 1.0), 50s);
  EXPECT_EQ(ttl_for({.jitter = 0}, 1h, 1000, 1.0), 1h);
  EXPECT_EQ(ttl_for({.ttl = 50s, .jitter = 0.1, .adaptive = adaptive_ttl{}}, 1h, 50, 1.0), 540s);
}

}  // namespace
}  // namespace millrace::cache
