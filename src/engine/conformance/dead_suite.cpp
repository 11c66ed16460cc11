#include "fixture.hpp"

#include <millrace/engine/fingerprint.hpp>

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(DeadLetters);

TEST_P(DeadLetters, KeepWhatIsNeededToUnderstandThem) {
  const job made = kill_job("no such file: /tmp/a.pdf", {.type = "resize",
                                                         .data = R"({"file":"a.pdf"})",
                                                         .labels = {{"file", "a.pdf"}},
                                                         .correlation_id = "r1"});
  const std::optional<job> dead = ask(dead_at{.queue = work});
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->id, made.id);
  EXPECT_EQ(dead->spec.type, "resize");
  EXPECT_EQ(dead->spec.data, R"({"file":"a.pdf"})");
  EXPECT_EQ(dead->spec.labels, (std::vector<label>{{"file", "a.pdf"}}));
  EXPECT_EQ(dead->spec.correlation_id, "r1");
  EXPECT_EQ(dead->error, "no such file: /tmp/a.pdf");
  EXPECT_EQ(dead->attempts, 1U);
  EXPECT_EQ(dead->failed_at, now());
  EXPECT_EQ(dead->first_failed_at, now());
}

TEST_P(DeadLetters, AreCountedFromTheOldestFailure) {
  // Made in one order, dead in another.
  const job a = enqueue_named("a");
  const job b = enqueue_named("b");
  const auto runs = lease(2);
  const auto kill = [&](const leased_job& one) {
    run(fail_job{.id = one.what.id, .token = one.token, .error = "x", .permanent = true});
  };
  kill(runs[1]);
  advance(1s);
  kill(runs[0]);
  EXPECT_EQ(ask(dead_at{.queue = work, .index = 0})->id, b.id);
  EXPECT_EQ(ask(dead_at{.queue = work, .index = 1})->id, a.id);
  EXPECT_FALSE(ask(dead_at{.queue = work, .index = 2}));
  EXPECT_EQ(listed(work, {.status = job_status::dead}), (std::vector{b.id, a.id}));
  // What leaves closes the gap.
  run(requeue_dead{b.id});
  EXPECT_EQ(ask(dead_at{.queue = work, .index = 0})->id, a.id);
}

TEST_P(DeadLetters, OfOneMomentAreOrderedById) {
  std::vector<job_id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(kill_job().id);
  EXPECT_EQ(listed(work, {.status = job_status::dead}), ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ask(dead_at{.queue = work, .index = i})->id, ids[i]);
  }
}

TEST_P(DeadLetters, ComeBackWithTheirIdAndNoAttempts) {
  const job made = kill_job("the reason", {.data = "[7]", .priority = 3});
  advance(1min);
  const job_changed back = run(requeue_dead{made.id});
  EXPECT_EQ(back.id, made.id);
  EXPECT_EQ(back.status, job_status::queued);
  EXPECT_EQ(back.attempts, 0U);
  const job seen = look(made.id);
  EXPECT_EQ(seen.status, job_status::queued);
  EXPECT_EQ(seen.run_at, now());
  EXPECT_FALSE(seen.finished_at);
  EXPECT_EQ(seen.error, "the reason");
  const leased_job run_of = lease_one();
  EXPECT_EQ(run_of.what.id, made.id);
  EXPECT_EQ(run_of.what.attempts, 1U);
  EXPECT_EQ(run_of.what.spec.data, "[7]");
  EXPECT_EQ(run_of.what.spec.priority, 3);
  EXPECT_EQ(info().dead, 0U);
}

TEST_P(DeadLetters, HaveAllTheirRunsAgainAfterARequeue) {
  const job made = kill_job("x", {.max_attempts = 2, .backoff = {.base = 0s}});
  run(requeue_dead{made.id});
  EXPECT_EQ(fail(lease_one()).status, job_status::queued);
  EXPECT_EQ(fail(lease_one()).status, job_status::dead);
}

TEST_P(DeadLetters, AreRequeuedOnlyWhenDead) {
  const job waiting = enqueue();
  EXPECT_EQ(refusal_of(requeue_dead{waiting.id}), "job_not_dead");
  ack(lease_one());
  EXPECT_EQ(refusal_of(requeue_dead{waiting.id}), "job_not_dead");
  EXPECT_EQ(refusal_of(requeue_dead{{.tag = "work", .stamp = 1}}), "job_not_found");
}

