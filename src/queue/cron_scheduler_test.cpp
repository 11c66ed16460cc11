#include <millrace/queue/cron_scheduler.hpp>

#include "testing_store.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::cron_catch_up;
using engine::cron_entry;
using engine::cron_overlap;
using engine::job_status;

timestamp utc(std::string_view text) { return parse_rfc3339(text, "test").value(); }

cron_entry entry(std::string name, std::string schedule) {
  return {.name = std::move(name), .queue = "reports", .schedule = std::move(schedule)};
}

// ---- prepare_cron

TEST(PrepareCron, FindsTheFirstSlot) {
  auto asked = entry("daily", "30 6 * * *");
  asked.time_zone = "Europe/Berlin";
  const auto made = prepare_cron(asked, utc("2026-07-01T12:00:00Z"));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->next_at, utc("2026-07-02T04:30:00Z"));
}

TEST(PrepareCron, NamesTheFieldThatIsWrong) {
  struct row {
    std::string field, code;
    void (*spoil)(cron_entry&);
  };
  const std::vector<row> rows{
      {"queue", "", [](cron_entry& e) { e.queue = "a/b"; }},
      {"name", "", [](cron_entry& e) { e.name = ""; }},
      {"schedule", "invalid_cron", [](cron_entry& e) { e.schedule = "61 * * * *"; }},
      {"schedule", "cron_never_fires", [](cron_entry& e) { e.schedule = "0 0 31 2 *"; }},
      {"time_zone", "unknown_time_zone", [](cron_entry& e) { e.time_zone = "Mars/Base"; }},
      {"job.priority", "", [](cron_entry& e) { e.job.priority = 10; }},
      {"job.run_at", "", [](cron_entry& e) { e.job.run_at = timestamp{}; }},
  };
  for (const auto& row : rows) {
    auto bad = entry("daily", "0 0 * * *");
    row.spoil(bad);
    const auto refused = prepare_cron(bad, utc("2026-01-01T00:00:00Z"));
    ASSERT_FALSE(refused) << row.field;
    EXPECT_EQ(refused.error().field, row.field);
    if (!row.code.empty()) {
      EXPECT_EQ(refused.error().code, row.code);
    }
  }
  EXPECT_EQ(prepare_cron(entry("late", "0 0 1 1 *"), utc("2199-06-01T00:00:00Z")).error().code,
            "cron_never_fires");
}

// ---- the scheduler on a clock that stands still

class CronScheduler : public testing::Test {
protected:
  void SetUp() override { clock.set(utc("2026-01-01T00:00:30Z")); }
  void TearDown() override {
    for (auto& each : schedulers) run_coro(context, each.stop());
  }

  void start(std::size_t count = 1) {
    for (std::size_t i = 0; i < count; ++i) {
      schedulers
          .emplace_back(
              context.get_executor(), store,
              cron_scheduler_options{
                  .on_trouble = [this](const error& why) { troubles.push_back(why); },
                  .on_slot = [this](const engine::cron_fired& slot) { slots.push_back(slot); }})
          .start();
    }
    settle();
  }
  void put(const cron_entry& asked) {
    auto made = prepare_cron(asked, clock.now());
    ASSERT_TRUE(made) << made.error().detail;
    ASSERT_TRUE(run_coro(
        engine::commit_step<engine::cron_fired>(store, engine::put_cron{std::move(*made)})));
    settle();
  }
  // The clock makes no timer go off: it is told as a hint.
  void move_to(timestamp at) {
    clock.set(at);
    store.hints().notify(engine::cron_topic());
    settle();
  }
  void settle() {
    context.restart();
    context.poll();
  }
  cron_entry find(std::string name) {
    return run_coro(engine::ask(model, engine::find_cron{.name = std::move(name)})).value().value();
  }
  std::vector<engine::job> jobs() {
    return run_coro(
               engine::ask(model, engine::list_jobs{.queue = {.name = "reports"}, .limit = 1000}))
        .value()
        .items;
  }

  manual_clock clock;
  model::model_store model{{.clock = &clock}};
  watched_store store{model};
  asio::io_context context{1};
  std::vector<error> troubles;
  std::vector<engine::cron_fired> slots;
  std::deque<cron_scheduler> schedulers;
};

TEST_F(CronScheduler, FiresEachSlotOnce) {
  start();
  put(entry("minutely", "* * * * *"));
  EXPECT_TRUE(jobs().empty());
  for (int minute = 1; minute <= 5; ++minute) {
    move_to(utc("2026-01-01T00:00:00Z") + std::chrono::minutes{minute});
    EXPECT_EQ(jobs().size(), static_cast<std::size_t>(minute));
  }
  const auto now = find("minutely");
  EXPECT_EQ(now.fired, 5U);
  EXPECT_EQ(now.skipped, 0U);
  EXPECT_EQ(now.next_at, utc("2026-01-01T00:06:00Z"));
  EXPECT_EQ(slots.size(), 5U);
  EXPECT_TRUE(troubles.empty());
}

