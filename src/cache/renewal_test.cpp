#include "testing_loader.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using engine::cache_key;

/// What is renewed behind the callers' backs.
class Renewal : public testing::Test {
protected:
  using answers = std::vector<result<filled>>;

  ~Renewal() override {
    loader_.let();
    run_all(here_.stop());
    run_all(there_.stop());
  }
  void run_all(awaitable<void> work) {
    bool done = false;
    asio::co_spawn(loop_, std::move(work), [&](const std::exception_ptr&) { done = true; });
    loop_.restart();
    while (!done) loop_.run_one();
  }
  void start(shared_cache& on, answers& into, const fill_options& options) {
    asio::co_spawn(loop_, on.get_or_set(at_, loader_.function(), options),
                   [&into](const std::exception_ptr& thrown, result<filled> done) {
                     EXPECT_FALSE(thrown);
                     into.push_back(std::move(done));
                   });
  }
  template <class Condition>
  void run_until(Condition fits) {
    const auto late = std::chrono::steady_clock::now() + 20s;
    while (!fits() && std::chrono::steady_clock::now() < late) {
      loop_.restart();
      loop_.run_for(5ms);
    }
    ASSERT_TRUE(fits());
  }
  filled get(shared_cache& on, const fill_options& options) {
    answers given;
    start(on, given, options);
    run_until([&] { return given.size() == 1; });
    if (given.empty() || !given[0]) return filled{.value = std::string{given[0].error().code}};
    return *given[0];
  }
  void put(std::string value, const fill_options& with) {
    ASSERT_TRUE(run_coro(here_.put({.at = at_,
                                    .value = std::move(value),
                                    .ttl = 1min,
                                    .stale_for = kept_after_expiry(with)})));
  }
  std::string kept() {
    const auto found = run_coro(there_.get(at_));
    return *found ? (*found)->value : "none";
  }

  const cache_key at_{.key = "k"};
  asio::io_context loop_{1};
  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  shared_cache here_{store_, {.loads_behind_max = 2}};
  /// As in another process: it shares nothing but the store.
  shared_cache there_{store_};
  controlled_loader loader_{loop_};
};

TEST_F(Renewal, GivesAStaleValueAtOnceAndRenewsItBehind) {
  const fill_options with{.stale_while_revalidate = 10s};
  put("old", with);
  clock_.advance(1min);
  for (int i = 0; i < 3; ++i) {
    const filled got = get(here_, with);
    EXPECT_EQ(got.value, "old");
    EXPECT_TRUE(got.stale);
  }
  EXPECT_EQ(get(there_, with).value, "old");
  run_until([&] { return loader_.calls == 1; });
  loader_.let();
  run_until([&] { return kept() == "loaded"; });
  EXPECT_EQ(loader_.calls, 1);
  EXPECT_EQ(get(here_, with).stale, false);
}

// Beyond the window in which it is given at once it is still good where loading fails.
TEST_F(Renewal, WaitsForTheLoadBeyondTheWindow) {
  const fill_options with{.stale_for = 1min, .stale_while_revalidate = 10s};
  put("old", with);
  clock_.advance(1min + 10s);
  answers given;
  start(here_, given, with);
  run_until([&] { return loader_.calls == 1; });
  EXPECT_TRUE(given.empty());
  loader_.answer = fail(errc::unavailable, "database_away", "The database is away.");
  loader_.let();
  run_until([&] { return given.size() == 1; });
  EXPECT_EQ(given[0]->value, "old");
  EXPECT_TRUE(given[0]->stale);
}

TEST_F(Renewal, RenewsAheadOfTheEndOnceInAllProcesses) {
  const fill_options with{.ahead = 0.5};
  put("old", with);
  clock_.advance(30s - 1us);
  EXPECT_EQ(get(here_, with).value, "old");
  EXPECT_EQ(loader_.calls, 0);
  clock_.advance(1us);
  EXPECT_EQ(get(here_, with).value, "old");
  run_until([&] { return loader_.calls == 1; });
  EXPECT_EQ(get(there_, with).value, "old");
  EXPECT_EQ(get(here_, with).value, "old");
  loader_.let();
  run_until([&] { return kept() == "loaded"; });
  EXPECT_EQ(get(there_, with).value, "loaded");
  EXPECT_EQ(loader_.calls, 1);
}

