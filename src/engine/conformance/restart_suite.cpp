#include "fixture.hpp"

#include <set>

namespace millrace::conformance {
namespace {

struct restart_case {
  engine_case engine;
  ending how;
};

std::vector<restart_case> restarts(std::vector<ending> endings) {
  std::vector<restart_case> cases;
  for (const engine_case& one : reopenable_engines_under_test()) {
    for (const ending how : endings) cases.push_back({one, how});
  }
  return cases;
}

std::string name_of(const restart_case& which) {
  return which.engine.name + (which.how == ending::killed ? "Killed" : "Closed");
}
void PrintTo(const restart_case& which, std::ostream* out) { *out << name_of(which); }
std::string restart_name(const testing::TestParamInfo<restart_case>& info) {
  return name_of(info.param);
}

class restart_test : public engine_fixture, public testing::WithParamInterface<restart_case> {
protected:
  restart_test() : engine_fixture(GetParam().engine) {}
  void restart(duration away = 0s) { engine_fixture::restart(GetParam().how, away); }
};

class Restart : public restart_test {};
INSTANTIATE_TEST_SUITE_P(Engine, Restart,
                         testing::ValuesIn(restarts({ending::closed, ending::killed})),
                         restart_name);
// An engine that keeps nothing has nothing to show here.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Restart);

TEST_P(Restart, KeepsEveryFieldOfAnAcknowledgedJob) {
  const job_spec spec{.type = "resize",
                      .data = R"( {"n": 1.50} )",
                      .priority = 7,
                      .max_attempts = 9,
                      .backoff = {backoff_strategy::linear, 1500ms, 90s, backoff_jitter::equal},
                      .unique = unique_spec{.key = "k", .mode = unique_mode::debounce},
                      .labels = {{"a", "1"}, {"b", "2"}},
                      .lease = 17s,
                      .timeout = 90s,
                      .correlation_id = "c",
                      .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                      .group = "g"};
  const job before = look(enqueue(spec).id);
  restart();
  const job after = look(before.id);
  EXPECT_EQ(after.queue, before.queue);
  EXPECT_EQ(after.status, job_status::queued);
  EXPECT_EQ(after.created_at, before.created_at);
  EXPECT_EQ(after.run_at, before.run_at);
  EXPECT_EQ(after.spec.type, spec.type);
  EXPECT_EQ(after.spec.data, spec.data);
  EXPECT_EQ(after.spec.priority, spec.priority);
  EXPECT_EQ(after.spec.max_attempts, spec.max_attempts);
  EXPECT_EQ(after.spec.backoff, spec.backoff);
  EXPECT_EQ(after.spec.labels, spec.labels);
  EXPECT_EQ(after.spec.lease, spec.lease);
  EXPECT_EQ(after.spec.timeout, spec.timeout);
  EXPECT_EQ(after.spec.correlation_id, spec.correlation_id);
  EXPECT_EQ(after.spec.traceparent, spec.traceparent);
  EXPECT_EQ(after.spec.group, spec.group);
  EXPECT_EQ(after.level, before.level);
  EXPECT_EQ(lease_one().what.spec.data, spec.data);
}

TEST_P(Restart, KeepsTheOrderOfWhatWaits) {
  enqueue({.type = "low", .priority = 1});
  enqueue_named("handed back");
  enqueue_named("b");
  const leased_job run_of = lease_one();
  run(snooze_job{.id = run_of.what.id, .token = run_of.token});
  enqueue({.type = "promoted", .delay = 5s});
  enqueue_named("c");
  advance(5s);
  enqueue_named("d");
  restart();
  EXPECT_EQ(drain(), (std::vector<std::string>{"b", "handed back", "c", "promoted", "d", "low"}));
}

TEST_P(Restart, LetsAWorkerGoOnWithItsLease) {
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 10s});
  advance(7s);
  restart();
  const job seen = look(run_of.what.id);
  EXPECT_EQ(seen.status, job_status::running);
  EXPECT_EQ(seen.token, run_of.token);
  EXPECT_EQ(seen.attempts, 1U);
  EXPECT_EQ(seen.leased_until, now() + 10s) << "one full interval";
  advance(9s);
  run(extend_lease{.id = run_of.what.id, .token = run_of.token});
  advance(9s);
  ack(run_of);
}

