// Many requests of all kinds, given up and timed out at random, over connections that are cut and
// killed at random: every answer is checked against its request.
//
// MILLRACE_REDIS_CHAOS_REQUESTS and MILLRACE_REDIS_CHAOS_SEED choose another size and repeat a run.

#include "cutting_proxy.hpp"
#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;
using testing::cutting_proxy;
using testing::redis_server;

constexpr std::size_t in_flight_max = 400;
constexpr std::size_t counters = 8;
constexpr std::size_t known_keys = 100;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::stoull(text);
}

std::string known_value(std::size_t key) {
  return fmt::format("value of {}:{}", key, std::string(key, 'v'));
}

// What came back, all told.
struct tally {
  std::atomic<std::size_t> right{0};
  std::atomic<std::size_t> wrong{0};
  std::atomic<std::size_t> failed{0};
  std::atomic<std::size_t> twice{0};
  std::array<std::atomic<std::int64_t>, counters> counted{};
  std::array<std::atomic<std::int64_t>, counters> maybe_counted{};
  std::mutex mutex;
  std::map<std::string, std::size_t, std::less<>> codes;
  std::string first_wrong;

  void note_failure(const error& why) {
    ++failed;
    const std::lock_guard lock(mutex);
    ++codes[std::string{why.code}];
    static constexpr std::array<std::string_view, 6> expected{
        "connection_lost", "timeout", "cancelled", "not_sent", "redis_unreachable", "wrong_type"};
    if (std::ranges::find(expected, why.code) == expected.end()) {
      ++wrong;
      if (first_wrong.empty()) first_wrong = why.detail;
    }
  }
  void note(bool as_expected, std::string_view asked) {
    if (as_expected) {
      ++right;
      return;
    }
    ++wrong;
    const std::lock_guard lock(mutex);
    if (first_wrong.empty()) first_wrong = asked;
  }
};

// Frees the place of one request, and sees to it that it was answered once.
class answered_once final {
public:
  answered_once(std::counting_semaphore<>& places, tally& all) : places_(&places), all_(&all) {}
  void operator()() {
    if (std::exchange(done_, true)) ++all_->twice;
    places_->release();
  }

private:
  std::counting_semaphore<>* places_;
  tally* all_;
  bool done_{false};
};

class sender final {
public:
  sender(connection& to, tally& all, std::counting_semaphore<>& places, std::uint64_t seed)
      : to_(to), all_(all), places_(places), random_(seed) {}

  void run(std::size_t requests) {
    for (std::size_t i = 0; i < requests; ++i) {
      places_.acquire();
      send_one();
      if (random_() % 8 == 0) to_.cancel(recent_[random_() % recent_.size()]);
    }
  }

private:
  std::string token() {
    const std::size_t length = random_() % 50 == 0 ? random_() % 20'000 : random_() % 100;
    return fmt::format("{}:{}", random_(), std::string(length, 't'));
  }
  send_options how() {
    const resend again = random_() % 2 == 0 ? resend::never : resend::if_lost;
    if (random_() % 4 == 0) return {std::chrono::milliseconds{1 + random_() % 20}, again};
    return again;
  }
  void remember(request_id id) { recent_[random_() % recent_.size()] = id; }

  void send_one() {
    switch (random_() % 7) {
      case 0:
      case 1: return send_echo();
      case 2: return send_get();
      case 3: return send_count();
      case 4: return send_script();
      case 5: return send_mistake();
      default: return send_batch();
    }
  }

