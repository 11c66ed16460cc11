#include "request_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;

reply text_reply(std::string text, reply_kind kind = reply_kind::bulk) {
  detail::reply_node node{.size = static_cast<std::uint32_t>(text.size()), .kind = kind};
  return {node, {}, std::move(text)};
}

reply push_of(const std::string& kind, const std::string& channel) {
  std::vector<detail::reply_node> nodes(3);
  nodes[0] = {.size = 2, .end = 3, .kind = reply_kind::push};
  nodes[1] = {.size = static_cast<std::uint32_t>(kind.size()), .end = 2, .kind = reply_kind::bulk};
  nodes[2] = {.payload = static_cast<std::int64_t>(kind.size()),
              .size = static_cast<std::uint32_t>(channel.size()),
              .end = 3,
              .kind = reply_kind::bulk};
  return {nodes[0], nodes, kind + channel};
}

// A queue, what its requests came to, and a clock.
struct bench {
  request_counters counters;
  request_queue queue{counters};
  std::map<request_id, std::vector<std::string>> answers;
  moment now{};
  request_id last{0};

  request_id add(std::string name, resend again = resend::never,
                 std::chrono::milliseconds timeout = 1s) {
    const request_id id = ++last;
    request what{.id = id, .one = command{name}, .deadline = now + timeout, .again = again};
    what.done = reply_handler{[this, id](const result<reply>& got) {
      answers[id].push_back(got ? std::string{got->text()} : std::string{got.error().code});
    }};
    queue.add(std::move(what));
    return id;
  }
  request_id add_batch(std::vector<std::string> names, resend again = resend::never) {
    const request_id id = ++last;
    request what{.id = id, .deadline = now + 1s, .again = again};
    for (const std::string& name : names) what.batch.emplace_back(name);
    what.replies_expected = static_cast<std::uint32_t>(names.size());
    what.done = replies_handler{[this, id](const std::vector<result<reply>>& got) {
      std::string all;
      for (const auto& each : got) {
        all += (each ? std::string{each->text()} : std::string{each.error().code}) + ",";
      }
      answers[id].push_back(all);
    }};
    queue.add(std::move(what));
    return id;
  }
  // The names of what is written.
  std::string write(std::size_t bytes = 1 << 20) {
    std::string out;
    queue.write_to(out, bytes, now);
    std::string names;
    for (std::size_t at = out.find('$'); at != std::string::npos; at = out.find('$', at + 1)) {
      const std::size_t line = out.find("\r\n", at) + 2;
      names += out.substr(line, out.find("\r\n", line) - line);
    }
    return names;
  }
  bool answer_with(std::string text) { return queue.on_reply(text_reply(std::move(text))); }
  std::string answer(request_id id) {
    EXPECT_LE(answers[id].size(), 1U);
    return answers[id].empty() ? "" : answers[id].front();
  }
};

const error gone{.kind = errc::unavailable, .code = "connection_lost", .detail = "gone"};

TEST(RequestQueue, GivesRepliesInOrder) {
  bench b;
  const auto a = b.add("a");
  const auto c = b.add("c");
  EXPECT_EQ(b.write(), "ac");
  EXPECT_TRUE(b.answer_with("1"));
  EXPECT_EQ(b.answer(a), "1");
  EXPECT_EQ(b.answer(c), "");
  EXPECT_TRUE(b.answer_with("2"));
  EXPECT_EQ(b.answer(c), "2");
  EXPECT_FALSE(b.answer_with("3"));
  EXPECT_TRUE(b.queue.empty());
}

