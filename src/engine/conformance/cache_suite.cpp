#include "fixture.hpp"

#include <set>
#include <string>
#include <vector>

/// What is put can be read back until its time is over, and no longer.
namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(Cache);

put_cache put(std::string key, std::string value, duration ttl = 1min) {
  return {.at = {.key = std::move(key)}, .value = std::move(value), .ttl = ttl};
}

read_cache stale(std::string key) { return {.keys = {std::move(key)}, .stale = true}; }

TEST_P(Cache, GivesBackWhatWasPut) {
  put_cache step = put("user:7", std::string("\0any\xff\r\n", 7));
  step.content_type = "image/png";
  step.tags = {"users", "tenant 3"};
  step.stale_for = 5s;
  const cache_stored done = run(step);
  EXPECT_EQ(done.created_at, now());
  EXPECT_EQ(done.expires_at, now() + 1min);
  const auto found = cached("user:7");
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, (cache_entry{.value = step.value,
                                 .content_type = "image/png",
                                 .tags = {"users", "tenant 3"},
                                 .version = done.version,
                                 .created_at = now(),
                                 .expires_at = now() + 1min,
                                 .stale_until = now() + 65s}));
  EXPECT_FALSE(cached("user:8"));
}

TEST_P(Cache, GivesSeveralInTheirOrder) {
  run(put("a", "1"));
  run(put("b", ""));
  const auto found = ask(read_cache{.keys = {"b", "none", "a", "b"}}).entries;
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0]->value, "");
  EXPECT_FALSE(found[1]);
  EXPECT_EQ(found[2]->value, "1");
  EXPECT_TRUE(found[3]);
  EXPECT_EQ(ask(read_cache{.keys = {"a"}, .bare = true}).entries.at(0)->value, "");
}

TEST_P(Cache, LeavesOutWhatIsTooMuchAtOnce) {
  EXPECT_FALSE(blocking::ask(store(), read_cache{}));
  EXPECT_FALSE(blocking::ask(store(), read_cache{.keys = std::vector<std::string>(1001, "k")}));
  EXPECT_FALSE(blocking::ask(store(), read_cache{.keys = {"a\nb"}}));
  // The same value over and over is as many bytes as many values.
  run(put("large", std::string(100'000, 'x')));
  const std::size_t fitting = cache_read_bytes_max / 100'000;
  const auto found = ask(read_cache{.keys = std::vector<std::string>(fitting + 50, "large")});
  EXPECT_EQ(found.entries.size(), fitting);
}

TEST_P(Cache, TellsTheTimeOfTheStore) {
  run(put("k", "v"));
  advance(7s);
  EXPECT_EQ(ask(read_cache{.keys = {"k"}}).now, now());
  EXPECT_EQ(run(claim_cache{.at = {.key = "k"}}).now, now());
  advance(-5s);
  EXPECT_EQ(ask(read_cache{.keys = {"k"}}).now, now() + 5s) << "it never goes back";
}

TEST_P(Cache, ForgetsToTheMicrosecond) {
  run(put("k", "v", 1500ms));
  advance(1500ms - 1us);
  EXPECT_TRUE(cached("k"));
  advance(1us);
  EXPECT_FALSE(cached("k"));
  EXPECT_FALSE(cached(stale("k"))) << "without a window nothing is served stale";
  EXPECT_EQ(ask(read_cache_stats{}).entries, 0U);
  EXPECT_EQ(ask(read_cache_stats{}).bytes, 0U);
}

TEST_P(Cache, KeepsTheShortestAndTheLongestLife) {
  run(put("short", "v", 1ms));
  run(put("long", "v", 24h * 366));
  EXPECT_TRUE(cached("short"));
  advance(24h * 365);
  EXPECT_FALSE(cached("short"));
  EXPECT_TRUE(cached("long"));
}

TEST_P(Cache, ShowsAStaleEntryOnlyToWhoWantsIt) {
  put_cache step = put("k", "v", 10s);
  step.stale_for = 5s;
  run(step);
  advance(10s);
  EXPECT_FALSE(cached("k"));
  const auto found = cached(stale("k"));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->stale);
  EXPECT_EQ(found->value, "v");
  advance(5s);
  EXPECT_FALSE(cached(stale("k")));
}

TEST_P(Cache, HasAVersionThatGrowsWithEveryPut) {
  std::uint64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    const cache_stored done = run(put("k", std::to_string(i)));
    EXPECT_GT(done.version, last);
    EXPECT_LT(done.version, std::uint64_t{1} << 53U);
    last = done.version;
    if (i == 2) run(delete_cache{.at = {.key = "k"}});
  }
  EXPECT_EQ(cached("k")->version, last);
  EXPECT_EQ(cached("k")->value, "4");
}

TEST_P(Cache, PutsOnlyWhereWhatIsThereIsAsExpected) {
  const auto expecting = [](cache_expectation what, std::uint64_t version = 0) {
    put_cache step = put("k", "new");
    step.expects = what;
    step.version = version;
    return step;
  };
  using enum cache_expectation;
  EXPECT_EQ(refusal_of(expecting(present)), "version_mismatch");
  EXPECT_EQ(refusal_of(expecting(version, 1)), "version_mismatch");
  const std::uint64_t first = run(expecting(absent)).version;
  EXPECT_EQ(refusal_of(expecting(absent)), "version_mismatch");
  const std::uint64_t second = run(expecting(version, first)).version;
  EXPECT_EQ(refusal_of(expecting(version, first)), "version_mismatch");
  run(expecting(present));
  EXPECT_EQ(refusal_of(expecting(version, second)), "version_mismatch");
  const commit_result why = commit_all(expecting(absent));
  EXPECT_EQ(why.error().why.kind, errc::precondition_failed);
  advance(1min);
  run(expecting(absent));
}

TEST_P(Cache, CountsAStaleEntryAsThere) {
  put_cache step = put("k", "v", 10s);
  step.stale_for = 10s;
  const std::uint64_t version = run(step).version;
  advance(15s);
  put_cache next = put("k", "w");
  next.expects = cache_expectation::absent;
  EXPECT_EQ(refusal_of(next), "version_mismatch");
  next.expects = cache_expectation::version;
  next.version = version;
  run(next);
}

TEST_P(Cache, DoesNothingOfARefusedTransaction) {
  put_cache bad = put("b", "2");
  bad.expects = cache_expectation::present;
  const commit_result done = commit_all(put("a", "1"), invalidate_tag{.tag = "t"}, bad);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().step_index, 2U);
  EXPECT_FALSE(cached("a"));
}

