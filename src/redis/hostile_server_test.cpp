// What a server may do to a connection, played by one of the test's own.

#include "hostile_server.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;
using testing::hostile_server;
using peer = hostile_server::peer;
using steady = std::chrono::steady_clock;

connection_options options_for(const std::string& url) {
  auto parsed = parse_address(url, "redis");
  MILLRACE_ASSERT(parsed);
  connection_options options;
  options.where = std::move(*parsed);
  options.backoff.base = 1ms;
  options.backoff.max = 5ms;
  return options;
}

std::string shown(const result<reply>& got) {
  if (!got) return std::string{got.error().code};
  return std::string{got->text()};
}

// Waits for the connection, then closes it.
awaitable<result<void>> try_to_connect(connection_options options) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto ready = co_await to.ready();
  to.close();
  co_return ready;
}

error refusal_of(std::string_view answer) {
  const hostile_server server{1, [answer](peer& client, std::size_t) {
                                client.take();
                                client.send(answer);
                              }};
  auto options = options_for(server.url());
  options.connect_timeout = 5s;
  auto connected = run_coro(try_to_connect(std::move(options)));
  EXPECT_FALSE(connected);
  return connected ? error{} : connected.error();
}

TEST(HostileServer, IsRefusedWhereItIsNoRedis) {
  for (const std::string_view answer :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n", ":1\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
        "*1\r\n+x\r\n", "%1\r\n+proto\r\n:3\r\n"}) {
    const error why = refusal_of(answer);
    EXPECT_EQ(why.code, "not_redis") << answer << ": " << why.detail;
    EXPECT_EQ(why.kind, errc::unsupported);
  }
  EXPECT_NE(refusal_of("\x15\x03\x01").detail.find("rediss://"), std::string::npos);
}

TEST(HostileServer, IsRefusedWhereItIsTooOld) {
  EXPECT_EQ(refusal_of("-ERR unknown command `HELLO`, with args beginning with: \r\n").code,
            "server_too_old");
  EXPECT_EQ(refusal_of("-NOPROTO unsupported protocol version\r\n").code, "server_too_old");
  const error old = refusal_of(hostile_server::greeting("6.0.16", "standalone"));
  EXPECT_EQ(old.code, "server_too_old");
  EXPECT_NE(old.detail.find("6.0.16"), std::string::npos);
  EXPECT_EQ(refusal_of(hostile_server::greeting("7.0.0", "sentinel")).code, "not_redis");
}

TEST(HostileServer, ThatClosesAtOnceMayWantTls) {
  const error why = refusal_of("");
  EXPECT_EQ(why.code, "redis_unreachable");
  EXPECT_NE(why.detail.find("rediss://"), std::string::npos);
}

TEST(HostileServer, ThatNeverAnswersHelloIsGivenUp) {
  const hostile_server server{1, [](peer& client, std::size_t) { client.listen(); }};
  auto options = options_for(server.url());
  options.connect_timeout = 50ms;
  const auto connected = run_coro(try_to_connect(std::move(options)));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, "redis_unreachable");
  EXPECT_NE(connected.error().detail.find("HELLO in time"), std::string::npos);
}

awaitable<result<reply>> call_once(connection_options options, command what, send_options how) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto got = co_await to.call(std::move(what), how);
  to.close();
  co_return got;
}

// Not after its whole time, although requests wait while there is no connection.
TEST(HostileServer, ThatRefusesFailsRequestsAtOnce) {
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.take();
                                client.send("-WRONGPASS invalid\r\n");
                              }};
  auto options = options_for(server.url());
  options.where.password = "guess";
  options.backoff.base = options.backoff.max = 1h;
  const auto started = steady::now();
  const auto got = run_coro(call_once(std::move(options), command{"PING"}, 20s));
  EXPECT_EQ(shown(got), "wrong_password");
  EXPECT_LT(steady::now() - started, 10s);
}

