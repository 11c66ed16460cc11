#include "http_fixture.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <thread>

// The cache over HTTP: bytes and their type, versions as ETags, claims, many at once.
namespace millrace::http {
namespace {

using namespace std::chrono_literals;
using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;

// With a body of any type, which `ask` says is JSON.
reply put(const test_server& server, const std::string& path, const std::string& body,
          const std::string& headers = {}) {
  raw_client client = server.connect();
  client.send(fmt::format("PUT {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
                          path, body.size(), headers, body));
  return client.receive().value_or(reply{});
}

TEST(CacheRoutes, GiveBackAnyBytesWithTheirType) {
  const test_server server;
  const std::string bytes("\0\xff\r\n\r\nbytes", 11);
  const reply done =
      put(server, "/v1/cache/image%3A7?ttl=60", bytes, "Content-Type: image/png\r\n");
  EXPECT_EQ(done.status, 200U) << done.body;
  EXPECT_EQ(done.text("key"), "image:7");
  const reply found = server.ask("GET /v1/cache/image:7");
  EXPECT_EQ(found.status, 200U);
  EXPECT_EQ(found.body, bytes);
  EXPECT_EQ(found.header("content-type"), "image/png");
  EXPECT_EQ(found.header("x-cache"), "hit");
  EXPECT_EQ(found.header("etag"), done.header("etag"));
  EXPECT_EQ(found.header("age"), "0");
  EXPECT_TRUE(found.header("expires").ends_with(" GMT"));
}

TEST(CacheRoutes, TakeWhatHasNoTypeForBytes) {
  const test_server server;
  (void)put(server, "/v1/cache/k", "v");
  EXPECT_EQ(server.ask("GET /v1/cache/k").header("content-type"), "application/octet-stream");
  (void)put(server, "/v1/cache/empty", "");
  EXPECT_EQ(server.ask("GET /v1/cache/empty").status, 200U);
}

TEST(CacheRoutes, TellAMissFromAHit) {
  test_server server;
  const reply none = server.ask("GET /v1/cache/k");
  EXPECT_EQ(none.status, 404U);
  EXPECT_EQ(none.text("code"), "cache_miss");
  EXPECT_EQ(none.header("x-cache"), "miss");
  (void)put(server, "/v1/cache/k?ttl=1.5", "v");
  server.clock.advance(1s);
  EXPECT_EQ(server.ask("GET /v1/cache/k").header("age"), "1");
  server.clock.advance(500ms);
  EXPECT_EQ(server.ask("GET /v1/cache/k").status, 404U);
}

TEST(CacheRoutes, KeepForTheDefaultWhereNothingIsSaid) {
  test_server server({.cache_ttl = 5min});
  (void)put(server, "/v1/cache/k", "v");
  server.clock.advance(5min - 1s);
  EXPECT_EQ(server.ask("GET /v1/cache/k").status, 200U);
  server.clock.advance(1s);
  EXPECT_EQ(server.ask("GET /v1/cache/k").status, 404U);
}

TEST(CacheRoutes, ServeStaleOnlyToWhoAsksForIt) {
  test_server server;
  (void)put(server, "/v1/cache/k?ttl=1s&stale_for=1m", "v");
  server.clock.advance(2s);
  EXPECT_EQ(server.ask("GET /v1/cache/k").status, 404U);
  const reply stale = server.ask("GET /v1/cache/k?stale=true");
  EXPECT_EQ(stale.status, 200U);
  EXPECT_EQ(stale.header("x-cache"), "stale");
}

TEST(CacheRoutes, CompareVersionsBeforeTheyPut) {
  const test_server server;
  const std::string none = "If-None-Match: *\r\n";
  const std::string first = put(server, "/v1/cache/k", "1", none).header("etag");
  const reply again = put(server, "/v1/cache/k", "2", none);
  EXPECT_EQ(again.status, 412U);
  EXPECT_EQ(again.text("code"), "version_mismatch");
  const reply second = put(server, "/v1/cache/k", "2", "If-Match: " + first + "\r\n");
  EXPECT_EQ(second.status, 200U) << second.body;
  EXPECT_EQ(put(server, "/v1/cache/k", "3", "If-Match: " + first + "\r\n").status, 412U);
  EXPECT_EQ(put(server, "/v1/cache/none", "3", "If-Match: *\r\n").status, 412U);
  EXPECT_EQ(server.ask("GET /v1/cache/k").body, "2");
  const reply wrong = put(server, "/v1/cache/k", "3", "If-Match: seventeen\r\n");
  EXPECT_EQ(wrong.status, 422U);
  EXPECT_EQ(wrong.text("field"), "If-Match");
  const reply cut = server.ask("DELETE /v1/cache/k", "", "If-Match: " + first + "\r\n");
  EXPECT_EQ(cut.status, 412U);
  EXPECT_EQ(server.ask("DELETE /v1/cache/k", "", "If-Match: " + second.header("etag") + "\r\n")
                .text("deleted"),
            "1");
}

TEST(CacheRoutes, SayThatWhatTheClientHasIsCurrent) {
  const test_server server;
  const std::string tag = put(server, "/v1/cache/k", "1").header("etag");
  const reply same = server.ask("GET /v1/cache/k", "", "If-None-Match: \"1\", " + tag + "\r\n");
  EXPECT_EQ(same.status, 304U);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(same.header("etag"), tag);
  (void)put(server, "/v1/cache/k", "2");
  EXPECT_EQ(server.ask("GET /v1/cache/k", "", "If-None-Match: " + tag + "\r\n").status, 200U);
}

TEST(CacheRoutes, AnswerAHeadWithoutTheValue) {
  const test_server server;
  (void)put(server, "/v1/cache/k", "12345");
  raw_client client = server.connect();
  client.send(make_request("HEAD /v1/cache/k"));
  const auto head = client.receive_head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200U);
  EXPECT_EQ(head->headers.at("content-length"), "5");
  EXPECT_EQ(head->headers.at("x-cache"), "hit");
}

TEST(CacheRoutes, InvalidateByTagAndPattern) {
  const test_server server;
  for (const char* key : {"vector:7:a", "vector:7:b", "bot:7"}) {
    (void)put(server, fmt::format("/v1/cache/{}?tag=bot+7&tag=all", key), "v");
  }
  EXPECT_EQ(server.ask("DELETE /v1/cache?pattern=vector:7:*").text("deleted"), "2");
  EXPECT_EQ(server.ask("GET /v1/cache/bot:7").status, 200U);
  EXPECT_EQ(server.ask("DELETE /v1/cache?tag=bot%207&tag=other").text("invalidated_tags"), "2");
  EXPECT_EQ(server.ask("GET /v1/cache/bot:7").status, 404U);
  EXPECT_EQ(server.ask("DELETE /v1/cache?tag=a&pattern=b").status, 422U);
}

TEST(CacheRoutes, LetOneFillAndTheOthersWait) {
  const test_server server;
  const reply first = server.ask("POST /v1/cache/user:7:claim", R"({"lease":30})");
  EXPECT_EQ(first.text("state"), "fill");
  const std::string lease = first.text("lease");
  EXPECT_EQ(server.ask("POST /v1/cache/user:7:claim", "{}").text("state"), "wait");
  reply waited;
  std::thread other([&] { waited = server.ask("POST /v1/cache/user:7:claim", R"({"wait":20})"); });
  const reply wrong = put(server, "/v1/cache/user:7?lease=1", "{}");
  EXPECT_EQ(wrong.status, 409U);
  EXPECT_EQ(wrong.text("code"), "stale_lease");
  const reply kept = put(server, "/v1/cache/user:7?lease=" + lease, R"({"n": 1.50})",
                         "Content-Type: application/json\r\n");
  EXPECT_EQ(kept.status, 200U) << kept.body;
  other.join();
  EXPECT_EQ(waited.text("state"), "hit");
  EXPECT_NE(waited.body.find(R"("value":{"n": 1.50})"), std::string::npos) << waited.body;
}

TEST(CacheRoutes, LetALoaderKeepItsClaimOrGiveItBack) {
  test_server server;
  const std::string body =
      fmt::format(R"({{"lease":"{}"}})", server.ask("POST /v1/cache/k:claim").text("lease"));
  server.clock.advance(20s);
  const reply kept = server.ask("POST /v1/cache/k:renew", body);
  EXPECT_EQ(kept.status, 200U) << kept.body;
  EXPECT_EQ(kept.text("state"), "fill");
  server.clock.advance(20s);
  EXPECT_EQ(server.ask("POST /v1/cache/k:claim").text("state"), "wait");
  reply waited;
  std::thread other([&] { waited = server.ask("POST /v1/cache/k:claim", R"({"wait":20})"); });
  while (!server.store->hints().heard(engine::topic::kind::cache)) std::this_thread::yield();
  EXPECT_EQ(server.ask("POST /v1/cache/k:release", body).status, 204U);
  other.join();
  EXPECT_EQ(waited.text("state"), "fill") << waited.body;
  EXPECT_EQ(server.ask("POST /v1/cache/k:release", body).text("code"), "stale_lease");
  EXPECT_EQ(server.ask("POST /v1/cache/k:renew", body).status, 409U);
  EXPECT_EQ(server.ask("POST /v1/cache/k:renew", R"({"lease":"1","length":0})").text("field"),
            "length");
  EXPECT_EQ(server.ask("POST /v1/cache/k:release", R"({"lease":"1","length":5})").status, 422U);
}

TEST(CacheRoutes, KeepNothingThatWasInvalidatedMeanwhile) {
  const test_server server;
  const std::string lease = server.ask("POST /v1/cache/k:claim").text("lease");
  (void)server.ask("DELETE /v1/cache?tag=red");
  EXPECT_EQ(put(server, "/v1/cache/k?tag=red&lease=" + lease, "old").status, 409U);
  EXPECT_EQ(server.ask("GET /v1/cache/k").status, 404U);
}

TEST(CacheRoutes, TakeManyAtOnce) {
  const test_server server;
  const reply set =
      server.ask("POST /v1/cache:mset",
                 R"({"items":[{"key":"a","value":{"x": 1.0}},{"key":"b","value_base64":"AP8="},)"
                 R"({"key":"c","value":1,"ttl":-1},{"key":"d"},{"key":"e","value_base64":"?"}]})");
  EXPECT_EQ(set.status, 200U) << set.body;
  const auto items = set.json().at("items").as_array();
  ASSERT_EQ(items.size(), 5U);
  EXPECT_EQ(items[0].at("key").as_string(), "a");
  EXPECT_EQ(items[2].at("error").at("field").as_string(), "ttl");
  EXPECT_EQ(items[3].at("error").at("field").as_string(), "value");
  EXPECT_EQ(items[4].at("error").at("field").as_string(), "value_base64");
  const reply got = server.ask("POST /v1/cache:mget", R"({"keys":["a","none","b"]})");
  const auto found = got.json().at("items").as_array();
  EXPECT_NE(got.body.find(R"("value":{"x": 1.0})"), std::string::npos) << got.body;
  EXPECT_FALSE(found[1].at("found").as_bool());
  EXPECT_EQ(found[2].at("value_base64").as_string(), "AP8=");
  EXPECT_EQ(server.ask("POST /v1/cache:mdelete", R"({"keys":["a","b","x"]})").text("deleted"), "2");
}

TEST(CacheRoutes, PutAllOrNoneWhereItIsAskedFor) {
  const test_server server;
  const reply refused =
      server.ask("POST /v1/cache:mset?atomic=true",
                 R"({"items":[{"key":"a","value":1},{"key":"b","value":1,"if_version":7}]})");
  EXPECT_EQ(refused.status, 412U) << refused.body;
  EXPECT_EQ(server.ask("GET /v1/cache/a").status, 404U);
  EXPECT_EQ(server
                .ask("POST /v1/cache:mset?atomic=true",
                     R"({"items":[{"key":"a","value":1},{"key":"b","value":1}]})")
                .status,
            200U);
}

TEST(CacheRoutes, CountForPeople) {
  const test_server server;
  (void)put(server, "/v1/cache/k", "v");
  for (int i = 0; i < 3; ++i) (void)server.ask("GET /v1/cache/k");
  (void)server.ask("GET /v1/cache/none");
  const auto stats = server.ask("GET /admin/cache/stats").json();
  EXPECT_EQ(stats.at("entries").as_int64(), 1);
  EXPECT_EQ(stats.at("hits").as_int64(), 3);
  EXPECT_EQ(stats.at("misses").as_int64(), 1);
  EXPECT_DOUBLE_EQ(stats.at("hit_rate").as_double(), 0.75);
  EXPECT_EQ(stats.at("top").at(0).at("key").as_string(), "k");
  EXPECT_NE(server.ask("GET /metrics").body.find("\nmillrace_cache_hits_total 3\n"),
            std::string::npos);
  EXPECT_EQ(server.ask("GET /health/cache").text("status"), "ok");
  EXPECT_EQ(server.ask("DELETE /admin/cache/clear").text("deleted"), "1");
  EXPECT_EQ(server.ask("GET /v1/cache/k").status, 404U);
}

TEST(CacheRoutes, NameWhatIsWrong) {
  const test_server server;
  const auto field = [&](const std::string& path) { return put(server, path, "v").text("field"); };
  EXPECT_EQ(field("/v1/cache/k?ttl=0"), "ttl");
  EXPECT_EQ(field("/v1/cache/k?ttl=soon"), "ttl");
  EXPECT_EQ(field("/v1/cache/k?ttl=367d"), "ttl");
  const std::string detail = put(server, "/v1/cache/k?ttl=soon", "v").text("detail");
  EXPECT_NE(detail.find("at most a year"), std::string::npos) << detail;
  EXPECT_EQ(field("/v1/cache/k?stale_for=-1"), "stale_for");
  EXPECT_EQ(field("/v1/cache/k?tag="), "tag");
  EXPECT_EQ(field("/v1/cache/k?tag=a&tag=a"), "tag");
  EXPECT_EQ(field("/v1/cache/k?lease=x"), "lease");
  EXPECT_EQ(field("/v1/cache/a%0Ab"), "key");
  EXPECT_EQ(field("/v1/cache/" + std::string(513, 'k')), "key");
  EXPECT_EQ(put(server, "/v1/cache/k?tll=5", "v").text("code"), "unknown_parameter");
  const reply large = put(server, "/v1/cache/k", std::string((8U << 20U) + 1, 'x'));
  EXPECT_EQ(large.status, 413U);
  EXPECT_EQ(large.text("code"), "value_too_large");
  EXPECT_EQ(put(server, "/v1/cache/k", std::string(8U << 20U, 'x')).status, 200U);
}

}  // namespace
}  // namespace millrace::http
