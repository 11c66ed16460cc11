#include "testing_loader.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using engine::cache_key;

class Fill : public testing::Test {
protected:
  using answers = std::vector<result<filled>>;

  void start(shared_cache& on, controlled_loader& with, answers& into, fill_options options = {}) {
    asio::co_spawn(loop_, on.get_or_set(at_, with.function(), options),
                   [&into](const std::exception_ptr& thrown, result<filled> done) {
                     EXPECT_FALSE(thrown);
                     into.push_back(std::move(done));
                   });
  }
  /// Lets everything run that can run now.
  void run_a_while() {
    loop_.restart();
    loop_.run_for(50ms);
  }
  void run_until(const answers& given, std::size_t count) {
    const auto late = std::chrono::steady_clock::now() + 20s;
    while (given.size() < count && std::chrono::steady_clock::now() < late) run_a_while();
    ASSERT_EQ(given.size(), count);
  }

  const cache_key at_{.key = "k"};
  asio::io_context loop_{1};
  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  shared_cache here_{store_};
  /// As in another process: it shares nothing but the store.
  shared_cache there_{store_};
  controlled_loader loader_{loop_};
};

TEST_F(Fill, LoadsOnceForEverybodyInAProcess) {
  answers given;
  for (int i = 0; i < 200; ++i) start(here_, loader_, given);
  run_a_while();
  EXPECT_EQ(loader_.calls, 1);
  loader_.let();
  run_until(given, 200);
  EXPECT_EQ(loader_.calls, 1);
  for (const auto& each : given) EXPECT_EQ(each->value, "loaded");
  EXPECT_EQ(here_.numbers().loads, 1U);
}

TEST_F(Fill, LoadsOnceAcrossProcesses) {
  answers given;
  for (int i = 0; i < 10; ++i) {
    start(here_, loader_, given);
    start(there_, loader_, given);
  }
  run_a_while();
  EXPECT_EQ(loader_.calls, 1);
  loader_.let();
  run_until(given, 20);
  EXPECT_EQ(loader_.calls, 1);
  for (const auto& each : given) EXPECT_EQ(each->value, "loaded");
  start(there_, loader_, given);
  run_until(given, 21);
  EXPECT_FALSE(given.back()->loaded) << "it is a hit";
}

// A filler that died: its claim is not renewed.
TEST_F(Fill, TakesOverWhenALoaderHasDied) {
  ASSERT_EQ(run_coro(there_.claim({.at = at_, .lease = fill_lease}, 0s))->state,
            engine::claim_state::fill);
  answers given;
  loader_.let();
  start(here_, loader_, given);
  run_a_while();
  EXPECT_TRUE(given.empty());
  clock_.advance(fill_lease);
  run_until(given, 1);
  EXPECT_EQ(given[0]->value, "loaded");
}

TEST_F(Fill, RenewsItsClaimWhileTheLoaderRuns) {
  answers given;
  start(here_, loader_, given);
  run_a_while();
  const timestamp first = clock_.now() + fill_lease;
  clock_.advance(fill_lease - 1ms);
  const auto until = [&] { return run_coro(there_.claim({.at = at_}, 0s))->until; };
  const auto late = std::chrono::steady_clock::now() + 20s;
  while (until() == first && std::chrono::steady_clock::now() < late) run_a_while();
  EXPECT_EQ(until(), clock_.now() + fill_lease);
  loader_.let();
  run_until(given, 1);
  EXPECT_GT(given[0]->version, 0U);
}

// Its coroutine ends without an answer; whoever waited for it loads.
TEST_F(Fill, HandsTheLoadOfACancelledCallerOn) {
  asio::cancellation_signal stop;
  bool cancelled = false;
  asio::co_spawn(
      loop_, here_.get_or_set(at_, loader_.function()),
      asio::bind_cancellation_slot(stop.slot(), [&](const std::exception_ptr&,
                                                    const result<filled>&) { cancelled = true; }));
  run_a_while();
  answers given;
  start(here_, loader_, given);
  run_a_while();
  EXPECT_EQ(loader_.calls, 1);
  stop.emit(asio::cancellation_type::terminal);
  loader_.let();
  run_until(given, 1);
  EXPECT_TRUE(cancelled);
  EXPECT_EQ(given[0]->value, "loaded");
}

