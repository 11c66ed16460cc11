#include "testing_on_server.hpp"

#include <millrace/engine/async.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::engine_redis {
namespace {

using namespace engine;
using redis::testing::redis_server;

const queue_key work{.name = "work"};

result<std::unique_ptr<redis_store>> open_at(asio::io_context& loop, std::string socket) {
  options with{.loop = &loop};
  with.where.over = redis::address::transport::unix_socket;
  with.where.path = std::move(socket);
  return redis_store::open(std::move(with));
}

transaction of(step one) {
  transaction out;
  out.steps.push_back(std::move(one));
  return out;
}

transaction a_job() { return of(enqueue_job{.queue = work}); }

// Makes jobs, one after the other, and leases each.
awaitable<void> make_and_lease(store& where, std::size_t jobs, std::size_t& leased) {
  for (std::size_t i = 0; i < jobs; ++i) {
    if (!co_await commit(where, a_job())) co_return;
    const auto taken = co_await commit_step<jobs_leased>(where, lease_jobs{.queues = {work}});
    if (taken) leased += taken->jobs.size();
  }
}

void run_until_done(asio::io_context& loop, awaitable<void> what) {
  bool done = false;
  asio::co_spawn(loop, std::move(what), [&](const std::exception_ptr&) { done = true; });
  loop.restart();
  while (!done) loop.run_one();
}

TEST(RedisOnALoop, AnswersOnTheThreadThatRunsIt) {
  const redis_server server;
  asio::io_context loop(1);
  auto store = open_at(loop, server.socket());
  ASSERT_TRUE(store) << store.error().detail;
  std::thread::id answered_on;
  std::vector<transaction> batch;
  batch.push_back(a_job());
  (*store)->submit(std::move(batch), [&](const std::vector<commit_result>& done) {
    EXPECT_TRUE(done.at(0));
    answered_on = std::this_thread::get_id();
  });
  while (answered_on == std::thread::id{}) loop.run_one();
  EXPECT_EQ(answered_on, std::this_thread::get_id());
}

TEST(RedisOnALoop, ServesCoroutinesOfTheSameLoop) {
  const redis_server server;
  asio::io_context loop(1);
  auto store = open_at(loop, server.socket());
  ASSERT_TRUE(store) << store.error().detail;
  std::size_t leased = 0;
  run_until_done(loop, make_and_lease(**store, 20, leased));
  EXPECT_EQ(leased, 20U);
}

TEST(RedisOnALoop, TakesWorkFromOtherThreads) {
  const redis_server server;
  asio::io_context loop(1);
  auto store = open_at(loop, server.socket());
  ASSERT_TRUE(store) << store.error().detail;
  std::vector<std::thread> callers;
  std::atomic<std::size_t> made{0};
  std::atomic<std::size_t> over{0};
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int job = 0; job < 50; ++job) {
        if (blocking::commit(**store, a_job())) ++made;
      }
      ++over;
      asio::post(loop, [] {});
    });
  }
  while (over < callers.size()) loop.run_one();
  for (std::thread& each : callers) each.join();
  EXPECT_EQ(made, 200U);
}

TEST(RedisOnALoop, AnswersEverythingBeforeItEnds) {
  const redis_server server;
  asio::io_context loop(1);
  auto store = open_at(loop, server.socket());
  ASSERT_TRUE(store) << store.error().detail;
  std::size_t made = 0;
  for (int i = 0; i < 100; ++i) {
    std::vector<transaction> batch;
    batch.push_back(a_job());
    (*store)->submit(std::move(batch),
                     [&](const std::vector<commit_result>& done) { made += done.at(0) ? 1 : 0; });
  }
  store->reset();
  EXPECT_EQ(made, 100U);
  // The loop is there for others still, and comes to an end.
  bool ran = false;
  asio::post(loop, [&] { ran = true; });
  loop.restart();
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(RedisOnALoop, IsOpenedAgainOnTheSameLoop) {
  const redis_server server;
  asio::io_context loop(1);
  std::size_t leased = 0;
  for (int i = 0; i < 3; ++i) {
    auto store = open_at(loop, server.socket());
    ASSERT_TRUE(store) << store.error().detail;
    run_until_done(loop, make_and_lease(**store, 1, leased));
  }
  EXPECT_EQ(leased, 3U);
}

TEST(RedisOnALoop, TellsWhyItCannotBeOpened) {
  asio::io_context loop(1);
  const redis::testing::scratch_directory empty;
  const auto store = open_at(loop, empty.file("nobody.sock"));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, "redis_unreachable");
}

}  // namespace
}  // namespace millrace::engine_redis
