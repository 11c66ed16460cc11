#include "http_fixture.hpp"

#include <fmt/format.h>

#include <thread>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;

TEST(LockRoutes, GrantExtendAndRelease) {
  const test_server server;
  const reply got = server.ask("POST /v1/locks/report%2F1", R"({"ttl":30,"owner":"me"})");
  ASSERT_EQ(got.status, 201U) << got.body;
  EXPECT_EQ(got.text("resource"), "report/1");
  const std::string token = got.text("token");
  const std::string path = "/v1/locks/report%2F1?token=" + token;

  const reply refused = server.ask("POST /v1/locks/report%2F1");
  EXPECT_EQ(refused.status, 409U);
  EXPECT_EQ(refused.text("code"), "lock_held");
  EXPECT_EQ(refused.text("owner"), "me");
  EXPECT_EQ(refused.text("expires_at"), got.text("expires_at"));
  EXPECT_EQ(refused.text("token"), "");

  const reply longer = server.ask("PUT " + path, R"({"ttl":60})");
  EXPECT_EQ(longer.status, 200U) << longer.body;
  EXPECT_GT(longer.text("expires_at"), got.text("expires_at"));
  EXPECT_EQ(server.ask("GET /v1/locks/report%2F1").text("fence"), got.text("fence"));
  EXPECT_EQ(server.ask("DELETE /v1/locks/report%2F1?token=other").status, 409U);
  EXPECT_EQ(server.ask("DELETE " + path).status, 204U);
  EXPECT_EQ(server.ask("DELETE " + path).text("code"), "lock_lost");
  EXPECT_EQ(server.ask("GET /v1/locks/report%2F1").text("held"), "false");
  const reply next = server.ask("POST /v1/locks/report%2F1");
  EXPECT_GT(next.json().at("fence").as_int64(), got.json().at("fence").as_int64());
}

// The request that was sent has come to the lock.
void until_heard(const test_server& server) {
  while (!server.store->hints().heard(engine::topic::kind::lock)) std::this_thread::yield();
}

TEST(LockRoutes, WakeTheOneWhoWaits) {
  const test_server server;
  const reply got = server.ask("POST /v1/locks/r");
  raw_client waiting = server.connect();
  waiting.send(make_request("POST /v1/locks/r", R"({"wait":30})"));
  until_heard(server);
  EXPECT_EQ(server.ask("DELETE /v1/locks/r?token=" + got.text("token")).status, 204U);
  const auto answer = waiting.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201U) << answer->body;
}

TEST(LockRoutes, AnswerWhoWaitsWhenTheServerStops) {
  test_server server;
  (void)server.ask("POST /v1/locks/r");
  raw_client waiting = server.connect();
  waiting.send(make_request("POST /v1/locks/r", R"({"wait":30})"));
  until_heard(server);
  server.begin_stop();
  const auto answer = waiting.receive();
  ASSERT_TRUE(answer);
  // As it was about to wait, or did.
  EXPECT_TRUE(answer->status == 503U || answer->status == 409U) << answer->body;
  server.stop();
}

TEST(LockRoutes, GiveTheSameGrantToARepeatedRequest) {
  const test_server server;
  const std::string key = "Idempotency-Key: k\r\n";
  const reply first = server.ask("POST /v1/locks/r", "{}", key);
  const reply again = server.ask("POST /v1/locks/r", "{}", key);
  EXPECT_EQ(again.status, 201U);
  EXPECT_EQ(again.text("token"), first.text("token"));
  EXPECT_EQ(again.text("fence"), first.text("fence"));
}

TEST(LockRoutes, RefuseWhatMakesNoSense) {
  const test_server server;
  const auto code = [&](std::string_view line, std::string_view body) {
    const reply answer = server.ask(line, body);
    return fmt::format("{} {} {}", answer.status, answer.text("code"), answer.text("field"));
  };
  EXPECT_EQ(code("POST /v1/locks/r", R"({"ttl":0})"), "422 invalid_value ttl");
  EXPECT_EQ(code("POST /v1/locks/r", R"({"ttl":90000})"), "422 invalid_value ttl");
  EXPECT_EQ(code("POST /v1/locks/r", R"({"wait":61})"), "422 invalid_value wait");
  EXPECT_EQ(code("POST /v1/locks/r", R"({"token":"x"})"), "422 unknown_member token");
  EXPECT_EQ(code("PUT /v1/locks/r", "{}"), "422 invalid_value token");
  EXPECT_EQ(code("PUT /v1/locks/r?token=x", R"({"ttl":0})"), "422 invalid_value ttl");
  EXPECT_EQ(code("POST /v1/locks/a%0db", "{}"), "422 invalid_key resource");
}

}  // namespace
}  // namespace millrace::http
