#include "http_fixture.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <string>

// Limits as steps of a commit.
namespace millrace::http {
namespace {

using namespace std::chrono_literals;
using testing::reply;
using testing::test_server;

server_options with_policies() {
  server_options options;
  options.rate_limits.policies.emplace(
      "chat",
      limit_policy{.rules = {{.scope = "global", .limit = 1000, .window = 60s},
                             {.scope = "user", .fallback = "ip", .limit = 2, .window = 60s}},
                   .allow = {"plan=enterprise"},
                   .deny = {"user=mallory"}});
  options.rate_limits.policies.emplace(
      "render", limit_policy{.rules = {{.scope = "user",
                                        .algorithm = engine::limit_algorithm::concurrency,
                                        .limit = 1,
                                        .window = 30s}}});
  options.rate_limits.policies.emplace(
      "tokens", limit_policy{.rules = {{.scope = "user",
                                        .algorithm = engine::limit_algorithm::calendar,
                                        .limit = 1000,
                                        .period = engine::limit_period::daily}}});
  return options;
}

/// A commit of a step about limits, with an event behind it.
class CommitOfLimits : public ::testing::Test {
protected:
  reply commit(std::string_view step, std::string_view headers = {}) {
    return server_.ask("POST /v1/commit",
                       fmt::format(R"({{"steps":[{},
                                    {{"op":"event.publish","stream":"f","type":"t"}}]}})",
                                   step),
                       headers);
  }
  std::string code(std::string_view step) {
    const reply answer = commit(step);
    return fmt::format("{} {} {}", answer.status, answer.text("code"), answer.text("field"));
  }
  static boost::json::value result_of(const reply& done) {
    EXPECT_EQ(done.status, 200U) << done.body;
    return done.json().at("results").at(0).at("result");
  }
  std::size_t events() {
    return server_.ask("GET /v1/events/f").json().at("events").as_array().size();
  }
  std::int64_t used(std::string_view policy, std::size_t which = 0) {
    const reply seen =
        server_.ask("POST /v1/limits:check",
                    fmt::format(R"({{"policy":"{}","user":"42","peek":true}})", policy));
    return seen.json().at("limits").at(which).at("count").as_int64();
  }

  test_server server_{with_policies()};
};

constexpr std::string_view chat = R"({"op":"limit.take","policy":"chat","user":"42"})";
constexpr std::string_view render = R"({"op":"limit.take","policy":"render","user":"42"})";

TEST_F(CommitOfLimits, ChargesAndAnswersAsTheRouteDoes) {
  const reply done = commit(chat);
  const auto taken = result_of(done);
  EXPECT_TRUE(taken.at("allowed").as_bool());
  EXPECT_EQ(taken.at("limits").at(1).at("count").as_int64(), 1);
  EXPECT_EQ(taken.at("limits").at(1).at("remaining").as_int64(), 1);
  EXPECT_EQ(done.header("ratelimit-policy"), R"("global";q=1000;w=60, "user";q=2;w=60)");
  EXPECT_EQ(done.json().at("results").at(0).at("op").as_string(), "limit.take");
  EXPECT_EQ(used("chat", 1), 1);
  EXPECT_EQ(events(), 1U);
}

TEST_F(CommitOfLimits, IsRefusedAsAWholeWithEverythingAClientNeeds) {
  EXPECT_EQ(commit(chat).status, 200U);
  EXPECT_EQ(commit(chat).status, 200U);
  const reply refused =
      server_.ask("POST /v1/commit",
                  fmt::format(R"({{"steps":[{{"op":"job.enqueue","queue":"q"}},{}]}})", chat));
  EXPECT_EQ(refused.status, 429U) << refused.body;
  EXPECT_EQ(refused.text("code"), "limit_reached");
  EXPECT_EQ(refused.text("field"), "steps.1");
  EXPECT_EQ(refused.text("allowed"), "false");
  EXPECT_TRUE(refused.text("detail").starts_with("steps.1: The limit of 2 by user is reached"))
      << refused.body;
  EXPECT_EQ(refused.header("retry-after"), "60");
  EXPECT_EQ(refused.header("ratelimit"), R"("global";r=998;t=60, "user";r=0;t=60)");
  const auto body = refused.json();
  EXPECT_EQ(body.at("binding").at("scope").as_string(), "user");
  EXPECT_EQ(body.at("limits").at(1).at("retry_after").as_int64(), 60);
  EXPECT_EQ(events(), 2U);
  EXPECT_EQ(server_.ask("GET /v1/queues/q").status, 404U);
  EXPECT_EQ(used("chat", 0), 2) << "a refused call charges nothing";
}