TEST_P(DeadLetters, AreNotRequeuedIntoADrainingQueue) {
  const job made = kill_job();
  run(configure_queue{.queue = work, .draining = true});
  EXPECT_EQ(refusal_of(requeue_dead{made.id}), "queue_draining");
  EXPECT_EQ(status_of(made.id), job_status::dead);
}

TEST_P(DeadLetters, AreRequeuedPastTheDepth) {
  const job made = kill_job();
  configure({.depth_max = 1});
  enqueue();
  EXPECT_EQ(run(requeue_dead{made.id}).status, job_status::queued);
}

TEST_P(DeadLetters, ArePurgedOldestFirst) {
  const job a = kill_job();
  advance(1s);
  const job b = kill_job();
  const job waiting = enqueue();
  EXPECT_EQ(run(purge_jobs{.queue = work, .target = purge_target::dead, .max = 1}).count, 1U);
  EXPECT_FALSE(exists(a.id));
  EXPECT_TRUE(exists(b.id));
  EXPECT_EQ(run(purge_jobs{.queue = work, .target = purge_target::dead}).count, 1U);
  EXPECT_EQ(run(purge_jobs{.queue = work, .target = purge_target::dead}).count, 0U);
  EXPECT_TRUE(exists(waiting.id));
  EXPECT_EQ(info().dead, 0U);
}

TEST_P(DeadLetters, AreKeptSevenDays) {
  const job made = kill_job();
  advance(7 * 24h - 1s);
  settle();
  EXPECT_TRUE(exists(made.id));
  advance(1s);
  settle();
  EXPECT_FALSE(exists(made.id));
  EXPECT_EQ(info().dead, 0U);
}

TEST_P(DeadLetters, AreKeptAsLongAsTheQueueSays) {
  configure({.keep_dead = 1h});
  const job brief = kill_job();
  const job lasting = kill_job("x", {}, other);
  configure({.keep_dead = 0s}, other);
  advance(1h);
  settle();
  EXPECT_FALSE(exists(brief.id));
  advance(24h * 365);
  settle();
  EXPECT_TRUE(exists(lasting.id)) << "zero is no bound";
}

TEST_P(DeadLetters, AreNeverTrimmedByCount) {
  configure({.keep_finished_count = 1});
  for (int i = 0; i < 50; ++i) kill_job();
  settle();
  EXPECT_EQ(info().dead, 50U);
}

MILLRACE_CONFORMANCE_SUITE(DeadStats);

TEST_P(DeadStats, NameTheFrequentErrorsFirst) {
  const std::vector<std::string> errors{"row 17 is broken", "row 99 is broken", "disk full",
                                        "row 4 is broken"};
  for (const std::string& error : errors) kill_job(error);
  const auto all = ask(read_dead_stats{});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].queue, work);
  EXPECT_EQ(all[0].count, 4U);
  EXPECT_EQ(all[0].oldest_failed_at, now());
  ASSERT_EQ(all[0].top_errors.size(), 2U);
  EXPECT_EQ(all[0].top_errors[0].count, 3U);
  EXPECT_EQ(all[0].top_errors[0].fingerprint, error_fingerprint(errors[0]));
  EXPECT_EQ(error_fingerprint(all[0].top_errors[0].sample), all[0].top_errors[0].fingerprint);
  EXPECT_EQ(all[0].top_errors[1].count, 1U);
  EXPECT_EQ(all[0].top_errors[1].sample, "disk full");
}

TEST_P(DeadStats, ForgetWhatIsRequeuedDeletedOrPurged) {
  const job a = kill_job("one");
  const job b = kill_job("two");
  kill_job("three");
  run(requeue_dead{a.id});
  run(delete_job{b.id});
  auto all = ask(read_dead_stats{});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].count, 1U);
  ASSERT_EQ(all[0].top_errors.size(), 1U);
  EXPECT_EQ(all[0].top_errors[0].sample, "three");
  run(purge_jobs{.queue = work, .target = purge_target::dead});
  all = ask(read_dead_stats{});
  ASSERT_EQ(all.size(), 1U) << "it had failures within the hour";
  EXPECT_EQ(all[0].count, 0U);
  EXPECT_TRUE(all[0].top_errors.empty());
  EXPECT_FALSE(all[0].oldest_failed_at);
}

