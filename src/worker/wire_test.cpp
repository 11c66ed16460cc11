#include "clean_text.hpp"
#include "job_line.hpp"
#include "source_codec.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>

namespace millrace::worker_detail {
namespace {

using namespace std::chrono_literals;

engine::leased_job sample() {
  engine::leased_job leased;
  engine::job& job = leased.what;
  job.id = {.tag = "docs", .stamp = 12345};
  job.queue.name = "docs";
  job.attempts = 2;
  job.spec.type = "pdf";
  job.spec.data = "{\n  \"path\": \"a\\nb\",\r\n  \"big\": 123456789012345678901234567890\n}";
  job.spec.max_attempts = 4;
  job.spec.labels = {{"file", "a \"b\""}, {"job", "1"}};
  job.spec.correlation_id = "corr-1";
  leased.token = 4242;
  return leased;
}

// --- what programs and webhooks get --------------------------------------------------------------

TEST(JobLine, IsOneLineWithTheDataAsItWasSent) {
  const std::string line = job_line(sample());
  EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos);
  EXPECT_NE(line.find("\"big\": 123456789012345678901234567890"), std::string::npos);
  const auto parsed = parse_json(line);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->at("id").get_string(), sample().what.id.text());
  EXPECT_EQ(parsed->at("queue").get_string(), "docs");
  EXPECT_EQ(parsed->at("type").get_string(), "pdf");
  EXPECT_EQ(parsed->at("data").at("path").get_string(), "a\nb");
  EXPECT_EQ(parsed->at("attempt").get_int64(), 2);
  EXPECT_EQ(parsed->at("max_attempts").get_int64(), 4);
  EXPECT_EQ(parsed->at("token").get_int64(), 4242);
  EXPECT_EQ(parsed->at("labels").at("file").get_string(), "a \"b\"");
  EXPECT_TRUE(parsed->at("checkpoint").is_null());
  EXPECT_EQ(parsed->at("correlation_id").get_string(), "corr-1");
}

TEST(JobLine, CarriesTheCheckpointOfTheLastAttempt) {
  engine::leased_job leased = sample();
  leased.what.checkpoint = "{\"page\":\n3}";
  EXPECT_NE(job_line(leased).find("\"checkpoint\":{\"page\": 3}"), std::string::npos);
}

TEST(CleanText, CutsBetweenCharacters) {
  EXPECT_EQ(clean_text("a\xc3\xa9z", 2), "a");
  EXPECT_EQ(clean_text("a\xc3\xa9z", 3), "a\xc3\xa9");
}

TEST(CleanText, RefusesOverlongFormsAndSurrogates) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(clean_text("\xc0\xaf", 100), bad + bad);
  EXPECT_EQ(clean_text("\xed\xa0\x80", 100), bad + bad + bad);
  EXPECT_EQ(clean_text("\xf4\x8f\xbf\xbf", 100), "\xf4\x8f\xbf\xbf");
}

// --- the worker's half of the API ----------------------------------------------------------------

TEST(SourceCodec, AsksForJobsOfSeveralQueues) {
  const std::string body = encode_reserve(
      {.queues = {{.queue = {.name = "a"}, .weight = 3}, {.queue = {.name = "b"}, .weight = 1}},
       .max = 4,
       .wait = 20s,
       .lease = 2500ms,
       .worker = "w\"1"});
  EXPECT_EQ(body, R"({"queues":[{"queue":"a","weight":3},{"queue":"b","weight":1}],"max":4,)"
                  R"("wait":20,"lease":2.5,"worker":"w\"1"})");
}

