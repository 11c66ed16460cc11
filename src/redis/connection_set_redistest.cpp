#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/redis/connection_set.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;
using testing::redis_server;

redis_server& server() {
  static redis_server one;
  return one;
}

connection_set_options small_set() {
  connection_set_options options;
  auto where = parse_address(server().url(), "redis");
  MILLRACE_ASSERT(where);
  options.each.where = std::move(*where);
  options.each.request_timeout = 15s;
  options.connections_max = 4;
  options.idle_min = 1;
  return options;
}

std::string code_of(const result<connection_set::lease>& got) {
  return got ? "" : std::string{got.error().code};
}

awaitable<void> short_wait() {
  asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
  co_await timer.async_wait(asio::use_awaitable);
}

awaitable<void> blocks_alone() {
  connection_set set{co_await asio::this_coro::executor, small_set()};
  {
    auto own = co_await set.take();
    EXPECT_TRUE(own);
    std::string woken;
    (*own)->send(command{"BLPOP"}.key("marker").arg(0), 15s, [&woken](const result<reply>& got) {
      if (got) woken = (*got)[1].text();
    });
    auto refused = co_await set.shared().call(command{"BLPOP"}.key("marker").arg(0));
    EXPECT_EQ(refused.error().code, "command_needs_own_connection");
    (void)co_await set.shared().call(command{"RPUSH"}.key("marker").arg("go"));
    while (woken.empty()) co_await short_wait();
    EXPECT_EQ(woken, "go");
    EXPECT_LE(set.open(), 4U);
  }
  co_await set.stop();
  while (set.open() > 1) co_await short_wait();
  EXPECT_EQ(code_of(co_await set.take()), "cancelled");
}

TEST(ConnectionSet, BlockingReadsHoldNobodyUp) { run_coro(blocks_alone()); }

awaitable<void> bounded() {
  auto options = small_set();
  options.take_timeout = 30ms;
  connection_set set{co_await asio::this_coro::executor, std::move(options)};
  {
    std::vector<connection_set::lease> taken;
    for (int i = 0; i < 3; ++i) {
      auto one = co_await set.take();
      EXPECT_TRUE(one);
      if (one) taken.push_back(std::move(*one));
    }
    EXPECT_EQ(set.open(), 4U);
    EXPECT_EQ(code_of(co_await set.take()), "too_many_connections");
    const auto id = taken.back()->status().client_id;
    taken.pop_back();
    auto again = co_await set.take();
    EXPECT_TRUE(again);
    if (again) EXPECT_EQ((*again)->status().client_id, id);
  }
  co_await set.stop();
}

TEST(ConnectionSet, IsBoundedAndReuses) { run_coro(bounded()); }

awaitable<void> dirty() {
  connection_set set{co_await asio::this_coro::executor, small_set()};
  std::int64_t id = 0;
  {
    auto own = co_await set.take();
    id = (*own)->status().client_id;
    (*own)->send(command{"BLPOP"}.key("never").arg(0), 15s, [](const result<reply>&) {});
    while ((*own)->status().writes < 2) co_await short_wait();
  }
  // What it still owes would hold up the next caller.
  for (int i = 0; i < 3; ++i) {
    auto next = co_await set.take();
    EXPECT_TRUE(next);
    EXPECT_NE((*next)->status().client_id, id);
    next->discard();
  }
  co_await set.stop();
}

TEST(ConnectionSet, KeepsNoConnectionThatOwesAReply) { run_coro(dirty()); }

awaitable<void> keeps_idle() {
  auto options = small_set();
  options.connections_max = 10;
  options.idle_min = 3;
  connection_set set{co_await asio::this_coro::executor, std::move(options)};
  EXPECT_EQ(set.idle(), 0U);
  {
    auto own = co_await set.take();
    EXPECT_TRUE(own);
    EXPECT_EQ(set.idle(), 3U);
    EXPECT_EQ(set.open(), 5U);
  }
  while (set.open() > 4) co_await short_wait();
  EXPECT_EQ(set.idle(), 3U);
  co_await set.stop();
  EXPECT_EQ(set.open(), 1U);
}

TEST(ConnectionSet, KeepsSomeIdleForTheNextCaller) { run_coro(keeps_idle()); }

awaitable<void> tells_failure() {
  auto options = small_set();
  options.each.where.password = "wrong";
  options.each.where.user = "nobody";
  connection_set set{co_await asio::this_coro::executor, std::move(options)};
  EXPECT_EQ(code_of(co_await set.take()), "wrong_password");
  co_await set.stop();
}

TEST(ConnectionSet, TellsWhyThereIsNoConnection) { run_coro(tells_failure()); }

}  // namespace
}  // namespace millrace::redis
