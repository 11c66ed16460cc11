#include <millrace/cache/near_cache.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using engine::put_cache;

/// A store that others own: several processes of a test on one model.
class borrowed_store final : public engine::store {
public:
  explicit borrowed_store(engine::store& of) : of_(of) {}
  void submit(std::vector<engine::transaction> batch, commit_handler done) override {
    of_.submit(std::move(batch), std::move(done));
  }
  void ask(engine::query what, answer_handler done) override {
    of_.ask(std::move(what), std::move(done));
  }
  engine::wakeups& hints() noexcept override { return of_.hints(); }
  engine::store_traits traits() const noexcept override { return of_.traits(); }

private:
  engine::store& of_;
};

class NearCache : public testing::Test {
protected:
  explicit NearCache(near_source source = near_source::own)
      : near_(std::move(*near_cache::make({.bytes = std::size_t{1} << 20U,
                                           .source = source,
                                           .age_max = 2s,
                                           .outage_for = 30s,
                                           .clock = &clock_}))),
        store_(std::make_unique<borrowed_store>(faulty_), *near_),
        cache_(store_, {.near = near_.get()}) {}

  void put(std::string key, std::string value, std::vector<std::string> tags = {}) {
    ASSERT_TRUE(run_coro(cache_.put({.at = {.key = std::move(key)},
                                     .value = std::move(value),
                                     .ttl = 1min,
                                     .stale_for = 1min,
                                     .tags = std::move(tags)})));
  }
  /// By another process: nothing of it is heard here.
  void put_elsewhere(std::string key, std::string value, std::vector<std::string> tags = {}) {
    shared_cache other(model_);
    ASSERT_TRUE(run_coro(other.put({.at = {.key = std::move(key)},
                                    .value = std::move(value),
                                    .ttl = 1min,
                                    .tags = std::move(tags)})));
  }
  std::string get(std::string key, shared_cache::stale too = shared_cache::stale::no) {
    const auto found = run_coro(cache_.get({.key = std::move(key)}, too));
    if (!found) return "error: " + std::string{found.error().code};
    if (!*found) return "none";
    return (*found)->value + ((*found)->stale ? " (stale)" : "");
  }
  /// How many reads of the store that takes.
  template <class Reads>
  std::size_t asks_of(Reads reads) {
    const std::size_t before = faulty_.asks();
    reads();
    return faulty_.asks() - before;
  }

  manual_clock clock_;
  model::model_store model_{{.clock = &clock_}};
  conformance::faulty_store faulty_{model_};
  std::unique_ptr<near_cache> near_;
  near_store store_;
  shared_cache cache_;
};

class ToldNearCache : public NearCache {
protected:
  ToldNearCache() : NearCache(near_source::told) {}
  void hear() {
    near_->found();
    near_->mark(near_->begin_mark());
  }
};

TEST_F(NearCache, AnswersWithoutTheStore) {
  put("a", "1", {"t"});
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(asks_of([&] {
              EXPECT_EQ(get("a"), "1");
              EXPECT_EQ(get("a"), "1");
            }),
            0U);
  EXPECT_EQ(cache_.numbers().near_hits, 2U);
  EXPECT_EQ(cache_.numbers().hits, 3U);
}

// Everything about it is as the store says it.
TEST_F(NearCache, GivesWhatTheStoreWouldGive) {
  ASSERT_TRUE(run_coro(cache_.put({.at = {.key = "a"},
                                   .value = std::string("\0\1binary", 8),
                                   .content_type = "image/png",
                                   .ttl = 1min,
                                   .stale_for = 10s,
                                   .tags = {"first", "second tag"}})));
  clock_.advance(5s);
  const auto from_store = run_coro(cache_.get_aged({.key = "a"}));
  clock_.advance(7s);
  const auto near = run_coro(cache_.get_aged({.key = "a"}));
  EXPECT_EQ(cache_.numbers().near_hits, 1U);
  EXPECT_EQ((*near)->what, (*from_store)->what);
  EXPECT_EQ((*near)->what.tags, (std::vector<std::string>{"first", "second tag"}));
  EXPECT_EQ((*from_store)->age, 5s);
  EXPECT_EQ((*near)->age, 12s);
}

TEST_F(NearCache, EndsWhenTheEntryEnds) {
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  clock_.advance(1min - 1us);
  EXPECT_EQ(asks_of([&] { EXPECT_EQ(get("a"), "1"); }), 0U);
  clock_.advance(1us);
  EXPECT_EQ(get("a"), "none");
  EXPECT_EQ(asks_of([&] { EXPECT_EQ(get("a", shared_cache::stale::yes), "1 (stale)"); }), 0U);
  clock_.advance(1min);
  EXPECT_EQ(get("a", shared_cache::stale::yes), "none");
}

