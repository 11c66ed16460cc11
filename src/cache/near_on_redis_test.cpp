#include "testing_processes.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/cache/declared_cache.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using redis::testing::redis_server;
using steady = std::chrono::steady_clock;

/// What a process has: a store, and memory in front of it that Redis keeps coherent.
struct one_process {
  explicit one_process(const redis_server& server, std::chrono::milliseconds age_max = 10s,
                       const std::string& user = "") {
    near = std::move(*near_cache::make(
        {.bytes = std::size_t{1} << 20U, .source = near_source::told, .age_max = age_max}));
    auto where = redis::parse_address(
        "redis://" + user + "127.0.0.1:" + std::to_string(server.port()), "url");
    auto opened = engine_redis::redis_store::open({.where = std::move(*where)});
    if (!opened) throw std::runtime_error(opened.error().detail);
    (*opened)->tell_cache_changes(*near, age_max / 4);
    store = std::make_unique<near_store>(std::move(*opened), *near);
    cache = std::make_unique<shared_cache>(*store, shared_cache::settings{.near = near.get()});
  }

  void put(std::string key, std::string value, std::vector<std::string> tags = {}) {
    const auto done = run_coro(cache->put(
        {.at = {.key = std::move(key)}, .value = std::move(value), .tags = std::move(tags)}));
    EXPECT_TRUE(done) << done.error().detail;
  }
  std::string get(const std::string& key) {
    const auto found = run_coro(cache->get({.key = key}));
    if (!found) return std::string{found.error().code};
    return *found ? (*found)->value : "none";
  }
  /// Reads it until it lies near.
  void bring_near(const std::string& key) {
    EXPECT_TRUE(proof::comes([&] {
      const auto before = cache->numbers().near_hits;
      static_cast<void>(get(key));
      return cache->numbers().near_hits > before;
    })) << key;
  }
  bool is_near(const std::string& key) { return near->find({.key = key}, false).has_value(); }

  std::unique_ptr<near_cache> near;
  std::unique_ptr<engine::store> store;
  std::unique_ptr<shared_cache> cache;
};

redis_server& shared_server() {
  static redis_server server;
  return server;
}

class NearOnRedis : public testing::Test {
protected:
  void expect_soon(one_process& in, const std::string& key, const std::string& value) {
    EXPECT_TRUE(proof::comes([&] { return in.get(key) == value; }))
        << key << " stays " << in.get(key);
  }

  one_process here_{shared_server()};
  one_process there_{shared_server()};
};

TEST_F(NearOnRedis, HearsOfEveryKindOfChangeByOthers) {
  here_.put("a", "1", {"t", "u"});
  there_.bring_near("a");
  here_.put("a", "2", {"t"});
  expect_soon(there_, "a", "2");
  there_.bring_near("a");
  ASSERT_TRUE(run_coro(here_.cache->invalidate("default", "t")));
  expect_soon(there_, "a", "none");

  here_.put("b", "1");
  there_.bring_near("b");
  ASSERT_TRUE(run_coro(here_.cache->remove({.at = {.key = "b"}})));
  expect_soon(there_, "b", "none");

  here_.put("c:1", "1");
  there_.bring_near("c:1");
  ASSERT_EQ(run_coro(here_.cache->remove_matching("default", "c:*")), 1U);
  expect_soon(there_, "c:1", "none");

  here_.put("d", "1");
  there_.bring_near("d");
  ASSERT_TRUE(run_coro(here_.cache->clear("default")));
  expect_soon(there_, "d", "none");
}

// By tags one after another, and only what carries them goes.
TEST_F(NearOnRedis, TellsTagsApart) {
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i);
    here_.put("tagged:" + name, "1", {"tag " + name});
  }
  here_.put("tagged:other", "1", {"another tag"});
  for (int i = 0; i < 20; ++i) there_.bring_near("tagged:" + std::to_string(i));
  there_.bring_near("tagged:other");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(run_coro(here_.cache->invalidate("default", "tag " + std::to_string(i))));
  }
  for (int i = 0; i < 20; ++i) expect_soon(there_, "tagged:" + std::to_string(i), "none");
  EXPECT_TRUE(proof::comes([&] { return there_.is_near("tagged:other"); }));
}

TEST_F(NearOnRedis, NeverGivesItsOwnWritesLate) {
  there_.put("own", "start");
  for (int i = 0; i < 300; ++i) {
    here_.put("own", std::to_string(i));
    ASSERT_EQ(here_.get("own"), std::to_string(i));
    ASSERT_EQ(here_.get("own"), std::to_string(i));
  }
}

// Somebody empties the server by hand.
TEST(NearOnRedisAlone, DropsEverythingWhenTheServerIsEmptied) {
  redis_server server;
  one_process here{server};
  here.put("a", "1");
  here.bring_near("a");
  ASSERT_TRUE(
      redis::testing::run_program({"redis-cli", "-p", std::to_string(server.port()), "flushall"}));
  EXPECT_TRUE(proof::comes([&] { return !here.is_near("a"); }));
}

