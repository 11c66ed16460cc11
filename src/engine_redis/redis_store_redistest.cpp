#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

// What is Redis' own; how the engine behaves is shown by the conformance suite.
namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

const queue_key work{.name = "work"};

options options_for(const std::string& socket) {
  options out;
  out.where.over = redis::address::transport::unix_socket;
  out.where.path = socket;
  return out;
}

std::unique_ptr<redis_store> open_on(const redis_server& server, options with = {}) {
  with.where = options_for(server.socket()).where;
  auto opened = redis_store::open(std::move(with));
  if (opened) return std::move(*opened);
  ADD_FAILURE() << opened.error().code << ": " << opened.error().detail;
  return nullptr;
}

std::string refusal_of_opening(const redis_server& server) {
  const auto opened = redis_store::open(options_for(server.socket()));
  return opened ? "opened" : std::string(opened.error().code);
}

awaitable<std::string> send(std::string socket, std::vector<std::string> words) {
  redis::connection_options how;
  how.where = options_for(socket).where;
  how.use = redis::connection_use::dedicated;
  redis::connection link(co_await asio::this_coro::executor, std::move(how));
  redis::command what(words.front());
  for (std::size_t i = 1; i < words.size(); ++i) what.arg(words[i]);
  const result<redis::reply> answered = co_await link.call(std::move(what));
  co_await link.stop();
  co_return answered ? std::string(answered->text()) : std::string(answered.error().code);
}

/// What redis-cli would be used for.
std::string tell(const redis_server& server, std::vector<std::string> words) {
  return run_coro(send(server.socket(), std::move(words)));
}

template <class... Steps>
commit_result commit(store& where, Steps... steps) {
  transaction one;
  (one.steps.push_back(std::move(steps)), ...);
  return blocking::commit(where, std::move(one));
}

std::string word(const commit_result& done) {
  return done ? std::string("done") : std::string(done.error().why.code);
}

std::vector<leased_job> lease(store& where, std::uint32_t most, duration length = 30s) {
  const commit_result done =
      commit(where, lease_jobs{.queues = {work}, .max = most, .lease = length});
  if (!done) ADD_FAILURE() << word(done);
  return done ? std::get<jobs_leased>(done->outcomes.at(0)).jobs : std::vector<leased_job>();
}

std::uint64_t waiting_in(store& where) {
  const auto info = blocking::ask(where, find_queue{work});
  return info && *info ? (*info)->waiting : 0;
}

TEST(RedisStore, LoadsItsScriptAgainWhenTheServerForgotIt) {
  const redis_server server;
  const auto store = open_on(server);
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  EXPECT_EQ(tell(server, {"SCRIPT", "FLUSH"}), "OK");
  EXPECT_EQ(word(commit(*store, enqueue_job{.queue = work})), "done");
  EXPECT_EQ(waiting_in(*store), 2U);
}

TEST(RedisStore, IsOneStoreInAllProcessesOfAPrefix) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  const auto elsewhere = open_on(server, {.prefix = "elsewhere"});
  const enqueue_job unique{.queue = work, .spec = {.unique = unique_spec{.key = "k"}}};
  ASSERT_TRUE(commit(*first, unique));
  const commit_result again = commit(*second, unique);
  ASSERT_TRUE(again);
  EXPECT_TRUE(std::get<job_enqueued>(again->outcomes[0]).duplicate);
  EXPECT_EQ(waiting_in(*elsewhere), 0U);
  const auto taken = lease(*second, 10);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_TRUE(lease(*first, 10).empty());
  EXPECT_EQ(word(commit(*first, ack_job{.id = taken[0].what.id, .token = taken[0].token})), "done");
}

TEST(RedisStore, WakesTheWaitersOfOtherProcesses) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  auto jobs = second->hints().listen({queue_topic(work.project, work.name)});
  const commit_result made = commit(*first, enqueue_job{.queue = work});
  ASSERT_TRUE(made);
  EXPECT_TRUE(run_coro(jobs.wait(10s)));
  // Who waits for a job looks at it first, and with that asks for hints.
  const job_id id = std::get<job_enqueued>(made->outcomes[0]).made.id;
  auto changes = second->hints().listen({job_topic(id.text())});
  ASSERT_TRUE(*blocking::ask(*second, find_job{id}));
  ASSERT_TRUE(commit(*first, cancel_job{id}));
  EXPECT_TRUE(run_coro(changes.wait(10s)));
}

TEST(RedisStore, PromotesWhatIsDueThoughNobodyCalls) {
  const redis_server server;
  const auto store = open_on(server);
  auto listener = store->hints().listen({queue_topic(work.project, work.name)});
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work, .spec = {.delay = 300ms}}));
  ASSERT_TRUE(run_coro(listener.wait(10s)));
  const auto taken = lease(*store, 1);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_LT(taken[0].what.started_at.value() - taken[0].what.run_at, 50ms);
}

