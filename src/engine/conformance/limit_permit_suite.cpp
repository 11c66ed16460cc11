#include "limit_fixture.hpp"

#include <atomic>
#include <thread>

/// Limits on what happens at once: permits, which are held until they are released or end.
namespace millrace::conformance {
namespace {

class limit_permit_test : public limit_test {
protected:
  /// The permit; zero: refused.
  std::uint64_t enter(limit_check what) {
    const limits_checked done = take(std::move(what));
    EXPECT_EQ(done.allowed, done.permit != 0);
    return done.permit;
  }
  limits_checked renew(std::uint64_t permit, limit_check what) {
    return run(renew_limit_permit{.checks = {std::move(what)}, .permit = permit});
  }
  limits_checked release(std::uint64_t permit, limit_check what) {
    return run(release_limit_permit{.checks = {std::move(what)}, .permit = permit});
  }
  std::string lost(std::uint64_t permit, limit_check what) {
    return refusal_of(release_limit_permit{.checks = {std::move(what)}, .permit = permit});
  }
};

class LimitPermits : public limit_permit_test {};
INSTANTIATE_TEST_SUITE_P(Engine, LimitPermits, testing::ValuesIn(engines_under_test()), case_name);

TEST_P(LimitPermits, AreAtMostAsManyAsTheLimit) {
  const limits_checked first = take(at_once(2));
  EXPECT_NE(first.permit, 0U);
  EXPECT_EQ(first.limits.at(0).count, 1U);
  EXPECT_EQ(first.limits.at(0).remaining, 1U);
  EXPECT_EQ(first.limits.at(0).window_start, now());
  EXPECT_EQ(first.limits.at(0).reset_time, now() + 30s);
  advance(10s);
  EXPECT_GT(enter(at_once(2)), first.permit);
  const limits_checked refused = take(at_once(2));
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.permit, 0U);
  EXPECT_EQ(refused.limits.at(0).count, 2U);
  EXPECT_EQ(refused.limits.at(0).retry_after, 20s) << "when the first ends by itself";
  EXPECT_EQ(refused.limits.at(0).reset_time, now() + 30s);
  EXPECT_NE(enter(at_once(2, 30s, "other")), 0U);
}

TEST_P(LimitPermits, AreReleasedByTheirNumberAndOnce) {
  const std::uint64_t permit = enter(at_once(1));
  EXPECT_EQ(lost(permit + 1, at_once(1)), "permit_lost");
  EXPECT_EQ(lost(permit, at_once(1, 30s, "other")), "permit_lost");
  EXPECT_EQ(release(permit, at_once(1)).limits.at(0).count, 0U);
  EXPECT_EQ(lost(permit, at_once(1)), "permit_lost");
  EXPECT_NE(enter(at_once(1)), 0U);
}

// A holder that dies releases nothing.
TEST_P(LimitPermits, EndByThemselvesToTheMicrosecond) {
  const std::uint64_t permit = enter(at_once(1));
  advance(30s - 1us);
  EXPECT_EQ(enter(at_once(1)), 0U);
  EXPECT_EQ(peek(at_once(1)).retry_after, 1us);
  advance(1us);
  EXPECT_EQ(lost(permit, at_once(1)), "permit_lost");
  EXPECT_EQ(refusal_of(renew_limit_permit{.checks = {at_once(1)}, .permit = permit}),
            "permit_lost");
  EXPECT_NE(enter(at_once(1)), 0U);
}

TEST_P(LimitPermits, AreRenewed) {
  const std::uint64_t permit = enter(at_once(1));
  for (int i = 0; i < 5; ++i) {
    advance(20s);
    const limits_checked renewed = renew(permit, at_once(1));
    EXPECT_EQ(renewed.permit, permit);
    EXPECT_EQ(renewed.limits.at(0).reset_time, now() + 30s);
    EXPECT_EQ(enter(at_once(1)), 0U);
  }
  // For another time from now on, also a shorter one.
  EXPECT_EQ(renew(permit, at_once(1, 5s)).limits.at(0).reset_time, now() + 5s);
  advance(5s);
  EXPECT_NE(enter(at_once(1)), 0U);
}

TEST_P(LimitPermits, CountAsOftenAsTheyCost) {
  const std::uint64_t three = enter(with_cost(at_once(5), 3));
  advance(1s);
  const std::uint64_t two = enter(with_cost(at_once(5), 2));
  EXPECT_EQ(count(at_once(5)), 5U);
  EXPECT_EQ(peek(with_cost(at_once(5), 4)).retry_after, 30s) << "the first leaves three";
  EXPECT_EQ(peek(with_cost(at_once(5), 3)).retry_after, 29s);
  renew(three, at_once(5, 10s));
  EXPECT_EQ(peek(with_cost(at_once(5), 3)).retry_after, 10s);
  release(two, at_once(5));
  EXPECT_EQ(count(at_once(5)), 3U);
  release(three, at_once(5));
  EXPECT_EQ(count(at_once(5)), 0U);
}

TEST_P(LimitPermits, AreTakenWithOtherLimitsAllOrNone) {
  const std::vector checks{per_minute(3), at_once(2), at_once(10, 60s, "all")};
  const std::uint64_t first = take(checks).permit;
  const std::uint64_t second = take(checks).permit;
  EXPECT_GT(second, first);
  const limits_checked full = take(checks);
  EXPECT_FALSE(full.allowed);
  EXPECT_TRUE(full.limits[0].allowed);
  EXPECT_FALSE(full.limits[1].allowed);
  EXPECT_EQ(full.limits[0].count, 2U) << "a refused call charges nothing";
  EXPECT_EQ(full.limits[2].count, 2U);
  // One number names it in all of them.
  run(release_limit_permit{.checks = {checks[1], checks[2]}, .permit = first});
  EXPECT_NE(take(checks).permit, 0U);
  const limits_checked over = take(checks);
  EXPECT_FALSE(over.limits[0].allowed);
  EXPECT_EQ(over.limits[1].count, 2U) << "nor does it take a permit";
  EXPECT_EQ(over.permit, 0U);
}

TEST_P(LimitPermits, OfOneNumberAreRenewedAllOrNone) {
  const std::vector checks{at_once(2, 10s), at_once(2, 30s, "all")};
  const std::uint64_t permit = take(checks).permit;
  advance(10s);
  EXPECT_EQ(refusal_of(renew_limit_permit{.checks = checks, .permit = permit}), "permit_lost");
  EXPECT_EQ(peek(checks[1]).reset_time, now() + 20s);
  // What is left of it can be released.
  run(release_limit_permit{.checks = checks, .permit = permit});
  EXPECT_EQ(count(checks[1]), 0U);
}

TEST_P(LimitPermits, FollowALimitThatIsChanged) {
  std::vector<std::uint64_t> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(enter(at_once(4)));
    advance(1s);
  }
  const limit_state lowered = peek(at_once(2));
  EXPECT_EQ(lowered.count, 4U);
  EXPECT_EQ(lowered.remaining, 0U);
  EXPECT_EQ(lowered.retry_after, 28s) << "when three have ended";
  EXPECT_NE(enter(at_once(5)), 0U);
  EXPECT_NE(enter(at_once(6, 60s)), 0U) << "how long they last makes no other count";
}

