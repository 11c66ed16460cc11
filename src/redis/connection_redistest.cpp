// Against real redis-servers of the test's own.

#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;
using testing::redis_server;
using steady = std::chrono::steady_clock;

connection_options options_for(const std::string& url) {
  auto parsed = parse_address(url, "redis");
  MILLRACE_ASSERT(parsed);
  connection_options options;
  options.where = std::move(*parsed);
  options.backoff.base = 1ms;
  options.backoff.max = 20ms;
  // A busy machine is no reason to give up.
  options.request_timeout = 15s;
  return options;
}

redis_server& plain_server() {
  static redis_server server;
  return server;
}

std::string shown(const result<reply>& got) {
  if (!got) return std::string{got.error().code};
  if (got->kind() == reply_kind::integer) return std::to_string(got->integer());
  return std::string{got->text()};
}

awaitable<void> short_wait() {
  asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
  co_await timer.async_wait(asio::use_awaitable);
}

// One command on a connection of its own.
awaitable<result<reply>> call_once(connection_options options, command what) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto ready = co_await to.ready();
  if (!ready) {
    to.close();
    co_return std::unexpected(ready.error());
  }
  auto got = co_await to.call(std::move(what));
  co_await to.stop();
  co_return got;
}

result<reply> once(const std::string& url, command what) {
  return run_coro(call_once(options_for(url), std::move(what)));
}

