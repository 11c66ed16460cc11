#include <millrace/events/consumers.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::group_read;

const engine::group_key mailers{.stream = {.name = "flow"}, .group = "mailers"};

class Consumers : public testing::Test {
protected:
  void commit(engine::step what) {
    engine::transaction one;
    one.steps.push_back(std::move(what));
    ASSERT_TRUE(engine::blocking::commit(store_, std::move(one)));
  }
  void publish(std::string type) {
    commit(engine::publish_event{.stream = mailers.stream, .what = {.type = std::move(type)}});
  }
  result<group_read> read(std::string consumer, duration wait = 0s, duration lease = 30s) {
    return run_coro(
        readers_.read({.group = mailers, .consumer = std::move(consumer), .lease = lease}, wait));
  }
  /// Begins to wait, in the background.
  void wait_for(std::optional<result<group_read>>& into, asio::cancellation_slot stop = {}) {
    asio::co_spawn(context_, readers_.read({.group = mailers, .consumer = "late"}, 60s),
                   asio::bind_cancellation_slot(
                       stop, [&into](const std::exception_ptr&, result<group_read> got) {
                         into = std::move(got);
                       }));
    while (context_.poll_one() > 0) {
    }
  }
  void run_until(const std::optional<result<group_read>>& there) {
    context_.restart();
    while (!there && context_.run_one_for(10s) > 0) {
    }
    ASSERT_TRUE(there);
  }

  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  consumers readers_{store_};
  asio::io_context context_;
};

TEST_F(Consumers, ReadWithoutAWait) {
  EXPECT_TRUE(read("a").value().events.empty());
  publish("1");
  EXPECT_EQ(read("a").value().events.size(), 1U);
  EXPECT_TRUE(read("a").value().events.empty());
}

TEST_F(Consumers, AreWokenByAnEvent) {
  std::optional<result<group_read>> got;
  wait_for(got);
  EXPECT_FALSE(got);
  publish("1");
  run_until(got);
  EXPECT_EQ(got->value().events.front().what.type, "1");
}

TEST_F(Consumers, AreWokenByWhatIsGivenBack) {
  publish("1");
  ASSERT_EQ(read("a").value().events.size(), 1U);
  std::optional<result<group_read>> got;
  wait_for(got);
  EXPECT_FALSE(got);
  ASSERT_TRUE(run_coro(readers_.settle({.group = mailers,
                                        .consumer = "a",
                                        .offsets = {1},
                                        .what = engine::settle_deliveries::verdict::again})));
  run_until(got);
  EXPECT_EQ(got->value().events.front().deliveries, 2U);
}

TEST_F(Consumers, LookWhenALeaseEnds) {
  publish("1");
  ASSERT_EQ(read("a", 0s, 1s).value().events.size(), 1U);
  clock_.advance(1s - 1us);
  std::optional<result<group_read>> got;
  wait_for(got);
  EXPECT_FALSE(got);
  clock_.advance(1us);
  run_until(got);
  EXPECT_EQ(got->value().events.front().deliveries, 2U);
}

TEST_F(Consumers, KeepNothingThatTheyGaveUp) {
  asio::cancellation_signal stop;
  std::optional<result<group_read>> got;
  wait_for(got, stop.slot());
  stop.emit(asio::cancellation_type::terminal);
  run_until(got);
  EXPECT_EQ(got->error().kind, errc::cancelled);
  publish("1");
  EXPECT_EQ(read("a").value().events.size(), 1U);
}

TEST_F(Consumers, BeginAtATime) {
  publish("1");
  clock_.advance(1min);
  const timestamp time = clock_.now();
  publish("2");
  const auto begin = [&](timestamp at) {
    return run_coro(readers_.start_at(mailers.stream, at)).value();
  };
  EXPECT_EQ(begin(time - 2min).at, engine::group_start::place::earliest);
  commit(engine::put_group{.group = mailers, .start = begin(time)});
  const group_read got = read("a").value();
  ASSERT_EQ(got.events.size(), 1U);
  EXPECT_EQ(got.events.front().what.type, "2");
}

TEST_F(Consumers, RefuseAWaitThatIsTooLong) {
  const auto refused = read("a", 61s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "wait");
}

}  // namespace
}  // namespace millrace