TEST_P(LimitPermits, AreGrantedInPartWhereThatIsEnough) {
  const auto part = [this](std::uint64_t cost) {
    return take({with_cost(at_once(5), cost)}, take_mode::part);
  };
  EXPECT_EQ(part(3).granted, 3U);
  const limits_checked rest = part(4);
  EXPECT_EQ(rest.granted, 2U);
  const limits_checked none = part(1);
  EXPECT_FALSE(none.allowed);
  EXPECT_EQ(none.permit, 0U);
  release(rest.permit, at_once(5));
  EXPECT_EQ(count(at_once(5)), 3U);
}

TEST_P(LimitPermits, AreNeitherLookedAtNorGivenBackAsCharges) {
  EXPECT_EQ(peek(at_once(1)).remaining, 1U);
  EXPECT_EQ(take({at_once(1)}, take_mode::peek).permit, 0U);
  const std::uint64_t permit = enter(at_once(1));
  EXPECT_EQ(refund(at_once(1)).count, 1U) << "a permit is released by its number";
  release(permit, at_once(1));
}

TEST_P(LimitPermits, OfADryRunRefuseNothing) {
  limit_check tried = at_once(1, 30s, "tried");
  tried.dry_run = true;
  const std::vector checks{at_once(3), tried};
  EXPECT_NE(take(checks).permit, 0U);
  const limits_checked second = take(checks);
  EXPECT_TRUE(second.allowed);
  EXPECT_FALSE(second.limits[1].allowed);
  EXPECT_EQ(second.limits[1].count, 1U);
}

TEST_P(LimitPermits, AreForgottenByAReset) {
  const std::uint64_t permit = enter(at_once(1));
  EXPECT_EQ(run(reset_limits{.checks = {at_once(1)}}).limits.at(0).count, 0U);
  EXPECT_EQ(lost(permit, at_once(1)), "permit_lost");
  EXPECT_NE(enter(at_once(1)), 0U);
}

TEST_P(LimitPermits, AreRefusedWhereTheyMakeNoSense) {
  const auto refused = [this](limit_check what) {
    return refusal_of(take_limits{.checks = {std::move(what)}});
  };
  EXPECT_EQ(refused(at_once(1, 0s)), "invalid_value");
  EXPECT_EQ(refused(at_once(1, 25h)), "invalid_value");
  EXPECT_EQ(refused(at_once(limit_permits_max + 1)), "invalid_value");
  EXPECT_EQ(refused(with_cost(at_once(200), permit_cost_max + 1)), "invalid_value");
  EXPECT_EQ(refused(with_cost(at_once(1), 2)), "cost_over_limit");
  EXPECT_EQ(refusal_of(take_limits{.checks = {at_once(1), at_once(2, 5s)}}), "duplicate_target");
  EXPECT_EQ(lost(0, at_once(1)), "invalid_value");
  EXPECT_EQ(lost(std::uint64_t{1} << 53U, at_once(1)), "invalid_value");
  EXPECT_EQ(lost(1, per_minute(1)), "no_permits");
  EXPECT_EQ(refusal_of(renew_limit_permit{.checks = {}, .permit = 1}), "invalid_value");
}

// The count is what the permits say, whoever takes and releases at the same time.
TEST_P(LimitPermits, HoldUnderManyCallersAtOnce) {
  constexpr int callers = 16;
  constexpr int calls = 25;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < calls; ++n) {
        transaction one{.level = durability::memory};
        one.steps.emplace_back(take_limits{.checks = {at_once(5)}});
        const auto done = engine::blocking::commit(store(), std::move(one));
        if (!done) continue;
        const std::uint64_t permit = std::get<limits_checked>(done->outcomes[0]).permit;
        if (permit == 0) continue;
        const int present = ++inside;
        int seen = most.load();
        while (present > seen && !most.compare_exchange_weak(seen, present)) {
        }
        --inside;
        transaction back{.level = durability::memory};
        back.steps.emplace_back(release_limit_permit{.checks = {at_once(5)}, .permit = permit});
        EXPECT_TRUE(engine::blocking::commit(store(), std::move(back)));
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_LE(most, 5);
  EXPECT_GT(most, 0);
  EXPECT_EQ(count(at_once(5)), 0U);
}

}  // namespace
}  // namespace millrace::conformance
