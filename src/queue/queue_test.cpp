#include <millrace/queue/queue.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::durability;
using engine::job_status;

class Queues : public testing::Test {
protected:
  enqueue_request request(std::string data = "1") const {
    enqueue_request made{.queue = key};
    made.spec.data = std::move(data);
    return made;
  }
  engine::job_id enqueue(std::string data = "1") {
    return run_coro(queue.enqueue(request(std::move(data)))).value().made.id;
  }
  engine::leased_job reserve() {
    auto jobs = run_coro(queue.reserve({.queues = {{.queue = key}}})).value();
    EXPECT_EQ(jobs.size(), 1U);
    return jobs.at(0);
  }
  engine::job find(engine::job_id id) {
    return run_coro(engine::ask(store, engine::find_job{std::move(id)})).value().value();
  }
  // A job that has failed for good.
  engine::job_id bury(std::string why = "broken") {
    enqueue();
    const auto leased = reserve();
    EXPECT_TRUE(run_coro(queue.fail({.id = leased.what.id,
                                     .token = leased.token,
                                     .error = std::move(why),
                                     .permanent = true})));
    return leased.what.id;
  }

  const engine::queue_key key{.name = "mail"};
  manual_clock clock;
  model::model_store store{{.clock = &clock}};
  queues queue{store};
};

constexpr engine::store_traits durable_store{.engine = "test", .strongest = durability::durable};
constexpr engine::store_traits async_store{.engine = "test", .strongest = durability::async};

engine::enqueue_job step_of(enqueue_request request, const engine::store_traits& traits) {
  return std::get<engine::enqueue_job>(to_step(std::move(request), traits).value());
}

TEST_F(Queues, AStepTakesWhatTheRequestLeavesOutFromTheQueue) {
  const auto step = step_of(request(), async_store);
  EXPECT_EQ(step.level, durability::async);
  EXPECT_TRUE(step.default_level);
  EXPECT_TRUE(step.default_attempts);
  EXPECT_TRUE(step.default_backoff);
  EXPECT_EQ(step.spec.max_attempts, 4U);
}

TEST_F(Queues, AStepKeepsWhatTheRequestSays) {
  auto said = request();
  said.level = durability::memory;
  said.max_attempts = 9;
  said.backoff = backoff_spec{.base = 5ms};
  const auto step = step_of(said, durable_store);
  EXPECT_EQ(step.level, durability::memory);
  EXPECT_EQ(step.spec.max_attempts, 9U);
  EXPECT_EQ(step.spec.backoff.base, 5ms);
  EXPECT_FALSE(step.default_level);
  EXPECT_FALSE(step.default_attempts);
  EXPECT_FALSE(step.default_backoff);
}

TEST_F(Queues, AStepRefusesADurabilityTheStoreCannotGive) {
  auto strict = request();
  strict.level = durability::durable;
  EXPECT_EQ(step_of(strict, durable_store).level, durability::durable);
  const auto refused = to_step(strict, async_store);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, errc::unsupported);
  EXPECT_EQ(refused.error().code, "durability_unavailable");
  EXPECT_EQ(refused.error().field, "durability");
}

TEST_F(Queues, CheckNamesTheField) {
  struct row {
    std::string field;
    void (*spoil)(enqueue_request&);
  };
  const std::vector<row> rows{
      {"queue", [](enqueue_request& r) { r.queue.name = "a/b"; }},
      {"project", [](enqueue_request& r) { r.queue.project = ""; }},
      {"priority", [](enqueue_request& r) { r.spec.priority = 11; }},
      {"data", [](enqueue_request& r) { r.spec.data = "{"; }},
      {"delay", [](enqueue_request& r) { r.spec.delay = -1s; }},
      {"max_attempts", [](enqueue_request& r) { r.max_attempts = 0; }},
      {"backoff.base", [](enqueue_request& r) { r.backoff = backoff_spec{.base = -1ms}; }},
      {"labels.k", [](enqueue_request& r) { r.spec.labels = {{"k", std::string(300, 'x')}}; }},
  };
  EXPECT_TRUE(check(request()));
  for (const auto& row : rows) {
    auto bad = request();
    row.spoil(bad);
    const auto refused = check(bad);
    ASSERT_FALSE(refused) << row.field;
    EXPECT_EQ(refused.error().field, row.field);
  }
}

