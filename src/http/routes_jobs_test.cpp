#include "http_fixture.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <variant>

namespace millrace::http {
namespace {

using testing::raw_client;
using testing::reply;
using testing::test_server;

std::string enqueue(const test_server& server, std::string_view body = "{}") {
  return server.ask("POST /v1/queues/document/jobs", body).text("id");
}

struct lease {
  std::string id;
  std::string token;
};
lease reserve_one(const test_server& server) {
  const reply answer = server.ask("POST /v1/queues/document:reserve", "{}");
  const auto jobs = answer.json().at("jobs").as_array();
  if (jobs.size() != 1) throw std::runtime_error("expected one job: " + answer.body);
  return {std::string{jobs[0].at("id").as_string().c_str()},
          std::to_string(jobs[0].at("token").as_int64())};
}

TEST(EnqueueRoute, AnswersTheJobInItsWholeShape) {
  const test_server server;
  const reply answer =
      server.ask("POST /v1/queues/document/jobs",
                 R"({"type":"extract","data":{"n":1.50,"big":12345678901234567890},"priority":9,)"
                 R"("labels":{"b":"2","a":"1"},"correlation_id":"c-1","max_attempts":2})");
  ASSERT_EQ(answer.status, 201);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.header("location"), "/v1/jobs/" + answer.text("id"));
  EXPECT_EQ(answer.text("queue"), "document");
  EXPECT_EQ(answer.text("type"), "extract");
  EXPECT_EQ(answer.text("status"), "queued");
  EXPECT_EQ(answer.text("priority"), "9");
  EXPECT_EQ(answer.text("attempts"), "0");
  EXPECT_EQ(answer.text("max_attempts"), "2");
  EXPECT_EQ(answer.text("created_at"), "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(answer.text("correlation_id"), "c-1");
  EXPECT_EQ(answer.text("durability"), "memory");
  // What was sent comes back byte for byte.
  EXPECT_NE(answer.body.find(R"("data":{"n":1.50,"big":12345678901234567890},)"),
            std::string::npos);
  EXPECT_NE(answer.body.find(R"("labels":{"a":"1","b":"2"})"), std::string::npos);
  EXPECT_NE(answer.body.find(R"("result":null,"error":null,"progress":null,"checkpoint":null)"),
            std::string::npos);
}

TEST(EnqueueRoute, TakesAMissingBodyAsAnEmptyObject) {
  const test_server server;
  const reply answer = server.ask("POST /v1/queues/document/jobs");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.text("data"), "null");
}

TEST(EnqueueRoute, AnswersADuplicateWithTheFirstJob) {
  const test_server server;
  const reply first = server.ask("POST /v1/queues/document/jobs", R"({"unique":"k","data":1})");
  const reply second = server.ask("POST /v1/queues/document/jobs", R"({"unique":"k","data":2})");
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.text("duplicate"), "true");
  EXPECT_EQ(second.text("id"), first.text("id"));
  EXPECT_EQ(second.text("data"), "1");
}

TEST(EnqueueRoute, ReplacesWhereAsked) {
  const test_server server;
  const reply first = server.ask("POST /v1/queues/document/jobs", R"({"unique":"k","data":1})");
  const reply second = server.ask("POST /v1/queues/document/jobs",
                                  R"({"unique":{"key":"k","mode":"replace"},"data":2})");
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.text("replaced"), "true");
  EXPECT_EQ(second.text("id"), first.text("id"));
  EXPECT_EQ(second.text("data"), "2");
  // The mode is what the second enqueue asked for, not what the job was made with.
  EXPECT_EQ(second.text("unique"), R"({"key":"k"})");
}

TEST(EnqueueRoute, DoesTheGoodItemsOfAnArrayAndNamesTheBad) {
  const test_server server;
  const reply answer =
      server.ask("POST /v1/queues/document/jobs", R"([{"data":1},{"priority":11},7,{"data":4}])");
  ASSERT_EQ(answer.status, 201);
  const auto jobs = answer.json().at("jobs").as_array();
  ASSERT_EQ(jobs.size(), 4U);
  EXPECT_EQ(jobs[0].at("data").as_int64(), 1);
  EXPECT_EQ(jobs[1].at("error").at("field").as_string(), "priority");
  EXPECT_EQ(jobs[1].at("error").at("status").as_int64(), 422);
  EXPECT_EQ(jobs[2].at("error").at("code").as_string(), "invalid_value");
  EXPECT_EQ(jobs[3].at("data").as_int64(), 4);
}