TEST(HostileServer, IsUnderstoodHoweverItsRepliesAreCut) {
  std::string replies;
  for (int i = 0; i < 50; ++i) {
    const std::string value = "v" + std::to_string(i);
    replies += ">3\r\n+message\r\n+c\r\n+x\r\n";
    replies += "|1\r\n+a\r\n:1\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  }
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U}) {
    const hostile_server server{1, [&replies, piece](peer& client, std::size_t) {
                                  client.greet();
                                  client.take(50);
                                  client.send_in_pieces(replies, piece);
                                  client.listen();
                                }};
    auto options = options_for(server.url());
    int pushes = 0;
    options.on_push = [&pushes](const reply& push) { pushes += push.size() == 3 ? 1 : 0; };
    const auto each = [](connection_options with) -> awaitable<int> {
      connection to{co_await asio::this_coro::executor, std::move(with)};
      std::vector<command> batch;
      for (int i = 0; i < 50; ++i) batch.emplace_back("GET");
      auto got = co_await to.call_all(std::move(batch));
      int right = 0;
      for (int i = 0; i < 50; ++i) {
        if (shown(got[static_cast<std::size_t>(i)]) == "v" + std::to_string(i)) ++right;
      }
      to.close();
      co_return right;
    };
    EXPECT_EQ(run_coro(each(std::move(options))), 50) << piece;
    EXPECT_EQ(pushes, 50);
  }
}

awaitable<void> expect_late_reply_swallowed(connection_options options,
                                            std::promise<void>& first_given_up) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  // Connecting does not count: what is not written is not sent.
  const auto connected = co_await to.ready();
  EXPECT_TRUE(connected);
  auto first = co_await to.call(command{"GET"}, 30ms);
  EXPECT_EQ(shown(first), "timeout");
  EXPECT_EQ(first.error().kind, errc::deadline_exceeded);
  first_given_up.set_value();
  auto second = co_await to.call(command{"GET"}, 10s);
  EXPECT_EQ(shown(second), "second");
  EXPECT_EQ(to.status().late_replies, 1U);
  EXPECT_EQ(to.status().connects, 1U);
  co_await to.stop();
}

TEST(HostileServer, ThatAnswersTooLateAnswersNobodyElse) {
  std::promise<void> first_given_up;
  const hostile_server server{1, [&first_given_up](peer& client, std::size_t) {
                                client.greet();
                                client.take();
                                first_given_up.get_future().wait();
                                client.take();
                                client.send("$5\r\nfirst\r\n$6\r\nsecond\r\n");
                                client.listen();
                              }};
  run_coro(expect_late_reply_swallowed(options_for(server.url()), first_given_up));
}

awaitable<void> expect_dropped_when_silent(connection_options options) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto first = co_await to.call(command{"INCR"});
  EXPECT_EQ(shown(first), "timeout");
  auto second = co_await to.call(command{"GET"}, {20s, resend::if_lost});
  EXPECT_EQ(shown(second), "here");
  EXPECT_EQ(to.status().connects, 2U);
  EXPECT_EQ(to.status().lost_connections, 1U);
  co_await to.stop();
}

TEST(HostileServer, ThatFallsSilentIsLeft) {
  const hostile_server server{2, [](peer& client, std::size_t connection) {
                                client.greet();
                                if (connection == 0) return client.listen();
                                client.take();
                                client.send("$4\r\nhere\r\n");
                                client.listen();
                              }};
  auto options = options_for(server.url());
  options.request_timeout = 50ms;
  run_coro(expect_dropped_when_silent(std::move(options)));
}

awaitable<void> expect_resent_or_unknown(connection_options options) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto batch = std::make_shared<std::vector<std::string>>();
  const auto keep = [batch](const result<reply>& got) { batch->push_back(shown(got)); };
  (void)co_await to.ready();
  to.send(command{"INCR"}, {}, keep);
  to.send(command{"GET"}, resend::if_lost, keep);
  auto last = co_await to.call(command{"INCR"}.arg("last"));
  EXPECT_EQ(shown(last), "connection_lost");
  EXPECT_EQ(last.error().kind, errc::outcome_unknown);
  auto after = co_await to.call(command{"PING"});
  EXPECT_EQ(shown(after), "two");
  EXPECT_EQ(*batch, (std::vector<std::string>{"connection_lost", "one"}));
  EXPECT_EQ(to.status().resent, 1U);
  co_await to.stop();
}

