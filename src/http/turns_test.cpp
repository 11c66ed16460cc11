#include "turns.hpp"

#include <millrace/base/testing.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace millrace::http {
namespace {

engine::topic record(std::string name) {
  return {.what = engine::topic::kind::queue, .name = std::move(name)};
}

awaitable<void> take_and_note(turns* of, std::string name, std::string* order) {
  const auto turn = co_await of->take(record(name));
  *order += name;
}

TEST(Turns, AreTakenOneAfterTheOtherForARecord) {
  asio::io_context context;
  turns of;
  std::string order;
  asio::co_spawn(
      context,
      [](turns* from, std::string* noted) -> awaitable<void> {
        const auto mine = co_await from->take(record("a"));
        const auto executor = co_await asio::this_coro::executor;
        asio::co_spawn(executor, take_and_note(from, "a", noted), asio::detached);
        asio::co_spawn(executor, take_and_note(from, "b", noted), asio::detached);
        // Lets the two get as far as they can.
        for (int i = 0; i < 10; ++i) co_await asio::post(executor, asio::use_awaitable);
        *noted += "first";
      }(&of, &order),
      asio::detached);
  context.run();
  EXPECT_EQ(order, "bfirsta");
}

awaitable<void> add_often(turns* of, int* count) {
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < 200; ++i) {
    const auto turn = co_await of->take(record("a"));
    const int before = *count;
    co_await asio::post(executor, asio::use_awaitable);
    *count = before + 1;
  }
}

// Without turns, writers that read, yield and write lose each other's changes.
TEST(Turns, LoseNoChangeOfSeveralThreads) {
  asio::io_context context;
  turns of;
  int count = 0;
  for (int i = 0; i < 4; ++i) asio::co_spawn(context, add_often(&of, &count), asio::detached);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&context] { context.run(); });
  }
  EXPECT_EQ(count, 800);
}

}  // namespace
}  // namespace millrace::http
