#include "http_fixture.hpp"

#include <millrace/cache/declared_cache.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/engine/async.hpp>

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

// Families over HTTP: whoever puts and gets knows nothing of them.
namespace millrace::http {
namespace {

using namespace std::chrono_literals;
using testing::raw_client;
using testing::reply;
using testing::test_server;

cache::declared_cache declare() {
  cache::declared_cache made{
      .families = std::move(*cache::family_set::make(
          {{.name = "user", .pattern = "user:{user_id}", .ttl = 900s, .jitter = 0},
           {.name = "auth", .pattern = "auth:{hash}", .ttl = 60s, .jitter = 0, .encrypt = true},
           {.name = "flow",
            .pattern = "flow:{id}",
            .ttl = 10s,
            .jitter = 0,
            .stale_while_revalidate = 5s,
            .negative_ttl = 3s},
           {.name = "vector", .pattern = "vector:{bot_id}:{hash}", .compress_above = 100}},
          {{.name = "bot", .removes = {"user:{user_id}", "vector:{bot_id}:*"}}}))};
  made.keys = std::move(*secrets::key_ring::parse(secrets::key_ring::generate(), "keys"));
  return made;
}

class FamilyRoutes : public ::testing::Test {
protected:
  reply put(const std::string& path, const std::string& body) {
    raw_client client = server_.connect();
    client.send(fmt::format(
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n"
        "\r\n{}",
        path, body.size(), body));
    return client.receive().value_or(reply{});
  }
  engine::cache_entry raw(const std::string& key) {
    auto read = engine::blocking::ask(*server_.store, engine::read_cache{.keys = {key}});
    return read && read->entries.front() ? *read->entries.front() : engine::cache_entry{};
  }
  boost::json::value numbers(std::string_view family) {
    const auto all = server_.ask("GET /admin/cache/stats").json();
    for (const auto& one : all.at("families").as_array()) {
      const auto* name = one.at("family").if_string();
      if (name != nullptr && std::string_view{*name} == family) return one;
    }
    return {};
  }