TEST_P(DeadStats, ShowTheTenMostFrequent) {
  for (char name = 'g'; name <= 'u'; ++name) {
    kill_job(std::string("failure ") + name);
    if (name >= 'n') kill_job(std::string("failure ") + name);
  }
  const auto errors = ask(read_dead_stats{}).at(0).top_errors;
  ASSERT_EQ(errors.size(), 10U);
  EXPECT_EQ(errors[0].count, 2U);
  EXPECT_EQ(errors[7].count, 2U);
  EXPECT_EQ(errors[8].count, 1U);
  // Equal counts stand in the order of their text.
  EXPECT_EQ(errors[0].sample, "failure n");
  EXPECT_EQ(errors[8].sample, "failure g");
}

TEST_P(DeadStats, CountRetriesAndTheShareOfFailedRuns) {
  enqueue({.max_attempts = 3, .backoff = {.base = 0s}});
  for (int i = 0; i < 3; ++i) fail(lease_one());
  kill_job();
  enqueue();
  ack(lease_one());
  enqueue();
  fail(lease_one());
  const auto all = ask(read_dead_stats{});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].count, 2U);
  EXPECT_EQ(all[0].retrying, 1U);
  EXPECT_DOUBLE_EQ(all[0].average_retries, 1.0);
  EXPECT_DOUBLE_EQ(all[0].failure_rate, 5.0 / 6.0);
}

TEST_P(DeadStats, ListQueuesByNameAndOnlyThoseOfTheProject) {
  kill_job("x", {}, {.name = "b"});
  kill_job("x", {}, {.name = "a"});
  kill_job("x", {}, {.project = "elsewhere", .name = "c"});
  enqueue({}, {.name = "healthy"});
  const auto all = ask(read_dead_stats{});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].queue.name, "a");
  EXPECT_EQ(all[1].queue.name, "b");
}

TEST_P(DeadStats, ForgetTheFailureRateAfterAnHour) {
  kill_job();
  advance(61min);
  const auto all = ask(read_dead_stats{});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_DOUBLE_EQ(all[0].failure_rate, 0.0);
  EXPECT_EQ(all[0].count, 1U);
}

TEST_P(DeadStats, GiveFingerprintsThatFindTheirJobs) {
  const job a = kill_job("row 17 is broken");
  kill_job("disk full");
  const job b = kill_job("row 18 is broken");
  const job waiting = enqueue();
  EXPECT_EQ(listed(work, {.status = job_status::dead,
                          .fingerprint = error_fingerprint("row 1 is broken")}),
            (std::vector{a.id, b.id}));
  EXPECT_TRUE(exists(waiting.id));
}

// Different causes beyond the bound count together, so that a flood of them stays cheap.
TEST_P(DeadStats, CountBeyondTheBoundAsOther) {
  std::vector<transaction> batch(1);
  const std::size_t causes = fingerprints_max + 50;
  for (std::size_t i = 0; i < causes; ++i) batch[0].steps.push_back(enqueue_job{.queue = work});
  ASSERT_TRUE(engine::blocking::commit_each(store(), std::move(batch)).at(0));
  std::vector<leased_job> runs = lease(1000);
  for (leased_job& one : lease(1000)) runs.push_back(std::move(one));
  ASSERT_EQ(runs.size(), causes);
  transaction all;
  for (const leased_job& one : runs) {
    // Letters only, and none that could be of a number: those are no part of a fingerprint.
    std::string error = "cause ";
    for (std::size_t n = all.steps.size() + 1; n > 0; n /= 20) {
      error += static_cast<char>('g' + n % 20);
    }
    all.steps.push_back(fail_job{
        .id = one.what.id, .token = one.token, .error = std::move(error), .permanent = true});
  }
  ASSERT_TRUE(commit(std::move(all)));
  const auto errors = ask(read_dead_stats{}).at(0).top_errors;
  ASSERT_EQ(errors.size(), 10U);
  EXPECT_EQ(errors[0].fingerprint, "other");
  EXPECT_EQ(errors[0].count, 50U);
}

}  // namespace
}  // namespace millrace::conformance