TEST_P(Cache, CommitsWithJobsAsOne) {
  const commit_result done = commit_all(put("a", "1"), enqueue_job{.queue = work});
  ASSERT_TRUE(done);
  EXPECT_TRUE(cached("a"));
  EXPECT_EQ(info().waiting, 1U);
}

TEST_P(Cache, KeepsProjectsApart) {
  put_cache theirs = put("k", "theirs");
  theirs.at.project = "other";
  theirs.tags = {"t"};
  run(theirs);
  EXPECT_FALSE(cached("k"));
  put_cache ours = put("k", "ours");
  ours.tags = {"t"};
  run(ours);
  run(invalidate_tag{.tag = "t"});
  run(clear_cache{});
  run(delete_matching{.pattern = "*"});
  run(delete_cache{.at = {.key = "k"}});
  EXPECT_FALSE(cached("k"));
  const auto found = ask(read_cache{.project = "other", .keys = {"k"}}).entries.at(0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->value, "theirs");
  EXPECT_EQ(ask(read_cache_stats{.project = "other"}).entries, 1U);
  EXPECT_EQ(ask(list_cache{.project = "other"}).items.size(), 1U);
}

TEST_P(Cache, ListsItsKeys) {
  for (int i = 0; i < 25; ++i) run(put("user:" + std::to_string(i), "v"));
  run(put("bot:1", "v"));
  std::set<std::string> seen;
  list_cache what{.pattern = "user:*", .limit = 10};
  do {
    const auto page = ask(what);
    for (const auto& row : page.items) {
      EXPECT_TRUE(row.key.starts_with("user:"));
      EXPECT_EQ(row.bytes, cache_entry_bytes(put(row.key, "v")));
      seen.insert(row.key);
    }
    what.cursor = page.cursor;
  } while (!what.cursor.empty());
  EXPECT_EQ(seen.size(), 25U);
  EXPECT_EQ(word_of(list_cache{.cursor = "nonsense"}), "bad_cursor");
}

