#include "http_fixture.hpp"

#include <millrace/engine/async.hpp>

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <string>

namespace millrace::http {
namespace {

using namespace std::chrono_literals;
using testing::reply;
using testing::test_server;

server_options with_chat(bool legacy = false) {
  limit_rule user{.scope = "user", .fallback = "ip", .limit = 2, .window = 60s};
  limit_rule bot{.scope = "bot", .limit = 500, .window = 60s};
  server_options options;
  options.rate_limits.policies.emplace(
      "chat", limit_policy{.rules = {{.scope = "global", .limit = 1000, .window = 60s}, user, bot},
                           .allow = {"plan=enterprise"},
                           .deny = {"user=mallory"}});
  options.rate_limits.policies.emplace(
      "tokens", limit_policy{.rules = {{.scope = "user",
                                        .algorithm = engine::limit_algorithm::calendar,
                                        .limit = 1000,
                                        .period = engine::limit_period::daily}}});
  options.rate_limits.legacy_headers = legacy;
  return options;
}

constexpr std::string_view chat = R"({"policy":"chat","user":"42","ip":"10.0.0.1","bot":7})";

std::string one_of(std::string_view rest) {
  return fmt::format(R"({{"checks":[{{"scope":"user","id":"1",{}}}]}})", rest);
}

const boost::json::value& limit_at(const boost::json::value& body, std::size_t index) {
  return body.at("limits").as_array().at(index);
}

TEST(LimitRoutes, CheckLimitsOfOnesOwn) {
  const test_server server;
  const reply first = server.ask("POST /v1/limits:check",
                                 R"({"checks":[{"scope":"user","id":"42","limit":100,"window":60,
                     "algorithm":"sliding","cost":3},
                    {"scope":"ip","id":"10.0.0.1","limit":200,"window":60,"algorithm":"fixed"},
                    {"scope":"bot","id":7,"limit":60,"window":60,
                     "algorithm":"token_bucket","burst":10},
                    {"scope":"user","id":"42","limit":5,"algorithm":"calendar","period":"monthly",
                     "time_zone":"Europe/Rome"}]})");
  ASSERT_EQ(first.status, 200U) << first.body;
  EXPECT_TRUE(first.json().at("allowed").as_bool());
  const boost::json::value user = limit_at(first.json(), 0);
  EXPECT_EQ(user.at("scope").as_string(), "user");
  EXPECT_EQ(user.at("id").as_string(), "42");
  EXPECT_EQ(user.at("count").as_int64(), 3);
  EXPECT_EQ(user.at("limit").as_int64(), 100);
  EXPECT_EQ(user.at("remaining").as_int64(), 97);
  EXPECT_EQ(user.at("window_start").as_string(), "2025-12-31T23:59:00.000Z");
  EXPECT_EQ(user.at("reset_time").as_string(), "2026-01-01T00:01:00.000Z");
  EXPECT_EQ(limit_at(first.json(), 2).at("limit").as_int64(), 10);
  EXPECT_EQ(limit_at(first.json(), 3).at("window_start").as_string(), "2025-12-31T23:00:00.000Z");
  EXPECT_EQ(first.text("at"), "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(first.header("ratelimit-policy"),
            R"("user-60";q=100;w=60, "ip";q=200;w=60, "bot";q=10;w=60, "user-0";q=5;w=2678400)");
  EXPECT_EQ(first.header("ratelimit"),
            R"("user-60";r=97;t=60, "ip";r=199;t=60, "bot";r=9;t=1, "user-0";r=4;t=2674800)");
  EXPECT_EQ(first.header("x-ratelimit-limit"), "");
}

TEST(LimitRoutes, RefuseWithEverythingAClientNeeds) {
  const test_server server(with_chat());
  EXPECT_EQ(server.ask("POST /v1/limits:check", chat).status, 200U);
  EXPECT_EQ(server.ask("POST /v1/limits:check", chat).status, 200U);
  const reply refused = server.ask("POST /v1/limits:check", chat);
  EXPECT_EQ(refused.status, 429U);
  EXPECT_EQ(refused.header("content-type"), "application/problem+json");
  EXPECT_EQ(refused.header("retry-after"), "60");
  EXPECT_EQ(refused.text("code"), "limit_reached");
  EXPECT_FALSE(refused.json().at("allowed").as_bool());
  EXPECT_EQ(refused.json().at("binding").at("scope").as_string(), "user");
  EXPECT_EQ(refused.json().at("binding").at("id").as_string(), "42");
  EXPECT_EQ(limit_at(refused.json(), 0).at("count").as_int64(), 2) << "nothing was charged";
  EXPECT_EQ(limit_at(refused.json(), 1).at("retry_after").as_int64(), 60);
  EXPECT_EQ(refused.header("ratelimit-policy"),
            R"("global";q=1000;w=60, "user";q=2;w=60, "bot";q=500;w=60)");
  EXPECT_EQ(refused.header("ratelimit"),
            R"("global";r=998;t=60, "user";r=0;t=60, "bot";r=498;t=60)");
}