TEST_F(CronScheduler, AnyNumberOfSchedulersFireASlotOnce) {
  start(10);
  put(entry("a", "* * * * *"));
  put(entry("b", "*/2 * * * *"));
  for (int minute = 1; minute <= 20; ++minute) {
    move_to(utc("2026-01-01T00:00:00Z") + std::chrono::minutes{minute});
  }
  EXPECT_EQ(find("a").fired, 20U);
  EXPECT_EQ(find("b").fired, 10U);
  EXPECT_EQ(jobs().size(), 30U);
  EXPECT_EQ(slots.size(), 30U);
  EXPECT_TRUE(troubles.empty());
}

TEST_F(CronScheduler, SleepsUntilSomethingIsDue) {
  start();
  put(entry("yearly", "@yearly"));
  const auto asked = store.asked();
  settle();
  settle();
  EXPECT_EQ(store.asked(), asked);
}

TEST_F(CronScheduler, SeesAnEntryThatIsChangedOrRemoved) {
  start();
  put(entry("job", "@yearly"));
  put(entry("job", "* * * * *"));
  move_to(utc("2026-01-01T00:01:00Z"));
  EXPECT_EQ(jobs().size(), 1U);
  ASSERT_TRUE(run_coro(engine::commit_step<engine::cron_fired>(
      store, engine::delete_cron{.project = "default", .name = "job"})));
  move_to(utc("2026-01-01T00:02:00Z"));
  EXPECT_EQ(jobs().size(), 1U);
}

TEST_F(CronScheduler, LeavesPausedEntriesAlone) {
  start();
  auto paused = entry("paused", "* * * * *");
  paused.paused = true;
  put(paused);
  move_to(utc("2026-01-01T01:00:00Z"));
  EXPECT_TRUE(jobs().empty());
}

TEST_F(CronScheduler, CatchesUpAsTheEntrySays) {
  struct row {
    cron_catch_up policy;
    std::uint64_t fired, skipped;
  };
  // Nothing runs from 00:00:30 to 01:00:20; the slots are 00:10, …, 01:00, the last 20 s ago.
  for (const auto& row : {row{cron_catch_up::one, 1, 0}, row{cron_catch_up::none, 0, 1},
                          row{cron_catch_up::all, 6, 0}}) {
    auto asked = entry("policy" + std::to_string(static_cast<int>(row.policy)), "*/10 * * * *");
    asked.catch_up = row.policy;
    clock.set(utc("2026-01-01T00:00:30Z"));
    put(asked);
  }
  clock.set(utc("2026-01-01T01:00:20Z"));
  start(2);
  for (const auto& row : {row{cron_catch_up::one, 1, 0}, row{cron_catch_up::none, 0, 1},
                          row{cron_catch_up::all, 6, 0}}) {
    const auto now = find("policy" + std::to_string(static_cast<int>(row.policy)));
    EXPECT_EQ(now.fired, row.fired);
    EXPECT_EQ(now.skipped, row.skipped);
    EXPECT_EQ(now.next_at, utc("2026-01-01T01:10:00Z"));
  }
}

TEST_F(CronScheduler, CatchUpAllStopsAtAThousand) {
  auto asked = entry("all", "* * * * *");
  asked.catch_up = cron_catch_up::all;
  put(asked);
  clock.set(utc("2026-01-02T00:00:20Z"));
  start();
  const auto now = find("all");
  EXPECT_EQ(now.fired, 1000U);
  EXPECT_EQ(now.skipped, 1U);
  EXPECT_EQ(jobs().size(), 1000U);
}

TEST_F(CronScheduler, OverlapsAsTheEntrySays) {
  start();
  for (const auto policy : {cron_overlap::allow, cron_overlap::skip, cron_overlap::replace}) {
    auto asked = entry("overlap" + std::to_string(static_cast<int>(policy)), "* * * * *");
    asked.overlap = policy;
    asked.job.type = asked.name;
    put(asked);
  }
  move_to(utc("2026-01-01T00:01:00Z"));
  move_to(utc("2026-01-01T00:02:00Z"));
  const auto waiting = [this](cron_overlap policy) {
    const auto type = "overlap" + std::to_string(static_cast<int>(policy));
    return std::ranges::count_if(jobs(), [&](const engine::job& job) {
      return job.spec.type == type && job.status == job_status::queued;
    });
  };
  EXPECT_EQ(waiting(cron_overlap::allow), 2);
  EXPECT_EQ(waiting(cron_overlap::skip), 1);
  EXPECT_EQ(waiting(cron_overlap::replace), 1);
  EXPECT_EQ(find("overlap0").fired, 2U);
  EXPECT_EQ(find("overlap1").fired, 1U);
  EXPECT_EQ(find("overlap1").skipped, 1U);
  EXPECT_EQ(find("overlap2").fired, 2U);
}

