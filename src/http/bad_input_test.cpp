#include "http_fixture.hpp"

#include <fmt/format.h>

#include <ostream>

// Every way of getting it wrong has one clear answer that names what was wrong. None is a 500.
namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;

void expect_problem(const reply& answer, unsigned status, std::string_view code,
                    std::string_view field) {
  EXPECT_EQ(answer.status, status) << answer.body;
  EXPECT_EQ(answer.header("content-type"), "application/problem+json");
  EXPECT_EQ(answer.text("status"), std::to_string(status));
  EXPECT_EQ(answer.text("code"), code) << answer.body;
  EXPECT_EQ(answer.text("field"), field) << answer.body;
  EXPECT_EQ(answer.text("type"), "/problems/" + std::string{code});
  EXPECT_FALSE(answer.text("title").empty());
  EXPECT_FALSE(answer.text("detail").empty());
  // Who reads the text alone must know what is meant.
  EXPECT_NE(answer.text("detail").find(field), std::string::npos) << answer.body;
}

struct bad_body {
  std::string name;
  std::string line;
  std::string body;
  unsigned status;
  std::string code;
  std::string field;
};
std::ostream& operator<<(std::ostream& out, const bad_body& of) { return out << of.name; }

class BadBody : public ::testing::TestWithParam<bad_body> {};

TEST_P(BadBody, IsAnsweredWithItsProblem) {
  const test_server server;
  const bad_body& bad = GetParam();
  expect_problem(server.ask(bad.line, bad.body), bad.status, bad.code, bad.field);
}

const std::string to_jobs = "POST /v1/queues/document/jobs";
const std::string to_reserve = "POST /v1/queues/document:reserve";
const std::string to_queue = "PUT /v1/queues/document";
const std::string to_cron = "PUT /v1/cron/nightly";
// A job that does not exist: what is wrong with the body is said first.
const std::string job = "POST /v1/jobs/document~1j791320g00";

std::string nested(int depth) {
  return R"({"data":)" + std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']') + "}";
}

