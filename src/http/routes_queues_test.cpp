#include "http_fixture.hpp"

#include <fmt/format.h>

#include <string>
#include <thread>
#include <vector>

namespace millrace::http {
namespace {

using testing::reply;
using testing::test_server;

void enqueue(const test_server& server, std::string_view body = "{}") {
  ASSERT_EQ(server.ask("POST /v1/queues/document/jobs", body).status, 201);
}

// Makes a dead letter of a job with this body and error; its id.
std::string bury(test_server& server, std::string_view body, std::string_view error) {
  enqueue(server, body);
  const reply leased = server.ask("POST /v1/queues/document:reserve");
  const auto job = leased.json().at("jobs").at(0);
  const std::string id = job.at("id").as_string().c_str();
  const reply failed = server.ask("POST /v1/jobs/" + id + ":fail",
                                  fmt::format(R"({{"token":{},"error":"{}","permanent":true}})",
                                              job.at("token").as_int64(), error));
  EXPECT_EQ(failed.text("status"), "dead");
  server.clock.advance(std::chrono::seconds{1});
  return id;
}

TEST(QueueRoutes, ShowsCountsAgeAndSettings) {
  test_server server;
  enqueue(server);
  enqueue(server, R"({"delay":60})");
  server.clock.advance(std::chrono::milliseconds{2500});
  const reply answer = server.ask("GET /v1/queues/document");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.text("queue"), "document");
  EXPECT_EQ(answer.text("waiting"), "1");
  EXPECT_EQ(answer.text("scheduled"), "1");
  EXPECT_EQ(answer.text("paused"), "false");
  EXPECT_EQ(answer.json().at("oldest_age").as_double(), 2.5);
  EXPECT_EQ(answer.json().at("settings").at("depth_max").as_int64(), 10'000'000);
  EXPECT_EQ(answer.json().at("minutes").at(0).at("enqueued").as_int64(), 2);
  const reply all = server.ask("GET /v1/queues");
  EXPECT_EQ(all.json().at("queues").as_array().size(), 1U);
  EXPECT_EQ(all.text("cursor"), "null");
}

TEST(QueueRoutes, SettingsAreMergedAndNullGoesBack) {
  const test_server server;
  const reply first =
      server.ask("PUT /v1/queues/document",
                 R"({"concurrency":3,"rate":{"limit":10,"per":0.5},"max_attempts":7,)"
                 R"("backoff":{"strategy":"fixed","base":1.5}})");
  ASSERT_EQ(first.status, 200) << first.body;
  const reply second = server.ask("PUT /v1/queues/document", R"({"rate":null,"keep_dead":3600})");
  const auto settings = second.json().at("settings");
  EXPECT_EQ(settings.at("concurrency").as_int64(), 3);
  EXPECT_TRUE(settings.at("rate").is_null());
  EXPECT_EQ(settings.at("max_attempts").as_int64(), 7);
  EXPECT_EQ(settings.at("keep_dead").to_number<int>(), 3600);
  EXPECT_EQ(settings.at("backoff").at("base").as_double(), 1.5);
  EXPECT_EQ(settings.at("backoff").at("strategy").as_string(), "fixed");
}

TEST(QueueRoutes, MembersOfTheBackoffAreMergedToo) {
  const test_server server;
  (void)server.ask("PUT /v1/queues/document", R"({"backoff":{"strategy":"fixed","base":1.5}})");
  const auto settings =
      server.ask("PUT /v1/queues/document", R"({"backoff":{"max":9}})").json().at("settings");
  EXPECT_EQ(settings.at("backoff").at("strategy").as_string(), "fixed");
  EXPECT_EQ(settings.at("backoff").at("base").as_double(), 1.5);
  EXPECT_EQ(settings.at("backoff").at("max").to_number<int>(), 9);
}

// Each writer merges into what it has read: neither may write back what the other has changed.
TEST(QueueRoutes, WritersAtTheSameTimeLoseNothing) {
  const test_server server;
  const std::vector<std::string> members{"concurrency", "group_concurrency", "depth_max",
                                         "keep_finished_count"};
  constexpr int rounds = 150;
  {
    std::vector<std::jthread> writers;
    for (const std::string& member : members) {
      writers.emplace_back([&server, &member] {
        for (int round = 1; round <= rounds; ++round) {
          const reply answer =
              server.ask("PUT /v1/queues/document", fmt::format(R"({{"{}":{}}})", member, round));
          // Nobody else writes this one, so that what is written stays.
          EXPECT_EQ(answer.json().at("settings").at(member).as_int64(), round);
        }
      });
    }
  }
  const auto settings = server.ask("GET /v1/queues/document").json().at("settings");
  for (const std::string& member : members) {
    EXPECT_EQ(settings.at(member).as_int64(), rounds) << member;
  }
}

TEST(QueueRoutes, PauseDrainAndResume) {
  const test_server server;
  enqueue(server);
  EXPECT_EQ(server.ask("POST /v1/queues/document:pause").text("paused"), "true");
  EXPECT_EQ(server.ask("POST /v1/queues/document:reserve").body, R"({"jobs":[]})");
  EXPECT_EQ(server.ask("POST /v1/queues/document:drain").text("draining"), "true");
  const reply refused = server.ask("POST /v1/queues/document/jobs");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.text("code"), "queue_draining");
  const reply open = server.ask("POST /v1/queues/document:resume");
  EXPECT_EQ(open.text("paused"), "false");
  EXPECT_EQ(open.text("draining"), "false");
}