  cache::declared_cache declared_{declare()};
  test_server server_{{.declared = &declared_}};
};

TEST_F(FamilyRoutes, KeepAValueAsItsFamilySays) {
  ASSERT_EQ(put("/v1/cache/user:7", "Ann").status, 200U);
  EXPECT_EQ(raw("user:7").expires_at, server_.clock.now() + 900s);
  ASSERT_EQ(put("/v1/cache/user:8?ttl=5s", "Bob").status, 200U);
  EXPECT_EQ(raw("user:8").expires_at, server_.clock.now() + 5s);
  ASSERT_EQ(put("/v1/cache/other", "x").status, 200U);
  EXPECT_EQ(raw("other").expires_at, server_.clock.now() + 1h);
  const reply many =
      server_.ask("POST /v1/cache:mset",
                  R"({"items":[{"key":"user:9","value":1},{"key":"auth:9","value":2}]})");
  ASSERT_EQ(many.status, 200U);
  EXPECT_EQ(raw("user:9").expires_at, server_.clock.now() + 900s);
  EXPECT_EQ(put("/v1/cache/user:7?ttl=0", "x").text("field"), "ttl");
}

TEST_F(FamilyRoutes, EncryptAtRestAndGiveBackWhatWasPut) {
  const reply done = put("/v1/cache/auth:x", "a secret");
  ASSERT_EQ(done.status, 200U);
  EXPECT_EQ(raw("auth:x").value.find("secret"), std::string::npos);
  const reply found = server_.ask("GET /v1/cache/auth:x");
  EXPECT_EQ(found.body, "a secret");
  EXPECT_EQ(found.header("content-type"), "text/plain");
  EXPECT_EQ(found.header("etag"), done.header("etag"));
  EXPECT_NE(server_.ask("POST /v1/cache:mget", R"({"keys":["auth:x"]})").body.find("YSBzZWNyZXQ="),
            std::string::npos);
  EXPECT_EQ(server_.ask("POST /v1/cache/auth:x:claim").text("value_base64"), "YSBzZWNyZXQ=");
  const std::string large(5000, 'v');
  (void)put("/v1/cache/vector:1:a", large);
  EXPECT_LT(raw("vector:1:a").value.size(), 500U);
  EXPECT_EQ(server_.ask("GET /v1/cache/vector:1:a").body, large);
}

TEST_F(FamilyRoutes, RefuseTheTypeThatMarksWhatIsSealed) {
  raw_client client = server_.connect();
  client.send(
      "PUT /v1/cache/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Type: "
      "application/vnd.millrace.sealed\r\n\r\nx");
  const reply refused = client.receive().value_or(reply{});
  EXPECT_EQ(refused.status, 422U);
  EXPECT_EQ(refused.text("field"), "content_type");
}

TEST_F(FamilyRoutes, ServeOldValuesWhereTheFamilySaysSo) {
  (void)put("/v1/cache/flow:1", "v");
  (void)put("/v1/cache/user:1?ttl=10s", "v");
  server_.clock.advance(12s);
  const reply old = server_.ask("GET /v1/cache/flow:1");
  EXPECT_EQ(old.status, 200U);
  EXPECT_EQ(old.header("x-cache"), "stale");
  EXPECT_EQ(server_.ask("GET /v1/cache/user:1").status, 404U);
  EXPECT_EQ(server_.ask("POST /v1/cache/flow:1:claim").text("state"), "fill");
  server_.clock.advance(3s);
  EXPECT_EQ(server_.ask("GET /v1/cache/flow:1").status, 404U);
}

TEST_F(FamilyRoutes, RemoveWhatARuleSays) {
  for (const char* key : {"user:7", "user:8", "vector:1:a", "vector:2:a"}) {
    (void)put(fmt::format("/v1/cache/{}", key), "v");
  }
  const reply done = server_.ask("DELETE /v1/cache?rule=bot&part.user_id=7&part.bot_id=1");
  EXPECT_EQ(done.status, 200U);
  EXPECT_EQ(done.body, R"({"deleted":1,"invalidated_tags":1})");
  EXPECT_EQ(server_.ask("GET /v1/cache/user:7").status, 404U);
  EXPECT_EQ(server_.ask("GET /v1/cache/vector:1:a").status, 404U);
  EXPECT_EQ(server_.ask("GET /v1/cache/user:8").status, 200U);
  EXPECT_EQ(server_.ask("GET /v1/cache/vector:2:a").status, 200U);
}

TEST_F(FamilyRoutes, SayWhatIsWrongWithARule) {
  const reply unknown = server_.ask("DELETE /v1/cache?rule=none");
  EXPECT_EQ(unknown.status, 422U);
  EXPECT_EQ(unknown.text("code"), "unknown_rule");
  EXPECT_EQ(server_.ask("DELETE /v1/cache?rule=bot&part.bot_id=1").text("field"), "part.user_id");
  EXPECT_EQ(server_.ask("DELETE /v1/cache?part.bot_id=1&tag=a").text("field"), "part");
  EXPECT_EQ(server_.ask("DELETE /v1/cache?rule=bot&tag=a").status, 422U);
  EXPECT_EQ(server_.ask("DELETE /v1/cache?rule=bot&part.bot_id=a:b&part.user_id=1").status, 422U);
}

TEST_F(FamilyRoutes, CountEachFamily) {
  (void)put("/v1/cache/user:7", "Ann");
  (void)server_.ask("GET /v1/cache/user:7");
  (void)server_.ask("GET /v1/cache/user:8");
  (void)put("/v1/cache/other", "x");
  const std::string lease = server_.ask("POST /v1/cache/user:9:claim").text("lease");
  server_.clock.advance(2s);
  ASSERT_EQ(put("/v1/cache/user:9?lease=" + lease, "v").status, 200U);
  const auto user = numbers("user");
  EXPECT_EQ(user.at("hits").as_int64(), 1);
  EXPECT_EQ(user.at("misses").as_int64(), 1);
  EXPECT_EQ(user.at("hit_rate").as_double(), 0.5);
  EXPECT_EQ(user.at("puts").as_int64(), 2);
  EXPECT_EQ(user.at("entries").as_int64(), 2);
  EXPECT_GT(user.at("bytes").as_int64(), 500);
  EXPECT_EQ(user.at("average_ttl").to_number<double>(), 900);
  EXPECT_EQ(user.at("loads").as_int64(), 1);
  EXPECT_NEAR(user.at("average_load").to_number<double>(), 2, 0.1);
  const auto only = server_.ask("GET /admin/cache/stats?family=user").json();
  ASSERT_EQ(only.at("families").as_array().size(), 1U);
  EXPECT_EQ(only.at("top").at(0).at("key").as_string(), "user:7");
  EXPECT_EQ(only.at("top").at(0).at("family").as_string(), "user");
  const reply unknown = server_.ask("GET /admin/cache/stats?family=none");
  EXPECT_EQ(unknown.status, 422U);
  EXPECT_EQ(unknown.text("code"), "unknown_family");
  const std::string metrics = server_.ask("GET /metrics").body;
  for (const char* line : {"millrace_cache_family_hits_total{family=\"user\"} 1\n",
                           "millrace_cache_family_misses_total{family=\"user\"} 1\n",
                           "millrace_cache_family_puts_total{family=\"-\"} 1\n",
                           "millrace_cache_undecodable_total 0\n"}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line;
  }
}

TEST_F(FamilyRoutes, CountWhatTheStoreHasOfMoreKeysThanAPage) {
  for (int page = 0; page < 3; ++page) {
    std::string items;
    for (int i = 0; i < 1000; ++i) {
      items += fmt::format(R"({}{{"key":"user:{}","value":1}})", i > 0 ? "," : "", page * 1000 + i);
    }
    ASSERT_EQ(server_.ask("POST /v1/cache:mset", R"({"items":[)" + items + "]}").status, 200U);
  }
  EXPECT_EQ(numbers("user").at("entries").as_int64(), 3000);
  EXPECT_EQ(server_.ask("GET /admin/cache/stats").json().at("families_estimated").as_bool(), false);
}

TEST_F(FamilyRoutes, AreListedAsTheyWereDeclared) {
  const auto all = server_.ask("GET /admin/cache/families").json();
  ASSERT_EQ(all.at("families").as_array().size(), 4U);
  EXPECT_EQ(all.at("families").at(0).at("pattern").as_string(), "user:{user_id}");
  EXPECT_EQ(all.at("families").at(1).at("encrypt").as_bool(), true);
  EXPECT_EQ(all.at("rules").at(0).at("rule").as_string(), "bot");
  EXPECT_EQ(server_.ask("GET /admin/cache/families?x=1").status, 422U);
  const test_server none;
  EXPECT_TRUE(none.ask("GET /admin/cache/families").json().at("families").as_array().empty());
  EXPECT_TRUE(none.ask("GET /admin/cache/stats").json().at("families").as_array().empty());
  EXPECT_EQ(none.ask("GET /admin/cache/stats?family=user").text("code"), "unknown_family");
}

TEST_F(FamilyRoutes, ACommitKeepsThemToo) {
  const reply done = server_.ask("POST /v1/commit",
                                 R"({"steps":[{"op":"cache.put","key":"auth:c","value":{"a" : 1}},
                                      {"op":"cache.delete","key":"user:7"},
                                      {"op":"cache.invalidate","tag":"t"},
                                      {"op":"event.publish","stream":"f","type":"t"}]})");
  ASSERT_EQ(done.status, 200U) << done.body;
  const auto answer = done.json();
  EXPECT_EQ(answer.at("results").at(0).at("result").at("key").as_string(), "auth:c");
  EXPECT_EQ(answer.at("results").at(1).at("result").at("deleted").as_int64(), 0);
  EXPECT_EQ(answer.at("results").at(2).at("result").at("invalidated_tags").as_int64(), 1);
  EXPECT_EQ(raw("auth:c").content_type, "application/vnd.millrace.sealed");
  EXPECT_EQ(raw("auth:c").expires_at, server_.clock.now() + 60s);
  EXPECT_EQ(server_.ask("GET /v1/cache/auth:c").body, R"({"a" : 1})");
  const reply wrong = server_.ask("POST /v1/commit",
                                  R"({"steps":[{"op":"cache.put","key":"k","value":1,"ttl":-1}]})");
  EXPECT_EQ(wrong.text("field"), "steps.0.ttl");
}