TEST(EnqueueRoute, DoesAllItemsOrNoneWhenAtomic) {
  const test_server server;
  const reply bad =
      server.ask("POST /v1/queues/document/jobs?atomic=true", R"([{"data":1},{"priority":11}])");
  EXPECT_EQ(bad.status, 422);
  EXPECT_EQ(bad.text("field"), "1.priority");
  EXPECT_EQ(server.ask("GET /v1/queues/document").status, 404);
  const reply good =
      server.ask("POST /v1/queues/document/jobs?atomic=true", R"([{"data":1},{"data":2}])");
  EXPECT_EQ(good.status, 201);
  EXPECT_EQ(good.json().at("jobs").as_array().size(), 2U);
}

TEST(EnqueueRoute, RepeatsTheFirstAnswerForAnIdempotencyKey) {
  const test_server server;
  constexpr std::string_view key = "Idempotency-Key: once\r\n";
  const reply first = server.ask("POST /v1/queues/document/jobs", R"({"data":1})", key);
  const reply again = server.ask("POST /v1/queues/document/jobs", R"({"data":1})", key);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.header("idempotency-replayed"), "");
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.header("idempotency-replayed"), "true");
  EXPECT_EQ(again.text("id"), first.text("id"));
  EXPECT_EQ(server.ask("GET /v1/queues/document").text("waiting"), "1");
  // The same key for something else, in the body or in the target, is refused.
  const reply body = server.ask("POST /v1/queues/document/jobs", R"({"data":2})", key);
  EXPECT_EQ(body.status, 422);
  EXPECT_EQ(body.text("code"), "idempotency_mismatch");
  EXPECT_EQ(server.ask("POST /v1/queues/other/jobs", R"({"data":1})", key).status, 422);
}

TEST(EnqueueRoute, RepeatsAnArrayForAnIdempotencyKey) {
  const test_server server;
  constexpr std::string_view key = "Idempotency-Key: many\r\n";
  constexpr std::string_view body = R"([{"data":1},{"priority":11},{"data":3}])";
  const reply first = server.ask("POST /v1/queues/document/jobs", body, key);
  const reply again = server.ask("POST /v1/queues/document/jobs", body, key);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(server.ask("GET /v1/queues/document").text("waiting"), "2");
}

TEST(EnqueueRoute, CarriesTheCorrelationIdAndTheTrace) {
  const test_server server;
  constexpr std::string_view trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const reply given =
      server.ask("POST /v1/queues/document/jobs", "{}",
                 fmt::format("X-Correlation-ID: abc\r\ntraceparent: {}\r\n", trace));
  EXPECT_EQ(given.text("correlation_id"), "abc");
  EXPECT_EQ(given.header("x-correlation-id"), "abc");
  EXPECT_EQ(given.text("traceparent"), trace);
  const reply made = server.ask("POST /v1/queues/document/jobs", "{}", "traceparent: broken\r\n");
  EXPECT_EQ(made.header("x-correlation-id"), made.text("id"));
  EXPECT_EQ(made.text("correlation_id"), made.header("x-correlation-id"));
  EXPECT_EQ(made.text("traceparent"), "");
}

TEST(EnqueueRoute, MakesOneCorrelationIdForSeveralJobs) {
  const test_server server;
  const reply made = server.ask("POST /v1/queues/document/jobs", "[{},{}]");
  const std::string id = made.header("x-correlation-id");
  EXPECT_EQ(id.size(), 32U);
  const auto jobs = made.json().at("jobs").as_array();
  for (const auto& job : jobs) EXPECT_EQ(job.at("correlation_id").as_string(), id);
  const reply named = server.ask("POST /v1/queues/document/jobs", R"({"correlation_id":"mine"})");
  EXPECT_EQ(named.text("correlation_id"), "mine");
  EXPECT_EQ(named.header("x-correlation-id").size(), 32U);
}

TEST(ReserveRoute, HandsOutJobsWithTokenAndAttempt) {
  const test_server server;
  enqueue(server, R"({"data":{"x":1}})");
  const reply answer =
      server.ask("POST /v1/queues/document:reserve", R"({"max":10,"lease":5,"worker":"w1"})");
  ASSERT_EQ(answer.status, 200);
  const auto jobs = answer.json().at("jobs").as_array();
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_GT(jobs[0].at("token").as_int64(), 0);
  EXPECT_EQ(jobs[0].at("attempt").as_int64(), 1);
  EXPECT_EQ(jobs[0].at("leased_until").as_string(), "2026-01-01T00:00:05.000Z");
  EXPECT_EQ(jobs[0].at("worker").as_string(), "w1");
  EXPECT_EQ(server.ask("POST /v1/queues/document:reserve").body, R"({"jobs":[]})");
}

