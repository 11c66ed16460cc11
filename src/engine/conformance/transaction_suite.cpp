#include "fixture.hpp"

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(Transaction);

TEST_P(Transaction, AnswersOneOutcomeAStepInOrder) {
  enqueue_named("first");
  const leased_job run_of = lease_one();
  const commit_result done = commit_all(
      ack_job{.id = run_of.what.id, .token = run_of.token, .result = "1"},
      enqueue_job{.queue = work, .spec = {.type = "child"}}, lease_jobs{.queues = {work}});
  ASSERT_TRUE(done);
  ASSERT_EQ(done->outcomes.size(), 3U);
  EXPECT_FALSE(done->replayed);
  EXPECT_EQ(std::get<job_changed>(done->outcomes[0]).status, job_status::completed);
  const job child = std::get<job_enqueued>(done->outcomes[1]).made;
  const auto& leased = std::get<jobs_leased>(done->outcomes[2]).jobs;
  // Steps are applied in order: the lease finds what the enqueue before it has made.
  ASSERT_EQ(leased.size(), 1U);
  EXPECT_EQ(leased[0].what.id, child.id);
  EXPECT_EQ(status_of(run_of.what.id), job_status::completed);
  EXPECT_EQ(status_of(child.id), job_status::running);
}

TEST_P(Transaction, HappensNotAtAllWhenOneStepIsRefused) {
  enqueue();
  const leased_job run_of = lease_one();
  const job before = look(run_of.what.id);
  const commit_result refused = commit_all(
      enqueue_job{.queue = other},
      extend_lease{.id = run_of.what.id, .token = run_of.token, .lease = 1h},
      configure_queue{.queue = work, .paused = true}, cancel_job{{.tag = "work", .stamp = 1}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.code, "job_not_found");
  EXPECT_EQ(refused.error().why.kind, errc::not_found);
  EXPECT_EQ(refused.error().step_index, 3U);
  EXPECT_FALSE(ask(find_queue{other}));
  EXPECT_FALSE(info().paused);
  EXPECT_EQ(look(run_of.what.id).version, before.version);
  EXPECT_EQ(look(run_of.what.id).leased_until, before.leased_until);
}

// The commit that a pipeline wants: a stale worker's children are not made.
TEST_P(Transaction, MakesNoChildrenForAStaleWorker) {
  enqueue();
  const leased_job stale = lease_one({.queues = {work}, .lease = 5s});
  advance(5s);
  const commit_result refused = commit_all(enqueue_job{.queue = other}, enqueue_job{.queue = other},
                                           ack_job{.id = stale.what.id, .token = stale.token});
  ASSERT_EQ(word(refused), "stale_token");
  EXPECT_EQ(refused.error().step_index, 2U);
  EXPECT_FALSE(ask(find_queue{other}));
}

TEST_P(Transaction, NamesTheFirstRefusedStep) {
  const job_id nowhere{.tag = "work", .stamp = 1};
  const job_id nowhere_else{.tag = "work", .stamp = 2};
  const commit_result refused =
      commit_all(enqueue_job{.queue = work}, delete_job{nowhere}, requeue_dead{nowhere_else});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().step_index, 1U);
}

// All checks run against the state before: what one step makes possible, another cannot use yet.
TEST_P(Transaction, ChecksAgainstTheStateBefore) {
  configure({.depth_max = 1});
  const job waiting = enqueue();
  EXPECT_EQ(word(commit_all(delete_job{waiting.id}, enqueue_job{.queue = work})), "queue_full");
  EXPECT_TRUE(exists(waiting.id));

  const job dead = kill_job("x", {}, other);
  run(configure_queue{.queue = other, .draining = true});
  EXPECT_EQ(
      word(commit_all(configure_queue{.queue = other, .draining = false}, requeue_dead{dead.id})),
      "queue_draining");
}

TEST_P(Transaction, RefusesToAddressAJobTwice) {
  enqueue();
  const leased_job run_of = lease_one();
  const job_id id = run_of.what.id;
  const commit_result refused = commit_all(extend_lease{.id = id, .token = run_of.token},
                                           ack_job{.id = id, .token = run_of.token});
  ASSERT_EQ(word(refused), "duplicate_target");
  EXPECT_EQ(refused.error().why.kind, errc::invalid_argument);
  EXPECT_EQ(refused.error().step_index, 1U);
  EXPECT_EQ(status_of(id), job_status::running);
}

TEST_P(Transaction, RefusesToAddressAUniqueKeyTwice) {
  const enqueue_job unique{.queue = work, .spec = {.unique = unique_spec{.key = "k"}}};
  EXPECT_EQ(word(commit_all(unique, unique)), "duplicate_target");
  EXPECT_FALSE(ask(find_queue{work}));
}

