#include "fixture.hpp"

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(Enqueue);

TEST_P(Enqueue, MakesAJobThatIsAvailableAtOnce) {
  const job_enqueued done = run(enqueue_job{.queue = work, .spec = {.data = R"({"a":1})"}});
  EXPECT_FALSE(done.duplicate);
  EXPECT_FALSE(done.replaced);
  EXPECT_EQ(done.made.status, job_status::queued);
  EXPECT_EQ(done.made.attempts, 0U);
  EXPECT_EQ(done.made.token, 0U);
  EXPECT_EQ(done.made.created_at, now());
  EXPECT_EQ(done.made.run_at, now());
  EXPECT_FALSE(done.made.started_at);
  EXPECT_FALSE(done.made.finished_at);
  EXPECT_FALSE(done.made.leased_until);
  EXPECT_EQ(look(done.made.id).spec.data, R"({"a":1})");
  EXPECT_EQ(look(done.made.id).queue, work);
}

TEST_P(Enqueue, KeepsEveryFieldAsItWasGiven) {
  const job_spec spec{
      .type = "resize",
      // Bytes that a parse and a print would not give back.
      .data = R"( {"big": 123456789012345678901234567890.10, "s":"\u00e9é","s":2} )",
      .priority = 7,
      .max_attempts = 9,
      .backoff = {backoff_strategy::polynomial, 1500ms, 90s, backoff_jitter::equal},
      .unique = unique_spec{.key = "one of a kind", .mode = unique_mode::debounce},
      .labels = {{"file", "a b.pdf"}, {"tenant", "München"}},
      .lease = 17s,
      .timeout = 90s,
      .correlation_id = "request 42",
      .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      .group = "tenant 7"};
  const job made = look(enqueue(spec).id);
  EXPECT_EQ(made.spec.type, spec.type);
  EXPECT_EQ(made.spec.data, spec.data);
  EXPECT_EQ(made.spec.priority, spec.priority);
  EXPECT_EQ(made.spec.max_attempts, spec.max_attempts);
  EXPECT_EQ(made.spec.backoff, spec.backoff);
  ASSERT_TRUE(made.spec.unique);
  EXPECT_EQ(made.spec.unique->key, spec.unique->key);
  EXPECT_EQ(made.spec.labels, spec.labels);
  EXPECT_EQ(made.spec.lease, spec.lease);
  EXPECT_EQ(made.spec.timeout, spec.timeout);
  EXPECT_EQ(made.spec.correlation_id, spec.correlation_id);
  EXPECT_EQ(made.spec.traceparent, spec.traceparent);
  EXPECT_EQ(made.spec.group, spec.group);
  EXPECT_EQ(made.spec.codec, "json");
}

// What a worker is handed may come from elsewhere than what a reader is shown.
TEST_P(Enqueue, HandsTheWorkerTheSameFields) {
  const job_spec spec{.type = "resize",
                      .data = "[1, 2 ]",
                      .priority = 2,
                      .labels = {{"k", "v"}},
                      .correlation_id = "c",
                      .group = "g"};
  const job made = enqueue(spec);
  const job leased = lease_one().what;
  EXPECT_EQ(leased.id, made.id);
  EXPECT_EQ(leased.queue, work);
  EXPECT_EQ(leased.spec.type, spec.type);
  EXPECT_EQ(leased.spec.data, spec.data);
  EXPECT_EQ(leased.spec.priority, spec.priority);
  EXPECT_EQ(leased.spec.labels, spec.labels);
  EXPECT_EQ(leased.spec.correlation_id, spec.correlation_id);
  EXPECT_EQ(leased.spec.group, spec.group);
  EXPECT_EQ(leased.created_at, made.created_at);
}

TEST_P(Enqueue, TakesAnItemOfTheGreatestSize) {
  const std::string data = '"' + std::string(item_bytes_max - 2, 'x') + '"';
  const job made = enqueue({.data = data});
  EXPECT_EQ(look(made.id).spec.data, data);
  EXPECT_EQ(lease_one().what.spec.data, data);
}

TEST_P(Enqueue, GivesIdsThatGrowAndCarryTheRoutingTag) {
  const job first = enqueue({}, {.name = "plain"});
  const job second = enqueue({}, {.name = "docs.{acme}"});
  EXPECT_EQ(first.id.tag, "plain");
  EXPECT_EQ(second.id.tag, "acme");
  EXPECT_LT(first.id.stamp, second.id.stamp);
  EXPECT_LT(second.id.stamp, std::uint64_t{1} << 53U);
  // The tag is part of the id.
  EXPECT_FALSE(exists({.tag = "other", .stamp = first.id.stamp}));
}