// Nobody can renew a lease while the engine is away.
TEST_P(Restart, CountsNoTimeAgainstALeaseWhileItIsAway) {
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 10s});
  restart(24h);
  EXPECT_EQ(status_of(run_of.what.id), job_status::running);
  advance(10s);
  EXPECT_EQ(status_of(run_of.what.id), job_status::queued);
  EXPECT_EQ(refusal_of(ack_job{.id = run_of.what.id, .token = run_of.token}), "stale_token");
}

TEST_P(Restart, ForgetsNoAttempt) {
  const job made = enqueue({.max_attempts = 2, .backoff = {.base = 0s}});
  fail(lease_one());
  restart();
  EXPECT_EQ(look(made.id).attempts, 1U);
  const leased_job second = lease_one();
  EXPECT_EQ(second.what.attempts, 2U);
  restart();
  EXPECT_EQ(look(made.id).attempts, 2U);
  EXPECT_EQ(fail(second).status, job_status::dead);
}

TEST_P(Restart, RefusesWhoWasStaleBefore) {
  enqueue();
  const leased_job stale = lease_one({.queues = {work}, .lease = 5s});
  advance(5s);
  const leased_job current = lease_one();
  restart();
  EXPECT_EQ(refusal_of(ack_job{.id = stale.what.id, .token = stale.token}), "stale_token");
  ack(current);
}

TEST_P(Restart, RepeatsNoIdAndNoToken) {
  std::set<std::uint64_t> ids;
  std::set<std::uint64_t> tokens;
  std::uint64_t last_id = 0;
  std::uint64_t last_token = 0;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 10; ++i) {
      const leased_job run_of = begin_run();
      EXPECT_TRUE(ids.insert(run_of.what.id.stamp).second);
      EXPECT_TRUE(tokens.insert(run_of.token).second);
      EXPECT_GT(run_of.what.id.stamp, last_id);
      EXPECT_GT(run_of.token, last_token);
      last_id = run_of.what.id.stamp;
      last_token = run_of.token;
    }
    // The machine's clock may be wrong after a restart.
    restart(-1h);
  }
}

TEST_P(Restart, KeepsDueTimes) {
  const job scheduled = enqueue({.delay = 1h});
  const leased_job run_of = begin_run();
  run(fail_job{.id = run_of.what.id, .token = run_of.token, .error = "x", .retry_in = 2h});
  restart(30min);
  EXPECT_EQ(status_of(scheduled.id), job_status::scheduled);
  EXPECT_EQ(status_of(run_of.what.id), job_status::retrying);
  EXPECT_EQ(look(run_of.what.id).error, "x");
  advance(30min);
  EXPECT_EQ(lease_one().what.id, scheduled.id);
  restart(3h);
  EXPECT_EQ(lease_one().what.id, run_of.what.id) << "due while away";
}

TEST_P(Restart, KeepsWhatEnded) {
  const leased_job done = begin_run();
  ack(done, R"({"pages":3})");
  const job cancelled = enqueue();
  run(cancel_job{cancelled.id});
  const job first = kill_job("row 1 is broken");
  advance(1s);
  const job second = kill_job("row 2 is broken");
  const job deleted = enqueue();
  run(delete_job{deleted.id});
  restart();
  EXPECT_EQ(look(done.what.id).result, R"({"pages":3})");
  EXPECT_EQ(status_of(done.what.id), job_status::completed);
  EXPECT_EQ(status_of(cancelled.id), job_status::cancelled);
  EXPECT_FALSE(exists(deleted.id));
  EXPECT_EQ(ask(dead_at{.queue = work, .index = 0})->id, first.id);
  EXPECT_EQ(ask(dead_at{.queue = work, .index = 1})->id, second.id);
  EXPECT_EQ(look(first.id).error, "row 1 is broken");
  const auto stats = ask(read_dead_stats{});
  ASSERT_EQ(stats.size(), 1U);
  EXPECT_EQ(stats[0].count, 2U);
  ASSERT_EQ(stats[0].top_errors.size(), 1U);
  EXPECT_EQ(stats[0].top_errors[0].count, 2U);
  run(requeue_dead{first.id});
  EXPECT_EQ(lease_one().what.id, first.id);
}

