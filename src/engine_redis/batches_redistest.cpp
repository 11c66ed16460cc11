#include "testing_on_server.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// Steps on limits and locks that arrive together share one argument of a call; what comes of them
// is the same as if each had come alone. Two stores get the same work, one in batches, one piece by
// piece.
namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

std::string describe(const limits_checked& of) {
  std::string out = fmt::format("{} {} at {}", of.allowed, of.granted, to_micros(of.at));
  for (const limit_state& each : of.limits) {
    out +=
        fmt::format(" [{}/{} left {} from {} to {} {} after {} blocked {}]", each.count, each.limit,
                    each.remaining, to_micros(each.window_start), to_micros(each.reset_time),
                    each.allowed, each.retry_after.count(), to_micros(each.blocked_until));
  }
  return out;
}

std::string describe(const commit_result& of) {
  if (!of) return fmt::format("refused {}", of.error().why.code);
  const outcome& first = of->outcomes.at(0);
  if (const auto* const checked = std::get_if<limits_checked>(&first)) return describe(*checked);
  if (const auto* const lock = std::get_if<lock_answer>(&first)) {
    return fmt::format("{} {} of {} from {} to {}", lock->granted, lock->lock.key.resource,
                       lock->lock.owner, to_micros(lock->lock.acquired_at),
                       to_micros(lock->lock.expires_at));
  }
  return fmt::format("outcome {}", first.index());
}

class work_source final {
public:
  work_source(unsigned seed, const manual_clock& clock) : random_(seed), clock_(clock) {}

  int number(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }

  std::vector<transaction> next_batch() {
    std::vector<transaction> out;
    const int count = number(1, 40);
    const bool limits = number(0, 1) == 0;
    for (int i = 0; i < count; ++i) {
      if (number(0, 5) == 0) costs_ = number(1, 3);
      transaction one;
      one.steps.push_back(limits ? any_take() : any_lock());
      if (number(0, 60) == 0) one.steps.front() = any_block();
      out.push_back(std::move(one));
    }
    return out;
  }

private:
  limit_check any_check(int kind) {
    limit_check out{.scope = "user",
                    .id = std::to_string(number(0, 3)),
                    .limit = kind == 1 ? 5000U : 12U,
                    .window = 10s,
                    .cost = static_cast<std::uint64_t>(costs_)};
    if (kind == 2) out.algorithm = limit_algorithm::fixed;
    if (kind == 3) out.algorithm = limit_algorithm::token_bucket;
    if (kind == 4) {
      out.algorithm = limit_algorithm::calendar;
      out.window = 0s;
      out.period = limit_period::daily;
      // Now and then the period is over.
      out.period_start = clock_.now() - 1h;
      out.period_end = clock_.now() + (number(0, 9) == 0 ? -1min : 24h);
    }
    out.dry_run = number(0, 15) == 0;
    return out;
  }

  step any_take() {
    take_limits out;
    const int kind = number(0, 2) == 0 ? number(0, 4) : 0;
    const int checks = number(0, 1) == 0 ? 1 : number(1, 3);
    const std::array<take_mode, 3> modes{take_mode::all, take_mode::part, take_mode::peek};
    out.mode = modes.at(static_cast<std::size_t>(number(0, 9) == 0 ? number(0, 2) : 0));
    for (int i = 0; i < checks; ++i) {
      out.checks.push_back(any_check(i == 0 ? kind : number(0, 4)));
      // In one step each count stands once.
      out.checks.back().scope += std::to_string(i);
    }
    return out;
  }

  step any_block() {
    return block_limit{.scope = "user0",
                       .whose = std::to_string(number(0, 3)),
                       .length = number(0, 1) == 0 ? 0s : 2s};
  }

  step any_lock() {
    const lock_key key{.resource = std::to_string(number(0, 4))};
    const std::string token = std::to_string(number(0, 2));
    const duration ttl = number(1, 6) * 1s;
    switch (number(0, 5)) {
      case 0:
      case 1: return release_lock{.key = key, .token = token};
      case 2: return extend_lock{.key = key, .token = token, .ttl = ttl};
      case 3:
        if (number(0, 7) == 0) {
          return acquire_lock{.key = key, .token = token, .ttl = ttl, .mode = lock_mode::shared};
        }
        [[fallthrough]];
      default: return acquire_lock{.key = key, .token = token, .ttl = ttl, .owner = "o" + token};
    }
  }

