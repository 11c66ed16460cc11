#include "fixture.hpp"

#include <algorithm>

namespace millrace::conformance {
namespace {

class cron_test : public engine_test {
protected:
  [[nodiscard]] cron_entry entry(std::string name = "nightly") {
    return {.name = std::move(name),
            .queue = "work",
            .schedule = "0 3 * * *",
            .time_zone = "Europe/Vienna",
            .job = {.type = "report", .data = R"({"full":true})"},
            .next_at = now() + 1h};
  }
  cron_entry put(cron_entry what) { return run(put_cron{std::move(what)}).entry; }
  cron_entry put() { return put(entry()); }
  /// Fires the slot that is due, on to the next hour.
  [[nodiscard]] static fire_cron fire_of(const cron_entry& what) {
    return {.project = what.project,
            .name = what.name,
            .version = what.version,
            .slot = what.next_at.value(),
            .next_at = *what.next_at + 1h};
  }
  cron_fired fire(const cron_entry& what) { return run(fire_of(what)); }
  [[nodiscard]] cron_entry find(const std::string& name = "nightly") {
    const auto found = ask(find_cron{.name = name});
    if (found) return *found;
    ADD_FAILURE() << "there is no recurring job " << name;
    return {};
  }
};

#define MILLRACE_CRON_SUITE(suite)   \
  class suite : public cron_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_CRON_SUITE(Cron);

TEST_P(Cron, LeavesToTheQueueWhatItDoesNotSay) {
  run(configure_queue{.queue = {.name = "work"},
                      .settings = queue_settings{.level = durability::async, .max_attempts = 2}});
  cron_entry asked = entry();
  asked.job.max_attempts = 7;
  put(asked);
  clock().advance(1h);
  EXPECT_EQ(ask(find_job{fire(find()).made.value()})->spec.max_attempts, 7U);

  asked = entry("by_queue");
  asked.default_attempts = asked.default_level = true;
  put(asked);
  clock().advance(1h);
  const job made = *ask(find_job{fire(find("by_queue")).made.value()});
  EXPECT_EQ(made.spec.max_attempts, 2U);
  EXPECT_EQ(made.level, std::min(durability::async, store().traits().strongest));
}

TEST_P(Cron, KeepsEveryField) {
  cron_entry wanted = entry();
  wanted.job.priority = 8;
  wanted.job.labels = {{"a", "b"}};
  wanted.catch_up = cron_catch_up::all;
  wanted.overlap = cron_overlap::skip;
  wanted.paused = true;
  wanted.default_attempts = true;
  wanted.default_level = true;
  const cron_entry answered = put(wanted);
  for (const cron_entry& seen : {answered, find()}) {
    EXPECT_EQ(seen.project, wanted.project);
    EXPECT_EQ(seen.name, wanted.name);
    EXPECT_EQ(seen.queue, wanted.queue);
    EXPECT_EQ(seen.schedule, wanted.schedule);
    EXPECT_EQ(seen.time_zone, wanted.time_zone);
    EXPECT_EQ(seen.job.type, wanted.job.type);
    EXPECT_EQ(seen.job.data, wanted.job.data);
    EXPECT_EQ(seen.job.priority, wanted.job.priority);
    EXPECT_EQ(seen.job.labels, wanted.job.labels);
    EXPECT_EQ(seen.catch_up, wanted.catch_up);
    EXPECT_EQ(seen.overlap, wanted.overlap);
    EXPECT_TRUE(seen.default_attempts);
    EXPECT_FALSE(seen.default_backoff);
    EXPECT_TRUE(seen.default_level);
    EXPECT_EQ(seen.paused, wanted.paused);
    EXPECT_EQ(seen.next_at, wanted.next_at);
    EXPECT_FALSE(seen.last_fired_at);
    EXPECT_EQ(seen.fired, 0U);
    EXPECT_GT(seen.version, 0U);
  }
  EXPECT_EQ(answered.version, find().version);
}

TEST_P(Cron, FiresASlotOnce) {
  const cron_entry before = put();
  advance(1h + 5s);
  const cron_fired fired = fire(before);
  ASSERT_TRUE(fired.made);
  const job made = look(*fired.made);
  EXPECT_EQ(made.queue, work);
  EXPECT_EQ(made.spec.type, "report");
  EXPECT_EQ(made.spec.data, R"({"full":true})");
  EXPECT_EQ(made.status, job_status::queued);
  EXPECT_EQ(fired.entry.next_at, *before.next_at + 1h);
  EXPECT_EQ(fired.entry.last_fired_at, now());
  EXPECT_EQ(fired.entry.last_job, made.id);
  EXPECT_EQ(fired.entry.fired, 1U);
  EXPECT_EQ(fired.entry.skipped, 0U);
  EXPECT_GT(fired.entry.version, before.version);
  // However many schedulers try.
  EXPECT_EQ(refusal_of(fire_of(before)), "cron_moved");
  EXPECT_EQ(info().waiting, 1U);
}

TEST_P(Cron, LetsOneOfSeveralSchedulersWinInOneBatch) {
  const cron_entry before = put();
  advance(1h);
  std::vector<transaction> batch(50);
  for (transaction& one : batch) one.steps.push_back(fire_of(before));
  std::size_t won = 0;
  for (const auto& done : engine::blocking::commit_each(store(), std::move(batch))) {
    if (done) {
      ++won;
    } else {
      EXPECT_EQ(done.error().why.code, "cron_moved");
      EXPECT_EQ(done.error().why.kind, errc::conflict);
    }
  }
  EXPECT_EQ(won, 1U);
  EXPECT_EQ(info().waiting, 1U);
}

TEST_P(Cron, RefusesAnotherSlotOrAnOlderVersion) {
  const cron_entry before = put();
  fire_cron wrong = fire_of(before);
  wrong.slot += 1s;
  EXPECT_EQ(refusal_of(wrong), "cron_moved");
  const cron_entry changed = put();
  EXPECT_GT(changed.version, before.version);
  EXPECT_EQ(refusal_of(fire_of(before)), "cron_moved");
  EXPECT_TRUE(fire(changed).made);
}

TEST_P(Cron, KeepsItsCountersWhenReplaced) {
  const cron_fired fired = fire(put());
  cron_entry other_line = entry();
  other_line.schedule = "0 4 * * *";
  other_line.fired = 77;
  const cron_entry seen = put(other_line);
  EXPECT_EQ(seen.schedule, "0 4 * * *");
  EXPECT_EQ(seen.fired, 1U);
  EXPECT_EQ(seen.last_job, fired.made);
  EXPECT_EQ(seen.last_fired_at, fired.entry.last_fired_at);
}

TEST_P(Cron, CanEnd) {
  fire_cron last = fire_of(put());
  last.next_at.reset();
  const cron_fired fired = run(last);
  EXPECT_TRUE(fired.made);
  EXPECT_FALSE(fired.entry.next_at);
  EXPECT_EQ(refusal_of(last), "cron_moved");
}

TEST_P(Cron, PassesASlotOver) {
  fire_cron step = fire_of(put());
  step.pass_over = true;
  const cron_fired passed = run(step);
  EXPECT_FALSE(passed.made);
  EXPECT_EQ(passed.entry.skipped, 1U);
  EXPECT_EQ(passed.entry.fired, 0U);
  EXPECT_EQ(passed.entry.next_at, step.next_at);
  EXPECT_FALSE(passed.entry.last_fired_at);
  EXPECT_FALSE(ask(find_queue{work}));
}

TEST_P(Cron, IsDeletedByName) {
  put();
  EXPECT_EQ(run(delete_cron{.project = "default", .name = "nightly"}).entry.name, "nightly");
  EXPECT_FALSE(ask(find_cron{.name = "nightly"}));
  EXPECT_EQ(refusal_of(delete_cron{.project = "default", .name = "nightly"}), "cron_not_found");
  EXPECT_EQ(refusal_of(fire_of(entry())), "cron_not_found");
}

TEST_P(Cron, StartsAnewAfterADeletion) {
  fire(put());
  run(delete_cron{.project = "default", .name = "nightly"});
  const cron_entry anew = put();
  EXPECT_EQ(anew.fired, 0U);
  EXPECT_FALSE(anew.last_job);
}

TEST_P(Cron, DelaysItsJobAsTheJobSays) {
  cron_entry delayed = entry();
  delayed.job.delay = 10s;
  const cron_fired fired = fire(put(delayed));
  ASSERT_TRUE(fired.made);
  EXPECT_EQ(look(*fired.made).run_at, now() + 10s);
}

TEST_P(Cron, CountsAsSkippedWhatTheQueueRefuses) {
  run(configure_queue{.queue = work, .draining = true});
  const cron_fired fired = fire(put());
  EXPECT_FALSE(fired.made);
  EXPECT_EQ(fired.entry.skipped, 1U);
  EXPECT_EQ(fired.entry.next_at, entry().next_at.value() + 1h) << "it moves on all the same";
  run(configure_queue{
      .queue = work, .settings = queue_settings{.depth_max = 1}, .draining = false});
  EXPECT_TRUE(fire(find()).made);
  EXPECT_FALSE(fire(find()).made) << "the queue is full";
  EXPECT_EQ(find().skipped, 2U);
  EXPECT_EQ(find().fired, 1U);
}

TEST_P(Cron, CountsAsSkippedWhatItsUniqueKeyRefuses) {
  cron_entry unique = entry();
  unique.job.unique = unique_spec{.key = "one"};
  EXPECT_TRUE(fire(put(unique)).made);
  EXPECT_FALSE(fire(find()).made);
  EXPECT_EQ(find().skipped, 1U);
  EXPECT_EQ(info().waiting, 1U);
}

MILLRACE_CRON_SUITE(CronOverlap);

TEST_P(CronOverlap, FiresAllTheSameByDefault) {
  put();
  fire(find());
  EXPECT_TRUE(fire(find()).made);
  EXPECT_EQ(info().waiting, 2U);
}

TEST_P(CronOverlap, SkipsWhileThePredecessorHasNotEnded) {
  cron_entry skipping = entry();
  skipping.overlap = cron_overlap::skip;
  put(skipping);
  const job_id first = fire(find()).made.value();
  EXPECT_FALSE(fire(find()).made) << "it waits";
  const leased_job run_of = lease_one();
  EXPECT_FALSE(fire(find()).made) << "it runs";
  EXPECT_EQ(find().last_job, first);
  ack(run_of);
  EXPECT_TRUE(fire(find()).made);
  EXPECT_EQ(find().fired, 2U);
  EXPECT_EQ(find().skipped, 2U);
}

TEST_P(CronOverlap, MakesNoQueueForASlotThatIsSkipped) {
  cron_entry moving = entry();
  moving.overlap = cron_overlap::skip;
  put(moving);
  EXPECT_TRUE(fire(find()).made);
  moving.queue = "elsewhere";
  put(moving);
  EXPECT_FALSE(fire(find()).made) << "the job in the queue of before waits";
  EXPECT_FALSE(ask(find_queue{queue_key{.name = "elsewhere"}}));
}

TEST_P(CronOverlap, SkipsNoSlotForAPredecessorThatIsGone) {
  cron_entry skipping = entry();
  skipping.overlap = cron_overlap::skip;
  put(skipping);
  run(delete_job{fire(find()).made.value()});
  EXPECT_TRUE(fire(find()).made);
}

TEST_P(CronOverlap, ReplacesAPredecessorThatWaits) {
  cron_entry replacing = entry();
  replacing.overlap = cron_overlap::replace;
  put(replacing);
  const job_id first = fire(find()).made.value();
  const job_id second = fire(find()).made.value();
  EXPECT_EQ(status_of(first), job_status::cancelled);
  EXPECT_EQ(status_of(second), job_status::queued);
  lease_one();
  const job_id third = fire(find()).made.value();
  EXPECT_EQ(status_of(second), job_status::running) << "one that runs goes on";
  EXPECT_EQ(status_of(third), job_status::queued);
}

MILLRACE_CRON_SUITE(CronQueries);

TEST_P(CronQueries, FindWhatIsDueSoonestFirst) {
  const auto at = [&](const char* name, duration in) {
    cron_entry one = entry(name);
    one.next_at = now() + in;
    return one;
  };
  put(at("c", 10s));
  put(at("a", 20s));
  put(at("b", 10s));
  put(at("later", 1h));
  cron_entry paused = at("paused", 1s);
  paused.paused = true;
  put(paused);
  cron_entry ended = entry("ended");
  ended.next_at.reset();
  put(ended);

  due_crons::due due = ask(due_crons{});
  EXPECT_TRUE(due.entries.empty());
  EXPECT_EQ(due.next_at, now() + 10s);
  const timestamp start = now();
  advance(20s);
  due = ask(due_crons{});
  ASSERT_EQ(due.entries.size(), 3U);
  EXPECT_EQ(due.entries[0].name, "b");
  EXPECT_EQ(due.entries[1].name, "c");
  EXPECT_EQ(due.entries[2].name, "a");
  EXPECT_EQ(due.next_at, start + 1h);
  due = ask(due_crons{.limit = 1});
  ASSERT_EQ(due.entries.size(), 1U);
  EXPECT_EQ(due.next_at, start + 10s) << "the next one is due already";
}

TEST_P(CronQueries, FindWhatIsDueInEveryProject) {
  cron_entry elsewhere = entry();
  elsewhere.project = "elsewhere";
  put(elsewhere);
  put();
  advance(1h);
  EXPECT_EQ(ask(due_crons{}).entries.size(), 2U);
  EXPECT_FALSE(ask(due_crons{}).next_at);
}

TEST_P(CronQueries, ListByNameInPages) {
  for (const char* name : {"d", "a", "c", "b"}) put(entry(name));
  cron_entry elsewhere = entry("aa");
  elsewhere.project = "elsewhere";
  put(elsewhere);
  std::string names;
  std::string cursor;
  int pages = 0;
  do {
    const auto page = ask(list_crons{.limit = 3, .cursor = cursor});
    for (const cron_entry& one : page.items) names += one.name;
    cursor = page.cursor;
  } while (!cursor.empty() && ++pages < 10);
  EXPECT_EQ(names, "abcd");
}

TEST_P(Cron, HasABound) {
  std::vector<transaction> batch(1);
  for (std::size_t i = 0; i < crons_max; ++i) {
    batch[0].steps.push_back(put_cron{entry("c" + std::to_string(i))});
  }
  ASSERT_TRUE(engine::blocking::commit_each(store(), std::move(batch)).at(0));
  EXPECT_EQ(refusal_of(put_cron{entry("one-more")}), "too_many_crons");
  put(entry("c0"));
}

}  // namespace
}  // namespace millrace::conformance