TEST(SourceCodec, ReadsJobsWithTheirRawData) {
  const auto jobs = decode_jobs(
      R"({"jobs":[{"id":"docs~00000000001","queue":"docs","type":"pdf","data":{"n": 1e400},)"
      R"("labels":{"z":"1","a":"2"},"priority":9,"attempt":2,"max_attempts":7,"timeout":1.5,)"
      R"("token":77,"checkpoint":[1, 2],"correlation_id":"c","traceparent":"00-1","news":true}]})");
  ASSERT_TRUE(jobs) << jobs.error().detail;
  ASSERT_EQ(jobs->size(), 1U);
  const engine::leased_job& leased = jobs->front();
  EXPECT_EQ(leased.token, 77U);
  EXPECT_EQ(leased.what.id.text(), "docs~00000000001");
  EXPECT_EQ(leased.what.spec.data, "{\"n\": 1e400}");
  EXPECT_EQ(leased.what.spec.labels, (std::vector<engine::label>{{"a", "2"}, {"z", "1"}}));
  EXPECT_EQ(leased.what.spec.timeout, 1500ms);
  EXPECT_EQ(leased.what.attempts, 2U);
  EXPECT_EQ(leased.what.spec.max_attempts, 7U);
  EXPECT_EQ(leased.what.checkpoint, "[1, 2]");
  EXPECT_EQ(leased.what.spec.traceparent, "00-1");
}

TEST(SourceCodec, DoesNotTakeAStrangersAnswerForJobs) {
  for (const std::string body :
       {"", "<html>", "[]", "{}", R"({"jobs":{}})", R"({"jobs":[1]})",
        R"({"jobs":[{"id":"x~00000000001"}]})", R"({"jobs":[{"id":"x","token":1}]})"}) {
    const auto jobs = decode_jobs(body);
    ASSERT_FALSE(jobs) << body;
    EXPECT_EQ(jobs.error().code, "bad_answer");
  }
}

TEST(SourceCodec, ReadsBulkAnswersEntryByEntry) {
  const auto told =
      decode_entries(R"({"jobs":[{"id":"q~00000000001","status":"completed","error":"an old one"},)"
                     R"({"error":{"status":409,"code":"stale_token","detail":"overtaken"}}]})",
                     2);
  ASSERT_TRUE(told);
  const auto changed = decode_changed(*(*told)[0]);
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->status, engine::job_status::completed);
  ASSERT_FALSE((*told)[1]);
  EXPECT_EQ((*told)[1].error().kind, errc::conflict);
  EXPECT_EQ((*told)[1].error().code, "stale_token");
  EXPECT_FALSE(decode_entries(R"({"jobs":[]})", 1));
}

TEST(SourceCodec, ReadsThatCancellationIsAskedFor) {
  const auto extended =
      decode_extended(R"({"leased_until":"2026-01-01T00:00:05.000Z","cancel_requested":true})");
  ASSERT_TRUE(extended);
  EXPECT_TRUE(extended->cancel_requested);
}

TEST(SourceCodec, WritesTheStepsOfARun) {
  const engine::job_id id{.tag = "q", .stamp = 1};
  EXPECT_EQ(encode_entry(engine::ack_job{.id = id, .token = 5, .result = ""}),
            R"({"id":"q~00000000001","token":5,"result":null})");
  EXPECT_EQ(encode_entry(
                engine::extend_lease{.id = id, .token = 5, .lease = 5s, .checkpoint = "{\"p\":1}"}),
            R"({"id":"q~00000000001","token":5,"lease":5,"checkpoint":{"p":1}})");
  EXPECT_EQ(
      encode_fail({.id = id, .token = 5, .error = "a\nb", .permanent = true, .retry_in = 90s}),
      R"({"token":5,"permanent":true,"error":"a\nb","retry_in":90})");
  EXPECT_EQ(encode_snooze({.id = id, .token = 5, .delay = 1500ms}), R"({"token":5,"delay":1.5})");
  EXPECT_EQ(
      encode_report({.id = id, .token = 5, .value = 0.5, .message = "half", .log = {"x", "y"}}),
      R"({"token":5,"value":0.5,"message":"half","log":["x","y"]})");
}

}  // namespace
}  // namespace millrace::worker_detail