TEST(ReserveRoute, TakesFromSeveralQueues) {
  const test_server server;
  enqueue(server);
  const reply answer = server.ask("POST /v1/queues:reserve",
                                  R"({"queues":["audio",{"queue":"document","weight":3}]})");
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json().at("jobs").as_array().size(), 1U);
}

TEST(ReserveRoute, IsWokenByAnEnqueue) {
  const test_server server;
  raw_client client = server.connect();
  client.send(testing::make_request("POST /v1/queues/document:reserve", R"({"wait":60})"));
  const std::string id = enqueue(server);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->json().at("jobs").at(0).at("id").as_string(), id);
}

TEST(ReserveRoute, AnswersEmptyWhenTheWaitEnds) {
  const test_server server;
  const reply answer = server.ask("POST /v1/queues/document:reserve", R"({"wait":0.05})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"jobs":[]})");
}

// A lease given to a connection that is dead would keep the job from everybody for half a minute.
TEST(ReserveRoute, LeasesNothingToAClientThatHasGone) {
  const test_server server;
  {
    raw_client gone = server.connect();
    gone.send(testing::make_request("POST /v1/queues/document:reserve", R"({"wait":60})"));
    // Reads nothing, and goes; the server notices while it waits.
    gone.finish_sending();
    const auto answer = gone.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, R"({"jobs":[]})");
  }
  enqueue(server);
  EXPECT_EQ(server.ask("GET /v1/queues/document").text("waiting"), "1");
}

TEST(ReserveRoute, NoticesAGoneClientBehindAPipelinedRequest) {
  const test_server server;
  raw_client gone = server.connect();
  gone.send(testing::make_request("POST /v1/queues/document:reserve", R"({"wait":60})") +
            testing::make_request("GET /health/live"));
  gone.finish_sending();
  const auto first = gone.receive();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->body, R"({"jobs":[]})");
  const auto second = gone.receive();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->status, 200U);
}

TEST(RunRoutes, AckKeepsTheResult) {
  const test_server server;
  enqueue(server);
  const lease run = reserve_one(server);
  const reply answer =
      server.ask("POST /v1/jobs/" + run.id + ":ack",
                 fmt::format(R"({{"token":{},"result":{{"p": 1.0}}}})", run.token));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.text("status"), "completed");
  const reply job = server.ask("GET /v1/jobs/" + run.id);
  EXPECT_NE(job.body.find(R"("result":{"p": 1.0})"), std::string::npos);
}

TEST(RunRoutes, AStaleTokenIsAConflict) {
  const test_server server;
  enqueue(server);
  const lease run = reserve_one(server);
  const std::string body = fmt::format(R"({{"token":{}}})", std::stoll(run.token) + 1);
  for (const std::string_view verb : {"ack", "fail", "extend", "snooze"}) {
    const reply answer = server.ask(fmt::format("POST /v1/jobs/{}:{}", run.id, verb), body);
    EXPECT_EQ(answer.status, 409) << verb;
    EXPECT_EQ(answer.text("code"), "stale_token") << verb;
  }
  EXPECT_EQ(server.ask("PUT /v1/jobs/" + run.id + "/progress", body).status, 409);
}

TEST(RunRoutes, FailRetriesWhenTold) {
  const test_server server;
  enqueue(server);
  const lease run = reserve_one(server);
  const reply answer =
      server.ask("POST /v1/jobs/" + run.id + ":fail",
                 fmt::format(R"({{"token":{},"error":"boom","retry_in":2.5}})", run.token));
  EXPECT_EQ(answer.text("status"), "retrying");
  EXPECT_EQ(answer.text("run_at"), "2026-01-01T00:00:02.500Z");
  const reply retries = server.ask("GET /v1/queues/document/retries");
  EXPECT_EQ(retries.json().at("jobs").at(0).at("error").as_string(), "boom");
}

