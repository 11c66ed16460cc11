#include <millrace/locks/locks.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <set>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::lock_answer;

const engine::lock_key door{.resource = "door"};

engine::acquire_lock by(std::string token, duration ttl = 30s) {
  return {.key = door, .token = std::move(token), .ttl = ttl};
}

class Locks : public testing::Test {
protected:
  void wait_for(std::string token, std::vector<std::string>& order) {
    asio::co_spawn(context_, locks_.acquire(by(token), 60s),
                   [token, &order](const std::exception_ptr&, const result<lock_answer>& got) {
                     if (got && got->granted) order.push_back(token);
                   });
    // Until it waits.
    while (context_.poll_one() > 0) {
    }
  }

  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  locks locks_{store_};
  asio::io_context context_;
};

TEST(LockToken, IsNeverTheSame) {
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) tokens.insert(make_lock_token());
  EXPECT_EQ(tokens.size(), 100U);
  EXPECT_EQ(tokens.begin()->size(), 26U);
}

TEST_F(Locks, AnswerWhoHoldsItWhereNobodyWaits) {
  EXPECT_TRUE(run_coro(locks_.acquire(by("a"), 0s)).value().granted);
  const auto refused = run_coro(locks_.acquire(by("b"), 0s)).value();
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.lock.expires_at, clock_.now() + 30s);
}

TEST_F(Locks, GoToWaitersInTheirOrder) {
  ASSERT_TRUE(run_coro(locks_.acquire(by("a"), 0s)).value().granted);
  std::vector<std::string> order;
  wait_for("b", order);
  wait_for("c", order);
  ASSERT_TRUE(run_coro(locks_.release({.key = door, .token = "a"})));
  context_.restart();
  context_.run_one_for(10s);
  while (order.empty() && context_.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(order, std::vector<std::string>{"b"});
  ASSERT_TRUE(run_coro(locks_.release({.key = door, .token = "b"})));
  while (order.size() < 2 && context_.run_one_for(10s) > 0) {
  }
  EXPECT_EQ(order, (std::vector<std::string>{"b", "c"}));
}

TEST_F(Locks, AreNotLeftHeldByWhoGaveUp) {
  ASSERT_TRUE(run_coro(locks_.acquire(by("a"), 0s)).value().granted);
  asio::cancellation_signal stop;
  bool cancelled = false;
  asio::co_spawn(context_, locks_.acquire(by("b"), 60s),
                 asio::bind_cancellation_slot(
                     stop.slot(), [&](const std::exception_ptr&, const result<lock_answer>& got) {
                       cancelled = !got && got.error().kind == errc::cancelled;
                     }));
  while (context_.poll_one() > 0) {
  }
  stop.emit(asio::cancellation_type::terminal);
  context_.restart();
  context_.run();
  EXPECT_TRUE(cancelled);
  ASSERT_TRUE(run_coro(locks_.release({.key = door, .token = "a"})));
  EXPECT_TRUE(run_coro(locks_.acquire(by("c"), 0s)).value().granted);
}

TEST_F(Locks, RefuseAWaitThatIsTooLong) {
  const auto refused = run_coro(locks_.acquire(by("a"), 61s));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "wait");
}

}  // namespace
}  // namespace millrace
