#include <millrace/base/testing.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;

std::atomic<int> loads{0};

awaitable<result<std::optional<loaded_value>>> load_it(std::string key) {
  ++loads;
  if (key == "broken") co_return fail(errc::unavailable, "database_away", "It is away.");
  co_return loaded_value{.value = "of " + key};
}

TEST(Warming, LoadsWhatWasReadMostBeforeTheStart) {
  manual_clock clock;
  model::model_store store{{.clock = &clock}};
  {
    shared_cache before{store};
    const auto read = [&](const std::string& key, int times) {
      for (int i = 0; i < times; ++i) ASSERT_TRUE(run_coro(before.get({.key = key})));
    };
    for (int i = 0; i < 110; ++i) read("k" + std::to_string(i), i < 11 ? 1 : 2);
    read("broken", 3);
    ASSERT_TRUE(run_coro(before.record_top("default")));
  }
  shared_cache after{store};
  ASSERT_TRUE(run_coro(after.put({.at = {.key = "k109"}, .value = "there"})));
  loads = 0;
  EXPECT_EQ(run_coro(after.warm("default", load_it, {}, 8)), 98U);
  EXPECT_EQ(loads, 99) << "one was there, and one could not be loaded";
  EXPECT_EQ((*run_coro(after.get({.key = "k108"})))->value, "of k108");
  EXPECT_EQ((*run_coro(after.get({.key = "k109"})))->value, "there");
  EXPECT_FALSE(*run_coro(after.get({.key = "k10"}))) << "a hundred with the broken one";
  EXPECT_TRUE(*run_coro(after.get({.key = "k11"})));
}

TEST(Warming, HasNothingToDoWhereNothingWasRecorded) {
  model::model_store store;
  shared_cache cache{store};
  EXPECT_EQ(run_coro(cache.warm("default", load_it)), 0U);
  ASSERT_TRUE(run_coro(cache.record_top("default")));
  EXPECT_EQ(run_coro(cache.warm("default", load_it, {}, 0)).error().field, "at_once");
}

TEST(Popular, AreRenewedBeforeTheyEnd) {
  manual_clock clock;
  model::model_store store{{.clock = &clock}};
  shared_cache cache{store};
  const auto put = [&](const std::string& key, duration ttl) {
    ASSERT_TRUE(run_coro(cache.put({.at = {.key = key}, .value = "old", .ttl = ttl})));
  };
  put("young", 100s);
  put("aged", 10s);
  put("broken", 10s);
  put("unread", 10s);
  for (const char* key : {"young", "aged", "broken", "gone"}) {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(run_coro(cache.get({.key = key})));
  }
  clock.advance(8s);
  loads = 0;
  const auto before = cache.numbers();
  EXPECT_EQ(run_coro(cache.refresh_popular("default", load_it, {.ttl = 60s}, 2)), 2U);
  EXPECT_EQ(loads, 3);
  EXPECT_EQ(cache.numbers().hits, before.hits) << "no use";
  EXPECT_EQ((*run_coro(cache.get({.key = "aged"})))->value, "of aged");
  EXPECT_EQ((*run_coro(cache.get({.key = "aged"})))->expires_at, clock.now() + 60s);
  EXPECT_EQ((*run_coro(cache.get({.key = "gone"})))->value, "of gone");
  EXPECT_EQ((*run_coro(cache.get({.key = "young"})))->value, "old");
  EXPECT_EQ((*run_coro(cache.get({.key = "broken"})))->value, "old");
  EXPECT_EQ((*run_coro(cache.get({.key = "unread"})))->value, "old");
}

TEST(Popular, HaveNothingToDoWhereNothingIsRead) {
  model::model_store store;
  shared_cache cache{store};
  EXPECT_EQ(run_coro(cache.refresh_popular("default", load_it)), 0U);
  EXPECT_EQ(run_coro(cache.refresh_popular("default", load_it, {}, 65)).error().field, "at_once");
}

}  // namespace
}  // namespace millrace::cache
