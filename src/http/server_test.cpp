#include "http_fixture.hpp"

#include <millrace/engine_model/model_store.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <sys/stat.h>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;
using namespace std::chrono_literals;

TEST(Server, AnswersManyRequestsOfOneConnection) {
  const test_server server;
  raw_client client = server.connect();
  for (int i = 0; i < 3; ++i) {
    client.send(make_request("GET /health/live"));
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->header("connection"), "");
    EXPECT_EQ(answer->header("x-content-type-options"), "nosniff");
    EXPECT_FALSE(answer->header("date").empty());
  }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  const test_server server;
  raw_client client = server.connect();
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += make_request("POST /v1/queues/document/jobs", fmt::format(R"({{"data":{}}})", i));
  }
  client.send(bytes);
  for (int i = 0; i < 50; ++i) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->text("data"), std::to_string(i));
  }
}

TEST(Server, ReadsARequestThatComesByteByByte) {
  const test_server server;
  raw_client client = server.connect();
  for (const char byte : make_request("POST /v1/queues/document/jobs", R"({"data":1})")) {
    client.send({&byte, 1});
  }
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201);
}

TEST(Server, ReadsAChunkedBody) {
  const test_server server;
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document/jobs", {},
                           "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"));
  client.send("5\r\n{\"dat\r\n6;x=y\r\na\":[1]\r\n1\r\n}\r\n0\r\nHost: evil\r\n\r\n");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->text("data"), "[1]");
  // The connection is still in step.
  client.send(make_request("GET /health/live"));
  ASSERT_TRUE(client.receive());
}

TEST(Server, SaysContinueBeforeABodyIsSent) {
  const test_server server;
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document/jobs", {},
                           "Content-Type: application/json\r\nContent-Length: 2\r\n"
                           "Expect: 100-continue\r\n"));
  const auto interim = client.receive_head();
  ASSERT_TRUE(interim);
  EXPECT_EQ(interim->status, 100);
  client.send("{}");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201);
}

TEST(Server, RefusesInsteadOfSayingContinue) {
  const test_server server;
  raw_client client = server.connect();
  client.send(make_request("POST /nowhere", {},
                           "Content-Type: application/json\r\nContent-Length: 2\r\n"
                           "Expect: 100-continue\r\n"));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
}

TEST(Server, AnswersHeadWithoutABody) {
  const test_server server;
  raw_client client = server.connect();
  client.send(make_request("HEAD /health/live") + make_request("GET /health/live"));
  const auto head = client.receive_head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  const auto get = client.receive();
  ASSERT_TRUE(get);
  EXPECT_EQ(head->header("content-length"), get->header("content-length"));
}

TEST(Server, ClosesWhenTheClientAsksForIt) {
  const test_server server;
  raw_client client = server.connect();
  client.send(make_request("GET /health/live", {}, "Connection: close\r\n"));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header("connection"), "close");
  EXPECT_TRUE(client.closed_by_server());
}

TEST(Server, SpeaksHttp10) {
  const test_server server;
  raw_client client = server.connect();
  client.send("GET /health/live HTTP/1.0\r\n\r\n");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_TRUE(client.closed_by_server());
}

TEST(Server, ListensOnAUnixSocketOfItsOwner) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("millrace-test-{}.sock", ::getpid());
  {
    test_server server({.unix_socket = path});
    struct ::stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    raw_client client(path);
    // No web page reaches it, so that any name will do.
    client.send("GET /health/live HTTP/1.1\r\nHost: anything.example\r\n\r\n");
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Server, TakesOverTheSocketFileOfADeadServer) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("millrace-stale-{}.sock", ::getpid());
  {
    test_server dead({.unix_socket = path});
  }
  const test_server server({.unix_socket = path});
  raw_client client(path);
  client.send(make_request("GET /health/live"));
  ASSERT_TRUE(client.receive());
}

TEST(Server, TellsOfAPortThatIsTaken) {
  const test_server first;
  boost::asio::io_context context;
  manual_clock clock;
  model::model_store store({.clock = &clock});
  server second(context, store, {.listen = {fmt::format("127.0.0.1:{}", first.port())}});
  const result<void> started = second.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, "address_in_use");
  EXPECT_EQ(started.error().field, "listen");
}