TEST(LimitRoutes, AnswerInTheOldHeadersWhereTheyAreWanted) {
  const test_server server(with_chat(true));
  const reply answer = server.ask("POST /v1/limits:check", chat);
  EXPECT_EQ(answer.header("x-ratelimit-limit"), "2");
  EXPECT_EQ(answer.header("x-ratelimit-remaining"), "1");
  EXPECT_EQ(answer.header("x-ratelimit-reset"), "60");
}

TEST(LimitRoutes, PeekWithoutCharging) {
  const test_server server(with_chat());
  const std::string_view peek = R"({"policy":"chat","user":"42","bot":"7","cost":2,"peek":true})";
  EXPECT_TRUE(server.ask("POST /v1/limits:check", peek).json().at("allowed").as_bool());
  EXPECT_EQ(server.ask("POST /v1/limits:check", chat).status, 200U);
  const reply seen = server.ask("POST /v1/limits:check", peek);
  EXPECT_EQ(seen.status, 200U) << "a look is no refusal";
  EXPECT_FALSE(seen.json().at("allowed").as_bool());
  EXPECT_EQ(seen.json().at("binding").at("scope").as_string(), "user");
}

TEST(LimitRoutes, GrantAPart) {
  const test_server server;
  const std::string_view body =
      R"({"checks":[{"scope":"user","id":"1","limit":10,"window":60,"cost":7}],"partial":true})";
  EXPECT_EQ(server.ask("POST /v1/limits:check", body).json().at("granted").as_int64(), 7);
  EXPECT_EQ(server.ask("POST /v1/limits:check", body).json().at("granted").as_int64(), 3);
  EXPECT_EQ(server.ask("POST /v1/limits:check", body).status, 429U);
}

TEST(LimitRoutes, FollowTheListsOfAPolicy) {
  const test_server server(with_chat());
  for (int i = 0; i < 5; ++i) {
    const reply listed =
        server.ask("POST /v1/limits:check", R"({"policy":"chat","user":"42","plan":"enterprise"})");
    EXPECT_EQ(listed.status, 200U);
    EXPECT_TRUE(listed.json().at("listed").as_bool());
    EXPECT_EQ(listed.header("ratelimit"), "");
  }
  const reply denied =
      server.ask("POST /v1/limits:check", R"({"policy":"chat","user":"mallory","bot":"7"})");
  EXPECT_EQ(denied.status, 403U);
  EXPECT_EQ(denied.text("code"), "limit_denied");
  EXPECT_FALSE(denied.json().at("allowed").as_bool());
}

