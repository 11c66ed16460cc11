#include "http_fixture.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;
using namespace std::chrono_literals;

std::string publish(const test_server& server, std::string_view payload,
                    std::string_view to = "f") {
  const reply made = server.ask(fmt::format("POST /v1/events/{}", to),
                                fmt::format(R"({{"type":"page.done","payload":{}}})", payload));
  EXPECT_EQ(made.status, 201U) << made.body;
  return made.text("cursor");
}

// One event, with its id and all.
std::string next_event(raw_client& from) { return from.read_until("\n\n").value_or(""); }

std::string id_of(const std::string& event) {
  const std::size_t begin = event.rfind("id: ") + 4;
  return event.substr(begin, event.find('\n', begin) - begin);
}

// Ends the test, by its time, where it never comes true.
void wait_for_metric(const test_server& server, std::string_view line) {
  while (server.ask("GET /metrics").body.find(line) == std::string::npos) {
    std::this_thread::yield();
  }
}

TEST(LiveEvents, FollowAStreamAndResumeWithoutALoss) {
  const test_server server;
  publish(server, "0");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events/f/live"));
  const auto head = events.receive_head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->header("content-type"), "text/event-stream");
  ASSERT_TRUE(events.read_until("retry: 1000\n\n"));
  // Where it begins, should it be cut off before the first event.
  EXPECT_NE(next_event(events).find("\nid: "), std::string::npos);
  publish(server, "1");
  const std::string first = next_event(events);
  EXPECT_NE(first.find("event: page.done\n"), std::string::npos) << first;
  EXPECT_NE(first.find(R"("payload":1)"), std::string::npos) << first;
  const std::string cursor = id_of(first);
  events.close();

  publish(server, "2");
  raw_client again = server.connect();
  again.send(make_request("GET /v1/events/f/live", {}, "Last-Event-ID: " + cursor + "\r\n"));
  EXPECT_NE(next_event(again).find("retry"), std::string::npos);
  EXPECT_NE(next_event(again).find(R"("payload":2)"), std::string::npos);
  publish(server, "3");
  EXPECT_NE(next_event(again).find(R"("payload":3)"), std::string::npos);
}

TEST(LiveEvents, BeginAtTheBeginningOnDemand) {
  const test_server server;
  for (int i = 0; i < 250; ++i) publish(server, std::to_string(i));
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events/f/live?from=earliest"));
  EXPECT_TRUE(events.read_until(R"("payload":0,)"));
  EXPECT_TRUE(events.read_until(R"("payload":249,)"));
}

TEST(LiveEvents, TellOfAGapInBand) {
  const test_server server;
  publish(server, "1");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events/f/live?from=1.1.1"));
  ASSERT_TRUE(events.read_until("event: gap\n"));
  EXPECT_TRUE(events.read_until(R"("reason":"other_epoch")"));
  EXPECT_TRUE(events.read_until(R"("payload":1)"));
}

TEST(LiveEvents, AreKeptAliveAndEndWithRetry) {
  test_server server({.limits = {.comment_interval = 20ms}});
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events/f/live"));
  EXPECT_TRUE(events.read_until("\r\n:\n\n\r\n"));
  server.begin_stop();
  EXPECT_TRUE(events.read_until("retry: "));
  EXPECT_TRUE(events.read_until("\n\n\r\n0\r\n\r\n"));
  server.stop();
}

TEST(LiveEvents, OfSeveralStreamsComeOverOneConnection) {
  const test_server server;
  publish(server, "1", "a");
  publish(server, "2", "b");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events:live?stream=a&stream=b&stream=c&from=earliest"));
  std::string both;
  for (int i = 0; i < 3; ++i) both += next_event(events);
  EXPECT_NE(both.find(R"("payload":1,)"), std::string::npos) << both;
  EXPECT_NE(both.find(R"("payload":2,)"), std::string::npos) << both;
  const std::string first = id_of(both);
  publish(server, "3", "c");
  const std::string third = next_event(events);
  EXPECT_NE(third.find(R"("payload":3,)"), std::string::npos) << third;
  events.close();

  // The id of one event holds the places of all: nothing is repeated, nothing left out.
  publish(server, "4", "a");
  raw_client again = server.connect();
  again.send(make_request("GET /v1/events:live?stream=c&stream=a&stream=b&from=earliest", {},
                          "Last-Event-ID: " + id_of(third) + "\r\n"));
  (void)next_event(again);
  const std::string next = next_event(again);
  EXPECT_NE(next.find(R"("payload":4,)"), std::string::npos) << next;
  publish(server, "5", "b");
  EXPECT_NE(next_event(again).find(R"("payload":5,)"), std::string::npos);

  raw_client earlier = server.connect();
  earlier.send(make_request("GET /v1/events:live?stream=a&stream=b&stream=c&from=earliest", {},
                            "Last-Event-ID: " + first + "\r\n"));
  (void)next_event(earlier);
  std::string rest;
  for (int i = 0; i < 3; ++i) rest += next_event(earlier);
  for (const char* payload : {"3", "4", "5"}) {
    EXPECT_NE(rest.find(fmt::format(R"("payload":{},)", payload)), std::string::npos) << rest;
  }
  EXPECT_EQ(rest.find(R"("payload":1,)"), std::string::npos) << rest;
}

TEST(LiveEvents, OfSeveralStreamsBeginNowWhereNobodySaysMore) {
  const test_server server;
  publish(server, "1", "a");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events:live?stream=a&stream=b"));
  (void)next_event(events);
  // All places, before anything comes.
  const std::string begin = id_of(next_event(events));
  EXPECT_NE(begin.find('~'), std::string::npos) << begin;
  publish(server, "2", "a");
  EXPECT_NE(next_event(events).find(R"("payload":2,)"), std::string::npos);
  publish(server, "3", "b");
  EXPECT_NE(next_event(events).find(R"("payload":3,)"), std::string::npos);
}

