#include "http_fixture.hpp"

#include <fmt/format.h>

namespace millrace::http {
namespace {

using testing::reply;
using testing::test_server;

TEST(Commit, DoesSeveralStepsAsOne) {
  const test_server server;
  (void)server.ask("POST /v1/queues/a/jobs");
  const auto leased = server.ask("POST /v1/queues/a:reserve").json();
  const auto& job = leased.at("jobs").at(0);
  const std::string token = server.ask("POST /v1/locks/r").text("token");
  (void)server.ask("PUT /v1/progress/c", R"({"total_steps":2})");
  const std::string body = fmt::format(
      R"({{"steps":[{{"op":"job.ack","id":"{}","token":{},"result":{{"n" : 1.0}}}},
                    {{"op":"job.enqueue","queue":"b","data":[1 , 2],"priority":7}},
                    {{"op":"event.publish","stream":"f","type":"done","payload":{{ }}}},
                    {{"op":"progress.put","correlation_id":"c","step":1}},
                    {{"op":"agent.put","flow_id":"f","agent":"x","progress":1}},
                    {{"op":"lock.release","resource":"r","token":"{}"}}]}})",
      job.at("id").as_string().c_str(), job.at("token").as_int64(), token);
  const reply done = server.ask("POST /v1/commit", body);
  ASSERT_EQ(done.status, 200U) << done.body;
  const auto answer = done.json();
  const auto& results = answer.at("results").as_array();
  ASSERT_EQ(results.size(), 6U);
  EXPECT_EQ(results[0].at("op").as_string(), "job.ack");
  EXPECT_EQ(results[0].at("result").at("status").as_string(), "completed");
  EXPECT_EQ(results[1].at("result").at("priority").as_int64(), 7);
  EXPECT_EQ(results[2].at("result").at("offset").as_int64(), 1);
  EXPECT_EQ(server.ask("GET /v1/locks/r").text("held"), "false");
  const std::string made{results[1].at("result").at("id").as_string().c_str()};
  const reply next = server.ask("GET /v1/jobs/" + made);
  EXPECT_NE(next.body.find(R"("data":[1 , 2])"), std::string::npos) << next.body;
}

TEST(Commit, DoesNothingWhereOneStepIsRefused) {
  const test_server server;
  const reply refused = server.ask("POST /v1/commit",
                                   R"({"steps":[{"op":"event.publish","stream":"f","type":"t"},
                   {"op":"lock.extend","resource":"r","token":"x"}]})");
  EXPECT_EQ(refused.status, 409U) << refused.body;
  EXPECT_EQ(refused.text("code"), "lock_lost");
  EXPECT_EQ(refused.text("field"), "steps.1");
  EXPECT_TRUE(server.ask("GET /v1/events/f").json().at("events").as_array().empty());
}

TEST(Commit, GivesWhatItMakesTheCorrelationIdOfTheRequest) {
  const test_server server;
  const std::string body =
      R"({"steps":[{"op":"event.publish","stream":"f","type":"t"},
                   {"op":"job.enqueue","queue":"q","type":"mine","correlation_id":"own"},
                   {"op":"job.enqueue","queue":"q","type":"theirs"}]})";
  (void)server.ask("POST /v1/commit", body, "X-Correlation-ID: abc\r\n");
  const auto found = server.ask("GET /v1/correlations/abc").json();
  ASSERT_EQ(found.at("jobs").as_array().size(), 1U);
  EXPECT_EQ(found.at("jobs").at(0).at("type").as_string(), "theirs");
  EXPECT_EQ(found.at("events").as_array().size(), 1U);
  const reply made = server.ask("POST /v1/commit", body);
  const auto of_it = server.ask("GET /v1/correlations/" + made.header("x-correlation-id")).json();
  EXPECT_EQ(of_it.at("jobs").as_array().size(), 1U);
  EXPECT_EQ(of_it.at("events").as_array().size(), 1U);
}

TEST(Commit, IsDoneOnceWithAKey) {
  const test_server server;
  const std::string body = R"({"steps":[{"op":"event.publish","stream":"f","type":"t"}]})";
  const std::string key = "Idempotency-Key: k\r\n";
  EXPECT_EQ(server.ask("POST /v1/commit", body, key).status, 200U);
  const reply again = server.ask("POST /v1/commit", body, key);
  EXPECT_EQ(again.header("idempotency-replayed"), "true");
  EXPECT_EQ(server.ask("GET /v1/events/f").json().at("events").as_array().size(), 1U);
}

