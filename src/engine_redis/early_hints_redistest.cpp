#include "testing_on_server.hpp"

#include <millrace/engine/async.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <utility>
#include <vector>

namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

const queue_key work{.name = "work"};

transaction of(step one) {
  transaction out;
  out.steps.push_back(std::move(one));
  return out;
}

/// Who looks for a job when it is told that there may be one.
class waiter final {
public:
  explicit waiter(store& where)
      : where_(where), listener_(where.hints().listen({queue_topic(work.project, work.name)})) {}

  void wait() {
    listener_.call_at_hint([this] {
      std::vector<transaction> look;
      look.push_back(of(lease_jobs{.queues = {work}}));
      where_.submit(std::move(look), [this](std::vector<commit_result> done) {
        found_.set_value(std::get<jobs_leased>(done.at(0).value().outcomes.at(0)).jobs.size());
      });
    });
  }
  /// How many jobs it found.
  std::size_t found() { return found_.get_future().get(); }
  /// It has not been told.
  bool call_off() { return listener_.call_off(); }

private:
  store& where_;
  wakeups::listener listener_;
  std::promise<std::size_t> found_;
};

/// How often the server has carried out a command.
int calls(const redis_server& server, const std::string& command = "fcall") {
  return std::stoi(ask(server, "return string.match(redis.call('INFO', 'commandstats'), 'cmdstat_" +
                                   command + ":calls=(%d+)') or '0'"));
}

commit_result make_job(store& where, duration delay = duration{0}) {
  return blocking::commit(where, of(enqueue_job{.queue = work, .spec = {.delay = delay}}));
}

TEST(RedisEarlyHints, HaveAJobMadeAndLeasedByOneCall) {
  const redis_server server;
  const auto store = open_on(server);
  // The queue is there, and what was sent before has been answered.
  ASSERT_TRUE(make_job(*store));
  ASSERT_TRUE(blocking::commit(*store, of(lease_jobs{.queues = {work}})));
  waiter one(*store);
  one.wait();
  const int before = calls(server);
  const int pushed = calls(server, "rpush");
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(one.found(), 1U);
  EXPECT_EQ(calls(server), before + 1);
  EXPECT_EQ(calls(server, "rpush"), pushed) << "it need not go through its lane";
}

TEST(RedisEarlyHints, HaveAJobOfABoundedQueueLeasedByTheSameCall) {
  const redis_server server;
  const auto store = open_on(server);
  ASSERT_TRUE(blocking::commit(
      *store, of(configure_queue{.queue = work, .settings = queue_settings{.concurrency = 1}})));
  waiter one(*store);
  one.wait();
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(one.found(), 1U);
  waiter another(*store);
  another.wait();
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(another.found(), 0U) << "one runs already";
}

TEST(RedisEarlyHints, LeaveTheJobsOfAPausedQueueWhereTheyWait) {
  const redis_server server;
  const auto store = open_on(server);
  ASSERT_TRUE(blocking::commit(*store, of(configure_queue{.queue = work, .paused = true})));
  waiter one(*store);
  one.wait();
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(one.found(), 0U);
  ASSERT_TRUE(blocking::commit(*store, of(configure_queue{.queue = work, .paused = false})));
  const auto leased = blocking::commit(*store, of(lease_jobs{.queues = {work}}));
  ASSERT_TRUE(leased);
  EXPECT_EQ(std::get<jobs_leased>(leased->outcomes.at(0)).jobs.size(), 1U);
}

TEST(RedisEarlyHints, AreNotGivenAgainWithTheAnswer) {
  const redis_server server;
  const auto store = open_on(server);
  waiter first(*store);
  waiter second(*store);
  first.wait();
  second.wait();
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(first.found(), 1U);
  // Had the answer told it of the first job, it would have found none.
  ASSERT_TRUE(blocking::ask(*store, read_clock{}));
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(second.found(), 1U);
}

TEST(RedisEarlyHints, AreNotGivenForWhatIsNotAvailableYet) {
  const redis_server server;
  const auto store = open_on(server);
  waiter one(*store);
  one.wait();
  ASSERT_TRUE(make_job(*store, 1h));
  EXPECT_TRUE(one.call_off());
  const auto timed = make_job(*store, 20ms);
  ASSERT_TRUE(timed);
  one.wait();
  // Told when it is due.
  EXPECT_EQ(one.found(), 1U);
}

TEST(RedisEarlyHints, ForWhatIsRefusedCostALookAndNothingElse) {
  const redis_server server;
  const auto store = open_on(server);
  waiter one(*store);
  one.wait();
  const transaction twice = [] {
    transaction out = of(enqueue_job{.queue = work});
    // Refused: no such job, and so nothing of it.
    out.steps.emplace_back(ack_job{.id = {.tag = "none", .stamp = 1}, .token = 1});
    return out;
  }();
  EXPECT_FALSE(blocking::commit(*store, twice));
  EXPECT_EQ(one.found(), 0U);
  waiter another(*store);
  another.wait();
  ASSERT_TRUE(make_job(*store));
  EXPECT_EQ(another.found(), 1U);
}

}  // namespace
}  // namespace millrace::engine_redis
