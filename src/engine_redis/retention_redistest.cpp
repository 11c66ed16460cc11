#include "testing_on_server.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// Of very many ended jobs the oldest are forgotten by whole buckets: see lua/ended.lua.
namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

constexpr std::size_t kept = 50'000;
constexpr std::size_t a_call = 500;
const queue_key queue{.name = "many"};

class RedisRetention : public testing::Test {
public:
  RedisRetention() {
    options with{.clock = &clock_};
    with.where.over = redis::address::transport::unix_socket;
    with.where.path = server_.socket();
    auto opened = redis_store::open(std::move(with));
    if (!opened) {
      ADD_FAILURE() << opened.error().detail;
      return;
    }
    store_ = std::move(*opened);
    queue_settings settings;
    settings.keep_finished_count = kept;
    commit({configure_queue{.queue = queue, .settings = settings}});
  }

protected:
  committed commit(std::vector<step> steps) {
    transaction one;
    one.steps = std::move(steps);
    commit_result done = blocking::commit(*store_, std::move(one));
    if (done) return std::move(*done);
    ADD_FAILURE() << done.error().why.code;
    return {};
  }

  std::vector<job_id> make(std::size_t count) {
    std::vector<step> steps(count, enqueue_job{.queue = queue});
    std::vector<job_id> out;
    for (const outcome& each : commit(std::move(steps)).outcomes) {
      out.push_back(std::get<job_enqueued>(each).made.id);
    }
    clock_.advance(1ms);
    return out;
  }

  std::vector<leased_job> lease(std::size_t count) {
    const committed done =
        commit({lease_jobs{.queues = {queue}, .max = static_cast<std::uint32_t>(count)}});
    if (done.outcomes.empty()) return {};
    return std::get<jobs_leased>(done.outcomes.front()).jobs;
  }

  void ack(const std::vector<leased_job>& jobs) {
    std::vector<step> steps;
    for (const leased_job& each : jobs) {
      steps.emplace_back(ack_job{.id = each.what.id, .token = each.token});
    }
    commit(std::move(steps));
  }

  void pass(std::size_t count) {
    for (std::size_t done = 0; done < count; done += a_call) {
      make(a_call);
      ack(lease(a_call));
    }
  }

  bool is_there(const job_id& id) {
    const auto found = blocking::ask(*store_, find_job{.id = id});
    return found && found->has_value();
  }

  /// What Redis holds: jobs, their runs' buckets, ids in the list, and what the queue counts.
  std::string in_redis(const std::string& what) {
    static const std::string script =
        "local jobs, runs, pages, ids = 0, 0, 0, 0 "
        "for _, key in ipairs(redis.call('KEYS', '{{millrace}}:tasks:many:*')) do "
        "if string.sub(key, -5) == ':runs' then runs, pages = runs + 1, pages + redis.call('HLEN', "
        "key) "
        "else jobs = jobs + redis.call('HLEN', key) end end "
        "for _, e in ipairs(redis.call('LRANGE', '{{millrace}}:queue:default/many:ended', 0, -1)) "
        "do "
        "ids = ids + (#e - 16) / 17 end "
        "local count = redis.call('HGET', '{{millrace}}:queue:default/many', 'completed') "
        "local buckets = redis.call('ZCARD', '{{millrace}}:tasks:many') "
        "return tostring({})";
    return ask(server_, fmt::format(fmt::runtime(script), what));
  }

  const redis_server server_;
  manual_clock clock_;
  std::unique_ptr<redis_store> store_;
};

TEST_F(RedisRetention, ForgetsTheOldestByWholeBuckets) {
  const std::vector<job_id> first = make(a_call);
  ack(lease(a_call));
  pass(kept);
  const std::vector<job_id> last = make(a_call);
  ack(lease(a_call));
  ASSERT_TRUE(is_there(first.front())) << "so far there are few more";
  pass(6 * a_call);
  EXPECT_FALSE(is_there(first.front()));
  EXPECT_FALSE(is_there(first.back()));
  EXPECT_TRUE(is_there(last.front()));
  const long jobs = std::stol(in_redis("jobs"));
  EXPECT_GE(jobs, static_cast<long>(kept));
  EXPECT_LE(jobs, static_cast<long>(kept) + 2048);
  EXPECT_EQ(in_redis("ids"), std::to_string(jobs));
  EXPECT_EQ(in_redis("count"), std::to_string(jobs));
  EXPECT_EQ(in_redis("runs"), in_redis("buckets"));
}

// A job that runs on keeps its bucket; those beside it go one by one.
TEST_F(RedisRetention, KeepsWhatHasNotEnded) {
  const std::vector<job_id> first = make(a_call);
  std::vector<leased_job> leased = lease(a_call);
  ASSERT_EQ(leased.size(), a_call);
  const std::vector<leased_job> held(1, leased.at(7));
  leased.erase(leased.begin() + 7);
  ack(leased);
  pass(kept + 8 * a_call);
  EXPECT_FALSE(is_there(first.front()));
  ASSERT_TRUE(is_there(held.front().what.id));
  long jobs = std::stol(in_redis("jobs"));
  EXPECT_LE(jobs, static_cast<long>(kept) + 2048 + 1);
  EXPECT_EQ(in_redis("ids"), std::to_string(jobs - 1));
  ack(held);
  EXPECT_TRUE(is_there(held.front().what.id));
  pass(8 * a_call);
  jobs = std::stol(in_redis("jobs"));
  EXPECT_EQ(in_redis("ids"), std::to_string(jobs));
  EXPECT_EQ(in_redis("count"), std::to_string(jobs));
  EXPECT_EQ(in_redis("runs"), in_redis("buckets"));
}

// An id in the list whose job was deleted is of no job: then nothing goes by its bucket.
TEST_F(RedisRetention, CountsWhatWasDeletedBefore) {
  const std::vector<job_id> first = make(a_call);
  ack(lease(a_call));
  commit({delete_job{first.at(3)}});
  pass(kept + 8 * a_call);
  EXPECT_FALSE(is_there(first.at(4)));
  const long jobs = std::stol(in_redis("jobs"));
  EXPECT_LE(jobs, static_cast<long>(kept) + 2048);
  EXPECT_EQ(in_redis("ids"), std::to_string(jobs));
  EXPECT_EQ(in_redis("count"), std::to_string(jobs));
}

}  // namespace
}  // namespace millrace::engine_redis