TEST_F(Queues, EnqueueAnswersTheJob) {
  const auto made = run_coro(queue.enqueue(request(R"({"to":"a"})")));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->made.status, job_status::queued);
  EXPECT_EQ(made->made.spec.data, R"({"to":"a"})");
  EXPECT_EQ(find(made->made.id).queue, key);
}

TEST_F(Queues, TheQueuesOwnSettingsFillWhatTheRequestLeavesOut) {
  engine::queue_settings settings;
  settings.max_attempts = 7;
  settings.backoff = backoff_spec{.base = 1s};
  ASSERT_TRUE(run_coro(queue.configure({.queue = key, .settings = settings})));
  const auto filled = run_coro(queue.enqueue(request())).value().made;
  EXPECT_EQ(filled.spec.max_attempts, 7U);
  EXPECT_EQ(filled.spec.backoff.base, 1s);
  auto own = request();
  own.max_attempts = 2;
  EXPECT_EQ(run_coro(queue.enqueue(own)).value().made.spec.max_attempts, 2U);
}

TEST_F(Queues, ConfigureRefusesADurabilityTheStoreCannotGive) {
  engine::queue_settings settings;
  settings.level = durability::durable;
  const auto refused = run_coro(queue.configure({.queue = key, .settings = settings}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "durability_unavailable");
}

TEST_F(Queues, ABadItemOfABulkLeavesTheOthersAlone) {
  auto bad = request();
  bad.spec.priority = 11;
  auto strict = request();
  strict.level = durability::durable;
  const auto answers = run_coro(queue.enqueue_each({request("1"), bad, request("3"), strict}));
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[0]->made.spec.data, "1");
  EXPECT_EQ(answers[1].error().field, "priority");
  EXPECT_EQ(answers[2]->made.spec.data, "3");
  EXPECT_EQ(answers[3].error().code, "durability_unavailable");
  EXPECT_LT(answers[0]->made.id, answers[2]->made.id);
}

TEST_F(Queues, ABulkMayBeEmptyOrBadThroughout) {
  EXPECT_TRUE(run_coro(queue.enqueue_each({})).empty());
  EXPECT_TRUE(run_coro(queue.enqueue_all({})).value().empty());
  auto strict = request();
  strict.level = durability::durable;
  EXPECT_FALSE(run_coro(queue.enqueue_each({strict})).at(0));
}