TEST_F(FamilyRoutes, RememberThatThereIsNothing) {
  const reply done = put("/v1/cache/flow:1?nothing=true", "");
  ASSERT_EQ(done.status, 200U) << done.body;
  const reply found = server_.ask("GET /v1/cache/flow:1");
  EXPECT_EQ(found.status, 404U);
  EXPECT_EQ(found.text("code"), "cached_nothing");
  EXPECT_EQ(found.header("x-cache"), "hit");
  EXPECT_EQ(found.header("etag"), done.header("etag"));
  const auto claimed = server_.ask("POST /v1/cache/flow:1:claim").json();
  EXPECT_EQ(claimed.at("state").as_string(), "hit");
  EXPECT_TRUE(claimed.at("nothing").as_bool());
  EXPECT_TRUE(claimed.at("value").is_null());
  const auto many = server_.ask("POST /v1/cache:mget", R"({"keys":["flow:1"]})").json();
  EXPECT_TRUE(many.at("items").at(0).at("found").as_bool());
  EXPECT_TRUE(many.at("items").at(0).at("nothing").as_bool());
  server_.clock.advance(3s);
  EXPECT_EQ(server_.ask("GET /v1/cache/flow:1").text("code"), "cache_miss");
  EXPECT_EQ(put("/v1/cache/user:1?nothing=true", "").text("code"), "negative_ttl_missing");
  EXPECT_EQ(put("/v1/cache/user:1?nothing=true&ttl=5s", "").status, 200U);
  EXPECT_EQ(put("/v1/cache/flow:1?nothing=true", "v").text("field"), "value");
  const auto set = server_.ask(
      "POST /v1/cache:mset",
      R"({"items":[{"key":"flow:2","nothing":true},{"key":"flow:3","nothing":true,"value":1}]})");
  EXPECT_EQ(set.json().at("items").at(0).at("key").as_string(), "flow:2");
  EXPECT_EQ(set.json().at("items").at(1).at("error").at("field").as_string(), "nothing");
  EXPECT_EQ(server_.ask("GET /v1/cache/flow:2").text("code"), "cached_nothing");
}