awaitable<void> set_and_get(std::string url) {
  connection to{co_await asio::this_coro::executor, options_for(url)};
  auto ready = co_await to.ready();
  EXPECT_TRUE(ready) << ready.error().detail;
  auto set = co_await to.call(command{"SET"}.key("a").arg("1").arg("PX").arg(60'000));
  EXPECT_EQ(shown(set), "OK");
  auto got = co_await to.call(command{"GET"}.key("a"), resend::if_lost);
  EXPECT_EQ(shown(got), "1");
  auto own = co_await to.call(command{"CLIENT"}.arg("GETNAME"));
  EXPECT_EQ(shown(own), "millrace");
  EXPECT_TRUE(version_at_least(to.status().version, 6, 2));
  EXPECT_EQ(to.status().outstanding, 0U);
  co_await to.stop();
  EXPECT_EQ(to.status().state, link_state::closed);
  auto after = co_await to.call(command{"PING"});
  EXPECT_EQ(shown(after), "cancelled");
}

TEST(RedisConnection, SpeaksOverTcp) { run_coro(set_and_get(plain_server().url())); }

TEST(RedisConnection, SpeaksOverAUnixSocketInAnotherDatabase) {
  run_coro(set_and_get("unix://" + plain_server().socket() + "?db=3"));
  EXPECT_EQ(shown(once(plain_server().url() + "/3", command{"GET"}.key("a"))), "1");
  EXPECT_TRUE(once(plain_server().url() + "/4", command{"GET"}.key("a"))->is_null());
}

TEST(RedisConnection, LooksUpNames) {
  const std::string port = std::to_string(plain_server().port());
  EXPECT_EQ(shown(once("redis://localhost:" + port, command{"PING"})), "PONG");
  EXPECT_EQ(shown(once("redis://no-such-host.invalid:" + port, command{"PING"})),
            "redis_unreachable");
}

TEST(RedisConnection, SaysWhichDatabaseIsNotThere) {
  const auto got = once(plain_server().url() + "/99", command{"PING"});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "wrong_database");
  EXPECT_NE(got.error().detail.find("/99: SELECT"), std::string::npos) << got.error().detail;
}

TEST(RedisConnection, KnowsUsersAndWhatTheyMayNot) {
  redis_server server{
      {"--requirepass", "s3cret", "--user", "ann", "on", ">p@ss", "~app:*", "+get", "+eval"}};
  const std::string place = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(shown(once("redis://:s3cret@" + place, command{"PING"})), "PONG");
  EXPECT_EQ(shown(once("redis://" + place, command{"PING"})), "password_required");
  EXPECT_EQ(shown(once("redis://:wrong@" + place, command{"PING"})), "wrong_password");
  EXPECT_EQ(shown(once("redis://bob:s3cret@" + place, command{"PING"})), "wrong_password");
  const std::string ann = "redis://ann:p%40ss@" + place;
  EXPECT_TRUE(once(ann, command{"GET"}.key("app:1")));
  const auto refusal = [&ann](command what) {
    const auto got = once(ann, std::move(what));
    EXPECT_EQ(shown(got), "no_permission");
    return got ? std::string{} : got.error().detail;
  };
  EXPECT_NE(refusal(command{"SET"}.key("app:1").arg("x")).find("+set"), std::string::npos);
  EXPECT_NE(refusal(command{"GET"}.key("other")).find("~<pattern"), std::string::npos);
  // Valkey says which.
  const std::string in_script =
      refusal(command{"EVAL"}.arg("return redis.call('set',KEYS[1],1)").arg(1).key("app:1"));
  EXPECT_TRUE(in_script.contains("+<the command>") || in_script.contains("+set")) << in_script;
  EXPECT_NE(refusal(command{"EVAL"}.arg("return redis.call('get','x')").arg(0)).find("~<pattern"),
            std::string::npos);
  // The database is chosen before anything else: what lacks is named at the start.
  const auto other_database = once(ann + "/1", command{"GET"}.key("app:1"));
  EXPECT_EQ(shown(other_database), "no_permission");
  EXPECT_NE(other_database.error().detail.find("+select"), std::string::npos);
}

TEST(RedisConnection, TellsWhatTheServerRefuses) {
  const std::string url = plain_server().url();
  (void)once(url, command{"LPUSH"}.key("list").arg("x"));
  EXPECT_EQ(shown(once(url, command{"GET"}.key("list"))), "wrong_type");
  EXPECT_EQ(
      shown(once(url, command{"EVAL"}.arg("return redis.call('get',KEYS[1])").arg(1).key("list"))),
      "wrong_type");
  EXPECT_EQ(shown(once(url, command{"EVALSHA"}.arg(std::string(40, 'a')).arg(0))), "no_script");
  EXPECT_EQ(shown(once(url, command{"NOSUCH"})), "unknown_command");
}

TEST(RedisConnection, TellsAFullServerAndAReplica) {
  redis_server full{{"--maxmemory", "1mb", "--maxmemory-policy", "noeviction"}};
  EXPECT_EQ(shown(once(full.url(), command{"SET"}.key("a").arg(std::string(2 << 20, 'x')))),
            "redis_out_of_memory");
  redis_server replica{{"--replicaof", "127.0.0.1 1"}};
  EXPECT_EQ(shown(once(replica.url(), command{"SET"}.key("a").arg("x"))), "read_only_replica");
}

awaitable<void> facts_of(std::string url, server_facts& into) {
  connection to{co_await asio::this_coro::executor, options_for(url)};
  auto facts = co_await to.facts();
  EXPECT_TRUE(facts);
  if (facts) into = *facts;
  co_await to.stop();
}

TEST(RedisConnection, AsksForFacts) {
  redis_server server{{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly",
                       "yes", "--appendfsync", "always"}};
  server_facts facts;
  run_coro(facts_of(server.url(), facts));
  EXPECT_TRUE(version_at_least(facts.version, 6, 2));
  EXPECT_EQ(facts.mode, "standalone");
  EXPECT_EQ(facts.role, "master");
  EXPECT_EQ(facts.maxmemory, 100U << 20U);
  EXPECT_TRUE(facts.evicts());
  EXPECT_TRUE(facts.aof_enabled);
  EXPECT_EQ(facts.appendfsync, "always");
}

awaitable<void> busy_then_served(std::string url) {
  connection to{co_await asio::this_coro::executor, options_for(url)};
  auto looping = std::make_shared<std::string>();
  to.send(command{"EVAL"}.arg("while true do end").arg(0), {},
          [looping](const result<reply>& got) { *looping = shown(got); });
  connection other{co_await asio::this_coro::executor, options_for(url)};
  std::string told;
  while (told != "redis_busy") {
    auto got = co_await other.call(command{"GET"}.key("x"));
    told = shown(got);
  }
  auto killed = co_await other.call(command{"SCRIPT"}.arg("KILL"));
  EXPECT_EQ(shown(killed), "OK");
  auto after = co_await to.call(command{"PING"});
  EXPECT_EQ(shown(after), "PONG");
  EXPECT_EQ(*looping, "script_killed");
  co_await to.stop();
  co_await other.stop();
}

TEST(RedisConnection, TellsAScriptThatHoldsTheServerUp) {
  redis_server server{{"--busy-reply-threshold", "50"}};
  run_coro(busy_then_served(server.url()));
}

awaitable<void> batches(std::string url) {
  connection to{co_await asio::this_coro::executor, options_for(url)};
  std::vector<command> batch;
  batch.push_back(command{"SET"}.key("b").arg("1"));
  batch.push_back(command{"LPUSH"}.key("b").arg("x"));
  batch.push_back(command{"INCR"}.key("b"));
  auto got = co_await to.call_all(std::move(batch));
  EXPECT_EQ(shown(got.at(0)), "OK");
  EXPECT_EQ(shown(got.at(1)), "wrong_type");
  EXPECT_EQ(shown(got.at(2)), "2");
  std::vector<command> transaction;
  transaction.emplace_back("MULTI");
  transaction.push_back(command{"INCR"}.key("b"));
  transaction.push_back(command{"LPUSH"}.key("b").arg("x"));
  transaction.emplace_back("EXEC");
  auto done = co_await to.call_all(std::move(transaction));
  EXPECT_EQ(shown(done.at(1)), "QUEUED");
  EXPECT_EQ(done.at(3)->size(), 2U);
  EXPECT_EQ((*done.at(3))[0].integer(), 3);
  EXPECT_EQ((*done.at(3))[1].as_integer().error().code, "wrong_type");
  auto nothing = co_await to.call_all({});
  EXPECT_TRUE(nothing.empty());
  co_await to.stop();
}

TEST(RedisConnection, SendsBatchesAndTransactions) { run_coro(batches(plain_server().url())); }

awaitable<void> survives_kills(std::string url) {
  auto options = options_for(url);
  auto heard = std::make_shared<std::vector<std::string>>();
  auto states = std::make_shared<std::vector<link_state>>();
  options.on_push = [heard](const reply& push) { heard->emplace_back(push[2].text()); };
  options.on_state = [states](link_state now, const error*) { states->push_back(now); };
  options.setup.push_back(command{"CLIENT"}.arg("NO-EVICT").arg("off"));
  connection to{co_await asio::this_coro::executor, std::move(options)};
  connection other{co_await asio::this_coro::executor, options_for(url)};
  to.subscribe(subscription_kind::channel, "news",
               [](const result<reply>& got) { EXPECT_TRUE(got); });
  to.subscribe(subscription_kind::pattern, "n*",
               [](const result<reply>& got) { EXPECT_TRUE(got); });
  (void)co_await to.call(command{"PING"});
  for (int i = 0; i < 3; ++i) {
    auto killed =
        co_await other.call(command{"CLIENT"}.arg("KILL").arg("ID").arg(to.status().client_id));
    EXPECT_EQ(shown(killed), "1");
    auto again = co_await to.call(command{"PING"}, resend::if_lost);
    EXPECT_EQ(shown(again), "PONG");
    auto published = co_await other.call(command{"PUBLISH"}.arg("news").arg(i));
    EXPECT_EQ(shown(published), "2");
    (void)co_await to.call(command{"PING"});
  }
  EXPECT_EQ(heard->size(), 6U);
  EXPECT_EQ(to.status().connects, 4U);
  auto gone = std::make_shared<bool>(false);
  to.unsubscribe(subscription_kind::channel, "news",
                 [gone](const result<reply>& got) { *gone = got.has_value(); });
  (void)co_await to.call(command{"PING"});
  EXPECT_TRUE(*gone);
  auto published = co_await other.call(command{"PUBLISH"}.arg("news").arg("x"));
  EXPECT_EQ(shown(published), "1");
  co_await to.stop();
  co_await other.stop();
  using enum link_state;
  const std::vector<link_state> round{down, connecting, ready};
  EXPECT_EQ(states->size(), 1 + 3 * round.size() + 1);
  EXPECT_EQ(states->back(), closed);
}

TEST(RedisConnection, ComesBackWithItsSubscriptions) {
  run_coro(survives_kills(plain_server().url()));
}

awaitable<void> refused_subscription(std::string url) {
  connection to{co_await asio::this_coro::executor, options_for(url)};
  auto refusal = std::make_shared<std::string>();
  to.subscribe(subscription_kind::channel, "secret",
               [refusal](const result<reply>& got) { *refusal = shown(got); });
  auto behind = co_await to.call(command{"PING"});
  EXPECT_EQ(shown(behind), "PONG");
  EXPECT_EQ(*refusal, "no_permission");
  co_await to.stop();
}

TEST(RedisConnection, TellsARefusedSubscriptionToItsCallerAlone) {
  redis_server server{{"--user", "default", "on", "nopass", "~*", "&open", "+@all"}};
  run_coro(refused_subscription(server.url()));
}

// Confirmed by a push where other commands have a reply: the requests behind keep theirs.
awaitable<void> shards(std::string url) {
  auto options = options_for(url);
  auto heard = std::make_shared<std::vector<std::string>>();
  options.on_push = [heard](const reply& push) { heard->emplace_back(push[2].text()); };
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto confirmed = std::make_shared<int>(0);
  const auto count = [confirmed](const result<reply>& got) { *confirmed += got ? 1 : 0; };
  to.subscribe(subscription_kind::shard, "s", count);
  to.subscribe(subscription_kind::shard, "s", count);
  auto echo = co_await to.call(command{"ECHO"}.arg("mine"));
  EXPECT_EQ(shown(echo), "mine");
  auto published = co_await to.call(command{"SPUBLISH"}.key("s").arg("x"));
  EXPECT_EQ(shown(published), "1");
  to.unsubscribe(subscription_kind::shard, "s", count);
  // Redis confirms what has never been; Valkey refuses it.
  to.unsubscribe(subscription_kind::shard, "never", [confirmed](const result<reply>& got) {
    *confirmed += got || got.error().detail.contains("NOSUB") ? 1 : 0;
  });
  auto last = co_await to.call(command{"ECHO"}.arg("mine too"));
  EXPECT_EQ(shown(last), "mine too");
  EXPECT_EQ(*confirmed, 4);
  EXPECT_EQ(*heard, std::vector<std::string>{"x"});
  co_await to.stop();
}

TEST(RedisConnection, SubscribesToShardsInOrder) { run_coro(shards(plain_server().url())); }

awaitable<void> tracks(std::string url) {
  auto options = options_for(url);
  auto invalid = std::make_shared<std::vector<std::string>>();
  options.setup.push_back(command{"CLIENT"}.arg("TRACKING").arg("ON").arg("NOLOOP"));
  options.on_push = [invalid](const reply& push) {
    if (push[0].text() == "invalidate") invalid->emplace_back(push[1][0].text());
  };
  connection to{co_await asio::this_coro::executor, std::move(options)};
  connection other{co_await asio::this_coro::executor, options_for(url)};
  (void)co_await to.call(command{"GET"}.key("tracked"));
  (void)co_await other.call(command{"SET"}.key("tracked").arg("x"));
  (void)co_await to.call(command{"PING"});
  EXPECT_EQ(*invalid, std::vector<std::string>{"tracked"});
  co_await to.stop();
  co_await other.stop();
}

TEST(RedisConnection, HearsWhatItTracks) { run_coro(tracks(plain_server().url())); }

awaitable<void> survives_restart(redis_server& server) {
  connection to{co_await asio::this_coro::executor, options_for(server.url())};
  auto before = co_await to.call(command{"PING"});
  EXPECT_EQ(shown(before), "PONG");
  server.kill();
  auto while_down = co_await to.call(command{"PING"}, 50ms);
  EXPECT_FALSE(while_down);
  auto waiting = std::make_shared<std::string>();
  to.send(command{"PING"}, 15s, [waiting](const result<reply>& got) { *waiting = shown(got); });
  server.restart();
  auto after = co_await to.call(command{"PING"}, {15s, resend::if_lost});
  EXPECT_EQ(shown(after), "PONG");
  EXPECT_EQ(*waiting, "PONG");
  co_await to.stop();
}

TEST(RedisConnection, ServesAgainAfterARestart) {
  redis_server server;
  run_coro(survives_restart(server));
}

awaitable<void> survives_freeze(redis_server& server) {
  auto options = options_for(server.url());
  options.request_timeout = 200ms;
  options.connect_timeout = 200ms;
  connection to{co_await asio::this_coro::executor, std::move(options)};
  (void)co_await to.ready();
  server.freeze();
  auto overdue = co_await to.call(command{"INCR"}.key("frozen"));
  EXPECT_EQ(shown(overdue), "timeout");
  auto unsent = co_await to.call(command{"INCR"}.key("frozen"));
  EXPECT_FALSE(unsent);
  server.resume();
  auto after = co_await to.call(command{"PING"}, {15s, resend::if_lost});
  EXPECT_EQ(shown(after), "PONG");
  EXPECT_GE(to.status().lost_connections, 1U);
  co_await to.stop();
}

TEST(RedisConnection, LeavesAServerThatIsFrozen) {
  redis_server server;
  run_coro(survives_freeze(server));
}

// An idle connection notices by itself that it is dead.
awaitable<void> notices_by_itself(redis_server& server) {
  auto options = options_for(server.url());
  options.request_timeout = 50ms;
  options.health_check_interval = 20ms;
  connection to{co_await asio::this_coro::executor, std::move(options)};
  (void)co_await to.ready();
  while (to.status().requests < 2) co_await short_wait();
  EXPECT_EQ(to.status().state, link_state::ready);
  server.freeze();
  while (to.status().state == link_state::ready) co_await short_wait();
  EXPECT_EQ(to.status().lost_connections, 1U);
  server.resume();
  to.close();
}

TEST(RedisConnection, ChecksItsHealth) {
  redis_server server;
  run_coro(notices_by_itself(server));
}

// From many threads at once, each with its own keys.
TEST(RedisConnection, TakesRequestsFromAnyThread) {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  std::thread loop{[&context] { context.run(); }};
  {
    connection to{context.get_executor(), options_for(plain_server().url())};
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    std::atomic<int> answered{0};
    constexpr int each = 2000;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&to, &right, &answered, t] {
        for (int i = 0; i < each; ++i) {
          const std::string value = std::to_string(t) + ":" + std::to_string(i);
          to.send(command{"ECHO"}.arg(value), {},
                  [&right, &answered, value](const result<reply>& r) {
                    right += shown(r) == value ? 1 : 0;
                    ++answered;
                    answered.notify_one();
                  });
        }
      });
    }
    for (auto& thread : threads) thread.join();
    for (int n = answered; n < 4 * each; n = answered) answered.wait(n);
    EXPECT_EQ(right, 4 * each);
    // They shared their writes.
    EXPECT_LT(to.status().writes, 4U * each / 2);
  }
  work.reset();
  loop.join();
}

}  // namespace
}  // namespace millrace::redis