TEST_F(Renewal, RenewsEarlyByChanceWhatIsCostlyToLoad) {
  const fill_options with{.ttl = 1min, .early = 100};
  loader_.let();
  // Nothing is known yet of what it costs.
  put("old", with);
  clock_.advance(1min - 1ms);
  EXPECT_EQ(get(here_, with).value, "old");
  EXPECT_EQ(loader_.calls, 0);
  ASSERT_TRUE(run_coro(loop_, here_.refresh(at_, loader_.function(), with)));
  EXPECT_EQ(loader_.calls, 1);
  // It took some microseconds: a hundred times as eager, a microsecond before the end.
  clock_.advance(1min - 1us);
  run_until([&] {
    static_cast<void>(get(here_, with));
    return loader_.calls == 2;
  });
}

// What was put, or invalidated, while it was renewed ahead of time stays.
TEST_F(Renewal, PutsAnEarlyValueOnlyOverWhatItRenews) {
  const fill_options with{.ahead = 0.1};
  put("old", with);
  clock_.advance(10s);
  EXPECT_EQ(get(here_, with).value, "old");
  run_until([&] { return loader_.calls == 1; });
  put("newer", with);
  loader_.let();
  run_all(here_.stop());
  EXPECT_EQ(kept(), "newer");
}

TEST_F(Renewal, TriesAgainOnlyAfterAWhileInAnyProcess) {
  const fill_options with{.stale_while_revalidate = 1min, .retry_after = 5s};
  put("old", with);
  clock_.advance(1min);
  loader_.answer = fail(errc::unavailable, "database_away", "The database is away.");
  loader_.let();
  EXPECT_EQ(get(here_, with).value, "old");
  run_until([&] { return here_.numbers().failed_loads == 1; });
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(get(here_, with).value, "old");
    EXPECT_EQ(get(there_, with).value, "old");
  }
  loop_.restart();
  loop_.run_for(20ms);
  EXPECT_EQ(loader_.calls, 1);
  clock_.advance(5s);
  run_until([&] {
    static_cast<void>(get(there_, with));
    return loader_.calls >= 2;
  });
}

TEST_F(Renewal, GivesTheOldValueWhenALoadIsSlow) {
  const fill_options with{.stale_for = 1min, .soft_timeout = 20ms};
  put("old", with);
  clock_.advance(1min);
  const filled got = get(here_, with);
  EXPECT_EQ(got.value, "old");
  EXPECT_TRUE(got.stale);
  EXPECT_EQ(loader_.calls, 1);
  loader_.let();
  run_until([&] { return kept() == "loaded"; });
  EXPECT_EQ(loader_.calls, 1) << "it went on behind";
}

TEST_F(Renewal, GivesAnErrorWhenThereIsNoOldValueAndKeepsWhatComesLate) {
  const fill_options with{.soft_timeout = 10ms, .hard_timeout = 20ms};
  EXPECT_EQ(get(here_, with).value, "load_timeout");
  // The next one waits for the same load.
  EXPECT_EQ(get(here_, with).value, "load_timeout");
  EXPECT_EQ(loader_.calls, 1);
  loader_.let();
  run_until([&] { return kept() == "loaded"; });
}

TEST_F(Renewal, LoadsNoMoreAtATimeThanItMay) {
  const fill_options with{.hard_timeout = 10ms};
  const auto get_key = [&](std::string key) {
    answers given;
    asio::co_spawn(loop_, here_.get_or_set({.key = std::move(key)}, loader_.function(), with),
                   [&given](const std::exception_ptr&, result<filled> done) {
                     given.push_back(std::move(done));
                   });
    run_until([&] { return given.size() == 1; });
    return std::string{given[0].error().code};
  };
  EXPECT_EQ(get_key("a"), "load_timeout");
  EXPECT_EQ(get_key("b"), "load_timeout");
  EXPECT_EQ(get_key("c"), "too_many_loads");
  EXPECT_EQ(here_.numbers().crowded_out, 1U);
}

TEST_F(Renewal, EndsWhatRunsBehindWhenItIsStopped) {
  const fill_options with{.stale_while_revalidate = 10s};
  put("old", with);
  clock_.advance(1min);
  EXPECT_EQ(get(here_, with).value, "old");
  run_until([&] { return loader_.calls == 1; });
  run_all(here_.stop());
  EXPECT_EQ(get(here_, with).value, "old") << "and begins nothing more";
  EXPECT_EQ(loader_.calls, 1);
  EXPECT_EQ(run_coro(there_.claim({.at = at_}, 0s))->state, engine::claim_state::fill)
      << "the claim was given back";
}

TEST_F(Renewal, ChecksItsOptions) { EXPECT_EQ(get(here_, {.jitter = 2}).value, "invalid_value"); }

}  // namespace
}  // namespace millrace::cache