  void send_echo() {
    const std::string text = token();
    remember(to_.send(command{"ECHO"}.arg(text), how(),
                      [text, &all = all_, done = once()](const result<reply>& got) mutable {
                        if (!got) all.note_failure(got.error());
                        if (got) all.note(got->text() == text, "ECHO");
                        done();
                      }));
  }
  void send_get() {
    const std::size_t key = random_() % known_keys;
    remember(to_.send(command{"GET"}.key(fmt::format("known:{}", key)), how(),
                      [key, &all = all_, done = once()](const result<reply>& got) mutable {
                        if (!got) all.note_failure(got.error());
                        if (got) all.note(got->text() == known_value(key), "GET");
                        done();
                      }));
  }
  void send_count() {
    const std::size_t which = random_() % counters;
    remember(to_.send(command{"INCR"}.key(fmt::format("count:{}", which)), resend::never,
                      [which, &all = all_, done = once()](const result<reply>& got) mutable {
                        if (got) {
                          ++all.counted[which];
                          all.note(got->kind() == reply_kind::integer, "INCR");
                        } else {
                          // Unavailable means: surely not carried out.
                          if (got.error().kind != errc::unavailable) ++all.maybe_counted[which];
                          all.note_failure(got.error());
                        }
                        done();
                      }));
  }
  void send_script() {
    const std::string text = token();
    remember(
        to_.send(command{"EVAL"}.arg("return {ARGV[1], {7, ARGV[2]}}").arg(0).arg(text).arg("z"),
                 how(), [text, &all = all_, done = once()](const result<reply>& got) mutable {
                   if (!got) all.note_failure(got.error());
                   if (got) {
                     all.note(got->size() == 2 && (*got)[0].text() == text &&
                                  (*got)[1].size() == 2 && (*got)[1][0].integer() == 7,
                              "EVAL");
                   }
                   done();
                 }));
  }
  // A value of another kind: the error is this request's alone.
  void send_mistake() {
    remember(to_.send(command{"LPUSH"}.key("known:1").arg("x"), how(),
                      [&all = all_, done = once()](const result<reply>& got) mutable {
                        if (got) all.note(false, "LPUSH");
                        if (!got) all.note_failure(got.error());
                        done();
                      }));
  }
  void send_batch() {
    const std::string text = token();
    const std::size_t key = random_() % known_keys;
    std::vector<command> batch;
    batch.emplace_back("MULTI");
    batch.push_back(command{"ECHO"}.arg(text));
    batch.push_back(command{"GET"}.key(fmt::format("known:{}", key)));
    batch.emplace_back("EXEC");
    remember(to_.send_all(
        std::move(batch), how(),
        [text, key, &all = all_, done = once()](const std::vector<result<reply>>& got) mutable {
          if (got.size() != 4) all.note(false, "MULTI");
          if (got.size() == 4 && got[3]) {
            all.note(got[3]->size() == 2 && (*got[3])[0].text() == text &&
                         (*got[3])[1].text() == known_value(key),
                     "MULTI");
          } else if (got.size() == 4) {
            all.note_failure(got[3].error());
          }
          done();
        }));
  }
  answered_once once() { return {places_, all_}; }

  connection& to_;
  tally& all_;
  std::counting_semaphore<>& places_;
  std::mt19937_64 random_;
  std::array<request_id, 64> recent_{};
};

connection_options options_for(std::uint16_t port) {
  connection_options options;
  options.where.port = port;
  options.backoff.base = 1ms;
  options.backoff.max = 10ms;
  return options;
}

// On threads that may block.
result<reply> call(connection& to, command what) {
  std::binary_semaphore there{0};
  result<reply> answer;
  to.send(std::move(what), {10s, resend::if_lost}, [&answer, &there](result<reply> got) {
    answer = std::move(got);
    there.release();
  });
  there.acquire();
  return answer;
}

