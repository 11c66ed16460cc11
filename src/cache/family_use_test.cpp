#include <millrace/base/testing.hpp>
#include <millrace/cache/key_check.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// What declared families do to entries: in the store, near, and in the answers.
namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using engine::put_cache;
using stale = shared_cache::stale;

constexpr std::string_view first_key =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

std::vector<family_spec> families() {
  return {{.name = "user",
           .pattern = "user:{user_id}",
           .ttl = 900s,
           .jitter = 0,
           .tags = {"user {user_id}"},
           .warm = 1},
          {.name = "auth", .pattern = "auth:{hash}", .ttl = 60s, .encrypt = true},
          {.name = "page", .pattern = "page:{n}", .jitter = 0, .compress_above = 100},
          {.name = "flow",
           .pattern = "flow:{id}",
           .ttl = 10s,
           .jitter = 0,
           .stale_while_revalidate = 5s,
           .stale_if_error = 60s,
           .negative_ttl = 3s,
           .outage = outage_rule::serve_stale,
           .outage_for = 30s},
          {.name = "vector", .pattern = "vector:{bot_id}:{hash}", .ttl = 60s},
          {.name = "hot", .pattern = "hot:{n}", .jitter = 0, .adaptive = adaptive_ttl{}},
          {.name = "far", .pattern = "far:{n}", .outage = outage_rule::refuse, .local = false}};
}

std::vector<invalidation_rule> rules() {
  return {{.name = "bot", .removes = {"user:{user_id}", "vector:{bot_id}:*", "old:{bot_id}:x*"}}};
}

declared_cache declared(std::string_view keys = first_key) {
  declared_cache made{.families = std::move(*family_set::make(families(), rules()))};
  made.keys = std::move(*secrets::key_ring::parse(keys, "keys"));
  return made;
}

class FamilyUse : public testing::Test {
protected:
  void put(put_cache what) {
    const auto done = run_coro(cache_.put(std::move(what)));
    ASSERT_TRUE(done) << done.error().detail;
  }
  /// As it lies in the store.
  std::optional<engine::cache_entry> raw(const std::string& key) {
    auto read = engine::blocking::ask(model_, engine::read_cache{.keys = {key}, .stale = true});
    if (!read) return std::nullopt;
    return read->entries.front();
  }
  std::string get(std::string key, stale too = stale::by_family) {
    const auto found = run_coro(cache_.get({.key = std::move(key)}, too));
    if (!found) return "error: " + std::string{found.error().code};
    if (!*found) return "none";
    return (*found)->stale ? "stale " + (*found)->value : (*found)->value;
  }
  family_numbers numbers(std::string_view name) {
    for (const family_numbers& one : cache_.numbers_by_family()) {
      if (one.name == name) return one;
    }
    return {};
  }

  manual_clock clock_;
  model::model_store model_{{.clock = &clock_}};
  conformance::faulty_store faulty_{model_};
  declared_cache declared_{declared()};
  std::unique_ptr<near_cache> near_{
      std::move(*near_cache::make({.bytes = std::size_t{1} << 20U, .clock = &clock_}))};
  shared_cache cache_{faulty_, {.default_ttl = 10min, .near = near_.get(), .declared = &declared_}};
};

TEST_F(FamilyUse, GivesWhatIsPutItsTimeAndTags) {
  put({.at = {.key = "user:7"}, .value = "Ann", .ttl = 0s, .tags = {"own"}});
  const auto entry = raw("user:7");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->expires_at, clock_.now() + 900s);
  EXPECT_EQ(entry->tags, (std::vector<std::string>{"own", "user 7"}));
  EXPECT_EQ(entry->value, "Ann") << "neither compressed nor encrypted: as it was put";
  put({.at = {.key = "user:8"}, .value = "Bob", .ttl = 5s});
  EXPECT_EQ(raw("user:8")->expires_at, clock_.now() + 5s) << "what is said counts";
  put({.at = {.key = "other"}, .value = "x", .ttl = 0s});
  EXPECT_EQ(raw("other")->expires_at, clock_.now() + 10min);
}