// Who is told the answer on another thread counts at once what is still outstanding.
TEST(RequestQueue, AnAnsweredRequestHasLeftItsPlace) {
  budget places{.requests_max = 8, .bytes_max = 1'000};
  bench b;
  std::vector<std::size_t> seen;
  const auto add = [&](resend again) {
    request what{.id = ++b.last, .one = command{"A"}, .deadline = b.now + 1s, .again = again};
    EXPECT_EQ(what.held.take(places, 10), place::outcome::taken);
    what.done = reply_handler{[&](const result<reply>&) { seen.push_back(places.requests); }};
    b.queue.add(std::move(what));
  };
  for (int i = 0; i < 2; ++i) add(resend::never);
  b.write();
  b.answer_with("A");
  EXPECT_EQ(seen, std::vector<std::size_t>{1});
  b.queue.on_lost({.kind = errc::unavailable, .code = "lost", .detail = "lost"});
  EXPECT_EQ(seen.back(), 0U);
  add(resend::never);
  b.queue.refuse_waiting({.kind = errc::unavailable, .code = "down", .detail = "down"});
  EXPECT_EQ(seen.back(), 0U);
  add(resend::if_lost);
  b.queue.close();
  EXPECT_EQ(seen, (std::vector<std::size_t>{1, 0, 0, 0}));
  EXPECT_EQ(places.bytes, 0U);
}

TEST(RequestQueue, WritesNoMoreThanAskedAndOneBeyond) {
  bench b;
  for (int i = 0; i < 4; ++i) b.add("x");
  EXPECT_EQ(b.write(1), "x");
  EXPECT_EQ(b.write(20), "xx");
  EXPECT_EQ(b.write(), "x");
}

TEST(RequestQueue, AGivenUpRequestKeepsItsPlace) {
  bench b;
  const auto cancelled = b.add("a");
  const auto overdue = b.add("b", resend::never, 10ms);
  const auto last = b.add("c");
  b.write();
  b.queue.cancel(cancelled);
  b.now += 10ms;
  b.queue.expire(b.now, std::nullopt);
  EXPECT_EQ(b.answer(cancelled), "cancelled");
  EXPECT_EQ(b.answer(overdue), "timeout");
  EXPECT_TRUE(b.answer_with("late a"));
  EXPECT_TRUE(b.answer_with("late b"));
  EXPECT_TRUE(b.answer_with("c"));
  EXPECT_EQ(b.answer(cancelled), "cancelled");
  EXPECT_EQ(b.answer(overdue), "timeout");
  EXPECT_EQ(b.answer(last), "c");
  EXPECT_EQ(b.counters.late_replies, 2U);
}

TEST(RequestQueue, WhatIsGivenUpBeforeItIsWrittenIsNotSent) {
  bench b;
  const auto cancelled = b.add("a");
  const auto overdue = b.add("b", resend::never, 10ms);
  const auto unlooked = b.add("c", resend::never, 20ms);
  const auto sent = b.add("d");
  b.queue.cancel(cancelled);
  b.now += 10ms;
  b.queue.expire(b.now, gone);
  b.now += 10ms;
  EXPECT_EQ(b.write(), "d");
  EXPECT_EQ(b.answer(cancelled), "cancelled");
  EXPECT_EQ(b.answer(overdue), "not_sent");
  EXPECT_EQ(b.answer(unlooked), "not_sent");
  EXPECT_TRUE(b.answer_with("d"));
  EXPECT_EQ(b.answer(sent), "d");
}

TEST(RequestQueue, OnlyWhatMayBeRepeatedIsSentAgain) {
  bench b;
  const auto done = b.add("a", resend::if_lost);
  const auto once = b.add("b");
  const auto twice = b.add("c", resend::if_lost);
  const auto cancelled = b.add("d", resend::if_lost);
  b.write();
  const auto unwritten = b.add("e");
  b.answer_with("1");
  b.queue.cancel(cancelled);
  b.queue.on_lost(gone);
  EXPECT_EQ(b.answer(done), "1");
  EXPECT_EQ(b.answer(once), "connection_lost");
  EXPECT_EQ(b.write(), "ce");
  b.answer_with("2");
  b.answer_with("3");
  EXPECT_EQ(b.answer(twice), "2");
  EXPECT_EQ(b.answer(unwritten), "3");
  EXPECT_EQ(b.counters.resent, 1U);
}

TEST(RequestQueue, SendsAgainABoundedNumberOfTimes) {
  bench b;
  const auto unlucky = b.add("a", resend::if_lost, 1h);
  for (int i = 0; i < resends_max; ++i) {
    EXPECT_EQ(b.write(), "a");
    b.queue.on_lost(gone);
    EXPECT_EQ(b.answer(unlucky), "");
  }
  EXPECT_EQ(b.write(), "a");
  b.queue.on_lost(gone);
  EXPECT_EQ(b.answer(unlucky), "connection_lost");
  EXPECT_TRUE(b.queue.empty());
}

TEST(RequestQueue, WhatWasWrittenOnceIsNeverCalledUnsent) {
  bench b;
  const auto overdue = b.add("a", resend::if_lost, 10ms);
  const auto refused = b.add("b", resend::if_lost);
  const auto unsent = b.add("c");
  EXPECT_EQ(b.write(20), "ab");
  b.queue.on_lost(gone);
  b.now += 10ms;
  b.queue.expire(b.now, gone);
  EXPECT_EQ(b.answer(overdue), "timeout");
  b.queue.refuse_waiting({.kind = errc::unavailable, .code = "redis_unreachable"});
  EXPECT_EQ(b.answer(refused), "connection_lost");
  EXPECT_EQ(b.answer(unsent), "redis_unreachable");
}

TEST(RequestQueue, ABatchIsAnsweredAndRepeatedAsAWhole) {
  bench b;
  const auto batch = b.add_batch({"a", "b"}, resend::if_lost);
  const auto once = b.add_batch({"c", "d"});
  EXPECT_EQ(b.write(), "abcd");
  b.answer_with("1");
  EXPECT_EQ(b.answer(batch), "");
  b.queue.on_lost(gone);
  EXPECT_EQ(b.answer(once), "connection_lost,connection_lost,");
  EXPECT_EQ(b.write(), "ab");
  b.answer_with("3");
  EXPECT_TRUE(b.queue.on_reply(text_reply("WRONGTYPE x", reply_kind::error)));
  EXPECT_EQ(b.answer(batch), "3,wrong_type,");
}

TEST(RequestQueue, ABatchKeepsWhatWasAnswered) {
  bench b;
  const auto batch = b.add_batch({"a", "b"});
  const auto behind = b.add("c");
  b.write();
  b.answer_with("1");
  b.queue.cancel(batch);
  EXPECT_EQ(b.answer(batch), "1,cancelled,");
  b.answer_with("2");
  b.answer_with("3");
  EXPECT_EQ(b.answer(behind), "3");
}

TEST(RequestQueue, ASubscriptionIsConfirmedByItsPushAlone) {
  bench b;
  const auto before = b.add("a");
  const auto id = ++b.last;
  request subscribing{.id = id,
                      .one = command{"SUBSCRIBE"}.arg("news"),
                      .deadline = b.now + 1s,
                      .answer = request::answered_by::confirmation};
  subscribing.done = reply_handler{[&b, id](const result<reply>& got) {
    b.answers[id].push_back(got ? std::string{(*got)[1].text()} : std::string{got.error().code});
  }};
  b.queue.add(std::move(subscribing));
  const auto behind = b.add("c");
  b.write();
  reply early = push_of("subscribe", "news");
  EXPECT_FALSE(b.queue.on_push(early));
  b.answer_with("1");
  reply other = push_of("subscribe", "sports");
  EXPECT_FALSE(b.queue.on_push(other));
  reply message = push_of("message", "news");
  EXPECT_FALSE(b.queue.on_push(message));
  EXPECT_FALSE(b.answer_with("no confirmation"));
  reply right = push_of("subscribe", "news");
  EXPECT_TRUE(b.queue.on_push(right));
  b.answer_with("3");
  EXPECT_EQ(b.answer(before), "1");
  EXPECT_EQ(b.answer(id), "news");
  EXPECT_EQ(b.answer(behind), "3");
}

TEST(RequestQueue, KnowsWhenTheServerHasBeenSilentForTooLong) {
  bench b;
  EXPECT_EQ(b.queue.silent_until(b.now, 3s), moment::max());
  b.add("a", resend::never, 10s);
  b.write();
  EXPECT_EQ(b.queue.silent_until(b.now, 3s), b.now + 10s);
  EXPECT_EQ(b.queue.silent_until(b.now + 9s, 3s), b.now + 12s);
  EXPECT_EQ(b.queue.next_deadline(), b.now + 10s);
  b.queue.cancel(1);
  EXPECT_EQ(b.queue.next_deadline(), moment::max());
  EXPECT_EQ(b.queue.silent_until(b.now, 3s), b.now + 10s);
}

// Whatever happens in whatever order: each request is answered once, and a value with its own.
TEST(RequestQueue, NeverGivesAReplyToAnother) {
  const auto seed = std::random_device{}();
  std::mt19937 random{seed};
  SCOPED_TRACE("seed " + std::to_string(seed));
  bench b;
  std::map<request_id, std::string> names;
  std::vector<std::string> server;
  for (int i = 0; i < 20'000; ++i) {
    switch (random() % 8) {
      case 0:
      case 1: {
        const std::string name = "n" + std::to_string(i);
        names[b.add(name, random() % 2 == 0 ? resend::never : resend::if_lost,
                    std::chrono::milliseconds{random() % 100})] = name;
        break;
      }
      case 2: {
        std::string out;
        b.queue.write_to(out, random() % 200, b.now);
        for (std::size_t at = out.find("\r\nn"); at != std::string::npos;
             at = out.find("\r\nn", at + 1)) {
          server.push_back(out.substr(at + 2, out.find("\r\n", at + 2) - at - 2));
        }
        break;
      }
      case 3:
      case 4:
      case 5:
        if (server.empty()) break;
        ASSERT_TRUE(b.answer_with(server.front()));
        server.erase(server.begin());
        break;
      case 6:
        if (b.last > 0) b.queue.cancel(b.last - random() % std::min<request_id>(b.last, 20));
        b.now += std::chrono::milliseconds{random() % 10};
        b.queue.expire(b.now, std::nullopt);
        break;
      default:
        if (random() % 20 != 0) break;
        server.clear();
        b.queue.on_lost(gone);
        break;
    }
  }
  b.queue.close();
  std::size_t values = 0;
  for (const auto& [id, name] : names) {
    ASSERT_EQ(b.answers[id].size(), 1U);
    const std::string got = b.answer(id);
    if (got.starts_with('n') && got != "not_sent") {
      EXPECT_EQ(got, name);
      ++values;
    }
  }
  EXPECT_GT(values, 100U);
}

}  // namespace
}  // namespace millrace::redis
