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

// A store that says nothing: its process was stopped, or its machine is gone. Nobody waits until
// the connection has found that out.
namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using conformance::faulty_store;
using stale = shared_cache::stale;

declared_cache declared() {
  return {
      .families = std::move(*family_set::make(
          {{.name = "user", .pattern = "user:{id}"},
           {.name = "flow",
            .pattern = "flow:{id}",
            .outage = outage_rule::serve_stale,
            .outage_for = 1h},
           {.name = "far", .pattern = "far:{id}", .outage = outage_rule::refuse, .local = false}},
          {}))};
}

awaitable<result<std::optional<loaded_value>>> load_one(int* calls) {
  ++*calls;
  co_return loaded_value{.value = "loaded"};
}

class Outage : public testing::Test {
protected:
  void SetUp() override {
    for (const char* key : {"user:1", "flow:1", "far:1", "other"}) {
      ASSERT_TRUE(run_coro(cache_.put({.at = {.key = key}, .value = "v"})));
    }
    ASSERT_EQ(get("flow:1"), "v");
  }
  /// From now on the store takes what it is asked and answers nothing.
  void fall_silent() {
    near_->lost();
    faulty_.on_ask(1, fault::hold(), faulty_store::always);
    faulty_.on_submit(1, fault::hold(), faulty_store::always);
  }
  static std::string told(const result<std::optional<engine::cache_entry>>& found) {
    if (!found) return "error: " + std::string{found.error().code};
    if (!*found) return "none";
    return (*found)->stale ? "stale " + (*found)->value : (*found)->value;
  }
  std::string get(std::string key) {
    return told(run_coro(cache_.get({.key = std::move(key)}, stale::by_family)));
  }
  result<filled> cached(std::string family, std::string key) {
    const loader load = [this] { return load_one(&calls_); };
    return run_coro(cache_.cached(std::move(family), {.key = std::move(key)}, load));
  }

  model::model_store model_;
  faulty_store faulty_{model_};
  declared_cache declared_{declared()};
  std::unique_ptr<near_cache> near_{std::move(*near_cache::make({.bytes = std::size_t{1} << 20U}))};
  int calls_{0};
  shared_cache cache_{faulty_, {.near = near_.get(), .patience = 10ms, .declared = &declared_}};
};

TEST_F(Outage, OfASilentStoreIsDecidedByTheFamily) {
  fall_silent();
  EXPECT_EQ(get("flow:1"), "stale v");
  EXPECT_EQ(get("user:1"), "none") << "bypass: the caller loads";
  EXPECT_EQ(get("far:1"), "error: store_silent") << "refuse";
  // Once it is known, nobody asks or waits.
  const std::size_t asked = faulty_.asks();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get("user:1"), "none");
  EXPECT_EQ(faulty_.asks(), asked);
  faulty_.recover();
  faulty_.release();
  EXPECT_EQ(get("far:1"), "v");
  EXPECT_EQ(get("user:1"), "v");
}

TEST_F(Outage, OfManyKeysIsDecidedOneByOne) {
  faulty_.on_ask(1, fault::unavailable(), faulty_store::always);
  near_->lost();
  const auto each = run_coro(
      cache_.get_each("default", {"user:1", "flow:1", "far:1", "other"}, stale::by_family));
  ASSERT_EQ(each.size(), 4U);
  EXPECT_EQ(told(each[0]), "none");
  EXPECT_EQ(told(each[1]), "stale v");
  EXPECT_FALSE(each[2]);
  EXPECT_FALSE(each[3]) << "of no family";
  EXPECT_FALSE(run_coro(cache_.get_some("default", {"user:1", "far:1"}, stale::by_family)));
}

TEST_F(Outage, LeavesACachedFunctionItsLoader) {
  fall_silent();
  const auto one = cached("user", "user:2");
  ASSERT_TRUE(one) << one.error().detail;
  EXPECT_EQ(one->value, "loaded");
  EXPECT_EQ(one->version, 0U) << "not kept";
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(cached("flow", "flow:1")->value, "v");
  EXPECT_EQ(cached("far", "far:1").error().code, "store_silent");
  EXPECT_EQ(calls_, 1);
}

// The store fell silent while a value was loaded: whoever asked for it gets it.
TEST_F(Outage, DoesNotKeepWhoHasLoadedWaiting) {
  faulty_.on_submit(2, fault::hold(), faulty_store::always);
  const auto done = cached("user", "user:2");
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->value, "loaded");
  EXPECT_EQ(done->version, 0U);
}

TEST_F(Outage, GivesBackAClaimThatIsGrantedTooLate) {
  faulty_.on_submit(1, fault::hold());
  ASSERT_TRUE(cached("user", "user:2"));
  faulty_.recover();
  faulty_.release();
  const auto claimed = run_coro(cache_.claim({.at = {.key = "user:2"}}, 0s));
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->state, engine::claim_state::fill) << "nobody holds it";
}

}  // namespace
}  // namespace millrace::cache