// Found out only by the state: the key's holder is the job that another step names.
TEST_P(Transaction, RefusesToAddressAUniqueHolderTwice) {
  for (const unique_mode mode :
       {unique_mode::reject, unique_mode::replace, unique_mode::debounce}) {
    const enqueue_job unique{.queue = work,
                             .spec = {.unique = unique_spec{.key = "k", .mode = mode}}};
    run(unique);
    const leased_job holder = lease_one();
    EXPECT_EQ(word(commit_all(ack_job{.id = holder.what.id, .token = holder.token}, unique)),
              "duplicate_target");
    EXPECT_EQ(status_of(holder.what.id), job_status::running);
    ack(holder);
  }
}

TEST_P(Transaction, RefusesToConfigureAQueueTwice) {
  EXPECT_EQ(word(commit_all(configure_queue{.queue = work, .paused = true},
                            configure_queue{.queue = work, .draining = true})),
            "duplicate_target");
}

// A lease is never refused: it passes over what the other steps address.
TEST_P(Transaction, LeasesNothingThatAnotherStepAddresses) {
  const job a = enqueue_named("a");
  const job b = enqueue_named("b");
  const commit_result done = commit_all(lease_jobs{.queues = {work}, .max = 10}, cancel_job{a.id});
  ASSERT_TRUE(done);
  const auto& leased = std::get<jobs_leased>(done->outcomes[0]).jobs;
  ASSERT_EQ(leased.size(), 1U);
  EXPECT_EQ(leased[0].what.id, b.id);
  EXPECT_EQ(status_of(a.id), job_status::cancelled);
}

TEST_P(Transaction, LeasesNothingThatItHandsBackItself) {
  enqueue();
  const leased_job run_of = lease_one();
  const commit_result done = commit_all(snooze_job{.id = run_of.what.id, .token = run_of.token},
                                        lease_jobs{.queues = {work}});
  ASSERT_TRUE(done);
  EXPECT_TRUE(std::get<jobs_leased>(done->outcomes[1]).jobs.empty());
  EXPECT_EQ(status_of(run_of.what.id), job_status::queued);
}

TEST_P(Transaction, PurgesNothingThatAnotherStepAddresses) {
  const job a = enqueue();
  const job b = enqueue();
  const commit_result done = commit_all(purge_jobs{.queue = work}, cancel_job{a.id});
  ASSERT_TRUE(done);
  EXPECT_EQ(std::get<jobs_purged>(done->outcomes[0]).count, 1U);
  EXPECT_EQ(status_of(a.id), job_status::cancelled);
  EXPECT_FALSE(exists(b.id));
}

TEST_P(Transaction, FreesAPermitForALeaseAfterIt) {
  configure({.concurrency = 1});
  enqueue();
  const job second = enqueue();
  const leased_job run_of = lease_one();
  const commit_result done = commit_all(ack_job{.id = run_of.what.id, .token = run_of.token},
                                        lease_jobs{.queues = {work}});
  ASSERT_TRUE(done);
  const auto& leased = std::get<jobs_leased>(done->outcomes[1]).jobs;
  ASSERT_EQ(leased.size(), 1U);
  EXPECT_EQ(leased[0].what.id, second.id);
}

TEST_P(Transaction, AcksManyAtOnce) {
  for (int i = 0; i < 500; ++i) enqueue();
  transaction all;
  for (const leased_job& one : lease(500)) {
    all.steps.push_back(ack_job{.id = one.what.id, .token = one.token});
  }
  ASSERT_TRUE(commit(std::move(all)));
  EXPECT_EQ(info().completed, 500U);
  EXPECT_EQ(info().running, 0U);
}

TEST_P(Transaction, NeedsAStepAndHasABound) {
  EXPECT_NE(word(commit({})), "done");
  transaction huge;
  for (std::size_t i = 0; i <= steps_max; ++i) huge.steps.push_back(enqueue_job{.queue = work});
  EXPECT_EQ(word(commit(std::move(huge))), "too_many_steps");
  EXPECT_FALSE(ask(find_queue{work}));
}

MILLRACE_CONFORMANCE_SUITE(Idempotency);

namespace {

transaction keyed(step what, std::string key = "k", std::uint64_t fingerprint = 1) {
  transaction one{.idempotency = idempotency_key{.project = "default",
                                                 .route = "POST /v1/queues/work/jobs",
                                                 .key = std::move(key),
                                                 .fingerprint = fingerprint}};
  one.steps.push_back(std::move(what));
  return one;
}

job_id made_by(const commit_result& done) {
  return done ? std::get<job_enqueued>(done->outcomes.at(0)).made.id : job_id{};
}

}  // namespace

