#include "http_fixture.hpp"
#include "sse.hpp"

#include <fmt/format.h>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;
using namespace std::chrono_literals;

engine::job some_job(engine::job_status status, std::uint64_t version) {
  engine::job one;
  one.id = {"document", 1'767'225'600'000'000};
  one.status = status;
  one.version = version;
  return one;
}

std::vector<std::string> events_of(const std::string& text) {
  std::vector<std::string> events;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find("\n\n", begin)) != std::string::npos;) {
    const std::string event = text.substr(begin, end - begin);
    const std::size_t data = event.find("data: ");
    events.push_back(event.substr(0, data));
    begin = end + 2;
  }
  return events;
}

TEST(JobFeed, SendsTheStateFirstAndThenOnlyChanges) {
  job_feed feed(0);
  std::string out;
  feed.take(some_job(engine::job_status::queued, 5), {}, out);
  EXPECT_EQ(events_of(out), std::vector<std::string>{"event: state\nid: 5\n"});
  out.clear();
  feed.take(some_job(engine::job_status::queued, 5), {}, out);
  EXPECT_EQ(out, "");
  feed.take(some_job(engine::job_status::completed, 9), {}, out);
  EXPECT_EQ(events_of(out),
            (std::vector<std::string>{"event: state\nid: 9\n", "event: end\nid: 9\n"}));
  EXPECT_TRUE(feed.ended());
}

// A client that is cut off between two of these comes back with the last id it saw, and must then
// get everything behind it.
TEST(JobFeed, NeverGivesACursorThatSkipsLogLines) {
  job_feed feed(0);
  std::string out;
  feed.take(some_job(engine::job_status::running, 50), {{10, {}, "a"}, {20, {}, "b"}}, out);
  EXPECT_EQ(events_of(out), (std::vector<std::string>{"event: state\n", "event: log\nid: 10\n",
                                                      "event: log\nid: 20\n", "id: 50"}));
  EXPECT_EQ(feed.log_cursor(), 50U);
}

TEST(JobFeed, ResumesBehindItsCursor) {
  job_feed feed(20);
  std::string out;
  feed.take(some_job(engine::job_status::running, 20), {{10, {}, "a"}, {30, {}, "b"}}, out);
  EXPECT_EQ(events_of(out), std::vector<std::string>{"event: log\nid: 30\n"});
}

TEST(JobFeed, SaysThatACursorOfTheFutureHasAGap) {
  job_feed feed(1000);
  std::string out;
  feed.take(some_job(engine::job_status::running, 50), {{10, {}, "a"}}, out);
  EXPECT_EQ(events_of(out), (std::vector<std::string>{"event: gap\n", "event: state\n",
                                                      "event: log\nid: 10\n", "id: 50"}));
}

TEST(JobFeed, LeavesOutThePastWhereOnlyNewsAreWanted) {
  job_feed feed(std::nullopt);
  std::string out;
  feed.take(some_job(engine::job_status::running, 50), {{10, {}, "a"}}, out);
  EXPECT_EQ(events_of(out), std::vector<std::string>{"event: state\nid: 50\n"});
  out.clear();
  feed.take(some_job(engine::job_status::running, 50), {{60, {}, "b"}}, out);
  EXPECT_EQ(events_of(out), std::vector<std::string>{"event: log\nid: 60\n"});
}

TEST(JobFeed, KeepsAnEventInOneLine) {
  job_feed feed(0);
  engine::job one = some_job(engine::job_status::completed, 5);
  one.result = "{\n \"a\":\r\n1}";
  std::string out;
  feed.take(one, {}, out);
  EXPECT_NE(out.find(R"("result":{  "a":  1})"), std::string::npos) << out;
}

