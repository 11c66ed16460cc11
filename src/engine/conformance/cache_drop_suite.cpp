#include "fixture.hpp"

#include <ostream>
#include <string>
#include <vector>

/// What is invalidated is gone for every reader at once, and stays gone.
namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(CacheDrop);

put_cache put(std::string key, std::vector<std::string> tags = {}) {
  return {.at = {.key = std::move(key)}, .value = "v", .ttl = 1h, .tags = std::move(tags)};
}

TEST_P(CacheDrop, ForgetsAKey) {
  run(put("k"));
  EXPECT_EQ(run(delete_cache{.at = {.key = "k"}}).count, 1U);
  EXPECT_FALSE(cached("k"));
  EXPECT_EQ(run(delete_cache{.at = {.key = "k"}}).count, 0U);
}

TEST_P(CacheDrop, ForgetsOnlyTheVersionThatIsMeant) {
  const cache_stored first = run(put("k"));
  const cache_stored second = run(put("k"));
  EXPECT_EQ(refusal_of(delete_cache{.at = {.key = "k"}, .version = first.version}),
            "version_mismatch");
  EXPECT_TRUE(cached("k"));
  run(delete_cache{.at = {.key = "k"}, .version = second.version});
  EXPECT_EQ(refusal_of(delete_cache{.at = {.key = "k"}, .version = second.version}),
            "version_mismatch");
}

TEST_P(CacheDrop, ForgetsWhatHasATag) {
  run(put("a", {"red"}));
  run(put("b", {"blue", "red"}));
  run(put("c", {"blue"}));
  run(put("d"));
  run(invalidate_tag{.tag = "red"});
  EXPECT_FALSE(cached("a"));
  EXPECT_FALSE(cached("b"));
  EXPECT_TRUE(cached("c"));
  EXPECT_TRUE(cached("d"));
  EXPECT_EQ(run(delete_cache{.at = {.key = "a"}}).count, 0U) << "it was gone";
  run(put("b", {"red"}));
  EXPECT_TRUE(cached("b")) << "newer than the invalidation";
  put_cache absent = put("a");
  absent.expects = cache_expectation::absent;
  run(absent);
}

TEST_P(CacheDrop, ForgetsAStaleEntryWithItsTag) {
  put_cache step = put("a", {"red"});
  step.ttl = 1s;
  step.stale_for = 1h;
  run(step);
  advance(2s);
  run(invalidate_tag{.tag = "red"});
  EXPECT_FALSE(cached(read_cache{.keys = {"a"}, .stale = true}));
  EXPECT_FALSE(run(claim_cache{.at = {.key = "a"}}).found);
}

TEST_P(CacheDrop, ForgetsOfATransactionWhatWasPutBefore) {
  ASSERT_TRUE(commit_all(put("a", {"red"}), invalidate_tag{.tag = "red"}, put("b", {"red"})));
  EXPECT_FALSE(cached("a"));
  EXPECT_TRUE(cached("b"));
}

TEST_P(CacheDrop, ForgetsWhatFitsAPattern) {
  for (const char* key : {"vector:7:a", "vector:7:b", "vector:77:a", "vector:", "bot:7", "*"}) {
    run(put(key));
  }
  const auto dropped = [this](std::string pattern) {
    std::uint64_t count = 0;
    delete_matching step{.pattern = std::move(pattern)};
    do {
      const cache_dropped done = run(step);
      count += done.count;
      step.cursor = done.cursor;
    } while (!step.cursor.empty());
    return count;
  };
  EXPECT_EQ(dropped("vector:7:*"), 2U);
  EXPECT_FALSE(cached("vector:7:a"));
  EXPECT_TRUE(cached("vector:77:a"));
  EXPECT_EQ(dropped(R"(\*)"), 1U);
  EXPECT_EQ(dropped("[xb]ot:?"), 1U);
  EXPECT_EQ(dropped("nothing*"), 0U);
  EXPECT_EQ(dropped("vector:77:a"), 1U);
  EXPECT_EQ(dropped("*"), 1U);
  EXPECT_EQ(ask(read_cache_stats{}).bytes, 0U);
}

