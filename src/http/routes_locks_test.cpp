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

TEST(LockRoutes, GrantSharedLocksTogether) {
  const test_server server;
  const reply first = server.ask("POST /v1/locks/r", R"({"mode":"shared","owner":"one"})");
  ASSERT_EQ(first.status, 201U) << first.body;
  EXPECT_EQ(first.text("mode"), "shared");
  const reply second = server.ask("POST /v1/locks/r", R"({"mode":"shared","owner":"two"})");
  EXPECT_EQ(second.text("holders"), "2");
  EXPECT_EQ(server.ask("POST /v1/locks/r").text("code"), "lock_held");
  const reply shown = server.ask("GET /v1/locks/r");
  ASSERT_EQ(shown.json().at("held_by").as_array().size(), 2U);
  EXPECT_EQ(shown.json().at("held_by").at(1).at("owner").as_string(), "two");
  for (const reply& each : {first, second}) {
    EXPECT_EQ(server.ask("DELETE /v1/locks/r?token=" + each.text("token")).status, 204U);
  }
  EXPECT_EQ(server.ask("POST /v1/locks/r").status, 201U);
}

TEST(LockRoutes, GrantAsManyPermitsAsThereAre) {
  const test_server server;
  const std::string permit = R"({"permits":2})";
  EXPECT_EQ(server.ask("POST /v1/locks/r", permit).text("mode"), "shared");
  EXPECT_EQ(server.ask("POST /v1/locks/r", permit).status, 201U);
  EXPECT_EQ(server.ask("POST /v1/locks/r", permit).status, 409U);
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"permits":3})").status, 201U);
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"permits":0})").text("field"), "permits");
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"permits":1001})").text("field"), "permits");
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"mode":"exclusive","permits":2})").text("field"),
            "permits");
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"mode":"both"})").text("field"), "mode");
}

TEST(LockRoutes, KeepAPlaceForWhoComesAgain) {
  const test_server server;
  const reply held = server.ask("POST /v1/locks/r");
  const std::string key = "Idempotency-Key: k\r\n";
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"keep_place":30})", key).status, 409U);
  EXPECT_EQ(server.ask("GET /v1/locks/r").text("waiters"), "1");
  EXPECT_EQ(server.ask("DELETE /v1/locks/r?token=" + held.text("token")).status, 204U);
  // It is not the turn of anybody else.
  const reply passing = server.ask("POST /v1/locks/r");
  EXPECT_EQ(passing.text("code"), "lock_held");
  EXPECT_EQ(passing.text("holders"), "0");
  EXPECT_EQ(server.ask("POST /v1/locks/r", R"({"keep_place":30})", key).status, 201U);
}

TEST(LockRoutes, GuardWritesByTheFence) {
  const test_server server;
  const auto grant = [&] {
    const reply got = server.ask("POST /v1/locks/r");
    EXPECT_EQ(server.ask("DELETE /v1/locks/r?token=" + got.text("token")).status, 204U);
    return "?guard=r&fence=" + got.text("fence");
  };
  const std::string old = grant();
  const std::string fresh = grant();
  EXPECT_EQ(server.ask("PUT /v1/cache/k" + old, "1").status, 200U);
  EXPECT_EQ(server.ask("PUT /v1/cache/k" + fresh, "2").status, 200U);
  const reply late = server.ask("PUT /v1/cache/k" + old, "3");
  EXPECT_EQ(late.status, 409U);
  EXPECT_EQ(late.text("code"), "stale_fence");
  EXPECT_EQ(server.ask("GET /v1/cache/k").body, "2");
  EXPECT_EQ(server.ask("POST /v1/queues/q/jobs" + old, "{}").text("code"), "stale_fence");
  EXPECT_EQ(server.ask("GET /v1/queues/q").status, 404U);
  EXPECT_EQ(server.ask("POST /v1/queues/q/jobs" + fresh, "{}").status, 201U);
  EXPECT_EQ(server.ask("POST /v1/queues/q/jobs" + fresh, "[{},{}]").status, 201U);
  EXPECT_EQ(server.ask("GET /v1/queues/q").text("waiting"), "3");
  EXPECT_EQ(server.ask("PUT /v1/cache/k?guard=r", "3").text("field"), "fence");
  EXPECT_EQ(server.ask("PUT /v1/cache/k?fence=1", "3").text("field"), "guard");
}

TEST(LockRoutes, CommitBehindAFence) {
  const test_server server;
  const auto commit = [&](const std::string& fence) {
    return server.ask("POST /v1/commit",
                      fmt::format(R"({{"steps":[{{"op":"lock.pass","resource":"r","fence":{}}},)"
                                  R"({{"op":"cache.put","key":"k","value":7}},)"
                                  R"({{"op":"cache.delete","key":"other"}}]}})",
                                  fence));
  };
  const std::string fence = server.ask("POST /v1/locks/r").text("fence");
  const reply done = commit(fence);
  EXPECT_EQ(done.status, 200U) << done.body;
  EXPECT_EQ(server.ask("GET /v1/cache/k").body, "7");
  EXPECT_EQ(commit("1").text("code"), "stale_fence");
  EXPECT_EQ(commit("0").text("field"), "steps.0.fence");
}

}  // namespace
}  // namespace millrace::http
