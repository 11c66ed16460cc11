#include <millrace/cache/local_cache.hpp>

#include "testing_values.hpp"

#include <millrace/cache/entry_limits.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace millrace::cache {
namespace {

using testing::make_value;
using testing::start;
using namespace std::chrono_literals;

std::unique_ptr<local_cache> make_cache(std::size_t bytes = 1024UL * 1024, std::size_t shards = 1) {
  auto made = local_cache::make({.bytes = bytes, .shards = shards});
  EXPECT_TRUE(made) << made.error().detail;
  return std::move(*made);
}

put_outcome put(local_cache& into, cached_value value, timestamp now = start) {
  return into.put(std::move(value), into.ticket(), now);
}

std::string key_of(std::string_view kind, std::size_t i) {
  return std::string(kind) + ":" + std::to_string(i);
}

TEST(LocalCache, GivesWhatWasPut) {
  const auto cache = make_cache();
  EXPECT_FALSE(cache->get("k", start));
  EXPECT_EQ(put(*cache, make_value("k", "one")), put_outcome::stored);
  const local_hit hit = cache->get("k", start);
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit.value.data(), "one");
  EXPECT_FALSE(hit.stale);
  EXPECT_FALSE(cache->get("K", start));
  const local_cache_usage usage = cache->usage();
  EXPECT_EQ(usage.entries, 1U);
  EXPECT_EQ(usage.hits, 1U);
  EXPECT_EQ(usage.misses, 2U);
}

TEST(LocalCache, RefusesSizesThatMakeNoSense) {
  EXPECT_EQ(local_cache::make({.bytes = local_bytes_min - 1}).error().field, "bytes");
  for (const std::size_t shards : {3U, 8U, 128U}) {
    const auto made = local_cache::make({.bytes = local_bytes_min * 4, .shards = shards});
    EXPECT_EQ(made.error().field, "shards");
  }
}

TEST(LocalCache, ForgetsAtItsExpiry) {
  const auto cache = make_cache();
  put(*cache, make_value("k", "one", {.ttl = 10s}));
  EXPECT_TRUE(cache->get("k", start + 10s - 1us));
  EXPECT_FALSE(cache->get("k", start + 10s));
  EXPECT_EQ(cache->usage().entries, 0U);
  EXPECT_EQ(put(*cache, make_value("k", "one", {.ttl = 10s}), start + 10s), put_outcome::expired);
}

TEST(LocalCache, ServesStaleWithinItsWindowAndSaysSo) {
  const auto cache = make_cache();
  put(*cache, make_value("k", "one", {.ttl = 10s, .stale_for = 5s}));
  EXPECT_FALSE(cache->get("k", start + 9s).stale);
  EXPECT_TRUE(cache->get("k", start + 10s).stale);
  EXPECT_TRUE(cache->get("k", start + 15s - 1us));
  EXPECT_FALSE(cache->get("k", start + 15s));
  EXPECT_EQ(cache->usage().stale_hits, 2U);
}

TEST(LocalCache, KeepsTheHigherVersion) {
  const auto cache = make_cache();
  put(*cache, make_value("k", "new", {.version = 5}));
  EXPECT_EQ(put(*cache, make_value("k", "old", {.version = 4})), put_outcome::older_version);
  EXPECT_EQ(cache->get("k", start).value.data(), "new");
  EXPECT_EQ(put(*cache, make_value("k", "newer", {.version = 6})), put_outcome::stored);
  EXPECT_EQ(cache->get("k", start).value.data(), "newer");
  EXPECT_EQ(cache->usage().entries, 1U);
}

TEST(LocalCache, AnEvictedKeyDoesNotComeBackFromALoadUnderWay) {
  const auto cache = make_cache();
  put(*cache, make_value("k", "old"));
  const load_ticket before = cache->ticket();
  cache->evict("k");
  EXPECT_FALSE(cache->get("k", start));
  EXPECT_EQ(cache->put(make_value("k", "old"), before, start), put_outcome::outdated);
  EXPECT_FALSE(cache->get("k", start));
  EXPECT_EQ(put(*cache, make_value("k", "new")), put_outcome::stored);
}

TEST(LocalCache, ATagTakesAllThatCarryIt) {
  const auto cache = make_cache();
  put(*cache, make_value("a", "1", {.tags = {"bot:7", "user:1"}}));
  put(*cache, make_value("b", "2", {.tags = {"bot:7"}}));
  put(*cache, make_value("c", "3", {.tags = {"bot:8"}}));
  const load_ticket before = cache->ticket();
  cache->evict_tag("bot:7");
  EXPECT_FALSE(cache->get("a", start));
  EXPECT_FALSE(cache->get("b", start));
  EXPECT_TRUE(cache->get("c", start));
  EXPECT_EQ(cache->put(make_value("a", "1", {.tags = {"bot:7"}}), before, start),
            put_outcome::outdated);
  EXPECT_EQ(put(*cache, make_value("a", "1", {.tags = {"bot:7"}})), put_outcome::stored);
  EXPECT_TRUE(cache->get("a", start));
}