TEST(LimitRoutes, RefundSettleAndReset) {
  test_server server(with_chat());
  const reply taken = server.ask("POST /v1/limits:check", chat);
  (void)server.ask("POST /v1/limits:check", chat);
  const reply back =
      server.ask("POST /v1/limits:refund",
                 fmt::format(R"({{"policy":"chat","user":"42","bot":"7","taken_at":"{}"}})",
                             taken.text("at")));
  EXPECT_EQ(back.status, 200U) << back.body;
  EXPECT_EQ(limit_at(back.json(), 1).at("remaining").as_int64(), 1);
  server.clock.advance(60s);
  const reply late =
      server.ask("POST /v1/limits:refund",
                 fmt::format(R"({{"policy":"chat","user":"42","bot":"7","taken_at":"{}"}})",
                             taken.text("at")));
  EXPECT_EQ(limit_at(late.json(), 1).at("count").as_int64(), 0);

  (void)server.ask("POST /v1/tokens:consume", R"({"user_id":"42","tokens":800})");
  const reply settled = server.ask("POST /v1/limits:settle",
                                   R"({"policy":"tokens","user":"42","reserved":800,"used":300})");
  EXPECT_EQ(limit_at(settled.json(), 0).at("count").as_int64(), 300) << settled.body;
  const std::string_view more = R"({"policy":"tokens","user":"42","reserved":1,"used":900})";
  EXPECT_EQ(server.ask("POST /v1/limits:settle", more).json().at("granted").as_int64(), 700);
  const reply full = server.ask("POST /v1/limits:settle", more);
  EXPECT_EQ(full.status, 200U) << "what was used was used";
  EXPECT_EQ(full.json().at("granted").as_int64(), 0);

  (void)server.ask("POST /v1/limits:check", chat);
  (void)server.ask("POST /v1/limits:check", chat);
  EXPECT_EQ(server.ask("POST /v1/limits:check", chat).status, 429U);
  const reply reset = server.ask("POST /admin/limits:reset", chat);
  EXPECT_EQ(reset.status, 200U);
  EXPECT_EQ(limit_at(reset.json(), 1).at("count").as_int64(), 0);
  EXPECT_EQ(server.ask("POST /v1/limits:check", chat).status, 200U);
}

TEST(LimitRoutes, GivePermitsAndTakeThemBack) {
  test_server server;
  const std::string one =
      R"("checks":[{"scope":"user","id":"42","algorithm":"concurrency","limit":1,"ttl":30}])";
  const reply taken = server.ask("POST /v1/limits:check", "{" + one + "}");
  ASSERT_EQ(taken.status, 200U) << taken.body;
  const std::int64_t permit = taken.json().at("permit").as_int64();
  EXPECT_EQ(taken.json().at("permit_expires_at").as_string(), "2026-01-01T00:00:30.000Z");
  EXPECT_EQ(taken.header("ratelimit-policy"), R"("user";q=1;qu="concurrent-requests")");
  const reply full = server.ask("POST /v1/limits:check", "{" + one + "}");
  EXPECT_EQ(full.status, 429U);
  EXPECT_EQ(full.header("retry-after"), "30");
  EXPECT_FALSE(full.json().as_object().contains("permit"));
  const std::string with = fmt::format(R"({{{},"permit":{}}})", one, permit);
  server.clock.advance(20s);
  const reply renewed = server.ask("POST /v1/limits:renew", with);
  ASSERT_EQ(renewed.status, 200U) << renewed.body;
  EXPECT_EQ(renewed.json().at("permit").as_int64(), permit);
  EXPECT_EQ(renewed.json().at("permit_expires_at").as_string(), "2026-01-01T00:00:50.000Z");
  EXPECT_EQ(server.ask("POST /v1/limits:release", with).status, 200U);
  const reply again = server.ask("POST /v1/limits:release", with);
  EXPECT_EQ(again.status, 409U);
  EXPECT_EQ(again.text("code"), "permit_lost");
  EXPECT_EQ(server.ask("POST /v1/limits:check", "{" + one + "}").status, 200U);
}

TEST(LimitRoutes, ShutOutForATime) {
  const test_server server(with_chat());
  const reply blocked =
      server.ask("POST /v1/limits:block", R"({"scope":"user","id":42,"for":600})");
  ASSERT_EQ(blocked.status, 200U) << blocked.body;
  EXPECT_TRUE(blocked.json().at("blocked").as_bool());
  EXPECT_EQ(blocked.text("blocked_until"), "2026-01-01T00:10:00.000Z");
  const reply refused = server.ask("POST /v1/limits:check", chat);
  EXPECT_EQ(refused.status, 429U);
  EXPECT_EQ(refused.text("code"), "limit_blocked");
  EXPECT_EQ(refused.header("retry-after"), "600");
  EXPECT_NE(refused.text("detail").find("blocked until 2026-01-01T00:10:00.000Z"),
            std::string::npos);
  EXPECT_EQ(refused.json().at("binding").at("scope").as_string(), "user");
  EXPECT_EQ(limit_at(refused.json(), 1).at("blocked_until").as_string(),
            "2026-01-01T00:10:00.000Z");
  EXPECT_FALSE(limit_at(refused.json(), 0).as_object().contains("blocked_until"));
  const reply seen =
      server.ask("POST /v1/limits:check",
                 R"({"policy":"chat","user":"42","ip":"10.0.0.1","bot":7,"peek":true})");
  EXPECT_EQ(seen.status, 200U);
  EXPECT_FALSE(seen.json().at("allowed").as_bool());
  const reply lifted = server.ask("POST /v1/limits:unblock", R"({"scope":"user","id":"42"})");
  EXPECT_EQ(lifted.status, 200U) << lifted.body;
  EXPECT_FALSE(lifted.json().at("blocked").as_bool());
  EXPECT_EQ(server.ask("POST /v1/limits:check", chat).status, 200U);
}

