#include "access.hpp"
#include "request_reader.hpp"
#include "router.hpp"
#include "routes.hpp"

#include <millrace/http/job_codec.hpp>
#include <millrace/http/queue_codec.hpp>
#include <millrace/http/target.hpp>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace millrace::http {
namespace {

const engine::queue_key queue{.project = "default", .name = "document"};

TEST(EnqueueCodec, ReadsEveryMember) {
  const auto read = decode_enqueue(
      R"({"type":"t","data":[1, 2],"priority":0,"run_at":"2026-11-20T04:52:11.5+01:00",)"
      R"("max_attempts":9,"backoff":{"strategy":"linear","base":0.5,"max":60,"jitter":"full"},)"
      R"("unique":{"key":"u","mode":"debounce"},"labels":{"b":"x","a":"y"},"lease":15,)"
      R"("timeout":100.25,"correlation_id":"c","group":"g","durability":"async"})",
      queue);
  ASSERT_TRUE(read) << read.error().detail;
  const engine::job_spec& spec = read->spec;
  EXPECT_EQ(read->queue, queue);
  EXPECT_EQ(spec.type, "t");
  EXPECT_EQ(spec.data, "[1, 2]");
  EXPECT_EQ(spec.priority, 0);
  EXPECT_EQ(to_micros(*spec.run_at), 1'763'610'731'500'000 + 365LL * 86'400'000'000);
  EXPECT_EQ(read->max_attempts, 9U);
  EXPECT_EQ(read->backoff->strategy, backoff_strategy::linear);
  EXPECT_EQ(read->backoff->base, std::chrono::milliseconds{500});
  EXPECT_EQ(read->backoff->jitter, backoff_jitter::full);
  EXPECT_EQ(spec.unique->key, "u");
  EXPECT_EQ(spec.unique->mode, engine::unique_mode::debounce);
  EXPECT_EQ(spec.labels, (std::vector<engine::label>{{"a", "y"}, {"b", "x"}}));
  EXPECT_EQ(spec.lease, std::chrono::seconds{15});
  EXPECT_EQ(spec.timeout, std::chrono::milliseconds{100'250});
  EXPECT_EQ(read->level, engine::durability::async);
}

TEST(EnqueueCodec, LeavesOutWhatIsNull) {
  const auto read =
      decode_enqueue(R"({"type":null,"delay":null,"unique":null,"data":null})", queue);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->spec.data, "null");
  EXPECT_FALSE(read->spec.unique);
  EXPECT_FALSE(read->max_attempts);
}

// Of a doubled member the parser takes the last; the raw bytes have to be those of the same one.
TEST(EnqueueCodec, TakesTheLastOfADoubledMember) {
  const auto read = decode_enqueue(R"({"data":1,"priority":1,"data":2,"priority":2})", queue);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->spec.data, "2");
  EXPECT_EQ(read->spec.priority, 2);
}

TEST(EnqueueCodec, ReadsItemsOfAnArrayEachByItself) {
  const auto read = decode_enqueue_body(R"([ {"data": {"a":[1]} } ,{"delay":-1}, null])", queue);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->many);
  ASSERT_EQ(read->items.size(), 3U);
  EXPECT_EQ(read->items[0]->spec.data, R"({"a":[1]})");
  EXPECT_EQ(read->items[1].error().field, "delay");
  EXPECT_FALSE(read->items[2]);
}

TEST(RunCodec, KeepsResultAndCheckpointAsTheyAre) {
  const engine::job_id id{"document", 5};
  const auto ack = decode_ack(R"({"token":7,"result":{"x": 1.00}})", id);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->id, id);
  EXPECT_EQ(ack->token, 7U);
  EXPECT_EQ(ack->result, R"({"x": 1.00})");
  const auto extend = decode_extend(R"({"token":7,"checkpoint":null})", id);
  ASSERT_TRUE(extend);
  EXPECT_EQ(extend->checkpoint, "null");
  EXPECT_FALSE(decode_extend(R"({"token":7})", id)->checkpoint);
}