TEST(NearOnRedisAlone, GivesNothingWhileItHearsNothing) {
  redis_server server;
  one_process here{server, 300ms};
  here.put("a", "1");
  here.bring_near("a");
  server.freeze();
  const auto frozen = steady::now();
  EXPECT_TRUE(proof::comes([&] { return !here.is_near("a"); }));
  EXPECT_LT(steady::now() - frozen, 5s);
  server.resume();
  here.bring_near("a");
  server.kill();
  EXPECT_TRUE(proof::comes([&] { return !here.near->is_told(); }));
  EXPECT_FALSE(here.is_near("a"));
  server.restart();
  EXPECT_TRUE(proof::comes([&] { return here.near->is_told(); }));
  EXPECT_TRUE(proof::comes([&] { return here.get("a") == "none"; }))
      << "what it had before is not given: the server has lost it";
}

// A user who may do everything but have changes told: the cache works, without near memory.
TEST(NearOnRedisAlone, AsksTheStoreWhereTrackingIsForbidden) {
  redis_server server;
  ASSERT_TRUE(redis::testing::run_program({"redis-cli", "-p", std::to_string(server.port()), "acl",
                                           "setuser", "limited", "on", ">secret", "~*", "&*",
                                           "+@all", "-client|tracking"}));
  one_process here{server, 300ms, "limited:secret@"};
  here.put("a", "1");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(here.get("a"), "1");
  EXPECT_EQ(here.cache->numbers().near_hits, 0U);
  EXPECT_FALSE(here.near->is_told());
}

// What each family says for that time, decided at once and not when a time limit is over.
declared_cache three_outages() {
  return {.families = std::move(*family_set::make(
              {{.name = "kept",
                .pattern = "kept:{n}",
                .ttl = 300s,
                .outage = outage_rule::serve_stale,
                .outage_for = 300s},
               {.name = "passed", .pattern = "passed:{n}"},
               {.name = "closed", .pattern = "closed:{n}", .outage = outage_rule::refuse}},
              {}))};
}

class FamiliesOnRedis : public testing::Test {
protected:
  FamiliesOnRedis() {
    here_.cache = std::make_unique<shared_cache>(
        *here_.store,
        shared_cache::settings{
            .near = here_.near.get(), .patience = patience_default, .declared = &declared_});
    here_.put("kept:1", "value");
    here_.bring_near("kept:1");
  }
  std::string get(const std::string& key) {
    const auto found = run_coro(here_.cache->get({.key = key}, shared_cache::stale::by_family));
    if (!found) return std::string{found.error().kind == errc::unavailable ? "refused" : "other"};
    if (!*found) return std::string{"none"};
    return (*found)->stale ? "stale " + (*found)->value : (*found)->value;
  }
  void expect_quick_decisions() {
    for (const auto& [key, expected] :
         {std::pair<std::string, std::string>{"kept:1", "stale value"},
          {"passed:1", "none"},
          {"closed:1", "refused"}}) {
      std::vector<steady::duration> took;
      for (int i = 0; i < 51; ++i) {
        const auto began = steady::now();
        EXPECT_EQ(get(key), expected);
        took.push_back(steady::now() - began);
      }
      std::ranges::nth_element(took, took.begin() + 25);
      EXPECT_LE(took[25], 5ms) << key;
    }
  }

  redis_server server_;
  declared_cache declared_{three_outages()};
  one_process here_{server_, 300ms};
};

TEST_F(FamiliesOnRedis, DecideInMillisecondsWhileTheServerIsAway) {
  server_.kill();
  ASSERT_TRUE(proof::comes([&] { return get("closed:1") == "refused"; }));
  ASSERT_TRUE(proof::comes([&] { return get("kept:1") == "stale value"; }));
  expect_quick_decisions();
  server_.restart();
  EXPECT_TRUE(proof::comes([&] { return get("kept:1") == "none"; })) << "the server has lost it";
}

// Its connection stays open, and takes seconds to find out.
TEST_F(FamiliesOnRedis, DecideInMillisecondsWhileTheServerSaysNothing) {
  server_.freeze();
  const auto began = steady::now();
  ASSERT_TRUE(proof::comes([&] { return get("kept:1") == "stale value"; }));
  ASSERT_TRUE(proof::comes([&] { return get("closed:1") == "refused"; }));
  expect_quick_decisions();
  EXPECT_LT(steady::now() - began, 2s) << "what a request to Redis may take is three";
  server_.resume();
  EXPECT_TRUE(proof::comes([&] { return get("kept:1") == "value"; }));
}

TEST(CacheOnRedis, SaysWhatHadToGo) {
  auto where = redis::parse_address(
      "redis://127.0.0.1:" + std::to_string(shared_server().port()) + "/3", "url");
  const auto store = std::move(*engine_redis::redis_store::open(
      {.where = std::move(*where), .cache_bytes_max = std::uint64_t{1} << 20U}));
  const declared_cache declared{three_outages()};
  shared_cache cache(*store, {.declared = &declared});
  const std::string large(400'000, 'x');
  for (const char* key : {"kept:1", "kept:2", "passed:1", "kept:3"}) {
    ASSERT_TRUE(run_coro(cache.put({.at = {.key = key}, .value = large})));
  }
  std::uint64_t evicted = 0;
  for (const family_numbers& one : cache.numbers_by_family()) evicted += one.figures.evictions;
  EXPECT_EQ(evicted, 2U);
}

}  // namespace
}  // namespace millrace::cache