TEST_P(Restart, KeepsTheCountsOfAQueue) {
  enqueue({.delay = 1h});
  ack(begin_run());
  fail(begin_run());
  kill_job();
  run(cancel_job{enqueue().id});
  begin_run();
  enqueue();
  const queue_info before = info();
  restart();
  const queue_info after = info();
  EXPECT_EQ(after.waiting, before.waiting);
  EXPECT_EQ(after.scheduled, before.scheduled);
  EXPECT_EQ(after.running, before.running);
  EXPECT_EQ(after.retrying, before.retrying);
  EXPECT_EQ(after.dead, before.dead);
  EXPECT_EQ(after.completed, before.completed);
  EXPECT_EQ(after.cancelled, before.cancelled);
  EXPECT_EQ(after.oldest_available_at, before.oldest_available_at);
}

TEST_P(Restart, KeepsSettingsAndSwitches) {
  const queue_settings settings{.rate = {7, 3s},
                                .concurrency = 4,
                                .depth_max = 99,
                                .backoff = backoff_spec{.base = 5s},
                                .max_attempts = 6};
  configure(settings);
  run(configure_queue{.queue = work, .paused = true});
  run(configure_queue{.queue = other, .draining = true});
  restart();
  EXPECT_EQ(info().settings, settings);
  EXPECT_TRUE(info().paused);
  EXPECT_FALSE(info().draining);
  EXPECT_FALSE(info(other).paused);
  EXPECT_EQ(refusal_of(enqueue_job{.queue = other}), "queue_draining");
  enqueue();
  EXPECT_TRUE(lease(1).empty());
}

TEST_P(Restart, KeepsUniqueLocksWithTheirJobs) {
  const enqueue_job unique{.queue = work, .spec = {.unique = unique_spec{.key = "k"}}};
  const job made = run(unique).made;
  restart();
  EXPECT_EQ(run(unique).made.id, made.id);
  const leased_job run_of = lease_one();
  restart();
  EXPECT_TRUE(run(unique).duplicate);
  ack(run_of);
  restart();
  EXPECT_FALSE(run(unique).duplicate);
}

TEST_P(Restart, KeepsRecurringJobs) {
  cron_entry entry{.name = "nightly",
                   .queue = "work",
                   .schedule = "0 3 * * *",
                   .time_zone = "Europe/Vienna",
                   .job = {.type = "report", .labels = {{"a", "b"}}},
                   .catch_up = cron_catch_up::all,
                   .overlap = cron_overlap::skip,
                   .next_at = now() + 1h};
  const cron_entry before = run(put_cron{entry}).entry;
  restart();
  const auto after = ask(find_cron{.name = "nightly"});
  ASSERT_TRUE(after);
  EXPECT_EQ(after->schedule, entry.schedule);
  EXPECT_EQ(after->time_zone, entry.time_zone);
  EXPECT_EQ(after->job.type, "report");
  EXPECT_EQ(after->job.labels, entry.job.labels);
  EXPECT_EQ(after->catch_up, entry.catch_up);
  EXPECT_EQ(after->overlap, entry.overlap);
  EXPECT_EQ(after->next_at, entry.next_at);
  EXPECT_EQ(after->version, before.version);
  const fire_cron fire{.project = "default",
                       .name = "nightly",
                       .version = before.version,
                       .slot = *entry.next_at,
                       .next_at = *entry.next_at + 1h};
  const cron_fired fired = run(fire);
  restart();
  EXPECT_EQ(refusal_of(fire), "cron_moved") << "no slot fires twice";
  EXPECT_EQ(ask(find_cron{.name = "nightly"})->last_job, fired.made);
  EXPECT_EQ(ask(find_cron{.name = "nightly"})->fired, 1U);
  run(delete_cron{.project = "default", .name = "nightly"});
  restart();
  EXPECT_FALSE(ask(find_cron{.name = "nightly"}));
}

TEST_P(Restart, KeepsIdempotencyKeys) {
  const auto request = [](std::uint64_t fingerprint) {
    transaction one{
        .idempotency = idempotency_key{
            .project = "default", .route = "POST", .key = "k", .fingerprint = fingerprint}};
    one.steps.push_back(enqueue_job{.queue = work});
    return one;
  };
  const commit_result first = commit(request(~std::uint64_t{0}));
  ASSERT_TRUE(first);
  restart();
  const commit_result again = commit(request(~std::uint64_t{0}));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(std::get<job_enqueued>(again->outcomes.at(0)).made.id,
            std::get<job_enqueued>(first->outcomes.at(0)).made.id);
  EXPECT_EQ(word(commit(request(2))), "idempotency_mismatch");
  restart(24h);
  EXPECT_FALSE(commit(request(2))->replayed);
}

