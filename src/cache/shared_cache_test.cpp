#include <millrace/cache/shared_cache.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using engine::put_cache;

class SharedCache : public testing::Test {
protected:
  engine::cache_stored put(put_cache what) {
    auto done = run_coro(cache_.put(std::move(what)));
    EXPECT_TRUE(done) << done.error().detail;
    return done.value_or(engine::cache_stored{});
  }
  std::optional<std::string> get(std::string key) {
    const auto found = run_coro(cache_.get({.key = std::move(key)}));
    EXPECT_TRUE(found);
    if (!found || !*found) return std::nullopt;
    return (**found).value;
  }

  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  shared_cache cache_{store_, {.default_ttl = 10min}};
};

TEST_F(SharedCache, KeepsForItsDefaultWhereNothingElseIsSaid) {
  const auto by_default = put({.at = {.key = "a"}, .value = "1", .ttl = 0s});
  EXPECT_EQ(by_default.expires_at, clock_.now() + 10min);
  const auto own = put({.at = {.key = "b"}, .value = "1", .ttl = 5s});
  EXPECT_EQ(own.expires_at, clock_.now() + 5s);
  clock_.advance(5s);
  EXPECT_TRUE(get("a"));
  EXPECT_FALSE(get("b"));
}

TEST_F(SharedCache, PutsEachByItselfOrAllOrNone) {
  const auto batch = [] {
    std::vector<put_cache> out{{.at = {.key = "a"}, .value = "1"},
                               {.at = {.key = "b"}, .value = "2", .ttl = -1s},
                               {.at = {.key = "c"}, .value = "3"}};
    return out;
  };
  const auto all = run_coro(cache_.put_all(batch()));
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().field, "1.ttl");
  EXPECT_FALSE(get("a"));
  const auto each = run_coro(cache_.put_each(batch()));
  ASSERT_EQ(each.size(), 3U);
  EXPECT_TRUE(each[0]);
  EXPECT_EQ(each[1].error().field, "ttl");
  EXPECT_TRUE(each[2]);
  EXPECT_EQ(get("c"), "3");
}

TEST_F(SharedCache, ReadsMoreKeysThanOneQueryTakes) {
  std::vector<std::string> keys;
  for (int i = 0; i < 2500; ++i) keys.push_back(std::to_string(i));
  put({.at = {.key = "0"}, .value = "first"});
  put({.at = {.key = "2499"}, .value = "last"});
  const auto found = run_coro(cache_.get_many("default", keys));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2500U);
  EXPECT_EQ(found->front()->value, "first");
  EXPECT_EQ(found->back()->value, "last");
  EXPECT_FALSE((*found)[1000]);
}

TEST_F(SharedCache, RemovesByKeyTagPatternAndAll) {
  for (const char* key : {"a:1", "a:2", "b:1", "b:2", "c"}) {
    put({.at = {.key = key}, .value = "v", .tags = {std::string(1, key[0])}});
  }
  EXPECT_EQ(run_coro(cache_.remove({.at = {.key = "c"}})), 1U);
  EXPECT_EQ(run_coro(cache_.remove({.at = {.key = "c"}})), 0U);
  EXPECT_EQ(run_coro(cache_.remove_matching("default", "a:*")), 2U);
  ASSERT_TRUE(run_coro(cache_.invalidate("default", "b")));
  EXPECT_FALSE(get("b:1"));
  put({.at = {.key = "d"}, .value = "v"});
  EXPECT_TRUE(run_coro(cache_.clear("default")).value_or(0) >= 1);
  EXPECT_FALSE(get("d"));
}

TEST_F(SharedCache, CountsWhatIsAsked) {
  put({.at = {.key = "a"}, .value = "v", .ttl = 10s, .stale_for = 10s});
  put({.at = {.key = "b"}, .value = "v", .ttl = 20s});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(get("a"));
  EXPECT_FALSE(get("none"));
  clock_.advance(15s);
  EXPECT_TRUE(*run_coro(cache_.get({.key = "a"}, shared_cache::stale::yes)));
  const cache_numbers numbers = cache_.numbers();
  EXPECT_EQ(numbers.hits, 3U);
  EXPECT_EQ(numbers.stale, 1U);
  EXPECT_EQ(numbers.misses, 1U);
  EXPECT_EQ(numbers.puts, 2U);
  EXPECT_EQ(numbers.average_ttl, 15s);
  ASSERT_EQ(numbers.top.size(), 2U);
  EXPECT_EQ(numbers.top[0].key, "a");
  EXPECT_EQ(numbers.top[0].reads, 4U);
}

TEST_F(SharedCache, RefusesAWaitThatIsTooLong) {
  const auto claimed = run_coro(cache_.claim({.at = {.key = "k"}}, 61s));
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().field, "wait");
}

TEST_F(SharedCache, AnswersAClaimWhenItsWaitIsOver) {
  EXPECT_EQ(run_coro(cache_.claim({.at = {.key = "k"}}, 0s))->state, engine::claim_state::fill);
  EXPECT_EQ(run_coro(cache_.claim({.at = {.key = "k"}}, 0s))->state, engine::claim_state::wait);
}

}  // namespace
}  // namespace millrace::cache