TEST_F(Queues, AnAtomicBulkIsAllOrNone) {
  auto bad = request();
  bad.spec.priority = 11;
  const auto refused = run_coro(queue.enqueue_all({request(), request(), bad}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "2.priority");
  EXPECT_EQ(run_coro(queue.reserve({.queues = {{.queue = key}}})).value().size(), 0U);
  EXPECT_EQ(run_coro(queue.enqueue_all({request("1"), request("2")})).value().at(1).made.spec.data,
            "2");
}

TEST_F(Queues, AnAtomicBulkNamesTheItemThatDidNotFit) {
  engine::queue_settings settings;
  settings.depth_max = 2;
  ASSERT_TRUE(run_coro(queue.configure({.queue = key, .settings = settings})));
  const auto refused = run_coro(queue.enqueue_all({request(), request(), request()}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_full");
  EXPECT_EQ(refused.error().field, "2");
  EXPECT_TRUE(run_coro(queue.enqueue_all({request(), request()})));
}

TEST_F(Queues, ARunEndsByItsToken) {
  enqueue();
  const auto leased = reserve();
  const auto stale = run_coro(queue.ack({.id = leased.what.id, .token = leased.token + 1}));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, "stale_token");
  EXPECT_TRUE(run_coro(queue.report({.id = leased.what.id, .token = leased.token, .value = 0.5})));
  const auto extended = run_coro(queue.extend({.id = leased.what.id, .token = leased.token}));
  EXPECT_EQ(extended.value().leased_until, clock.now() + 30s);
  const auto done = run_coro(queue.ack({.id = leased.what.id, .token = leased.token}));
  EXPECT_EQ(done.value().status, job_status::completed);
}

TEST_F(Queues, SnoozeCancelAndRemove) {
  const auto id = enqueue();
  const auto leased = reserve();
  const auto snoozed =
      run_coro(queue.snooze({.id = id, .token = leased.token, .delay = 5s})).value();
  EXPECT_EQ(snoozed.status, job_status::scheduled);
  EXPECT_EQ(snoozed.attempts, 0U);
  EXPECT_EQ(run_coro(queue.cancel(id)).value().status, job_status::cancelled);
  EXPECT_TRUE(run_coro(queue.remove(id)));
  EXPECT_EQ(run_coro(queue.remove(id)).error().code, "job_not_found");
}

TEST_F(Queues, RequeuesTheDeadThatMatch) {
  const auto first = bury("disk full");
  const auto second = bury("no such host");
  const auto fingerprint =
      run_coro(engine::ask(store, engine::read_dead_stats{})).value().at(0).top_errors.at(0);
  const engine::job_filter filter{.fingerprint = fingerprint.fingerprint};
  const auto dry = run_coro(queue.requeue_dead_where(key, filter, true)).value();
  EXPECT_EQ(dry.matched, 1U);
  EXPECT_EQ(dry.changed, 0U);
  EXPECT_EQ(find(first).status, job_status::dead);
  const auto real = run_coro(queue.requeue_dead_where(key, filter, false)).value();
  EXPECT_EQ(real.matched, 1U);
  EXPECT_EQ(real.changed, 1U);
  const auto rest = run_coro(queue.requeue_dead_where(key, {}, false)).value();
  EXPECT_EQ(rest.changed, 1U);
  EXPECT_EQ(find(first).status, job_status::queued);
  EXPECT_EQ(find(second).status, job_status::queued);
  EXPECT_EQ(find(second).attempts, 0U);
}

TEST_F(Queues, RequeuesMoreThanOneCommitHolds) {
  std::vector<enqueue_request> many(1200, request());
  ASSERT_TRUE(run_coro(queue.enqueue_all(many)));
  for (int i = 0; i < 2; ++i) {
    auto jobs = run_coro(queue.reserve({.queues = {{.queue = key}}, .max = 600})).value();
    for (auto& job : jobs) {
      ASSERT_TRUE(run_coro(
          queue.fail({.id = job.what.id, .token = job.token, .error = "x", .permanent = true})));
    }
  }
  const auto report = run_coro(queue.requeue_dead_where(key, {}, false)).value();
  EXPECT_EQ(report.matched, 1200U);
  EXPECT_EQ(report.changed, 1200U);
}

TEST_F(Queues, RequeueingStopsAtARefusalThatIsNotOneJobsOwn) {
  bury();
  ASSERT_TRUE(run_coro(queue.configure({.queue = key, .draining = true})));
  const auto refused = run_coro(queue.requeue_dead_where(key, {}, false));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_draining");
}

TEST_F(Queues, PurgesOneKindAndCountsIt) {
  const auto dead = bury();
  std::vector<enqueue_request> many(2500, request());
  ASSERT_TRUE(run_coro(queue.enqueue_all(many)));
  EXPECT_EQ(run_coro(queue.purge(key, engine::purge_target::waiting)).value(), 2500U);
  EXPECT_EQ(run_coro(queue.purge(key, engine::purge_target::waiting)).value(), 0U);
  EXPECT_EQ(find(dead).status, job_status::dead);
  EXPECT_EQ(run_coro(queue.purge(key, engine::purge_target::dead)).value(), 1U);
  EXPECT_EQ(run_coro(queue.purge(key, engine::purge_target::finished)).value(), 0U);
}

TEST_F(Queues, PurgeOfAQueueNeverUsedSaysSo) {
  const auto refused = run_coro(queue.purge({.name = "never"}, engine::purge_target::dead));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_not_found");
}

}  // namespace
}  // namespace millrace
