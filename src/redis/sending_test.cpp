// What a thread that sends does itself, and what it leaves to the connection's own.

#include "hostile_server.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;
using testing::hostile_server;
using peer = hostile_server::peer;

connection_options options_for(const hostile_server& server) {
  auto parsed = parse_address(server.url(), "redis");
  MILLRACE_ASSERT(parsed);
  connection_options options;
  options.where = std::move(*parsed);
  options.backoff.base = 1ms;
  options.backoff.max = 5ms;
  // A busy machine is no reason to give up.
  options.request_timeout = 30s;
  return options;
}

std::string shown(const result<reply>& got) {
  return std::string{got ? got->text() : std::string_view{got.error().code}};
}

/// A connection whose thread can be held up.
class held_connection final {
public:
  explicit held_connection(connection_options options)
      : work_(context_.get_executor()),
        thread_([this] { context_.run(); }),
        link(std::make_unique<connection>(context_.get_executor(), std::move(options))) {}
  ~held_connection() {
    link.reset();
    work_.reset();
    thread_.join();
  }
  held_connection(const held_connection&) = delete;
  held_connection& operator=(const held_connection&) = delete;

  /// What is answered, as text.
  std::future<std::string> send(command what) {
    auto told = std::make_shared<std::promise<std::string>>();
    auto answer = told->get_future();
    link->send(std::move(what), {},
               [told](const result<reply>& got) { told->set_value(shown(got)); });
    return answer;
  }
  /// Returns when the thread stands still; it goes on when the promise is kept.
  std::promise<void> hold() {
    std::promise<void> go_on;
    std::promise<void> held;
    asio::post(context_, [&held, until = go_on.get_future()]() mutable {
      held.set_value();
      until.wait();
    });
    held.get_future().wait();
    return go_on;
  }

private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;

public:
  std::unique_ptr<connection> link;
};

TEST(RedisSending, IsDoneByTheThreadThatSendsWhereNothingIsUnderWay) {
  std::promise<void> arrived;
  const hostile_server server{1, [&arrived](peer& client, std::size_t) {
                                client.greet();
                                client.take();
                                client.send("+one\r\n");
                                client.take();
                                arrived.set_value();
                                client.send("+two\r\n");
                                client.listen();
                              }};
  held_connection to{options_for(server)};
  ASSERT_EQ(to.send(command{"GET"}).get(), "one");
  auto go_on = to.hold();
  auto second = to.send(command{"GET"});
  // The server has it although the connection's own thread has done nothing.
  arrived.get_future().wait();
  EXPECT_EQ(second.wait_for(0s), std::future_status::timeout);
  go_on.set_value();
  EXPECT_EQ(second.get(), "two");
}

TEST(RedisSending, LeavesWhatDoesNotGoAtOnceAndKeepsTheOrder) {
  const command first = command{"SET"}.key("a").arg(std::string(std::size_t{24} << 20U, 'a'));
  const command second = command{"SET"}.key("b").arg(std::string(1000, 'b'));
  std::string wanted;
  first.write_to(wanted);
  second.write_to(wanted);
  std::promise<void> read_on;
  std::promise<bool> same;
  const hostile_server server{1, [&](peer& client, std::size_t) {
                                client.greet();
                                client.take();
                                client.send("+here\r\n");
                                read_on.get_future().wait();
                                std::string got(wanted.size(), '\0');
                                boost::asio::read(client.socket, boost::asio::buffer(got));
                                same.set_value(got == wanted);
                                client.send("+first\r\n+second\r\n");
                                client.listen();
                              }};
  held_connection to{options_for(server)};
  ASSERT_EQ(to.send(command{"PING"}).get(), "here");
  auto go_on = to.hold();
  // More than any socket takes while nobody reads.
  auto large = to.send(first);
  auto small = to.send(second);
  const auto writes = to.link->status().writes;
  read_on.set_value();
  go_on.set_value();
  EXPECT_TRUE(same.get_future().get());
  EXPECT_EQ(large.get(), "first");
  EXPECT_EQ(small.get(), "second");
  EXPECT_EQ(to.link->status().writes, writes + 1);
}