TEST_P(Enqueue, MakesTheQueueAtItsFirstUse) {
  EXPECT_FALSE(ask(find_queue{work}));
  enqueue();
  EXPECT_EQ(info().waiting, 1U);
  EXPECT_EQ(info().settings, queue_settings{});
}

TEST_P(Enqueue, TellsQueuesOfTwoProjectsApart) {
  enqueue({}, {.project = "a", .name = "work"});
  enqueue({}, {.project = "b", .name = "work"});
  EXPECT_EQ(info({.project = "a", .name = "work"}).waiting, 1U);
  EXPECT_EQ(lease(10, {.project = "b", .name = "work"}).size(), 1U);
  EXPECT_EQ(info({.project = "a", .name = "work"}).waiting, 1U);
}

TEST_P(Enqueue, TakesWhatItLeavesOpenFromTheQueue) {
  const backoff_spec slow{.strategy = backoff_strategy::fixed, .base = 5s};
  configure({.backoff = slow, .max_attempts = 11});
  const job open =
      run(enqueue_job{.queue = work, .default_attempts = true, .default_backoff = true}).made;
  EXPECT_EQ(open.spec.max_attempts, 11U);
  EXPECT_EQ(open.spec.backoff, slow);
  const job named = enqueue({.max_attempts = 2});
  EXPECT_EQ(named.spec.max_attempts, 2U);
  EXPECT_EQ(named.spec.backoff, backoff_spec{});
}

TEST_P(Enqueue, LeavesDefaultsWhereTheQueueHasNone) {
  const job made =
      run(enqueue_job{.queue = work, .default_attempts = true, .default_backoff = true}).made;
  EXPECT_EQ(made.spec.max_attempts, 4U);
  EXPECT_EQ(made.spec.backoff, backoff_spec{});
}

TEST_P(Enqueue, RefusesWhatIsOutOfRangeAndMakesNothing) {
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work, .spec = {.priority = 10}}), "invalid_value");
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work, .spec = {.delay = -1s}}), "invalid_value");
  EXPECT_NE(refusal_of(enqueue_job{.queue = {.name = "a/b"}}), "done");
  EXPECT_FALSE(ask(find_queue{work}));
}

// A batch is many requests that share one round trip, nothing more.
TEST_P(Enqueue, AnswersEachTransactionOfABatchByItself) {
  std::vector<transaction> batch(3);
  batch[0].steps.push_back(enqueue_job{.queue = work});
  batch[1].steps.push_back(enqueue_job{.queue = work, .spec = {.priority = 11}});
  batch[2].steps.push_back(enqueue_job{.queue = work});
  const auto results = engine::blocking::commit_each(store(), std::move(batch));
  ASSERT_EQ(results.size(), 3U);
  EXPECT_TRUE(results[0]);
  EXPECT_FALSE(results[1]);
  EXPECT_TRUE(results[2]);
  EXPECT_EQ(info().waiting, 2U);
}

TEST_P(Enqueue, SeesInABatchWhatEarlierTransactionsOfItDid) {
  configure({.depth_max = 1});
  std::vector<transaction> batch(3);
  batch[0].steps.push_back(enqueue_job{.queue = work});
  batch[1].steps.push_back(enqueue_job{.queue = work});
  batch[2].steps.push_back(lease_jobs{.queues = {work}});
  const auto results = engine::blocking::commit_each(store(), std::move(batch));
  EXPECT_TRUE(results[0]);
  EXPECT_EQ(word(results[1]), "queue_full");
  ASSERT_TRUE(results[2]);
  EXPECT_EQ(std::get<jobs_leased>(results[2]->outcomes[0]).jobs.size(), 1U);
}

TEST_P(Enqueue, TakesManyJobsInOneTransaction) {
  transaction many;
  for (int i = 0; i < 2000; ++i) {
    many.steps.push_back(enqueue_job{.queue = work, .spec = {.data = std::to_string(i)}});
  }
  const commit_result done = commit(std::move(many));
  ASSERT_TRUE(done);
  ASSERT_EQ(done->outcomes.size(), 2000U);
  const auto leased = lease(1000);
  ASSERT_EQ(leased.size(), 1000U);
  EXPECT_EQ(leased.front().what.spec.data, "0");
  EXPECT_EQ(leased.back().what.spec.data, "999");
}

}  // namespace
}  // namespace millrace::conformance
