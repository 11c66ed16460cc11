#include "testing_on_server.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// What is Redis' own of locks, and of calls that have to do with nothing else.
namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

const lock_key door{.resource = "door"};

commit_result commit(store& where, step what) {
  transaction one;
  one.steps.push_back(std::move(what));
  return blocking::commit(where, std::move(one));
}

lock_answer acquire(store& where, const lock_key& key, const std::string& token,
                    duration ttl = 30s) {
  const commit_result done = commit(where, acquire_lock{.key = key, .token = token, .ttl = ttl});
  if (done) return std::get<lock_answer>(done->outcomes.at(0));
  ADD_FAILURE() << done.error().why.code;
  return {};
}

std::string release(store& where, const lock_key& key, const std::string& token) {
  const commit_result done = commit(where, release_lock{.key = key, .token = token});
  return done ? "done" : std::string(done.error().why.code);
}

TEST(RedisLocks, AreTheSameInTwoProcessesThatTakeTurns) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  std::uint64_t fence = 0;
  for (int i = 0; i < 20; ++i) {
    store& mine = i % 2 == 0 ? *first : *second;
    store& other = i % 2 == 0 ? *second : *first;
    const lock_answer got = acquire(mine, door, "mine");
    EXPECT_TRUE(got.granted);
    EXPECT_GT(got.lock.fence, fence);
    fence = got.lock.fence;
    const lock_answer held = acquire(other, door, "other");
    EXPECT_FALSE(held.granted);
    EXPECT_EQ(held.lock.fence, fence);
    EXPECT_EQ(release(other, door, "other"), "lock_lost");
    EXPECT_EQ(release(mine, door, "mine"), "done");
  }
}

// What is known of locks from one call to the next is not what has been changed since.
TEST(RedisLocks, EndForTheProcessThatKnewThem) {
  const redis_server server;
  const auto store = open_on(server);
  EXPECT_TRUE(acquire(*store, door, "first", 100ms).granted);
  EXPECT_FALSE(acquire(*store, door, "second").granted);
  lock_answer got;
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (!got.granted && std::chrono::steady_clock::now() < until) {
    got = acquire(*store, door, "second");
  }
  EXPECT_TRUE(got.granted);
  EXPECT_EQ(release(*store, door, "first"), "lock_lost");
  EXPECT_EQ(ask(server, "return redis.call('FLUSHALL').ok"), "OK");
  EXPECT_EQ(release(*store, door, "second"), "lock_lost");
  EXPECT_TRUE(acquire(*store, door, "third").granted);
}

TEST(RedisLocks, AreWaitedForByOtherProcesses) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  EXPECT_TRUE(acquire(*first, door, "first").granted);
  auto listener = second->hints().listen({lock_topic(door.project, door.resource)});
  // Who waits looks first, and with that asks for hints.
  EXPECT_FALSE(acquire(*second, door, "second").granted);
  EXPECT_EQ(release(*first, door, "first"), "done");
  EXPECT_TRUE(run_coro(listener.wait(10s)));
}

TEST(RedisLocks, LeaveNoTraceOfAProcessThatIsGone) {
  const redis_server server;
  const std::string stores =
      "local n = 0 for _, f in ipairs(redis.call('HKEYS', '{millrace}:state')) do "
      "if string.sub(f, 1, 2) == 's:' then n = n + 1 end end return tostring(n)";
  const auto first = open_on(server);
  {
    const auto second = open_on(server);
    EXPECT_EQ(ask(server, stores), "2");
    EXPECT_TRUE(acquire(*second, door, "second").granted);
    EXPECT_EQ(release(*second, door, "second"), "done");
  }
  EXPECT_EQ(ask(server, stores), "1");
  EXPECT_TRUE(acquire(*first, door, "first").granted);
}

TEST(RedisLocks, TouchNothingWhereTheirKeyIsOfAnotherType) {
  const redis_server server;
  const auto store = open_on(server);
  EXPECT_EQ(ask(server, "return redis.call('SET', '{millrace}:live:l', 'mine').ok"), "OK");
  const commit_result refused = commit(*store, acquire_lock{.key = door, .token = "t"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.code, "wrong_type");
  EXPECT_EQ(ask(server, "return redis.call('GET', '{millrace}:live:l')"), "mine");
  EXPECT_EQ(ask(server, "return tostring(redis.call('DEL', '{millrace}:live:l'))"), "1");
  EXPECT_TRUE(acquire(*store, door, "t").granted);
}

// Takes of a limit and of locks while the connection is cut again and again: each happens once.
TEST(RedisLocks, HappenOnceThoughTheConnectionIsCut) {
  const redis_server server;
  const auto store = open_on(server);
  constexpr int calls = 2000;
  const limit_check wide{.scope = "user", .id = "1", .limit = 1'000'000, .window = 3600s};
  std::latch left(2 * calls);
  std::atomic<int> done{0};
  std::atomic<int> unknown{0};
  std::atomic<int> held{0};
  std::atomic<int> locked{0};
  for (int i = 0; i < calls; ++i) {
    std::vector<transaction> batch(2);
    batch[0].steps.emplace_back(take_limits{.checks = {wide}});
    batch[1].steps.emplace_back(
        acquire_lock{.key = {.resource = std::to_string(i)}, .token = "t", .ttl = 3600s});
    store->submit(std::move(batch), [&](const std::vector<commit_result>& results) {
      if (results.at(0)) ++done;
      if (!results[0] && results[0].error().why.kind == errc::outcome_unknown) ++unknown;
      if (results.at(1)) ++locked;
      if (results[1] && !std::get<lock_answer>(results[1]->outcomes.at(0)).granted) ++held;
      left.count_down(2);
    });
    if (i % 100 == 50) ask(server, "return redis.call('CLIENT', 'KILL', 'TYPE', 'normal')");
  }
  left.wait();
  transaction look;
  look.steps.emplace_back(take_limits{.checks = {wide}, .mode = take_mode::peek});
  commit_result seen = blocking::commit(*store, look);
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (!seen && std::chrono::steady_clock::now() < until) seen = blocking::commit(*store, look);
  ASSERT_TRUE(seen);
  const auto charged =
      static_cast<int>(std::get<limits_checked>(seen->outcomes.at(0)).limits.at(0).count);
  EXPECT_GE(charged, done) << "nothing that was answered is missing";
  EXPECT_LE(charged, done + unknown) << "nothing happened twice";
  EXPECT_EQ(held, 0) << "each lock is free once";
  const int there =
      std::stoi(ask(server, "return tostring(redis.call('HLEN', '{millrace}:live:l'))"));
  EXPECT_GE(there, locked);
}

}  // namespace
}  // namespace millrace::engine_redis