TEST_F(FamilyRoutes, CountWhatHadToGoByFamily) {
  const std::string answer = server_.ask("GET /admin/cache/stats").body;
  EXPECT_NE(answer.find("\"evicted\":0"), std::string::npos);
  EXPECT_EQ(numbers("user").at("evicted").as_int64(), 0);
  EXPECT_NE(server_.ask("GET /metrics")
                .body.find("millrace_cache_family_evictions_total{family=\"user\"} 0\n"),
            std::string::npos);
}

TEST(NearRoutes, WarmWhatWasReadMostAndSayWhatLiesNear) {
  auto near = std::move(*cache::near_cache::make({.bytes = std::size_t{1} << 20U}));
  test_server server({.near_cache = near.get()});
  (void)server.ask("PUT /v1/cache/a", "1");
  EXPECT_EQ(server.ask("GET /v1/cache/a").status, 200U);
  EXPECT_EQ(server.ask("GET /v1/cache/a").status, 200U);
  const auto all = server.ask("GET /admin/cache/stats").json();
  EXPECT_EQ(all.at("near").at("entries").as_int64(), 1);
  EXPECT_EQ(all.at("near_hits").as_int64(), 1);
  EXPECT_NE(server.ask("GET /metrics").body.find("millrace_cache_near_hits_total 1\n"),
            std::string::npos);
  server.stop();
  // What a stop leaves is what the next start reads.
  const auto noted =
      engine::blocking::ask(*server.store, engine::read_cache{.keys = {"millrace.top-keys"}});
  ASSERT_TRUE(noted && noted->entries.front());
  EXPECT_EQ(noted->entries.front()->value, "a\n");
}

}  // namespace
}  // namespace millrace::http