TEST_P(Cache, CountsEntriesAndBytes) {
  const put_cache first = put("a", "12345");
  run(first);
  run(put("b", "1", 10s));
  put_cache larger = put("a", std::string(1000, 'x'));
  larger.tags = {"t"};
  run(larger);
  auto numbers = ask(read_cache_stats{});
  EXPECT_EQ(numbers.entries, 2U);
  EXPECT_EQ(numbers.bytes, cache_entry_bytes(larger) + cache_entry_bytes(put("b", "1")));
  EXPECT_EQ(numbers.bytes_max, cache_bytes_under_test);
  advance(10s);
  numbers = ask(read_cache_stats{});
  EXPECT_EQ(numbers.entries, 1U);
  EXPECT_EQ(numbers.bytes, cache_entry_bytes(larger));
  EXPECT_EQ(numbers.expired, 1U);
}

TEST_P(Cache, MakesRoomByWhatWasNotUsedForLongest) {
  const std::string value(30'000, 'x');
  for (const char* key : {"a", "b", "c", "d"}) {
    run(put(key, value, 1h));
    advance(1min);
  }
  EXPECT_TRUE(cached("a"));
  advance(1min);
  std::vector<std::string> gone;
  for (const char* key : {"e", "f", "g", "h"}) {
    const cache_stored done = run(put(key, value, 1h));
    gone.insert(gone.end(), done.evicted.begin(), done.evicted.end());
    advance(1min);
  }
  EXPECT_EQ(gone, (std::vector<std::string>{"b", "c"}));
  EXPECT_FALSE(cached("b"));
  EXPECT_FALSE(cached("c"));
  for (const char* key : {"a", "d", "e", "f", "g", "h"}) EXPECT_TRUE(cached(key)) << key;
  const auto numbers = ask(read_cache_stats{});
  EXPECT_LE(numbers.bytes, cache_bytes_under_test);
  EXPECT_EQ(numbers.evicted, 2U);
}

TEST_P(Cache, TellsOnceWhatHadToGo) {
  const auto request = [] {
    transaction one{.idempotency = idempotency_key{
                        .project = "default", .route = "POST", .key = "k", .fingerprint = 1}};
    one.steps.push_back(put("b", std::string(cache_bytes_under_test / 2, 'x')));
    return one;
  };
  run(put("a", std::string(cache_bytes_under_test / 2, 'x')));
  const commit_result first = commit(request());
  ASSERT_TRUE(first);
  EXPECT_EQ(std::get<cache_stored>(first->outcomes[0]).evicted, std::vector<std::string>{"a"});
  const commit_result again = commit(request());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_TRUE(std::get<cache_stored>(again->outcomes[0]).evicted.empty());
}

TEST_P(Cache, TakesNoJobAwayToMakeRoom) {
  const job kept = enqueue();
  for (int i = 0; i < 20; ++i) run(put(std::to_string(i), std::string(50'000, 'x')));
  EXPECT_TRUE(exists(kept.id));
  EXPECT_EQ(ask(read_cache_stats{}).entries, 3U);
  EXPECT_TRUE(cached("19")) << "the newest stays";
}

TEST_P(Cache, RefusesAnEntryThatIsLargerThanTheQuota) {
  run(put("a", "1"));
  EXPECT_EQ(refusal_of(put("b", std::string(cache_bytes_under_test, 'x'))), "over_cache_quota");
  EXPECT_TRUE(cached("a"));
}

TEST_P(Cache, RefusesWhatNoEngineTakes) {
  EXPECT_EQ(refusal_of(put("", "v")), "invalid_key");
  EXPECT_EQ(refusal_of(put("k", "v", 0s)), "invalid_value");
  EXPECT_EQ(refusal_of(put("k", std::string(cache_value_bytes_max + 1, 'x'))), "value_too_large");
}

TEST_P(Cache, AnswersARepeatedRequestTheSame) {
  const auto request = [] {
    transaction one{.idempotency = idempotency_key{
                        .project = "default", .route = "POST", .key = "k", .fingerprint = 1}};
    one.steps.push_back(put("a", "1"));
    one.steps.push_back(claim_cache{.at = {.key = "b"}});
    one.steps.push_back(delete_cache{.at = {.key = "c"}});
    return one;
  };
  const commit_result first = commit(request());
  ASSERT_TRUE(first);
  run(put("a", "2"));
  const commit_result again = commit(request());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(std::get<cache_stored>(again->outcomes[0]).version,
            std::get<cache_stored>(first->outcomes[0]).version);
  EXPECT_EQ(std::get<cache_claimed>(again->outcomes[1]).lease,
            std::get<cache_claimed>(first->outcomes[1]).lease);
  EXPECT_EQ(cached("a")->value, "2");
}

}  // namespace
}  // namespace millrace::conformance