TEST_P(CacheDrop, ClearsAllAtOnceAndGivesTheBytesBackInPieces) {
  for (int i = 0; i < 25; ++i) run(put("k" + std::to_string(i)));
  cache_dropped done = run(clear_cache{.max = 10});
  EXPECT_EQ(done.count, 10U);
  EXPECT_FALSE(done.cursor.empty());
  for (int i = 0; i < 25; ++i) EXPECT_FALSE(cached("k" + std::to_string(i)));
  EXPECT_EQ(ask(read_cache_stats{}).entries, 15U);
  EXPECT_EQ(run(clear_cache{.max = 10}).count, 10U);
  done = run(clear_cache{.max = 10});
  EXPECT_EQ(done.count, 5U);
  EXPECT_TRUE(done.cursor.empty());
  EXPECT_EQ(ask(read_cache_stats{}).entries, 0U);
  run(put("new"));
  EXPECT_TRUE(cached("new"));
}

struct restart_case {
  engine_case engine;
  ending how;
};

std::vector<restart_case> restarts() {
  std::vector<restart_case> cases;
  for (const engine_case& one : reopenable_engines_under_test()) {
    for (const ending how : {ending::closed, ending::killed}) cases.push_back({one, how});
  }
  return cases;
}

std::string name_of(const restart_case& which) {
  return which.engine.name + (which.how == ending::killed ? "Killed" : "Closed");
}
void PrintTo(const restart_case& which, std::ostream* out) { *out << name_of(which); }

class CacheRestart : public engine_fixture, public testing::WithParamInterface<restart_case> {
protected:
  CacheRestart() : engine_fixture(GetParam().engine) {}
  void restart(duration away = 0s) { engine_fixture::restart(GetParam().how, away); }
};
INSTANTIATE_TEST_SUITE_P(Engine, CacheRestart, testing::ValuesIn(restarts()),
                         [](const auto& info) { return name_of(info.param); });
// An engine that keeps nothing has nothing to show here.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CacheRestart);

TEST_P(CacheRestart, KeepsEntries) {
  put_cache step = put("k", {"red", "blue"});
  step.value = std::string("\0\xff some bytes", 13);
  step.content_type = "text/plain";
  step.stale_for = 1h;
  run(step);
  const auto before = cached("k");
  restart(1min);
  EXPECT_EQ(cached("k"), before);
  EXPECT_EQ(ask(read_cache_stats{}).bytes, cache_entry_bytes(step));
  restart(1h);
  EXPECT_FALSE(cached("k"));
  EXPECT_TRUE(cached(read_cache{.keys = {"k"}, .stale = true}));
  restart(1h);
  EXPECT_FALSE(cached(read_cache{.keys = {"k"}, .stale = true}));
  EXPECT_EQ(ask(read_cache_stats{}).bytes, 0U);
}

TEST_P(CacheRestart, BringsNothingBackThatWasInvalidated) {
  run(put("deleted"));
  run(put("tagged", {"red"}));
  run(put("other", {"blue"}));
  run(put("replaced"));
  run(put("pattern:1"));
  run(delete_cache{.at = {.key = "deleted"}});
  run(invalidate_tag{.tag = "red"});
  run(delete_matching{.pattern = "pattern:*"});
  put_cache newer = put("replaced");
  newer.value = "newer";
  run(newer);
  restart();
  EXPECT_FALSE(cached("deleted"));
  EXPECT_FALSE(cached("tagged"));
  EXPECT_FALSE(cached("pattern:1"));
  EXPECT_TRUE(cached("other"));
  EXPECT_EQ(cached("replaced")->value, "newer");
  run(clear_cache{.max = 1});
  restart();
  EXPECT_FALSE(cached("other"));
  EXPECT_FALSE(cached("replaced"));
}

TEST_P(CacheRestart, GoesOnWithGreaterVersions) {
  const std::uint64_t before = run(put("k")).version;
  restart(-1h);
  EXPECT_GT(run(put("k")).version, before);
}

TEST_P(CacheRestart, EndsClaims) {
  const cache_claimed held = run(claim_cache{.at = {.key = "k"}, .lease = 1h});
  restart();
  put_cache step = put("k");
  step.lease = held.lease;
  EXPECT_EQ(refusal_of(step), "stale_lease");
  EXPECT_EQ(run(claim_cache{.at = {.key = "k"}}).state, claim_state::fill);
}

}  // namespace
}  // namespace millrace::conformance