TEST(LimitRoutes, BlockWhoIsRefusedTooOften) {
  const test_server server;
  const std::string one = one_of(R"("limit":1,"window":60,"penalty":{"after":2,"for":3600})");
  EXPECT_EQ(server.ask("POST /v1/limits:check", one).status, 200U);
  EXPECT_EQ(server.ask("POST /v1/limits:check", one).text("code"), "limit_reached");
  const reply second = server.ask("POST /v1/limits:check", one);
  EXPECT_EQ(second.text("code"), "limit_blocked") << second.body;
  EXPECT_EQ(second.header("retry-after"), "3600");
  const reply metrics = server.ask("GET /metrics");
  EXPECT_NE(metrics.body.find(R"(millrace_limit_blocked_total{policy="-"} 1)"), std::string::npos);
}

TEST(TokenRoutes, ConsumeOfTheDaysBudget) {
  test_server server(with_chat());
  server.clock.advance(6h);
  const reply first = server.ask("POST /v1/tokens:consume", R"({"user_id":"42","tokens":600})");
  ASSERT_EQ(first.status, 200U) << first.body;
  const boost::json::value body = first.json();
  EXPECT_EQ(body.at("user_id").as_string(), "42");
  EXPECT_EQ(body.at("tokens").as_int64(), 600);
  EXPECT_EQ(body.at("count").as_int64(), 600);
  EXPECT_EQ(body.at("remaining").as_int64(), 400);
  EXPECT_EQ(body.at("reset_time").as_string(), "2026-01-02T00:00:00.000Z");
  const reply over = server.ask("POST /v1/tokens:consume", R"({"user_id":42,"tokens":401})");
  EXPECT_EQ(over.status, 429U);
  EXPECT_EQ(over.header("retry-after"), "64800");
  EXPECT_EQ(over.json().at("remaining").as_int64(), 400);
  EXPECT_EQ(server.ask("POST /v1/tokens:consume", R"({"user_id":"42","tokens":400})").status, 200U);
  server.clock.advance(18h);
  EXPECT_EQ(server.ask("POST /v1/tokens:consume", R"({"user_id":"42","tokens":1000})").status,
            200U);
}

TEST(TokenRoutes, ConsumeOfABudgetThatTheCallerNames) {
  const test_server server;
  const std::string_view body =
      R"({"user_id":"42","tokens":60,"limit":100,"period":"weekly","time_zone":"Europe/Rome"})";
  EXPECT_EQ(server.ask("POST /v1/tokens:consume", body).status, 200U);
  const reply over = server.ask("POST /v1/tokens:consume", body);
  EXPECT_EQ(over.status, 429U);
  EXPECT_EQ(over.text("reset_time"), "2026-01-04T23:00:00.000Z");
}

struct bad_body {
  std::string name;
  std::string route;
  std::string body;
  unsigned status;
  std::string code;
  std::string field;
};
std::ostream& operator<<(std::ostream& out, const bad_body& of) { return out << of.name; }

class BadLimits : public ::testing::TestWithParam<bad_body> {};

TEST_P(BadLimits, AreRefusedByName) {
  const test_server server(with_chat());
  const bad_body& one = GetParam();
  const reply answer = server.ask("POST " + one.route, one.body);
  EXPECT_EQ(answer.status, one.status) << answer.body;
  EXPECT_EQ(answer.text("code"), one.code) << answer.body;
  EXPECT_EQ(answer.text("field"), one.field) << answer.body;
  EXPECT_FALSE(answer.text("detail").empty());
}

std::string nine_checks() {
  std::string body = R"({"checks":[)";
  for (int i = 0; i < 9; ++i) {
    body +=
        fmt::format(R"({}{{"scope":"user","id":"{}","limit":1,"window":1}})", i == 0 ? "" : ",", i);
  }
  return body + "]}";
}

