#include "http_fixture.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::http {
namespace {

using testing::reply;
using testing::test_server;
using namespace std::chrono_literals;

std::string path_of(const reply& made) { return "/v1/sessions/" + made.text("id"); }

TEST(SessionRoutes, BeginShowChangeAndEnd) {
  const test_server server;
  const reply made = server.ask(
      "POST /v1/sessions",
      R"({"user":"42","label":"Firefox","data":{"cart":[ 7.0 ],"näme":"Zoë"},"absolute":86400})");
  ASSERT_EQ(made.status, 201U) << made.body;
  EXPECT_EQ(made.text("id").size(), 43U);
  EXPECT_EQ(made.header("etag"), "\"1\"");
  EXPECT_EQ(made.text("ended"), "0");
  const std::string path = path_of(made);

  const reply shown = server.ask("GET " + path);
  EXPECT_EQ(shown.status, 200U);
  EXPECT_EQ(shown.text("user"), "42");
  EXPECT_EQ(shown.text("label"), "Firefox");
  EXPECT_EQ(shown.text("ref"), made.text("ref"));
  EXPECT_EQ(shown.text("ends_at"), shown.text("expires_at"));
  // What came in comes out as it was; the id is told once.
  EXPECT_NE(shown.body.find(R"("data":{"cart":[ 7.0 ],"näme":"Zoë"}})"), std::string::npos)
      << shown.body;
  EXPECT_EQ(shown.body.find(made.text("id")), std::string::npos);

  const reply merged =
      server.ask("PATCH " + path, R"({"data":{"cart":null,"page":2}})", "If-Match: \"1\"\r\n");
  EXPECT_EQ(merged.status, 200U) << merged.body;
  EXPECT_EQ(merged.header("etag"), "\"2\"");
  EXPECT_NE(merged.body.find(R"("data":{"näme":"Zoë","page":2}})"), std::string::npos);
  const reply late = server.ask("PATCH " + path, R"({"data":{"page":3}})", "If-Match: \"1\"\r\n");
  EXPECT_EQ(late.status, 412U);
  EXPECT_EQ(late.text("code"), "version_changed");
  const reply replaced = server.ask("PUT " + path, R"({"data":{"x":null}})", "If-Match: *\r\n");
  EXPECT_NE(replaced.body.find(R"("data":{"x":null}})"), std::string::npos) << replaced.body;

  EXPECT_EQ(server.ask("DELETE " + path).status, 204U);
  EXPECT_EQ(server.ask("DELETE " + path).status, 404U);
  EXPECT_EQ(server.ask("GET " + path).text("code"), "session_not_found");
  // A request that was slower than the end does not undo it.
  EXPECT_EQ(server.ask("PUT " + path, R"({"data":{"x":1}})").status, 404U);
  EXPECT_EQ(server.ask("PATCH " + path, R"({"data":{"x":1}})").status, 404U);
  EXPECT_EQ(server.ask("GET " + path).status, 404U);
}

TEST(SessionRoutes, LiveOnWithUse) {
  test_server server;
  const reply made = server.ask("POST /v1/sessions", R"({"idle":100})");
  EXPECT_EQ(made.text("user"), "null");
  server.clock.advance(60s);
  EXPECT_EQ(server.ask("GET " + path_of(made) + "?peek=true").text("expires_at"),
            made.text("expires_at"));
  EXPECT_GT(server.ask("GET " + path_of(made)).text("expires_at"), made.text("expires_at"));
  server.clock.advance(99s);
  EXPECT_EQ(server.ask("GET " + path_of(made)).status, 200U);
  server.clock.advance(100s);
  EXPECT_EQ(server.ask("GET " + path_of(made)).status, 404U);
}

TEST(SessionRoutes, AnswerAlikeWhateverIsWrongWithAnId) {
  const test_server server;
  const reply malformed = server.ask("GET /v1/sessions/x");
  const reply unknown = server.ask("GET /v1/sessions/" + std::string(43, 'a'));
  EXPECT_EQ(malformed.status, 404U);
  EXPECT_EQ(malformed.body, unknown.body);
  for (const char* each : {"PUT", "PATCH"}) {
    EXPECT_EQ(server.ask(std::string(each) + " /v1/sessions/x", R"({"data":{}})").text("code"),
              "session_not_found");
  }
  EXPECT_EQ(server.ask("POST /v1/sessions/x:rotate").text("code"), "session_not_found");
}

TEST(SessionRoutes, GiveAnotherIdWhenSomebodySignsIn) {
  test_server server;
  const reply made = server.ask("POST /v1/sessions", R"({"data":{"cart":[7]}})");
  const reply rotated = server.ask("POST " + path_of(made) + ":rotate",
                                   R"({"user":"42","grace":10,"data":{"role":"admin"}})");
  ASSERT_EQ(rotated.status, 200U) << rotated.body;
  EXPECT_NE(rotated.text("id"), made.text("id"));
  EXPECT_EQ(rotated.text("ref"), made.text("ref"));
  EXPECT_EQ(rotated.text("user"), "42");
  const reply former = server.ask("GET " + path_of(made));
  EXPECT_EQ(former.text("former"), "true");
  EXPECT_EQ(former.text("user"), "null");
  EXPECT_EQ(former.body.find("admin"), std::string::npos);
  EXPECT_EQ(server.ask("PATCH " + path_of(made), R"({"data":{"x":1}})").text("code"),
            "session_rotated");
  server.clock.advance(10s);
  EXPECT_EQ(server.ask("GET " + path_of(made)).status, 404U);
  EXPECT_EQ(server.ask("GET " + path_of(rotated)).status, 200U);
  const reply stale = server.ask("POST " + path_of(rotated) + ":rotate", {}, "If-Match: \"1\"\r\n");
  EXPECT_EQ(stale.status, 412U);
}

TEST(SessionRoutes, ListAndEndThoseOfAUser) {
  const test_server server;
  std::vector<reply> made;
  for (int i = 0; i < 3; ++i) {
    made.push_back(server.ask("POST /v1/sessions", R"({"user":"a/b","data":{"x":"secret"}})"));
  }
  (void)server.ask("POST /v1/sessions");
  const reply listed = server.ask("GET /v1/users/a%2Fb/sessions?limit=2");
  EXPECT_EQ(listed.text("count"), "3");
  EXPECT_EQ(listed.json().at("sessions").as_array().size(), 2U);
  EXPECT_EQ(listed.body.find("secret"), std::string::npos);
  EXPECT_EQ(listed.body.find(made[0].text("id")), std::string::npos);
  const reply rest = server.ask("GET /v1/users/a%2Fb/sessions?cursor=" + listed.text("cursor"));
  EXPECT_EQ(rest.json().at("sessions").as_array().size(), 1U);
  const reply newest = server.ask("GET /v1/users/a%2Fb/sessions?order=newest&limit=1");
  EXPECT_EQ(newest.json().at("sessions").at(0).at("ref"), made[2].json().at("ref"));
  EXPECT_EQ(server.ask("GET /v1/sessions?order=up").json().at("field"), "order");
  EXPECT_EQ(server.ask("GET /v1/sessions").text("count"), "4");
  EXPECT_NE(server.ask("GET /metrics").body.find("\nmillrace_sessions 4\n"), std::string::npos);
  EXPECT_EQ(server.ask("GET /v1/sessions?user=").text("count"), "1");

  const std::string of_user = "DELETE /v1/users/a%2Fb/sessions";
  EXPECT_EQ(server.ask(of_user + "?ref=" + made[1].text("ref")).text("ended"), "1");
  EXPECT_EQ(server.ask("GET " + path_of(made[1])).status, 404U);
  EXPECT_EQ(server.ask(of_user + "?except=" + made[0].text("ref")).text("ended"), "1");
  EXPECT_EQ(server.ask(of_user).text("ended"), "1");
  EXPECT_EQ(server.ask(of_user).text("ended"), "0");
}

TEST(SessionRoutes, KeepToTheSessionsOfAUser) {
  const test_server server;
  const std::string two = R"({"user":"42","max_per_user":2,"when_full":)";
  const reply first = server.ask("POST /v1/sessions", two + R"("end_oldest"})");
  EXPECT_EQ(server.ask("POST /v1/sessions", two + R"("refuse"})").status, 201U);
  const reply refused = server.ask("POST /v1/sessions", two + R"("refuse"})");
  EXPECT_EQ(refused.status, 429U);
  EXPECT_EQ(refused.text("code"), "too_many_user_sessions");
  EXPECT_EQ(server.ask("POST /v1/sessions", two + R"("end_oldest"})").text("ended"), "1");
  EXPECT_EQ(server.ask("GET " + path_of(first)).status, 404U);
}

TEST(SessionRoutes, AnswerARepeatedRequestWithTheSessionThereIs) {
  const test_server server;
  const std::string key = "Idempotency-Key: k\r\n";
  const reply first = server.ask("POST /v1/sessions", R"({"user":"42"})", key);
  const reply again = server.ask("POST /v1/sessions", R"({"user":"42"})", key);
  EXPECT_EQ(again.status, 201U) << again.body;
  EXPECT_EQ(again.text("ref"), first.text("ref"));
  EXPECT_NE(again.text("id"), first.text("id"));
  EXPECT_EQ(server.ask("GET " + path_of(again)).status, 200U);
  EXPECT_EQ(server.ask("GET /v1/users/42/sessions").text("count"), "1");
}

TEST(SessionRoutes, TakeWhatIsConfiguredWhereNothingIsSaid) {
  test_server server({.sessions = {.idle = 10s,
                                   .absolute = 1h,
                                   .max_per_user = 1,
                                   .when_full = engine::session_overflow::refuse}});
  const reply made = server.ask("POST /v1/sessions", R"({"user":"42"})");
  EXPECT_NE(made.text("ends_at"), "null");
  EXPECT_EQ(server.ask("POST /v1/sessions", R"({"user":"42"})").status, 429U);
  EXPECT_EQ(server.ask("POST /v1/sessions", R"({"user":"42","max_per_user":2})").status, 201U);
  server.clock.advance(10s);
  EXPECT_EQ(server.ask("GET " + path_of(made)).status, 404U);
}

TEST(SessionRoutes, SayWhatIsWrong) {
  const test_server server;
  const auto field = [&server](const std::string& body) {
    const reply answer = server.ask("POST /v1/sessions", body);
    EXPECT_TRUE(answer.status == 422 || answer.status == 413) << answer.body;
    return answer.text("field");
  };
  EXPECT_EQ(field(R"({"idle":0})"), "idle");
  EXPECT_EQ(field(R"({"idle":31536001})"), "idle");
  EXPECT_EQ(field(R"({"absolute":-1})"), "absolute");
  EXPECT_EQ(field(R"({"idle":60,"touch_every":60})"), "touch_every");
  EXPECT_EQ(field(R"({"data":[1]})"), "data");
  EXPECT_EQ(field(R"({"data":{"":1}})"), "data");
  EXPECT_EQ(field(R"({"user":7})"), "user");
  EXPECT_EQ(field(R"({"max_per_user":0})"), "max_per_user");
  EXPECT_EQ(field(R"({"when_full":"maybe"})"), "when_full");
  EXPECT_EQ(field(R"({"id":"mine"})"), "id");
  EXPECT_EQ(field(fmt::format(R"({{"data":{{"x":"{}"}}}})", std::string(262'144, 'x'))), "data");
  const reply made = server.ask("POST /v1/sessions");
  EXPECT_EQ(server.ask("PATCH " + path_of(made), "{}").text("field"), "data");
  EXPECT_EQ(server.ask("PATCH " + path_of(made), R"({"data":{}})", "If-Match: x\r\n").text("field"),
            "If-Match");
  EXPECT_EQ(server.ask("DELETE /v1/users/a%0Ab/sessions").status, 422U);
}

// Neither the log nor anything but the answer itself has the id.
TEST(SessionRoutes, TellNobodyElseTheId) {
  test_server server;
  const reply made = server.ask("POST /v1/sessions", R"({"user":"42"})");
  const std::string id = made.text("id");
  (void)server.ask("GET " + path_of(made));
  EXPECT_EQ(server.ask("GET /metrics").body.find(id), std::string::npos);
  EXPECT_EQ(server.ask("PUT " + path_of(made), "{}").body.find(id), std::string::npos);
  server.stop();
  const auto records = server.records();
  EXPECT_GE(records.size(), 4U);
  EXPECT_TRUE(std::ranges::none_of(records, [&id](const auto& record) {
    return record.route.contains(id) || record.code.contains(id);
  }));
}

}  // namespace
}  // namespace millrace::http