TEST(JobEvents, FollowAJobToItsEnd) {
  const test_server server;
  const std::string id = server.ask("POST /v1/queues/document/jobs").text("id");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/jobs/" + id + "/events"));
  const auto head = events.receive_head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->header("content-type"), "text/event-stream");
  EXPECT_EQ(head->header("x-accel-buffering"), "no");
  EXPECT_EQ(head->header("transfer-encoding"), "chunked");
  ASSERT_TRUE(events.read_until("retry: 1000\n\n"));
  const auto first = events.read_until("\n\n");
  ASSERT_TRUE(first);
  EXPECT_NE(first->find(R"("status":"queued")"), std::string::npos) << *first;

  const reply leased = server.ask("POST /v1/queues/document:reserve");
  const auto token = leased.json().at("jobs").at(0).at("token").as_int64();
  const auto running = events.read_until("\n\n");
  ASSERT_TRUE(running);
  EXPECT_NE(running->find("event: state\n"), std::string::npos) << *running;
  EXPECT_NE(running->find(R"("status":"running")"), std::string::npos);

  (void)server.ask("PUT /v1/jobs/" + id + "/progress",
                   fmt::format(R"({{"token":{},"value":0.25,"message":"a quarter"}})", token));
  const auto progress = events.read_until("\n\n");
  ASSERT_TRUE(progress);
  EXPECT_NE(progress->find("event: progress\n"), std::string::npos) << *progress;
  EXPECT_NE(progress->find(R"({"value":0.25,"message":"a quarter")"), std::string::npos);

  (void)server.ask("PUT /v1/jobs/" + id + "/progress",
                   fmt::format(R"({{"token":{},"log":["hello"]}})", token));
  const auto line = events.read_until("\n\n");
  ASSERT_TRUE(line);
  EXPECT_NE(line->find("event: log\n"), std::string::npos) << *line;
  EXPECT_NE(line->find(R"("text":"hello")"), std::string::npos);

  (void)server.ask("POST /v1/jobs/" + id + ":ack", fmt::format(R"({{"token":{}}})", token));
  const auto end = events.read_until("event: end\n");
  ASSERT_TRUE(end);
  EXPECT_NE(end->find(R"("status":"completed")"), std::string::npos) << *end;
  ASSERT_TRUE(events.read_until("\r\n0\r\n\r\n"));
  EXPECT_TRUE(events.closed_by_server());
}

TEST(JobEvents, ResumeWithTheLastEventId) {
  const test_server server;
  const std::string id = server.ask("POST /v1/queues/document/jobs").text("id");
  raw_client first = server.connect();
  first.send(make_request("GET /v1/jobs/" + id + "/events"));
  ASSERT_TRUE(first.read_until("id: "));
  std::string cursor = first.read_until("\n").value_or("");
  cursor.pop_back();
  first.close();
  raw_client again = server.connect();
  again.send(
      make_request("GET /v1/jobs/" + id + "/events", {}, "Last-Event-ID: " + cursor + "\r\n"));
  ASSERT_TRUE(again.read_until("retry: 1000\n\n"));
  (void)server.ask("POST /v1/jobs/" + id + ":cancel");
  // The state that was known is not sent again: the next event is the change.
  const auto next = again.read_until("\n\n");
  ASSERT_TRUE(next);
  EXPECT_NE(next->find(R"("status":"cancelled")"), std::string::npos) << *next;
}

TEST(JobEvents, AreKeptAliveByComments) {
  const test_server server({.limits = {.comment_interval = 20ms}});
  const std::string id = server.ask("POST /v1/queues/document/jobs").text("id");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/jobs/" + id + "/events"));
  EXPECT_TRUE(events.read_until("\r\n:\n\n\r\n"));
}

TEST(JobEvents, EndWithRetryWhenTheServerStops) {
  test_server server;
  const std::string id = server.ask("POST /v1/queues/document/jobs").text("id");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/jobs/" + id + "/events"));
  ASSERT_TRUE(events.read_until("event: state\n"));
  server.begin_stop();
  // When to come back is another time for each.
  EXPECT_TRUE(events.read_until("retry: "));
  EXPECT_TRUE(events.read_until("\n\n\r\n0\r\n\r\n"));
  server.stop();
}

TEST(JobEvents, TellOfADeletedJob) {
  const test_server server;
  const std::string id = server.ask("POST /v1/queues/document/jobs").text("id");
  raw_client events = server.connect();
  events.send(make_request("GET /v1/jobs/" + id + "/events"));
  ASSERT_TRUE(events.read_until("event: state\n"));
  EXPECT_EQ(server.ask("DELETE /v1/jobs/" + id).status, 204);
  EXPECT_TRUE(events.read_until(R"("status":"deleted")"));
}

TEST(JobEvents, OfAJobThatDoesNotExistAreNotFound) {
  const test_server server;
  EXPECT_EQ(server.ask("GET /v1/jobs/document~1j791320g00/events").status, 404);
}

}  // namespace
}  // namespace millrace::http
