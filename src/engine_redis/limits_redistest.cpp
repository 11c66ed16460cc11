#include "testing_on_server.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// What is Redis' own of limits: the keys, their ends, several processes.
namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

/// Milliseconds until a key ends by itself; -1: never, -2: it is not there.
long ends_in(const redis_server& server, const std::string& key) {
  const std::string text = ask(server, "return tostring(redis.call('PTTL', '" + key + "'))");
  return std::stol(text);
}

limits_checked take(store& where, std::vector<limit_check> checks) {
  transaction one{.level = durability::memory};
  one.steps.emplace_back(take_limits{.checks = std::move(checks)});
  const commit_result done = blocking::commit(where, std::move(one));
  if (done) return std::get<limits_checked>(done->outcomes.at(0));
  ADD_FAILURE() << done.error().why.code;
  return {.allowed = false};
}

limit_check per_minute(std::uint64_t limit, limit_algorithm how = limit_algorithm::sliding) {
  return {.scope = "user", .id = "42", .algorithm = how, .limit = limit, .window = 60s};
}

TEST(RedisLimits, EndByThemselves) {
  const redis_server server;
  const auto store = open_on(server);
  const auto clock = blocking::ask(*store, read_clock{});
  ASSERT_TRUE(clock);
  limit_check budget = per_minute(10, limit_algorithm::calendar);
  budget.window = 0s;
  budget.period = limit_period::daily;
  budget.period_start = *clock - 1h;
  budget.period_end = *clock + 1h;
  limit_check parts = per_minute(5000);
  parts.id = "43";
  ASSERT_TRUE(take(*store, {per_minute(10), per_minute(10, limit_algorithm::fixed), parts,
                            per_minute(10, limit_algorithm::token_bucket), budget})
                  .allowed);
  for (const auto& [key, most] : {std::pair{"rate_limit:default:user:42:60", 69'000L},
                                  std::pair{"rate_limit:default:user:43:60", 70'000L},
                                  std::pair{"rate_limit:default:user:42:60:fixed", 61'000L},
                                  std::pair{"rate_limit:default:user:42:60:bucket", 7'000L},
                                  std::pair{"tokens:default:user:42:daily", 3'602'000L}}) {
    const long left = ends_in(server, std::string("{millrace}:") + key);
    EXPECT_GT(left, 0) << key;
    EXPECT_LE(left, most) << key;
  }
  const std::string all = ask(server, "return tostring(#redis.call('KEYS', '*rate_limit*'))");
  EXPECT_EQ(all, "4");
}

TEST(RedisLimits, OfPermitsAndBlocksEndByThemselves) {
  const redis_server server;
  const auto store = open_on(server);
  limit_check room = per_minute(3, limit_algorithm::concurrency);
  room.cost = 2;
  room.window = 20s;
  limit_check strict = per_minute(1);
  strict.id = "43";
  strict.penalty = {.after = 2, .length = 5min};
  const limits_checked held = take(*store, {room});
  ASSERT_NE(held.permit, 0U);
  EXPECT_TRUE(take(*store, {strict}).allowed);
  EXPECT_FALSE(take(*store, {strict}).allowed);
  const auto lasts = [&](const std::string& key, long most) {
    const long left = ends_in(server, "{millrace}:rate_limit:" + key);
    EXPECT_GT(left, most - 30'000) << key;
    EXPECT_LE(left, most + 1'000) << key;
  };
  lasts("default:user:42:permits", 20'000);
  lasts("default:user:43:60:strikes", 60'000);
  EXPECT_FALSE(take(*store, {strict}).allowed);
  lasts("default:user:43:block", 300'000);
  lasts("blocks", 300'000);
  lasts("default:blocks", 300'000);
  lasts("default:block_ends", 300'000);
  EXPECT_EQ(ends_in(server, "{millrace}:rate_limit:default:user:43:60:strikes"), -2);
  transaction back;
  back.steps.emplace_back(release_limit_permit{.checks = {room}, .permit = held.permit});
  ASSERT_TRUE(blocking::commit(*store, std::move(back)));
  EXPECT_EQ(ends_in(server, "{millrace}:rate_limit:default:user:42:permits"), -2);
}

TEST(RedisLimits, KeepNoListOfBlocksThatAreOver) {
  const redis_server server;
  manual_clock clock;
  const auto store = open_on(server, &clock);
  const auto block = [&](int id, duration length) {
    transaction one;
    one.steps.emplace_back(
        block_limit{.scope = "ip", .whose = std::to_string(id), .length = length});
    ASSERT_TRUE(blocking::commit(*store, std::move(one)));
  };
  for (int id = 0; id < 150; ++id) block(id, 1s);
  clock.advance(1s);
  const auto listed = [&](const std::string& key) {
    return ask(server,
               "return tostring(redis.call('ZCARD', '{millrace}:rate_limit:default:" + key + "'))");
  };
  block(1000, 1h);
  block(1001, 1h);
  EXPECT_EQ(listed("blocks"), "2");
  EXPECT_EQ(listed("block_ends"), "2");
  EXPECT_EQ(blocking::ask(*store, list_limit_blocks{})->items.size(), 2U);
}

TEST(RedisLimits, LeaveNothingBehindWhatIsGivenBack) {
  const redis_server server;
  const auto store = open_on(server);
  const std::vector<limit_check> checks{per_minute(10), per_minute(10, limit_algorithm::fixed),
                                        per_minute(10, limit_algorithm::token_bucket)};
  take(*store, checks);
  transaction back;
  back.steps.emplace_back(refund_limits{.checks = checks});
  ASSERT_TRUE(blocking::commit(*store, std::move(back)));
  for (const std::string end : {"", ":fixed"}) {
    EXPECT_EQ(ends_in(server, "{millrace}:rate_limit:default:user:42:60" + end), -2) << end;
  }
}

// Sixty-four callers in two processes: no more than the limit, and each refused call charged
// nothing.
TEST(RedisLimits, HoldOverSeveralProcesses) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  limit_check narrow = per_minute(300);
  narrow.scope = "ip";
  std::atomic<std::uint64_t> admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 10; ++n) {
        if (take(i % 2 == 0 ? *first : *second, {per_minute(500), narrow}).allowed) ++admitted;
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(admitted, 300U);
  EXPECT_EQ(take(*first, {per_minute(500)}).limits.at(0).count, 301U);
}

// Each limit has a say of its own for such a time: nobody waits until the server is back, neither
// who has asked already nor who comes then.
TEST(RedisLimits, AreAnsweredAtOnceWhenTheServerIsGone) {
  redis_server server;
  const auto store = open_on(server);
  ASSERT_TRUE(take(*store, {per_minute(9)}).allowed);
  server.freeze();
  const auto begun = std::chrono::steady_clock::now();
  const auto refused = [&store] {
    transaction one{.level = durability::memory};
    one.steps.emplace_back(take_limits{.checks = {per_minute(9)}});
    const auto done = blocking::commit(*store, std::move(one));
    return done ? errc::internal : done.error().why.kind;
  };
  auto asked = std::async(std::launch::async, refused);
  server.kill();
  const errc first = asked.get();
  EXPECT_TRUE(first == errc::outcome_unknown || first == errc::unavailable);
  const errc second = refused();
  EXPECT_TRUE(second == errc::outcome_unknown || second == errc::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s) << "sooner than any deadline";
}

// Of a limit that is too large for all its charges to be read at once.
TEST(RedisLimits, AreExactThoughNotAllChargesAreRead) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  limit_check wide = per_minute(400);
  wide.window = 400ms;
  std::uint64_t allowed = 0;
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < 1s) {
    if (take(allowed % 2 == 0 ? *first : *second, {wide}).allowed) ++allowed;
  }
  const auto windows = (std::chrono::steady_clock::now() - begin) / 400ms + 2;
  EXPECT_LE(allowed, 400U * static_cast<std::uint64_t>(windows));
  transaction back;
  back.steps.emplace_back(refund_limits{.checks = {wide}});
  ASSERT_TRUE(blocking::commit(*first, std::move(back)));
  EXPECT_TRUE(take(*second, {wide}).allowed);
}

TEST(RedisLimits, TouchNothingWhereTheirKeyIsOfAnotherType) {
  const redis_server server;
  const auto store = open_on(server);
  const std::string key = "'{millrace}:rate_limit:default:user:42:60'";
  ask(server, "return redis.call('RPUSH', " + key + ", 'mine')");
  transaction one;
  one.steps.emplace_back(take_limits{.checks = {per_minute(10)}});
  const commit_result refused = blocking::commit(*store, std::move(one));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.code, "wrong_type");
  EXPECT_EQ(ask(server, "return redis.call('LINDEX', " + key + ", 0)"), "mine");
}

TEST(RedisLimits, OutliveTheProcessesThatCharged) {
  const redis_server server;
  take(*open_on(server), {per_minute(2)});
  const auto store = open_on(server);
  EXPECT_TRUE(take(*store, {per_minute(2)}).allowed);
  EXPECT_FALSE(take(*store, {per_minute(2)}).allowed);
}

}  // namespace
}  // namespace millrace::engine_redis