TEST_F(FamilyUse, ShortensTheTimeOfAFamilyByChance) {
  bool shorter = false;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "vector:1:" + std::to_string(i);
    put({.at = {.key = key}, .value = "x", .ttl = 0s});
    const duration life = raw(key)->expires_at - clock_.now();
    EXPECT_GE(life, 54s);
    EXPECT_LE(life, 60s);
    shorter = shorter || life < 60s;
  }
  EXPECT_TRUE(shorter);
}

TEST_F(FamilyUse, EncryptsInTheStoreAndGivesItBack) {
  put({.at = {.key = "auth:x"}, .value = "secret", .content_type = "text/plain", .ttl = 0s});
  const auto entry = raw("auth:x");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->value.find("secret"), std::string::npos);
  EXPECT_EQ(entry->content_type, "application/vnd.millrace.sealed");
  const auto found = run_coro(cache_.get({.key = "auth:x"}));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->value, "secret");
  EXPECT_EQ((*found)->content_type, "text/plain");
  EXPECT_EQ(get("auth:x"), "secret") << "near";
  EXPECT_EQ(cache_.numbers().near_hits, 1U);
  const auto claimed = run_coro(cache_.claim({.at = {.key = "auth:x"}}, 0s));
  ASSERT_TRUE(claimed && claimed->found);
  EXPECT_EQ(claimed->found->value, "secret");
}

TEST_F(FamilyUse, AnOldKeyStillReads) {
  put({.at = {.key = "auth:x"}, .value = "secret"});
  declared_cache later = declared(secrets::key_ring::generate() + "," + std::string(first_key));
  shared_cache after(model_, {.declared = &later});
  EXPECT_EQ((*run_coro(after.get({.key = "auth:x"})))->value, "secret");
}

TEST_F(FamilyUse, MissesAndCountsWhatItCannotRead) {
  put({.at = {.key = "auth:x"}, .value = "secret"});
  declared_cache other = declared(secrets::key_ring::generate());
  shared_cache stranger(model_, {.declared = &other});
  EXPECT_FALSE(*run_coro(stranger.get({.key = "auth:x"})));
  EXPECT_EQ(stranger.numbers().undecodable, 1U);
  EXPECT_EQ(stranger.numbers().misses, 1U);
  // Somebody without families put it there in the clear.
  shared_cache plain(model_);
  ASSERT_TRUE(run_coro(plain.put({.at = {.key = "auth:y"}, .value = "planted"})));
  EXPECT_EQ(get("auth:y"), "none");
}

TEST_F(FamilyUse, WhatCannotBeReadStandsInNobodysWay) {
  put({.at = {.key = "auth:x"}, .value = "secret"});
  declared_cache other = declared(secrets::key_ring::generate());
  shared_cache stranger(model_, {.declared = &other});
  const auto claimed = run_coro(stranger.claim({.at = {.key = "auth:x"}}, 0s));
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->state, engine::claim_state::fill);
  const auto put =
      run_coro(stranger.put({.at = {.key = "auth:x"}, .value = "new", .lease = claimed->lease}));
  EXPECT_TRUE(put);
  EXPECT_EQ((*run_coro(stranger.get({.key = "auth:x"})))->value, "new");
}