TEST_F(Fill, TellsAFailureToEverybodyAndKeepsNothing) {
  loader_.answer = fail(errc::unavailable, "database_away", "The database is away.");
  answers given;
  for (int i = 0; i < 3; ++i) start(here_, loader_, given);
  run_a_while();
  loader_.let();
  run_until(given, 3);
  for (const auto& each : given) EXPECT_EQ(each.error().code, "database_away");
  EXPECT_EQ(run_coro(there_.claim({.at = at_}, 0s))->state, engine::claim_state::fill)
      << "the claim was given back";
  EXPECT_EQ(here_.numbers().failed_loads, 1U);
}

TEST_F(Fill, GivesAStaleValueWhereLoadingFails) {
  ASSERT_TRUE(run_coro(here_.put({.at = at_, .value = "old", .ttl = 1s, .stale_for = 1min})));
  clock_.advance(2s);
  loader_.answer = fail(errc::unavailable, "database_away", "The database is away.");
  loader_.let();
  answers given;
  start(here_, loader_, given);
  run_until(given, 1);
  ASSERT_TRUE(given[0]);
  EXPECT_EQ(given[0]->value, "old");
  EXPECT_TRUE(given[0]->stale);
}

TEST_F(Fill, GivesAStaleValueWhileAnotherProcessLoads) {
  ASSERT_TRUE(run_coro(here_.put({.at = at_, .value = "old", .ttl = 1s, .stale_for = 1min})));
  clock_.advance(2s);
  ASSERT_EQ(run_coro(there_.claim({.at = at_}, 0s))->state, engine::claim_state::fill);
  answers given;
  start(here_, loader_, given);
  run_until(given, 1);
  EXPECT_EQ(given[0]->value, "old");
  EXPECT_EQ(loader_.calls, 0);
}

TEST_F(Fill, RemembersThatThereIsNothingForAsLongAsItIsTold) {
  loader_.answer = std::optional<loaded_value>();
  loader_.let();
  answers given;
  start(here_, loader_, given, {.negative_ttl = 10s});
  run_until(given, 1);
  EXPECT_FALSE(given[0]->value);
  start(there_, loader_, given, {.negative_ttl = 10s});
  run_until(given, 2);
  EXPECT_FALSE(given[1]->value);
  EXPECT_EQ(loader_.calls, 1);
  clock_.advance(10s);
  start(there_, loader_, given);
  run_until(given, 3);
  EXPECT_EQ(loader_.calls, 2);
}

TEST_F(Fill, KeepsNothingThatWasInvalidatedWhileItWasLoaded) {
  answers given;
  start(here_, loader_, given);
  run_a_while();
  ASSERT_TRUE(run_coro(there_.remove({.at = at_})));
  loader_.let();
  run_until(given, 1);
  EXPECT_EQ(given[0]->value, "loaded");
  EXPECT_EQ(given[0]->version, 0U);
  EXPECT_FALSE(*run_coro(here_.get(at_)));
}

TEST_F(Fill, RefreshesWhatIsThere) {
  ASSERT_TRUE(run_coro(here_.put({.at = at_, .value = "old"})));
  loader_.let();
  const auto done = run_coro(loop_, here_.refresh(at_, loader_.function()));
  ASSERT_TRUE(done);
  EXPECT_EQ((*run_coro(there_.get(at_)))->value, "loaded");
}

TEST_F(Fill, LoadsWithoutAStore) {
  conformance::faulty_store away(store_);
  away.on_submit(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  away.on_ask(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  shared_cache alone(away);
  loader_.let();
  answers given;
  start(alone, loader_, given);
  run_until(given, 1);
  ASSERT_TRUE(given[0]);
  EXPECT_EQ(given[0]->value, "loaded");
}

TEST_F(Fill, TurnsAnExceptionOfALoaderIntoAnError) {
  const loader throws = []() -> awaitable<result<std::optional<loaded_value>>> {
    throw std::runtime_error("boom");
    co_return std::nullopt;
  };
  const auto done = run_coro(loop_, here_.get_or_set(at_, throws));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "loader_threw");
  EXPECT_EQ(done.error().detail, "boom");
}

}  // namespace
}  // namespace millrace::cache
