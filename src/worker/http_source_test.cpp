#include <millrace/worker/http_source.hpp>

#include "testing_http_server.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/testing.hpp>
#include <millrace/client/api_client.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using server = scripted_server;

class HttpSource : public testing::Test {
protected:
  // Answers each path with the body it is told to, and 404 otherwise.
  server::response_type answer(const server::request_type& request) {
    for (const auto& [path, status, body] : answers_) {
      if (request.target() == path) return server::answer(status, body);
    }
    return server::answer(404, R"({"code":"job_not_found","detail":"There is no such job."})");
  }
  void expect(std::string path, unsigned status, std::string body) {
    answers_.emplace_back(std::move(path), status, std::move(body));
  }
  json::value body_of(std::size_t index) { return *parse_json(server_.asked().at(index).body()); }

  asio::io_context context_{1};
  std::vector<std::tuple<std::string, unsigned, std::string>> answers_;
  server server_{context_, [this](const auto& request) { return answer(request); }};
  client::api_client client_{context_.get_executor(), {.where = {.port = server_.port()}}};
  http_source source_{client_};
  const engine::job_id first_{.tag = "q", .stamp = 1};
  const engine::job_id second_{.tag = "q", .stamp = 2};
};

TEST_F(HttpSource, ReservesFromSeveralQueues) {
  expect("/v1/queues:reserve", 200, R"({"jobs":[{"id":"q~00000000001","token":5,"attempt":1}]})");
  const auto jobs = run_coro(
      context_, source_.reserve({.queues = {{.queue = {.name = "a"}}}, .max = 2, .lease = 5s}));
  ASSERT_TRUE(jobs);
  ASSERT_EQ(jobs->size(), 1U);
  EXPECT_EQ(jobs->front().token, 5U);
  EXPECT_EQ(body_of(0).at("max").get_int64(), 2);
}

TEST_F(HttpSource, TellsAllSuccessesInOneCallAndKeepsTheOrder) {
  expect("/v1/jobs:ack", 200,
         R"({"jobs":[{"id":"q~00000000001","status":"completed","attempts":1},)"
         R"({"error":{"status":409,"code":"stale_token","detail":"overtaken"}}]})");
  expect("/v1/jobs/q~00000000002:fail", 200,
         R"({"id":"q~00000000002","status":"retrying","attempts":1})");
  std::vector<settle_step> steps;
  steps.emplace_back(engine::ack_job{.id = first_, .token = 5, .result = "{\"big\":1e400}"});
  steps.emplace_back(engine::fail_job{.id = second_, .token = 6, .error = "why"});
  steps.emplace_back(engine::ack_job{.id = second_, .token = 7, .result = "2"});
  const auto answers = run_coro(context_, source_.settle(std::move(steps)));
  ASSERT_EQ(answers.size(), 3U);
  ASSERT_TRUE(answers[0]);
  EXPECT_EQ(answers[0]->status, engine::job_status::completed);
  ASSERT_TRUE(answers[1]);
  EXPECT_EQ(answers[1]->status, engine::job_status::retrying);
  ASSERT_FALSE(answers[2]);
  EXPECT_EQ(answers[2].error().code, "stale_token");
  ASSERT_EQ(server_.asked().size(), 2U);
  EXPECT_NE(server_.asked()[0].body().find("\"result\":{\"big\":1e400}"), std::string::npos);
}

TEST_F(HttpSource, SendsFailuresAndHandBacksSideBySide) {
  expect("/v1/jobs/q~00000000001:fail", 200, R"({"id":"q~00000000001","status":"dead"})");
  std::vector<settle_step> steps;
  steps.emplace_back(engine::snooze_job{.id = second_, .token = 6});
  steps.emplace_back(engine::fail_job{.id = first_, .token = 5, .error = "why", .permanent = true});
  const auto answers = run_coro(context_, source_.settle(std::move(steps)));
  ASSERT_EQ(answers.size(), 2U);
  ASSERT_FALSE(answers[0]);
  EXPECT_EQ(answers[0].error().kind, errc::not_found);
  ASSERT_TRUE(answers[1]);
  EXPECT_EQ(answers[1]->status, engine::job_status::dead);
}

TEST_F(HttpSource, RenewsAllLeasesInOneCall) {
  expect("/v1/jobs:extend", 200,
         R"({"jobs":[{"leased_until":"2026-01-01T00:00:05.000Z","cancel_requested":true},)"
         R"({"error":{"status":404,"code":"job_not_found","detail":"gone"}}]})");
  std::vector<engine::extend_lease> steps;
  steps.push_back({.id = first_, .token = 5, .lease = 5s, .checkpoint = std::nullopt});
  steps.push_back({.id = second_, .token = 6, .lease = 5s, .checkpoint = "[1]"});
  const auto answers = run_coro(context_, source_.extend(std::move(steps)));
  ASSERT_EQ(answers.size(), 2U);
  ASSERT_TRUE(answers[0]);
  EXPECT_TRUE(answers[0]->cancel_requested);
  ASSERT_FALSE(answers[1]);
  EXPECT_EQ(answers[1].error().kind, errc::not_found);
  EXPECT_EQ(server_.asked().size(), 1U);
}

TEST_F(HttpSource, ReportsProgress) {
  expect("/v1/jobs/q~00000000001/progress", 200, R"({"id":"q~00000000001","status":"running"})");
  std::vector<engine::report_progress> steps;
  steps.push_back(
      {.id = first_, .token = 5, .value = 0.5, .message = std::nullopt, .log = {"line"}});
  const auto answers = run_coro(context_, source_.report(std::move(steps)));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_TRUE(answers[0]);
  EXPECT_EQ(server_.asked()[0].method_string(), "PUT");
}

// A batch of large results must not become one request that no server takes.
TEST_F(HttpSource, CutsABatchThatWouldBeTooLargeForOneRequest) {
  expect("/v1/jobs:ack", 500, "");
  std::vector<settle_step> steps;
  for (int i = 0; i < 20; ++i) {
    steps.emplace_back(engine::ack_job{
        .id = first_, .token = 5, .result = "\"" + std::string(1'000'000, 'x') + "\""});
  }
  const auto answers = run_coro(context_, source_.settle(std::move(steps)));
  EXPECT_EQ(answers.size(), 20U);
  EXPECT_EQ(server_.asked().size(), 3U);
  for (const auto& request : server_.asked()) EXPECT_LT(request.body().size(), 32U << 20U);
}

TEST_F(HttpSource, AnswersEveryStepWhenTheServerIsAway) {
  server_.stop();
  std::vector<settle_step> steps;
  steps.emplace_back(engine::ack_job{.id = first_, .token = 5, .result = "1"});
  steps.emplace_back(engine::snooze_job{.id = second_, .token = 6});
  const auto answers = run_coro(context_, source_.settle(std::move(steps)));
  ASSERT_EQ(answers.size(), 2U);
  for (const auto& answer : answers) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, errc::unavailable);
  }
}

}  // namespace
}  // namespace millrace
