#include "testing_processes.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <string>
#include <vector>

namespace millrace::cache::proof {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t processes = 20;
constexpr std::size_t callers = 50;
constexpr std::size_t loads_noted = 64;

/// Who loaded when, written by those who do.
struct ledger {
  struct load {
    std::atomic<pid_t> by{0};
    std::atomic<std::int64_t> began{0};
    std::atomic<bool> ended{false};
  };
  std::atomic<std::size_t> ready{0};
  std::atomic<bool> go{false};
  /// Nobody ends a load before.
  std::atomic<bool> let{false};
  std::atomic<std::size_t> loads{0};
  std::array<load, loads_noted> each{};
  std::atomic<std::size_t> answers{0};
  std::atomic<std::size_t> wrong{0};
};

awaitable<result<std::optional<loaded_value>>> load_it(ledger* in) {
  const std::size_t number = in->loads++;
  if (number >= loads_noted) co_return fail(errc::internal, "too_many", "Far too many loads.");
  in->each[number].by = ::getpid();
  in->each[number].began = shared_now();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (!in->let) {
    timer.expires_after(5ms);
    co_await timer.async_wait(asio::use_awaitable);
  }
  in->each[number].ended = true;
  co_return loaded_value{.value = "loaded"};
}

void miss_together(ledger* in, std::uint16_t port) {
  const process_cache cache(port, 2s);
  asio::io_context loop{1};
  ++in->ready;
  while (!in->go) rest(1ms);
  for (std::size_t i = 0; i < callers; ++i) {
    asio::co_spawn(loop, cache->get_or_set({.key = "cold"}, [in] { return load_it(in); }),
                   [in](const std::exception_ptr&, const result<filled>& done) {
                     if (!done || done->value != "loaded") ++in->wrong;
                     ++in->answers;
                   });
  }
  loop.run();
}

class Stampede : public testing::Test {
protected:
  void start() {
    for (std::size_t i = 0; i < processes; ++i) {
      running_.push_back(fork_to([this] { miss_together(&*ledger_, server_.port()); }));
    }
    ASSERT_TRUE(comes([&] { return ledger_->ready == processes; }));
    ledger_->go = true;
  }
  void end() {
    ledger_->let = true;
    for (const pid_t one : running_) EXPECT_TRUE(ended_well(one));
  }
  // The one that loads, or the first other.
  pid_t take_out(bool loader) {
    const pid_t loads = ledger_->each[0].by;
    const auto at =
        std::ranges::find_if(running_, [&](pid_t one) { return (one == loads) == loader; });
    const pid_t taken = *at;
    running_.erase(at);
    return taken;
  }

  redis::testing::redis_server server_;
  shared_ledger<ledger> ledger_;
  std::vector<pid_t> running_;
};

TEST_F(Stampede, TwentyProcessesLoadOnce) {
  start();
  ASSERT_TRUE(comes([&] { return ledger_->loads > 0; }));
  rest(300ms);
  end();
  EXPECT_EQ(ledger_->loads, 1U);
  EXPECT_EQ(ledger_->answers, processes * callers);
  EXPECT_EQ(ledger_->wrong, 0U);
}

// One of those who wait dies.
TEST_F(Stampede, TwentyProcessesLoadOnceWhenOneThatWaitsIsKilled) {
  start();
  ASSERT_TRUE(comes([&] { return ledger_->each[0].by != 0; }));
  kill_now(take_out(false));
  // Longer than a claim lasts that nobody renews.
  rest(2500ms);
  end();
  EXPECT_EQ(ledger_->loads, 1U);
  EXPECT_EQ(ledger_->answers, (processes - 1) * callers);
  EXPECT_EQ(ledger_->wrong, 0U);
}

// The one that loads dies: it has one successor, when its claim ends.
TEST_F(Stampede, HasOneSuccessorWhenTheLoaderIsKilled) {
  start();
  ASSERT_TRUE(comes([&] { return ledger_->each[0].by != 0; }));
  kill_now(take_out(true));
  const std::int64_t killed = shared_now();
  ASSERT_TRUE(comes([&] { return ledger_->each[1].began != 0; }));
  const std::int64_t waited = ledger_->each[1].began - killed;
  rest(300ms);
  end();
  EXPECT_EQ(ledger_->loads, 2U);
  EXPECT_FALSE(ledger_->each[0].ended);
  EXPECT_TRUE(ledger_->each[1].ended);
  EXPECT_EQ(ledger_->answers, (processes - 1) * callers);
  EXPECT_EQ(ledger_->wrong, 0U);
  // The lease is 2 s; the rest is for twenty processes on a machine with other work to do.
  EXPECT_LE(waited, 4'000'000) << "microseconds";
}

}  // namespace
}  // namespace millrace::cache::proof
