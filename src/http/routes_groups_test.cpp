#include "http_fixture.hpp"

#include <millrace/engine/wakeups.hpp>

#include <fmt/format.h>

#include <string>
#include <thread>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;

constexpr const char* read_as_a = R"({"group":"mailers","consumer":"a","max":2})";

void publish(const test_server& server, int count) {
  for (int i = 1; i <= count; ++i) {
    ASSERT_EQ(server.ask("POST /v1/events/flow", fmt::format(R"({{"type":"{}"}})", i)).status,
              201U);
  }
}

std::string types(const reply& got) {
  std::string out;
  for (const auto& each : got.json().at("events").as_array()) {
    out += std::string{each.at("type").as_string()} + " ";
  }
  return out;
}

TEST(GroupRoutes, ShareTheEventsOfAStream) {
  const test_server server;
  publish(server, 3);
  const reply first = server.ask("POST /v1/events/flow:read", read_as_a);
  ASSERT_EQ(first.status, 200U) << first.body;
  EXPECT_EQ(types(first), "1 2 ");
  EXPECT_EQ(first.json().at("events").at(0).at("deliveries").as_int64(), 1);
  EXPECT_EQ(first.text("pending"), "2");
  EXPECT_EQ(first.text("waiting"), "1");
  const reply second =
      server.ask("POST /v1/events/flow:read", R"({"group":"mailers","consumer":"b"})");
  EXPECT_EQ(types(second), "3 ");
  EXPECT_TRUE(second.json().at("gap").is_null());

  const reply acked = server.ask("POST /v1/events/flow:ack",
                                 R"({"group":"mailers","consumer":"a","offsets":[1,3]})");
  EXPECT_EQ(acked.text("settled"), "1");
  EXPECT_EQ(acked.json().at("lost").at(0).as_int64(), 3);
  const reply refused = server.ask(
      "POST /v1/events/flow:ack", R"({"group":"mailers","consumer":"a","offsets":[3],"all":true})");
  EXPECT_EQ(refused.status, 409U);
  EXPECT_EQ(refused.text("code"), "delivery_lost");
}

TEST(GroupRoutes, GiveBackAndKeepLonger) {
  const test_server server;
  publish(server, 2);
  (void)server.ask("POST /v1/events/flow:read", read_as_a);
  const reply kept = server.ask("POST /v1/events/flow:extend",
                                R"({"group":"mailers","consumer":"a","offsets":[1],"lease":3600})");
  EXPECT_EQ(kept.text("settled"), "1") << kept.body;
  (void)server.ask("POST /v1/events/flow:release",
                   R"({"group":"mailers","consumer":"a","offsets":[2]})");
  const reply again =
      server.ask("POST /v1/events/flow:read", R"({"group":"mailers","consumer":"b"})");
  EXPECT_EQ(types(again), "2 ");
  EXPECT_EQ(again.json().at("events").at(0).at("deliveries").as_int64(), 2);
}

TEST(GroupRoutes, ListWhatIsPending) {
  const test_server server;
  publish(server, 2);
  (void)server.ask("POST /v1/events/flow:read", read_as_a);
  const reply page = server.ask("GET /v1/events/flow/groups/mailers?limit=1");
  ASSERT_EQ(page.status, 200U) << page.body;
  EXPECT_EQ(page.json().at("pending").at(0).at("consumer").as_string(), "a");
  const reply next =
      server.ask("GET /v1/events/flow/groups/mailers?limit=1&cursor=" + page.text("cursor"));
  EXPECT_EQ(next.json().at("pending").at(0).at("offset").as_int64(), 2);
  EXPECT_EQ(server.ask("GET /v1/events/flow/groups/mailers?cursor=x").status, 400U);
  EXPECT_EQ(server.ask("GET /v1/events/flow/groups/others").text("code"), "group_not_found");
  EXPECT_EQ(server.ask("GET /v1/events/flow/groups").json().at("groups").as_array().size(), 1U);
}