// Cut at every byte of the first reply.
TEST(HostileServer, ThatClosesAmidAReplyLosesNothingThatCanBeRepeated) {
  const std::string_view half = "$100\r\nhalf";
  for (std::size_t cut = 0; cut <= half.size(); ++cut) {
    const hostile_server server{2, [half, cut](peer& client, std::size_t connection) {
                                  client.greet();
                                  if (connection == 0) {
                                    client.take(3);
                                    return client.send(half.substr(0, cut));
                                  }
                                  client.take(2);
                                  client.send("+one\r\n+two\r\n");
                                  client.listen();
                                }};
    run_coro(expect_resent_or_unknown(options_for(server.url())));
  }
}

awaitable<void> expect_new_connection(connection_options options) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto first = co_await to.call(command{"GET"}, resend::if_lost);
  EXPECT_EQ(shown(first), "right");
  EXPECT_EQ(to.status().connects, 2U);
  co_await to.stop();
}

TEST(HostileServer, ThatBreaksTheProtocolIsLeft) {
  for (const std::string_view nonsense :
       {"garbage\r\n", "$5\r\nabcdefgh", "*1\r\n>1\r\n+x\r\n", ":1x\r\n", "$999999999999\r\n"}) {
    const hostile_server server{2, [nonsense](peer& client, std::size_t connection) {
                                  client.greet();
                                  client.take();
                                  client.send(connection == 0 ? nonsense : "+right\r\n");
                                  client.listen();
                                }};
    run_coro(expect_new_connection(options_for(server.url())));
  }
}

// Its first answer may be right; after the second, which nobody asked for, nothing can be trusted.
TEST(HostileServer, ThatAnswersTwiceIsLeft) {
  const hostile_server server{
      2, [](peer& client, std::size_t connection) {
        client.greet();
        client.take();
        client.send(connection == 0 ? "+right\r\n+wrong\r\n" : "+right\r\n");
        client.listen();
      }};
  const auto twice = [](connection_options options) -> awaitable<void> {
    connection to{co_await asio::this_coro::executor, std::move(options)};
    auto first = co_await to.call(command{"GET"}, resend::if_lost);
    auto second = co_await to.call(command{"GET"}, resend::if_lost);
    EXPECT_EQ(shown(first) + shown(second), "rightright");
    EXPECT_EQ(to.status().connects, 2U);
    co_await to.stop();
  };
  run_coro(twice(options_for(server.url())));
}

TEST(HostileServer, ThatPushesWithoutEndStallsNoReply) {
  constexpr int pushes = 100'000;
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.greet();
                                client.take();
                                std::string flood;
                                for (int i = 0; i < pushes; ++i) flood += ">1\r\n+noise\r\n";
                                client.send(flood + "+answer\r\n");
                                client.listen();
                              }};
  const auto flooded = [](connection_options options) -> awaitable<void> {
    connection to{co_await asio::this_coro::executor, std::move(options)};
    auto got = co_await to.call(command{"GET"}, 20s);
    EXPECT_EQ(shown(got), "answer");
    EXPECT_EQ(to.status().pushes, static_cast<std::uint64_t>(pushes));
    co_await to.stop();
  };
  run_coro(flooded(options_for(server.url())));
}

awaitable<void> wait_for(std::chrono::milliseconds longest) {
  asio::steady_timer timer{co_await asio::this_coro::executor, longest};
  co_await timer.async_wait(asio::use_awaitable);
}