INSTANTIATE_TEST_SUITE_P(
    Enqueue, BadBody,
    ::testing::Values(
        bad_body{"MalformedJson", to_jobs, R"({"data":)", 400, "malformed_json", ""},
        bad_body{"TwoTexts", to_jobs, "{}{}", 400, "malformed_json", ""},
        bad_body{"BrokenUtf8", to_jobs, "{\"data\":\"\xff\"}", 400, "malformed_json", ""},
        bad_body{"TooDeep", to_jobs, nested(65), 413, "json_too_deep", ""},
        bad_body{"NotAnObject", to_jobs, "7", 422, "invalid_value", ""},
        bad_body{"Priority11", to_jobs, R"({"priority":11})", 422, "invalid_value", "priority"},
        bad_body{"PriorityHalf", to_jobs, R"({"priority":1.5})", 422, "invalid_value", "priority"},
        bad_body{"PriorityText", to_jobs, R"({"priority":"9"})", 422, "invalid_value", "priority"},
        bad_body{"NegativeDelay", to_jobs, R"({"delay":-1})", 422, "invalid_value", "delay"},
        bad_body{"DelayText", to_jobs, R"({"delay":"5s"})", 422, "invalid_value", "delay"},
        bad_body{"DelayHuge", to_jobs, R"({"delay":1e300})", 422, "invalid_value", "delay"},
        bad_body{"RunAtBroken", to_jobs, R"({"run_at":"tomorrow"})", 422, "invalid_time", "run_at"},
        bad_body{"UnknownMember", to_jobs, R"({"priorty":5})", 422, "unknown_member", "priorty"},
        bad_body{"NoAttempts", to_jobs, R"({"max_attempts":0})", 422, "invalid_value",
                 "max_attempts"},
        bad_body{"BackoffWord", to_jobs, R"({"backoff":{"strategy":"random"}})", 422,
                 "invalid_value", "backoff.strategy"},
        bad_body{"BackoffNegative", to_jobs, R"({"backoff":{"base":-1}})", 422, "invalid_value",
                 "backoff.base"},
        bad_body{"BackoffUnknown", to_jobs, R"({"backoff":{"bases":1}})", 422, "unknown_member",
                 "backoff.bases"},
        bad_body{"LabelNumber", to_jobs, R"({"labels":{"a":1}})", 422, "invalid_value", "labels.a"},
        bad_body{"UniqueMode", to_jobs, R"({"unique":{"key":"k","mode":"x"}})", 422,
                 "invalid_value", "unique.mode"},
        bad_body{"DurabilityWord", to_jobs, R"({"durability":"maybe"})", 422, "invalid_value",
                 "durability"},
        // The reference engine keeps everything in memory.
        bad_body{"DurabilityNotToBeHad", to_jobs, R"({"durability":"durable"})", 422,
                 "durability_unavailable", "durability"},
        bad_body{"ItemOf2Megabytes", to_jobs, R"({"data":")" + std::string(2'000'000, 'x') + "\"}",
                 413, "item_too_large", "data"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Runs, BadBody,
    ::testing::Values(
        bad_body{"MaxZero", to_reserve, R"({"max":0})", 422, "invalid_value", "max"},
        bad_body{"WaitLong", to_reserve, R"({"wait":61})", 422, "invalid_value", "wait"},
        bad_body{"LeaseShort", to_reserve, R"({"lease":0.5})", 422, "invalid_value", "lease"},
        bad_body{"QueuesTwice", to_reserve, R"({"queues":["x"]})", 422, "unknown_member", "queues"},
        bad_body{"NoQueues", "POST /v1/queues:reserve", "{}", 422, "invalid_value", "queues"},
        bad_body{"QueueName", "POST /v1/queues:reserve", R"({"queues":["a b"]})", 422,
                 "invalid_name", "queues.queue"},
        bad_body{"WeightZero", "POST /v1/queues:reserve",
                 R"({"queues":[{"queue":"a","weight":0}]})", 422, "invalid_value", "queues.weight"},
        bad_body{"NoToken", job + ":ack", "{}", 422, "invalid_value", "token"},
        bad_body{"TokenText", job + ":ack", R"({"token":"1"})", 422, "invalid_value", "token"},
        bad_body{"TokenHuge", job + ":ack", R"({"token":9007199254740992})", 422, "invalid_value",
                 "token"},
        bad_body{"AckUnknown", job + ":ack", R"({"token":1,"resul":1})", 422, "unknown_member",
                 "resul"},
        bad_body{"AckNothing", job + ":ack", R"({"token":1})", 404, "job_not_found", ""},
        bad_body{"FailPermanentText", job + ":fail", R"({"token":1,"permanent":"yes"})", 422,
                 "invalid_value", "permanent"},
        bad_body{"RetryInNegative", job + ":fail", R"({"token":1,"retry_in":-1})", 422,
                 "invalid_value", "retry_in"},
        bad_body{"SnoozeNegative", job + ":snooze", R"({"token":1,"delay":-3})", 422,
                 "invalid_value", "delay"},
        bad_body{"ProgressTwo", "PUT /v1/jobs/document~1j791320g00/progress",
                 R"({"token":1,"value":2})", 422, "invalid_value", "value"},
        bad_body{"LogNumber", "PUT /v1/jobs/document~1j791320g00/progress",
                 R"({"token":1,"log":[1]})", 422, "invalid_value", "log"},
        bad_body{"CancelWithAWhim", job + ":cancel", R"({"reason":"x"})", 422, "unknown_member",
                 "reason"},
        bad_body{"ManyWithoutJobs", "POST /v1/jobs:ack", "{}", 422, "invalid_value", "jobs"},
        bad_body{"NoSuchId", "POST /v1/jobs/nonsense:ack", R"({"token":1})", 404, "job_not_found",
                 ""}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    QueuesAndCron, BadBody,
    ::testing::Values(
        bad_body{"Concurrency", to_queue, R"({"concurrency":-1})", 422, "invalid_value",
                 "concurrency"},
        bad_body{"RateLimit", to_queue, R"({"rate":{"limit":"x"}})", 422, "invalid_value",
                 "rate.limit"},
        bad_body{"SettingsUnknown", to_queue, R"({"colour":1})", 422, "unknown_member", "colour"},
        bad_body{"PurgeWhat", "POST /v1/queues/document:purge", R"({"what":"all"})", 422,
                 "invalid_value", "what"},
        bad_body{"PurgeNothing", "POST /v1/queues/document:purge", "{}", 404, "queue_not_found",
                 ""},
        bad_body{"RequeueSaysNothing", "POST /admin/dlq/document:requeue", "{}", 422,
                 "invalid_value", ""},
        bad_body{"RequeueEmptyFilter", "POST /admin/dlq/document:requeue", R"({"filter":{}})", 422,
                 "invalid_value", "filter"},
        bad_body{"CronWithoutQueue", to_cron, R"({"schedule":"* * * * *"})", 422, "invalid_value",
                 "queue"},
        bad_body{"CronWithoutSchedule", to_cron, R"({"queue":"q"})", 422, "invalid_value",
                 "schedule"},
        bad_body{"CronOverlap", to_cron,
                 R"({"queue":"q","schedule":"* * * * *","overlap":"maybe"})", 422, "invalid_value",
                 "overlap"},
        bad_body{"CronNeverFires", to_cron, R"({"queue":"q","schedule":"0 0 30 2 *"})", 422,
                 "cron_never_fires", "schedule"},
        bad_body{"CronJobPriority", to_cron,
                 R"({"queue":"q","schedule":"* * * * *","job":{"priority":11}})", 422,
                 "invalid_value", "job.priority"},
        bad_body{"CronJobDurability", to_cron,
                 R"({"queue":"q","schedule":"* * * * *","job":{"durability":"async"}})", 422,
                 "invalid_value", "job.durability"}),
    [](const auto& info) { return info.param.name; });

struct bad_request {
  std::string name;
  /// All of it, byte for byte.
  std::string bytes;
  unsigned status;
  std::string code;
  std::string field;
};
std::ostream& operator<<(std::ostream& out, const bad_request& of) { return out << of.name; }

class BadRequest : public ::testing::TestWithParam<bad_request> {};

TEST_P(BadRequest, IsAnsweredWithItsProblem) {
  const test_server server;
  const bad_request& bad = GetParam();
  raw_client client = server.connect();
  client.send(bad.bytes);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  expect_problem(*answer, bad.status, bad.code, bad.field);
}

std::string get_with(std::string_view headers) {
  return fmt::format("GET /health/live HTTP/1.1\r\n{}\r\n", headers);
}
std::string post_with(std::string_view headers, std::string_view body = "{}") {
  return fmt::format(
      "POST /v1/queues/document/jobs HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Length: {}\r\n{}\r\n{}",
      body.size(), headers, body);
}

INSTANTIATE_TEST_SUITE_P(
    Protocol, BadRequest,
    ::testing::Values(
        bad_request{"NoHttp", "hello\r\n\r\n", 400, "malformed_request", ""},
        bad_request{"Http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed_request", ""},
        bad_request{"NoHost", get_with(""), 400, "malformed_host", ""},
        bad_request{"TwoHosts", get_with("Host: localhost\r\nHost: localhost\r\n"), 400,
                    "doubled_header", ""},
        bad_request{"ForeignHost", get_with("Host: evil.example\r\n"), 403, "host_not_allowed",
                    "Host"},
        bad_request{"ForeignHostThatLooksLocal", get_with("Host: 127.0.0.1.evil.example\r\n"), 403,
                    "host_not_allowed", "Host"},
        bad_request{"BrokenHost", get_with("Host: a b\r\n"), 400, "malformed_host", ""},
        bad_request{"AbsoluteForeign",
                    "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 403,
                    "host_not_allowed", "Host"},
        bad_request{"ForeignOrigin",
                    get_with("Host: localhost:7070\r\nOrigin: http://evil.example\r\n"), 403,
                    "origin_not_allowed", "Origin"},
        bad_request{"OriginOfAnotherPort",
                    get_with("Host: localhost:7070\r\nOrigin: http://localhost:3000\r\n"), 403,
                    "origin_not_allowed", "Origin"},
        bad_request{"NullOrigin", get_with("Host: localhost:7070\r\nOrigin: null\r\n"), 403,
                    "origin_not_allowed", "Origin"},
        bad_request{"CrossSite", get_with("Host: localhost:7070\r\nSec-Fetch-Site: cross-site\r\n"),
                    403, "origin_not_allowed", "Origin"},
        bad_request{"NotAPath", "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400,
                    "malformed_target", ""},
        bad_request{"TwoLengths", post_with("Content-Length: 3\r\n"), 400, "malformed_request", ""},
        bad_request{"LengthAndChunked", post_with("Transfer-Encoding: chunked\r\n"), 400,
                    "malformed_request", ""},
        bad_request{"UnknownTransferCoding",
                    "POST /v1/queues/document/jobs HTTP/1.1\r\nHost: localhost\r\n"
                    "Transfer-Encoding: gzip\r\n\r\n",
                    501, "unknown_transfer_coding", ""},
        bad_request{"BrokenChunk",
                    "POST /v1/queues/document/jobs HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                    400, "malformed_request", ""},
        bad_request{"NoContentType", post_with(""), 415, "unsupported_content_type",
                    "Content-Type"},
        bad_request{"FormContentType",
                    post_with("Content-Type: application/x-www-form-urlencoded\r\n"), 415,
                    "unsupported_content_type", "Content-Type"},
        bad_request{"OtherCharset", post_with("Content-Type: application/json; charset=latin1\r\n"),
                    415, "unsupported_content_type", "Content-Type"},
        bad_request{"Gzip",
                    post_with("Content-Type: application/json\r\nContent-Encoding: gzip\r\n"), 415,
                    "unsupported_content_encoding", "Content-Encoding"},
        bad_request{"Expectation", post_with("Content-Type: application/json\r\nExpect: more\r\n"),
                    417, "unknown_expectation", ""},
        bad_request{
            "LongCorrelationId",
            get_with("Host: localhost\r\nX-Correlation-ID: " + std::string(129, 'x') + "\r\n"), 422,
            "invalid_value", "X-Correlation-ID"},
        bad_request{"LongIdempotencyKey",
                    post_with("Content-Type: application/json\r\nIdempotency-Key: " +
                              std::string(513, 'x') + "\r\n"),
                    422, "invalid_key", "Idempotency-Key"}),
    [](const auto& info) { return info.param.name; });

std::string get(std::string_view target) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
}

INSTANTIATE_TEST_SUITE_P(
    Targets, BadRequest,
    ::testing::Values(
        bad_request{"Nowhere", get("/nowhere"), 404, "route_not_found", ""},
        bad_request{"TrailingSlash", get("/v1/queues/"), 404, "route_not_found", ""},
        bad_request{"NoSuchVerb", get("/v1/jobs/a:explode"), 404, "job_not_found", ""},
        bad_request{"WrongMethod", get("/v1/jobs:ack"), 405, "method_not_allowed", ""},
        bad_request{"SlashInName", get("/v1/queues/a%2Fb"), 422, "invalid_name", "queue"},
        bad_request{"NulInName", get("/v1/queues/a%00b"), 422, "invalid_name", "queue"},
        bad_request{"SpaceInName", get("/v1/queues/a%20b"), 422, "invalid_name", "queue"},
        bad_request{"BrokenUtf8InName", get("/v1/queues/%ff"), 422, "invalid_name", "queue"},
        bad_request{"LongName", get("/v1/queues/" + std::string(129, 'q')), 422, "invalid_name",
                    "queue"},
        bad_request{"BrokenPercent", get("/v1/queues/a%2"), 400, "malformed_target", ""},
        bad_request{"QueueNeverUsed", get("/v1/queues/unused"), 404, "queue_not_found", "queue"},
        bad_request{"JobsOfAQueueNeverUsed", get("/v1/queues/unused/jobs"), 404, "queue_not_found",
                    "queue"},
        bad_request{"DeadOfAQueueNeverUsed", get("/admin/dlq/unused"), 404, "queue_not_found",
                    "queue"},
        bad_request{"UnknownParameter", get("/v1/queues?page=2"), 422, "unknown_parameter", "page"},
        bad_request{"LimitZero", get("/v1/queues?limit=0"), 422, "invalid_value", "limit"},
        bad_request{"LimitText", get("/v1/queues?limit=ten"), 422, "invalid_value", "limit"},
        bad_request{"BadCursor", get("/v1/queues?cursor=%7B%7D"), 400, "bad_cursor", "cursor"},
        bad_request{"BadDeadCursor", get("/admin/dlq/unused?cursor=x"), 400, "bad_cursor",
                    "cursor"},
        bad_request{"BadStatus", get("/v1/queues/unused/jobs?status=lazy"), 422, "invalid_value",
                    "status"},
        bad_request{"BadFlag", get("/v1/jobs/document~1j791320g00?log=perhaps"), 422,
                    "invalid_value", "log"},
        bad_request{"BadFrom", get("/v1/jobs/document~1j791320g00/events?from=soon"), 400,
                    "bad_cursor", "from"}),
    [](const auto& info) { return info.param.name; });

TEST(BadInput, MoreThanTenThousandItemsAreRefusedAsAWhole) {
  const test_server server;
  std::string body = "[{}";
  for (int i = 0; i < 10'000; ++i) body += ",{}";
  body += "]";
  expect_problem(server.ask("POST /v1/queues/document/jobs", body), 422, "too_many_items", "");
}

TEST(BadInput, TheMethodsOfAPathAreNamed) {
  const test_server server;
  const reply answer = server.ask("PATCH /v1/queues/document");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("allow"), "GET, HEAD, PUT");
  EXPECT_EQ(server.ask("OPTIONS /v1/queues").status, 405);
  EXPECT_EQ(server.ask("BREW /v1/queues").status, 405);
}

TEST(BadInput, SameHostAndOriginArePermitted) {
  const test_server server;
  raw_client client = server.connect();
  for (const std::string_view headers :
       {"Host: localhost:7070\r\nOrigin: http://localhost:7070\r\n",
        "Host: LOCALHOST:7070\r\nOrigin: http://localhost:7070\r\n",
        "Host: [::1]:7070\r\nOrigin: http://[::1]:7070\r\nSec-Fetch-Site: same-origin\r\n",
        "Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"}) {
    client.send(get_with(headers));
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200) << headers;
  }
}

}  // namespace
}  // namespace millrace::http