TEST(QueueRoutes, AFullQueueSaysWhenToComeAgain) {
  const test_server server;
  (void)server.ask("PUT /v1/queues/document", R"({"depth_max":1})");
  enqueue(server);
  const reply full = server.ask("POST /v1/queues/document/jobs");
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.text("code"), "queue_full");
  EXPECT_FALSE(full.header("retry-after").empty());
  // So does one that took nothing of an array; one that took something answers each item.
  const reply none = server.ask("POST /v1/queues/document/jobs", "[{},{}]");
  EXPECT_EQ(none.status, 429);
  EXPECT_EQ(none.text("code"), "queue_full");
  (void)server.ask("PUT /v1/queues/document", R"({"depth_max":2})");
  const reply some = server.ask("POST /v1/queues/document/jobs", "[{},{}]");
  EXPECT_EQ(some.status, 201);
  EXPECT_EQ(some.json().at("jobs").as_array()[1].at("error").at("code").as_string(), "queue_full");
}

TEST(QueueRoutes, PurgeCountsWhatItDeleted) {
  const test_server server;
  enqueue(server);
  enqueue(server, R"({"delay":9})");
  EXPECT_EQ(server.ask("POST /v1/queues/document:purge").text("purged"), "2");
  EXPECT_EQ(server.ask("POST /v1/queues/document:purge", R"({"what":"finished"})").text("purged"),
            "0");
}

TEST(QueueRoutes, ListsJobsPageByPage) {
  const test_server server;
  for (int i = 0; i < 120; ++i) {
    enqueue(server, fmt::format(R"({{"type":"t{}","labels":{{"user":"{}"}}}})", i % 2, i % 3));
  }
  std::size_t found = 0;
  std::string cursor;
  for (int page = 0; page < 3; ++page) {
    const reply answer = server.ask("GET /v1/queues/document/jobs?limit=55" +
                                    (cursor.empty() ? std::string{} : "&cursor=" + cursor));
    ASSERT_EQ(answer.status, 200);
    found += answer.json().at("jobs").as_array().size();
    cursor = answer.text("cursor");
  }
  EXPECT_EQ(found, 120U);
  EXPECT_EQ(cursor, "null");
  const reply filtered =
      server.ask("GET /v1/queues/document/jobs?limit=1000&type=t1&label.user=2&status=queued");
  EXPECT_EQ(filtered.json().at("jobs").as_array().size(), 20U);
}

TEST(QueueRoutes, ListsJobsByTheOlderWordsOfTheirStatus) {
  test_server server;
  const std::string dead = bury(server, "{}", "boom");
  enqueue(server);
  const reply failed = server.ask("GET /v1/queues/document/jobs?status=failed");
  ASSERT_EQ(failed.json().at("jobs").as_array().size(), 1U) << failed.body;
  EXPECT_EQ(failed.json().at("jobs").at(0).at("id").as_string(), dead);
  const reply pending = server.ask("GET /v1/queues/document/jobs?status=pending");
  EXPECT_EQ(pending.json().at("jobs").as_array().size(), 1U) << pending.body;
}