TEST(HostileServer, FillsNoMoreThanTheBounds) {
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.greet();
                                client.listen();
                              }};
  auto options = options_for(server.url());
  options.requests_max = 3;
  options.request_bytes_max = 1500;
  const auto bounded = [](connection_options with) -> awaitable<void> {
    connection to{co_await asio::this_coro::executor, std::move(with)};
    (void)co_await to.ready();
    auto codes = std::make_shared<std::vector<std::string>>();
    const auto keep = [codes](const result<reply>& got) { codes->push_back(shown(got)); };
    to.send(command{"A"}.arg(std::string(1000, 'x')), {200ms, resend::if_lost}, keep);
    to.send(command{"B"}.arg(std::string(1000, 'x')), 200ms, keep);
    to.send(command{"C"}, 200ms, keep);
    to.send(command{"D"}, 200ms, keep);
    auto beyond = co_await to.call(command{"E"});
    EXPECT_EQ(shown(beyond), "too_many_requests");
    EXPECT_EQ(beyond.error().kind, errc::exhausted);
    auto huge = co_await to.call(command{"F"}.arg(std::string(2000, 'x')));
    EXPECT_EQ(shown(huge), "request_too_large");
    co_await to.stop();
    EXPECT_EQ(*codes, (std::vector<std::string>{"too_many_request_bytes", "timeout", "timeout",
                                                "timeout"}));
  };
  run_coro(bounded(std::move(options)));
}

// Nobody listens: what is refused, is refused at once; what waits, waits no longer than it may.
TEST(HostileServer, ThatIsNotThereIsToldAtOnceOrInTime) {
  const std::string url = hostile_server{0, {}}.url();
  auto refusing = options_for(url);
  refusing.down_policy = when_down::refuse;
  const auto started = steady::now();
  const auto refused = run_coro(call_once(std::move(refusing), command{"PING"}, 20s));
  EXPECT_EQ(shown(refused), "redis_unreachable");
  EXPECT_EQ(refused.error().kind, errc::unavailable);
  EXPECT_TRUE(refused.error().retry_after);
  EXPECT_LT(steady::now() - started, 10s);
  const auto waited = run_coro(call_once(options_for(url), command{"PING"}, 50ms));
  EXPECT_EQ(shown(waited), "not_sent");
  EXPECT_EQ(waited.error().kind, errc::unavailable);
  EXPECT_NE(waited.error().detail.find("no Redis server answers"), std::string::npos)
      << waited.error().detail;
}

TEST(HostileServer, SeesSubscriptionsMadeAgainBeforeAnythingElse) {
  const hostile_server server{2, [](peer& client, std::size_t connection) {
                                client.greet();
                                client.take();
                                client.send(">3\r\n+subscribe\r\n+news\r\n:1\r\n");
                                client.take();
                                if (connection == 0) return;
                                client.send("+pong\r\n>3\r\n+message\r\n+news\r\n+hi\r\n");
                                client.listen();
                              }};
  const auto listening = [](connection_options options) -> awaitable<void> {
    std::promise<std::string> message;
    auto heard = message.get_future();
    options.on_push = [&message](const reply& push) {
      message.set_value(std::string{push[2].text()});
    };
    connection to{co_await asio::this_coro::executor, std::move(options)};
    auto confirmed = std::make_shared<std::string>();
    to.subscribe(subscription_kind::channel, "news",
                 [confirmed](const result<reply>& got) { *confirmed = got ? "yes" : "no"; });
    (void)co_await to.ready();
    auto pong = co_await to.call(command{"PING"}, {20s, resend::if_lost});
    EXPECT_EQ(shown(pong), "pong");
    EXPECT_EQ(*confirmed, "yes");
    co_await to.stop();
    EXPECT_EQ(heard.wait_for(0s), std::future_status::ready);
  };
  run_coro(listening(options_for(server.url())));
}

TEST(HostileServer, KeepsThePlaceOfACancelledRequest) {
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.greet();
                                client.take(2);
                                client.send("+first\r\n+second\r\n");
                                client.listen();
                              }};
  const auto cancelling = [](connection_options options) -> awaitable<void> {
    connection to{co_await asio::this_coro::executor, std::move(options)};
    (void)co_await to.ready();
    auto ended = std::make_shared<std::string>();
    const request_id id =
        to.send(command{"GET"}, {}, [ended](const result<reply>& got) { *ended = shown(got); });
    while (to.status().writes < 2) co_await wait_for(1ms);
    to.cancel(id);
    auto second = co_await to.call(command{"GET"}, 20s);
    EXPECT_EQ(shown(second), "second");
    EXPECT_EQ(*ended, "cancelled");
    EXPECT_EQ(to.status().late_replies, 1U);
    co_await to.stop();
  };
  run_coro(cancelling(options_for(server.url())));
}

}  // namespace
}  // namespace millrace::redis