TEST(RedisStore, RecoversTheLeasesOfAProcessThatIsGone) {
  const redis_server server;
  const auto other = open_on(server);
  auto gone = open_on(server);
  ASSERT_TRUE(commit(*gone, enqueue_job{.queue = work}));
  ASSERT_EQ(lease(*gone, 1, 3s).size(), 1U);
  gone.reset();
  auto listener = other->hints().listen({queue_topic(work.project, work.name)});
  ASSERT_TRUE(lease(*other, 1).empty());
  // A hint may also come for nothing.
  bool taken = false;
  while (!taken && run_coro(listener.wait(20s))) taken = lease(*other, 1).size() == 1;
  EXPECT_TRUE(taken);
}

TEST(RedisStore, TouchesNothingWhereAKeyIsOfAnotherType) {
  const redis_server server;
  const auto store = open_on(server);
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  tell(server, {"SET", "{millrace}:queue:default/odd:5", "mine"});
  const commit_result refused =
      commit(*store, enqueue_job{.queue = work}, enqueue_job{.queue = {.name = "odd"}});
  ASSERT_EQ(word(refused), "wrong_type");
  EXPECT_EQ(refused.error().why.kind, errc::corrupted);
  EXPECT_EQ(waiting_in(*store), 1U);
  EXPECT_EQ(tell(server, {"GET", "{millrace}:queue:default/odd:5"}), "mine");
  EXPECT_EQ(word(commit(*store, enqueue_job{.queue = work})), "done");
}