TEST(JobWriter, WritesJsonWhateverTheTexts) {
  engine::job one;
  one.id = {"document", 5};
  one.queue = queue;
  one.spec.type = "quote \" line\n \x01";
  one.error = "back\\slash";
  one.error_code = "handler_failed";
  one.spec.unique = engine::unique_spec{.key = "k\"", .mode = engine::unique_mode::replace};
  one.progress = engine::job_progress{.value = 1e-7, .message = "\t"};
  for (const job_view view : {job_view::whole, job_view::status}) {
    std::string out;
    append_job(out, one, view);
    const boost::json::value read = boost::json::parse(out);
    EXPECT_EQ(read.at("type").as_string(), one.spec.type);
    EXPECT_FALSE(read.at("unique").as_object().contains("mode"));
    EXPECT_DOUBLE_EQ(read.at("progress").at("value").as_double(), 1e-7);
  }
}

TEST(JobWriter, WritesNumbersAsJsonKnowsThem) {
  for (const double number :
       {0.0, 1.0, 0.1, 1e300, -2.5, std::numeric_limits<double>::infinity()}) {
    std::string out;
    append_number(out, number);
    EXPECT_NO_THROW((void)boost::json::parse(out)) << out;
  }
}

TEST(Target, DecodesPercentAndRefusesHalves) {
  EXPECT_EQ(percent_decode("a%2Fb%7e").value(), "a/b~");
  EXPECT_EQ(percent_decode("a+b").value(), "a+b");
  for (const char* broken : {"%", "%1", "%zz", "x%2"}) EXPECT_FALSE(percent_decode(broken));
}

TEST(Target, ReadsParametersAndNamesWhatIsLeft) {
  auto query = query_reader::parse("a=1&b=x%20y+z&label.k=v&label.a.b=w&flag&n=12");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->text("b"), "x y z");
  EXPECT_TRUE(query->flag("flag"));
  EXPECT_EQ(query->count("n", 1, 100, 5), 12U);
  EXPECT_EQ(query->count("m", 1, 100, 5), 5U);
  EXPECT_EQ(query->prefixed("label"),
            (std::vector<std::pair<std::string, std::string>>{{"a.b", "w"}, {"k", "v"}}));
  const auto done = query->finish();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "unknown_parameter");
  EXPECT_EQ(done.error().field, "a");
}

TEST(Router, SplitsTheVerbAtTheLastColon) {
  static constexpr std::array table{
      route{method::get, "/v1/jobs/{id}"},
      route{method::post, "/v1/jobs/{id}:ack"},
      route{method::post, "/v1/jobs:ack"},
      route{method::get, "/v1/things/{key}"},
  };
  const router routes(table);
  const auto index_of = [&routes](method verb, std::string target, std::string* param = nullptr) {
    request what;
    what.verb = verb;
    what.target = std::move(target);
    EXPECT_TRUE(split_target(what));
    const auto matched = routes.match(what);
    if (param != nullptr) *param = what.params[0];
    const auto* found = std::get_if<router::found>(&matched);
    return found == nullptr ? -1 : static_cast<int>(found->index);
  };
  std::string param;
  EXPECT_EQ(index_of(method::get, "/v1/jobs/a", &param), 0);
  EXPECT_EQ(param, "a");
  EXPECT_EQ(index_of(method::post, "/v1/jobs/a:ack", &param), 1);
  EXPECT_EQ(param, "a");
  EXPECT_EQ(index_of(method::post, "/v1/jobs:ack"), 2);
  EXPECT_EQ(index_of(method::head, "/v1/jobs/a"), 0);
  // A colon that begins no verb belongs to the segment.
  EXPECT_EQ(index_of(method::get, "/v1/things/a:b", &param), 3);
  EXPECT_EQ(param, "a:b");
  EXPECT_EQ(index_of(method::get, "/v1/things/a%3Aack?x=/:y", &param), 3);
  EXPECT_EQ(param, "a:ack");
  EXPECT_EQ(index_of(method::get, "/v1/things/"), -1);
  EXPECT_EQ(index_of(method::get, "/v1/things/a/b"), -1);
  EXPECT_EQ(index_of(method::get, "/1/2/3/4/5/6/7/8/9/10"), -1);
}