TEST(DeadLetterRoutes, TryARequeueByIndexOut) {
  test_server server;
  const std::string id = bury(server, "{}", "boom");
  const reply tried = server.ask("POST /admin/dlq/document/requeue/0?dry_run=true");
  EXPECT_EQ(tried.status, 200);
  EXPECT_EQ(tried.text("id"), id);
  EXPECT_EQ(tried.text("status"), "dead");
  EXPECT_EQ(server.ask("GET /v1/queues/document").text("dead"), "1");
  EXPECT_EQ(server.ask("POST /admin/dlq/document/requeue/0").text("status"), "queued");
}

TEST(DeadLetterRoutes, ListInTheOrderOfFailure) {
  test_server server;
  const std::string first = bury(server, R"({"type":"a","data":1})", "boom 1");
  const std::string second = bury(server, R"({"type":"b","data":2})", "boom 2");
  const reply all = server.ask("GET /admin/dlq/document?limit=1");
  EXPECT_EQ(all.text("queue"), "document");
  EXPECT_EQ(all.text("total"), "2");
  const auto item = all.json().at("items").at(0);
  EXPECT_EQ(item.at("index").as_int64(), 0);
  EXPECT_EQ(item.at("id").as_string(), first);
  EXPECT_EQ(item.at("error").as_string(), "boom 1");
  EXPECT_EQ(item.at("attempts").as_int64(), 1);
  EXPECT_EQ(item.at("failed_at").as_string(), "2026-01-01T00:00:00.000Z");
  const reply rest = server.ask("GET /admin/dlq/document?cursor=" + all.text("cursor"));
  EXPECT_EQ(rest.json().at("items").at(0).at("index").as_int64(), 1);
  EXPECT_EQ(rest.json().at("items").at(0).at("id").as_string(), second);
  const reply typed = server.ask("GET /admin/dlq/document?type=b");
  EXPECT_EQ(typed.json().at("items").at(0).at("id").as_string(), second);
  EXPECT_TRUE(typed.json().at("items").at(0).at("index").is_null());
  const reply one = server.ask("GET /admin/dlq/document?id=" + first);
  EXPECT_EQ(one.json().at("items").at(0).at("id").as_string(), first);
  EXPECT_EQ(server.ask("GET /admin/dlq/other?id=" + first).status, 404);
}

