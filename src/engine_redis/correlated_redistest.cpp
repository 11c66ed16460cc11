#include "testing_on_server.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

// What of correlation ids stands in the server.
namespace millrace::engine_redis {
namespace {

using namespace engine;
using redis::testing::redis_server;

const queue_key work{.name = "work"};

std::string members(const redis_server& server) {
  return ask(server,
             "return redis.call('ZCARD', '{millrace}:correlated') .. ' ' .. "
             "redis.call('LLEN', '{millrace}:correlated:order')");
}

void commit_each_of(store& in, std::vector<step> steps) {
  std::vector<transaction> batch;
  for (step& each : steps) batch.emplace_back().steps.push_back(std::move(each));
  for (const commit_result& each : blocking::commit_each(in, std::move(batch))) {
    EXPECT_TRUE(each) << each.error().why.code;
  }
}

// So many jobs that carry an id each, made, run and acknowledged.
void run_jobs(store& in, int first, int count) {
  std::vector<step> jobs;
  for (int i = first; i < first + count; ++i) {
    jobs.emplace_back(
        enqueue_job{.queue = work, .spec = {.correlation_id = fmt::format("c{}", i)}});
  }
  commit_each_of(in, std::move(jobs));
  const auto leased = blocking::commit(
      in, {.steps = {lease_jobs{.queues = {work}, .max = static_cast<std::uint32_t>(count)}}});
  ASSERT_TRUE(leased);
  std::vector<step> acks;
  for (const leased_job& each : std::get<jobs_leased>(leased->outcomes.front()).jobs) {
    acks.emplace_back(ack_job{.id = each.what.id, .token = each.token});
  }
  ASSERT_EQ(acks.size(), static_cast<std::size_t>(count));
  commit_each_of(in, std::move(acks));
}

TEST(RedisCorrelated, NothingIsWrittenForWhatCarriesNone) {
  const redis_server server;
  const auto store = open_on(server);
  commit_each_of(*store, {enqueue_job{.queue = work},
                          enqueue_job{.queue = work, .spec = {.traceparent = "00-1-2-03"}},
                          enqueue_job{.queue = work, .spec = {.delay = std::chrono::hours{1}}},
                          publish_event{.stream = {.name = "f"}, .what = {.type = "t"}}});
  EXPECT_EQ(members(server), "0 0");
}

TEST(RedisCorrelated, WhatIsForgottenGoesAsOthersCome) {
  const redis_server server;
  const auto store = open_on(server);
  queue_settings few;
  few.keep_finished_count = 10;
  commit_each_of(*store, {configure_queue{.queue = work, .settings = few}});
  for (int round = 0; round < 20; ++round) run_jobs(*store, 100 * round, 100);
  const std::string left =
      ask(server,
          "local n = redis.call('ZCARD', '{millrace}:correlated')\n"
          "return n == redis.call('LLEN', '{millrace}:correlated:order') and n < 400 and "
          "'few' or tostring(n)");
  EXPECT_EQ(left, "few");
  const auto newest = blocking::ask(*store, list_correlated{.correlation_id = "c1999"});
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->jobs.size(), 1U);
  const auto oldest = blocking::ask(*store, list_correlated{.correlation_id = "c0"});
  ASSERT_TRUE(oldest);
  EXPECT_TRUE(oldest->jobs.empty());
}

TEST(RedisCorrelated, AKeyOfSomebodyElsesStopsAJobBeforeAnythingIsWritten) {
  const redis_server server;
  const auto store = open_on(server);
  EXPECT_EQ(ask(server, "redis.call('SET', '{millrace}:correlated', 'x') return 'set'"), "set");
  const auto refused = blocking::commit(
      *store, {.steps = {enqueue_job{.queue = work, .spec = {.correlation_id = "c"}}}});
  EXPECT_FALSE(refused);
  EXPECT_EQ(ask(server, "return tostring(redis.call('EXISTS', '{millrace}:tasks:work'))"), "0");
}

}  // namespace
}  // namespace millrace::engine_redis
