#include <millrace/cache/refresh_policy.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string_view>
#include <tuple>
#include <utility>

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
    EXPECT_EQ(
        renews_early({.expires_at = expiry, .load_time = load}, expiry - left, chance, eagerness),
        renews)
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
      own += renews_early({.expires_at = expiry, .load_time = 50ms}, expiry - left, chance(random))
                 ? 1
                 : 0;
    }
    renewed += own;
  }
  EXPECT_GE(renewed, 99);
}

TEST(RefreshPolicy, DecidesARead) {
  const fill_options strict{};
  const fill_options lenient{.stale_for = 60s, .stale_while_revalidate = 10s};
  const fill_options eager{.early = 1};
  const fill_options ahead{.ahead = 0.75};
  const std::tuple<const fill_options*, duration, read_decision> cases[] = {
      // after expiry
      {&strict, -1ms, fresh},
      {&strict, 0s, load},
      {&lenient, -1ms, fresh},
      {&lenient, 0s, stale_and_renew},
      {&lenient, 10s - 1us, stale_and_renew},
      {&lenient, 10s, load},
      {&eager, -7s, fresh},
      {&eager, -6s, fresh_and_renew},
      {&ahead, -16s, fresh},
      {&ahead, -15s, fresh_and_renew},
  };
  // Half the callers renew what took 10 s 6.9 s ahead.
  const entry_times entry{expiry - 1min, expiry, 10s};
  for (const auto& [with, after, decided] : cases) {
    EXPECT_EQ(decide_read(*with, entry, expiry + after, 0.5), decided) << after.count();
  }
  EXPECT_EQ(decide_read(lenient, std::nullopt, expiry, 0.5), load);
  EXPECT_EQ(kept_after_expiry(lenient), 60s);
  EXPECT_EQ(kept_after_expiry({.stale_while_revalidate = 10s}), 10s);
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

TEST(RefreshPolicy, TakesWhatIsSaidThenTheDefault) {
  EXPECT_EQ(ttl_for({.ttl = 50s}, 1h, 1000, 1.0), 50s);
  EXPECT_EQ(ttl_for({}, 1h, 1000, 1.0), 1h);
  EXPECT_EQ(ttl_for({.ttl = 50s, .jitter = 0.1, .adaptive = adaptive_ttl{}}, 1h, 50, 1.0), 540s);
}

TEST(RefreshPolicy, TakesWhatAFamilySays) {
  const family_spec family{.name = "bot",
                           .pattern = "bot:{id}",
                           .ttl = 50s,
                           .stale_while_revalidate = 10s,
                           .stale_if_error = 60s,
                           .negative_ttl = 5s,
                           .outage = outage_rule::refuse};
  const fill_options with = fill_options_of(family);
  EXPECT_EQ(with.ttl, 50s);
  EXPECT_EQ(with.jitter, 0.1);
  EXPECT_EQ(with.stale_while_revalidate, 10s);
  EXPECT_EQ(with.stale_for, 60s);
  EXPECT_EQ(with.negative_ttl, 5s);
  EXPECT_EQ(with.outage, outage_rule::refuse);
  EXPECT_TRUE(check_fill_options(with));
}

TEST(RefreshPolicy, SaysWhatIsWrongWithOptions) {
  const std::pair<fill_options, std::string_view> cases[] = {
      {{.jitter = 0.6}, "jitter"},
      {{.stale_for = -1s}, "stale_for"},
      {{.stale_while_revalidate = -1s}, "stale_while_revalidate"},
      {{.early = -1}, "early"},
      {{.ahead = 1.1}, "ahead"},
      {{.soft_timeout = -1s}, "soft_timeout"},
      {{.soft_timeout = 3s, .hard_timeout = 2s}, "soft_timeout"},
      {{.hard_timeout = 2h}, "hard_timeout"},
      {{.retry_after = 10ms}, "retry_after"},
      {{.retry_after = 2h}, "retry_after"},
  };
  for (const auto& [with, field] : cases) {
    const auto checked = check_fill_options(with);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().kind, errc::invalid_argument);
    EXPECT_EQ(checked.error().field, field);
  }
}

}  // namespace
}  // namespace millrace::cache
