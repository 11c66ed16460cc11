#include <millrace/engine/checks.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const queue_key mail{.name = "mail"};
const job_id some_job{"mail", 7};

struct bad_spec {
  std::string field;
  std::function<void(job_spec&)> spoil;
  errc kind{errc::invalid_argument};
};

std::vector<bad_spec> bad_specs() {
  return {
      {"priority", [](job_spec& s) { s.priority = 10; }},
      {"delay", [](job_spec& s) { s.delay = -1us; }},
      {"delay", [](job_spec& s) { s.delay = delay_max + 1us; }},
      {"run_at", [](job_spec& s) { s.run_at = timestamp{} - 1us; }},
      {"run_at", [](job_spec& s) { s.delay = 1s, s.run_at = timestamp{1s}; }},
      {"max_attempts", [](job_spec& s) { s.max_attempts = 0; }},
      {"max_attempts", [](job_spec& s) { s.max_attempts = attempts_max + 1; }},
      {"backoff.base", [](job_spec& s) { s.backoff.base = -1ms; }},
      {"backoff.max", [](job_spec& s) { s.backoff.max = backoff_max + 1ms; }},
      {"lease", [](job_spec& s) { s.lease = 999ms; }},
      {"lease", [](job_spec& s) { s.lease = lease_max + 1us; }},
      {"timeout", [](job_spec& s) { s.timeout = -1s; }},
      {"type", [](job_spec& s) { s.type = "a\nb"; }},
      {"type", [](job_spec& s) { s.type = std::string(type_bytes_max + 1, 't'); }, errc::too_large},
      {"type", [](job_spec& s) { s.type = "\xff"; }},
      {"unique.key", [](job_spec& s) { s.unique = unique_spec{.key = ""}; }},
      {"group", [](job_spec& s) { s.group = std::string("a\0b", 3); }},
      {"correlation_id", [](job_spec& s) { s.correlation_id = std::string(513, 'c'); }},
      {"labels", [](job_spec& s) { s.labels = {{"b", "1"}, {"a", "1"}}; }},
      {"labels", [](job_spec& s) { s.labels = {{"a", "1"}, {"a", "2"}}; }},
      {"labels", [](job_spec& s) { s.labels = {{"", "1"}}; }},
      {"labels", [](job_spec& s) { s.labels.assign(labels_max + 1, {"a", ""}); }},
      {"labels", [](job_spec& s) { s.labels = {{"\xff", "1"}}; }},
      {"labels.a", [](job_spec& s) { s.labels = {{"a", std::string(257, 'v')}}; }, errc::too_large},
      {"labels.a", [](job_spec& s) { s.labels = {{"a", "\x01"}}; }},
      {"depends_on", [](job_spec& s) { s.depends_on = {some_job}; }, errc::unsupported},
      {"codec", [](job_spec& s) { s.codec = "zstd"; }, errc::unsupported},
      {"key_id", [](job_spec& s) { s.key_id = "k1"; }, errc::unsupported},
      {"data", [](job_spec& s) { s.data = ""; }},
      {"data", [](job_spec& s) { s.data = "{"; }},
      {"data", [](job_spec& s) { s.data = "\"" + std::string(item_bytes_max, 'x') + "\""; },
       errc::too_large},
      {"data", [](job_spec& s) { s.data = std::string(65, '[') + std::string(65, ']'); },
       errc::too_large},
  };
}

TEST(CheckJobSpec, TakesTheDefaultAndEverythingAtItsLimit) {
  EXPECT_TRUE(check_job_spec({}));
  job_spec full{.type = std::string(type_bytes_max, 't'),
                .data = "\"" + std::string(item_bytes_max - 2, 'x') + "\"",
                .priority = 9,
                .delay = delay_max,
                .max_attempts = attempts_max,
                .backoff = {.base = backoff_max, .max = backoff_max},
                .unique = unique_spec{.key = std::string(512, 'u')},
                .lease = lease_min,
                .timeout = timeout_max,
                .correlation_id = std::string(512, 'c'),
                .group = std::string(512, 'g')};
  for (char c = 'a'; full.labels.size() < labels_max; ++c) {
    full.labels.emplace_back(std::string(label_key_bytes_max, c),
                             std::string(label_value_bytes_max, 'v'));
  }
  EXPECT_TRUE(check_job_spec(full));
}

