#include <millrace/base/task_group.hpp>

#include <millrace/base/testing.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace millrace {
namespace {

using std::chrono_literals::operator""h;

// Counts itself out however it ends.
struct ended_mark {
  explicit ended_mark(int& count) : count_(count) {}
  ended_mark(const ended_mark&) = delete;
  ended_mark& operator=(const ended_mark&) = delete;
  ~ended_mark() { ++count_; }

private:
  int& count_;
};

awaitable<void> sleep_long(int* ended) {
  const ended_mark mark(*ended);
  asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
  co_await timer.async_wait(asio::use_awaitable);
}

// Does asynchronous work after it was cancelled, as a task that hands something back would.
awaitable<void> tidy_up_when_cancelled(int* ended) {
  const ended_mark mark(*ended);
  asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
  auto waited = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  EXPECT_EQ(std::get<0>(waited), asio::error::operation_aborted);
  co_await asio::this_coro::reset_cancellation_state();
  timer.expires_after(std::chrono::milliseconds{1});
  co_await timer.async_wait(asio::use_awaitable);
}

awaitable<void> end_at_once(int* ended) {
  ++*ended;
  co_return;
}

awaitable<void> throw_an_error() {
  throw std::runtime_error("the disk is on fire");
  co_return;
}

awaitable<void> stop_twice(int* ended) {
  task_group group(co_await asio::this_coro::executor);
  group.spawn(sleep_long(ended));
  group.spawn(sleep_long(ended));
  group.spawn(tidy_up_when_cancelled(ended));
  EXPECT_EQ(group.running(), 3U);
  co_await group.stop();
  EXPECT_EQ(*ended, 3);
  EXPECT_EQ(group.running(), 0U);
  co_await group.stop();
}

TEST(TaskGroup, StopCancelsAllAndAwaitsTheLast) {
  int ended = 0;
  run_coro(stop_twice(&ended));
}

awaitable<void> spawn_after_stop(int* ended) {
  task_group group(co_await asio::this_coro::executor);
  co_await group.stop();
  group.spawn(end_at_once(ended));
  EXPECT_EQ(group.running(), 0U);
}

TEST(TaskGroup, DropsWhatIsSpawnedAfterStop) {
  int ended = 0;
  run_coro(spawn_after_stop(&ended));
  EXPECT_EQ(ended, 0);
}

awaitable<void> count_down(int* ended) {
  task_group group(co_await asio::this_coro::executor);
  group.spawn(end_at_once(ended));
  asio::steady_timer turn(co_await asio::this_coro::executor, std::chrono::milliseconds{1});
  co_await turn.async_wait(asio::use_awaitable);
  EXPECT_EQ(group.running(), 0U);
  EXPECT_EQ(*ended, 1);
  co_await group.stop();
}

TEST(TaskGroup, ForgetsATaskThatEndedByItself) {
  int ended = 0;
  run_coro(count_down(&ended));
}

// The owner is being cancelled itself, before and while it stops its group.
awaitable<void> stop_while_cancelled(asio::cancellation_signal* self, int* ended) {
  task_group group(co_await asio::this_coro::executor);
  group.spawn(tidy_up_when_cancelled(ended));
  asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
  asio::post(co_await asio::this_coro::executor,
             [self] { self->emit(asio::cancellation_type::terminal); });
  auto waited = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  EXPECT_EQ(std::get<0>(waited), asio::error::operation_aborted);
  co_await asio::this_coro::reset_cancellation_state();
  asio::post(co_await asio::this_coro::executor,
             [self] { self->emit(asio::cancellation_type::terminal); });
  co_await group.stop();
  EXPECT_EQ(*ended, 1);
  const auto state = co_await asio::this_coro::cancellation_state;
  EXPECT_NE(state.cancelled(), asio::cancellation_type::none);
}

TEST(TaskGroup, StopWaitsToTheEndThoughItsCallerIsCancelled) {
  asio::io_context context;
  asio::cancellation_signal signal;
  int ended = 0;
  bool done = false;
  asio::co_spawn(context, stop_while_cancelled(&signal, &ended),
                 asio::bind_cancellation_slot(signal.slot(), [&done](const std::exception_ptr& e) {
                   EXPECT_FALSE(e);
                   done = true;
                 }));
  context.run_for(test_watchdog);
  EXPECT_TRUE(done);
}

TEST(TaskGroupDeathTest, AnEscapedExceptionEndsTheProcessWithItsText) {
  const auto run = [] {
    asio::io_context context;
    task_group group(context.get_executor());
    group.spawn(throw_an_error());
    context.run();
  };
  EXPECT_DEATH(run(), "the disk is on fire");
}

TEST(TaskGroupDeathTest, DyingWithRunningTasksIsADefect) {
  const auto run = [] {
    asio::io_context context;
    int ended = 0;
    task_group group(context.get_executor());
    group.spawn(sleep_long(&ended));
    context.poll();
  };
  EXPECT_DEATH(run(), "broken invariant");
}

}  // namespace
}  // namespace millrace
