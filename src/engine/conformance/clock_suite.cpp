#include "fixture.hpp"

namespace millrace::conformance {
namespace {

// The machine's clock may be set back; the store's never goes back.
MILLRACE_CONFORMANCE_SUITE(ClockGoingBack);

TEST_P(ClockGoingBack, LeavesTheStoresClockWhereItWas) {
  advance(10s);
  const timestamp before = ask(read_clock{});
  clock().set(before - 1h);
  EXPECT_EQ(ask(read_clock{}), before);
  EXPECT_EQ(enqueue().created_at, before);
  clock().set(before + 1s);
  EXPECT_EQ(ask(read_clock{}), before + 1s);
}

TEST_P(ClockGoingBack, IsNotFollowedFromTheOpeningOn) {
  const timestamp opened = now();
  advance(-1h);
  EXPECT_EQ(ask(read_clock{}), opened);
}

TEST_P(ClockGoingBack, KeepsTokensAndIdsGrowing) {
  const job first = enqueue();
  const leased_job run_of = lease_one();
  clock().set(now() - 24h);
  run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  EXPECT_GT(lease_one().token, run_of.token);
  EXPECT_GT(enqueue().id.stamp, first.id.stamp);
}

TEST_P(ClockGoingBack, NeitherExpiresNorProlongsALease) {
  advance(1h);
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 10s});
  const timestamp start = now();
  clock().set(start - 30min);
  EXPECT_EQ(status_of(run_of.what.id), job_status::running);
  clock().set(start + 9s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::running);
  clock().set(start + 10s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::queued);
}

TEST_P(ClockGoingBack, TakesNothingBackThatWasDue) {
  const job made = enqueue({.delay = 10s});
  advance(10s);
  EXPECT_EQ(status_of(made.id), job_status::queued);
  clock().set(now() - 10s);
  EXPECT_EQ(status_of(made.id), job_status::queued);
  EXPECT_EQ(lease_one().what.id, made.id);
}

}  // namespace
}  // namespace millrace::conformance
