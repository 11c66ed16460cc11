#include "run.hpp"
#include "scripted_server.hpp"

#include <millrace/client/api_client.hpp>

#include <gtest/gtest.h>

namespace millrace::client {
namespace {

using server = scripted_server;

constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(std::string_view text) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string{text} + "\r\n";
}

struct seen_stream {
  std::vector<event> events;
  std::optional<error> failed;
  std::chrono::milliseconds retry{0};
};

awaitable<seen_stream> read_all(api_client& client, std::string last_event_id) {
  seen_stream seen;
  auto opened = co_await client.open_events("/v1/jobs/x/events", std::move(last_event_id));
  if (!opened) {
    seen.failed = opened.error();
    co_return seen;
  }
  while (true) {
    auto next = co_await opened->next();
    if (!next) seen.failed = next.error();
    if (!next || !*next) break;
    seen.events.push_back(std::move(**next));
  }
  seen.retry = opened->retry();
  co_return seen;
}

TEST(EventStream, ReadsEventsUntilTheServerEndsIt) {
  std::string asked;
  server peer{1, [&asked](server::socket& socket, std::size_t) {
                asked = server::read_request(socket);
                server::write(socket, stream_head);
                server::write(socket, chunk("id: 1\nevent: job\nda"));
                server::write(socket, chunk("ta: {}\n\n: quiet\n\nretry: 50\n"));
                server::write(socket, chunk("id: 2\ndata: end\n\n"));
                server::write(socket, "0\r\n\r\n");
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  const auto seen = run(context, read_all(client, "41"));
  peer.join();
  EXPECT_FALSE(seen.failed);
  ASSERT_EQ(seen.events.size(), 2U);
  EXPECT_EQ(seen.events[0].type, "job");
  EXPECT_EQ(seen.events[1].id, "2");
  EXPECT_EQ(seen.retry, std::chrono::milliseconds{50});
  EXPECT_NE(asked.find("Last-Event-ID: 41\r\n"), std::string::npos) << asked;
  EXPECT_NE(asked.find("Accept: text/event-stream\r\n"), std::string::npos) << asked;
}

TEST(EventStream, TellsAConnectionThatBroke) {
  server peer{1, [](server::socket& socket, std::size_t) {
                server::read_request(socket);
                server::write(socket, stream_head);
                server::write(socket, chunk("data: 1\n\n"));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  const auto seen = run(context, read_all(client, ""));
  EXPECT_EQ(seen.events.size(), 1U);
  ASSERT_TRUE(seen.failed);
  EXPECT_EQ(seen.failed->code, "connection_lost");
}

TEST(EventStream, TellsWhyItWasRefused) {
  server peer{1, [](server::socket& socket, std::size_t) {
                server::read_request(socket);
                server::write(socket, server::answer("404 Not Found",
                                                     R"({"code":"job_not_found","detail":"no"})"));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  const auto seen = run(context, read_all(client, ""));
  ASSERT_TRUE(seen.failed);
  EXPECT_EQ(seen.failed->code, "job_not_found");
  EXPECT_EQ(seen.failed->kind, errc::not_found);
}

}  // namespace
}  // namespace millrace::client