TEST(Routes, AreAllDifferent) {
  std::set<std::pair<method, std::string_view>> seen;
  for (const route& one : all_routes()) {
    EXPECT_TRUE(seen.emplace(one.verb, one.pattern).second) << one.pattern;
    EXPECT_NE(one.handle, nullptr);
  }
}

TEST(Access, TakesHostsApart) {
  EXPECT_EQ(parse_host("LocalHost:80")->host, "localhost");
  EXPECT_EQ(parse_host("localhost.:80")->host, "localhost");
  EXPECT_EQ(parse_host("[::1]:80")->host, "::1");
  EXPECT_EQ(parse_host("[::1]")->port, "");
  for (const char* broken : {"", ":80", "a:b", "[::1", "[::1]x", "::1", "a b", "a/b", "a@b"}) {
    EXPECT_FALSE(parse_host(broken)) << broken;
  }
  EXPECT_TRUE(is_loopback_host("127.200.1.1"));
  EXPECT_TRUE(is_loopback_host("::1"));
  EXPECT_FALSE(is_loopback_host("0.0.0.0"));
  EXPECT_FALSE(is_loopback_host("127.0.0.1.evil.example"));
}

TEST(Access, AnswersToConfiguredNames) {
  const access_check check({"Mill.Example"});
  request what;
  what.headers[static_cast<std::size_t>(header::host)] = "mill.example:7070";
  what.seen = request::bit(header::host);
  EXPECT_TRUE(check(what));
  what.headers[static_cast<std::size_t>(header::host)] = "other.example";
  EXPECT_FALSE(check(what));
}

// Whatever the pieces in which bytes arrive, the request is the same.
TEST(RequestReader, DoesNotDependOnHowBytesArrive) {
  const std::string bytes =
      "POST /a?b=c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2;q=\"x\"\r\nde\r\n0\r\nT: u\r\n\r\n";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    request_reader reader(1000);
    std::string pending;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      pending += bytes.substr(at, piece);
      std::size_t used = 1;
      while (used > 0 && !reader.done()) {
        used = reader.feed(pending);
        pending.erase(0, used);
      }
      ASSERT_FALSE(reader.failure()) << reader.failure()->why.detail;
    }
    ASSERT_TRUE(reader.done()) << piece;
    EXPECT_EQ(reader.what().body, "abcde");
    EXPECT_EQ(reader.what().path, "/a");
    EXPECT_EQ(reader.what().query, "b=c");
    EXPECT_TRUE(pending.empty());
  }
}

TEST(RequestReader, LetsNoTrailerDecideOnTheConnectionHoweverItIsCut) {
  const std::string text =
      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "1\r\nx\r\n0\r\nConnection: close\r\n\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, text.size()}) {
    request_reader reader(1000);
    std::string pending;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      pending += text.substr(at, piece);
      std::size_t used = 1;
      while (used > 0 && !reader.done()) {
        used = reader.feed(pending);
        pending.erase(0, used);
      }
      ASSERT_FALSE(reader.failure()) << reader.failure()->why.detail;
    }
    ASSERT_TRUE(reader.done()) << piece;
    EXPECT_TRUE(reader.what().keep_alive) << piece;
  }
}

// The parser beneath would end the program at a last chunk that comes first and in pieces.
TEST(RequestReader, TakesAnEmptyChunkedBodyInPieces) {
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = "0\r\n\r\n";
  request_reader reader(1000);
  std::string pending = head;
  for (const char next : body) {
    pending.erase(0, reader.feed(pending));
    pending += next;
    ASSERT_FALSE(reader.done() || reader.failure()) << pending;
  }
  pending.erase(0, reader.feed(pending));
  EXPECT_TRUE(reader.done());
  EXPECT_TRUE(pending.empty());
}

TEST(ContentType, IsJsonInUtf8) {
  for (const char* good : {"application/json", "Application/JSON; charset=UTF-8",
                           "application/ld+json", "application/json;charset=\"utf-8\""}) {
    EXPECT_TRUE(is_json_type(good)) << good;
  }
  for (const char* bad : {"", "text/json", "application/jsonx", "+json", "text/plain",
                          "application/json; charset=utf-16"}) {
    EXPECT_FALSE(is_json_type(bad)) << bad;
  }
}

}  // namespace
}  // namespace millrace::http