TEST(DeadLetterRoutes, StatsGroupEqualCauses) {
  test_server server;
  bury(server, "{}", "cannot open file 17");
  bury(server, "{}", "cannot open file 18");
  const reply stats = server.ask("GET /admin/dlq/stats");
  EXPECT_EQ(stats.text("total"), "2");
  const auto queue = stats.json().at("queues").at(0);
  EXPECT_EQ(queue.at("count").as_int64(), 2);
  EXPECT_EQ(queue.at("oldest").as_string(), "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(queue.at("top_errors").at(0).at("count").as_int64(), 2);
  EXPECT_EQ(queue.at("top_errors").at(0).at("sample").as_string(), "cannot open file 17");
}

TEST(DeadLetterRoutes, RequeueByIndexIsGuardedByTheId) {
  test_server server;
  const std::string first = bury(server, "{}", "x");
  const std::string second = bury(server, "{}", "y");
  const std::string path = "POST /admin/dlq/document/requeue/0";
  const reply moved = server.ask(path + "?id=" + second);
  EXPECT_EQ(moved.status, 409);
  EXPECT_EQ(moved.text("code"), "dead_letter_moved");
  const reply done = server.ask(path + "?id=" + first);
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(done.text("id"), first);
  EXPECT_EQ(done.text("attempts"), "0");
  EXPECT_EQ(server.ask("GET /v1/jobs/" + first).text("status"), "queued");
  EXPECT_EQ(server.ask("POST /admin/dlq/document/requeue/7").status, 404);
  EXPECT_EQ(server.ask("POST /admin/dlq/document/requeue/x").status, 422);
}

TEST(DeadLetterRoutes, RequeueManyByIdFilterOrAll) {
  test_server server;
  const std::string first = bury(server, R"({"type":"a"})", "x");
  bury(server, R"({"type":"b"})", "y");
  bury(server, R"({"type":"b"})", "z");
  const std::string path = "POST /admin/dlq/document:requeue";
  const reply dry = server.ask(path + "?dry_run=true", R"({"filter":{"type":"b"}})");
  EXPECT_EQ(dry.text("matched"), "2");
  EXPECT_EQ(dry.text("requeued"), "0");
  const reply ids = server.ask(path, fmt::format(R"({{"ids":["{}","nope"]}})", first));
  EXPECT_EQ(ids.text("matched"), "1");
  EXPECT_EQ(ids.text("requeued"), "1");
  EXPECT_EQ(ids.json().at("jobs").at(0).at("status").as_string(), "queued");
  EXPECT_EQ(ids.json().at("jobs").at(1).at("error").at("status").as_int64(), 404);
  EXPECT_EQ(server.ask(path, R"({"filter":{"type":"b"}})").text("requeued"), "2");
  EXPECT_EQ(server.ask(path, R"({"all":true})").text("matched"), "0");
}

TEST(DeadLetterRoutes, PurgeDeletesAll) {
  test_server server;
  bury(server, "{}", "x");
  EXPECT_EQ(server.ask("DELETE /admin/dlq/document").text("purged"), "1");
  EXPECT_EQ(server.ask("GET /admin/dlq/document").text("total"), "0");
  EXPECT_EQ(server.ask("DELETE /admin/dlq/other").status, 404);
}

TEST(CronRoutes, PutShowListAndDelete) {
  const test_server server;
  constexpr std::string_view body =
      R"({"queue":"document","schedule":"30 4 * * *","time_zone":"Europe/Berlin",)"
      R"("job":{"type":"nightly","data":{"n":1.0},"priority":7,"max_attempts":2},)"
      R"("overlap":"skip","catch_up":"none"})";
  const reply made = server.ask("PUT /v1/cron/nightly", body);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.text("name"), "nightly");
  EXPECT_EQ(made.text("next_at"), "2026-01-01T03:30:00.000Z");
  EXPECT_EQ(made.text("overlap"), "skip");
  EXPECT_NE(made.body.find(R"("data":{"n":1.0})"), std::string::npos);
  EXPECT_EQ(made.json().at("job").at("max_attempts").as_int64(), 2);
  EXPECT_EQ(server.ask("PUT /v1/cron/nightly", body).status, 200);
  EXPECT_EQ(server.ask("GET /v1/cron/nightly").text("catch_up"), "none");
  EXPECT_EQ(server.ask("GET /v1/cron").json().at("crons").as_array().size(), 1U);
  EXPECT_EQ(server.ask("DELETE /v1/cron/nightly").status, 204);
  EXPECT_EQ(server.ask("DELETE /v1/cron/nightly").status, 404);
  EXPECT_EQ(server.ask("GET /v1/cron/nightly").text("code"), "cron_not_found");
}

TEST(CronRoutes, PausedEntriesHaveNoSlotAndGoOnFromNow) {
  test_server server;
  const reply made =
      server.ask("PUT /v1/cron/nightly", R"({"queue":"document","schedule":"@hourly"})");
  EXPECT_EQ(made.text("next_at"), "2026-01-01T01:00:00.000Z");
  const reply paused = server.ask("POST /v1/cron/nightly:pause");
  EXPECT_EQ(paused.status, 200) << paused.body;
  EXPECT_EQ(paused.text("paused"), "true");
  EXPECT_EQ(paused.text("next_at"), "null");
  EXPECT_EQ(server.ask("POST /v1/cron/nightly:pause").text("paused"), "true");
  server.clock.advance(std::chrono::minutes{150});
  const reply on = server.ask("POST /v1/cron/nightly:resume");
  EXPECT_EQ(on.text("paused"), "false");
  EXPECT_EQ(on.text("next_at"), "2026-01-01T03:00:00.000Z");
  EXPECT_EQ(on.text("schedule"), "@hourly");
  EXPECT_EQ(server.ask("POST /v1/cron/never:resume").text("code"), "cron_not_found");
}

TEST(CronRoutes, TellOnlyWhatTheEntryItselfSays) {
  const test_server server;
  const auto silent =
      server.ask("PUT /v1/cron/a", R"({"queue":"document","schedule":"@hourly"})").json();
  EXPECT_FALSE(silent.at("job").as_object().contains("max_attempts"));
  EXPECT_FALSE(silent.at("job").as_object().contains("backoff"));
  const auto said =
      server
          .ask("PUT /v1/cron/b",
               R"({"queue":"document","schedule":"@hourly","job":{"max_attempts":2}})")
          .json();
  EXPECT_EQ(said.at("job").at("max_attempts").as_int64(), 2);
}

}  // namespace
}  // namespace millrace::http