TEST(LiveEvents, ReachEveryOneWhoFollows) {
  const test_server server;
  std::vector<std::unique_ptr<raw_client>> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(std::make_unique<raw_client>("127.0.0.1", server.port()));
    clients.back()->send(make_request("GET /v1/events/f/live?from=earliest"));
    ASSERT_TRUE(clients.back()->read_until("retry: 1000\n\n"));
    publish(server, std::to_string(i));
  }
  for (auto& each : clients) {
    for (int i = 0; i < 60; ++i) {
      EXPECT_NE(next_event(*each).find(fmt::format(R"("payload":{},)", i)), std::string::npos) << i;
    }
  }
  // One look for all, and not one for each.
  const std::string metrics = server.ask("GET /metrics").body;
  EXPECT_NE(metrics.find("millrace_streams_open 60\n"), std::string::npos);
  EXPECT_NE(metrics.find("millrace_streams_events_sent_total 3600\n"), std::string::npos);
}

TEST(LiveEvents, HaveBegunWhereTheirHeaderIsThere) {
  const test_server server;
  std::vector<std::unique_ptr<raw_client>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<raw_client>("127.0.0.1", server.port()));
    clients.back()->send(make_request(i % 2 == 0 ? "GET /v1/events/f/live"
                                                 : "GET /v1/events:live?stream=f&stream=g"));
    ASSERT_TRUE(clients.back()->receive_head());
    publish(server, std::to_string(i));
    EXPECT_TRUE(clients.back()->read_until(fmt::format(R"("payload":{},)", i))) << i;
  }
}

// A client that never reads: what waits for it is bounded, and it misses nothing when it reads.
TEST(LiveEvents, WaitForASlowReaderInTheStore) {
  const test_server server({.limits = {.stream_bytes_max = 4096}});
  raw_client slow = server.connect();
  slow.send(make_request("GET /v1/events/f/live?from=earliest"));
  ASSERT_TRUE(slow.read_until("retry: 1000\n\n"));
  const std::string filler(200'000, 'x');
  for (int i = 0; i < 60; ++i) {
    publish(server, fmt::format(R"({{"n":{},"x":"{}"}})", i, filler));
  }
  for (int i = 0; i < 60; ++i) {
    EXPECT_NE(next_event(slow).find(fmt::format(R"("payload":{{"n":{},)", i)), std::string::npos)
        << i;
  }
  const std::string metrics = server.ask("GET /metrics").body;
  EXPECT_EQ(metrics.find("millrace_streams_slow_total 0\n"), std::string::npos);
  EXPECT_NE(metrics.find("millrace_streams_cut_total 0\n"), std::string::npos);
}

TEST(LiveEvents, CutOffAReaderThatTakesNothing) {
  const test_server server({.limits = {.write_deadline = 200ms}});
  raw_client slow = server.connect();
  slow.send(make_request("GET /v1/events/f/live?from=earliest"));
  ASSERT_TRUE(slow.read_until("retry: 1000\n\n"));
  const std::string filler(200'000, 'x');
  for (int i = 0; i < 60; ++i) publish(server, fmt::format(R"("{}")", filler));
  wait_for_metric(server, "millrace_streams_open 0\n");
  wait_for_metric(server, "millrace_streams_cut_total 1\n");
}

TEST(LiveEvents, EndForASlowReaderWhereThatIsThePolicy) {
  const test_server server(
      {.limits = {.stream_bytes_max = 4096, .slow_readers = slow_reader_policy::close}});
  raw_client slow = server.connect();
  slow.send(make_request("GET /v1/events/f/live?from=earliest"));
  ASSERT_TRUE(slow.read_until("retry: 1000\n\n"));
  const std::string filler(200'000, 'x');
  for (int i = 0; i < 60; ++i) publish(server, fmt::format(R"("{}")", filler));
  wait_for_metric(server, "millrace_streams_open 0\n");
  wait_for_metric(server, "millrace_streams_slow_total 1\n");
}

TEST(LiveEvents, StandInTheRegistryOfConnections) {
  test_server server;
  const auto listeners = [&](std::string_view query) {
    const auto body = server.ask(fmt::format("GET /v1/connections?{}", query)).json();
    return body.at("connections").as_array().size();
  };
  raw_client events = server.connect();
  events.send(make_request("GET /v1/events:live?stream=a&stream=b&user=ann"));
  ASSERT_TRUE(events.read_until("id: "));
  while (listeners("user=ann") != 2) std::this_thread::yield();
  EXPECT_EQ(listeners("flow_id=a"), 1U);
  events.close();
  while (listeners("user=ann") != 0) std::this_thread::yield();
  EXPECT_EQ(server.ask("GET /v1/events:live").text("field"), "stream");
  EXPECT_EQ(server.ask("GET /v1/events:live?stream=a&user=%0a").text("field"), "user");
  EXPECT_EQ(server.ask("GET /v1/events:live?stream=a&from=x").status, 400U);
}

// HTTP/1.0 knows no chunks: the events come as they are, to the end of the connection.
TEST(LiveEvents, ComeAsTheyAreToAnOldClient) {
  const test_server server;
  publish(server, "1");
  raw_client events = server.connect();
  events.send("GET /v1/events/f/live?from=earliest HTTP/1.0\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(events.read_until("retry: 1000\n\n"));
  const std::string first = next_event(events);
  EXPECT_TRUE(first.starts_with("id: ")) << first;
  EXPECT_TRUE(first.ends_with("}\n\n")) << first;
}

}  // namespace
}  // namespace millrace::http