  std::mt19937 random_;
  const manual_clock& clock_;
  int costs_{1};
};

class RedisBatches : public testing::TestWithParam<unsigned> {};

TEST_P(RedisBatches, ComeToTheSameAsStepsThatComeAlone) {
  const redis_server server;
  manual_clock clock;
  const auto open = [&](const std::string& prefix) {
    options with{.prefix = prefix, .clock = &clock};
    with.where.over = redis::address::transport::unix_socket;
    with.where.path = server.socket();
    auto opened = redis_store::open(std::move(with));
    if (!opened) ADD_FAILURE() << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  };
  const auto together = open("together");
  const auto apart = open("apart");
  ASSERT_TRUE(together && apart);
  work_source source(GetParam(), clock);
  constexpr int rounds = 80;
  for (int round = 0; round < rounds; ++round) {
    const std::vector<transaction> batch = source.next_batch();
    const std::vector<commit_result> done = blocking::commit_each(*together, batch);
    ASSERT_EQ(done.size(), batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      EXPECT_EQ(describe(done[i]), describe(blocking::commit(*apart, batch[i]))) << i;
    }
    ASSERT_FALSE(HasFailure()) << "round " << round;
    if (source.number(0, 2) == 0) clock.advance(source.number(0, 1) == 0 ? 4s : 700ms);
    // From time to time the script knows nothing any more.
    if (source.number(0, 9) == 0) {
      ask(server, "return tostring(redis.call('SET', 'nothing', '1').ok)");
      ask(server, "return tostring(redis.call('FUNCTION', 'FLUSH').ok)");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RedisBatches, testing::Range(1U, 9U));

// What is due of locks may be written down too early, and of some that were released: what happens
// is what is true then.
TEST(RedisBatches, LocksEndWhenTheyDoThoughTheyAreWrittenDownEarlier) {
  const redis_server server;
  manual_clock clock;
  options with{.clock = &clock};
  with.where.over = redis::address::transport::unix_socket;
  with.where.path = server.socket();
  auto opened = redis_store::open(std::move(with));
  ASSERT_TRUE(opened) << opened.error().detail;
  const auto commit = [&](step what) {
    transaction one;
    one.steps.push_back(std::move(what));
    return describe(blocking::commit(**opened, std::move(one)));
  };
  const auto acquire = [&](const std::string& resource, const std::string& token, duration ttl) {
    return commit(acquire_lock{.key = {.resource = resource}, .token = token, .ttl = ttl})
        .starts_with("true");
  };
  const auto release = [&](const std::string& resource, const std::string& token) {
    return commit(release_lock{.key = {.resource = resource}, .token = token});
  };
  const auto due = [&] {
    return std::stol(ask(server, "return tostring(redis.call('ZCARD', '{millrace}:live:due'))"));
  };
  EXPECT_TRUE(acquire("door", "first", 10s));
  EXPECT_TRUE(release("door", "first").starts_with("false"));
  EXPECT_EQ(due(), 1) << "it stays, for who comes next";
  EXPECT_TRUE(acquire("door", "second", 20s));
  clock.advance(11s);
  EXPECT_FALSE(acquire("door", "third", 20s)) << "it is held for longer than the first would have";
  clock.advance(10s);
  EXPECT_TRUE(acquire("door", "third", 20s));
  // A shorter time than before is kept as well.
  EXPECT_TRUE(commit(extend_lock{.key = {.resource = "door"}, .token = "third", .ttl = 2s})
                  .starts_with("true"));
  clock.advance(3s);
  EXPECT_TRUE(acquire("door", "fourth", 5s));
  EXPECT_TRUE(release("door", "fourth").starts_with("false"));
  EXPECT_TRUE(acquire("door", "fifth", 1s)) << "sooner than what is written down";
  clock.advance(2s);
  EXPECT_TRUE(acquire("door", "sixth", 1s));
  clock.advance(60s);
  constexpr int locks = 1500;
  for (int i = 0; i < locks; ++i) {
    const std::string resource = std::to_string(i);
    ASSERT_TRUE(acquire(resource, "t", 30s));
    ASSERT_TRUE(release(resource, "t").starts_with("false"));
  }
  EXPECT_LE(due(), 1000) << "there is a bound";
  clock.advance(60s);
  EXPECT_TRUE(acquire("door", "last", 1s));
  EXPECT_LE(due(), 1) << "and they go by themselves";
}

}  // namespace
}  // namespace millrace::engine_redis