TEST_P(Restart, KeepsCheckpointsAndRequestsToCancel) {
  enqueue();
  const leased_job run_of = lease_one();
  run(extend_lease{.id = run_of.what.id, .token = run_of.token, .checkpoint = "[7]"});
  run(cancel_job{run_of.what.id});
  const leased_job resumed = begin_run();
  run(extend_lease{.id = resumed.what.id, .token = resumed.token, .checkpoint = "[8]"});
  run(snooze_job{.id = resumed.what.id, .token = resumed.token});
  restart();
  EXPECT_EQ(look(run_of.what.id).checkpoint, "[7]");
  EXPECT_TRUE(run(extend_lease{.id = run_of.what.id, .token = run_of.token}).cancel_requested);
  EXPECT_EQ(lease_one().what.checkpoint, "[8]");
}

TEST_P(Restart, LetsLiveLeasesKeepTheirPermits) {
  configure({.concurrency = 2, .group_concurrency = 1});
  for (int i = 0; i < 5; ++i) enqueue({.group = i < 2 ? "a" : ""});
  const auto runs = lease(10);
  ASSERT_EQ(runs.size(), 2U);
  restart();
  EXPECT_TRUE(lease(10).empty());
  ack(runs[1]);
  const auto next = lease(10);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_TRUE(next[0].what.spec.group.empty()) << "group a is still at its bound";
}

TEST_P(Restart, KeepsAllOfATransaction) {
  enqueue();
  const leased_job run_of = lease_one();
  ASSERT_TRUE(commit_all(ack_job{.id = run_of.what.id, .token = run_of.token, .result = "1"},
                         enqueue_job{.queue = other}, enqueue_job{.queue = other}));
  restart();
  EXPECT_EQ(status_of(run_of.what.id), job_status::completed);
  EXPECT_EQ(info(other).waiting, 2U);
}

TEST_P(Restart, GoesOnAfterManyRestarts) {
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) enqueue_named(std::to_string(round * 20 + i));
    restart();
    for (const leased_job& one : lease(10)) ack(one);
    restart();
  }
  EXPECT_EQ(info().completed, 50U);
  const auto rest = drain();
  ASSERT_EQ(rest.size(), 50U);
  EXPECT_EQ(rest.front(), "50");
  EXPECT_EQ(rest.back(), "99");
}

TEST_P(Restart, OfAnEmptyStoreIsAnEmptyStore) {
  restart();
  EXPECT_TRUE(ask(list_queues{}).items.empty());
  enqueue();
  EXPECT_EQ(lease(10).size(), 1U);
}

class CleanClose : public restart_test {};
INSTANTIATE_TEST_SUITE_P(Engine, CleanClose, testing::ValuesIn(restarts({ending::closed})),
                         restart_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CleanClose);

// What a crash may lose, a clean end does not.
TEST_P(CleanClose, KeepsProgressAndLogOfARunningJob) {
  const leased_job run_of = begin_run();
  run(report_progress{.id = run_of.what.id,
                      .token = run_of.token,
                      .value = 0.5,
                      .message = "half",
                      .log = {"one", "two"}});
  restart();
  const job seen = look(run_of.what.id);
  ASSERT_TRUE(seen.progress);
  EXPECT_DOUBLE_EQ(seen.progress->value, 0.5);
  EXPECT_EQ(seen.progress->message, "half");
  const auto lines = ask(read_job_log{.id = run_of.what.id});
  ASSERT_EQ(lines.size(), 2U);
  run(report_progress{.id = run_of.what.id, .token = run_of.token, .log = {"three"}});
  const auto after = ask(read_job_log{.id = run_of.what.id, .after = lines[1].stamp});
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].text, "three");
}

TEST_P(CleanClose, KeepsWhatWasAnsweredAsAsync) {
  using enum durability;
  for (const durability level : {async, durable}) {
    transaction one{.level = level};
    one.steps.push_back(enqueue_job{.queue = work, .level = level});
    ASSERT_TRUE(commit(std::move(one)));
  }
  restart();
  EXPECT_EQ(lease(10).size(), 2U);
}

}  // namespace
}  // namespace millrace::conformance
