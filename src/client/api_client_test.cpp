#include <millrace/client/api_client.hpp>

#include "run.hpp"
#include "scripted_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <future>

namespace millrace::client {
namespace {

using server = scripted_server;
using namespace std::chrono_literals;

TEST(ApiClient, SendsHeadAndBodyAndReadsTheAnswer) {
  std::string seen;
  server peer{1, [&seen](server::socket& socket, std::size_t) {
                seen = server::read_request(socket);
                server::write(socket,
                              server::answer("201 Created", R"({"id":"x"})", "ETag: 7\r\n"));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where(), .key = "k1"}};
  const auto answer = run(context, client.call({.method = verb::post,
                                                .target = "/v1/queues/q/jobs",
                                                .headers = {{"Idempotency-Key", "i"}},
                                                .body = R"({"data":1})"}));
  peer.join();
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 201U);
  EXPECT_EQ(answer->body, R"({"id":"x"})");
  EXPECT_EQ(answer->find("etag"), "7");
  EXPECT_TRUE(seen.starts_with("POST /v1/queues/q/jobs HTTP/1.1\r\n")) << seen;
  EXPECT_NE(seen.find("Host: " + peer.where().host_header()), std::string::npos) << seen;
  EXPECT_NE(seen.find("Authorization: Bearer k1\r\n"), std::string::npos) << seen;
  EXPECT_NE(seen.find("Content-Type: application/json\r\n"), std::string::npos) << seen;
  EXPECT_NE(seen.find("Idempotency-Key: i\r\n"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("\r\n\r\n{\"data\":1}")) << seen;
}

TEST(ApiClient, KeepsAConnectionForTheNextRequest) {
  std::atomic<int> requests{0};
  server peer{1, [&requests](server::socket& socket, std::size_t) {
                while (!server::read_request(socket).empty()) {
                  ++requests;
                  server::write(socket, server::answer("200 OK", "{}"));
                }
              }};
  asio::io_context context;
  {
    api_client client{context.get_executor(), {.where = peer.where()}};
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(run(context, client.call({})));
  }
  peer.join();
  EXPECT_EQ(requests, 3);
}

TEST(ApiClient, OpensAnotherConnectionWhenAKeptOneWasClosed) {
  server peer{2, [](server::socket& socket, std::size_t) {
                server::read_request(socket);
                server::write(socket, server::answer("200 OK", "{}"));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  ASSERT_TRUE(run(context, client.call({.method = verb::post})));
  // The part ended, so the connection is closed; a POST must not be lost to it.
  const auto second = run(context, client.call({.method = verb::post}));
  ASSERT_TRUE(second) << second.error().detail;
}

// The server closes the kept connection after it has read the next request: only what is safe to
// repeat is sent again.
TEST(ApiClient, RepeatsOnlyWhatIsSafe) {
  for (const bool repeatable : {true, false}) {
    server peer{repeatable ? 2U : 1U, [](server::socket& socket, std::size_t index) {
                  server::read_request(socket);
                  server::write(socket, server::answer("200 OK", "{}"));
                  if (index == 0) server::read_request(socket);
                }};
    asio::io_context context;
    api_client client{context.get_executor(), {.where = peer.where()}};
    ASSERT_TRUE(run(context, client.call({})));
    request next{.method = verb::post};
    if (repeatable) next.headers.push_back({"Idempotency-Key", "k"});
    const auto second = run(context, client.call(std::move(next)));
    if (repeatable) {
      EXPECT_TRUE(second) << second.error().detail;
    } else {
      ASSERT_FALSE(second);
      EXPECT_EQ(second.error().kind, errc::outcome_unknown);
      EXPECT_EQ(second.error().code, "connection_lost");
    }
  }
}

TEST(ApiClient, SaysThatNobodyListens) {
  endpoint nobody;
  {
    asio::io_context context;
    const asio::ip::tcp::acceptor gone{context, {asio::ip::address_v4::loopback(), 0}};
    nobody.port = gone.local_endpoint().port();
  }
  asio::io_context context;
  api_client client{context.get_executor(), {.where = nobody}};
  const auto answer = run(context, client.call({}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, errc::unavailable);
  EXPECT_EQ(answer.error().code, "no_server");
  EXPECT_NE(answer.error().detail.find(nobody.text()), std::string::npos);
}

TEST(ApiClient, SaysThatTheSocketIsNotThere) {
  asio::io_context context;
  api_client client{context.get_executor(),
                    {.where = {.over = endpoint::transport::unix_socket, .path = "/nowhere/s"}}};
  EXPECT_EQ(run(context, client.call({})).error().code, "no_server");
  api_client longer{
      context.get_executor(),
      {.where = {.over = endpoint::transport::unix_socket, .path = "/" + std::string(200, 'x')}}};
  EXPECT_EQ(run(context, longer.call({})).error().code, "no_server");
}

TEST(ApiClient, SpeaksOverAUnixSocket) {
  std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::string path = pattern + "/s";
  asio::io_context accepting;
  asio::local::stream_protocol::acceptor acceptor{accepting, path};
  std::thread peer{[&acceptor] {
    auto socket = acceptor.accept();
    asio::streambuf head;
    asio::read_until(socket, head, "\r\n\r\n");
    const std::string text = server::answer("200 OK", "over unix");
    asio::write(socket, asio::buffer(text));
  }};
  asio::io_context context;
  api_client client{context.get_executor(),
                    {.where = {.over = endpoint::transport::unix_socket, .path = path}}};
  const auto answer = run(context, client.call({}));
  peer.join();
  std::filesystem::remove_all(pattern);
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->body, "over unix");
}

TEST(ApiClient, GivesUpAfterItsTimeout) {
  std::promise<void> done;
  server peer{1, [&done](server::socket& socket, std::size_t) {
                server::read_request(socket);
                done.get_future().wait();
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  const auto answer = run(context, client.call({.timeout = 50ms}));
  done.set_value();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, errc::deadline_exceeded);
  EXPECT_EQ(answer.error().code, "timeout");
}

awaitable<result<response>> call_for(asio::io_context& context, api_client& client,
                                     std::chrono::milliseconds longest) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer timer{context, longest};
  auto first = co_await (client.call({}) || timer.async_wait(asio::as_tuple(asio::use_awaitable)));
  if (auto* answer = std::get_if<0>(&first)) co_return std::move(*answer);
  co_return fail(errc::cancelled, "given_up", "by the test");
}

TEST(ApiClient, EndsWhenItsCallerGivesUp) {
  std::promise<void> done;
  server peer{1, [&done](server::socket& socket, std::size_t) {
                server::read_request(socket);
                done.get_future().wait();
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  const auto began = std::chrono::steady_clock::now();
  const auto answer = run(context, call_for(context, client, 20ms));
  done.set_value();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "given_up");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
}

awaitable<std::vector<result<response>>> call_both(api_client& client) {
  using namespace asio::experimental::awaitable_operators;
  auto both = co_await (client.call({}) && client.call({}));
  std::vector<result<response>> answers;
  auto& [first, second] = both;
  answers.push_back(std::move(first));
  answers.push_back(std::move(second));
  co_return answers;
}

// With one connection allowed, the second request waits for the first and uses its connection.
TEST(ApiClient, BoundsItsConnections) {
  server peer{1, [](server::socket& socket, std::size_t) {
                while (!server::read_request(socket).empty()) {
                  server::write(socket, server::answer("200 OK", "{}"));
                }
              }};
  asio::io_context context;
  {
    api_client client{context.get_executor(), {.where = peer.where(), .connections_max = 1}};
    for (const auto& answer : run(context, call_both(client))) EXPECT_TRUE(answer);
  }
}

TEST(ApiClient, TurnsAProblemIntoItsError) {
  server peer{1, [](server::socket& socket, std::size_t) {
                server::read_request(socket);
                server::write(socket, server::answer("404 Not Found",
                                                     R"({"code":"job_not_found","detail":"no"})"));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where()}};
  const auto answer = run(context, client.call({}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, errc::not_found);
  EXPECT_EQ(answer.error().code, "job_not_found");
}

TEST(ApiClient, RefusesAnAnswerThatIsTooLarge) {
  server peer{1, [](server::socket& socket, std::size_t) {
                server::read_request(socket);
                server::write(socket, server::answer("200 OK", std::string(2000, 'x')));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where(), .response_bytes_max = 1000}};
  const auto answer = run(context, client.call({}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "response_too_large");
}

awaitable<result<std::uint64_t>> download(api_client& client, std::string& into, std::size_t most) {
  const auto take = [&into, most](std::string_view piece) -> result<void> {
    into += piece;
    if (into.size() > most) return fail(errc::storage_full, "full", "no room");
    return {};
  };
  co_return co_await client.download({.target = "/admin/backup"}, take);
}

TEST(ApiClient, DownloadsWhatIsLargerThanAnAnswerMayBe) {
  const std::string large(300'000, 'x');
  server peer{3, [&large](server::socket& socket, std::size_t index) {
                server::read_request(socket);
                const std::string whole = server::answer("200 OK", large);
                // The second one breaks off.
                server::write(
                    socket, std::string_view{whole}.substr(0, index == 1 ? 200'000 : whole.size()));
              }};
  asio::io_context context;
  api_client client{context.get_executor(), {.where = peer.where(), .response_bytes_max = 1000}};
  std::string got;
  EXPECT_EQ(run(context, download(client, got, large.size())).value(), large.size());
  EXPECT_EQ(got, large);
  got.clear();
  EXPECT_EQ(run(context, download(client, got, large.size())).error().code, "connection_lost");
  got.clear();
  EXPECT_EQ(run(context, download(client, got, 1)).error().code, "full");
}

TEST(ApiClient, RefusesToSendWhatWouldBreakTheHead) {
  asio::io_context context;
  api_client client{context.get_executor(), {}};
  EXPECT_EQ(run(context, client.call({.target = "/a b"})).error().field, "target");
  EXPECT_EQ(run(context, client.call({.target = "no-slash"})).error().field, "target");
  EXPECT_EQ(run(context, client.call({.headers = {{"X", "a\r\nY: b"}}})).error().field, "headers");
}

TEST(ApiClient, AnswersNothingMoreOnceClosed) {
  asio::io_context context;
  api_client client{context.get_executor(), {}};
  client.close();
  EXPECT_EQ(run(context, client.call({})).error().kind, errc::cancelled);
}

}  // namespace
}  // namespace millrace::client
