#include "http_fixture.hpp"

#include <fmt/format.h>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;
using namespace std::chrono_literals;

TEST(ProgressRoutes, StartMoveAndEnd) {
  test_server server;
  const reply begun = server.ask("PUT /v1/progress/c", R"({"total_steps":4})");
  ASSERT_EQ(begun.status, 201U) << begun.body;
  server.clock.advance(10s);
  const reply moved = server.ask("PUT /v1/progress/c", R"({"step":1,"message":"one"})");
  EXPECT_EQ(moved.status, 200U) << moved.body;
  EXPECT_EQ(moved.text("current_step"), "1");
  EXPECT_FALSE(moved.text("estimated_completion").empty());
  EXPECT_EQ(moved.json().at("steps").as_array().size(), 1U);
  const reply ended = server.ask("PUT /v1/progress/c", R"({"status":"completed"})");
  EXPECT_EQ(ended.text("current_step"), "4");
  EXPECT_EQ(server.ask("PUT /v1/progress/c", R"({"step":2})").text("code"), "progress_ended");
  EXPECT_EQ(server.ask("GET /v1/progress/c").text("status"), "completed");
  EXPECT_EQ(server.ask("DELETE /v1/progress/c").status, 204U);
  EXPECT_EQ(server.ask("GET /v1/progress/c").status, 404U);
}

TEST(ProgressRoutes, RefuseAStepBeyondTheTotal) {
  const test_server server;
  (void)server.ask("PUT /v1/progress/c", R"({"total_steps":4})");
  const reply refused = server.ask("PUT /v1/progress/c", R"({"step":5})");
  EXPECT_EQ(refused.status, 422U);
  EXPECT_EQ(refused.text("code"), "step_beyond_total");
  EXPECT_EQ(server.ask("PUT /v1/progress/d", R"({"step":1})").status, 404U);
  EXPECT_EQ(server.ask("PUT /v1/progress/c", R"({"status":"done"})").text("field"), "status");
}

TEST(ProgressRoutes, StreamTheStateFirstAndTheEndLast) {
  const test_server server;
  (void)server.ask("PUT /v1/progress/c", R"({"total_steps":2})");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/progress/c/events"));
  ASSERT_TRUE(events.read_until("event: progress\n"));
  EXPECT_TRUE(events.read_until(R"("current_step":0)"));
  (void)server.ask("PUT /v1/progress/c", R"({"step":1})");
  EXPECT_TRUE(events.read_until(R"("current_step":1)"));
  (void)server.ask("PUT /v1/progress/c", R"({"status":"failed","message":"no"})");
  EXPECT_TRUE(events.read_until("event: end\n"));
  EXPECT_TRUE(events.read_until(R"({"status":"failed"})"));
  EXPECT_TRUE(events.read_until("\r\n0\r\n\r\n"));
}

TEST(ProgressRoutes, StreamWhatHasNotBegunYet) {
  const test_server server;
  raw_client events = server.connect();
  events.send(make_request("GET /v1/progress/later/events"));
  ASSERT_TRUE(events.read_until("retry: 1000\n\n"));
  (void)server.ask("PUT /v1/progress/later", R"({"total_steps":2})");
  EXPECT_TRUE(events.read_until(R"("current_step":0)"));
  EXPECT_EQ(server.ask("DELETE /v1/progress/later").status, 204U);
  EXPECT_TRUE(events.read_until(R"({"status":"deleted"})"));
}

TEST(AgentRoutes, ListAndStreamTheAgentsOfAFlow) {
  const test_server server;
  const reply put = server.ask("PUT /v1/flows/f/agents/writer",
                               R"({"progress":0.4,"status":"drafts","details":{"n" : 1}})");
  ASSERT_EQ(put.status, 200U) << put.body;
  (void)server.ask("PUT /v1/flows/f/agents/events", R"({"progress":1})");
  const reply listed = server.ask("GET /v1/flows/f/agents");
  EXPECT_EQ(listed.json().at("agents").as_array().size(), 2U);
  EXPECT_NE(listed.body.find(R"("details":{"n" : 1})"), std::string::npos) << listed.body;
  raw_client events = server.connect();
  events.send(make_request("GET /v1/flows/f/agents/events"));
  EXPECT_TRUE(events.read_until(R"("agent":"writer")"));
  EXPECT_TRUE(events.read_until(R"("agent":"events")"));
  (void)server.ask("PUT /v1/flows/f/agents/writer", R"({"progress":0.5})");
  const auto next = events.read_until(R"("progress":0.5)");
  ASSERT_TRUE(next);
  const std::size_t id = next->rfind("id: ") + 4;
  const std::string seen = next->substr(id, next->find('\n', id) - id);
  events.close();
  // Only what came since.
  (void)server.ask("PUT /v1/flows/f/agents/third", R"({"progress":0})");
  raw_client again = server.connect();
  again.send(make_request("GET /v1/flows/f/agents/events", {}, "Last-Event-ID: " + seen + "\r\n"));
  const auto since = again.read_until(R"("agent":"third")");
  ASSERT_TRUE(since);
  EXPECT_EQ(since->find("writer"), std::string::npos) << *since;
  EXPECT_EQ(server.ask("PUT /v1/flows/f/agents/a", R"({"progress":2})").text("field"), "progress");
}

TEST(ConnectionRoutes, KeepWhoListens) {
  const test_server server;
  const reply put = server.ask("PUT /v1/connections/1", R"({"flow_id":"f","user":"u"})");
  ASSERT_EQ(put.status, 200U) << put.body;
  (void)server.ask("PUT /v1/connections/2", R"({"flow_id":"g"})");
  const auto listed = server.ask("GET /v1/connections?flow_id=f").json();
  ASSERT_EQ(listed.at("connections").as_array().size(), 1U);
  EXPECT_EQ(listed.at("connections").at(0).at("user").as_string(), "u");
  EXPECT_EQ(server.ask("DELETE /v1/connections/1").status, 204U);
  EXPECT_EQ(server.ask("DELETE /v1/connections/1").text("code"), "connection_not_found");
}

}  // namespace
}  // namespace millrace::http