TEST_P(Idempotency, DoesARepeatedRequestOnce) {
  const commit_result first = commit(keyed(enqueue_job{.queue = work}));
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->replayed);
  const commit_result again = commit(keyed(enqueue_job{.queue = work}));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(made_by(again), made_by(first));
  EXPECT_EQ(info().waiting, 1U);
}

TEST_P(Idempotency, AnswersTheJobAsItIsNow) {
  const job_id id = made_by(commit(keyed(enqueue_job{.queue = work})));
  ack(lease_one());
  const commit_result again = commit(keyed(enqueue_job{.queue = work}));
  ASSERT_TRUE(again);
  EXPECT_EQ(std::get<job_enqueued>(again->outcomes[0]).made.status, job_status::completed);
  run(delete_job{id});
  const commit_result later = commit(keyed(enqueue_job{.queue = work}));
  ASSERT_TRUE(later);
  EXPECT_TRUE(later->replayed);
  EXPECT_EQ(made_by(later), id);
}

TEST_P(Idempotency, KeepsTheFlagsOfTheFirstAnswer) {
  const enqueue_job unique{.queue = work, .spec = {.unique = unique_spec{.key = "u"}}};
  run(unique);
  ASSERT_TRUE(commit(keyed(unique)));
  const commit_result again = commit(keyed(unique));
  ASSERT_TRUE(again);
  EXPECT_TRUE(std::get<job_enqueued>(again->outcomes[0]).duplicate);
}

TEST_P(Idempotency, RefusesTheKeyWithAnotherRequest) {
  ASSERT_TRUE(commit(keyed(enqueue_job{.queue = work}, "k", 1)));
  const commit_result refused = commit(keyed(enqueue_job{.queue = work}, "k", 2));
  ASSERT_EQ(word(refused), "idempotency_mismatch");
  EXPECT_EQ(refused.error().why.kind, errc::invalid_argument);
  EXPECT_EQ(info().waiting, 1U);
}

TEST_P(Idempotency, TellsKeysRoutesAndProjectsApart) {
  ASSERT_TRUE(commit(keyed(enqueue_job{.queue = work}, "k")));
  EXPECT_FALSE(commit(keyed(enqueue_job{.queue = work}, "K"))->replayed);
  transaction elsewhere = keyed(enqueue_job{.queue = work});
  elsewhere.idempotency->route = "POST /v1/commit";
  EXPECT_FALSE(commit(std::move(elsewhere))->replayed);
  transaction project = keyed(enqueue_job{.queue = work});
  project.idempotency->project = "elsewhere";
  EXPECT_FALSE(commit(std::move(project))->replayed);
  EXPECT_EQ(info().waiting, 4U);
}

TEST_P(Idempotency, KeepsNoKeyOfARefusedTransaction) {
  configure({.depth_max = 1});
  enqueue();
  EXPECT_EQ(word(commit(keyed(enqueue_job{.queue = work}))), "queue_full");
  lease_one();
  const commit_result later = commit(keyed(enqueue_job{.queue = work}));
  ASSERT_TRUE(later);
  EXPECT_FALSE(later->replayed);
}

TEST_P(Idempotency, LastsADay) {
  ASSERT_TRUE(commit(keyed(enqueue_job{.queue = work})));
  advance(24h - 1s);
  EXPECT_TRUE(commit(keyed(enqueue_job{.queue = work}))->replayed);
  // Counted from the first use; an answer given again does not lengthen it.
  advance(1s);
  EXPECT_FALSE(commit(keyed(enqueue_job{.queue = work}))->replayed);
}

// The same key twice in one batch: the second transaction comes after the first.
TEST_P(Idempotency, HoldsWithinOneBatch) {
  std::vector<transaction> batch;
  batch.push_back(keyed(enqueue_job{.queue = work}));
  batch.push_back(keyed(enqueue_job{.queue = work}));
  const auto results = engine::blocking::commit_each(store(), std::move(batch));
  ASSERT_TRUE(results[0] && results[1]);
  EXPECT_FALSE(results[0]->replayed);
  EXPECT_TRUE(results[1]->replayed);
  EXPECT_EQ(made_by(results[0]), made_by(results[1]));
}

// A worker whose connection broke repeats its ack and is told that it was done.
TEST_P(Idempotency, RepeatsAnAckWithoutTouchingTheJob) {
  enqueue();
  const leased_job run_of = lease_one();
  const ack_job step{.id = run_of.what.id, .token = run_of.token, .result = "7"};
  ASSERT_TRUE(commit(keyed(step)));
  const commit_result again = commit(keyed(step));
  ASSERT_TRUE(again) << "without the key it would be refused as stale";
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(std::get<job_changed>(again->outcomes[0]).status, job_status::completed);
}

}  // namespace
}  // namespace millrace::conformance