TEST_F(NearCache, ForgetsWhatThisProcessChanges) {
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  put("a", "2");
  EXPECT_EQ(get("a"), "2");
  ASSERT_TRUE(run_coro(cache_.remove({.at = {.key = "a"}})));
  EXPECT_EQ(get("a"), "none");

  put("x:1", "1", {"t"});
  put("x:2", "2", {"u"});
  EXPECT_EQ(get("x:1") + get("x:2"), "12");
  ASSERT_TRUE(run_coro(cache_.invalidate("default", "t")));
  EXPECT_EQ(get("x:1"), "none");
  EXPECT_EQ(asks_of([&] { EXPECT_EQ(get("x:2"), "2"); }), 0U);
  EXPECT_EQ(run_coro(cache_.remove_matching("default", "x:*")), 2U);
  EXPECT_EQ(get("x:2"), "none");

  put("a", "3");
  EXPECT_EQ(get("a"), "3");
  ASSERT_TRUE(run_coro(cache_.clear("default")));
  EXPECT_EQ(get("a"), "none");
}

TEST_F(NearCache, KeepsProjectsApart) {
  const auto put_in = [&](std::string project, std::string value) {
    ASSERT_TRUE(run_coro(cache_.put({.at = {.project = std::move(project), .key = "a"},
                                     .value = std::move(value),
                                     .ttl = 1min,
                                     .tags = {"t"}})));
  };
  const auto get_in = [&](std::string project) {
    const auto found = run_coro(cache_.get({.project = std::move(project), .key = "a"}));
    return *found ? (*found)->value : "none";
  };
  put_in("one", "1");
  put_in("two", "2");
  EXPECT_EQ(get_in("one") + get_in("two"), "12");
  ASSERT_TRUE(run_coro(cache_.invalidate("one", "t")));
  ASSERT_TRUE(run_coro(cache_.clear("one")));
  EXPECT_EQ(get_in("one"), "none");
  EXPECT_EQ(asks_of([&] { EXPECT_EQ(get_in("two"), "2"); }), 0U);
}

// Steps that did not come through the cache's own class.
TEST_F(NearCache, HearsOfEveryTransaction) {
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  engine::transaction both;
  both.steps.emplace_back(engine::enqueue_job{.queue = {"default", "q"}, .spec = {}});
  both.steps.emplace_back(engine::delete_cache{.at = {.key = "a"}});
  ASSERT_TRUE(engine::blocking::commit(store_, std::move(both)));
  EXPECT_EQ(get("a"), "none");
}

// Whether it happened is not known: it may have.
TEST_F(NearCache, ForgetsWhatMayHaveChanged) {
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  faulty_.on_submit(1, conformance::fault::cut());
  EXPECT_FALSE(run_coro(cache_.put({.at = {.key = "a"}, .value = "2"})));
  EXPECT_EQ(get("a"), "2");
}

// A loop of read, change and put with the version ends, because what is here goes with a refusal.
TEST_F(ToldNearCache, ForgetsWhatAVersionHasShownToBeOld) {
  hear();
  put("a", "1");
  const auto old = *run_coro(cache_.get({.key = "a"}));
  put_elsewhere("a", "2");
  EXPECT_EQ(get("a"), "1");
  EXPECT_FALSE(run_coro(cache_.put({.at = {.key = "a"},
                                    .value = "3",
                                    .expects = engine::cache_expectation::version,
                                    .version = old->version})));
  EXPECT_EQ(get("a"), "2");
}

TEST_F(NearCache, NeverKeepsWhatWasReadBeforeAChange) {
  put("a", "1", {"t"});
  faulty_.on_ask(1, conformance::fault::hold());
  asio::io_context loop;
  std::optional<result<std::optional<engine::cache_entry>>> late;
  asio::co_spawn(loop, cache_.get({.key = "a"}),
                 [&](const std::exception_ptr&, auto done) { late.emplace(std::move(done)); });
  loop.poll();
  // The model answers when it is let: what it finds is of then, so the change is made here alone.
  near_->tag_invalidated("default", "t");
  faulty_.release();
  loop.restart();
  while (!late) loop.run_one();
  EXPECT_EQ((**late)->value, "1");
  EXPECT_EQ(asks_of([&] { get("a"); }), 1U) << "it was asked for before the invalidation";
  EXPECT_EQ(asks_of([&] { get("a"); }), 0U);
}

// The first read of a project is under way when its tags change.
TEST_F(ToldNearCache, KeepsNothingOfBeforeAChangeOfTagsInAProjectThatIsNew) {
  hear();
  put("a", "1", {"t"});
  faulty_.on_ask(1, conformance::fault::hold());
  asio::io_context loop;
  bool done = false;
  asio::co_spawn(loop, cache_.get({.key = "a"}),
                 [&](const std::exception_ptr&, const auto&) { done = true; });
  loop.poll();
  EXPECT_FALSE(near_->tags_in_doubt("default"));
  faulty_.release();
  loop.restart();
  while (!done) loop.run_one();
  EXPECT_EQ(asks_of([&] { get("a"); }), 1U);
  EXPECT_EQ(asks_of([&] { get("a"); }), 0U);
}