TEST(RedisStore, IsNotOpenedWhereJobsWouldBeThrownAway) {
  const redis_server evicting({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
  EXPECT_EQ(refusal_of_opening(evicting), "redis_evicts");
}

TEST(RedisStore, IsNotOpenedOnAReplica) {
  const redis_server master;
  const redis_server replica({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  EXPECT_EQ(refusal_of_opening(replica), "read_only_replica");
}

TEST(RedisStore, IsNotOpenedOnKeysOfANewerVersion) {
  const redis_server server;
  tell(server, {"HSET", "{millrace}:state", "layout", "99"});
  EXPECT_NE(refusal_of_opening(server), "opened");
  EXPECT_EQ(tell(server, {"HGET", "{millrace}:state", "layout"}), "99");
}

TEST(RedisStore, IsNotOpenedOnKeysOfAnOlderVersion) {
  const redis_server server;
  tell(server, {"HSET", "{millrace}:state", "layout", "1"});
  const auto opened = redis_store::open(options_for(server.socket()));
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().detail.find("layout 1"), std::string::npos) << opened.error().detail;
  EXPECT_EQ(tell(server, {"HGET", "{millrace}:state", "layout"}), "1");
}

transaction of(std::vector<step> steps) {
  transaction out;
  out.steps = std::move(steps);
  return out;
}

// What travels many in one argument and what travels alone keep their order within a call.
TEST(RedisStore, KeepsTheOrderOfUsualAndOtherTransactions) {
  const redis_server server;
  const auto store = open_on(server);
  const enqueue_job plain{.queue = work};
  const enqueue_job urgent{.queue = work, .spec = {.priority = 9}};
  const enqueue_job unique{.queue = work, .spec = {.unique = unique_spec{.key = "k"}}};
  const lease_jobs next{.queues = {work}, .max = 2};
  std::vector<transaction> batch;
  batch.push_back(of({next}));
  batch.push_back(of({plain, plain}));
  batch.push_back(of({unique}));
  batch.push_back(of({next}));
  batch.push_back(of({configure_queue{.queue = work, .paused = true}}));
  batch.push_back(of({urgent}));
  batch.push_back(of({next}));
  batch.push_back(of({configure_queue{.queue = work, .paused = false}}));
  batch.push_back(of({ack_job{.id = {.tag = "work", .stamp = 1}, .token = 1}, next}));
  batch.push_back(of({next}));
  const auto done = blocking::commit_each(*store, std::move(batch));
  ASSERT_EQ(done.size(), 10U);
  const auto ids = [&](std::size_t at) {
    std::vector<std::uint64_t> out;
    for (const leased_job& each : std::get<jobs_leased>(done[at]->outcomes.at(0)).jobs) {
      out.push_back(each.what.id.stamp);
    }
    return out;
  };
  const auto made = [&](std::size_t at, std::size_t step) {
    return std::get<job_enqueued>(done[at]->outcomes.at(step)).made.id.stamp;
  };
  EXPECT_TRUE(ids(0).empty());
  EXPECT_EQ(ids(3), (std::vector{made(1, 0), made(1, 1)}));
  EXPECT_TRUE(ids(6).empty());
  EXPECT_EQ(word(done[8]), "job_not_found");
  EXPECT_EQ(ids(9), (std::vector{made(5, 0), made(2, 0)}));
}

TEST(RedisStore, KnowsWhatOtherProcessesHaveChangedSinceItsLastCall) {
  const redis_server server;
  const auto first = open_on(server);
  const auto second = open_on(server);
  ASSERT_TRUE(commit(*first, enqueue_job{.queue = work}, enqueue_job{.queue = work}));
  const auto taken = lease(*second, 1);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(waiting_in(*first), 1U);
  // Behind everybody's back: what is known from earlier calls counts no more.
  EXPECT_EQ(tell(server, {"FLUSHALL"}), "OK");
  EXPECT_EQ(waiting_in(*first), 0U);
  EXPECT_EQ(word(commit(*first, ack_job{.id = taken[0].what.id, .token = taken[0].token})),
            "job_not_found");
  EXPECT_EQ(word(commit(*second, enqueue_job{.queue = work})), "done");
  EXPECT_EQ(lease(*first, 10).size(), 1U);
}

TEST(RedisStore, NamesThePermissionThatItsUserLacks) {
  const redis_server server;
  tell(server, {"ACL", "SETUSER", "worker", "on", ">secret", "~{millrace}:*", "&{millrace}:*",
                "+@all", "-zadd"});
  options with = options_for(server.socket());
  with.where.user = "worker";
  with.where.password = "secret";
  const auto refused = redis_store::open(with);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "no_permission");
  EXPECT_NE(refused.error().detail.find("zadd"), std::string::npos) << refused.error().detail;
  tell(server, {"ACL", "SETUSER", "worker", "+zadd"});
  EXPECT_TRUE(redis_store::open(with));
}

TEST(RedisStore, CallsTheScriptWhereItMayNotLoadAFunction) {
  const redis_server server;
  tell(server, {"ACL", "SETUSER", "worker", "on", ">secret", "~{millrace}:*", "&{millrace}:*",
                "+@all", "-function", "-fcall"});
  options with = options_for(server.socket());
  with.where.user = "worker";
  with.where.password = "secret";
  const auto opened = redis_store::open(with);
  ASSERT_TRUE(opened) << opened.error().detail;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(commit(**opened, enqueue_job{.queue = work, .spec = {.type = "a"}}));
  }
  EXPECT_EQ(waiting_in(**opened), 3U);
  EXPECT_EQ(lease(**opened, 10).size(), 3U);
  const std::string commands = tell(server, {"INFO", "commandstats"});
  EXPECT_NE(commands.find("cmdstat_evalsha:"), std::string::npos) << commands;
}

TEST(RedisStore, ForgetsTheFunctionsOfOtherVersionsAndLoadsItsOwnAgain) {
  const redis_server server;
  tell(server,
       {"FUNCTION", "LOAD",
        "#!lua name=millrace_old\nredis.register_function('millrace_old', function() end)"});
  const auto store = open_on(server);
  EXPECT_EQ(tell(server, {"FCALL", "millrace_old", "0"}), "no_script");
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  tell(server, {"FUNCTION", "FLUSH"});
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  EXPECT_EQ(waiting_in(*store), 2U);
}

// What a queue has in its lanes is kept whenever it changes, and not touched where nobody knows it.
TEST(RedisStore, CancelsWhatWaitsThoughTheScriptKnowsNothing) {
  const redis_server server;
  const auto store = open_on(server);
  queue_settings one_of_a_group;
  one_of_a_group.group_concurrency = 1;
  ASSERT_TRUE(commit(*store, configure_queue{.queue = work, .settings = one_of_a_group}));
  const auto make = [&store](std::string group) {
    const auto made =
        commit(*store, enqueue_job{.queue = work, .spec = {.group = std::move(group)}});
    EXPECT_TRUE(made);
    return std::get<job_enqueued>(made->outcomes.at(0)).made.id;
  };
  static_cast<void>(make("g"));
  const job_id aside = make("g");
  EXPECT_EQ(lease(*store, 10).size(), 1U);
  tell(server, {"FUNCTION", "FLUSH"});
  EXPECT_EQ(word(commit(*store, cancel_job{.id = aside})), "done");
  const job_id gone = make("");
  static_cast<void>(make(""));
  const std::vector<std::string> lanes{"HGET", "{millrace}:queue:default/work", "lanes"};
  const std::string before = tell(server, lanes);
  tell(server, {"FUNCTION", "FLUSH"});
  EXPECT_EQ(word(commit(*store, cancel_job{.id = gone})), "done");
  EXPECT_NE(tell(server, lanes), before);
  tell(server, {"FUNCTION", "FLUSH"});
  EXPECT_EQ(lease(*store, 10).size(), 1U);
}

// When it is due stays the end of the lease that was, which is early enough for any later one.
TEST(RedisStore, LooksForJobsInVainWithoutWritingWhenTheQueueIsDue) {
  const redis_server server;
  const auto store = open_on(server);
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  const auto leased = lease(*store, 1);
  ASSERT_EQ(leased.size(), 1U);
  const std::vector<std::string> due{"HGET", "{millrace}:queue:default/work", "next"};
  const std::string before = tell(server, due);
  EXPECT_FALSE(before.empty());
  ASSERT_TRUE(commit(*store, ack_job{.id = leased[0].what.id, .token = leased[0].token}));
  const auto vain = commit(*store, lease_jobs{.queues = {work}});
  ASSERT_TRUE(vain);
  // It is told the truth nevertheless: nothing will come by itself.
  EXPECT_FALSE(std::get<jobs_leased>(vain->outcomes.at(0)).next_at);
  EXPECT_EQ(tell(server, due), before);
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  EXPECT_EQ(lease(*store, 1).size(), 1U);
  EXPECT_EQ(tell(server, due), before);
}

TEST(RedisStore, SaysHowSafeAnAnswerIs) {
  using enum durability;
  const redis_server always({"--appendonly", "yes", "--appendfsync", "always"});
  EXPECT_EQ(open_on(always)->traits().strongest, durable);
  const redis_server everysec({"--appendonly", "yes", "--appendfsync", "everysec"});
  const auto store = open_on(everysec);
  EXPECT_EQ(store->traits().strongest, async);
  EXPECT_EQ(store->traits().async_window, 2s);
  const redis_server nothing;
  EXPECT_EQ(open_on(nothing)->traits().strongest, memory);
}

TEST(RedisStore, RefusesNewJobsWhenTheServerIsFullAndKeepsTheOld) {
  const redis_server server({"--maxmemory-policy", "noeviction"});
  const auto store = open_on(server);
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  tell(server, {"CONFIG", "SET", "maxmemory", "1"});
  const commit_result refused = commit(*store, enqueue_job{.queue = work});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.kind, errc::storage_full) << refused.error().why.detail;
  tell(server, {"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(waiting_in(*store), 1U);
}

// The connection is cut again and again; each call happens once all the same.
TEST(RedisStore, DoesEverythingOnceThoughTheConnectionIsCut) {
  const redis_server server;
  const auto store = open_on(server);
  constexpr int calls = 2000;
  std::latch left(calls);
  std::atomic<int> done{0};
  std::atomic<int> unknown{0};
  std::atomic<int> refused{0};
  for (int i = 0; i < calls; ++i) {
    std::vector<transaction> batch(1);
    batch[0].steps.push_back(enqueue_job{.queue = work, .spec = {.type = std::to_string(i)}});
    store->submit(std::move(batch), [&](const std::vector<commit_result>& results) {
      if (results.at(0)) {
        ++done;
      } else if (results[0].error().why.kind == errc::outcome_unknown) {
        ++unknown;
      } else {
        ++refused;
      }
      left.count_down();
    });
    if (i % 100 == 50) tell(server, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  }
  left.wait();
  std::set<std::string> types;
  std::size_t jobs = 0;
  for (auto taken = lease(*store, 1000); !taken.empty(); taken = lease(*store, 1000)) {
    for (const leased_job& one : taken) types.insert(one.what.spec.type);
    jobs += taken.size();
  }
  EXPECT_EQ(types.size(), jobs) << "nothing happened twice";
  EXPECT_GE(jobs, static_cast<std::size_t>(done)) << "nothing that was answered is missing";
  EXPECT_LE(jobs, static_cast<std::size_t>(done + unknown)) << "nothing refused has happened";
  EXPECT_EQ(done + unknown + refused, calls);
}

TEST(RedisStore, AnswersAtOnceWhileThereIsNoServerAndGoesOnAfterwards) {
  redis_server server({"--appendonly", "yes", "--appendfsync", "always"});
  const auto store = open_on(server);
  ASSERT_TRUE(commit(*store, enqueue_job{.queue = work}));
  server.kill();
  // The first may have been on its way.
  static_cast<void>(commit(*store, enqueue_job{.queue = {.name = "other"}}));
  const commit_result refused = commit(*store, enqueue_job{.queue = {.name = "other"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.kind, errc::unavailable) << refused.error().why.code;
  server.restart();
  commit_result again = commit(*store, enqueue_job{.queue = work});
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (!again && std::chrono::steady_clock::now() < until) {
    again = commit(*store, enqueue_job{.queue = work});
  }
  EXPECT_EQ(word(again), "done");
  EXPECT_EQ(waiting_in(*store), 2U);
}

}  // namespace
}  // namespace millrace::engine_redis