TEST(CheckJobSpec, NamesTheFieldThatIsWrong) {
  for (const auto& [field, spoil, kind] : bad_specs()) {
    job_spec spec;
    spoil(spec);
    const auto checked = check_job_spec(spec);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().field, field) << checked.error().detail;
    EXPECT_EQ(checked.error().kind, kind) << checked.error().detail;
    EXPECT_THAT(checked.error().detail, testing::Not(testing::IsEmpty()));
  }
}

TEST(CheckJobSpec, SaysTheRangeAndTheGivenValue) {
  EXPECT_EQ(check_job_spec({.priority = 11}).error().detail,
            "priority must be 0 to 9; 11 was given.");
  EXPECT_EQ(check_job_spec({.delay = -5s}).error().detail,
            "delay must be 0s to 366d; -5s was given.");
  EXPECT_EQ(check_job_spec({.lease = 500ms}).error().detail,
            "lease must be 1s to 1d; 500ms was given.");
}

TEST(CheckCronEntry, NamesTheFieldsOfItsJobWithAPrefix) {
  const cron_entry good{.name = "nightly", .queue = "mail", .schedule = "0 3 * * *"};
  EXPECT_TRUE(check_cron_entry(good));
  for (const auto& [field, spoil, kind] : bad_specs()) {
    cron_entry entry = good;
    spoil(entry.job);
    const auto checked = check_cron_entry(entry);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().field, "job." + field);
  }
  const auto field_of = [&good](auto spoil) {
    cron_entry entry = good;
    spoil(entry);
    return check_cron_entry(entry).error().field;
  };
  EXPECT_EQ(field_of([](cron_entry& e) { e.name = "a/b"; }), "name");
  EXPECT_EQ(field_of([](cron_entry& e) { e.queue = ""; }), "queue");
  EXPECT_EQ(field_of([](cron_entry& e) { e.schedule = ""; }), "schedule");
  EXPECT_EQ(field_of([](cron_entry& e) { e.time_zone = ""; }), "time_zone");
  EXPECT_EQ(field_of([](cron_entry& e) { e.job.run_at = timestamp{1s}; }), "job.run_at");
}

TEST(CheckQueueSettings, NamesTheFieldThatIsWrong) {
  EXPECT_TRUE(check_queue_settings({}));
  const std::pair<std::string, std::function<void(queue_settings&)>> cases[] = {
      {"rate.limit", [](auto& s) { s.rate.limit = rate_limit_max + 1; }},
      {"rate.per", [](auto& s) { s.rate.per = 999us; }},
      {"group_rate.per", [](auto& s) { s.group_rate.per = 24h + 1us; }},
      {"depth_max", [](auto& s) { s.depth_max = std::uint64_t{1} << 53U; }},
      {"keep_finished", [](auto& s) { s.keep_finished = -1s; }},
      {"keep_finished_count", [](auto& s) { s.keep_finished_count = ~std::uint64_t{0}; }},
      {"keep_dead", [](auto& s) { s.keep_dead = keep_max + 1us; }},
      {"backoff.base", [](auto& s) { s.backoff = backoff_spec{.base = -1ms}; }},
      {"max_attempts", [](auto& s) { s.max_attempts = 0; }},
      {"priority_step_on_failure", [](auto& s) { s.priority_step_on_failure = -10; }},
  };
  for (const auto& [field, spoil] : cases) {
    queue_settings settings;
    spoil(settings);
    const auto checked = check_queue_settings(settings);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().field, field);
  }
}

struct bad_step {
  std::string field;
  step what;
};