TEST(RedisSending, OfReplyHandlersIsOneWrite) {
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.greet();
                                client.take(3);
                                client.send("+1\r\n+2\r\n+3\r\n");
                                client.take(3);
                                client.send("+4\r\n+5\r\n+6\r\n");
                                client.listen();
                              }};
  held_connection to{options_for(server)};
  std::vector<std::future<std::string>> second;
  std::promise<std::uint64_t> all;
  for (int i = 0; i < 3; ++i) {
    to.link->send(command{"GET"}, {}, [&](const result<reply>& got) {
      EXPECT_TRUE(got);
      second.push_back(to.send(command{"GET"}));
      if (second.size() == 3) all.set_value(to.link->status().writes);
    });
  }
  const std::uint64_t before = all.get_future().get();
  std::string answers;
  for (auto& each : second) answers += each.get();
  EXPECT_EQ(answers, "456");
  EXPECT_EQ(to.link->status().writes, before + 1);
}

TEST(RedisSending, KeepsTheLoopAwakeForAWhileWhereAReplyIsOwed) {
  std::promise<void> answer;
  const hostile_server server{1, [&answer](peer& client, std::size_t) {
                                client.greet();
                                client.take();
                                answer.get_future().wait();
                                client.send("+late\r\n");
                                client.listen();
                              }};
  connection_options options = options_for(server);
  // More than there is to be had.
  options.busy_poll = 1h;
  held_connection to{std::move(options)};
  auto owed = to.send(command{"GET"});
  // Far longer than it may: whoever looks then twice sees the same.
  std::uint64_t turns = 0;
  std::uint64_t before = 0;
  do {
    before = std::exchange(turns, to.link->status().busy_turns);
    EXPECT_EQ(owed.wait_for(20ms), std::future_status::timeout);
  } while (turns == 0 || turns != before);
  answer.set_value();
  EXPECT_EQ(owed.get(), "late");
  EXPECT_EQ(to.link->status().busy_turns, turns);
}

TEST(RedisSending, LetsTheLoopSleepWhereNothingElseIsAskedFor) {
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.greet();
                                while (client.take()) client.send("+here\r\n");
                              }};
  held_connection to{options_for(server)};
  for (int i = 0; i < 20; ++i) ASSERT_EQ(to.send(command{"GET"}).get(), "here");
  EXPECT_EQ(to.link->status().busy_turns, 0U);
}

TEST(RedisSending, LetsTheLoopSleepOnceAllIsAnswered) {
  const hostile_server server{1, [](peer& client, std::size_t) {
                                client.greet();
                                while (client.take()) client.send("+here\r\n");
                              }};
  connection_options options = options_for(server);
  options.busy_poll = busy_poll_max;
  held_connection to{std::move(options)};
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(to.send(command{"GET"}).get(), "here");
    const std::uint64_t turns = to.link->status().busy_turns;
    std::this_thread::yield();
    ASSERT_EQ(to.link->status().busy_turns, turns);
  }
  EXPECT_GT(to.link->status().busy_turns, 0U);
}

TEST(RedisSending, ToAServerThatHasGoneIsAnsweredOnce) {
  constexpr std::size_t connections = 20;
  const hostile_server server{connections, [](peer& client, std::size_t) {
                                client.greet();
                                client.take();
                                client.send("+here\r\n");
                              }};
  held_connection to{options_for(server)};
  // Each connection ends behind its first answer, at about the time of the next request.
  std::size_t here = 0;
  while (here < connections) {
    const std::string got = to.send(command{"GET"}).get();
    if (got == "here") {
      ++here;
    } else {
      ASSERT_EQ(got, "connection_lost");
    }
  }
  EXPECT_EQ(to.link->status().outstanding, 0U);
}

TEST(RedisSending, WhileItIsClosedIsAnsweredToo) {
  for (int round = 0; round < 20; ++round) {
    const hostile_server server{1, [](peer& client, std::size_t) {
                                  client.greet();
                                  while (client.take()) client.send("+here\r\n");
                                }};
    held_connection to{options_for(server)};
    std::atomic<std::size_t> answered{0};
    std::vector<std::thread> senders;
    for (int t = 0; t < 2; ++t) {
      senders.emplace_back([&] {
        std::string got;
        do {
          got = to.send(command{"GET"}).get();
          ++answered;
        } while (got == "here");
        EXPECT_TRUE(got == "cancelled" || got == "connection_lost") << got;
      });
    }
    while (answered < 50) std::this_thread::yield();
    to.link->close();
    for (std::thread& each : senders) each.join();
  }
}

}  // namespace
}  // namespace millrace::redis