// Kills every client of the server but itself, again and again.
void kill_clients(connection& direct, std::mt19937_64 random, const std::atomic<bool>& over) {
  while (!over) {
    // A few round trips in between, more or less.
    for (auto n = random() % 2000; n > 0 && !over; --n) (void)call(direct, command{"PING"});
    (void)call(direct,
               command{"CLIENT"}.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes"));
    (void)call(direct, command{"PUBLISH"}.arg("noise").arg("x"));
  }
}

TEST(RedisChaos, NoReplyEverReachesAnotherRequest) {
  const std::uint64_t requests = from_environment("MILLRACE_REDIS_CHAOS_REQUESTS", 50'000);
  const std::uint64_t seed = from_environment("MILLRACE_REDIS_CHAOS_SEED", std::random_device{}());
  fmt::print("MILLRACE_REDIS_CHAOS_SEED={}\n", seed);
  std::mt19937_64 random{seed};
  redis_server server;
  cutting_proxy proxy{server.port(), 200'000, static_cast<std::uint32_t>(random())};
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  std::thread loop{[&context] { context.run(); }};
  tally all;
  {
    connection direct{context.get_executor(), options_for(server.port())};
    for (std::size_t i = 0; i < known_keys; ++i) {
      ASSERT_TRUE(call(direct, command{"SET"}.key(fmt::format("known:{}", i)).arg(known_value(i))));
    }
    auto options = options_for(proxy.port());
    std::atomic<std::size_t> pushes{0};
    options.on_push = [&pushes](const reply&) { ++pushes; };
    options.setup.push_back(
        command{"CLIENT"}.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg("count:"));
    connection to{context.get_executor(), std::move(options)};
    to.subscribe(subscription_kind::channel, "noise", [](const result<reply>&) {});

    std::counting_semaphore<> places{in_flight_max};
    std::atomic<bool> over{false};
    std::thread killer{kill_clients, std::ref(direct), std::mt19937_64{random()}, std::cref(over)};
    std::vector<std::thread> senders;
    for (int t = 0; t < 2; ++t) {
      senders.emplace_back([&to, &all, &places, each = random(), requests] {
        sender{to, all, places, each}.run(requests / 2);
      });
    }
    for (auto& each : senders) each.join();
    // The last answers.
    for (std::size_t i = 0; i < in_flight_max; ++i) places.acquire();
    over = true;
    killer.join();
    proxy.stop_cutting();

    for (std::size_t i = 0; i < counters; ++i) {
      const auto got = call(direct, command{"GET"}.key(fmt::format("count:{}", i)));
      const std::int64_t counted =
          got && !got->is_null() ? got->view().as_integer().value_or(-1) : 0;
      EXPECT_GE(counted, all.counted[i]);
      EXPECT_LE(counted, all.counted[i] + all.maybe_counted[i]);
    }
    // What was given up is still owed; behind it comes this.
    EXPECT_TRUE(call(to, command{"PING"}));
    const connection_status told = to.status();
    fmt::print(
        "{} right, {} failed, {} late replies, {} resent, {} lost connections ({} cut), {} "
        "pushes, {} writes\n",
        all.right.load(), all.failed.load(), told.late_replies, told.resent, told.lost_connections,
        proxy.cuts(), pushes.load(), told.writes);
    for (const auto& [code, count] : all.codes) fmt::print("  {}: {}\n", code, count);
    EXPECT_EQ(all.wrong, 0U) << all.first_wrong;
    EXPECT_EQ(all.twice, 0U);
    EXPECT_EQ(all.right + all.failed, requests / 2 * 2);
    EXPECT_GT(all.right, requests / 4);
    EXPECT_GT(told.lost_connections, 3U);
    EXPECT_EQ(told.outstanding, 0U);
  }
  work.reset();
  loop.join();
}

// Each thread waits for its answer, so that most requests are written by the thread that sends
// them.
TEST(RedisChaos, NorWhereThoseWhoSendWriteThemselves) {
  const std::uint64_t kills = from_environment("MILLRACE_REDIS_CHAOS_REQUESTS", 50'000) / 1000;
  redis_server server;
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  std::thread loop{[&context] { context.run(); }};
  std::atomic<std::size_t> right{0};
  std::atomic<std::size_t> wrong{0};
  {
    connection direct{context.get_executor(), options_for(server.port())};
    connection to{context.get_executor(), options_for(server.port())};
    std::vector<std::thread> senders;
    for (int t = 0; t < 3; ++t) {
      senders.emplace_back([&, t] {
        for (std::size_t i = 0;; ++i) {
          const std::string mine = fmt::format("{}:{}", t, i);
          const auto got = call(to, command{"ECHO"}.arg(mine));
          if (got) ++(got->text() == mine ? right : wrong);
          if (!got && got.error().code == "cancelled") return;
        }
      });
    }
    for (std::uint64_t i = 0; i < kills; ++i) {
      const std::size_t before = right;
      while (right < before + 20) std::this_thread::yield();
      const auto killed = call(
          direct, command{"CLIENT"}.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes"));
      EXPECT_TRUE(killed);
    }
    to.close();
    for (auto& each : senders) each.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(to.status().outstanding, 0U);
  }
  work.reset();
  loop.join();
}

}  // namespace
}  // namespace millrace::redis