TEST(Commit, NamesTheStepThatIsWrong) {
  const test_server server;
  const auto code = [&](std::string_view body) {
    const reply answer = server.ask("POST /v1/commit", body);
    return fmt::format("{} {} {}", answer.status, answer.text("code"), answer.text("field"));
  };
  EXPECT_EQ(code("{}"), "422 invalid_value steps");
  EXPECT_EQ(code(R"({"steps":[]})"), "422 invalid_value steps");
  EXPECT_EQ(code(R"({"steps":[7]})"), "422 invalid_value steps.0");
  EXPECT_EQ(code(R"({"steps":[{}]})"), "422 invalid_value steps.0.op");
  EXPECT_EQ(code(R"({"steps":[{"op":"job.fly"}]})"), "422 invalid_value steps.0.op");
  EXPECT_EQ(code(R"({"steps":[{"op":"job.ack","id":"a","token":1}]})"),
            "422 invalid_value steps.0.id");
  EXPECT_EQ(code(R"({"steps":[{"op":"event.publish","stream":"f","type":"t"},
                              {"op":"event.publish","stream":"f","type":"t","x":1}]})"),
            "422 unknown_member steps.1.x");
  EXPECT_EQ(code(R"({"steps":[{"op":"event.publish","stream":"f","type":"t","id":"a"},
                              {"op":"event.publish","stream":"f","type":"t","id":"a"}]})"),
            "422 duplicate_target steps");
  EXPECT_EQ(code(R"({"steps":[{"op":"event.publish","stream":"f"}],"durability":"durable"})"),
            "422 invalid_value steps.0.type");
}

TEST(Commit, BeginsChangesAndEndsASessionWithOtherSteps) {
  const test_server server;
  const reply begun = server.ask(
      "POST /v1/commit", R"({"steps":[{"op":"session.create","user":"7","data":{"cart":[ 1 ]}},
                                      {"op":"event.publish","stream":"f","type":"signed_in"}]})");
  ASSERT_EQ(begun.status, 200U) << begun.body;
  const auto results = begun.json();
  const std::string id{results.at("results").at(0).at("result").at("id").as_string().c_str()};
  EXPECT_EQ(id.size(), 43U);
  EXPECT_EQ(server.ask("GET /v1/sessions/" + id).json().at("user").as_string(), "7");
  const reply changed = server.ask(
      "POST /v1/commit",
      fmt::format(R"({{"steps":[{{"op":"session.update","id":"{}","data":{{"cart":null,"x":2}},
                                  "if_version":1}},
                                {{"op":"job.enqueue","queue":"q"}}]}})",
                  id));
  ASSERT_EQ(changed.status, 200U) << changed.body;
  EXPECT_EQ(changed.body.find(id), std::string::npos) << "an id is told once";
  const reply shown = server.ask("GET /v1/sessions/" + id);
  EXPECT_NE(shown.body.find(R"("data":{"x":2})"), std::string::npos) << shown.body;
  const reply replaced =
      server.ask("POST /v1/commit",
                 fmt::format(R"({{"steps":[{{"op":"session.update","id":"{}","data":{{"y":null}},
                                  "replace":true}}]}})",
                             id));
  EXPECT_NE(replaced.body.find(R"("data":{"y":null})"), std::string::npos) << replaced.body;
  const reply ended =
      server.ask("POST /v1/commit", fmt::format(R"({{"steps":[{{"op":"session.delete","id":"{}"}},
                                {{"op":"event.publish","stream":"f","type":"signed_out"}}]}})",
                                                id));
  EXPECT_EQ(ended.status, 200U) << ended.body;
  EXPECT_EQ(server.ask("GET /v1/sessions/" + id).status, 404U);
}

TEST(Commit, DoesNothingWhereTheSessionIsNotThere) {
  const test_server server;
  const reply refused =
      server.ask("POST /v1/commit", R"({"steps":[{"op":"event.publish","stream":"f","type":"t"},
                                      {"op":"session.delete","id":"none"}]})");
  EXPECT_EQ(refused.status, 404U);
  EXPECT_EQ(refused.text("code"), "session_not_found");
  EXPECT_TRUE(server.ask("GET /v1/events/f").json().at("events").as_array().empty());
  EXPECT_EQ(
      server.ask("POST /v1/commit", R"({"steps":[{"op":"session.delete","id":"none","data":{}}]})")
          .text("code"),
      "unknown_member");
  EXPECT_EQ(server.ask("POST /v1/commit", R"({"steps":[{"op":"session.update","id":"x"}]})")
                .text("field"),
            "steps.0.data");
  EXPECT_EQ(
      server
          .ask("POST /v1/commit", R"({"steps":[{"op":"session.create"},{"op":"session.create"}]})")
          .text("code"),
      "duplicate_target");
}

TEST(Commit, NamesASessionAgainWhenItIsRepeated) {
  const test_server server;
  const std::string body =
      R"({"steps":[{"op":"session.create","user":"7","data":{"n":1}},
                   {"op":"job.enqueue","queue":"q"}]})";
  const reply first = server.ask("POST /v1/commit", body, "Idempotency-Key: a\r\n");
  const reply again = server.ask("POST /v1/commit", body, "Idempotency-Key: a\r\n");
  ASSERT_EQ(first.status, 200U) << first.body;
  ASSERT_EQ(again.status, 200U) << again.body;
  EXPECT_EQ(again.header("idempotency-replayed"), "true");
  const auto one = first.json().at("results").at(0).at("result");
  const auto two = again.json().at("results").at(0).at("result");
  EXPECT_EQ(one.at("ref"), two.at("ref"));
  EXPECT_NE(one.at("id"), two.at("id"));
  const std::string id{two.at("id").as_string().c_str()};
  EXPECT_EQ(server.ask("GET /v1/sessions/" + id).status, 200U);
  EXPECT_EQ(server.ask("GET /v1/users/7/sessions").json().at("count").as_int64(), 1);
}

}  // namespace
}  // namespace millrace::http