TEST(GroupRoutes, BeginWhereTheyAreTold) {
  const test_server server;
  publish(server, 2);
  EXPECT_EQ(server.ask("PUT /v1/events/flow/groups/late", R"({"from":"latest"})").status, 201U);
  EXPECT_EQ(server.ask("PUT /v1/events/flow/groups/late").status, 200U);
  const std::string read = R"({"group":"late","consumer":"c"})";
  EXPECT_EQ(types(server.ask("POST /v1/events/flow:read", read)), "");
  const reply moved =
      server.ask("PUT /v1/events/flow/groups/late", R"({"from":"earliest","move":true})");
  EXPECT_EQ(moved.text("waiting"), "2");
  EXPECT_EQ(types(server.ask("POST /v1/events/flow:read", read)), "1 2 ");
  const std::string cursor = server.ask("GET /v1/events/flow?order=oldest&limit=1").text("cursor");
  EXPECT_EQ(
      types(server.ask("POST /v1/events/flow:read",
                       fmt::format(R"({{"group":"behind","consumer":"c","from":"{}"}})", cursor))),
      "2 ");
  EXPECT_EQ(types(server.ask("POST /v1/events/flow:read",
                             R"({"group":"then","consumer":"c","from":"2001-01-01T00:00:00Z"})")),
            "1 2 ");
  EXPECT_EQ(
      server
          .ask("POST /v1/events/flow:read", R"({"group":"then","consumer":"c","from":"yesterday"})")
          .text("code"),
      "bad_cursor");
  EXPECT_EQ(server.ask("DELETE /v1/events/flow/groups/late").status, 204U);
  EXPECT_EQ(server.ask("DELETE /v1/events/flow/groups/late").status, 404U);
}

TEST(GroupRoutes, WakeTheOneWhoWaits) {
  const test_server server;
  raw_client waiting = server.connect();
  waiting.send(
      make_request("POST /v1/events/flow:read", R"({"group":"mailers","consumer":"a","wait":30})"));
  while (!server.store->hints().heard(engine::topic::kind::stream)) std::this_thread::yield();
  publish(server, 1);
  const auto answer = waiting.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(types(*answer), "1 ");
}

TEST(GroupRoutes, AnswerWhoWaitsWhenTheServerStops) {
  test_server server;
  raw_client waiting = server.connect();
  waiting.send(
      make_request("POST /v1/events/flow:read", R"({"group":"mailers","consumer":"a","wait":30})"));
  while (!server.store->hints().heard(engine::topic::kind::stream)) std::this_thread::yield();
  server.begin_stop();
  const auto answer = waiting.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200U) << answer->body;
  EXPECT_EQ(types(*answer), "");
  server.stop();
}

TEST(GroupRoutes, CommitAnAckWithItsEffect) {
  const test_server server;
  publish(server, 1);
  (void)server.ask("POST /v1/events/flow:read", read_as_a);
  const auto commit = [&](const std::string& consumer) {
    return server.ask(
        "POST /v1/commit",
        fmt::format(R"({{"steps":[{{"op":"event.ack","stream":"flow","group":"mailers",)"
                    R"("consumer":"{}","offsets":[1]}},)"
                    R"({{"op":"job.enqueue","queue":"mail","type":"send"}}]}})",
                    consumer));
  };
  EXPECT_EQ(commit("b").text("code"), "delivery_lost");
  EXPECT_EQ(server.ask("GET /v1/queues/mail").status, 404U);
  const reply done = commit("a");
  EXPECT_EQ(done.status, 200U) << done.body;
  EXPECT_EQ(server.ask("GET /v1/queues/mail").text("waiting"), "1");
}

TEST(GroupRoutes, NameTheFieldOfWhatIsWrong) {
  const test_server server;
  const auto field = [&](const std::string& body) {
    const reply answer = server.ask("POST /v1/events/flow:read", body);
    EXPECT_EQ(answer.status, 422U) << answer.body;
    return answer.text("field");
  };
  EXPECT_EQ(field(R"({"consumer":"a"})"), "group");
  EXPECT_EQ(field(R"({"group":"a b","consumer":"a"})"), "group");
  EXPECT_EQ(field(R"({"group":"g"})"), "consumer");
  EXPECT_EQ(field(R"({"group":"g","consumer":"a","max":0})"), "max");
  EXPECT_EQ(field(R"({"group":"g","consumer":"a","max":1001})"), "max");
  EXPECT_EQ(field(R"({"group":"g","consumer":"a","wait":61})"), "wait");
  EXPECT_EQ(field(R"({"group":"g","consumer":"a","lease":0})"), "lease");
  EXPECT_EQ(field(R"({"group":"g","consumer":"a","x":1})"), "x");
}

}  // namespace
}  // namespace millrace::http
