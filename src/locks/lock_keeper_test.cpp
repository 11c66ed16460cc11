#include <millrace/locks/lock_keeper.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

namespace millrace {
namespace {

using namespace std::chrono_literals;

const engine::lock_key door{.resource = "door"};

class LockKeeper : public testing::Test {
protected:
  ~LockKeeper() override { stop(); }

  void stop() {
    bool done = false;
    asio::co_spawn(context_, keeper_.stop(), [&](const std::exception_ptr&) { done = true; });
    run_until([&] { return done; });
  }
  void run_until(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    context_.restart();
    while (!holds() && std::chrono::steady_clock::now() < deadline) {
      context_.run_one_for(10ms);
      if (context_.stopped()) context_.restart();
    }
    EXPECT_TRUE(holds());
  }
  std::optional<held_lock> hold(engine::acquire_lock step, hold_options how = {},
                                duration wait = 0s) {
    std::optional<result<std::optional<held_lock>>> got;
    asio::co_spawn(context_, keeper_.hold(std::move(step), wait, std::move(how)),
                   [&](const std::exception_ptr&, result<std::optional<held_lock>> answer) {
                     got = std::move(answer);
                   });
    run_until([&] { return got.has_value(); });
    EXPECT_TRUE(got->has_value());
    return std::move(**got);
  }
  std::optional<engine::lock_info> holder() {
    return engine::blocking::ask(store_, engine::find_lock{door}).value();
  }
  void release(std::string token) {
    engine::transaction one;
    one.steps.emplace_back(engine::release_lock{.key = door, .token = std::move(token)});
    ASSERT_TRUE(engine::blocking::commit(store_, std::move(one)));
  }

  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  asio::io_context context_;
  lock_keeper keeper_{store_, context_.get_executor()};
};

TEST_F(LockKeeper, GivesTheLockBackWithItsHolder) {
  {
    const auto held = hold({.key = door});
    ASSERT_TRUE(held);
    EXPECT_GT(held->fence(), 0U);
    EXPECT_TRUE(holder());
    EXPECT_FALSE(hold({.key = door}));
  }
  EXPECT_FALSE(holder());
}

TEST_F(LockKeeper, RenewsTheLeaseByItself) {
  const auto held = hold({.key = door}, [] {
    hold_options how;
    how.renew_every = 1ms;
    return how;
  }());
  ASSERT_TRUE(held);
  for (int i = 0; i < 5; ++i) {
    clock_.advance(20s);
    const timestamp end = clock_.now() + 30s;
    run_until([&] { return holder() && holder()->expires_at == end; });
  }
  EXPECT_FALSE(held->lost().stop_requested());
}

TEST_F(LockKeeper, TellsTheLossAtOnce) {
  std::string why;
  hold_options how;
  how.on_lost = [&](const error& told) { why = told.code; };
  auto held = hold({.key = door}, std::move(how));
  ASSERT_TRUE(held);
  const std::stop_token lost = held->lost();
  // The lease is long; only the hint can tell.
  release(held->token());
  run_until([&] { return lost.stop_requested(); });
  EXPECT_EQ(why, "lock_lost");
  held.reset();
}

TEST_F(LockKeeper, TellsALeaseThatRanOutWhileTheStoreDoesNotAnswer) {
  conformance::faulty_store cut(store_);
  lock_keeper keeper(cut, context_.get_executor());
  std::optional<held_lock> held;
  asio::co_spawn(context_, keeper.hold({.key = door, .ttl = 200ms}),
                 [&](const std::exception_ptr&, result<std::optional<held_lock>> answer) {
                   held = std::move(answer.value());
                 });
  run_until([&] { return held.has_value(); });
  cut.on_submit(1, conformance::fault::unavailable(), conformance::faulty_store::always);
  run_until([&] { return held->lost().stop_requested(); });
  bool done = false;
  asio::co_spawn(context_, keeper.stop(), [&](const std::exception_ptr&) { done = true; });
  run_until([&] { return done; });
}

TEST_F(LockKeeper, HoldsSharedLocksAndPermits) {
  const engine::acquire_lock permit{.key = door, .mode = engine::lock_mode::shared, .permits = 2};
  const auto first = hold(permit);
  auto second = hold(permit);
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_FALSE(hold(permit));
  second->release();
  EXPECT_TRUE(hold(permit));
}

TEST_F(LockKeeper, TakesItsTurn) {
  auto first = hold({.key = door});
  ASSERT_TRUE(first);
  std::optional<held_lock> second;
  asio::co_spawn(context_, keeper_.hold({.key = door}, 60s),
                 [&](const std::exception_ptr&, result<std::optional<held_lock>> answer) {
                   second = std::move(answer.value());
                 });
  run_until([&] { return holder()->waiters == 1; });
  first.reset();
  run_until([&] { return second.has_value(); });
}

TEST_F(LockKeeper, ProvesThatItHolds) {
  auto held = hold({.key = door});
  ASSERT_TRUE(held);
  const auto commits = [&](engine::step proof) {
    engine::transaction one;
    one.steps.push_back(std::move(proof));
    return engine::blocking::commit(store_, std::move(one)).has_value();
  };
  EXPECT_TRUE(commits(held->proof()));
  EXPECT_TRUE(commits(held->pass()));
  release(held->token());
  const auto next = hold({.key = door});
  ASSERT_TRUE(next);
  EXPECT_FALSE(commits(held->proof()));
  EXPECT_FALSE(commits(held->pass()));
}

TEST_F(LockKeeper, GivesAllBackWhenItStops) {
  const auto held = hold({.key = door});
  ASSERT_TRUE(held);
  stop();
  EXPECT_TRUE(held->lost().stop_requested());
  EXPECT_FALSE(holder());
}

}  // namespace
}  // namespace millrace