TEST(CheckStep, NamesTheFieldThatIsWrong) {
  const std::vector<bad_step> cases{
      {"queue", enqueue_job{.queue = {.name = "a b"}}},
      {"project", enqueue_job{.queue = {.project = "", .name = "a"}}},
      {"priority", enqueue_job{.queue = mail, .spec = {.priority = 10}}},
      {"max", lease_jobs{.queues = {mail}, .max = 0}},
      {"max", lease_jobs{.queues = {mail}, .max = lease_jobs_max + 1}},
      {"queues", lease_jobs{}},
      {"queues", lease_jobs{.queues = std::vector<queue_key>(lease_queues_max + 1, mail)}},
      {"queues", lease_jobs{.queues = {mail, {.project = "other", .name = "mail"}}}},
      {"lease", lease_jobs{.queues = {mail}, .lease = 1ms}},
      {"worker", lease_jobs{.queues = {mail}, .worker = "a\nb"}},
      {"token", ack_job{.id = some_job, .token = 0}},
      {"token", ack_job{.id = some_job, .token = std::uint64_t{1} << 53U}},
      {"result", ack_job{.id = some_job, .token = 1, .result = "oops"}},
      {"token", fail_job{.id = some_job}},
      {"error", fail_job{.id = some_job, .token = 1, .error = "\xff"}},
      {"retry_in", fail_job{.id = some_job, .token = 1, .retry_in = -1s}},
      {"token", extend_lease{.id = some_job}},
      {"lease", extend_lease{.id = some_job, .token = 1, .lease = -1s}},
      {"checkpoint", extend_lease{.id = some_job, .token = 1, .checkpoint = "{"}},
      {"token", snooze_job{.id = some_job}},
      {"delay", snooze_job{.id = some_job, .token = 1, .delay = -1s}},
      {"token", report_progress{.id = some_job}},
      {"progress", report_progress{.id = some_job, .token = 1, .value = 1.01}},
      {"progress", report_progress{.id = some_job, .token = 1, .value = std::nan("")}},
      {"message", report_progress{.id = some_job, .token = 1, .message = std::string(1025, 'm')}},
      {"log", report_progress{.id = some_job, .token = 1, .log = {"ok", "\xff"}}},
      {"log",
       report_progress{
           .id = some_job, .token = 1, .log = std::vector<std::string>(log_lines_max + 1)}},
      {"max", purge_jobs{.queue = mail, .max = 0}},
      {"rate.limit",
       configure_queue{.queue = mail, .settings = queue_settings{.rate = {.limit = 10'001}}}},
      {"schedule", put_cron{.entry = {.name = "n", .queue = "q"}}},
      {"name", delete_cron{.project = "default", .name = ""}},
      {"slot", fire_cron{.project = "default", .name = "n", .slot = timestamp{-1us}}},
  };
  for (const auto& [field, what] : cases) {
    const auto checked = check_step(what);
    ASSERT_FALSE(checked) << field << " of step kind " << what.index();
    EXPECT_EQ(checked.error().field, field) << checked.error().detail;
  }
}

TEST(CheckStep, TakesWhatIsAllowed) {
  const std::vector<step> cases{
      enqueue_job{.queue = mail},
      lease_jobs{.queues = {mail}, .max = lease_jobs_max, .lease = 1s, .worker = "w"},
      ack_job{.id = some_job, .token = 1},
      // Longer errors are cut by the store, not refused.
      fail_job{.id = some_job, .token = 1, .error = std::string(100'000, 'e'), .retry_in = 0s},
      extend_lease{.id = some_job, .token = 1, .checkpoint = "[1]"},
      snooze_job{.id = some_job, .token = 1},
      report_progress{.id = some_job, .token = 1, .value = 1.0, .message = "a\nb", .log = {"x"}},
      cancel_job{some_job},
      delete_job{some_job},
      requeue_dead{some_job},
      purge_jobs{.queue = mail},
      configure_queue{.queue = mail, .paused = true},
      delete_cron{.project = "default", .name = "n"},
      fire_cron{.project = "default", .name = "n", .slot = timestamp{1s}},
  };
  for (const step& what : cases) EXPECT_TRUE(check_step(what)) << what.index();
}

transaction of(std::vector<step> steps) { return {.steps = std::move(steps)}; }

TEST(CheckTransaction, NamesTheStepThatIsWrong) {
  const auto refused = check_transaction(
      of({enqueue_job{.queue = mail}, enqueue_job{.queue = mail, .spec = {.priority = 10}}}));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->step_index, 1U);
  EXPECT_EQ(refused->why.field, "priority");
}

TEST(CheckTransaction, BoundsTheNumberOfSteps) {
  EXPECT_EQ(check_transaction(of({}))->why.field, "steps");
  EXPECT_FALSE(check_transaction(of(std::vector<step>(steps_max, enqueue_job{.queue = mail}))));
  const auto refused =
      check_transaction(of(std::vector<step>(steps_max + 1, enqueue_job{.queue = mail})));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->why.kind, errc::too_large);
}

step unique_enqueue(queue_key queue, std::string key) {
  return enqueue_job{.queue = std::move(queue),
                     .spec = {.unique = unique_spec{.key = std::move(key)}}};
}

TEST(CheckTransaction, RefusesToAddressARecordTwice) {
  const cron_entry nightly{.name = "n", .queue = "q", .schedule = "0 3 * * *"};
  const std::pair<step, step> cases[] = {
      {ack_job{.id = some_job, .token = 1}, cancel_job{some_job}},
      {delete_job{some_job}, requeue_dead{some_job}},
      {unique_enqueue(mail, "k"), unique_enqueue(mail, "k")},
      {configure_queue{.queue = mail}, configure_queue{.queue = mail}},
      {put_cron{nightly}, delete_cron{.project = "default", .name = "n"}},
      {lease_jobs{.queues = {mail}}, lease_jobs{.queues = {{.name = "other"}}}},
      {purge_jobs{.queue = mail}, purge_jobs{.queue = mail}},
  };
  for (const auto& [first, second] : cases) {
    // Something else stands between the two, which sorts before and after them.
    const auto refused =
        check_transaction(of({enqueue_job{.queue = mail}, first, cancel_job{{"mail", 6}},
                              cancel_job{{"mail", 8}}, second}));
    ASSERT_TRUE(refused) << first.index();
    EXPECT_EQ(refused->why.code, "duplicate_target");
    EXPECT_EQ(refused->step_index, 4U);
    EXPECT_THAT(refused->why.detail, HasSubstr("Steps 1 and 4"));
  }
}

TEST(CheckTransaction, TakesStepsOnDifferentRecords) {
  EXPECT_FALSE(check_transaction(of({
      ack_job{.id = some_job, .token = 1},
      cancel_job{{"mail", 8}},
      cancel_job{{"other", 7}},
      unique_enqueue(mail, "k"),
      unique_enqueue(mail, "l"),
      unique_enqueue({.name = "other"}, "k"),
      unique_enqueue({.project = "p", .name = "mail"}, "k"),
      enqueue_job{.queue = mail},
      enqueue_job{.queue = mail},
      lease_jobs{.queues = {mail}},
      configure_queue{.queue = mail},
      purge_jobs{.queue = mail},
      purge_jobs{.queue = mail, .target = purge_target::dead},
      delete_cron{.project = "default", .name = "mail"},
  })));
}

TEST(CheckTransaction, ChecksTheIdempotencyKey) {
  transaction what = of({enqueue_job{.queue = mail}});
  what.idempotency = {.project = "default", .route = "POST /v1/queues/mail/jobs", .key = "k"};
  EXPECT_FALSE(check_transaction(what));
  what.idempotency->key = "";
  ASSERT_TRUE(check_transaction(what));
  EXPECT_EQ(check_transaction(what)->why.field, "Idempotency-Key");
}

}  // namespace
}  // namespace millrace::engine