TEST_F(CronScheduler, FiresOnceAcrossATurnedClock) {
  // Berlin, 25 October 2026: 02:30 is shown at 00:30Z and again at 01:30Z.
  clock.set(utc("2026-10-24T12:00:00Z"));
  auto asked = entry("nightly", "30 2 * * *");
  asked.time_zone = "Europe/Berlin";
  start(2);
  put(asked);
  for (const auto* moment : {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}) move_to(utc(moment));
  EXPECT_EQ(jobs().size(), 1U);
  EXPECT_EQ(find("nightly").next_at, utc("2026-10-26T01:30:00Z"));
}

TEST_F(CronScheduler, SurvivesAStoreThatGoesAway) {
  start();
  put(entry("minutely", "* * * * *"));
  store.go_down(true);
  move_to(utc("2026-01-01T00:01:00Z"));
  ASSERT_EQ(troubles.size(), 1U);
  EXPECT_EQ(troubles[0].kind, errc::unavailable);
  store.go_down(false);
  move_to(utc("2026-01-01T00:01:05Z"));
  EXPECT_EQ(jobs().size(), 1U);
}

TEST_F(CronScheduler, TriesAgainByItselfAndEverMoreSlowly) {
  store.go_down(true);
  cron_scheduler_options options{.retry_base = 1ms, .retry_max = 4ms};
  std::size_t seen = 0;
  options.on_trouble = [&](const error&) {
    if (++seen == 4) context.stop();
  };
  schedulers.emplace_back(context.get_executor(), store, options).start();
  const auto began = std::chrono::steady_clock::now();
  context.restart();
  context.run_for(test_watchdog);
  EXPECT_EQ(seen, 4U);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 7ms);
}

TEST_F(CronScheduler, AnUnreadableEntryIsReportedAndKept) {
  auto broken = entry("broken", "* * * * *");
  broken.time_zone = "Gone/Zone";
  broken.next_at = utc("2026-01-01T00:01:00Z");
  ASSERT_TRUE(run_coro(engine::commit_step<engine::cron_fired>(store, engine::put_cron{broken})));
  start();
  put(entry("sound", "* * * * *"));
  move_to(utc("2026-01-01T00:01:00Z"));
  ASSERT_EQ(troubles.size(), 1U);
  EXPECT_EQ(troubles[0].code, "unknown_time_zone");
  EXPECT_NE(troubles[0].detail.find("broken"), std::string::npos);
  EXPECT_EQ(find("sound").fired, 1U);
  EXPECT_EQ(find("broken").fired, 0U);
  EXPECT_EQ(find("broken").next_at, utc("2026-01-01T01:01:00Z"));
}

TEST_F(CronScheduler, AFullQueueCountsAsSkipped) {
  engine::queue_settings settings;
  settings.depth_max = 1;
  ASSERT_TRUE(
      run_coro(queues{store}.configure({.queue = {.name = "reports"}, .settings = settings})));
  start();
  put(entry("minutely", "* * * * *"));
  move_to(utc("2026-01-01T00:01:00Z"));
  move_to(utc("2026-01-01T00:02:00Z"));
  EXPECT_EQ(find("minutely").fired, 1U);
  EXPECT_EQ(find("minutely").skipped, 1U);
}

// ---- real time, several threads

// Ten schedulers on four threads, one slot a second: each slot has one job.
TEST(CronSchedulers, RaceForEachSlotAndOneWins) {
  constexpr int wanted = 3;
  model::model_store store;
  asio::thread_pool pool{4};
  std::atomic<int> fired{0};
  std::promise<void> enough;
  std::deque<cron_scheduler> schedulers;
  std::vector<asio::any_io_executor> strands;
  for (int i = 0; i < 10; ++i) {
    strands.emplace_back(asio::make_strand(pool));
    schedulers.emplace_back(strands.back(), store,
                            cron_scheduler_options{.on_slot = [&](const engine::cron_fired& slot) {
                              if (slot.made && ++fired == wanted) enough.set_value();
                            }});
    asio::post(strands.back(), [&each = schedulers.back()] { each.start(); });
  }
  const auto prepared = prepare_cron(entry("every", "@every 1s"), system_clock_source{}.now());
  ASSERT_TRUE(engine::blocking::commit(store, {.steps = {engine::put_cron{*prepared}}}));
  EXPECT_EQ(enough.get_future().wait_for(test_watchdog), std::future_status::ready);
  for (std::size_t i = 0; i < schedulers.size(); ++i) {
    asio::co_spawn(strands[i], schedulers[i].stop(), asio::use_future).get();
  }
  pool.join();
  const auto now = engine::blocking::ask(store, engine::find_cron{.name = "every"});
  EXPECT_EQ(now->value().fired, static_cast<std::uint64_t>(fired));
  EXPECT_EQ(now->value().skipped, 0U);
  // The slots went by one at a time, none twice.
  EXPECT_EQ(*now->value().next_at - *prepared->next_at, std::chrono::seconds{fired});
}

}  // namespace
}  // namespace millrace
