#include "fixture.hpp"

namespace millrace::conformance {
namespace {

class lease_test : public engine_test {
protected:
  leased_job start(job_spec spec = {}, duration length = 30s) {
    enqueue(std::move(spec));
    return lease_one({.queues = {work}, .lease = length, .worker = "worker 1"});
  }
};

#define MILLRACE_LEASE_SUITE(suite)   \
  class suite : public lease_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_LEASE_SUITE(Lease);

TEST_P(Lease, StartsARun) {
  const job made = enqueue();
  advance(5s);
  const leased_job run_of = lease_one({.queues = {work}, .lease = 20s, .worker = "worker 1"});
  EXPECT_EQ(run_of.what.id, made.id);
  EXPECT_GT(run_of.token, 0U);
  EXPECT_LT(run_of.token, std::uint64_t{1} << 53U);
  EXPECT_EQ(run_of.leased_until, now() + 20s);
  for (const job& seen : {run_of.what, look(made.id)}) {
    EXPECT_EQ(seen.status, job_status::running);
    EXPECT_EQ(seen.attempts, 1U);
    EXPECT_EQ(seen.token, run_of.token);
    EXPECT_EQ(seen.started_at, now());
    EXPECT_EQ(seen.leased_until, now() + 20s);
    EXPECT_EQ(seen.worker, "worker 1");
    EXPECT_GT(seen.version, made.version);
  }
  EXPECT_EQ(info().running, 1U);
  EXPECT_EQ(info().waiting, 0U);
}

TEST_P(Lease, IsNotGivenTwice) {
  enqueue();
  lease_one();
  EXPECT_TRUE(lease(10).empty());
}

TEST_P(Lease, LastsAsAskedElseAsTheJobSaysElseTheDefault) {
  enqueue({.lease = 50s});
  EXPECT_EQ(lease_one({.queues = {work}, .lease = 10s}).leased_until, now() + 10s);
  enqueue({.lease = 50s});
  EXPECT_EQ(lease_one().leased_until, now() + 50s);
  enqueue();
  EXPECT_EQ(lease_one().leased_until, now() + lease_default);
}

TEST_P(Lease, MakesTheQueue) {
  EXPECT_TRUE(lease(1).empty());
  EXPECT_TRUE(ask(find_queue{work}));
}

TEST_P(Lease, EndsWithAnAck) {
  const leased_job run_of = start();
  advance(3s);
  const job_changed done = ack(run_of, R"({"pages": 3 })");
  EXPECT_EQ(done.id, run_of.what.id);
  EXPECT_EQ(done.status, job_status::completed);
  EXPECT_EQ(done.attempts, 1U);
  const job seen = look(run_of.what.id);
  EXPECT_EQ(seen.status, job_status::completed);
  EXPECT_EQ(seen.result, R"({"pages": 3 })");
  EXPECT_EQ(seen.started_at, now() - 3s);
  EXPECT_EQ(seen.finished_at, now());
  EXPECT_FALSE(seen.leased_until);
  EXPECT_TRUE(seen.worker.empty());
  EXPECT_EQ(seen.token, run_of.token);
  EXPECT_FALSE(seen.failed_at);
  EXPECT_EQ(info().completed, 1U);
  EXPECT_EQ(info().running, 0U);
}

TEST_P(Lease, KeepsNullForAnAckWithoutAResult) {
  const leased_job run_of = start();
  ack(run_of, "");
  EXPECT_EQ(look(run_of.what.id).result, "null");
}

TEST_P(Lease, KeepsTheFailuresOfAJobThatCompletesLater) {
  const leased_job first = start({.backoff = {.base = 0s}});
  const timestamp failed_at = now();
  fail(first, "once");
  advance(1s);
  ack(lease_one());
  const job seen = look(first.what.id);
  EXPECT_EQ(seen.error, "once");
  EXPECT_EQ(seen.failed_at, failed_at);
  EXPECT_EQ(seen.first_failed_at, failed_at);
  EXPECT_EQ(seen.attempts, 2U);
}

MILLRACE_LEASE_SUITE(Fencing);

TEST_P(Fencing, GrowsWithEveryLeaseOfAJob) {
  enqueue();
  std::uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    const leased_job run_of = lease_one();
    EXPECT_GT(run_of.token, last);
    last = run_of.token;
    run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  }
}

TEST_P(Fencing, GrowsAcrossJobsToo) {
  for (int i = 0; i < 10; ++i) enqueue();
  std::uint64_t last = 0;
  for (const leased_job& one : lease(10)) {
    EXPECT_GT(one.token, last);
    last = one.token;
  }
}

TEST_P(Fencing, RefusesEveryStepWithAnotherToken) {
  const leased_job run_of = start();
  const job before = look(run_of.what.id);
  for (const std::uint64_t wrong : {run_of.token + 1, run_of.token - 1, std::uint64_t{1}}) {
    const job_id id = run_of.what.id;
    EXPECT_EQ(refusal_of(ack_job{.id = id, .token = wrong}), "stale_token");
    EXPECT_EQ(refusal_of(fail_job{.id = id, .token = wrong}), "stale_token");
    EXPECT_EQ(refusal_of(extend_lease{.id = id, .token = wrong}), "stale_token");
    EXPECT_EQ(refusal_of(snooze_job{.id = id, .token = wrong}), "stale_token");
    EXPECT_EQ(refusal_of(report_progress{.id = id, .token = wrong, .value = 0.5}), "stale_token");
  }
  EXPECT_EQ(look(run_of.what.id).version, before.version);
  EXPECT_EQ(status_of(run_of.what.id), job_status::running);
}

TEST_P(Fencing, RefusesAWorkerWhoseJobWentToAnother) {
  const leased_job stale = start({}, 5s);
  advance(5s);
  const leased_job current = lease_one();
  EXPECT_EQ(current.what.id, stale.what.id);
  EXPECT_EQ(refusal_of(ack_job{.id = stale.what.id, .token = stale.token}), "stale_token");
  EXPECT_EQ(status_of(stale.what.id), job_status::running);
  ack(current, "\"current\"");
  EXPECT_EQ(look(stale.what.id).result, "\"current\"");
}

TEST_P(Fencing, RefusesAWorkerWhoseLeaseEndedThoughNobodyTookTheJob) {
  const leased_job stale = start({}, 5s);
  advance(5s);
  EXPECT_EQ(refusal_of(ack_job{.id = stale.what.id, .token = stale.token}), "stale_token");
  EXPECT_EQ(refusal_of(extend_lease{.id = stale.what.id, .token = stale.token}), "stale_token");
}

TEST_P(Fencing, RefusesASecondAck) {
  const leased_job run_of = start();
  ack(run_of, "1");
  EXPECT_EQ(refusal_of(ack_job{.id = run_of.what.id, .token = run_of.token, .result = "2"}),
            "stale_token");
  EXPECT_EQ(look(run_of.what.id).result, "1");
}

TEST_P(Fencing, NamesAJobThatIsNotThere) {
  const job_id nowhere{.tag = "work", .stamp = 4711};
  EXPECT_EQ(refusal_of(ack_job{.id = nowhere, .token = 1}), "job_not_found");
  EXPECT_EQ(refusal_of(extend_lease{.id = nowhere, .token = 1}), "job_not_found");
  const leased_job run_of = start();
  job_id elsewhere = run_of.what.id;
  elsewhere.tag = "elsewhere";
  EXPECT_EQ(refusal_of(ack_job{.id = elsewhere, .token = run_of.token}), "job_not_found");
}

MILLRACE_LEASE_SUITE(LeaseExpiry);

TEST_P(LeaseExpiry, ComesAtTheMicrosecondAndMakesTheJobAvailableAtOnce) {
  const leased_job run_of = start({}, 10s);
  advance(10s - 1us);
  EXPECT_EQ(status_of(run_of.what.id), job_status::running);
  advance(1us);
  const job seen = look(run_of.what.id);
  EXPECT_EQ(seen.status, job_status::queued);
  EXPECT_EQ(seen.attempts, 1U);
  EXPECT_EQ(seen.error_code, "lease_expired");
  EXPECT_FALSE(seen.error.empty());
  EXPECT_FALSE(seen.leased_until);
  const leased_job again = lease_one();
  EXPECT_EQ(again.what.id, run_of.what.id);
  EXPECT_EQ(again.what.attempts, 2U);
}

// It happened when the lease ended, however late somebody looks.
TEST_P(LeaseExpiry, CarriesTheTimeAtWhichTheLeaseEnded) {
  const leased_job run_of = start({}, 10s);
  const timestamp ended = run_of.leased_until;
  advance(1h);
  const job seen = look(run_of.what.id);
  EXPECT_EQ(seen.failed_at, ended);
  EXPECT_EQ(seen.first_failed_at, ended);
  EXPECT_EQ(seen.run_at, ended);
  EXPECT_EQ(info().oldest_available_at, ended);
}

TEST_P(LeaseExpiry, KillsTheJobAfterItsLastAttempt) {
  const leased_job first = start({.max_attempts = 2}, 10s);
  advance(10s);
  lease_one({.queues = {work}, .lease = 10s});
  advance(10s);
  const job seen = look(first.what.id);
  EXPECT_EQ(seen.status, job_status::dead);
  EXPECT_EQ(seen.error_code, "lease_expired");
  EXPECT_EQ(seen.attempts, 2U);
  EXPECT_EQ(seen.finished_at, now());
  EXPECT_EQ(seen.first_failed_at, now() - 10s);
  EXPECT_EQ(info().dead, 1U);
}

TEST_P(LeaseExpiry, SparesTheLeasesThatStillRun) {
  const leased_job shorter = start({}, 5s);
  const leased_job longer = start({}, 50s);
  advance(10s);
  EXPECT_EQ(status_of(shorter.what.id), job_status::queued);
  ack(longer);
}

MILLRACE_LEASE_SUITE(LeaseExtension);

TEST_P(LeaseExtension, CountsFromNow) {
  const leased_job run_of = start({}, 10s);
  advance(9s);
  const auto extended =
      run(extend_lease{.id = run_of.what.id, .token = run_of.token, .lease = 20s});
  EXPECT_EQ(extended.leased_until, now() + 20s);
  EXPECT_FALSE(extended.cancel_requested);
  EXPECT_EQ(look(run_of.what.id).leased_until, now() + 20s);
  advance(19s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::running);
  advance(1s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::queued);
}

TEST_P(LeaseExtension, IsAsLongAsTheLeaseWhereItNamesNone) {
  const leased_job run_of = start({}, 10s);
  for (int i = 0; i < 10; ++i) {
    advance(9s);
    const auto extended = run(extend_lease{.id = run_of.what.id, .token = run_of.token});
    EXPECT_EQ(extended.leased_until, now() + 10s);
  }
  ack(run_of);
}

TEST_P(LeaseExtension, MayShorten) {
  const leased_job run_of = start({}, 60s);
  run(extend_lease{.id = run_of.what.id, .token = run_of.token, .lease = 2s});
  advance(2s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::queued);
}

TEST_P(LeaseExtension, NeverReachesBeyondTheTimeout) {
  const leased_job run_of = start({.timeout = 25s}, 10s);
  const timestamp bound = now() + 25s;
  advance(9s);
  EXPECT_EQ(run(extend_lease{.id = run_of.what.id, .token = run_of.token}).leased_until,
            now() + 10s);
  advance(9s);
  EXPECT_EQ(run(extend_lease{.id = run_of.what.id, .token = run_of.token}).leased_until, bound);
  EXPECT_EQ(
      run(extend_lease{.id = run_of.what.id, .token = run_of.token, .lease = 1h}).leased_until,
      bound);
  advance(7s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::queued);
}

TEST_P(LeaseExtension, IsBoundByTheTimeoutFromTheFirstLeaseOn) {
  EXPECT_EQ(start({.timeout = 3s}, 10s).leased_until, now() + 3s);
}

// Each run has the whole timeout.
TEST_P(LeaseExtension, CountsTheTimeoutFromTheStartOfTheRun) {
  const leased_job first = start({.timeout = 10s}, 10s);
  advance(10s);
  const leased_job second = lease_one({.queues = {work}, .lease = 60s});
  EXPECT_EQ(second.what.id, first.what.id);
  EXPECT_EQ(second.leased_until, now() + 10s);
}

TEST_P(LeaseExtension, CarriesACheckpointToTheNextAttempt) {
  const leased_job run_of = start({}, 10s);
  run(extend_lease{.id = run_of.what.id, .token = run_of.token, .checkpoint = R"({"page":7})"});
  EXPECT_EQ(look(run_of.what.id).checkpoint, R"({"page":7})");
  run(extend_lease{.id = run_of.what.id, .token = run_of.token, .checkpoint = ""});
  run(extend_lease{.id = run_of.what.id, .token = run_of.token});
  advance(10s);
  EXPECT_EQ(lease_one().what.checkpoint, R"({"page":7})");
}

MILLRACE_LEASE_SUITE(Snooze);

TEST_P(Snooze, HandsTheJobBackWithItsAttemptIntact) {
  const leased_job run_of = start();
  const job_changed back = run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  EXPECT_EQ(back.status, job_status::queued);
  EXPECT_EQ(back.attempts, 0U);
  const job seen = look(run_of.what.id);
  EXPECT_EQ(seen.attempts, 0U);
  EXPECT_TRUE(seen.error.empty());
  EXPECT_FALSE(seen.leased_until);
  EXPECT_EQ(lease_one().what.attempts, 1U);
}

TEST_P(Snooze, SchedulesTheJobForLater) {
  const leased_job run_of = start();
  const job_changed back =
      run(snooze_job{.id = run_of.what.id, .token = run_of.token, .delay = 30s});
  EXPECT_EQ(back.status, job_status::scheduled);
  EXPECT_EQ(back.run_at, now() + 30s);
  advance(30s);
  EXPECT_EQ(lease_one().what.attempts, 1U);
}

// A job that runs out of attempts only by running.
TEST_P(Snooze, CanBeRepeatedWithoutEnd) {
  start({.max_attempts = 1});
  const job_id id = listed(work).front();
  for (int i = 0; i < 10; ++i) {
    const job seen = look(id);
    run(snooze_job{.id = id, .token = seen.token});
    lease_one();
  }
  EXPECT_EQ(look(id).attempts, 1U);
  EXPECT_EQ(status_of(id), job_status::running);
}

TEST_P(Snooze, IsNoFailure) {
  const leased_job run_of = start();
  run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  for (const minute_count& counted : info().minutes) EXPECT_EQ(counted.failed, 0U);
}

}  // namespace
}  // namespace millrace::conformance