TEST(LocalCache, EvictsByAnyRule) {
  const auto cache = make_cache(4UL * 1024 * 1024, 4);
  for (std::size_t i = 0; i < 1000; ++i) {
    put(*cache, make_value(key_of("vector", i), "v"));
    put(*cache, make_value(key_of("bot", i), "b"));
  }
  const load_ticket before = cache->ticket();
  EXPECT_EQ(cache->evict_where([](std::string_view key) { return key.starts_with("vector:"); }),
            1000U);
  EXPECT_EQ(cache->usage().entries, 1000U);
  EXPECT_FALSE(cache->get("vector:7", start));
  EXPECT_TRUE(cache->get("bot:7", start));
  EXPECT_EQ(cache->put(make_value("vector:7", "v"), before, start), put_outcome::outdated);
}

TEST(LocalCache, FlushesEverything) {
  const auto cache = make_cache(4UL * 1024 * 1024, 4);
  for (std::size_t i = 0; i < 100; ++i) put(*cache, make_value(key_of("k", i), "v"));
  const load_ticket before = cache->ticket();
  cache->flush();
  EXPECT_EQ(cache->usage().entries, 0U);
  EXPECT_EQ(cache->put(make_value("k:1", "v"), before, start), put_outcome::outdated);
  for (std::size_t i = 0; i < 100; ++i) put(*cache, make_value(key_of("k", i), "w"));
  EXPECT_EQ(cache->get("k:99", start).value.data(), "w");
}

TEST(LocalCache, WithoutItsStoreServesOnlyWithinTheBound) {
  const auto cache = make_cache();
  put(*cache, make_value("strict", "s", {.ttl = 1h}));
  put(*cache, make_value("lenient", "l", {.ttl = 10s, .outage_for = 30s}));
  put(*cache, make_value("over", "o", {.ttl = 1s, .outage_for = 30s}));
  const timestamp lost = start + 5s;
  cache->source_lost(lost);
  EXPECT_FALSE(cache->get("strict", lost));
  // It had expired when the store was lost.
  EXPECT_FALSE(cache->get("over", lost));
  EXPECT_TRUE(cache->get("lenient", lost).stale);
  // A second report does not prolong it.
  cache->source_lost(lost + 20s);
  EXPECT_TRUE(cache->get("lenient", lost + 30s - 1us).stale);
  cache->source_restored();
  EXPECT_FALSE(cache->get("lenient", lost + 1s));
  put(*cache, make_value("strict", "s", {.ttl = 1h}));
  EXPECT_TRUE(cache->get("strict", lost));
}

TEST(LocalCache, StaysWithinItsBytes) {
  const auto cache = make_cache(256UL * 1024, 2);
  for (std::size_t i = 0; i < 20'000; ++i) {
    put(*cache, make_value(key_of("k", i % 7000), std::string(i * 37 % 900, 'x')));
    if (i % 97 == 0) cache->evict(key_of("k", i % 700));
    if (i % 1000 == 0) {
      const local_cache_usage usage = cache->usage();
      EXPECT_LE(usage.bytes, usage.bytes_max);
    }
  }
  const local_cache_usage usage = cache->usage();
  EXPECT_EQ(usage.bytes_max, 256UL * 1024);
  EXPECT_LE(usage.bytes, usage.bytes_max);
  EXPECT_GT(usage.bytes, usage.bytes_max / 4 * 3);
  EXPECT_GT(usage.evictions, 1000U);
}

TEST(LocalCache, DoesNotKeepWhatIsTooLargeNorWhatThatReplaces) {
  const auto cache = make_cache(256UL * 1024);
  put(*cache, make_value("k", "small"));
  EXPECT_EQ(put(*cache, make_value("k", std::string(64UL * 1024, 'x'), {.version = 2})),
            put_outcome::too_large);
  EXPECT_FALSE(cache->get("k", start));
  EXPECT_EQ(put(*cache, make_value("k", std::string(60UL * 1024, 'x'), {.version = 2})),
            put_outcome::stored);
}

