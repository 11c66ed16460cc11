#include "limit_fixture.hpp"

#include <random>

/// What holds for any traffic.
namespace millrace::conformance {
namespace {

MILLRACE_LIMIT_SUITE(LimitProperties);

struct admission {
  timestamp at;
  std::uint64_t cost;
};

// What was admitted within `span` up to `now`, this moment included.
std::uint64_t admitted_within(const std::vector<admission>& all, timestamp now, duration span) {
  std::uint64_t sum = 0;
  for (const admission& one : all) {
    if (one.at + span > now) sum += one.cost;
  }
  return sum;
}

class traffic final {
public:
  explicit traffic(std::uint64_t seed) : random_(seed) {}
  std::uint64_t up_to(std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(1, most)(random_);
  }
  // Mostly bursts, now and then a pause of the order of the window.
  duration pause(duration window) {
    const auto most = static_cast<std::uint64_t>(window.count());
    switch (up_to(8)) {
      case 1: return duration{static_cast<std::int64_t>(up_to(most))};
      case 2: return duration{static_cast<std::int64_t>(up_to(most / 10))};
      case 3: return 0us;
      default: return duration{static_cast<std::int64_t>(up_to(most / 200))};
    }
  }

private:
  std::mt19937_64 random_;
};

TEST_P(LimitProperties, ASlidingWindowNeverAdmitsMoreThanItsLimitInAnyWindow) {
  for (const std::uint64_t limit : {1U, 7U, 50U, 1000U, 1001U, 5000U}) {
    traffic random(limit);
    limit_check what{.scope = "user", .id = std::to_string(limit), .limit = limit, .window = 10s};
    // Exact, or at most one part of 32 more careful.
    const duration careful = limit <= exact_sliding_max ? what.window : what.window * 33 / 32;
    std::vector<admission> admitted;
    for (int i = 0; i < 250; ++i) {
      advance(random.pause(what.window));
      what.cost = random.up_to(std::max<std::uint64_t>(limit / 8, 1));
      const limits_checked done = take(what);
      if (done.allowed) {
        admitted.push_back({now(), what.cost});
        ASSERT_LE(admitted_within(admitted, now(), what.window), limit) << "at " << i;
        continue;
      }
      ASSERT_GT(admitted_within(admitted, now(), careful) + what.cost, limit)
          << "refused for no reason at " << i;
      // The time it names is the right one: a microsecond before it is refused still.
      if (i % 5 != 0) continue;
      advance(done.limits[0].retry_after - 1us);
      ASSERT_FALSE(peek(what).allowed);
      advance(1us);
      ASSERT_TRUE(peek(what).allowed);
    }
  }
}

std::vector<limit_check> random_checks(traffic& random, timestamp now) {
  std::vector<limit_check> all{per_minute(20), per_minute(30, "all", "global"),
                               per_minute(1500, "b", "bot"), bucket(12, 60s, 9), daily(200, now)};
  limit_check window = per_minute(25, "10.0.0.1", "ip");
  window.algorithm = limit_algorithm::fixed;
  all.push_back(window);
  std::vector<limit_check> some;
  for (limit_check& each : all) {
    if (random.up_to(2) == 1) continue;
    each.cost = random.up_to(4);
    some.push_back(std::move(each));
  }
  if (some.empty()) some.push_back(per_minute(20));
  return some;
}

TEST_P(LimitProperties, SeveralLimitsAreChargedAllOrNone) {
  traffic random(4);
  int refusals = 0;
  for (int i = 0; i < 300; ++i) {
    advance(random.pause(20s));
    const std::vector<limit_check> checks = random_checks(random, now());
    const limits_checked before = take(checks, take_mode::peek);
    const limits_checked done = take(checks);
    const limits_checked after = take(checks, take_mode::peek);
    ASSERT_EQ(done.allowed, before.allowed);
    refusals += done.allowed ? 0 : 1;
    bool all_would = true;
    for (std::size_t n = 0; n < checks.size(); ++n) {
      all_would = all_would && before.limits[n].allowed;
      const std::uint64_t cost = done.allowed ? checks[n].cost : 0;
      ASSERT_EQ(after.limits[n].count, before.limits[n].count + cost) << "call " << i;
      ASSERT_LE(after.limits[n].count, after.limits[n].limit);
    }
    ASSERT_EQ(done.allowed, all_would);
  }
  EXPECT_GT(refusals, 20);
}

}  // namespace
}  // namespace millrace::conformance