TEST_F(CommitOfLimits, ChargesNothingWhereAnotherStepIsRefused) {
  const reply refused = server_.ask(
      "POST /v1/commit",
      fmt::format(R"({{"steps":[{},{{"op":"lock.release","resource":"r","token":"x"}}]}})", chat));
  EXPECT_EQ(refused.status, 409U);
  EXPECT_EQ(refused.text("field"), "steps.1");
  EXPECT_EQ(used("chat", 1), 0);
}

TEST_F(CommitOfLimits, SettlesAndGivesBack) {
  (void)result_of(commit(R"({"op":"limit.take","policy":"tokens","user":"42","cost":400})"));
  EXPECT_EQ(used("tokens"), 400);
  const auto settled = result_of(
      commit(R"({"op":"limit.settle","policy":"tokens","user":"42","reserved":400,"used":100})"));
  EXPECT_TRUE(settled.at("allowed").as_bool());
  EXPECT_EQ(used("tokens"), 100);
  const auto beyond = result_of(
      commit(R"({"op":"limit.settle","policy":"tokens","user":"42","reserved":100,"used":2000})"));
  EXPECT_EQ(beyond.at("granted").as_int64(), 900);
  const auto none = result_of(
      commit(R"({"op":"limit.settle","policy":"tokens","user":"42","reserved":100,"used":200})"));
  EXPECT_EQ(none.at("granted").as_int64(), 0) << "it refuses nothing";
  (void)result_of(commit(R"({"op":"limit.refund","policy":"tokens","user":"42","cost":300})"));
  EXPECT_EQ(used("tokens"), 700);
  const auto part = result_of(
      commit(R"({"op":"limit.take","policy":"tokens","user":"42","cost":900,"partial":true})"));
  EXPECT_EQ(part.at("granted").as_int64(), 300);
}

TEST_F(CommitOfLimits, TakesRenewsAndReleasesPermits) {
  const auto taken = result_of(commit(render));
  const std::int64_t permit = taken.at("permit").as_int64();
  EXPECT_EQ(code(render), "429 limit_reached steps.0");
  const auto with = [&](std::string_view op) {
    return fmt::format(R"({{"op":"{}","policy":"render","user":"42","permit":{}}})", op, permit);
  };
  EXPECT_EQ(result_of(commit(with("limit.renew"))).at("permit").as_int64(), permit);
  (void)result_of(commit(with("limit.release")));
  EXPECT_EQ(code(with("limit.release")), "409 permit_lost steps.0");
  EXPECT_EQ(commit(render).status, 200U);
}

TEST_F(CommitOfLimits, ShutsOutAndLetsInAgain) {
  const auto blocked =
      result_of(commit(R"({"op":"limit.block","scope":"user","id":"42","for":600})"));
  EXPECT_TRUE(blocked.at("blocked").as_bool());
  EXPECT_EQ(code(chat), "429 limit_blocked steps.0");
  const auto listed = server_.ask("GET /v1/limits/blocks").json();
  EXPECT_EQ(listed.at("blocks").at(0).at("blocked_until"), blocked.at("blocked_until"));
  const auto freed = result_of(commit(R"({"op":"limit.unblock","scope":"user","id":"42"})"));
  EXPECT_FALSE(freed.at("blocked").as_bool());
  EXPECT_EQ(commit(chat).status, 200U);
}

TEST_F(CommitOfLimits, FollowsTheListsOfAPolicy) {
  const auto listed =
      result_of(commit(R"({"op":"limit.take","policy":"chat","user":"42","plan":"enterprise"})"));
  EXPECT_TRUE(listed.at("listed").as_bool());
  EXPECT_EQ(used("chat", 1), 0);
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"chat","user":"mallory"})"),
            "403 limit_denied steps.0");
  EXPECT_EQ(events(), 1U);
}

TEST_F(CommitOfLimits, LooksWhereThatIsAllThatIsWanted) {
  constexpr std::string_view look =
      R"({"op":"limit.take","policy":"chat","user":"42","cost":2,"peek":true})";
  EXPECT_TRUE(result_of(commit(look)).at("allowed").as_bool());
  EXPECT_EQ(used("chat", 1), 0);
  (void)commit(chat);
  EXPECT_EQ(code(look), "429 limit_reached steps.0");
}