TEST(Server, LeavesAFileThatIsNoSocketAlone) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("millrace-file-{}", ::getpid());
  std::fclose(std::fopen(path.c_str(), "w"));
  boost::asio::io_context context;
  manual_clock clock;
  model::model_store store({.clock = &clock});
  server one(context, store, {.listen = {"127.0.0.1:0"}, .unix_socket = path});
  EXPECT_FALSE(one.start());
  EXPECT_TRUE(std::filesystem::remove(path));
}

TEST(CheckListen, AllowsOnlyLoopbackWithoutAKey) {
  EXPECT_TRUE(check_listen({"127.0.0.1:7070", "localhost:0", "[::1]:7070", "127.9.9.9:1"}, false));
  for (const char* address : {"0.0.0.0:7070", "[::]:7070", "192.168.1.4:7070", "example.org:80"}) {
    const auto checked = check_listen({address}, false);
    ASSERT_FALSE(checked) << address;
    EXPECT_EQ(checked.error().code, "listen_not_loopback");
    EXPECT_TRUE(check_listen({address}, true));
  }
  for (const char* broken : {"", "7070", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70700", "::1:80"}) {
    EXPECT_FALSE(check_listen({broken}, true)) << broken;
  }
}

// A header that never ends must not hold a connection for longer than its deadline.
TEST(ServerDeadlines, EndASlowHeader) {
  const test_server server({.limits = {.header_deadline = 50ms}});
  raw_client client = server.connect();
  client.send("GET /health/live HTTP/1.1\r\nHost: ");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_EQ(answer->text("code"), "request_timeout");
  client.finish_sending();
  EXPECT_TRUE(client.closed_by_server());
}

TEST(ServerDeadlines, EndASlowBody) {
  const test_server server({.limits = {.body_deadline = 50ms}});
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document/jobs", {},
                           "Content-Type: application/json\r\nContent-Length: 100\r\n") +
              "{");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
}

TEST(ServerDeadlines, EndAnIdleConnectionInSilence) {
  const test_server server({.limits = {.idle_deadline = 50ms}});
  raw_client client = server.connect();
  client.send(make_request("GET /health/live"));
  ASSERT_TRUE(client.receive());
  EXPECT_TRUE(client.closed_by_server());
}

TEST(ServerDeadlines, DoNotEndALongPoll) {
  const test_server server({.limits = {.header_deadline = 20ms,
                                       .body_deadline = 20ms,
                                       .idle_deadline = 20ms,
                                       .write_deadline = 20ms}});
  const reply answer = server.ask("POST /v1/queues/document:reserve", R"({"wait":0.3})");
  EXPECT_EQ(answer.body, R"({"jobs":[]})");
}

TEST(ServerDeadlines, CutAClientThatTakesNothing) {
  const test_server server({.limits = {.write_deadline = 50ms}});
  const std::string megabyte(1'000'000, 'x');
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(server.ask("POST /v1/queues/document/jobs", "{\"data\":\"" + megabyte + "\"}").status,
              201);
  }
  raw_client client = server.connect();
  // Far more than any socket buffer takes, and none of it is read.
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += make_request("GET /v1/queues/document/jobs");
  client.send(bytes);
  // The records come in the order of the answers: one is written in part and never ends well.
  const auto answered = [&server] {
    std::size_t count = 0;
    for (const auto& one : server.records())
      count += one.route == "/v1/queues/{queue}/jobs" ? 1 : 0;
    return count;
  };
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (answered() < 9 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(answered(), 9U);
}

TEST(ServerLimits, RefuseALongHeader) {
  const test_server server;
  raw_client client = server.connect();
  client.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x'));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 431);
  EXPECT_EQ(answer->text("code"), "header_too_large");
}

TEST(ServerLimits, RefuseALongBodyWithoutReadingIt) {
  const test_server server;
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document/jobs", {},
                           "Content-Type: application/json\r\nContent-Length: 33554433\r\n"));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_EQ(answer->text("code"), "body_too_large");
}

