#include <millrace/base/backoff.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace millrace {
namespace {

using namespace std::chrono_literals;

backoff_spec plain(backoff_strategy strategy, std::chrono::milliseconds base = 60s,
                   std::chrono::milliseconds max = 3600s) {
  return {.strategy = strategy, .base = base, .max = max, .jitter = backoff_jitter::none};
}

TEST(Backoff, ExponentialDoublesFromTheBase) {
  const auto spec = plain(backoff_strategy::exponential);
  EXPECT_EQ(backoff_delay(spec, 1, 0), 60s);
  EXPECT_EQ(backoff_delay(spec, 2, 0), 120s);
  EXPECT_EQ(backoff_delay(spec, 3, 0), 240s);
  EXPECT_EQ(backoff_delay(spec, 7, 0), 3600s);
}

TEST(Backoff, LinearFixedAndPolynomialFollowTheirCurves) {
  EXPECT_EQ(backoff_delay(plain(backoff_strategy::linear), 5, 0), 300s);
  EXPECT_EQ(backoff_delay(plain(backoff_strategy::fixed), 5, 0), 60s);
  EXPECT_EQ(backoff_delay(plain(backoff_strategy::polynomial, 1s, 10'000s), 3, 0), 81s);
}

TEST(Backoff, EveryStrategyStopsAtItsMaximumForAnyNumberOfFailures) {
  for (const auto strategy :
       {backoff_strategy::exponential, backoff_strategy::linear, backoff_strategy::polynomial}) {
    const auto spec = plain(strategy, 1ms, 720h);
    EXPECT_EQ(backoff_delay(spec, std::numeric_limits<std::uint32_t>::max(), 0), 720h);
  }
  EXPECT_EQ(backoff_delay(plain(backoff_strategy::fixed, 2h, 1h), 1, 0), 1h);
}

TEST(Backoff, ZeroBaseMeansAtOnce) {
  for (const auto strategy : {backoff_strategy::exponential, backoff_strategy::linear,
                              backoff_strategy::fixed, backoff_strategy::polynomial}) {
    EXPECT_EQ(backoff_delay({.strategy = strategy, .base = 0ms}, 9, 7), 0s);
  }
}

TEST(Backoff, JitterStaysWithinItsRange) {
  backoff_spec spec = plain(backoff_strategy::fixed, 100s);
  const auto check_range = [&spec](backoff_jitter jitter, duration low, duration high) {
    spec.jitter = jitter;
    std::set<duration> seen;
    for (std::uint64_t entropy = 0; entropy < 1000; ++entropy) {
      const duration delay = backoff_delay(spec, 1, entropy);
      EXPECT_GE(delay, low);
      EXPECT_LE(delay, high);
      seen.insert(delay);
    }
    // Spread over the range, not merely inside it.
    EXPECT_GT(seen.size(), 900U);
    EXPECT_LT(*seen.begin(), low + (high - low) / 10);
    EXPECT_GT(*seen.rbegin(), high - (high - low) / 10);
  };
  check_range(backoff_jitter::lengthen, 100s, 110s);
  check_range(backoff_jitter::full, 0s, 100s);
  check_range(backoff_jitter::equal, 50s, 100s);
}

TEST(Backoff, EqualInputsGiveEqualDelays) {
  const backoff_spec spec;
  EXPECT_EQ(backoff_delay(spec, 3, 12345), backoff_delay(spec, 3, 12345));
}

}  // namespace
}  // namespace millrace