TEST_F(CommitOfLimits, HappensOnceWithAKey) {
  constexpr std::string_view key = "Idempotency-Key: k\r\n";
  const reply first = commit(render, key);
  const reply again = commit(render, key);
  EXPECT_EQ(again.header("idempotency-replayed"), "true");
  EXPECT_EQ(result_of(again).at("permit"), result_of(first).at("permit"));
  EXPECT_EQ(used("render"), 1);
  EXPECT_EQ(events(), 1U);
}

TEST_F(CommitOfLimits, FollowsTheClockOfTheStore) {
  (void)commit(R"({"op":"limit.take","policy":"tokens","user":"42","cost":5})");
  server_.clock.advance(48h);
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"tokens","user":"42","cost":7})"), "200  ");
  EXPECT_EQ(used("tokens"), 7);
}

TEST_F(CommitOfLimits, NamesWhatIsWrong) {
  EXPECT_EQ(code(R"({"op":"limit.take"})"), "422 invalid_value steps.0.policy");
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"none"})"), "404 unknown_policy steps.0.policy");
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"chat"})"), "422 missing_part steps.0.user");
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"chat","user":"1","x":1})"),
            "422 unknown_member steps.0.x");
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"chat","user":"1","cost":3})"),
            "422 cost_over_limit steps.0.cost");
  EXPECT_EQ(code(R"({"op":"limit.take","checks":[{"scope":"u","id":"1","limit":1,"window":0}]})"),
            "422 invalid_value steps.0.checks[0].window");
  EXPECT_EQ(code(R"({"op":"limit.take","checks":[{"scope":"u","id":"1","limit":1,"window":1,
                                                  "cost":2}]})"),
            "422 cost_over_limit steps.0.checks[0].cost");
  EXPECT_EQ(code(R"({"op":"limit.settle","policy":"chat","user":"1","reserved":2})"),
            "422 invalid_value steps.0.used");
  EXPECT_EQ(code(R"({"op":"limit.settle","policy":"chat","user":"1","used":2})"),
            "422 invalid_value steps.0.reserved");
  EXPECT_EQ(code(R"({"op":"limit.release","policy":"render","user":"1"})"),
            "422 invalid_value steps.0.permit");
  EXPECT_EQ(code(R"({"op":"limit.renew","policy":"chat","user":"1","permit":1})"),
            "422 no_permits steps.0.permit");
  EXPECT_EQ(code(R"({"op":"limit.block","scope":"ip","id":"1"})"), "422 invalid_value steps.0.for");
  EXPECT_EQ(code(R"({"op":"limit.take","policy":"chat","user":"1"},
                    {"op":"limit.take","policy":"chat","user":"2"})"),
            "422 duplicate_target steps");
}

TEST(LimitBlockRoutes, ListWhoIsShutOutPageByPage) {
  test_server server;
  EXPECT_EQ(server.ask("GET /v1/limits/blocks").body, R"({"blocks":[],"cursor":null})");
  for (int i = 0; i < 5; ++i) {
    (void)server.ask("POST /v1/limits:block",
                     fmt::format(R"({{"scope":"ip","id":"10.0.0.{}","for":600}})", i));
  }
  (void)server.ask("POST /v1/limits:block", R"({"scope":"user","id":"ä b:c","for":5})");
  const auto first = server.ask("GET /v1/limits/blocks?limit=2&scope=ip").json();
  EXPECT_EQ(first.at("blocks").as_array().size(), 2U);
  EXPECT_EQ(first.at("blocks").at(0).at("id").as_string(), "10.0.0.0");
  const std::string cursor{first.at("cursor").as_string().c_str()};
  const auto rest = server.ask("GET /v1/limits/blocks?scope=ip&cursor=" + cursor).json();
  EXPECT_EQ(rest.at("blocks").as_array().size(), 3U);
  EXPECT_TRUE(rest.at("cursor").is_null());
  EXPECT_EQ(server.ask("GET /v1/limits/blocks").json().at("blocks").as_array().size(), 6U);
  server.clock.advance(5s);
  EXPECT_EQ(server.ask("GET /v1/limits/blocks").json().at("blocks").as_array().size(), 5U);
  EXPECT_EQ(server.ask("GET /v1/limits/blocks?cursor=x").text("code"), "bad_cursor");
  EXPECT_EQ(server.ask("GET /v1/limits/blocks?scope=a%20b").text("field"), "scope");
  EXPECT_EQ(server.ask("GET /v1/limits/blocks?x=1").status, 422U);
}

}  // namespace
}  // namespace millrace::http