TEST(LocalCache, AGrowingValueMakesOthersGo) {
  const auto cache = make_cache(64UL * 1024);
  for (std::size_t i = 0; i < 100; ++i) put(*cache, make_value(key_of("k", i), "small"));
  for (std::size_t i = 0; i < 100; ++i) {
    put(*cache, make_value(key_of("k", i), std::string(8000, 'x'), {.version = 2}));
    const local_cache_usage usage = cache->usage();
    ASSERT_LE(usage.bytes, usage.bytes_max);
  }
}

TEST(LocalCache, AScanDoesNotPushOutWhatIsUsed) {
  const auto cache = make_cache(512UL * 1024);
  const auto use = [&](std::size_t i) {
    if (!cache->get(key_of("hot", i), start)) {
      put(*cache, make_value(key_of("hot", i), std::string(100, 'h')));
    }
  };
  for (std::size_t round = 0; round < 5; ++round) {
    for (std::size_t i = 0; i < 500; ++i) use(i);
  }
  for (std::size_t i = 0; i < 50'000; ++i) {
    put(*cache, make_value(key_of("scan", i), std::string(100, 's')));
    if (i % 10 == 0) use(i / 10 % 500);
  }
  std::size_t there = 0;
  for (std::size_t i = 0; i < 500; ++i) there += cache->get(key_of("hot", i), start) ? 1 : 0;
  EXPECT_GE(there, 490U);
}

// A cache that asks for more than it holds, over and over, still hits with the part that it holds.
TEST(LocalCache, KeepsAPartOfALoopThatIsLongerThanItself) {
  const auto cache = make_cache(256UL * 1024);
  std::size_t hits = 0;
  for (std::size_t i = 0; i < 50'000; ++i) {
    const std::string key = key_of("k", i % 5000);
    if (cache->get(key, start)) {
      ++hits;
    } else {
      put(*cache, make_value(key, std::string(100, 'x')));
    }
  }
  EXPECT_GT(hits, 7000U);
}

TEST(LocalCache, SweepsWhatExpiredABoundedPartAtATime) {
  const auto cache = make_cache(4UL * 1024 * 1024, 4);
  for (std::size_t i = 0; i < 1000; ++i) {
    put(*cache, make_value(key_of("k", i), "v", {.ttl = i % 2 == 0 ? duration{1s} : duration{1h}}));
  }
  EXPECT_LE(cache->sweep(start + 2s, 100), 100U);
  std::size_t looked = 0;
  while (cache->usage().entries > 500 && looked < 10'000) {
    cache->sweep(start + 2s, 100);
    looked += 100;
  }
  EXPECT_EQ(cache->usage().entries, 500U);
  EXPECT_EQ(cache->sweep(start + 2s, 10'000), 0U);
}

// Whatever was read before an invalidation is not seen after it, whoever else reads and loads.
TEST(LocalCache, ThreadsNeverSeeWhatAnEvictionReplaced) {
  const auto cache = make_cache(128UL * 1024, 2);
  constexpr std::size_t keys = 16;
  struct stored {
    std::atomic<std::uint64_t> version{1};
    std::atomic<std::uint64_t> announced{1};
  };
  std::vector<stored> store(keys);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> hits{0};
  const auto read = [&](std::uint64_t seed) {
    for (std::uint64_t i = seed; !done.load();
         i = i * 6364136223846793005ULL + 1442695040888963407ULL) {
      const std::size_t at = (i >> 33) % keys;
      const std::string key = key_of("k", at);
      const std::uint64_t least = store[at].announced.load();
      const local_hit hit = cache->get(key, start);
      if (hit) {
        wrong += hit.value.version() < least ? 1 : 0;
        ++hits;
        continue;
      }
      const load_ticket ticket = cache->ticket();
      const std::uint64_t version = store[at].version.load();
      const std::string tag = key_of("tag", at % 4);
      cache->put(make_value(key, std::string(50 + version % 500, 'x'),
                            {.version = version, .tags = {tag}}),
                 ticket, start);
    }
  };
  std::vector<std::thread> readers;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) readers.emplace_back(read, seed);
  for (std::size_t i = 0; i < 20'000 || hits.load() < 20'000; ++i) {
    const std::size_t at = i % keys;
    const std::uint64_t version = store[at].version.fetch_add(1) + 1;
    if (i % 3 == 0) {
      cache->evict_tag(key_of("tag", at % 4));
    } else if (i % 1001 == 1) {
      cache->flush();
    } else {
      cache->evict(key_of("k", at));
    }
    store[at].announced.store(version);
  }
  done = true;
  for (std::thread& one : readers) one.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_LE(cache->usage().bytes, cache->usage().bytes_max);
}

}  // namespace
}  // namespace millrace::cache