const std::string check = "/v1/limits:check";

INSTANTIATE_TEST_SUITE_P(
    Bodies, BadLimits,
    ::testing::Values(
        bad_body{"WindowZero", check, one_of(R"("limit":1,"window":0)"), 422, "invalid_value",
                 "checks[0].window"},
        bad_body{"NoWindow", check, one_of(R"("limit":1)"), 422, "invalid_value",
                 "checks[0].window"},
        bad_body{"LimitMinusOne", check, one_of(R"("limit":-1,"window":1)"), 422, "invalid_value",
                 "checks[0].limit"},
        bad_body{"CostOverLimit", check, one_of(R"("limit":5,"window":1,"cost":6)"), 422,
                 "cost_over_limit", "checks[0].cost"},
        bad_body{"CostOverThePolicysLimit", check,
                 R"({"policy":"chat","user":"1","bot":"1","cost":3})", 422, "cost_over_limit",
                 "cost"},
        bad_body{"NineLimits", check, nine_checks(), 422, "too_many_checks", "checks"},
        bad_body{"NoLimits", check, R"({"checks":[]})", 422, "invalid_value", "checks"},
        bad_body{"Nothing", check, "", 422, "invalid_value", "policy"},
        bad_body{"Both", check, R"({"policy":"chat","checks":[]})", 422, "invalid_value", "checks"},
        bad_body{"UnknownPolicy", check, R"({"policy":"none","user":"1"})", 404, "unknown_policy",
                 "policy"},
        bad_body{"MissingPart", check, R"({"policy":"chat","user":"1"})", 422, "missing_part",
                 "bot"},
        bad_body{
            "LongId", check,
            fmt::format(R"({{"policy":"chat","bot":"1","user":"{}"}})", std::string(10'240, 'x')),
            422, "invalid_key", "user"},
        bad_body{"LongIdOfACheck", check,
                 fmt::format(R"({{"checks":[{{"scope":"user","id":"{}","limit":1,"window":1}}]}})",
                             std::string(10'240, 'x')),
                 422, "invalid_key", "checks[0].id"},
        bad_body{"UnknownPart", check, R"({"policy":"chat","usr":"1","bot":"1"})", 422,
                 "unknown_member", "usr"},
        bad_body{"PartThatIsKnown", check,
                 R"({"policy":"chat","user":"1","bot":"1","global":"mine"})", 422, "unknown_member",
                 "global"},
        bad_body{"PartOfAnotherKind", check, R"({"policy":"chat","user":["1"],"bot":"1"})", 422,
                 "invalid_value", "user"},
        bad_body{"UnknownMemberOfACheck", check, one_of(R"("limit":1,"windw":1)"), 422,
                 "unknown_member", "checks[0].windw"},
        bad_body{"UnknownAlgorithm", check, one_of(R"("limit":1,"window":1,"algorithm":"leaky")"),
                 422, "invalid_value", "checks[0].algorithm"},
        bad_body{"BudgetWithoutAPeriod", check, one_of(R"("limit":1,"algorithm":"calendar")"), 422,
                 "invalid_value", "checks[0].period"},
        bad_body{"PeriodOfAWindow", check, one_of(R"("limit":1,"window":1,"period":"daily")"), 422,
                 "invalid_value", "checks[0].period"},
        bad_body{"UnknownZone", check,
                 one_of(R"("limit":1,"algorithm":"calendar","period":"daily","time_zone":"Mars")"),
                 422, "unknown_time_zone", "checks[0].time_zone"},
        bad_body{"PeekAndPartial", check, R"({"policy":"chat","peek":true,"partial":true})", 422,
                 "invalid_value", "partial"},
        bad_body{"CostBesideChecks", check,
                 R"({"cost":2,"checks":[{"scope":"user","id":"1","limit":1,"window":1}]})", 422,
                 "invalid_value", "cost"},
        bad_body{"BrokenJson", check, "{", 400, "malformed_json", ""},
        bad_body{"NoObject", check, "[]", 422, "invalid_value", ""},
        bad_body{"RefundAtNoTime", "/v1/limits:refund",
                 R"({"policy":"chat","user":"1","bot":"1","taken_at":"soon"})", 422, "invalid_time",
                 "taken_at"},
        bad_body{"PeekOfARefund", "/v1/limits:refund",
                 R"({"policy":"chat","user":"1","bot":"1","peek":true})", 422, "unknown_member",
                 "peek"},
        bad_body{"SettleNothing", "/v1/limits:settle",
                 R"({"policy":"tokens","user":"1","reserved":5})", 422, "invalid_value", "used"},
        bad_body{"SettleWithoutAReservation", "/v1/limits:settle",
                 R"({"policy":"tokens","user":"1","used":5})", 422, "invalid_value", "reserved"},
        bad_body{
            "TokensOfALongId", "/v1/tokens:consume",
            fmt::format(R"({{"user_id":"{}","tokens":1,"limit":5}})", std::string(10'240, 'x')),
            422, "invalid_key", "user_id"},
        bad_body{"TokensOfALongIdByPolicy", "/v1/tokens:consume",
                 fmt::format(R"({{"user_id":"{}","tokens":1}})", std::string(10'240, 'x')), 422,
                 "invalid_key", "user_id"},
        bad_body{"TokensOfAnUnknownZone", "/v1/tokens:consume",
                 R"({"user_id":"1","tokens":1,"limit":5,"time_zone":"Mars"})", 422,
                 "unknown_time_zone", "time_zone"},
        bad_body{"TokensOfNobody", "/v1/tokens:consume", R"({"tokens":5})", 422, "invalid_value",
                 "user_id"},
        bad_body{"NoTokens", "/v1/tokens:consume", R"({"user_id":"1"})", 422, "invalid_value",
                 "tokens"},
        bad_body{"MinusOneToken", "/v1/tokens:consume", R"({"user_id":"1","tokens":-1})", 422,
                 "invalid_value", "tokens"},
        bad_body{"TokensOverTheBudget", "/v1/tokens:consume", R"({"user_id":"1","tokens":1001})",
                 422, "cost_over_limit", "tokens"},
        bad_body{"TokensOverTheLimit", "/v1/tokens:consume",
                 R"({"user_id":"1","tokens":6,"limit":5})", 422, "cost_over_limit", "tokens"},
        bad_body{"PolicyWithoutABudget", "/v1/tokens:consume",
                 R"({"user_id":"1","tokens":1,"policy":"chat"})", 422, "no_budget", "policy"},
        bad_body{"TokensOfAnUnknownPolicy", "/v1/tokens:consume",
                 R"({"user_id":"1","tokens":1,"policy":"none"})", 404, "unknown_policy", "policy"},
        bad_body{"PermitsWithAWindow", check,
                 one_of(R"("limit":1,"window":1,"algorithm":"concurrency")"), 422, "invalid_value",
                 "checks[0].window"},
        bad_body{"PermitsWithoutATtl", check, one_of(R"("limit":1,"algorithm":"concurrency")"), 422,
                 "invalid_value", "checks[0].ttl"},
        bad_body{"TtlOfAWindow", check, one_of(R"("limit":1,"ttl":1)"), 422, "invalid_value",
                 "checks[0].ttl"},
        bad_body{"TooManyPermits", check,
                 one_of(R"("limit":10001,"ttl":1,"algorithm":"concurrency")"), 422, "invalid_value",
                 "checks[0].limit"},
        bad_body{"PenaltyAfterNothing", check,
                 one_of(R"("limit":1,"window":1,"penalty":{"after":0,"for":1})"), 422,
                 "invalid_value", "checks[0].penalty.after"},
        bad_body{"PenaltyForNoTime", check, one_of(R"("limit":1,"window":1,"penalty":{"after":1})"),
                 422, "invalid_value", "checks[0].penalty.for"},
        bad_body{"PenaltyOfAnotherKind", check,
                 one_of(R"("limit":1,"window":1,"penalty":{"after":1,"length":1})"), 422,
                 "unknown_member", "checks[0].penalty.length"},
        bad_body{"ReleaseNothing", "/v1/limits:release",
                 R"({"policy":"chat","user":"1","bot":"1"})", 422, "invalid_value", "permit"},
        bad_body{"ReleaseWherePermitsAreNot", "/v1/limits:release",
                 R"({"policy":"chat","user":"1","bot":"1","permit":5})", 422, "no_permits",
                 "permit"},
        bad_body{"RenewWhatIsLost", "/v1/limits:renew",
                 R"({"checks":[{"scope":"user","id":"1","limit":1,"ttl":5,
                    "algorithm":"concurrency"}],"permit":5})",
                 409, "permit_lost", ""},
        bad_body{"RenewANumberThatIsNone", "/v1/limits:renew",
                 R"({"policy":"chat","user":"1","bot":"1","permit":"x"})", 422, "invalid_value",
                 "permit"},
        bad_body{"RefundAPermit", "/v1/limits:refund",
                 one_of(R"("limit":1,"ttl":5,"algorithm":"concurrency")"), 422, "only_permits",
                 "permit"},
        bad_body{"BlockNobody", "/v1/limits:block", R"({"scope":"user","for":5})", 422,
                 "invalid_value", "id"},
        bad_body{"BlockForNoTime", "/v1/limits:block", R"({"scope":"user","id":"1"})", 422,
                 "invalid_value", "for"},
        bad_body{"BlockForMinusOne", "/v1/limits:block", R"({"scope":"user","id":"1","for":-1})",
                 422, "invalid_value", "for"},
        bad_body{"BlockALongId", "/v1/limits:block",
                 fmt::format(R"({{"scope":"ip","for":5,"id":"{}"}})", std::string(10'240, 'x')),
                 422, "invalid_key", "id"},
        bad_body{"BlockByNoScope", "/v1/limits:block", R"({"id":"1","for":5})", 422,
                 "invalid_value", "scope"},
        bad_body{"UnblockForATime", "/v1/limits:unblock", R"({"scope":"user","id":"1","for":5})",
                 422, "unknown_member", "for"},
        bad_body{"ResetNothing", "/admin/limits:reset", "{}", 422, "invalid_value", "policy"}),
    [](const auto& info) { return info.param.name; });

TEST(MetricsRoute, CountsWhatPoliciesSaid) {
  const test_server server(with_chat());
  for (int i = 0; i < 3; ++i) (void)server.ask("POST /v1/limits:check", chat);
  const reply metrics = server.ask("GET /metrics");
  for (const std::string_view line : {R"(millrace_limit_allowed_total{policy="chat"} 2)",
                                      R"(millrace_limit_refused_total{policy="chat"} 1)",
                                      R"(millrace_limit_near_total{policy="chat"} 1)"}) {
    EXPECT_NE(metrics.body.find(line), std::string::npos) << line;
  }
}

server_options with_bound_routes() {
  server_options options;
  options.rate_limits.policies.emplace(
      "clients", limit_policy{.rules = {{.scope = "ip", .limit = 2, .window = 60s}}});
  options.rate_limits.bindings = {{"GET /v1/queues", "clients"}, {"* /*", "default"}};
  return options;
}

TEST(BoundRoutes, AreLimitedByTheClientsAddress) {
  const test_server server{with_bound_routes()};
  const reply first = server.ask("GET /v1/queues");
  EXPECT_EQ(first.status, 200U);
  EXPECT_EQ(first.header("ratelimit-policy"), R"("ip";q=2;w=60)");
  EXPECT_EQ(first.header("ratelimit"), R"("ip";r=1;t=60)");
  EXPECT_EQ(server.ask("GET /v1/queues").status, 200U);
  const reply refused = server.ask("GET /v1/queues");
  EXPECT_EQ(refused.status, 429U);
  EXPECT_EQ(refused.header("retry-after"), "60");
  EXPECT_EQ(refused.json().at("code").as_string(), "limit_reached");
  EXPECT_EQ(refused.json().at("binding").at("id").as_string(), "127.0.0.1");
  EXPECT_EQ(server.ask("GET /v1/events/none").header("ratelimit-policy"), R"("ip";q=100;w=60)")
      << "another binding, another policy";
}

TEST(BoundRoutes, LeaveHealthAndMetricsAlone) {
  server_options options = with_bound_routes();
  options.rate_limits.bindings = {{"* /*", "clients"}};
  const test_server server{options};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(server.ask("GET /health").status, 200U);
    EXPECT_EQ(server.ask("GET /metrics").status, 200U);
  }
  EXPECT_EQ(server.ask("GET /v1/queues").header("ratelimit"), R"("ip";r=1;t=60)");
}

TEST(BoundRoutes, AreNoneWhereNothingIsSaid) {
  const test_server server;
  EXPECT_EQ(server.ask("GET /v1/queues").header("ratelimit"), "");
}

}  // namespace
}  // namespace millrace::http
