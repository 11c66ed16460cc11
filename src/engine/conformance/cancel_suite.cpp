#include "fixture.hpp"

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(Cancel);

TEST_P(Cancel, EndsAWaitingJob) {
  const job made = enqueue();
  advance(1s);
  const job_changed done = run(cancel_job{made.id});
  EXPECT_EQ(done.status, job_status::cancelled);
  const job seen = look(made.id);
  EXPECT_EQ(seen.status, job_status::cancelled);
  EXPECT_EQ(seen.finished_at, now());
  EXPECT_TRUE(lease(1).empty());
  EXPECT_EQ(info().cancelled, 1U);
  EXPECT_EQ(info().waiting, 0U);
}

TEST_P(Cancel, EndsAScheduledAndARetryingJob) {
  const job scheduled = enqueue({.delay = 10s});
  const job retrying = enqueue();
  fail(lease_one());
  run(cancel_job{scheduled.id});
  run(cancel_job{retrying.id});
  advance(1h);
  EXPECT_TRUE(lease(10).empty());
  EXPECT_EQ(info().cancelled, 2U);
}

TEST_P(Cancel, AsksARunningJobToStop) {
  enqueue();
  const leased_job run_of = lease_one();
  const job_changed asked = run(cancel_job{run_of.what.id});
  EXPECT_EQ(asked.status, job_status::running);
  EXPECT_TRUE(asked.cancel_requested);
  EXPECT_TRUE(look(run_of.what.id).cancel_requested);
  EXPECT_TRUE(run(extend_lease{.id = run_of.what.id, .token = run_of.token}).cancel_requested);
  EXPECT_TRUE(run(report_progress{.id = run_of.what.id, .token = run_of.token, .value = 0.5})
                  .cancel_requested);
  EXPECT_EQ(refusal_of(cancel_job{run_of.what.id}), "done") << "asking twice is harmless";
}

TEST_P(Cancel, TakesEffectWhenTheRunFails) {
  enqueue();
  const leased_job run_of = lease_one();
  run(cancel_job{run_of.what.id});
  EXPECT_EQ(fail(run_of, "stopped").status, job_status::cancelled);
  EXPECT_EQ(look(run_of.what.id).finished_at, now());
  EXPECT_EQ(info().dead, 0U);
}

TEST_P(Cancel, TakesEffectEvenWhereTheFailureIsPermanent) {
  enqueue({.max_attempts = 1});
  const leased_job run_of = lease_one();
  run(cancel_job{run_of.what.id});
  EXPECT_EQ(run(fail_job{.id = run_of.what.id, .token = run_of.token, .permanent = true}).status,
            job_status::cancelled);
}

TEST_P(Cancel, TakesEffectWhenTheJobIsHandedBack) {
  enqueue();
  const leased_job run_of = lease_one();
  run(cancel_job{run_of.what.id});
  EXPECT_EQ(run(snooze_job{.id = run_of.what.id, .token = run_of.token, .delay = 1s}).status,
            job_status::cancelled);
  advance(1min);
  EXPECT_TRUE(lease(1).empty());
}

TEST_P(Cancel, TakesEffectWhenTheLeaseExpires) {
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 5s});
  run(cancel_job{run_of.what.id});
  advance(5s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::cancelled);
}

TEST_P(Cancel, LosesAgainstAnAck) {
  enqueue();
  const leased_job run_of = lease_one();
  run(cancel_job{run_of.what.id});
  EXPECT_EQ(ack(run_of).status, job_status::completed);
}

TEST_P(Cancel, IsRefusedForWhatHasEndedOrIsNotThere) {
  const job made = enqueue();
  ack(lease_one());
  EXPECT_EQ(refusal_of(cancel_job{made.id}), "job_ended");
  const job dead = kill_job();
  EXPECT_EQ(refusal_of(cancel_job{dead.id}), "job_ended");
  EXPECT_EQ(refusal_of(cancel_job{{.tag = "work", .stamp = 1}}), "job_not_found");
}

MILLRACE_CONFORMANCE_SUITE(Delete);

TEST_P(Delete, ForgetsAJobThatDoesNotRun) {
  const job made = enqueue();
  const job_changed last = run(delete_job{made.id});
  EXPECT_EQ(last.id, made.id);
  EXPECT_EQ(last.status, job_status::queued) << "as it was";
  EXPECT_FALSE(exists(made.id));
  EXPECT_TRUE(lease(1).empty());
  EXPECT_TRUE(listed(work).empty());
  EXPECT_EQ(info().waiting, 0U);
}

TEST_P(Delete, ForgetsEndedJobsAndTheirLog) {
  const job made = enqueue();
  const leased_job run_of = lease_one();
  run(report_progress{.id = made.id, .token = run_of.token, .log = {"a line"}});
  ack(run_of);
  run(delete_job{made.id});
  EXPECT_FALSE(exists(made.id));
  EXPECT_TRUE(ask(read_job_log{.id = made.id}).empty());
  const job dead = kill_job();
  run(delete_job{dead.id});
  EXPECT_EQ(info().dead, 0U);
  EXPECT_FALSE(ask(dead_at{.queue = work}));
}

TEST_P(Delete, IsRefusedForARunningJob) {
  enqueue();
  const leased_job run_of = lease_one();
  EXPECT_EQ(refusal_of(delete_job{run_of.what.id}), "job_running");
  ack(run_of);
  EXPECT_EQ(refusal_of(delete_job{run_of.what.id}), "done");
  EXPECT_EQ(refusal_of(delete_job{run_of.what.id}), "job_not_found");
}

}  // namespace
}  // namespace millrace::conformance
