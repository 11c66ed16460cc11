#include "fixture.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace millrace::conformance {
namespace {

const stream_key flow{.name = "flow 1"};
const stream_key elsewhere{.name = "elsewhere"};

/// What was found, as `job` and the type of a job or `event` and that of an event.
using names = std::vector<std::string>;

template <class Fixture>
class correlation_test : public Fixture {
protected:
  using Fixture::Fixture;

  job enqueue_with(std::string id, std::string type, queue_key queue = work) {
    return this->enqueue({.type = std::move(type), .correlation_id = std::move(id)},
                         std::move(queue));
  }
  event_published publish_with(std::string id, std::string type, const stream_key& to = flow) {
    return this->run(publish_event{
        .stream = to, .what = {.type = std::move(type), .correlation_id = std::move(id)}});
  }
  /// Both in the order of their stamps.
  [[nodiscard]] static names names_of(const list_correlated::page& page) {
    std::vector<std::pair<std::uint64_t, std::string>> all;
    for (const job& each : page.jobs) all.emplace_back(each.id.stamp, "job " + each.spec.type);
    for (const correlated_event& each : page.events) {
      all.emplace_back(each.what.stamp, "event " + each.what.type);
    }
    std::ranges::sort(all, std::ranges::greater{});
    names out;
    for (auto& [stamp, name] : all) out.push_back(std::move(name));
    return out;
  }
  [[nodiscard]] names found(std::string id) {
    return all_pages({.correlation_id = std::move(id), .limit = 1000});
  }
  /// Every page, and that none is longer than asked for.
  [[nodiscard]] names all_pages(list_correlated what) {
    names out;
    for (int pages = 0; pages < 1000; ++pages) {
      const list_correlated::page one = this->ask(what);
      EXPECT_LE(one.jobs.size() + one.events.size(), what.limit);
      std::ranges::copy(names_of(one), std::back_inserter(out));
      if (one.cursor.empty()) return out;
      what.cursor = one.cursor;
    }
    ADD_FAILURE() << "the listing does not end";
    return out;
  }
};

class Correlation : public correlation_test<engine_test> {};
INSTANTIATE_TEST_SUITE_P(Engine, Correlation, testing::ValuesIn(engines_under_test()), case_name);

TEST_P(Correlation, ThatNothingCarriesIsEmpty) {
  enqueue();
  enqueue_with("other", "a");
  const auto page = ask(list_correlated{.correlation_id = "c"});
  EXPECT_TRUE(page.jobs.empty());
  EXPECT_TRUE(page.events.empty());
  EXPECT_EQ(page.cursor, "");
  EXPECT_TRUE(page.complete);
  EXPECT_EQ(found(""), names{}) << "what carries none has no id in common";
}

TEST_P(Correlation, BringsJobsOfAllQueuesAndEventsOfAllStreamsTogether) {
  enqueue_with("request 1", "a");
  publish_with("request 1", "b");
  enqueue_with("request 2", "x");
  enqueue_with("request 1", "c", other);
  publish_with("request 2", "y");
  publish_with("", "z");
  publish_with("request 1", "d", elsewhere);
  EXPECT_EQ(found("request 1"), (names{"event d", "job c", "event b", "job a"}));
  EXPECT_EQ(found("request 2"), (names{"event y", "job x"}));
}

TEST_P(Correlation, AnswersJobsAndEventsAsTheyAre) {
  const job made = enqueue({.type = "a", .data = R"({"n":1})", .correlation_id = "c"});
  const event_published event = run(publish_event{.stream = flow,
                                                  .what = {.type = "b",
                                                           .payload = R"({ "p" : 1.0 })",
                                                           .source = "s",
                                                           .correlation_id = "c",
                                                           .id = "i"}});
  const auto page = ask(list_correlated{.correlation_id = "c"});
  ASSERT_EQ(page.jobs.size(), 1U);
  EXPECT_EQ(page.jobs.front().id, made.id);
  EXPECT_EQ(page.jobs.front().queue, work);
  EXPECT_EQ(page.jobs.front().spec.data, R"({"n":1})");
  EXPECT_EQ(page.jobs.front().status, job_status::queued);
  ASSERT_EQ(page.events.size(), 1U);
  const correlated_event& one = page.events.front();
  EXPECT_EQ(one.stream, flow);
  EXPECT_EQ((event_cursor{one.epoch, one.what.offset, one.what.stamp}), event.place);
  EXPECT_EQ(one.what.payload, R"({ "p" : 1.0 })");
  EXPECT_EQ(one.what.source, "s");
  EXPECT_EQ(one.what.id, "i");
  EXPECT_EQ(one.what.at, now());
}

TEST_P(Correlation, FollowsAJobThroughItsLife) {
  enqueue_with("c", "a");
  const auto status = [&] {
    const auto page = ask(list_correlated{.correlation_id = "c"});
    return page.jobs.empty() ? "gone" : std::string(to_string(page.jobs.front().status));
  };
  EXPECT_EQ(status(), "queued");
  const leased_job run_of = lease_one();
  EXPECT_EQ(status(), "running");
  ack(run_of);
  EXPECT_EQ(status(), "completed");
  advance(25h);
  EXPECT_EQ(status(), "gone");
}

TEST_P(Correlation, ForgetsWhatIsDeletedAndPurged) {
  const job first = enqueue_with("c", "a");
  enqueue_with("c", "b");
  enqueue_with("c", "d", other);
  run(delete_job{first.id});
  EXPECT_EQ(found("c"), (names{"job d", "job b"}));
  run(purge_jobs{.queue = work, .target = purge_target::waiting, .max = 10});
  EXPECT_EQ(found("c"), (names{"job d"}));
  enqueue_with("c", "e");
  EXPECT_EQ(found("c"), (names{"job e", "job d"}));
}

TEST_P(Correlation, ForgetsEventsThatAreKeptNoLonger) {
  run(configure_stream{.stream = flow, .retention = {.count = 2, .age = 1h, .bytes = 1000}});
  for (const char* each : {"1", "2", "3"}) publish_with("c", each);
  publish_with("c", "4", elsewhere);
  EXPECT_EQ(found("c"), (names{"event 4", "event 3", "event 2"}));
  advance(1h);
  settle();
  publish_with("c", "5");
  EXPECT_EQ(found("c"), (names{"event 5", "event 4"}));
}

TEST_P(Correlation, OfAStreamThatBeginsAnewHasNothingOfItsFormerLife) {
  publish_with("c", "1");
  advance(24h * 8);
  settle();
  EXPECT_EQ(found("c"), names{});
  publish_with("d", "2");
  EXPECT_EQ(found("c"), names{});
  EXPECT_EQ(found("d"), names{"event 2"});
}

TEST_P(Correlation, ComesInPagesThatLeaveNothingOut) {
  names all;
  for (int i = 0; i < 23; ++i) {
    const std::string name = std::to_string(i);
    if (i % 3 == 0) {
      publish_with("c", name, i % 2 == 0 ? flow : elsewhere);
    } else {
      enqueue_with("c", name, i % 2 == 0 ? work : other);
    }
    enqueue_with("d", name);
    all.push_back((i % 3 == 0 ? "event " : "job ") + name);
  }
  std::ranges::reverse(all);
  for (const std::uint32_t limit : {1U, 4U, 22U, 23U, 24U, 1000U}) {
    EXPECT_EQ(all_pages({.correlation_id = "c", .limit = limit}), all) << limit;
  }
}

TEST_P(Correlation, GoesOnWhereItWasThoughJobsComeAndGo) {
  std::vector<job_id> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(enqueue_with("c", std::to_string(i)).id);
  const auto first = ask(list_correlated{.correlation_id = "c", .limit = 3});
  EXPECT_EQ(names_of(first), (names{"job 5", "job 4", "job 3"}));
  enqueue_with("c", "6");
  run(delete_job{ids[3]});  // The last of the page, where the cursor stands.
  run(delete_job{ids[1]});
  const auto second =
      ask(list_correlated{.correlation_id = "c", .limit = 3, .cursor = first.cursor});
  EXPECT_EQ(names_of(second), (names{"job 2", "job 0"}));
}

TEST_P(Correlation, RefusesACursorThatIsNone) {
  for (const char* cursor : {"x", "-1", "1.2", "0", "99999999999999999999", "9007199254740992"}) {
    EXPECT_EQ(word_of(list_correlated{.correlation_id = "c", .cursor = cursor}), "bad_cursor")
        << cursor;
  }
}

TEST_P(Correlation, BelongsToOneProject) {
  enqueue_with("c", "a");
  enqueue_with("c", "b", {.project = "p", .name = "work"});
  publish_with("c", "d", {.project = "p", .name = "flow 1"});
  EXPECT_EQ(found("c"), names{"job a"});
  EXPECT_EQ(all_pages({.project = "p", .correlation_id = "c"}), (names{"event d", "job b"}));
  EXPECT_EQ(all_pages({.project = "q", .correlation_id = "c"}), names{});
}

TEST_P(Correlation, IsAJobsOwnIdWhereItCarriesNoOther) {
  const job own = enqueue_named("own");
  const std::string id = own.id.text();
  EXPECT_EQ(found(id), names{"job own"});
  enqueue_with(id, "child");
  publish_with(id, "event");
  EXPECT_EQ(found(id), (names{"event event", "job child", "job own"}));
  EXPECT_EQ(all_pages({.correlation_id = id, .limit = 1}),
            (names{"event event", "job child", "job own"}));
  EXPECT_EQ(all_pages({.project = "p", .correlation_id = id}), names{});

  const job with_another = enqueue_with("c", "a");
  EXPECT_EQ(found(with_another.id.text()), names{});
}

TEST_P(Correlation, IsFoundOfJobsHoweverTheyWereMade) {
  transaction several;
  for (const char* type : {"a", "b", "c"}) {
    several.steps.emplace_back(
        enqueue_job{.queue = work,
                    .spec = {.type = type, .correlation_id = *type == 'b' ? std::string() : "r"}});
  }
  ASSERT_TRUE(commit(std::move(several)));
  enqueue({.type = "delayed", .delay = 1h, .correlation_id = "r"});
  enqueue({.type = "unique", .unique = unique_spec{.key = "u"}, .correlation_id = "r"});
  enqueue({.type = "again", .unique = unique_spec{.key = "u"}, .correlation_id = "r"});
  enqueue({.type = "traced", .correlation_id = "r", .traceparent = "00-1-2-03"});
  transaction once;
  once.steps.emplace_back(
      enqueue_job{.queue = work, .spec = {.type = "once", .correlation_id = "r"}});
  once.idempotency = {.project = "default", .route = "r", .key = "k", .fingerprint = 1};
  ASSERT_TRUE(commit(once));
  ASSERT_TRUE(commit(once));
  const cron_fired kept = run(put_cron{.entry = {.name = "nightly",
                                                 .queue = "work",
                                                 .schedule = "* * * * *",
                                                 .job = {.type = "fired", .correlation_id = "r"},
                                                 .next_at = now() + 60s}});
  advance(60s);
  run(fire_cron{.project = "default",
                .name = "nightly",
                .version = kept.entry.version,
                .slot = now(),
                .next_at = now() + 60s});
  EXPECT_EQ(found("r"), (names{"job fired", "job once", "job traced", "job unique", "job delayed",
                               "job c", "job a"}));
}

TEST_P(Correlation, OfARefusedTransactionIsNotKept) {
  const leased_job run_of = begin_run();
  const auto refused =
      commit_all(enqueue_job{.queue = work, .spec = {.correlation_id = "c"}},
                 publish_event{.stream = flow, .what = {.type = "t", .correlation_id = "c"}},
                 ack_job{.id = run_of.what.id, .token = run_of.token + 1});
  EXPECT_EQ(word(refused), "stale_token");
  EXPECT_EQ(found("c"), names{});
}

TEST_P(Correlation, OfManyInOneBatchIsEachFound) {
  std::vector<transaction> batch;
  for (int i = 0; i < 60; ++i) {
    transaction& one = batch.emplace_back();
    // Some carry none, and some are for another queue.
    const std::string id = i % 3 == 0 ? "" : "c" + std::to_string(i % 2);
    one.steps.emplace_back(enqueue_job{.queue = i % 20 < 10 ? work : other,
                                       .spec = {.type = std::to_string(i), .correlation_id = id}});
  }
  names of_one;
  for (int i = 59; i >= 0; --i) {
    if (i % 3 != 0 && i % 2 == 1) of_one.push_back("job " + std::to_string(i));
  }
  for (const commit_result& each : blocking::commit_each(store(), std::move(batch))) {
    ASSERT_TRUE(each);
  }
  EXPECT_EQ(found("c1"), of_one);
}

class correlation_restart_test : public correlation_test<engine_fixture>,
                                 public testing::WithParamInterface<engine_case> {
protected:
  correlation_restart_test() : correlation_test<engine_fixture>(GetParam()) {}
};
class CorrelationRestart : public correlation_restart_test {};
INSTANTIATE_TEST_SUITE_P(Engine, CorrelationRestart,
                         testing::ValuesIn(reopenable_engines_under_test()), case_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CorrelationRestart);

TEST_P(CorrelationRestart, KeepsWhatCarriesIt) {
  publish_with("c", "1");
  enqueue_with("c", "2");
  publish_with("c", "3", elsewhere);
  ack(lease_one());
  enqueue_with("c", "4", other);
  const names before{"job 4", "event 3", "job 2", "event 1"};
  EXPECT_EQ(found("c"), before);
  for (const ending how : {ending::closed, ending::killed}) {
    restart(how, 1h);
    EXPECT_EQ(found("c"), before);
    EXPECT_EQ(all_pages({.correlation_id = "c", .limit = 1}), before);
  }
  publish_with("c", "5");
  EXPECT_EQ(found("c").front(), "event 5");
}

}  // namespace
}  // namespace millrace::conformance