TEST(RunRoutes, ExtendCarriesACheckpointAndTheCancelRequest) {
  const test_server server;
  enqueue(server);
  const lease run = reserve_one(server);
  const std::string path = "POST /v1/jobs/" + run.id;
  const reply first =
      server.ask(path + ":extend",
                 fmt::format(R"({{"token":{},"lease":60,"checkpoint":{{"page":3}}}})", run.token));
  EXPECT_EQ(first.text("leased_until"), "2026-01-01T00:01:00.000Z");
  EXPECT_EQ(first.text("cancel_requested"), "false");
  EXPECT_EQ(server.ask(path + ":cancel").text("cancel_requested"), "true");
  const reply second = server.ask(path + ":extend", fmt::format(R"({{"token":{}}})", run.token));
  EXPECT_EQ(second.text("cancel_requested"), "true");
  EXPECT_EQ(server.ask("GET /v1/jobs/" + run.id).text("checkpoint"), R"({"page":3})");
}

TEST(RunRoutes, SnoozeKeepsTheAttempt) {
  const test_server server;
  enqueue(server);
  const lease run = reserve_one(server);
  const reply answer = server.ask("POST /v1/jobs/" + run.id + ":snooze",
                                  fmt::format(R"({{"token":{},"delay":10}})", run.token));
  EXPECT_EQ(answer.text("attempts"), "0");
  EXPECT_EQ(answer.text("status"), "scheduled");
}

TEST(RunRoutes, ProgressAndLogAreShown) {
  const test_server server;
  enqueue(server);
  const lease run = reserve_one(server);
  const reply answer = server.ask(
      "PUT /v1/jobs/" + run.id + "/progress",
      fmt::format(R"({{"token":{},"progress":0.5,"message":"half","log":["a","b"]}})", run.token));
  EXPECT_EQ(answer.status, 200);
  const reply job = server.ask("GET /v1/jobs/" + run.id + "?log=true");
  EXPECT_EQ(job.json().at("progress").at("value").as_double(), 0.5);
  EXPECT_EQ(job.json().at("progress").at("message").as_string(), "half");
  EXPECT_EQ(job.json().at("log").at(1).at("text").as_string(), "b");
}

TEST(RunRoutes, ManyAcksAreAnsweredOneByOne) {
  const test_server server;
  enqueue(server);
  enqueue(server);
  const lease one = reserve_one(server);
  const lease two = reserve_one(server);
  const reply answer = server.ask(
      "POST /v1/jobs:ack",
      fmt::format(R"({{"jobs":[{{"id":"{}","token":{},"result":1}},{{"id":"{}","token":1}},)"
                  R"({{"id":"nothing","token":1}},{{"token":1}}]}})",
                  one.id, one.token, two.id));
  ASSERT_EQ(answer.status, 200);
  const auto jobs = answer.json().at("jobs").as_array();
  ASSERT_EQ(jobs.size(), 4U);
  EXPECT_EQ(jobs[0].at("status").as_string(), "completed");
  EXPECT_EQ(jobs[1].at("error").at("code").as_string(), "stale_token");
  EXPECT_EQ(jobs[2].at("error").at("code").as_string(), "job_not_found");
  EXPECT_EQ(jobs[3].at("error").at("field").as_string(), "id");
  const reply extended = server.ask(
      "POST /v1/jobs:extend",
      fmt::format(R"({{"jobs":[{{"id":"{}","token":{},"lease":9}}]}})", two.id, two.token));
  EXPECT_EQ(extended.json().at("jobs").at(0).at("leased_until").as_string(),
            "2026-01-01T00:00:09.000Z");
}

TEST(JobRoutes, CancelAndDelete) {
  const test_server server;
  const std::string id = enqueue(server);
  EXPECT_EQ(server.ask("POST /v1/jobs/" + id + ":cancel").text("status"), "cancelled");
  EXPECT_EQ(server.ask("POST /v1/jobs/" + id + ":cancel").text("code"), "job_ended");
  EXPECT_EQ(server.ask("DELETE /v1/jobs/" + id).status, 204);
  EXPECT_EQ(server.ask("GET /v1/jobs/" + id).status, 404);
}

// No request made it, so that no correlation id came with it.
TEST(JobRoutes, AJobWithoutACorrelationIdHasItsOwn) {
  const test_server server;
  engine::transaction one{.level = engine::durability::memory};
  one.steps.emplace_back(engine::enqueue_job{.queue = {.name = "document"}});
  const auto made = engine::blocking::commit(*server.store, std::move(one));
  ASSERT_TRUE(made);
  const std::string id = std::get<engine::job_enqueued>(made->outcomes.front()).made.id.text();
  EXPECT_EQ(server.ask("GET /v1/jobs/" + id).text("correlation_id"), id);
}

}  // namespace
}  // namespace millrace::http
