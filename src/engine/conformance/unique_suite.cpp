#include "fixture.hpp"

namespace millrace::conformance {
namespace {

class unique_test : public engine_test {
protected:
  job_enqueued put(unique_mode mode, job_spec spec = {}) {
    spec.unique = unique_spec{.key = "key", .mode = mode};
    return run(enqueue_job{.queue = work, .spec = std::move(spec)});
  }
  job_enqueued put(job_spec spec = {}) { return put(unique_mode::reject, std::move(spec)); }
  [[nodiscard]] bool is_free() { return !put().duplicate; }
};

#define MILLRACE_UNIQUE_SUITE(suite)   \
  class suite : public unique_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_UNIQUE_SUITE(UniqueKey);

TEST_P(UniqueKey, AnswersTheHolderInsteadOfASecondJob) {
  const job first = put({.data = "1"}).made;
  const job_enqueued second = put({.data = "2"});
  EXPECT_TRUE(second.duplicate);
  EXPECT_FALSE(second.replaced);
  EXPECT_EQ(second.made.id, first.id);
  EXPECT_EQ(second.made.spec.data, "1");
  EXPECT_EQ(second.made.version, look(first.id).version);
  EXPECT_EQ(info().waiting, 1U);
}

TEST_P(UniqueKey, IsOfOneQueueAndOneText) {
  put();
  const auto with_key = [](std::string key, queue_key queue) {
    return enqueue_job{.queue = std::move(queue),
                       .spec = {.unique = unique_spec{.key = std::move(key)}}};
  };
  EXPECT_FALSE(run(with_key("KEY", work)).duplicate);
  EXPECT_FALSE(run(with_key("key", other)).duplicate);
  EXPECT_FALSE(run(with_key("key", {.project = "p", .name = "work"})).duplicate);
  EXPECT_TRUE(run(with_key("key", work)).duplicate);
}

// The lock is part of the job: it is held in every state that is not an end …
TEST_P(UniqueKey, IsHeldWhileTheJobHasNotEnded) {
  const job made = put({.delay = 1s, .backoff = {.jitter = backoff_jitter::none}}).made;
  EXPECT_FALSE(is_free()) << "scheduled";
  advance(1s);
  EXPECT_FALSE(is_free()) << "queued";
  const leased_job run_of = lease_one();
  EXPECT_FALSE(is_free()) << "running";
  fail(run_of);
  EXPECT_EQ(status_of(made.id), job_status::retrying);
  EXPECT_FALSE(is_free()) << "retrying";
}

// … and released by every end.
TEST_P(UniqueKey, IsReleasedByAnAck) {
  put();
  ack(lease_one());
  EXPECT_TRUE(is_free());
}

TEST_P(UniqueKey, IsReleasedByDeath) {
  put({.max_attempts = 1});
  fail(lease_one());
  EXPECT_TRUE(is_free());
}

TEST_P(UniqueKey, IsReleasedByTheLastExpiry) {
  put({.max_attempts = 1});
  lease_one({.queues = {work}, .lease = 5s});
  advance(5s);
  EXPECT_TRUE(is_free());
}

TEST_P(UniqueKey, IsHeldAgainstAnEnqueueAfterAnExpiryThatIsNotTheLast) {
  put({.max_attempts = 2});
  lease_one({.queues = {work}, .lease = 5s});
  advance(5s);
  EXPECT_FALSE(is_free());
}

TEST_P(UniqueKey, IsReleasedByACancellation) {
  const job made = put().made;
  run(cancel_job{made.id});
  EXPECT_TRUE(is_free());
}

TEST_P(UniqueKey, IsReleasedByADeletion) {
  const job made = put().made;
  run(delete_job{made.id});
  EXPECT_TRUE(is_free());
}

TEST_P(UniqueKey, IsReleasedByAPurge) {
  put();
  run(purge_jobs{.queue = work});
  EXPECT_TRUE(is_free());
}

TEST_P(UniqueKey, IsTakenAgainByARequeue) {
  put({.max_attempts = 1});
  const leased_job run_of = lease_one();
  fail(run_of);
  run(requeue_dead{run_of.what.id});
  EXPECT_FALSE(is_free());
}

TEST_P(UniqueKey, IsDroppedByARequeueWhereAnotherHoldsIt) {
  put({.max_attempts = 1});
  const leased_job run_of = lease_one();
  fail(run_of);
  const job newer = put().made;
  run(requeue_dead{run_of.what.id});
  EXPECT_FALSE(look(run_of.what.id).spec.unique);
  EXPECT_EQ(put().made.id, newer.id);
  // The end of the older one frees nothing.
  run(delete_job{run_of.what.id});
  EXPECT_FALSE(is_free());
}

MILLRACE_UNIQUE_SUITE(UniqueReplace);

TEST_P(UniqueReplace, GivesAWaitingHolderTheNewData) {
  const job first = put({.type = "old", .data = "1", .priority = 2, .labels = {{"a", "1"}}}).made;
  const job_enqueued second = put(
      unique_mode::replace, {.type = "new", .data = "2", .priority = 8, .labels = {{"b", "2"}}});
  EXPECT_TRUE(second.replaced);
  EXPECT_FALSE(second.duplicate);
  EXPECT_EQ(second.made.id, first.id);
  const job held = look(first.id);
  EXPECT_EQ(held.spec.type, "new");
  EXPECT_EQ(held.spec.data, "2");
  EXPECT_EQ(held.spec.priority, 8);
  EXPECT_EQ(held.spec.labels, (std::vector<label>{{"b", "2"}}));
  EXPECT_GT(held.version, first.version);
  EXPECT_EQ(held.created_at, first.created_at);
  EXPECT_EQ(info().waiting, 1U);
  EXPECT_EQ(lease_one().what.spec.data, "2");
}

TEST_P(UniqueReplace, KeepsThePlaceOfAnAvailableJob) {
  put({.type = "unique"});
  enqueue_named("behind");
  put(unique_mode::replace, {.type = "unique, replaced"});
  EXPECT_EQ(drain(), (std::vector<std::string>{"unique, replaced", "behind"}));
}

// Its delay counts from the holder's creation, so that repeated calls cannot push a job out for
// ever.
TEST_P(UniqueReplace, CountsTheDelayFromTheHoldersCreation) {
  const job made = put({.delay = 10s}).made;
  advance(8s);
  const job held = put(unique_mode::replace, {.delay = 10s}).made;
  EXPECT_EQ(held.run_at, made.created_at + 10s);
  EXPECT_EQ(held.status, job_status::scheduled);
  advance(2s);
  EXPECT_EQ(lease_one().what.id, made.id);
}

TEST_P(UniqueReplace, MakesTheHolderAvailableWhenTheNewDueTimeHasCome) {
  const job made = put({.delay = 1h}).made;
  advance(1s);
  EXPECT_EQ(put(unique_mode::replace).made.status, job_status::queued);
  EXPECT_EQ(lease_one().what.id, made.id);
}

TEST_P(UniqueReplace, MayPutAnAvailableJobOff) {
  const job made = put().made;
  put(unique_mode::replace, {.run_at = now() + 5s});
  EXPECT_EQ(status_of(made.id), job_status::scheduled);
  EXPECT_TRUE(lease(1).empty());
  advance(5s);
  EXPECT_EQ(lease_one().what.id, made.id);
}

// A running holder has taken its data already, so the latest data needs a job of its own.
TEST_P(UniqueReplace, MakesANewJobBesideARunningHolder) {
  const job first = put({.data = "1"}).made;
  const leased_job run_of = lease_one();
  const job_enqueued second = put(unique_mode::replace, {.data = "2"});
  EXPECT_FALSE(second.replaced);
  EXPECT_FALSE(second.duplicate);
  EXPECT_NE(second.made.id, first.id);
  EXPECT_FALSE(look(first.id).spec.unique) << "the key has gone over";
  ack(run_of);
  EXPECT_EQ(put().made.id, second.made.id) << "the end of the old holder frees nothing";
  EXPECT_EQ(lease_one().what.spec.data, "2");
}

MILLRACE_UNIQUE_SUITE(UniqueDebounce);

TEST_P(UniqueDebounce, CountsTheDelayAnewAtEachCall) {
  const job made = put(unique_mode::debounce, {.data = "1", .delay = 10s}).made;
  for (int i = 0; i < 5; ++i) {
    advance(8s);
    const job_enqueued again = put(unique_mode::debounce, {.data = "2", .delay = 10s});
    EXPECT_TRUE(again.replaced);
    EXPECT_EQ(again.made.run_at, now() + 10s);
  }
  advance(9s);
  EXPECT_TRUE(lease(1).empty());
  advance(1s);
  const leased_job run_of = lease_one();
  EXPECT_EQ(run_of.what.id, made.id);
  EXPECT_EQ(run_of.what.spec.data, "2");
}

TEST_P(UniqueDebounce, MakesANewJobBesideARunningHolder) {
  put();
  lease_one();
  const job_enqueued second = put(unique_mode::debounce, {.delay = 5s});
  EXPECT_FALSE(second.replaced);
  EXPECT_EQ(second.made.status, job_status::scheduled);
}

// Attempts belong to the job, not to its data.
TEST_P(UniqueDebounce, KeepsTheAttemptsOfARetryingHolder) {
  const job made = put({.backoff = {.jitter = backoff_jitter::none}}).made;
  fail(lease_one());
  const job held = put(unique_mode::debounce, {.delay = 5s}).made;
  EXPECT_EQ(held.id, made.id);
  EXPECT_EQ(held.attempts, 1U);
  EXPECT_EQ(held.run_at, now() + 5s);
}

}  // namespace
}  // namespace millrace::conformance
