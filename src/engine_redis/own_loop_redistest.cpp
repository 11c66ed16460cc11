#include "testing_on_server.hpp"

#include <millrace/engine/async.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;

const queue_key work{.name = "work"};

/// How long it stays awake for an answer.
class RedisOnALoop : public testing::TestWithParam<std::chrono::microseconds> {
public:
  void open() { store_ = open_on(server_, options{.busy_poll = GetParam(), .loop = &loop_}); }

  static transaction a_job() {
    transaction out;
    out.steps.emplace_back(enqueue_job{.queue = work});
    return out;
  }
  /// Makes a job; `done` hears whether it is made.
  template <class Done>
  void make_job(Done done) {
    std::vector<transaction> batch;
    batch.push_back(a_job());
    store_->submit(std::move(batch), [done](const std::vector<commit_result>& made) {
      done(made.at(0).has_value());
    });
  }
  /// Makes jobs and leases each, on the loop; how many were leased.
  awaitable<std::size_t> make_and_lease(std::size_t jobs) {
    std::size_t leased = 0;
    for (std::size_t i = 0; i < jobs; ++i) {
      if (!co_await commit(*store_, a_job())) break;
      const auto taken = co_await commit_step<jobs_leased>(*store_, lease_jobs{.queues = {work}});
      if (taken) leased += taken->jobs.size();
    }
    co_return leased;
  }

  redis::testing::redis_server server_;
  asio::io_context loop_{1};
  std::unique_ptr<redis_store> store_;
};

TEST_P(RedisOnALoop, AnswersOnTheThreadThatRunsIt) {
  open();
  std::thread::id answered_on;
  make_job([&](bool made) {
    EXPECT_TRUE(made);
    answered_on = std::this_thread::get_id();
  });
  while (answered_on == std::thread::id{}) loop_.run_one();
  EXPECT_EQ(answered_on, std::this_thread::get_id());
}

TEST_P(RedisOnALoop, ServesCoroutinesOfTheSameLoop) {
  open();
  EXPECT_EQ(run_coro(loop_, make_and_lease(20)), 20U);
}

TEST_P(RedisOnALoop, TakesWorkFromOtherThreads) {
  open();
  std::vector<std::thread> callers;
  std::atomic<std::size_t> made{0};
  std::atomic<std::size_t> over{0};
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int job = 0; job < 50; ++job) {
        if (blocking::commit(*store_, a_job())) ++made;
      }
      ++over;
      asio::post(loop_, [] {});
    });
  }
  while (over < callers.size()) loop_.run_one();
  for (std::thread& each : callers) each.join();
  EXPECT_EQ(made, 200U);
}

TEST_P(RedisOnALoop, AnswersEverythingBeforeItEnds) {
  open();
  std::size_t made = 0;
  for (int i = 0; i < 100; ++i) make_job([&](bool fine) { made += fine ? 1 : 0; });
  store_.reset();
  EXPECT_EQ(made, 100U);
  // The loop is there for others still, and comes to an end.
  bool ran = false;
  asio::post(loop_, [&] { ran = true; });
  loop_.restart();
  loop_.run();
  EXPECT_TRUE(ran);
}

TEST_P(RedisOnALoop, IsOpenedAgainOnTheSameLoop) {
  for (int i = 0; i < 3; ++i) {
    open();
    EXPECT_EQ(run_coro(loop_, make_and_lease(1)), 1U);
    store_.reset();
  }
}

TEST_P(RedisOnALoop, TellsWhyItCannotBeOpened) {
  options nobody{.busy_poll = GetParam(), .loop = &loop_};
  nobody.where.over = redis::address::transport::unix_socket;
  nobody.where.path = server_.socket() + ".nobody";
  const auto store = redis_store::open(std::move(nobody));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, "redis_unreachable");
}

INSTANTIATE_TEST_SUITE_P(Awake, RedisOnALoop, testing::Values(0us, redis::busy_poll_max));

}  // namespace
}  // namespace millrace::engine_redis