TEST(ServerLimits, RefuseALongChunkedBody) {
  const test_server server({.limits = {.body_bytes_max = 100}});
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document/jobs", {},
                           "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"));
  client.send("40\r\n" + std::string(64, ' ') + "\r\n40\r\n" + std::string(64, ' ') + "\r\n");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
}

TEST(ServerLimits, BoundTheBodiesOfAllConnections) {
  const test_server server({.limits = {.body_bytes_in_flight_max = 200'000}});
  raw_client client = server.connect();
  const std::string body = "{\"data\":\"" + std::string(500'000, 'x') + "\"}";
  client.send(make_request("POST /v1/queues/document/jobs", body));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->text("code"), "too_many_bodies");
  // What was taken is given back.
  const std::string smaller = "{\"data\":\"" + std::string(100'000, 'x') + "\"}";
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(server.ask("POST /v1/queues/document/jobs", smaller).status, 201);
  }
}

TEST(ServerLimits, RefuseConnectionsBeyondTheBound) {
  const test_server server({.limits = {.connections_max = 1}});
  raw_client first = server.connect();
  first.send(make_request("GET /health/live"));
  ASSERT_TRUE(first.receive());
  raw_client second = server.connect();
  const auto answer = second.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->text("code"), "too_many_connections");
  EXPECT_EQ(answer->header("retry-after"), "1");
  first.send(make_request("GET /health/live"));
  ASSERT_TRUE(first.receive());
}

TEST(ServerStop, AnswersLongPollsEmptyAtOnce) {
  test_server server;
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document:reserve", R"({"wait":60})"));
  // The queue exists from the first look on: then the poll waits.
  while (server.ask("GET /v1/queues/document").status != 200) std::this_thread::yield();
  server.begin_stop();
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, R"({"jobs":[]})");
  EXPECT_EQ(answer->header("connection"), "close");
  server.stop();
}

TEST(ServerStop, EndsIdleConnectionsAndFinishesRequests) {
  test_server server;
  raw_client idle = server.connect();
  raw_client busy = server.connect();
  idle.send(make_request("GET /health/live"));
  ASSERT_TRUE(idle.receive());
  const std::string request = make_request("POST /v1/queues/document/jobs", R"({"data":1})");
  busy.send(request.substr(0, request.size() - 3));
  busy.send(request.substr(request.size() - 3, 1));
  server.begin_stop();
  EXPECT_TRUE(idle.closed_by_server());
  // A server that has not read the beginning yet ends this connection like an idle one.
  if (busy.try_send(request.substr(request.size() - 2))) {
    const auto answer = busy.receive();
    if (answer) EXPECT_EQ(answer->status, 201);
  }
  server.stop();
}

TEST(ServerStop, CutsWhatDoesNotEnd) {
  test_server server({.limits = {.stop_deadline = 50ms}});
  raw_client client = server.connect();
  client.send(make_request("GET /health/live"));
  ASSERT_TRUE(client.receive());
  client.send("GET /health/live HTTP/1.1\r\n");
  server.stop();
  EXPECT_TRUE(client.closed_by_server());
}

TEST(ServerRecords, EachRequestWithItsRouteAndCode) {
  test_server server;
  {
    raw_client client = server.connect();
    client.send(make_request("GET /v1/jobs/x", {}, "X-Correlation-ID: me\r\n") +
                make_request("GET /nowhere"));
    ASSERT_TRUE(client.receive());
    ASSERT_TRUE(client.receive());
  }
  // A record is made once its answer is on its way; after the end all are there.
  server.stop();
  const auto records = server.records();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].method, "GET");
  EXPECT_EQ(records[0].route, "/v1/jobs/{id}");
  EXPECT_EQ(records[0].status, 404U);
  EXPECT_EQ(records[0].correlation_id, "me");
  EXPECT_EQ(records[0].code, "job_not_found");
  EXPECT_EQ(records[1].route, "-");
}

}  // namespace
}  // namespace millrace::http
