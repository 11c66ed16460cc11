#include "fixture.hpp"

namespace millrace::conformance {
namespace {

/// What holds where neither a job nor its queue says anything: whoever opens the store decides.
class Defaults : public engine_test {
protected:
  job enqueue_silently() {
    return run(enqueue_job{.queue = work,
                           .default_attempts = true,
                           .default_backoff = true,
                           .default_level = true})
        .made;
  }
};
INSTANTIATE_TEST_SUITE_P(Engine, Defaults, testing::ValuesIn(reopenable_engines_under_test()),
                         case_name);
// An engine that is never opened again has none to change.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Defaults);

TEST_P(Defaults, HoldForQueuesThatComeLater) {
  change_defaults({.depth_max = 3, .keep_finished = 1h, .keep_dead = 48h});
  enqueue();
  const queue_settings settings = info().settings;
  EXPECT_EQ(settings.depth_max, 3U);
  EXPECT_EQ(settings.keep_finished, duration{1h});
  EXPECT_EQ(settings.keep_dead, duration{48h});
  EXPECT_FALSE(settings.keep_dead.own());
}

TEST_P(Defaults, HoldForQueuesThatWereThereBefore) {
  enqueue();
  change_defaults({.depth_max = 1});
  EXPECT_EQ(info().settings.depth_max, 1U);
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work}), "queue_full");
  change_defaults({.depth_max = 2});
  EXPECT_EQ(refusal_of(enqueue_job{.queue = work}), "done");
}

TEST_P(Defaults, BoundAQueueThatDoesNotExistYet) {
  change_defaults({.depth_max = 1});
  EXPECT_EQ(word(commit_all(enqueue_job{.queue = work}, enqueue_job{.queue = work})), "queue_full");
}

TEST_P(Defaults, DecideWhenJobsAreForgotten) {
  const job dead = kill_job();
  const job done = enqueue();
  ack(lease_one());
  change_defaults({.keep_finished = 10min, .keep_dead = 20min});
  advance(10min);
  settle();
  EXPECT_FALSE(exists(done.id));
  EXPECT_TRUE(exists(dead.id));
  change_defaults({.keep_dead = 11min});
  advance(1min);
  settle();
  EXPECT_FALSE(exists(dead.id));
}

TEST_P(Defaults, GiveWayToWhatAQueueHasSet) {
  // Also where that is what the store would have said.
  configure({.depth_max = queue_settings{}.depth_max.value(), .keep_dead = 1h});
  change_defaults({.depth_max = 1, .keep_finished = 2h, .keep_dead = 48h});
  const queue_settings settings = info().settings;
  EXPECT_EQ(settings.depth_max, queue_settings{}.depth_max.value());
  EXPECT_EQ(settings.keep_dead, duration{1h});
  EXPECT_TRUE(settings.keep_dead.own());
  EXPECT_EQ(settings.keep_finished, duration{2h});
}

TEST_P(Defaults, HoldAgainWhereAQueueTakesItsSettingBack) {
  configure({.keep_dead = 1h});
  change_defaults({.keep_dead = 48h});
  queue_settings settings = info().settings;
  settings.keep_dead = queue_settings{}.keep_dead;
  configure(settings);
  EXPECT_EQ(info().settings.keep_dead, duration{48h});
}

TEST_P(Defaults, AreTakenByAJobWhereItsQueueSaysNothing) {
  change_defaults({.backoff = backoff_spec{.base = 1s}, .max_attempts = 9});
  EXPECT_EQ(enqueue_silently().spec.max_attempts, 9U);
  EXPECT_EQ(enqueue_silently().spec.backoff.base, 1s);
  EXPECT_EQ(enqueue({.max_attempts = 2}).spec.max_attempts, 2U) << "a job that says it itself";
  configure({.max_attempts = 3});
  EXPECT_EQ(enqueue_silently().spec.max_attempts, 3U);
  EXPECT_EQ(enqueue_silently().spec.backoff.base, 1s);
}

TEST_P(Defaults, AreTakenByARecurringJobWhenItFires) {
  const timestamp slot = now() + 1min;
  cron_entry entry{.name = "c", .queue = work.name, .schedule = "* * * * *", .next_at = slot};
  entry.default_attempts = true;
  const cron_entry made = run(put_cron{entry}).entry;
  change_defaults({.max_attempts = 7});
  advance(1min);
  const cron_fired fired =
      run(fire_cron{.project = "default", .name = "c", .version = made.version, .slot = slot});
  ASSERT_TRUE(fired.made);
  EXPECT_EQ(look(*fired.made).spec.max_attempts, 7U);
}

}  // namespace
}  // namespace millrace::conformance
