#include "fixture.hpp"

#include <algorithm>
#include <set>

namespace millrace::conformance {
namespace {

class query_test : public engine_test {
protected:
  /// Every page of a listing, and that none is longer than asked for.
  [[nodiscard]] std::vector<job_id> all_pages(job_filter filter, std::uint32_t limit) {
    std::vector<job_id> ids;
    list_jobs what{.queue = work, .filter = std::move(filter), .limit = limit};
    for (int pages = 0; pages < 1000; ++pages) {
      const page<job> one = ask(what);
      EXPECT_LE(one.items.size(), limit);
      for (const job& each : one.items) ids.push_back(each.id);
      if (one.cursor.empty()) return ids;
      what.cursor = one.cursor;
    }
    ADD_FAILURE() << "the listing does not end";
    return ids;
  }
};

#define MILLRACE_QUERY_SUITE(suite)   \
  class suite : public query_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_QUERY_SUITE(JobListing);

TEST_P(JobListing, HasTheNewestFirst) {
  std::vector<job_id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(enqueue().id);
  enqueue({}, other);
  std::ranges::reverse(ids);
  EXPECT_EQ(listed(work), ids);
}

TEST_P(JobListing, IsEmptyForAQueueNeverUsed) {
  const page<job> nothing = ask(list_jobs{.queue = work});
  EXPECT_TRUE(nothing.items.empty());
  EXPECT_TRUE(nothing.cursor.empty());
}

TEST_P(JobListing, ComesInPagesThatLeaveNothingOut) {
  std::vector<job_id> ids;
  for (int i = 0; i < 23; ++i) ids.push_back(enqueue().id);
  std::ranges::reverse(ids);
  for (const std::uint32_t limit : {1U, 4U, 22U, 23U, 24U, 1000U}) {
    EXPECT_EQ(all_pages({}, limit), ids) << limit;
  }
}

TEST_P(JobListing, HasNoCursorAfterTheLastItem) {
  for (int i = 0; i < 4; ++i) enqueue();
  EXPECT_TRUE(ask(list_jobs{.queue = work, .limit = 4}).cursor.empty());
  EXPECT_FALSE(ask(list_jobs{.queue = work, .limit = 3}).cursor.empty());
}

TEST_P(JobListing, GoesOnWhereItWasThoughJobsComeAndGo) {
  std::vector<job_id> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(enqueue().id);
  const page<job> first = ask(list_jobs{.queue = work, .limit = 3});
  enqueue();
  run(delete_job{ids[3]});  // The last of the page, where the cursor stands.
  run(delete_job{ids[1]});
  const page<job> second = ask(list_jobs{.queue = work, .limit = 3, .cursor = first.cursor});
  std::vector<job_id> seen;
  for (const job& one : second.items) seen.push_back(one.id);
  EXPECT_EQ(seen, (std::vector{ids[2], ids[0]}));
}

TEST_P(JobListing, FiltersByEachStatus) {
  const job scheduled = enqueue({.delay = 1h});
  const leased_job completed = begin_run();
  ack(completed);
  const leased_job retrying = begin_run();
  fail(retrying);
  const job dead = kill_job();
  const job cancelled = enqueue();
  run(cancel_job{cancelled.id});
  const leased_job running = begin_run();
  const job queued = enqueue();
  const auto only = [&](job_status status) { return listed(work, {.status = status}); };
  EXPECT_EQ(only(job_status::queued), (std::vector{queued.id}));
  EXPECT_EQ(only(job_status::scheduled), (std::vector{scheduled.id}));
  EXPECT_EQ(only(job_status::running), (std::vector{running.what.id}));
  EXPECT_EQ(only(job_status::retrying), (std::vector{retrying.what.id}));
  EXPECT_EQ(only(job_status::completed), (std::vector{completed.what.id}));
  EXPECT_EQ(only(job_status::dead), (std::vector{dead.id}));
  EXPECT_EQ(only(job_status::cancelled), (std::vector{cancelled.id}));
}

TEST_P(JobListing, OrdersWhatWaitsForATimeByThatTime) {
  const job third = enqueue({.delay = 30s});
  const job first = enqueue({.delay = 10s});
  const job second = enqueue({.delay = 20s});
  const job second_too = enqueue({.delay = 20s});
  const std::vector expected{first.id, second.id, second_too.id, third.id};
  EXPECT_EQ(all_pages({.status = job_status::scheduled}, 50), expected);
  EXPECT_EQ(all_pages({.status = job_status::scheduled}, 1), expected);
}

TEST_P(JobListing, OrdersRetriesByTheirNextRun) {
  const leased_job a = begin_run();
  const leased_job b = begin_run();
  run(fail_job{.id = a.what.id, .token = a.token, .retry_in = 50s});
  run(fail_job{.id = b.what.id, .token = b.token, .retry_in = 5s});
  EXPECT_EQ(all_pages({.status = job_status::retrying}, 1), (std::vector{b.what.id, a.what.id}));
}

TEST_P(JobListing, PagesThroughDeadLetters) {
  std::vector<job_id> ids;
  for (int i = 0; i < 7; ++i) {
    ids.push_back(kill_job().id);
    if (i % 2 == 0) advance(1s);
  }
  EXPECT_EQ(all_pages({.status = job_status::dead}, 2), ids);
}

TEST_P(JobListing, FiltersByTypeAndLabels) {
  const job a = enqueue({.type = "x", .labels = {{"file", "1"}, {"tenant", "t"}}});
  const job b = enqueue({.type = "y", .labels = {{"file", "2"}, {"tenant", "t"}}});
  const job c = enqueue({.type = "x", .labels = {{"tenant", "u"}}});
  EXPECT_EQ(listed(work, {.type = "x"}), (std::vector{c.id, a.id}));
  EXPECT_EQ(listed(work, {.labels = {{"tenant", "t"}}}), (std::vector{b.id, a.id}));
  EXPECT_EQ(listed(work, {.labels = {{"tenant", "t"}, {"file", "2"}}}), (std::vector{b.id}));
  EXPECT_EQ(listed(work, {.type = "x", .labels = {{"tenant", "t"}}}), (std::vector{a.id}));
  EXPECT_TRUE(listed(work, {.labels = {{"tenant", "x"}}}).empty());
  EXPECT_TRUE(listed(work, {.labels = {{"t", "tenant"}}}).empty());
  EXPECT_TRUE(listed(work, {.type = ""}).empty());
}

TEST_P(JobListing, FiltersAcrossPages) {
  std::vector<job_id> odd;
  for (int i = 0; i < 30; ++i) {
    const job made = enqueue({.type = i % 2 == 1 ? "odd" : "even"});
    if (i % 2 == 1) odd.push_back(made.id);
  }
  std::ranges::reverse(odd);
  EXPECT_EQ(all_pages({.type = "odd"}, 4), odd);
}

// A call examines a bounded number of rows: what lies behind them takes more pages, not more time.
TEST_P(JobListing, FindsWhatLiesFarBack) {
  const job needle = enqueue({.type = "needle"});
  constexpr std::size_t parts = 12;
  for (std::size_t part = 0; part < parts; ++part) {
    transaction hay;
    for (std::size_t i = 0; i < listing_rows_max * 12 / 10 / parts; ++i) {
      hay.steps.push_back(enqueue_job{.queue = work});
    }
    ASSERT_TRUE(commit(std::move(hay)));
  }
  EXPECT_EQ(all_pages({.type = "needle"}, 50), (std::vector{needle.id}));
}

TEST_P(JobListing, CombinesStatusAndLabels) {
  kill_job("x", {.labels = {{"file", "1"}}});
  const job dead = kill_job("x", {.labels = {{"file", "2"}}});
  enqueue({.labels = {{"file", "2"}}});
  EXPECT_EQ(listed(work, {.status = job_status::dead, .labels = {{"file", "2"}}}),
            (std::vector{dead.id}));
}

TEST_P(JobListing, RefusesACursorThatIsNotOne) {
  enqueue();
  for (const char* cursor : {"x", "-", "%%%", "12345678901234567890123456789"}) {
    const auto refused = engine::blocking::ask(store(), list_jobs{.queue = work, .cursor = cursor});
    ASSERT_FALSE(refused) << cursor;
    EXPECT_EQ(refused.error().code, "bad_cursor");
    EXPECT_EQ(refused.error().kind, errc::malformed);
  }
}

TEST_P(JobListing, HasALeastAndAGreatestPage) {
  for (int i = 0; i < 3; ++i) enqueue();
  EXPECT_EQ(ask(list_jobs{.queue = work, .limit = 0}).items.size(), 1U);
  EXPECT_EQ(ask(list_jobs{.queue = work, .limit = 4'000'000'000}).items.size(), 3U);
}

TEST_P(JobListing, SeesAChangeThatWasAnswered) {
  for (int i = 0; i < 20; ++i) {
    const job made = enqueue();
    EXPECT_EQ(listed(work, {.status = job_status::queued}).front(), made.id);
    ack(lease_one());
    EXPECT_EQ(listed(work, {.status = job_status::completed}).front(), made.id);
  }
}

MILLRACE_QUERY_SUITE(QueueListing);

TEST_P(QueueListing, IsByNameInPages) {
  const std::vector<std::string> names{"a", "b", "b.c", "d"};
  for (const char* name : {"d", "b.c", "a", "b"}) enqueue({}, {.name = name});
  enqueue({}, {.project = "elsewhere", .name = "aa"});
  for (const std::uint32_t limit : {1U, 3U, 4U, 100U}) {
    std::vector<std::string> seen;
    list_queues what{.limit = limit};
    do {
      const auto page = ask(what);
      for (const queue_info& one : page.items) {
        seen.push_back(one.queue.name);
        EXPECT_EQ(one.waiting, 1U);
      }
      what.cursor = page.cursor;
    } while (!what.cursor.empty() && seen.size() < 10);
    EXPECT_EQ(seen, names) << limit;
  }
}

TEST_P(QueueListing, IsEmptyForAProjectNeverUsed) {
  enqueue();
  EXPECT_TRUE(ask(list_queues{.project = "nobody"}).items.empty());
  EXPECT_FALSE(ask(find_queue{{.project = "nobody", .name = "work"}}));
}

TEST_P(QueueListing, RefusesACursorThatIsNotOne) {
  enqueue();
  const auto refused = engine::blocking::ask(store(), list_queues{.cursor = "\x01 no cursor"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "bad_cursor");
}

MILLRACE_QUERY_SUITE(Store);

TEST_P(Store, TellsItsClock) {
  const timestamp before = ask(read_clock{});
  EXPECT_EQ(before, now());
  advance(3s);
  EXPECT_EQ(ask(read_clock{}), before + 3s);
}

TEST_P(Store, ProvesThatItWorks) { EXPECT_GE(ask(probe_store{}).took, 0s); }

TEST_P(Store, SaysWhatItIs) { EXPECT_FALSE(store().traits().engine.empty()); }

TEST_P(Store, FindsNothingWhereNothingIs) {
  EXPECT_FALSE(ask(find_job{{.tag = "work", .stamp = 1}}));
  EXPECT_FALSE(ask(find_queue{work}));
  EXPECT_FALSE(ask(find_cron{.name = "nightly"}));
  EXPECT_FALSE(ask(dead_at{.queue = work}));
  EXPECT_TRUE(ask(read_job_log{.id = {.tag = "work", .stamp = 1}}).empty());
  EXPECT_TRUE(ask(read_dead_stats{}).empty());
  EXPECT_TRUE(ask(list_queues{}).items.empty());
  EXPECT_TRUE(ask(list_crons{}).items.empty());
}

// Asking is not using: it makes nothing.
TEST_P(Store, IsNotChangedByQuestions) {
  ask(find_queue{work});
  ask(list_jobs{.queue = work});
  ask(dead_at{.queue = work});
  EXPECT_TRUE(ask(list_queues{}).items.empty());
}

TEST_P(Store, GrowsAJobsVersionWithEveryChange) {
  std::vector<std::uint64_t> versions{enqueue().version};
  const auto note = [&](const job_id& id) { versions.push_back(look(id).version); };
  const leased_job run_of = lease_one();
  const job_id id = run_of.what.id;
  note(id);
  run(extend_lease{.id = id, .token = run_of.token});
  note(id);
  run(report_progress{.id = id, .token = run_of.token, .value = 0.1});
  note(id);
  run(cancel_job{id});
  note(id);
  ack(run_of);
  note(id);
  EXPECT_TRUE(std::ranges::is_sorted(versions, std::less_equal<>{}) &&
              std::set(versions.begin(), versions.end()).size() == versions.size());
}

}  // namespace
}  // namespace millrace::conformance