TEST_F(NearCache, ReadsManyFromMemoryWhereAllAreThere) {
  put("a", "1");
  put("b", "2");
  const auto read = [&] { return run_coro(cache_.get_many("default", {"a", "b"})); };
  EXPECT_EQ(asks_of([&] { EXPECT_EQ((*read())[1]->value, "2"); }), 1U);
  EXPECT_EQ(asks_of([&] { EXPECT_EQ((*read())[1]->value, "2"); }), 0U);
  put("b", "3");
  EXPECT_EQ(asks_of([&] { EXPECT_EQ((*read())[1]->value, "3"); }), 1U);
}

TEST_F(ToldNearCache, GivesNothingUntilItIsTold) {
  put("a", "1");
  EXPECT_EQ(asks_of([&] { get("a"), get("a"); }), 2U);
  near_->found();
  EXPECT_EQ(asks_of([&] { get("a"), get("a"); }), 2U) << "how far it was told is not known";
  near_->mark(near_->begin_mark());
  get("a");
  EXPECT_EQ(asks_of([&] { get("a"), get("a"); }), 0U);
}

TEST_F(ToldNearCache, GivesNothingThatIsOlderThanItsBound) {
  hear();
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  const timestamp asked = near_->begin_mark();
  clock_.advance(1s);
  near_->mark(asked);
  // Nobody tells of it.
  put_elsewhere("a", "2");
  clock_.advance(1s - 1us);
  EXPECT_EQ(get("a"), "1");
  clock_.advance(1us);
  EXPECT_EQ(get("a"), "2");
}

TEST_F(ToldNearCache, FollowsWhatItIsTold) {
  hear();
  put("a", "1");
  put("b", "1", {"t"});
  EXPECT_EQ(get("a") + get("b"), "11");
  put_elsewhere("a", "2");
  near_->key_changed("default", "a");
  EXPECT_EQ(get("a"), "2");
  EXPECT_TRUE(near_->tags_in_doubt("default"));
  EXPECT_FALSE(near_->tags_in_doubt("another"));
  EXPECT_EQ(asks_of([&] { get("a"), get("b"); }), 2U) << "which tags it was is not known";
  near_->tag_invalidated("default", "t");
  near_->tags_known("default");
  EXPECT_EQ(asks_of([&] { get("a"); }), 0U);
  EXPECT_EQ(asks_of([&] { get("b"); }), 1U);
  near_->all_cleared();
  EXPECT_EQ(asks_of([&] { get("a"); }), 1U);
}

TEST_F(ToldNearCache, DropsWhatItHadWhenItIsToldAgain) {
  hear();
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  near_->lost();
  put_elsewhere("a", "2");
  EXPECT_EQ(get("a"), "2") << "every read asks the store meanwhile";
  put_elsewhere("a", "3");
  hear();
  EXPECT_EQ(get("a"), "3");
}

TEST_F(ToldNearCache, ServesAnOutageWithinItsBound) {
  hear();
  put("a", "1");
  EXPECT_EQ(get("a"), "1");
  near_->lost();
  faulty_.on_ask(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  faulty_.on_submit(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  EXPECT_EQ(get("a"), "error: store_unavailable");
  const loader load = []() -> awaitable<result<std::optional<loaded_value>>> {
    co_return loaded_value{.value = "loaded"};
  };
  const auto fill = [&](outage_rule rule) {
    fill_options with;
    with.outage = rule;
    const auto done = run_coro(cache_.get_or_set({.key = "a"}, load, with));
    if (!done) return "error: " + std::string{done.error().code};
    return *done->value + (done->stale ? " (stale)" : "");
  };
  EXPECT_EQ(fill(outage_rule::serve_stale), "1 (stale)");
  EXPECT_EQ(fill(outage_rule::bypass), "loaded");
  EXPECT_EQ(fill(outage_rule::refuse), "error: store_unavailable");
  clock_.advance(30s);
  EXPECT_EQ(fill(outage_rule::serve_stale), "loaded");
}

TEST(NearCacheOptions, AreChecked) {
  EXPECT_EQ(near_cache::make({.bytes = 1}).error().kind, errc::invalid_argument);
  EXPECT_EQ(near_cache::make({.age_max = 1ms}).error().field, "age_max");
  EXPECT_EQ(near_cache::make({.outage_for = -1s}).error().field, "outage_for");
}

}  // namespace
}  // namespace millrace::cache
