#include <millrace/engine_model/model_store.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>

#include <gtest/gtest.h>

#include <chrono>

// What is the model's own; how it behaves as an engine is shown by the conformance suite.
namespace millrace::model {
namespace {

using namespace std::chrono_literals;
using namespace engine;

transaction single(step what) {
  transaction one;
  one.steps.push_back(std::move(what));
  return one;
}

std::string word(const commit_result& done) {
  return done ? std::string("done") : std::string(done.error().why.code);
}

TEST(ModelStore, SaysThatItKeepsNothing) {
  model_store store;
  EXPECT_EQ(store.traits().engine, "model");
  EXPECT_EQ(store.traits().strongest, durability::memory);
  EXPECT_EQ(blocking::commit(store, single(enqueue_job{.queue = {.name = "q"}}))->level,
            durability::memory);
}

// On a clock that ticks nobody has to call for a job to become due.
TEST(ModelStore, HintsByItselfWhenAJobIsDue) {
  model_store store;
  auto listener = store.hints().listen({queue_topic("default", "q")});
  ASSERT_TRUE(blocking::commit(
      store, single(enqueue_job{.queue = {.name = "q"}, .spec = {.delay = 20ms}})));
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  const auto done = blocking::commit(store, single(lease_jobs{.queues = {{.name = "q"}}}));
  ASSERT_TRUE(done);
  EXPECT_EQ(std::get<jobs_leased>(done->outcomes[0]).jobs.size(), 1U);
}

// A due time nearer than the one it waits for has to reach the timer.
TEST(ModelStore, HintsForTheSoonestOfSeveral) {
  model_store store;
  auto listener = store.hints().listen({queue_topic("default", "soon")});
  ASSERT_TRUE(blocking::commit(
      store, single(enqueue_job{.queue = {.name = "late"}, .spec = {.delay = 1h}})));
  ASSERT_TRUE(blocking::commit(
      store, single(enqueue_job{.queue = {.name = "soon"}, .spec = {.delay = 20ms}})));
  EXPECT_TRUE(run_coro(listener.wait(10s)));
}

TEST(ModelStore, RefusesNewIdempotencyKeysWhenItIsFull) {
  manual_clock clock;
  model_store store({.clock = &clock, .idempotency_keys_max = 2});
  const auto keyed = [&](std::string key) {
    transaction one = single(enqueue_job{.queue = {.name = "q"}});
    one.idempotency = idempotency_key{.project = "default", .route = "r", .key = std::move(key)};
    return blocking::commit(store, std::move(one));
  };
  EXPECT_TRUE(keyed("a"));
  EXPECT_TRUE(keyed("b"));
  const commit_result refused = keyed("c");
  ASSERT_EQ(word(refused), "idempotency_store_full");
  EXPECT_EQ(refused.error().why.kind, errc::unavailable);
  EXPECT_TRUE(refused.error().why.retry_after);
  // Old ones are never evicted for it.
  EXPECT_TRUE(keyed("a")->replayed);
  clock.advance(24h);
  EXPECT_FALSE(keyed("c")->replayed);
}

TEST(ModelStore, RefusesQueuesBeyondItsBound) {
  model_store store({.queues_max = 2});
  const auto enqueue_to = [&](std::string name) {
    return word(blocking::commit(store, single(enqueue_job{.queue = {.name = std::move(name)}})));
  };
  EXPECT_EQ(enqueue_to("a"), "done");
  transaction two = single(enqueue_job{.queue = {.name = "b"}});
  two.steps.push_back(enqueue_job{.queue = {.name = "c"}});
  EXPECT_EQ(word(blocking::commit(store, std::move(two))), "too_many_queues");
  EXPECT_EQ(enqueue_to("b"), "done");
  EXPECT_EQ(enqueue_to("c"), "too_many_queues");
  EXPECT_EQ(word(blocking::commit(store, single(configure_queue{.queue = {.name = "c"}}))),
            "too_many_queues");
  // A lease is never refused; it just makes no queue.
  EXPECT_EQ(word(blocking::commit(store, single(lease_jobs{.queues = {{.name = "c"}}}))), "done");
  EXPECT_FALSE(*blocking::ask(store, find_queue{{.name = "c"}}));
  EXPECT_EQ(enqueue_to("a"), "done");
}

// Handlers run with no lock held: one may call the store again.
TEST(ModelStore, MayBeCalledFromAHandler) {
  model_store store;
  bool answered = false;
  store.submit({}, [&](auto) { store.ask(read_clock{}, [&](auto) { answered = true; }); });
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace millrace::model
