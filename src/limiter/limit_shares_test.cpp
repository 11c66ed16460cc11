#include "limit_shares.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/limiter/limiter.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using conformance::faulty_store;
using engine::limit_algorithm;
using engine::take_mode;

limit_settings one_rule(limit_rule rule) {
  limit_settings settings;
  settings.policies.emplace("hot", limit_policy{.rules = {std::move(rule)}});
  return settings;
}

limit_rule leased(std::uint64_t limit, limit_algorithm how = limit_algorithm::sliding) {
  return {.scope = "global", .algorithm = how, .limit = limit, .window = 10s, .lease = 0.02};
}

const limit_request hot{.policy = "hot"};

/// Processes that share one store; all on one clock, which stands still.
class Shares : public ::testing::Test {
protected:
  bool allows(limiter& of, limit_request what = hot) {
    const auto answer = run_coro(of.take(std::move(what), take_mode::all));
    EXPECT_TRUE(answer) << answer.error().detail;
    return answer && answer->allowed;
  }
  std::uint64_t counted(limiter& of) {
    return run_coro(of.take(hot, take_mode::peek))->limits[0].state.count;
  }

  manual_clock clock_;
  model::model_store model_{{.clock = &clock_}};
  faulty_store store_{model_};
};

TEST_F(Shares, AskTheStoreRarelyOnceALimitIsHot) {
  limiter limits{store_, one_rule(leased(10'000)), clock_};
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(allows(limits));
  EXPECT_LT(store_.submits(), 20U);
  EXPECT_GE(counted(limits), 1'000U) << "what was used has been charged before";
}

TEST_F(Shares, AreNotTakenOfALimitThatIsAskedForNowAndThen) {
  limiter limits{store_, one_rule(leased(10'000)), clock_};
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(allows(limits));
    clock_.advance(400ms);
  }
  EXPECT_EQ(counted(limits), 20U) << "no more than was used";
}

TEST_F(Shares, ThatNobodyUsesComeBack) {
  limiter limits{store_, one_rule(leased(10'000)), clock_};
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(allows(limits));
  EXPECT_GT(counted(limits), 300U);
  run_coro(limits.settle_accounts());
  EXPECT_GT(counted(limits), 300U) << "they are still good";
  clock_.advance(250ms);
  run_coro(limits.settle_accounts());
  EXPECT_EQ(counted(limits), 300U);
}

TEST_F(Shares, EndWithTheirTime) {
  limiter limits{store_, one_rule(leased(10'000)), clock_};
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(allows(limits));
  const std::size_t asked = store_.submits();
  clock_.advance(200ms);
  ASSERT_TRUE(allows(limits));
  EXPECT_GT(store_.submits(), asked);
}

// A share that was charged in one window is not used in the next.
TEST_F(Shares, EndWithAFixedWindow) {
  limiter limits{store_, one_rule(leased(1'000, limit_algorithm::fixed)), clock_};
  clock_.advance(9'950ms);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(allows(limits));
  clock_.advance(50ms);
  int allowed = 0;
  while (allows(limits)) ++allowed;
  EXPECT_EQ(allowed, 1'000);
}

TEST_F(Shares, GiveTheWholeLimitToOneProcess) {
  for (const auto how :
       {limit_algorithm::sliding, limit_algorithm::fixed, limit_algorithm::token_bucket}) {
    model::model_store fresh{{.clock = &clock_}};
    limiter limits{fresh, one_rule(leased(700, how)), clock_};
    int allowed = 0;
    while (allows(limits)) ++allowed;
    EXPECT_EQ(allowed, 700) << to_string(how);
  }
}

TEST_F(Shares, AreGivenBackByACallThatAnotherLimitRefuses) {
  limit_settings settings = one_rule(leased(10'000));
  settings.policies.at("hot").rules.push_back({.scope = "user", .limit = 100, .window = 10s});
  limiter limits{store_, settings, clock_};
  const auto of_user = [](int n) {
    return limit_request{.policy = "hot", .parts = {{"user", std::to_string(n)}}};
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(allows(limits, of_user(1)));
  for (int i = 0; i < 1'000; ++i) ASSERT_FALSE(allows(limits, of_user(1)));
  clock_.advance(250ms);
  run_coro(limits.settle_accounts());
  const auto all = run_coro(limits.take(of_user(1), take_mode::peek));
  EXPECT_EQ(all->limits[0].state.count, 100U) << "a refused call charges nothing";
}

TEST_F(Shares, AnswerInTheWindowThatPeopleSet) {
  limiter limits{store_, one_rule(leased(10'000)), clock_};
  limit_answer last;
  for (int i = 0; i < 10; ++i) last = *run_coro(limits.take(hot, take_mode::all));
  EXPECT_EQ(last.limits[0].window, 10s);
  EXPECT_EQ(last.limits[0].state.limit, 10'000U);
  EXPECT_EQ(last.limits[0].state.remaining, 9'990U);
  EXPECT_EQ(last.limits[0].state.window_start, clock_.now() - 10s);
}

TEST_F(Shares, AreForgottenWithTheirCount) {
  limiter limits{store_, one_rule(leased(100)), clock_};
  while (allows(limits)) {
  }
  ASSERT_TRUE(run_coro(limits.reset(hot)));
  int allowed = 0;
  while (allows(limits)) ++allowed;
  EXPECT_EQ(allowed, 100);
}

TEST_F(Shares, AreRefusedWhereTheyWouldNotHold) {
  for (limit_rule wrong : {leased(10, limit_algorithm::calendar), leased(10)}) {
    if (wrong.algorithm == limit_algorithm::calendar) {
      wrong.window = duration{0};
      wrong.period = engine::limit_period::daily;
    } else {
      wrong.lease = 0.5;
    }
    const auto sound = check_limit_settings(one_rule(wrong));
    ASSERT_FALSE(sound);
    EXPECT_EQ(sound.error().field, "policies.hot.limits[0].lease");
  }
}

TEST_F(Shares, AreUsedWithoutARoundTripByAPreparedRequest) {
  limit_settings settings = one_rule(leased(10'000));
  limiter limits{store_, settings, clock_};
  auto ready = limits.prepare(hot);
  ASSERT_TRUE(ready);
  EXPECT_FALSE(ready->try_take()) << "there is no share so far";
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(allows(limits));
  const std::size_t asked = store_.submits();
  std::uint64_t tried = 0;
  while (ready->try_take()) ++tried;
  EXPECT_GT(tried, 50U);
  EXPECT_EQ(store_.submits(), asked);
  EXPECT_GE(counted(limits), 300 + tried);
  EXPECT_EQ(limits.numbers().at("hot").allowed, 300 + tried);
  ASSERT_TRUE(allows(limits));
  ASSERT_TRUE(limits.change_settings(settings));
  EXPECT_FALSE(ready->try_take()) << "the policies may be others now";
  EXPECT_EQ(limits.prepare({.policy = "none"}).error().code, "unknown_policy");
}

TEST_F(Shares, OfAPreparedRequestAreTakenAllOrNone) {
  limit_settings settings = one_rule(leased(10'000));
  limit_rule small = leased(1'000);
  small.scope = "project";
  settings.policies.at("hot").rules.push_back(small);
  limiter limits{store_, settings, clock_};
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(allows(limits));
  auto ready = limits.prepare(hot);
  std::uint64_t tried = 0;
  for (int i = 0; i < 1'000; ++i) tried += ready->try_take() ? 1 : 0;
  EXPECT_LT(tried, 100U);
  clock_.advance(250ms);
  run_coro(limits.settle_accounts());
  EXPECT_EQ(counted(limits), 300 + tried);
}

TEST_F(Shares, OfAPreparedRequestStayWhereOthersMakeRoom) {
  limit_settings settings = one_rule(leased(10'000));
  settings.policies.at("hot").rules.front().scope = "ip";
  limiter limits{store_, settings, clock_};
  const auto of = [](std::size_t n) {
    return limit_request{.policy = "hot", .parts = {{"ip", std::to_string(n)}}};
  };
  auto ready = limits.prepare(of(0));
  ASSERT_TRUE(ready);
  for (std::size_t n = 1; n <= shares_max + 10; ++n) {
    ASSERT_TRUE(allows(limits, of(n)));
    if (n == shares_max - 1) clock_.advance(5s);
  }
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(allows(limits, of(0)));
  EXPECT_TRUE(ready->try_take());
}

TEST_F(Shares, AreNeverUsedTwiceByManyThreads) {
  limiter limits{store_, one_rule(leased(1'000'000)), clock_};
  auto ready = limits.prepare(hot);
  std::atomic<std::uint64_t> used{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) used += ready->try_take() || allows(limits) ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(used, 8'000U);
  EXPECT_GE(counted(limits), 8'000U);
  clock_.advance(250ms);
  run_coro(limits.settle_accounts());
  EXPECT_EQ(counted(limits), 8'000U);
}

// Random traffic of several processes, each use written down with its time outside: no window of
// any place holds more than the limit says.
class ShareProperties : public Shares, public ::testing::WithParamInterface<limit_algorithm> {
protected:
  struct process {
    explicit process(engine::store& store, const limit_settings& settings,
                     const clock_source& clock)
        : limits(store, settings, clock) {}
    limiter limits;
  };

  // The most that was used in any span of this length.
  static std::uint64_t busiest(const std::vector<std::int64_t>& uses, duration span) {
    std::uint64_t most = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < uses.size(); ++i) {
      while (uses[i] - uses[first] >= span.count()) ++first;
      most = std::max<std::uint64_t>(most, i - first + 1);
    }
    return most;
  }
  static std::uint64_t busiest_window(const std::vector<std::int64_t>& uses, duration window) {
    std::uint64_t most = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < uses.size(); ++i) {
      if (uses[i] / window.count() != uses[first] / window.count()) first = i;
      most = std::max<std::uint64_t>(most, i - first + 1);
    }
    return most;
  }
};

TEST_P(ShareProperties, NeverAdmitMoreThanTheLimitSays) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random{seed};
  constexpr std::uint64_t limit = 500;
  const limit_settings settings = one_rule(leased(limit, GetParam()));
  std::array<process, 3> processes{process{store_, settings, clock_},
                                   process{store_, settings, clock_},
                                   process{store_, settings, clock_}};
  std::vector<std::int64_t> uses;
  std::uint64_t refused = 0;
  for (int i = 0; i < 12'000; ++i) {
    limiter& of = processes.at(random() % processes.size()).limits;
    // Bursts at ten times the limit, and quiet times.
    clock_.advance(duration{random() % 1'000 == 0 ? random() % 12'000'000 : random() % 4'000});
    if (allows(of)) {
      uses.push_back(to_micros(clock_.now()));
    } else {
      ++refused;
    }
    if (random() % 50 == 0) run_coro(of.settle_accounts());
  }
  EXPECT_GT(refused, 1'000U);
  EXPECT_LT(store_.submits(), 12'000U + refused);
  if (GetParam() == limit_algorithm::fixed) {
    EXPECT_LE(busiest_window(uses, 10s), limit);
    EXPECT_GE(busiest_window(uses, 10s), limit * 98 / 100);
    return;
  }
  const bool bucket = GetParam() == limit_algorithm::token_bucket;
  // A bucket lets its size through at once and is filled once more within a window, and for as long
  // as a share lasts.
  EXPECT_LE(busiest(uses, 10s), bucket ? limit * 2 + limit * 2 / 100 : limit);
  EXPECT_GE(busiest(uses, 10s), limit * 98 / 100);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, ShareProperties,
                         ::testing::Values(limit_algorithm::sliding, limit_algorithm::fixed,
                                           limit_algorithm::token_bucket),
                         [](const auto& of) { return std::string{to_string(of.param)}; });

// After an outage the store knows of what was allowed meanwhile.
TEST_F(Shares, OfAnOutageAreChargedAfterwards) {
  limit_settings settings;
  settings.policies.emplace(
      "hot", limit_policy{.rules = {{.scope = "global", .limit = 100, .window = 60s}}});
  limiter limits{store_, settings, clock_};
  store_.on_submit(1, fault::unavailable(), faulty_store::always);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(allows(limits));
  run_coro(limits.settle_accounts());
  store_.recover();
  EXPECT_EQ(counted(limits), 0U);
  run_coro(limits.settle_accounts());
  EXPECT_EQ(counted(limits), 30U);
  run_coro(limits.settle_accounts());
  EXPECT_EQ(counted(limits), 30U) << "once";
}

TEST_F(Shares, OfAnOutageThatIsLongOverAreNot) {
  limit_settings settings;
  settings.policies.emplace(
      "hot", limit_policy{.rules = {{.scope = "global", .limit = 100, .window = 60s}}});
  limiter limits{store_, settings, clock_};
  ASSERT_TRUE(allows(limits));
  store_.on_submit(1, fault::unavailable(), faulty_store::always);
  ASSERT_TRUE(allows(limits));
  store_.recover();
  clock_.advance(61s);
  ASSERT_TRUE(run_coro(limits.take(hot, take_mode::all)));
  run_coro(limits.settle_accounts());
  EXPECT_EQ(counted(limits), 1U);
}

}  // namespace
}  // namespace millrace