TEST_F(FamilyUse, CompressesWhatIsLargeAndGetsSmaller) {
  const std::string large(10'000, 'a');
  put({.at = {.key = "page:1"}, .value = large});
  EXPECT_LT(raw("page:1")->value.size(), 1000U);
  EXPECT_EQ(get("page:1"), large);
  put({.at = {.key = "page:2"}, .value = "small"});
  EXPECT_EQ(raw("page:2")->value, "small");
  std::string noise;
  for (unsigned i = 0; i < 1000; ++i) noise += static_cast<char>(i * 2654435761U >> 24U);
  put({.at = {.key = "page:3"}, .value = noise});
  EXPECT_EQ(get("page:3"), noise);
  // Whoever has no families reads the same.
  shared_cache plain(model_);
  EXPECT_EQ((*run_coro(plain.get({.key = "page:1"})))->value, large);
}

TEST_F(FamilyUse, RefusesTheTypeThatMarksItsOwn) {
  const auto refused = run_coro(cache_.put(
      {.at = {.key = "k"}, .value = "mc", .content_type = "application/vnd.millrace.sealed"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "content_type");
  const auto each = run_coro(cache_.put_each(
      {{.at = {.key = "a"}, .value = "1", .content_type = "application/vnd.millrace.sealed"},
       {.at = {.key = "auth:a"}, .value = "2", .content_type = std::string(200, 't')},
       {.at = {.key = "b"}, .value = "3"}}));
  ASSERT_EQ(each.size(), 3U);
  EXPECT_FALSE(each[0]);
  EXPECT_EQ(each[1].error().field, "content_type");
  EXPECT_TRUE(each[2]);
  EXPECT_EQ(get("b"), "3");
}

TEST_F(FamilyUse, GivesOldValuesForAsLongAsTheFamilySays) {
  put({.at = {.key = "flow:1"}, .value = "v", .ttl = 0s});
  clock_.advance(12s);
  EXPECT_EQ(get("flow:1"), "stale v");
  EXPECT_EQ(get("flow:1"), "stale v") << "near";
  EXPECT_EQ(get("flow:1", stale::no), "none");
  clock_.advance(3s);
  EXPECT_EQ(get("flow:1"), "none");
  EXPECT_EQ(get("flow:1", stale::yes), "stale v") << "for whoever could not load";
  put({.at = {.key = "user:1"}, .value = "v", .ttl = 1s, .stale_for = 60s});
  clock_.advance(1s);
  EXPECT_EQ(get("user:1"), "none");
}

TEST_F(FamilyUse, WhileTheStoreIsAwayItsFamilySaysWhatIsGiven) {
  put({.at = {.key = "flow:1"}, .value = "v", .ttl = 0s});
  EXPECT_EQ(get("flow:1"), "v");
  put({.at = {.key = "far:1"}, .value = "v"});
  faulty_.on_ask(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  clock_.advance(16s);
  near_->lost();
  EXPECT_EQ(get("flow:1"), "stale v");
  EXPECT_EQ(get("user:1"), "none") << "bypass: the caller loads";
  EXPECT_TRUE(get("far:1").starts_with("error")) << "refuse";
  EXPECT_TRUE(get("other").starts_with("error")) << "of no family";
  clock_.advance(30s);
  EXPECT_EQ(get("flow:1"), "none") << "longer than outage_for";
}

TEST_F(FamilyUse, KeepsFarWhatIsNotLocal) {
  put({.at = {.key = "far:1"}, .value = "v"});
  EXPECT_EQ(get("far:1"), "v");
  EXPECT_EQ(get("far:1"), "v");
  EXPECT_EQ(cache_.numbers().near_hits, 0U);
  EXPECT_EQ(near_->usage().entries, 0U);
}

TEST_F(FamilyUse, KeepsLongerWhatIsAskedForOften) {
  for (int i = 0; i < 11; ++i) EXPECT_EQ(get("hot:1"), "none");
  put({.at = {.key = "hot:1"}, .value = "v", .ttl = 0s});
  put({.at = {.key = "hot:2"}, .value = "v", .ttl = 0s});
  EXPECT_EQ(raw("hot:1")->expires_at, clock_.now() + 600s);
  EXPECT_EQ(raw("hot:2")->expires_at, clock_.now() + 300s);
}

TEST_F(FamilyUse, ARuleRemovesKeysAndWhatBeginsSo) {
  for (const char* key :
       {"user:7", "user:8", "vector:1:a", "vector:1:b", "vector:2:a", "old:1:x7", "old:1:y"}) {
    put({.at = {.key = key}, .value = "v", .ttl = 60s});
  }
  const auto done =
      run_coro(cache_.apply_rule("default", "bot", {{"user_id", "7"}, {"bot_id", "1"}}));
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->keys, 2U);
  EXPECT_EQ(done->tags, 1U);
  for (const char* key : {"user:7", "vector:1:a", "vector:1:b", "old:1:x7"}) {
    EXPECT_EQ(get(key), "none") << key;
  }
  for (const char* key : {"user:8", "vector:2:a", "old:1:y"}) EXPECT_EQ(get(key), "v") << key;
}

TEST_F(FamilyUse, ARuleSaysWhatIsWrong) {
  EXPECT_EQ(run_coro(cache_.apply_rule("default", "none", {})).error().code, "unknown_rule");
  EXPECT_EQ(run_coro(cache_.apply_rule("default", "bot", {{"user_id", "7"}})).error().field,
            "bot_id");
  shared_cache plain(model_);
  EXPECT_EQ(run_coro(plain.apply_rule("default", "bot", {})).error().code, "unknown_rule");
}

TEST_F(FamilyUse, CountsEachFamilyByItself) {
  put({.at = {.key = "user:1"}, .value = "12345"});
  put({.at = {.key = "other"}, .value = "x"});
  EXPECT_EQ(get("user:1"), "12345");
  EXPECT_EQ(get("user:1"), "12345");
  EXPECT_EQ(get("user:2"), "none");
  EXPECT_EQ(get("other"), "x");
  cache_.count_load("user:2", 20ms);
  const family_numbers user = numbers("user");
  EXPECT_EQ(user.figures.hits, 2U);
  EXPECT_EQ(user.figures.misses, 1U);
  EXPECT_EQ(user.figures.loads, 1U);
  EXPECT_EQ(user.figures.average_load_time(), 20ms);
  EXPECT_EQ(user.figures.stored, 1U);
  EXPECT_EQ(user.figures.stored_bytes, 5U);
  EXPECT_EQ(user.near.entries, 1U);
  EXPECT_GT(user.near.bytes, 5U);
  EXPECT_EQ(numbers("").figures.hits, 1U);
  EXPECT_EQ(numbers("").near.entries, 1U);
  const auto top = cache_.numbers().top;
  ASSERT_FALSE(top.empty());
  EXPECT_EQ(top.front().key, "user:1");
  EXPECT_EQ(top.front().family, "user");
  EXPECT_EQ(top.front().reads, 2U);
  EXPECT_EQ(top.front().misses, 0U);
  const auto missed = std::ranges::find(top, "user:2", &cache_numbers::used_key::key);
  ASSERT_NE(missed, top.end());
  EXPECT_EQ(missed->misses, 1U);
}

TEST_F(FamilyUse, SaysWhichFamilyHadToMakeRoomNear) {
  const std::string large(2000, 'x');
  for (int i = 0; i < 2000; ++i) {
    const std::string key = "user:" + std::to_string(i);
    put({.at = {.key = key}, .value = large});
    EXPECT_EQ(get(key), large);
  }
  const family_numbers user = numbers("user");
  EXPECT_GT(user.near.evictions, 1000U);
  EXPECT_EQ(user.near.evictions, near_->usage().evictions);
  EXPECT_EQ(user.near.entries, near_->usage().entries);
}

TEST_F(FamilyUse, SaysWhichFamilyHadToMakeRoomInTheStore) {
  model::model_store small({.clock = &clock_, .cache_bytes_max = 10'000});
  shared_cache cache(small, {.declared = &declared_});
  const auto evicted = [&cache](std::string_view name) {
    for (const family_numbers& one : cache.numbers_by_family()) {
      if (one.name == name) return one.figures.evictions;
    }
    return std::uint64_t{0};
  };
  const std::string large(4000, 'x');
  for (const char* key : {"user:1", "other", "flow:1", "flow:2"}) {
    ASSERT_TRUE(run_coro(cache.put({.at = {.key = key}, .value = large})));
    clock_.advance(1min);
  }
  EXPECT_EQ(evicted("user"), 1U);
  EXPECT_EQ(evicted(""), 1U);
  EXPECT_EQ(evicted("flow"), 0U);
  ASSERT_TRUE(run_coro(cache.put_all({{.at = {.key = "user:2"}, .value = large}})));
  EXPECT_EQ(evicted("flow"), 1U);
  cache.count_evicted({.evicted = {"flow:3", "auth:x"}});
  EXPECT_EQ(evicted("flow"), 2U);
  EXPECT_EQ(evicted("auth"), 1U);
}

TEST_F(FamilyUse, RemembersThatThereIsNothingAsLongAsTheFamilySays) {
  put({.at = {.key = "flow:1"}, .content_type = nothing_type, .ttl = 0s, .stale_for = 60s});
  const auto kept = raw("flow:1");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->expires_at, clock_.now() + 3s);
  EXPECT_EQ(kept->stale_until, kept->expires_at);
  EXPECT_EQ((*run_coro(cache_.get({.key = "flow:1"})))->content_type, nothing_type);
  put({.at = {.key = "user:1"}, .content_type = nothing_type, .ttl = 5s});
  EXPECT_EQ(raw("user:1")->expires_at, clock_.now() + 5s) << "what is said counts";
  put({.at = {.key = "auth:1"}, .content_type = nothing_type, .ttl = 5s});
  EXPECT_EQ((*run_coro(cache_.get({.key = "auth:1"})))->content_type, nothing_type) << "sealed";
  for (const char* key : {"user:2", "other"}) {
    const auto refused =
        run_coro(cache_.put({.at = {.key = key}, .content_type = nothing_type, .ttl = 0s}));
    ASSERT_FALSE(refused) << key;
    EXPECT_EQ(refused.error().code, "negative_ttl_missing");
    EXPECT_EQ(refused.error().field, "ttl");
  }
  const auto refused =
      run_coro(cache_.put({.at = {.key = "flow:2"}, .value = "v", .content_type = nothing_type}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "value");
}

awaitable<result<std::optional<loaded_value>>> load_one(int* calls) {
  ++*calls;
  co_return loaded_value{.value = "loaded"};
}

TEST_F(FamilyUse, GoesByOtherFamiliesOnceTheyAreChanged) {
  put({.at = {.key = "user:1"}, .value = "v"});
  EXPECT_EQ(get("user:1"), "v");
  EXPECT_EQ(near_->usage().entries, 1U);
  const auto changed = [](std::vector<family_spec> to) {
    return std::move(*family_set::make(std::move(to), {}));
  };
  ASSERT_TRUE(cache_.change_families(changed(
      {{.name = "new", .pattern = "new:{n}", .ttl = 5s, .jitter = 0},
       {.name = "user", .pattern = "user:{id}", .ttl = 60s, .jitter = 0, .local = false}})));
  EXPECT_EQ(near_->usage().entries, 0U);
  EXPECT_EQ(get("user:1"), "v") << "the store has it as before";
  EXPECT_EQ(near_->usage().entries, 0U) << "no longer local";
  EXPECT_EQ(numbers("user").figures.hits, 2U) << "counted on";
  EXPECT_EQ(numbers("user").figures.stored, 1U);
  put({.at = {.key = "new:1"}, .value = "v", .ttl = 0s});
  EXPECT_EQ(raw("new:1")->expires_at, clock_.now() + 5s);
  EXPECT_EQ(numbers("new").figures.stored, 1U);
  EXPECT_EQ(numbers("vector").name, "") << "is no more";
  EXPECT_EQ(cache_.numbers().top.front().family, "user");
  // The same again is no change.
  const family_set* const now = &cache_.families();
  ASSERT_TRUE(cache_.change_families(changed(
      {{.name = "new", .pattern = "new:{n}", .ttl = 5s, .jitter = 0},
       {.name = "user", .pattern = "user:{id}", .ttl = 60s, .jitter = 0, .local = false}})));
  EXPECT_EQ(&cache_.families(), now);
}

TEST_F(FamilyUse, TakesNoFamiliesThatNeedAKeyThatIsNotThere) {
  shared_cache plain(model_);
  const auto refused = plain.change_families(std::move(*family_set::make(families(), rules())));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "missing_encryption_key");
  EXPECT_TRUE(plain.families().families().empty());
}

TEST_F(FamilyUse, HasSoManyNamesOfFamiliesAndNoMore) {
  shared_cache plain(model_);
  const auto named = [](std::size_t from) {
    std::vector<family_spec> made;
    for (std::size_t i = from; i < from + 200; ++i) {
      const std::string name = "f" + std::to_string(i);
      made.push_back({.name = name, .pattern = name + ":{n}"});
    }
    return std::move(*family_set::make(std::move(made), {}));
  };
  ASSERT_TRUE(plain.change_families(named(0)));
  EXPECT_EQ(plain.change_families(named(100)).error().code, "too_many_changes");
  EXPECT_EQ(plain.family_name("f0:1"), "f0") << "nothing has changed";
}

TEST_F(FamilyUse, ACachedFunctionGoesByItsFamily) {
  int calls = 0;
  const loader load = [&calls] { return load_one(&calls); };
  for (int i = 0; i < 3; ++i) {
    const auto done = run_coro(cache_.cached("user", {.key = "user:7"}, load));
    ASSERT_TRUE(done);
    EXPECT_EQ(done->value, "loaded");
  }
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(raw("user:7")->expires_at, clock_.now() + 900s);
  EXPECT_EQ(raw("user:7")->tags, std::vector<std::string>{"user 7"});
  EXPECT_EQ(numbers("user").figures.loads, 1U);
  EXPECT_EQ(run_coro(cache_.cached("none", {.key = "user:7"}, load)).error().code,
            "unknown_family");
  EXPECT_EQ(run_coro(cache_.cached("auth", {.key = "user:7"}, load)).error().code, "not_of_family");
}

TEST_F(FamilyUse, WarmsWhatWasReadMostAsFamiliesSay) {
  for (const char* key : {"user:1", "user:2", "other", "flow:1", "auth:x"}) {
    put({.at = {.key = key}, .value = "v", .ttl = 60s});
  }
  for (int i = 0; i < 3; ++i) get("user:1");
  for (const char* key : {"user:2", "other", "flow:1", "gone"}) get(key);
  ASSERT_TRUE(run_coro(cache_.record_top("default")));
  const auto near = std::move(*near_cache::make({.clock = &clock_}));
  shared_cache after(faulty_, {.near = near.get(), .declared = &declared_});
  EXPECT_EQ(run_coro(after.warm_near("default")), 2U) << "one user, and the key of no family";
  EXPECT_EQ(after.numbers().misses, 0U);
  faulty_.on_ask(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  EXPECT_EQ((*run_coro(after.get({.key = "user:1"})))->value, "v");
  EXPECT_EQ((*run_coro(after.get({.key = "other"})))->value, "v");
  EXPECT_FALSE(run_coro(after.get({.key = "user:2"})));
}

TEST(DeclaredCache, NeedsAKeyWhereAFamilyEncrypts) {
  declared_cache made{.families = std::move(*family_set::make(families(), rules()))};
  const auto checked = check_declared(made);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, "missing_encryption_key");
  EXPECT_EQ(checked.error().field, "cache.families.auth.encrypt");
  made.keys = std::move(*secrets::key_ring::parse(first_key, "keys"));
  EXPECT_TRUE(check_declared(made));
}

TEST(KeyCheck, RefusesARingWithoutTheKeyThatWroteLast) {
  model::model_store store;
  const auto ring = [](const std::string& text) {
    return std::move(*secrets::key_ring::parse(text, "keys"));
  };
  const std::string next = secrets::key_ring::generate();
  EXPECT_TRUE(check_keys(store, ring(std::string(first_key))));
  const auto refused = check_keys(store, ring(next));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "wrong_encryption_key");
  EXPECT_TRUE(check_keys(store, ring(next + "," + std::string(first_key)))) << "rotation";
  EXPECT_TRUE(check_keys(store, ring(next))) << "the old one is not needed any more";
  EXPECT_FALSE(check_keys(store, ring(std::string(first_key))));
}

}  // namespace
}  // namespace millrace::cache
