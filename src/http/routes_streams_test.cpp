#include "event_codec.hpp"
#include "http_fixture.hpp"

#include <fmt/format.h>

namespace millrace::http {
namespace {

using testing::reply;
using testing::test_server;

TEST(EventPosition, IsAWordACursorOrATime) {
  EXPECT_TRUE(parse_event_position("latest", "from")->latest);
  EXPECT_FALSE(parse_event_position("earliest", "from")->latest);
  EXPECT_EQ(parse_event_position("1.2.3", "from")->cursor, (engine::event_cursor{1, 2, 3}));
  EXPECT_TRUE(parse_event_position("2026-01-01T00:00:00Z", "from")->at);
  for (const std::string_view bad : {"", "x", "1.2", "yesterday"}) {
    const auto read = parse_event_position(bad, "from");
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().kind, errc::malformed);
  }
}

std::string publish(const test_server& server, std::string_view payload,
                    std::string_view to = "f") {
  const reply made = server.ask(fmt::format("POST /v1/events/{}", to),
                                fmt::format(R"({{"type":"page.done","payload":{}}})", payload));
  EXPECT_EQ(made.status, 201U) << made.body;
  return made.text("cursor");
}

TEST(Events, ArePublishedAndReadNewestFirst) {
  const test_server server;
  const reply made = server.ask(
      "POST /v1/events/flow%201",
      R"({"type":"page.done","payload":{"n" : 1.0},"source":"ocr","correlation_id":"c","id":"i"})");
  EXPECT_EQ(made.status, 201U) << made.body;
  EXPECT_EQ(made.text("offset"), "1");
  EXPECT_EQ(made.text("stream"), "flow 1");
  EXPECT_EQ(made.text("durability"), "memory");
  const std::string second = publish(server, "2", "flow%201");
  const reply read = server.ask("GET /v1/events/flow%201");
  ASSERT_EQ(read.status, 200U) << read.body;
  const auto body = read.json();
  const auto& events = body.at("events").as_array();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].at("cursor").as_string(), second);
  EXPECT_EQ(events[1].at("source").as_string(), "ocr");
  EXPECT_EQ(events[1].at("id").as_string(), "i");
  EXPECT_NE(read.body.find(R"("payload":{"n" : 1.0})"), std::string::npos) << read.body;
  EXPECT_TRUE(body.at("cursor").is_null());
  EXPECT_TRUE(body.at("gap").is_null());
}

TEST(Events, ArePagedBothWays) {
  const test_server server;
  for (int i = 1; i <= 5; ++i) publish(server, std::to_string(i));
  const auto offsets = [&](std::string_view query) {
    std::vector<std::int64_t> out;
    std::string cursor;
    for (int page = 0; page < 4; ++page) {
      const reply read = server.ask(fmt::format("GET /v1/events/f?limit=2&{}{}", query,
                                                cursor.empty() ? "" : "&cursor=" + cursor));
      const auto body = read.json();
      for (const auto& each : body.at("events").as_array()) {
        out.push_back(each.at("offset").as_int64());
      }
      if (!body.at("more").as_bool()) break;
      cursor = read.text("cursor");
    }
    return out;
  };
  EXPECT_EQ(offsets("order=newest"), (std::vector<std::int64_t>{5, 4, 3, 2, 1}));
  EXPECT_EQ(offsets("order=oldest"), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
}

TEST(Events, OfAStreamThatWasNeverUsedAreNone) {
  const test_server server;
  const reply read = server.ask("GET /v1/events/never");
  EXPECT_EQ(read.status, 200U);
  EXPECT_TRUE(read.json().at("events").as_array().empty());
}

TEST(Events, WithAnIdOrAKeyArePublishedOnce) {
  const test_server server;
  const std::string body = R"({"type":"t","id":"a"})";
  EXPECT_EQ(server.ask("POST /v1/events/f", body).status, 201U);
  const reply again = server.ask("POST /v1/events/f", body);
  EXPECT_EQ(again.status, 200U);
  EXPECT_EQ(again.text("duplicate"), "true");
  const std::string key = "Idempotency-Key: k\r\n";
  const reply first = server.ask("POST /v1/events/f", R"({"type":"t"})", key);
  const reply second = server.ask("POST /v1/events/f", R"({"type":"t"})", key);
  EXPECT_EQ(first.text("cursor"), second.text("cursor"));
  EXPECT_EQ(server.ask("POST /v1/events/f", R"({"type":"u"})", key).status, 422U);
  EXPECT_EQ(server.ask("GET /v1/events/f").json().at("events").as_array().size(), 2U);
}

TEST(Events, TellOfAGap) {
  const test_server server;
  const std::string first = publish(server, "1");
  EXPECT_EQ(server.ask("PUT /v1/events/f", R"({"count":1})").status, 200U);
  publish(server, "2");
  publish(server, "3");
  const reply read = server.ask("GET /v1/events/f?order=oldest&cursor=" + first);
  EXPECT_EQ(read.status, 200U);
  EXPECT_EQ(read.json().at("gap").at("reason").as_string(), "trimmed");
}

TEST(Events, RefuseWhatTheyCannotBe) {
  const test_server server;
  const auto code = [&](std::string_view line, std::string_view body) {
    const reply answer = server.ask(line, body);
    return fmt::format("{} {} {}", answer.status, answer.text("code"), answer.text("field"));
  };
  const std::string to = "POST /v1/events/f";
  EXPECT_EQ(code(to, "{}"), "422 invalid_value type");
  EXPECT_EQ(code(to, R"({"type":"gap"})"), "422 invalid_value type");
  EXPECT_EQ(code(to, R"({"type":"a\nb"})"), "422 invalid_value type");
  EXPECT_EQ(code(to, R"({"type":"t","id":"a\rb"})"), "422 invalid_key id");
  EXPECT_EQ(code(to, R"({"type":"t","timestamp":"x"})"), "422 invalid_value timestamp");
  EXPECT_EQ(code(to, R"({"type":"t","durability":"durable"})"),
            "422 durability_unavailable durability");
  EXPECT_EQ(code(to, R"({"tipe":"t"})"), "422 unknown_member tipe");
  EXPECT_EQ(code(to, R"({"type":"t","payload":")" + std::string(1 << 20, 'x') + "\"}"),
            "413 item_too_large payload");
  EXPECT_EQ(code("POST /v1/events/a%0ab", R"({"type":"t"})"), "422 invalid_key stream");
  EXPECT_EQ(code("GET /v1/events/f?cursor=x", ""), "400 bad_cursor cursor");
  EXPECT_EQ(code("GET /v1/events/f?order=up", ""), "422 invalid_value order");
  EXPECT_EQ(code("GET /v1/events/f?from=earliest", ""), "422 invalid_value from");
  EXPECT_EQ(code("GET /v1/events/f/live?from=x", ""), "400 bad_cursor from");
  EXPECT_EQ(code("PUT /v1/events/f", R"({"count":0})"), "422 invalid_value count");
}

}  // namespace
}  // namespace millrace::http
